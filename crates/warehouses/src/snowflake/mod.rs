//! Snowflake, over the session protocol of its own drivers. Reads are one statement, whose result the service keeps;
//! writes are one transaction with the fence row changed last. tidegate's own tables (`FENCE`, `SPAN`) stand in the
//! work schema of the connection's database.
//!
//! What is not there stands in docs/snowflake.md.

mod catalog;
mod check;
mod config;
mod decode;
mod errors;
mod files;
mod history;
pub mod job;
mod load;
mod order;
mod outbox;
mod read;
mod records;
mod rights;
mod rows;
mod server;
pub mod setup;
mod stream;
mod streams;
#[cfg(test)]
mod tests;
mod text;
mod types;
mod wire;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_model::change::{Change, Outcome};
use tidegate_model::finding::Finding;
use tidegate_model::page::{Page, Pages};
use tidegate_model::ports::{
    Drained, Entry, Load, Loaded, Need, Outbox, Place, ReadAsk, Warehouse, WarehouseAbilities,
};
use tidegate_model::record::Key;
use tidegate_model::schema::{Relation, RelationSchema, Source};
use tidegate_model::span::{CursorPoint, Fence, OpId};
use tidegate_model::{Instant, Result};
use tidegate_net::oauth::Login;

use crate::list::OpenContext;
use config::{Config, Container};
use server::Server;
use wire::Patience;

/// What a connection promises of its deliveries.
pub(crate) const PROMISE: &str =
    "exactly once: rows, fence and span commit in one transaction; records are written only if they stand as expected";

/// JSON Schema of the settings.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Config)
}

/// Opens a connection; the account is called by the first use.
pub(crate) fn open(config: &serde_json::Value, open: &OpenContext) -> Result<Arc<dyn Warehouse>> {
    let config = Config::parse(config)?;
    let container = Container::look();
    let stage = config.stage(open, &container)?;
    let context = config.context(open, container, Patience::default())?;
    let work_schema = open.work_schema.to_uppercase();
    let server = Server::new(context, open.access_write, open.name.clone(), work_schema, stage);
    Ok(Arc::new(Snowflake { server: Arc::new(server) }))
}

/// The login of a connection with `auth: {method: oauth}`.
pub(crate) fn login(config: &serde_json::Value, open: &OpenContext) -> Result<Option<Login>> {
    Config::parse(config)?.login(open)
}

struct Snowflake {
    server: Arc<Server>,
}

#[async_trait]
impl Warehouse for Snowflake {
    fn abilities(&self) -> WarehouseAbilities {
        WarehouseAbilities {
            write: self.server.write,
            conditional: true,
            tracking: true,
            stream: true,
            time_travel: true,
        }
    }

    async fn check(&self, needs: &[Need]) -> Vec<Finding> {
        check::check(&self.server, needs).await
    }

    async fn browse(&self, at: &Place) -> Result<Vec<Entry>> {
        let session = self.server.session().await?;
        let entries = catalog::browse(&self.server, &session, at).await?;
        self.server.keep(session);
        Ok(entries)
    }

    async fn describe(&self, source: &Source) -> Result<RelationSchema> {
        let session = self.server.session().await?;
        let shape = catalog::shape(&self.server, &session, source, true).await?;
        self.server.keep(session);
        Ok(shape.describe())
    }

    async fn now(&self) -> Result<Instant> {
        let session = self.server.session().await?;
        let now = read::now(&session).await?;
        self.server.keep(session);
        Ok(now)
    }

    async fn bound(&self, source: &Source, column: &str, key: &str) -> Result<Option<CursorPoint>> {
        let session = self.server.session().await?;
        let shape = catalog::shape(&self.server, &session, source, false).await?;
        let bound = read::bound(&session, &shape, source, column, key).await?;
        self.server.keep(session);
        Ok(bound)
    }

    async fn mark(&self, source: &Source) -> Result<String> {
        let session = self.server.session().await?;
        let shape = catalog::shape(&self.server, &session, source, false).await?;
        let mark = history::mark(&session, &shape, source).await?;
        self.server.keep(session);
        Ok(mark)
    }

    async fn changed(&self, source: &Source, since: &str, to: &str) -> Result<bool> {
        let session = self.server.session().await?;
        let shape = catalog::shape(&self.server, &session, source, false).await?;
        let changed = history::changed(&session, &shape, source, since, to).await?;
        self.server.keep(session);
        Ok(changed)
    }

    async fn drain(&self, outbox: &Outbox, fence: &Fence) -> Result<Drained> {
        outbox::drain(&self.server, outbox, fence).await
    }

    async fn trim(&self, outbox: &Outbox, through: u64, fence: &Fence) -> Result<()> {
        outbox::trim(&self.server, outbox, through, fence).await
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
        let session = self.server.session().await?;
        let shape = catalog::shape(&self.server, &session, source, false).await?;
        let page = read::fetch(&session, &shape, source, columns, key, keys).await?;
        self.server.keep(session);
        Ok(page)
    }

    async fn count(&self, source: &Source) -> Result<u64> {
        let session = self.server.session().await?;
        let shape = catalog::shape(&self.server, &session, source, false).await?;
        let rows = read::count(&session, &shape, source).await?;
        self.server.keep(session);
        Ok(rows)
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
        write::Txn::open(&self.server, fence).await?.take_over().await
    }
}
