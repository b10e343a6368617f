//! What the engine is asked and what it answers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_model::ports::{Cancel, Env, Listener, Memory, Platform, Shards, Warehouse};
use tidegate_model::record::{Fields, Key, RemoteId};
use tidegate_model::run::RunRecord;
use tidegate_model::sync::{Direction, Sync, Target};
use tidegate_model::value::Value;

/// The engine with its surroundings. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    /// The store.
    pub memory: Arc<dyn Memory>,
    /// Clock, ids, randomness, sleep, scratch space.
    pub env: Arc<dyn Env>,
    /// Who hears of progress and log lines.
    pub listener: Arc<dyn Listener>,
    /// Unique name of this process, for leases.
    pub holder: String,
}

/// A sync with its two open ports: what every operation is about.
#[derive(Clone)]
pub struct Job {
    /// The sync.
    pub sync: Arc<Sync>,
    /// Its warehouse.
    pub warehouse: Arc<dyn Warehouse>,
    /// Its platform.
    pub platform: Arc<dyn Platform>,
    /// Hash of the sync's and its connections' configuration.
    pub config_hash: String,
    /// Hash of what may not change without `reset`.
    pub shape_hash: String,
    /// The budget of the remote account.
    pub quota: Quota,
}

impl Job {
    /// The same job, whose warehouse counts by itself what it is billed.
    #[must_use]
    pub(crate) fn metered(&self) -> Self {
        Self { warehouse: self.warehouse.metered().unwrap_or_else(|| Arc::clone(&self.warehouse)), ..self.clone() }
    }
}

/// Limits of one remote account, shared by every sync and worker (drawn from the store in one-second blocks).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quota {
    /// Names the account: the connection.
    pub account: String,
    /// Calls in a minute.
    pub requests_per_minute: Option<u64>,
    /// Records in a second.
    pub records_per_second: Option<u64>,
    /// Calls in a day.
    pub requests_per_day: Option<u64>,
    /// The share of these that tidegate may take, 0–1.
    pub share: f64,
    /// Nothing is limited, not even what the platform itself permits: for measurements of what computing costs against a
    /// server of one's own.
    pub unlimited: bool,
}

/// How a run is asked for.
#[derive(Clone, Default)]
pub struct RunOptions {
    /// `manual`, `schedule`, `retry`, …
    pub trigger: String,
    /// A complete read, whatever `changes` says.
    pub full: bool,
    /// One direction only.
    pub direction: Option<Direction>,
    /// Read at most so many rows; the read then does not count as complete.
    pub limit: Option<u64>,
    /// Guards that may be passed in this run, by name (`max_delete_pct`, …).
    pub force_guards: Vec<String>,
    /// Asks the run to stop.
    pub cancel: Cancel,
    /// Where other workers take a part in a large delivery, if there may be any.
    pub shards: Option<Arc<dyn Shards>>,
}

/// A record of the platform as the ledger remembers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Its key.
    pub key: Key,
    /// The platform's id of it.
    pub remote: Option<RemoteId>,
    /// Its fields, as far as their values are kept.
    pub fields: Fields,
}

/// One change of a plan, as it is printed and kept in a plan file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// The record.
    pub key: String,
    /// The side that is written.
    pub side: Target,
    /// `create`, `update`, `delete`, `reject`, `hold`.
    pub action: String,
    /// Field by field: what stands there (absent if not known) and what will.
    pub fields: Vec<FieldChange>,
    /// Why, for `reject` and `hold`.
    pub why: Option<String>,
    /// What must still stand at the target for the change to be carried out by `apply`.
    pub expect: Option<Fields>,
}

/// One field of a planned change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The field, by its platform name.
    pub field: String,
    /// The old value, where it is known.
    pub from: Option<Value>,
    /// The new value.
    pub to: Option<Value>,
}

/// What a plan adds up to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// Books as if everything were applied.
    pub books: tidegate_model::run::Books,
    /// Calls that the run would make.
    pub calls: u64,
    /// Minutes that the quota makes it last at least.
    pub minutes: f64,
    /// Share of the daily quota, 0–1, where there is one.
    pub quota_share: Option<f64>,
    /// Guards that would stop it.
    pub guards: Vec<String>,
    /// What was read for it, in words.
    #[serde(default)]
    pub based_on: String,
    /// The sync moves whole columns: which of its rows are new only the run finds, so nothing is counted here.
    #[serde(default)]
    pub whole_columns: bool,
    /// Bytes that the run's read of the warehouse is billed, where bytes are billed.
    #[serde(default)]
    pub bytes_to_read: Option<u64>,
    /// That is the least: what the read shows is looked up by key besides, and how much that is only the run finds.
    #[serde(default)]
    pub bytes_least: bool,
    /// Bytes that the warehouse billed for this plan.
    #[serde(default)]
    pub bytes_billed: Option<u64>,
}

impl PlanSummary {
    /// What the warehouse bills for the run's read, and billed for this plan, in a sentence.
    pub fn cost(&self) -> Option<String> {
        let read = size(self.bytes_to_read?);
        let read = match self.bytes_least {
            true => format!("at least {read} (what it finds is looked up by key besides)"),
            false => read,
        };
        let plan = self.bytes_billed.map_or_else(String::new, |bytes| format!(", this plan was {}", size(bytes)));
        Some(format!("the run's read of the warehouse is billed {read}{plan}"))
    }
}

/// Bytes as a bill has them.
pub(crate) fn size(bytes: u64) -> String {
    const MB: f64 = 1_048_576.0;
    match bytes as f64 / MB {
        mb if mb < 10_240.0 => format!("{mb:.1} MB"),
        mb if mb < 10_485_760.0 => format!("{:.1} GB", mb / 1_024.0),
        mb => format!("{:.1} TB", mb / 1_048_576.0),
    }
}

/// A plan file: what `apply` needs to refuse or to carry out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanFile {
    /// Version of this format.
    pub version: u32,
    /// The sync.
    pub sync: String,
    /// Hash of the configuration that it was planned with.
    pub config_hash: String,
    /// When it was planned.
    pub planned_at: tidegate_model::Instant,
    /// The changes.
    pub changes: Vec<PlannedChange>,
    /// What they add up to.
    pub summary: PlanSummary,
}

/// Hears the changes of a plan one by one.
pub trait PlanSink: Send {
    /// A change of the plan.
    fn change(&mut self, change: PlannedChange) -> tidegate_model::Result<()>;
}

impl PlanSink for Vec<PlannedChange> {
    fn change(&mut self, change: PlannedChange) -> tidegate_model::Result<()> {
        self.push(change);
        Ok(())
    }
}

/// What `apply`, `undo` and `verify --repair` did.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The run it was recorded as.
    pub run: RunRecord,
    /// Changes that were left out because somebody changed the value since.
    pub stale: Vec<PlannedChange>,
    /// What cannot be undone (appends, deletes without before-image), in words.
    pub not_possible: Vec<String>,
}

/// A difference that `verify` found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    /// The record.
    pub key: String,
    /// The side that differs from what the ledger says it showed or acknowledged.
    pub side: Target,
    /// The field; `None`: the record is missing, or is there and should not be.
    pub field: Option<String>,
    /// What the ledger says (absent with fingerprints).
    pub expected: Option<Value>,
    /// What stands there.
    pub found: Option<Value>,
    /// The likely cause, in words.
    pub cause: String,
}

/// Everything about one record, as `why` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Why {
    /// The sync.
    pub sync: String,
    /// The key.
    pub key: String,
    /// The platform's id.
    pub remote: Option<String>,
    /// `linked`, `new`, `gone_warehouse`, `gone_platform`, `unknown`.
    pub link: String,
    /// Field by field.
    pub fields: Vec<WhyField>,
    /// Last writes, newest first.
    pub history: Vec<serde_json::Value>,
    /// Open rejects.
    pub rejects: Vec<serde_json::Value>,
    /// Open conflicts.
    pub conflicts: Vec<serde_json::Value>,
    /// What the next run would do with it.
    pub next: Vec<PlannedChange>,
    /// In a sentence.
    pub verdict: String,
}

/// One field of a record in `why`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WhyField {
    /// The field, by its platform name.
    pub field: String,
    /// Its direction.
    pub direction: Direction,
    /// What the warehouse holds now.
    pub warehouse: Option<serde_json::Value>,
    /// What the warehouse last showed or acknowledged.
    pub warehouse_image: Option<serde_json::Value>,
    /// What the platform holds now.
    pub platform: Option<serde_json::Value>,
    /// What the platform last showed or acknowledged.
    pub platform_image: Option<serde_json::Value>,
}
