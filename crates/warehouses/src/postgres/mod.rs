//! Postgres 13 or newer. Reads are one binary COPY in one snapshot; writes are one transaction with the fence row
//! locked. tidegate's own tables (`fence`, `span`) stand in the work schema.

mod bound;
mod catalog;
mod check;
mod client;
mod config;
mod decode;
mod encode;
mod errors;
mod load;
mod merge;
mod order;
mod read;
mod records;
mod script;
mod types;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_model::change::{Change, Outcome};
use tidegate_model::finding::Finding;
use tidegate_model::page::{Page, Pages};
use tidegate_model::ports::{Entry, Load, Loaded, Need, Place, ReadAsk, Warehouse, WarehouseAbilities};
use tidegate_model::record::Key;
use tidegate_model::schema::{Relation, RelationSchema, Source};
use tidegate_model::span::{CursorPoint, Fence, OpId};
use tidegate_model::{Error, Instant, Result};
use tidegate_net::postgres::Address;

use crate::list::OpenContext;
use client::{Server, Session};
use config::Config;
use errors::classify;
use read::BEGIN_READ;

pub use script::Script;

/// What a connection promises of its deliveries.
pub(crate) const PROMISE: &str =
    "exactly once: rows, fence and span commit in one transaction; records are written only if they stand as expected";

/// JSON Schema of the settings.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Config)
}

/// Opens a connection; the server is called by the first use.
pub(crate) fn open(config: &serde_json::Value, context: &OpenContext) -> Result<Arc<dyn Warehouse>> {
    let config: Config = serde_json::from_value(config.clone())
        .map_err(|error| Error::config("settings of a postgres warehouse").cause(error).hint("it takes `url:`"))?;
    let address = Address::parse(config.url.expose(), "the url of a postgres connection", &context.project_dir)?;
    let server = Server::new(address, context.access_write, context.name.clone(), context.work_schema.to_lowercase())?;
    Ok(Arc::new(Postgres { server: Arc::new(server) }))
}

struct Postgres {
    server: Arc<Server>,
}

impl Postgres {
    /// A session in a transaction that reads one snapshot.
    async fn look(&self, doing: &str) -> Result<Session> {
        let session = self.server.session().await?;
        session.client.batch_execute(BEGIN_READ).await.map_err(|error| classify(&error, doing))?;
        Ok(session)
    }

    /// Ends the transaction and keeps the session.
    async fn done<T>(&self, session: Session, doing: &str, found: T) -> Result<T> {
        session.client.batch_execute("COMMIT").await.map_err(|error| classify(&error, doing))?;
        self.server.keep(session);
        Ok(found)
    }
}

#[async_trait]
impl Warehouse for Postgres {
    fn abilities(&self) -> WarehouseAbilities {
        WarehouseAbilities {
            write: self.server.write,
            conditional: true,
            tracking: false,
            stream: false,
            time_travel: false,
        }
    }

    async fn check(&self, needs: &[Need]) -> Vec<Finding> {
        check::check(&self.server, needs).await
    }

    async fn browse(&self, at: &Place) -> Result<Vec<Entry>> {
        let session = self.look("list the catalogue").await?;
        let mut entries = catalog::browse(&session.client, at).await?;
        entries.retain(|entry| !(at.0.is_empty() && entry.name == self.server.work_schema));
        self.done(session, "list the catalogue", entries).await
    }

    async fn describe(&self, source: &Source) -> Result<RelationSchema> {
        let session = self.look("describe").await?;
        let shape = catalog::shape(&session.client, source).await?;
        self.done(session, "describe", shape.describe()).await
    }

    async fn now(&self) -> Result<Instant> {
        let session = self.server.session().await?;
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8";
        let row = session.client.query_one(sql, &[]).await.map_err(|error| classify(&error, "read the clock"))?;
        let now = Instant(row.get(0));
        self.server.keep(session);
        Ok(now)
    }

    async fn bound(&self, source: &Source, column: &str, key: &str) -> Result<Option<CursorPoint>> {
        let session = self.server.session().await?;
        let bound = bound::bound(&session.client, source, column, key).await?;
        self.server.keep(session);
        Ok(bound)
    }

    async fn read(&self, ask: ReadAsk) -> Result<Pages> {
        read::read(&self.server, ask).await
    }

    async fn fetch(
        &self,
        source: &Source,
        columns: &[String],
        key: &str,
        keys: &[Key],
        _timezone: &str,
    ) -> Result<Page> {
        let session = self.look("fetch").await?;
        let shape = catalog::shape(&session.client, source).await?;
        let page = read::fetch(&session, &shape, source, columns, key, keys).await?;
        self.done(session, "fetch", page).await
    }

    async fn count(&self, source: &Source) -> Result<u64> {
        let session = self.look("count").await?;
        let rows = read::count(&session, source).await?;
        self.done(session, "count", rows).await
    }

    async fn load(&self, relation: &Relation, load: &Load, pages: Pages) -> Result<Loaded> {
        load::load(&self.server, relation, load, pages).await
    }

    async fn write(
        &self,
        relation: &Relation,
        key: &str,
        batch: &[Change],
        op: &OpId,
        fence: &Fence,
    ) -> Result<Vec<Outcome>> {
        records::write(&self.server, relation, key, batch, op, fence).await
    }

    async fn adopt(&self, fence: &Fence) -> Result<()> {
        let txn = write::Txn::open(&self.server).await?;
        txn.hold(fence).await?;
        txn.commit().await
    }
}
