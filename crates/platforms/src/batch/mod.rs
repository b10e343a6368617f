//! Batch (Customer Engagement Platform): profiles, written through its Profile API.
//!
//! A profile is made or changed by its `custom_id`; it cannot be read back, and not be deleted through this API. There
//! are two doors: `/profiles/update` for little work, which a platform takes up soon, and `/profiles/mass-update` for
//! much. Which one a run takes is decided by all that it is about to write, and the engine keeps to that door's limits.
//! Batch answers that it has taken a call, and lists what it dropped of it; that list becomes dropped fields and rejects.

mod answer;
mod config;
mod encode;
mod model;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use tidegate_model::change::{Action, Change, FieldReject, Outcome};
use tidegate_model::finding::Finding;
use tidegate_model::page::{Page, Pages};
use tidegate_model::ports::{Limits, Load, Loaded, Need, Platform, PlatformAsk, WriteAsk};
use tidegate_model::record::RecordRef;
use tidegate_model::schema::{Abilities, ModelName, ModelSchema};
use tidegate_model::span::Fence;
use tidegate_model::sync::Condition;
use tidegate_model::{Error, Result};
use tidegate_net::targets::Targets;

use crate::list::OpenContext;
use crate::rest;

pub use config::{BatchConfig, NullKey};
pub use model::{CUSTOM, KEY, PROFILE};

/// Most operations of a call to `/profiles/update`.
const UPDATE_BATCH: u32 = 200;
/// Profiles in a second through `/profiles/update`. Three third parties agree; Batch's own page was not readable there.
const UPDATE_RATE: u64 = 300;
/// Profiles that `/profiles/update` takes at once after a pause.
const UPDATE_BURST: u64 = 1_000;
/// Most operations of a call to `/profiles/mass-update`.
const MASS_BATCH: u32 = 10_000;
/// Profiles in a second through `/profiles/mass-update`.
const MASS_RATE: u64 = 10_000;

/// One of the two ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Update,
    Mass,
}

impl Door {
    /// Work that fits the burst is done sooner through the door for little work.
    fn of(records: u64) -> Self {
        if records <= UPDATE_BURST { Self::Update } else { Self::Mass }
    }
    /// A batch that was cut for the other door goes through that one.
    fn of_call(records: u64, batch: usize) -> Self {
        if batch > UPDATE_BATCH as usize { Self::Mass } else { Self::of(records) }
    }
    fn path(self) -> &'static str {
        match self {
            Self::Update => "profiles/update",
            Self::Mass => "profiles/mass-update",
        }
    }
}

/// Batch.
pub struct Batch {
    config: BatchConfig,
    client: Client,
    project: HeaderValue,
    token: HeaderValue,
}

/// The JSON Schema of the configuration.
pub fn config_schema() -> serde_json::Value {
    schemars::schema_for!(BatchConfig).to_value()
}

/// Opens the Batch of a connection.
pub fn open_platform(config: &serde_json::Value, context: &OpenContext) -> Result<Arc<dyn Platform>> {
    Ok(Arc::new(Batch::open(BatchConfig::read(config, context)?, context.targets.clone())?))
}

impl Batch {
    /// Makes ready to call; nothing is reached yet.
    ///
    /// # Errors
    /// Keys that no header can carry, a client that cannot be set up.
    pub fn open(config: BatchConfig, targets: Option<Targets>) -> Result<Self> {
        let config = config.check()?;
        let header = |name: &str, text: String| {
            let mut value =
                HeaderValue::from_str(&text).map_err(|_| Error::config(format!("{name} cannot be sent")))?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        };
        let project = header("project_key", config.project_key.clone())?;
        let token = header("rest_api_key", format!("Bearer {}", config.rest_api_key.expose()))?;
        Ok(Self { client: rest::client(targets)?, project, token, config })
    }

    async fn send(&self, door: Door, body: Bytes) -> Result<rest::Answer> {
        let url = format!("{}/{}/{}", self.config.url, self.config.api_version, door.path());
        let request = self
            .client
            .post(url)
            .header(AUTHORIZATION, self.token.clone())
            .header("X-Batch-Project", self.project.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        rest::call(request, answer::WHAT).await
    }
}

fn unreadable(what: &str) -> Error {
    Error::config(format!("profiles of Batch cannot be {what}")).hint("write direction: to_platform")
}

#[async_trait]
impl Platform for Batch {
    async fn check(&self, needs: &[Need]) -> Vec<Finding> {
        // There is no call that only looks: whether the keys are good shows with the first write.
        model::findings(needs, &self.config.project_key)
    }

    async fn models(&self) -> Result<Vec<ModelSchema>> {
        Ok(vec![model::profile(self.config.custom_id_max)])
    }

    async fn model(&self, name: &ModelName) -> Result<ModelSchema> {
        model::named(name, self.config.custom_id_max)
    }

    fn abilities(&self, _model: &ModelName) -> Abilities {
        Abilities {
            read: false,
            ordered: false,
            changes: false,
            fetch: false,
            delete: false,
            clear: true,
            conditional: false,
            keyed: true,
            exactly_once: false,
            update_time: false,
            whole: false,
            max_batch: MASS_BATCH,
        }
    }

    fn limits(&self, _model: &ModelName, records: Option<u64>) -> Limits {
        match Door::of(records.unwrap_or(0)) {
            Door::Update => Limits {
                records_per_second: Some(UPDATE_RATE),
                burst_records: Some(UPDATE_BURST),
                batch: Some(UPDATE_BATCH),
                ..Limits::default()
            },
            Door::Mass => Limits { records_per_second: Some(MASS_RATE), batch: Some(MASS_BATCH), ..Limits::default() },
        }
    }

    async fn mark(&self, _model: &ModelName) -> Result<String> {
        Err(unreadable("read back"))
    }

    async fn read(&self, _ask: PlatformAsk) -> Result<Pages> {
        Err(unreadable("read back"))
    }

    async fn fetch(&self, _: &ModelName, _: &str, _: &[String], _: &[RecordRef]) -> Result<Page> {
        Err(unreadable("read back"))
    }

    async fn count(&self, _model: &ModelName, _filter: &[Condition]) -> Result<u64> {
        Err(unreadable("counted"))
    }

    async fn write(&self, ask: &WriteAsk, batch: &[Change]) -> Result<Vec<Outcome>> {
        if ask.model.as_str() != PROFILE {
            model::named(&ask.model, self.config.custom_id_max)?;
        }
        if batch.iter().any(|change| change.action == Action::Delete) {
            return Ok(batch.iter().map(|_| Outcome::Rejected(undeletable())).collect());
        }
        let mut body = encode::Encoder::new(ask, self.config.null_key, batch).body(batch)?;
        let bytes = Bytes::from(std::mem::take(&mut body.bytes));
        let answer = self.send(Door::of_call(ask.records, batch.len()), bytes).await?;
        answer::outcomes(&answer, body, batch)
    }

    async fn load(&self, model: &ModelName, _load: &Load, _pages: Pages) -> Result<Loaded> {
        Err(Error::config(format!("{model} is written record by record, not loaded")).hint("use write: upsert"))
    }

    async fn adopt(&self, _fence: &Fence) -> Result<()> {
        // Batch keeps no mark of who writes, so there is nothing to take over.
        Ok(())
    }
}

fn undeletable() -> FieldReject {
    FieldReject::record("delete", "profiles of Batch cannot be deleted through its Profile API; use deletes: ignore")
}
