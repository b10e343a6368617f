//! The transaction that every write shares: fence row, span row, commit.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_model::failpoint::hit;
use tidegate_model::span::{Fence, OpId};
use tidegate_model::{Error, Result};
use tokio_postgres::Client;

use super::client::{Server, Session};
use super::errors::{classify, of_commit};
use super::types::Postgres;
use crate::fence::{Held, SPAN_DAYS_MAX, Step, judge};
use crate::findings::Dialect;

/// Longest statement of a write: it ends before the longest call, and that before the lease.
const STATEMENT_MS_MAX: u32 = 40_000;
/// Longest wait for a lock of somebody else.
const LOCK_MS_MAX: u32 = 20_000;

/// A write transaction. Dropped without [`Txn::finish`], its connection closes and nothing of it stays.
pub(super) struct Txn<'a> {
    server: &'a Server,
    session: Session,
    fence_table: String,
    span_table: String,
}

impl<'a> Txn<'a> {
    /// Begins, with our right to write proven; the fence row stays locked until the end.
    pub(super) async fn begin(server: &'a Server, fence: &Fence) -> Result<Self> {
        let txn = Self::open(server).await?;
        for _ in 0..2 {
            match judge(&txn.held(&fence.sync).await?, fence)? {
                Step::Keep => return Ok(txn),
                Step::Raise => {
                    txn.hold(fence).await?;
                    return Ok(txn);
                }
                // Somebody else may insert at the same moment: then we look again.
                Step::Insert => txn.insert(fence).await?,
            }
        }
        Err(Error::internal("the fence row cannot be written"))
    }

    /// Begins, with our tables in place.
    pub(super) async fn open(server: &'a Server) -> Result<Self> {
        server.may_write()?;
        let session = server.session().await?;
        let schema = Postgres.quote(&server.work_schema);
        let txn = Self {
            server,
            session,
            fence_table: format!("{schema}.\"fence\""),
            span_table: format!("{schema}.\"span\""),
        };
        txn.make_tables().await?;
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = {STATEMENT_MS_MAX}; SET LOCAL lock_timeout = {LOCK_MS_MAX}"
        );
        txn.client().batch_execute(&begin).await.map_err(|error| txn.fail(&error, "begin a write"))?;
        Ok(txn)
    }

    /// Makes our schema and tables where they are missing, in a transaction of their own: a first load that takes long
    /// must not keep other syncs from theirs. The lock keeps two from making them at once.
    async fn make_tables(&self) -> Result<()> {
        let fail = |error: tokio_postgres::Error| {
            self.fail(&error, &format!("make the schema {} for tidegate's own tables", self.server.work_schema))
        };
        let look =
            "SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL, to_regnamespace($3) IS NOT NULL";
        let schema = Postgres.quote(&self.server.work_schema);
        let row = self.client().query_one(look, &[&self.fence_table, &self.span_table, &schema]).await.map_err(fail)?;
        let (tables, has_schema): (bool, bool) = (row.get(0), row.get(1));
        if tables {
            return Ok(());
        }
        let make_schema = if has_schema { String::new() } else { format!("CREATE SCHEMA IF NOT EXISTS {schema};") };
        let (fence, span) = (&self.fence_table, &self.span_table);
        let sql = format!(
            "BEGIN; SELECT pg_advisory_xact_lock(hashtext('tidegate work schema')); {make_schema} \
             CREATE TABLE IF NOT EXISTS {fence} (sync text PRIMARY KEY, store text NOT NULL, epoch bigint NOT NULL); \
             CREATE TABLE IF NOT EXISTS {span} (op text PRIMARY KEY, sync text NOT NULL, result text NOT NULL, at timestamptz NOT NULL DEFAULT now()); \
             CREATE INDEX IF NOT EXISTS span_sync_at ON {span} (sync, at); COMMIT"
        );
        self.client().batch_execute(&sql).await.map_err(fail)
    }

    pub(super) fn client(&self) -> &Client {
        &self.session.client
    }

    pub(super) fn fail(&self, error: &tokio_postgres::Error, doing: &str) -> Error {
        classify(error, doing)
    }

    /// Runs statements without parameters.
    pub(super) async fn run(&self, sql: &str, doing: &str) -> Result<()> {
        self.client().batch_execute(sql).await.map_err(|error| self.fail(&error, doing))
    }

    async fn held(&self, sync: &str) -> Result<Held> {
        let sql = format!("SELECT store, epoch FROM {} WHERE sync = $1 FOR UPDATE", self.fence_table);
        let row = self.client().query_opt(&sql, &[&sync]).await;
        let row = row.map_err(|error| self.fail(&error, "read the fence row"))?;
        Ok(row.map(|row| (row.get(0), row.get(1))))
    }

    async fn insert(&self, fence: &Fence) -> Result<()> {
        let sql =
            format!("INSERT INTO {} (sync, store, epoch) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", self.fence_table);
        let written = self.client().execute(&sql, &[&fence.sync, &fence.store, &fence.epoch]).await;
        written.map(|_| ()).map_err(|error| self.fail(&error, "write the fence row"))
    }

    /// Sets the fence row to ours.
    pub(super) async fn hold(&self, fence: &Fence) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (sync, store, epoch) VALUES ($1, $2, $3) \
             ON CONFLICT (sync) DO UPDATE SET store = excluded.store, epoch = excluded.epoch",
            self.fence_table
        );
        let written = self.client().execute(&sql, &[&fence.sync, &fence.store, &fence.epoch]).await;
        written.map(|_| ()).map_err(|error| self.fail(&error, "write the fence row"))
    }

    /// The result of an operation that was carried out before.
    pub(super) async fn told<T: DeserializeOwned>(&self, op: &OpId) -> Result<Option<T>> {
        let sql = format!("SELECT result FROM {} WHERE op = $1", self.span_table);
        let row = self.client().query_opt(&sql, &[&op.0]).await;
        let row = row.map_err(|error| self.fail(&error, "read the span row"))?;
        row.map(|row| serde_json::from_str(row.get(0)))
            .transpose()
            .map_err(|error| Error::internal("a span row cannot be read").cause(error))
    }

    /// Writes the span row and commits.
    pub(super) async fn finish<T: Serialize>(self, op: &OpId, sync: &str, result: &T) -> Result<()> {
        let text = serde_json::to_string(result)
            .map_err(|error| Error::internal("a span row cannot be written").cause(error))?;
        let span = &self.span_table;
        let insert = format!("INSERT INTO {span} (op, sync, result) VALUES ($1, $2, $3)");
        let sweep =
            format!("DELETE FROM {span} WHERE sync = $1 AND at < now() - make_interval(days => {SPAN_DAYS_MAX})");
        let written = self.client().execute(&insert, &[&op.0, &sync, &text]).await;
        written.map_err(|error| self.fail(&error, "write the span row"))?;
        let swept = self.client().execute(&sweep, &[&sync]).await;
        swept.map_err(|error| self.fail(&error, "sweep old span rows"))?;
        self.commit().await
    }

    /// Makes it last.
    pub(super) async fn commit(self) -> Result<()> {
        hit("postgres.before_commit");
        self.client().batch_execute("COMMIT").await.map_err(|error| of_commit(&error, "commit"))?;
        hit("postgres.after_commit");
        self.server.keep(self.session);
        Ok(())
    }

    /// Ends without a change.
    pub(super) async fn rollback(self) -> Result<()> {
        self.run("ROLLBACK", "end a write").await?;
        self.server.keep(self.session);
        Ok(())
    }
}
