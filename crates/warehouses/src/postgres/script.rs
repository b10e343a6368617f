//! SQL of the caller's own, for `tidegate demo`, which makes a warehouse. Syncs never come here.

use std::path::Path;

use bytes::Bytes;
use futures_util::SinkExt;
use tidegate_model::Result;
use tidegate_model::secret::Secret;
use tidegate_net::postgres::Address;

use super::client::{Server, Session};
use super::errors::classify;

/// A session that runs what it is told.
pub struct Script {
    session: Session,
}

impl Script {
    /// Connects.
    pub async fn open(url: &Secret) -> Result<Self> {
        let address = Address::parse(url.expose(), "PG_URL", Path::new("."))?;
        let server = Server::new(address, true, "demo".to_owned(), "tidegate".to_owned())?;
        Ok(Self { session: server.session().await? })
    }

    /// Runs statements, one after the other.
    pub async fn run(&self, sql: &str) -> Result<()> {
        self.session.client.batch_execute(sql).await.map_err(|error| classify(&error, "make the demo's data"))
    }

    /// Whether a query has a row.
    pub async fn finds(&self, sql: &str) -> Result<bool> {
        let found = self.session.client.query_opt(sql, &[]).await;
        found.map(|row| row.is_some()).map_err(|error| classify(&error, "look into the database"))
    }

    /// Fills a table with rows in the text form of `COPY`.
    pub async fn copy(&self, table: &str, pages: Vec<String>) -> Result<()> {
        let fail = |error: tokio_postgres::Error| classify(&error, &format!("fill the table {table}"));
        let sink = self.session.client.copy_in::<_, Bytes>(&format!("COPY {table} FROM STDIN")).await.map_err(fail)?;
        futures_util::pin_mut!(sink);
        for page in pages {
            sink.send(Bytes::from(page)).await.map_err(fail)?;
        }
        sink.finish().await.map(drop).map_err(fail)
    }
}
