//! BigQuery: REST calls of our own, logins and the Storage Read API by Google's crates. Reads are one query each,
//! whose result BigQuery keeps; writes are one script each, whose transaction holds rows, fence and span. tidegate's
//! own tables stand in the work dataset of the connection's project. docs/bigquery.md has what it costs, and the gaps.

mod auth;
mod catalog;
mod check;
mod config;
mod decode;
mod errors;
mod history;
mod load;
mod order;
mod read;
mod records;
mod rest;
mod server;
pub mod setup;
mod stage;
mod storage;
mod text;
mod types;
mod under_way;
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
use tidegate_model::{Instant, Result};
use tidegate_net::oauth;

use crate::list::OpenContext;
use config::Config;
use server::Server;

/// What a connection promises of its deliveries.
pub(crate) const PROMISE: &str =
    "exactly once: rows, fence and span commit in one transaction; records are written only if they stand as expected";

/// JSON Schema of the settings.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Config)
}

/// Opens a connection; the project is called by the first use.
pub(crate) fn open(config: &serde_json::Value, open: &OpenContext) -> Result<Arc<dyn Warehouse>> {
    let settings = Config::parse(config)?.settings(open)?;
    let server = Server::new(settings, open.access_write, open.name.clone(), open.work_schema.clone())?;
    Ok(Arc::new(BigQuery { server: Arc::new(server) }))
}

/// The login of a connection with `auth: {method: oauth}`.
pub(crate) fn login(config: &serde_json::Value, open: &OpenContext) -> Result<Option<oauth::Login>> {
    Config::parse(config)?.login(open)
}

struct BigQuery {
    server: Arc<Server>,
}

#[async_trait]
impl Warehouse for BigQuery {
    fn abilities(&self) -> WarehouseAbilities {
        WarehouseAbilities {
            write: self.server.write,
            conditional: true,
            tracking: true,
            stream: false,
            time_travel: true,
        }
    }

    async fn check(&self, needs: &[Need]) -> Vec<Finding> {
        check::check(&self.server, needs).await
    }

    async fn browse(&self, at: &Place) -> Result<Vec<Entry>> {
        catalog::browse(&self.server, at).await
    }

    async fn describe(&self, source: &Source) -> Result<RelationSchema> {
        Ok(catalog::shape(&self.server, source, true).await?.describe())
    }

    async fn now(&self) -> Result<Instant> {
        read::now(&self.server).await
    }

    async fn bound(&self, source: &Source, column: &str, key: &str) -> Result<Option<CursorPoint>> {
        read::bound(&self.server, source, column, key).await
    }

    async fn mark(&self, source: &Source) -> Result<String> {
        history::mark(&self.server, source).await
    }

    async fn changed(&self, source: &Source, since: &str, _to: &str) -> Result<bool> {
        history::changed(&self.server, source, since).await
    }

    async fn read(&self, ask: ReadAsk) -> Result<Pages> {
        read::read(&self.server, ask).await
    }

    async fn price(&self, ask: &ReadAsk) -> Result<Option<u64>> {
        read::price(&self.server, ask).await
    }

    async fn fetch(
        &self,
        source: &Source,
        columns: &[String],
        key: &str,
        keys: &[Key],
        _timezone: &str,
    ) -> Result<Page> {
        read::fetch(&self.server, source, columns, key, keys).await
    }

    fn fetch_keys(&self) -> usize {
        read::KEYS_MAX
    }

    fn billed(&self) -> Option<u64> {
        Some(self.server.billed())
    }

    fn metered(&self) -> Option<Arc<dyn Warehouse>> {
        Some(Arc::new(BigQuery { server: Arc::new(self.server.metered()) }))
    }

    async fn count(&self, source: &Source) -> Result<u64> {
        read::count(&self.server, source).await
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
        write::adopt(&self.server, fence).await
    }
}
