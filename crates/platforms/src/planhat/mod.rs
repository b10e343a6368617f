//! Planhat: customers, their people and contracts, and what they do.
//!
//! Records go by the bulk upsert (`PUT /<model>`, up to 5,000 at once), whose answer is turned into one outcome for
//! each (`answer`). There is no list of changes: reading is a list of all, compared with the ledger. References are
//! given and read as the parent's externalId (`directory`). Activities and metrics go to the analytics host, which
//! acknowledges and no more (`series`). What is not known for certain of Planhat is an option with a careful
//! default, and stands in docs/planhat.md.

mod answer;
mod check;
mod codec;
mod config;
mod directory;
mod filter;
mod items;
mod line;
mod members;
mod models;
mod read;
mod series;
mod told;
mod wired;
mod write;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tidegate_model::change::{Change, Outcome};
use tidegate_model::finding::Finding;
use tidegate_model::page::{Page, Pages};
use tidegate_model::ports::{Limits, Load, Loaded, Need, Platform, PlatformAsk, WriteAsk};
use tidegate_model::record::RecordRef;
use tidegate_model::schema::{Abilities, ModelName, ModelSchema};
use tidegate_model::span::Fence;
use tidegate_model::sync::Condition;
use tidegate_model::{Error, Result};

use crate::list::OpenContext;
use config::{ClearAs, Usage, UsageNames};
use directory::{Age, Directory};
use line::Line;

/// Most records of a bulk upsert.
const MAX_BATCH: u32 = 5_000;
/// Planhat's limits of the API: a soft quota and a hard rate. It advises to run large bulk operations one after the
/// other, for the sake of the data.
const LIMITS: Limits = Limits {
    requests_per_second: Some(150),
    requests_per_minute: Some(200),
    records_per_second: None,
    burst_records: None,
    parallel: Some(1),
    batch: None,
    single: false,
};

/// A connection to a tenant.
struct Planhat {
    line: Line,
    directory: Arc<Directory>,
    tenant: Option<String>,
    clear_as: ClearAs,
    usage: Usage,
    usage_names: UsageNames,
    /// Fields that were seen to be empty after they were emptied, by model.
    cleared: Mutex<HashSet<(String, String)>>,
}

/// The JSON Schema of the configuration.
pub fn config_schema() -> serde_json::Value {
    schemars::schema_for!(config::Config).to_value()
}

/// Opens the platform of a connection. Nothing is reached before the first call.
pub fn open_platform(config: &serde_json::Value, context: &OpenContext) -> Result<Arc<dyn Platform>> {
    let config = config::read(config, context)?;
    let at = |error: Error| error.at(format!("connection {}", context.name));
    if config.token.expose().trim().is_empty() {
        return Err(at(Error::config("`token` is empty").hint("take the API access token of a service account")));
    }
    let line = Line::new(&config.url, &config.analytics_url, config.token, context).map_err(at)?;
    Ok(Arc::new(Planhat {
        directory: Arc::new(Directory::new(line.clone())),
        line,
        tenant: config.tenant.filter(|tenant| !tenant.trim().is_empty()),
        clear_as: config.clear_as,
        usage: config.usage,
        usage_names: config.usage_names,
        cleared: Mutex::default(),
    }))
}

impl Planhat {
    fn clears_are_proven(&self, model: &str, field: &str) -> bool {
        let proven = self.cleared.lock().unwrap_or_else(PoisonError::into_inner);
        proven.contains(&(model.to_owned(), field.to_owned()))
    }

    fn prove(&self, model: &str, field: &str) {
        self.cleared.lock().unwrap_or_else(PoisonError::into_inner).insert((model.to_owned(), field.to_owned()));
    }

    async fn describe(&self, model: &str) -> Result<ModelSchema> {
        if series::is_series(model) {
            return Ok(series::schema(model));
        }
        models::def(model)?;
        Ok(self.directory.layout(model, Age::Recent).await?.schema())
    }

    async fn findings(&self, need: &Need) -> Vec<Finding> {
        let Some(model) = check::model(need) else { return Vec::new() };
        if series::is_series(model) && self.tenant.is_none() {
            let why = format!("{model} goes to the analytics host, which needs the tenant");
            return vec![Finding::critical(
                "tenant",
                why,
                "set `tenant` in the connection: the UUID under Settings, Developer",
            )];
        }
        match self.describe(model).await {
            Ok(schema) => check::need(need, &schema),
            Err(error) => {
                vec![Finding::critical("model", error.to_string(), error.hint.unwrap_or_default())]
            }
        }
    }
}

fn records_only(model: &ModelName) -> Result<()> {
    if series::is_series(model.as_str()) {
        return Err(Error::config(format!("{model} cannot be read back from Planhat"))
            .hint("activities and metrics are only sent; look at them in Planhat's app"));
    }
    models::def(model.as_str()).map(drop)
}

#[async_trait]
impl Platform for Planhat {
    async fn check(&self, needs: &[Need]) -> Vec<Finding> {
        let mut out = Vec::new();
        if let Err(error) = self.directory.layout("company", Age::Now).await {
            return vec![Finding::critical("connect", error.to_string(), error.hint.unwrap_or_default())];
        }
        for need in needs {
            out.extend(self.findings(need).await);
        }
        out
    }

    async fn models(&self) -> Result<Vec<ModelSchema>> {
        let mut all = Vec::new();
        for (at, def) in models::defs()?.iter().enumerate() {
            all.push(self.directory.layout(&def.name, if at == 0 { Age::Recent } else { Age::Any }).await?.schema());
        }
        all.extend([series::ACTIVITY, series::METRIC].map(series::schema));
        Ok(all)
    }

    async fn model(&self, name: &ModelName) -> Result<ModelSchema> {
        self.describe(name.as_str()).await
    }

    fn abilities(&self, model: &ModelName) -> Abilities {
        let records = !series::is_series(model.as_str());
        Abilities {
            read: records,
            ordered: false,
            changes: false,
            fetch: records,
            delete: records,
            clear: records && self.clear_as != ClearAs::Omit,
            conditional: false,
            keyed: records,
            exactly_once: false,
            update_time: records,
            whole: false,
            max_batch: if records { MAX_BATCH } else { series::ROWS_MAX },
        }
    }

    fn limits(&self, model: &ModelName, _records: Option<u64>) -> Limits {
        // The analytics host has no limit but the size of a body.
        if series::is_series(model.as_str()) { Limits::default() } else { LIMITS }
    }

    async fn mark(&self, model: &ModelName) -> Result<String> {
        Err(Error::config(format!("Planhat has no list of the changes of {model}"))
            .hint("it is read as a whole and compared"))
    }

    async fn read(&self, ask: PlatformAsk) -> Result<Pages> {
        records_only(&ask.model)?;
        self.read_all(&ask).await
    }

    async fn fetch(&self, model: &ModelName, key: &str, fields: &[String], records: &[RecordRef]) -> Result<Page> {
        records_only(model)?;
        self.fetch_some(model, key, fields, records).await
    }

    async fn count(&self, model: &ModelName, filter: &[Condition]) -> Result<u64> {
        records_only(model)?;
        self.count_all(model, filter).await
    }

    async fn write(&self, ask: &WriteAsk, batch: &[Change]) -> Result<Vec<Outcome>> {
        if series::is_series(ask.model.as_str()) {
            return Err(Error::config(format!("{} is loaded, not written record by record", ask.model))
                .hint("write `write: append`"));
        }
        self.write_batch(ask, batch).await
    }

    async fn load(&self, model: &ModelName, load: &Load, pages: Pages) -> Result<Loaded> {
        if !series::is_series(model.as_str()) {
            return Err(Error::config(format!("{model} is written record by record, not loaded"))
                .hint("write `write: upsert`; Planhat has no datasets"));
        }
        self.load_series(model.as_str(), load, pages).await
    }

    /// Planhat keeps no mark of who drives a sync.
    async fn adopt(&self, _fence: &Fence) -> Result<()> {
        Ok(())
    }
}
