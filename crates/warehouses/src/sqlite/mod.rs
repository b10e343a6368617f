//! SQLite: a database file. Reads see one snapshot each; writes take the file's write lock, so what is compared is
//! what is overwritten. Its own tables (`tidegate_fence`, `tidegate_span`) stand in the same file.

mod catalog;
mod check;
mod client;
mod config;
mod cursor;
mod dialect;
mod errors;
mod load;
mod read;
mod records;
mod types;
mod write;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tidegate_model::change::{Change, Outcome};
use tidegate_model::finding::Finding;
use tidegate_model::page::{Page, Pages};
use tidegate_model::ports::{Entry, Load, Loaded, Need, Place, ReadAsk, Warehouse, WarehouseAbilities};
use tidegate_model::record::Key;
use tidegate_model::schema::{Relation, RelationSchema, Source};
use tidegate_model::span::{CursorPoint, Fence, OpId};
use tidegate_model::{Error, Instant, Result};

use crate::list::OpenContext;
use client::{File, blocking};
use config::{BUSY_TIMEOUT_MS_MAX, Config};

/// What a connection promises of its deliveries.
pub(crate) const PROMISE: &str =
    "exactly once: rows, fence and span commit in one transaction; records are written only if they stand as expected";

/// JSON Schema of the settings.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Config)
}

/// Opens a connection; the file itself is opened by each call.
pub(crate) fn open(config: &serde_json::Value, context: &OpenContext) -> Result<Arc<dyn Warehouse>> {
    let config: Config = serde_json::from_value(config.clone())
        .map_err(|error| Error::config("settings of a sqlite warehouse").cause(error).hint("it takes `path:`"))?;
    if config.busy_timeout_ms > BUSY_TIMEOUT_MS_MAX {
        return Err(Error::config(format!("busy_timeout_ms is at most {BUSY_TIMEOUT_MS_MAX}")));
    }
    let path = client::resolve(&context.project_dir, &config.path);
    let file =
        File::new(path, config.busy_timeout_ms, context.access_write, context.name.clone(), &context.work_schema);
    Ok(Arc::new(Sqlite { file: Arc::new(file) }))
}

struct Sqlite {
    file: Arc<File>,
}

#[async_trait]
impl Warehouse for Sqlite {
    fn abilities(&self) -> WarehouseAbilities {
        WarehouseAbilities {
            write: self.file.write,
            conditional: true,
            tracking: false,
            stream: false,
            time_travel: false,
        }
    }

    async fn check(&self, needs: &[Need]) -> Vec<Finding> {
        let needs = needs.to_vec();
        let found = blocking(&self.file, move |file| Ok(check::check(file, &needs))).await;
        found.unwrap_or_else(|error| vec![crate::findings::of_error(&error)])
    }

    async fn browse(&self, at: &Place) -> Result<Vec<Entry>> {
        let at = at.clone();
        blocking(&self.file, move |file| catalog::browse(&file.reader()?, file, &at)).await
    }

    async fn describe(&self, source: &Source) -> Result<RelationSchema> {
        let source = source.clone();
        blocking(&self.file, move |file| catalog::describe(&file.reader()?, file, &source)).await
    }

    /// The machine's clock: SQLite has none of its own.
    async fn now(&self) -> Result<Instant> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Instant(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)))
    }

    async fn bound(&self, source: &Source, column: &str, key: &str) -> Result<Option<CursorPoint>> {
        let (source, column, key) = (source.clone(), column.to_owned(), key.to_owned());
        blocking(&self.file, move |file| read::bound(&file.reader()?, file, &source, &column, &key)).await
    }

    async fn read(&self, ask: ReadAsk) -> Result<Pages> {
        read::read(&self.file, ask).await
    }

    async fn fetch(
        &self,
        source: &Source,
        columns: &[String],
        key: &str,
        keys: &[Key],
        timezone: &str,
    ) -> Result<Page> {
        let zone = read::zone(timezone)?;
        let (source, columns, key, keys) = (source.clone(), columns.to_vec(), key.to_owned(), keys.to_vec());
        blocking(&self.file, move |file| {
            let connection = file.reader()?;
            let shape = catalog::shape(&connection, file, &source)?;
            read::fetch(&connection, file, &shape, &source, (&columns, &key, &keys), &zone)
        })
        .await
    }

    async fn count(&self, source: &Source) -> Result<u64> {
        let source = source.clone();
        blocking(&self.file, move |file| read::count(&file.reader()?, file, &source)).await
    }

    async fn load(&self, relation: &Relation, load: &Load, pages: Pages) -> Result<Loaded> {
        load::load(&self.file, relation, load, pages).await
    }

    async fn write(
        &self,
        relation: &Relation,
        key: &str,
        batch: &[Change],
        op: &OpId,
        fence: &Fence,
    ) -> Result<Vec<Outcome>> {
        let (relation, key, batch) = (relation.clone(), key.to_owned(), batch.to_vec());
        let (op, fence) = (op.clone(), fence.clone());
        blocking(&self.file, move |file| records::write(file, &relation, &key, &batch, &op, &fence)).await
    }

    async fn adopt(&self, fence: &Fence) -> Result<()> {
        let fence = fence.clone();
        blocking(&self.file, move |file| {
            let connection = file.writer()?;
            let txn = write::Txn::lock(&connection, file)?;
            txn.hold(&fence)?;
            txn.commit()
        })
        .await
    }
}
