//! The hub: the embedded customer store, on SQLite by default and on Postgres by URL.
//!
//! Records live in one table per model with a typed column per field; a custom field becomes a column when it is
//! first mapped, by the type of that mapping. Each record has an `_id` (see [`ids`]), the times of its creation and
//! last change, and the number of its last change: the mark up to which changes were read. Deleted records stay as
//! id and keys, so that readers of changes learn of them; what returns under the same externalId has its `_id` back.
//!
//! References (`companyId` and others) follow the rule in [`refs`]: a sync gives and reads them as the parent's
//! externalId, so what was given comes back as it was given. An end user without a company is assigned to the one
//! company whose `domains` hold that of the mail address.
//!
//! Every write is one transaction with the sync's fence row and the operation's row, so a repeated operation answers
//! as it did the first time. Writers of records hold the counter of changes until they commit: numbers are committed
//! in order, and nobody who reads up to a mark misses one.

pub mod cell;
mod check;
mod columns;
mod config;
mod dataset;
pub mod db;
mod fence;
mod frame;
pub mod ids;
mod layout;
pub mod models;
mod people;
mod read;
mod records;
pub mod refs;
mod rollup;
mod rules;
mod series;
mod source;
mod tables;
mod usage;

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tidegate_model::change::{Change, Outcome};
use tidegate_model::finding::Finding;
use tidegate_model::page::{Page, Pages};
use tidegate_model::ports::{Load, Loaded, Need, Platform, PlatformAsk, WriteAsk};
use tidegate_model::record::RecordRef;
use tidegate_model::schema::{Abilities, ModelName, ModelSchema};
use tidegate_model::span::Fence;
use tidegate_model::sync::Condition;
use tidegate_model::{Error, Result};
use tokio::sync::OnceCell;

use crate::list::OpenContext;
use config::HubConfig;
use db::Session;
use db::pool::{Place, Pool};
use ids::Ids;
use layout::Layout;
use source::Source;
pub use usage::UsageDay;

/// Most records that one write call takes: large enough to amortise a commit, small enough to stay in memory.
const MAX_BATCH: u32 = 10_000;
/// Most rows of a load that are worth handing over at once.
const MAX_LOAD: u32 = 100_000;

/// The hub. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    pool: Pool,
    ids: Arc<OnceCell<Ids>>,
}

/// The JSON Schema of the hub's configuration.
pub fn config_schema() -> serde_json::Value {
    schemars::schema_for!(HubConfig).to_value()
}

/// Opens the hub of a connection.
pub fn open_platform(config: &serde_json::Value, context: &OpenContext) -> Result<Arc<dyn Platform>> {
    Ok(Arc::new(from_config(config, context)?))
}

/// The hub of a connection as itself, for the commands that look into it.
pub fn from_config(config: &serde_json::Value, context: &OpenContext) -> Result<Hub> {
    let config: HubConfig = serde_json::from_value(config.clone()).map_err(|e| {
        Error::config(format!("the connection {} is not a hub", context.name)).hint("it takes: url").cause(e)
    })?;
    open_hub(&config.url, &context.project_dir).map_err(|e| e.at(format!("connection {}", context.name)))
}

/// The hub at a URL; paths are relative to the project. Nothing is reached or made before the first call.
pub fn open_hub(url: &str, project: &Path) -> Result<Hub> {
    let place: Place = config::place(url, project)?;
    Ok(Hub { pool: Pool::new(place), ids: Arc::default() })
}

/// Microseconds since 1970, by the machine's clock.
fn clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// What a name means.
enum Model {
    Records,
    Series,
    Dataset(String),
}

fn kind(model: &ModelName) -> Result<Model> {
    if let Some(name) = model.dataset() {
        dataset::check_name(name)?;
        return Ok(Model::Dataset(name.to_owned()));
    }
    if series::is_series(model.as_str()) {
        return Ok(Model::Series);
    }
    models::def(model.as_str()).map(|_| Model::Records)
}

/// What can be read under a name.
fn source(session: &mut dyn Session, model: &ModelName) -> Result<Source> {
    match kind(model)? {
        Model::Records => Source::records(&Layout::load(session, model.as_str())?),
        Model::Series => series::source(model.as_str()),
        Model::Dataset(name) => dataset::source(session, &name),
    }
}

fn describe(session: &mut dyn Session, model: &ModelName) -> Result<ModelSchema> {
    match kind(model)? {
        Model::Records => Ok(Layout::load(session, model.as_str())?.schema()),
        Model::Series => series::schema(model.as_str()),
        Model::Dataset(name) => dataset::schema(session, &name),
    }
}

impl Hub {
    /// The hub's ids; makes its tables at the first call.
    async fn ready(&self) -> Result<Ids> {
        let made = self.ids.get_or_try_init(|| async {
            let salt = (ulid::Ulid::new().random() & u128::from(u32::MAX)) as u32;
            self.pool.run(move |session| tables::ensure(session, salt)).await
        });
        made.await.copied()
    }

    /// Runs something that only reads.
    async fn look<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Session, Ids) -> Result<T> + Send + 'static,
    {
        let ids = self.ready().await?;
        self.pool.run(move |session| work(session, ids)).await
    }
}

#[async_trait]
impl Platform for Hub {
    async fn check(&self, needs: &[Need]) -> Vec<Finding> {
        let needs = needs.to_vec();
        let place = self.pool.place();
        match self.look(move |session, ids| Ok(check::all(session, ids, &needs))).await {
            Ok(findings) => findings,
            Err(error) => {
                let why = format!("the hub {place} cannot be used: {error}");
                vec![Finding::critical("connect", why, error.hint.unwrap_or_default())]
            }
        }
    }

    async fn models(&self) -> Result<Vec<ModelSchema>> {
        self.look(|session, _| {
            let mut all = Vec::new();
            for def in models::defs()? {
                all.push(Layout::load(session, &def.name)?.schema());
            }
            for name in [series::ACTIVITY, series::METRIC] {
                all.push(series::schema(name)?);
            }
            for name in dataset::names(session)? {
                all.push(dataset::schema(session, &name)?);
            }
            Ok(all)
        })
        .await
    }

    async fn model(&self, name: &ModelName) -> Result<ModelSchema> {
        let name = name.clone();
        self.look(move |session, _| describe(session, &name)).await
    }

    fn abilities(&self, model: &ModelName) -> Abilities {
        let records = !series::is_series(model.as_str()) && model.dataset().is_none();
        Abilities {
            read: true,
            ordered: true,
            changes: records,
            fetch: records || model.dataset().is_some(),
            delete: records,
            clear: records,
            conditional: records,
            keyed: true,
            exactly_once: true,
            update_time: records,
            whole: false,
            max_batch: if records { MAX_BATCH } else { MAX_LOAD },
        }
    }

    async fn mark(&self, _model: &ModelName) -> Result<String> {
        self.look(|session, _| fence::mark(session)).await.map(|seq| seq.to_string())
    }

    async fn read(&self, ask: PlatformAsk) -> Result<Pages> {
        let ids = self.ready().await?;
        let session = self.pool.take().await?;
        let rows = ask.page_rows;
        let (session, plan) = db::pool::blocking(move || {
            let mut session = session;
            let plan = source(session.as_mut(), &ask.model)
                .and_then(|source| read::plan(session.as_mut(), ids, &source, &ask));
            (session, plan)
        })
        .await?;
        match plan {
            Ok(plan) => Ok(read::stream(self.pool.clone(), session, ids, plan, rows)),
            Err(error) => {
                self.pool.give(session);
                Err(error)
            }
        }
    }

    async fn fetch(&self, model: &ModelName, key: &str, fields: &[String], records: &[RecordRef]) -> Result<Page> {
        let (model, key, fields, records) = (model.clone(), key.to_owned(), fields.to_vec(), records.to_vec());
        self.look(move |session, ids| {
            let source = source(session, &model)?;
            read::fetch(session, ids, &source, &key, &fields, &records)
        })
        .await
    }

    async fn count(&self, model: &ModelName, filter: &[Condition]) -> Result<u64> {
        let (model, filter) = (model.clone(), filter.to_vec());
        self.look(move |session, ids| {
            let source = source(session, &model)?;
            read::count(session, ids, &source, &filter)
        })
        .await
    }

    async fn write(&self, ask: &WriteAsk, batch: &[Change]) -> Result<Vec<Outcome>> {
        let ids = self.ready().await?;
        if !matches!(kind(&ask.model)?, Model::Records) {
            return Err(Error::config(format!("{} is loaded, not written record by record", ask.model))
                .hint("use write: append, or upsert and replace for datasets"));
        }
        let (ask, batch) = (ask.clone(), batch.to_vec());
        let points = ["hub.write_before_commit", "hub.write_after_commit"];
        self.pool.write(points, move |session| records::write(session, ids, &ask, &batch)).await
    }

    async fn load(&self, model: &ModelName, load: &Load, pages: Pages) -> Result<Loaded> {
        let ids = self.ready().await?;
        let (model, load) = (model.clone(), load.clone());
        let what = kind(&model)?;
        if matches!(what, Model::Records) {
            return Err(Error::config(format!("{model} is written record by record, not loaded")));
        }
        let (mut inlet, _waiting) = frame::Inlet::open(pages);
        let points = ["hub.load_before_commit", "hub.load_after_commit"];
        self.pool
            .write(points, move |session| match what {
                Model::Dataset(name) => dataset::load(session, &name, &load, &mut inlet),
                _ => series::load(session, ids, model.as_str(), &load, &mut inlet),
            })
            .await
    }

    async fn adopt(&self, fence: &Fence) -> Result<()> {
        self.ready().await?;
        let fence = fence.clone();
        let points = ["hub.adopt_before_commit", "hub.adopt_after_commit"];
        self.pool.write(points, move |session| fence::adopt(session, &fence)).await
    }
}
