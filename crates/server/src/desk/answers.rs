//! What the desk answers about runs and records.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

/// A piece of a list.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Page<T> {
    /// Its entries.
    pub items: Vec<T>,
    /// What to hand in as `after` for the next page; `null` on the last.
    pub next: Option<String>,
}

/// The project as a whole.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ProjectAnswer {
    /// Its name.
    pub name: String,
    /// The version of tidegate that serves it.
    pub version: String,
    /// The zone of its schedules where they do not say.
    pub timezone: String,
    /// Its files cannot be written here: they are changed elsewhere.
    pub read_only: bool,
    /// What is wrong with its files; the last good state is served as long.
    pub problems: Vec<ProblemAnswer>,
    /// Addresses that calls leave from, for allow lists of others.
    pub egress_ips: Vec<String>,
    /// Names of environment variables that connections made here may use.
    pub env_allow: Vec<String>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProblemAnswer {
    /// The file.
    pub file: String,
    /// Its line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// The counts of a run, or of one direction of it.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "the words of docs/semantics.md")]
pub struct CountsAnswer {
    pub read: u64,
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub deleted: u64,
    pub rejected: u64,
    pub held: u64,
    pub unknown: u64,
    pub ahead: u64,
    pub sent: u64,
    pub confirmed: u64,
    pub refused: u64,
    pub acknowledged: u64,
    pub conflicts: u64,
    pub dropped_fields: u64,
    pub normalised: u64,
    pub requests: u64,
}

/// A run. The counts are the sum of its directions.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunAnswer {
    /// Its id.
    pub run: String,
    /// The sync.
    pub sync: String,
    /// `running`, `succeeded`, `partial`, `failed`, `cancelled`, `unbalanced`.
    pub status: String,
    /// `full`, `cursor`, `changes`, `undo`, …
    pub mode: String,
    /// What started it.
    pub trigger: String,
    /// The sum of its directions.
    #[serde(flatten)]
    pub counts: CountsAnswer,
    /// Towards the platform, where something was read or written.
    pub to_platform: Option<CountsAnswer>,
    /// Towards the warehouse, where something was read or written.
    pub to_warehouse: Option<CountsAnswer>,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// How long it took, or has taken so far.
    pub duration_ms: i64,
    /// Milliseconds that the warehouse worked for it, where it tells.
    pub warehouse_ms: Option<u64>,
    /// Bytes that the warehouse bills for it, where it tells.
    pub bytes_billed: Option<u64>,
    /// Why it stopped.
    pub error: Option<ErrorAnswer>,
}

/// An error that a person can act on.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ErrorAnswer {
    /// A stable word.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// A line of a run's log.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LogLine {
    /// Its number.
    pub number: i64,
    /// When.
    pub at: String,
    /// The line.
    pub line: String,
}

/// A line of some run's log.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunLogLine {
    /// Its number; later lines have higher ones.
    pub number: i64,
    /// When.
    pub at: String,
    /// The sync.
    pub sync: String,
    /// The run.
    pub run: String,
    /// The line.
    pub line: String,
}

/// A write that was carried out. Values of fields under `redact:` are `***`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WriteAnswer {
    /// The record.
    pub key: String,
    /// `warehouse` or `platform`: which was written.
    pub side: String,
    /// `create`, `update`, `delete`.
    pub action: String,
    /// When.
    pub at: String,
    /// Field by field.
    pub fields: Vec<FieldChangeAnswer>,
}

/// One field of a change.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FieldChangeAnswer {
    /// The field, by its platform name.
    pub field: String,
    /// Whether the old value is known; `from` is null as well where it was empty.
    pub known: bool,
    /// The old value.
    pub from: Json,
    /// The new value.
    pub to: Json,
}

/// What an undo did.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Undone {
    /// The run it was recorded as.
    pub run: RunAnswer,
    /// Changes that were left out because somebody changed the value since; at most 500 are listed.
    pub stale: Vec<PlannedAnswer>,
    /// How many there are.
    pub stale_total: u64,
    /// What cannot be undone, in words.
    pub not_possible: Vec<String>,
}

/// One change of a plan. Values of fields under `redact:` are `***`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PlannedAnswer {
    /// The record.
    pub key: String,
    /// `warehouse` or `platform`: which would be written.
    pub side: String,
    /// `create`, `update`, `delete`, `reject`, `hold`.
    pub action: String,
    /// Field by field.
    pub fields: Vec<FieldChangeAnswer>,
    /// Why, for `reject` and `hold`.
    pub why: Option<String>,
}

/// What a run would do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PlanAnswer {
    /// The first changes.
    pub changes: Vec<PlannedAnswer>,
    /// How many changes there are.
    pub total: u64,
    /// The books as if all were applied.
    pub counts: CountsAnswer,
    /// Calls that the run would make.
    pub calls: u64,
    /// Minutes that the quota makes it last at least.
    pub minutes: f64,
    /// Share of the daily quota, 0 to 1, where there is one.
    pub quota_share: Option<f64>,
    /// Guards that would stop it.
    pub guards: Vec<String>,
    /// What was read for it, in words.
    pub based_on: String,
    /// The sync moves whole columns: which of its rows are new only the run finds, so nothing is counted or listed.
    pub whole_columns: bool,
    /// Bytes that the warehouse bills for the run's read, where bytes are billed; found by dry runs.
    pub bytes_to_read: Option<u64>,
    /// That is the least: what the read shows is looked up by key besides.
    pub bytes_least: bool,
    /// Bytes that the warehouse billed for this plan.
    pub bytes_billed: Option<u64>,
    /// The same in a sentence.
    pub cost: Option<String>,
}

/// A record, or a field of one, that cannot be delivered as it is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RejectAnswer {
    /// The sync.
    pub sync: String,
    /// The record; `null`: a row without a usable key.
    pub key: Option<String>,
    /// `warehouse` or `platform`: which it cannot be written to.
    pub side: String,
    /// The field; `null`: the record as a whole.
    pub field: Option<String>,
    /// The rule that it breaks.
    pub rule: String,
    /// Why, in words.
    pub reason: String,
    /// The value, where values are kept; `***` under `redact:`.
    pub value: Json,
    /// The run that saw it last.
    pub run: String,
    /// When.
    pub at: String,
}

/// A field, or a record, that both sides changed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConflictAnswer {
    /// The sync.
    pub sync: String,
    /// The record.
    pub key: String,
    /// The field; `null`: the record as a whole.
    pub field: Option<String>,
    /// The warehouse's value.
    pub warehouse: Json,
    /// The platform's value.
    pub platform: Json,
    /// `warehouse` or `platform`, where one has won.
    pub winner: Option<String>,
    /// `open`, `chosen`, `decided`.
    pub state: String,
    /// A note, such as why it is uncertain.
    pub note: Option<String>,
    /// The run that saw it last.
    pub run: String,
    /// When.
    pub at: String,
}

/// Everything about one record.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WhyAnswer {
    /// The sync.
    pub sync: String,
    /// The key.
    pub key: String,
    /// The platform's id.
    pub remote: Option<String>,
    /// `linked`, `new`, `gone_warehouse`, `gone_platform`, `unknown`.
    pub link: String,
    /// In a sentence.
    pub verdict: String,
    /// Field by field.
    pub fields: Vec<WhyFieldAnswer>,
    /// Last writes, newest first.
    pub history: Vec<Json>,
    /// Open rejects.
    pub rejects: Vec<Json>,
    /// Open conflicts.
    pub conflicts: Vec<Json>,
    /// What the next run would do with it.
    pub next: Vec<PlannedAnswer>,
}

/// One field of a record. A value that nobody knows is left out.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WhyFieldAnswer {
    /// The field, by its platform name.
    pub field: String,
    /// Its direction.
    pub direction: String,
    /// What the warehouse holds now.
    pub warehouse: Option<Json>,
    /// What the warehouse last showed or acknowledged.
    pub warehouse_image: Option<Json>,
    /// What the platform holds now.
    pub platform: Option<Json>,
    /// What the platform last showed or acknowledged.
    pub platform_image: Option<Json>,
}

/// A run that waits or is at work.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Queued {
    /// The sync.
    pub sync: String,
    /// False if a run of it was waiting already; it then stands for both.
    pub new: bool,
}
