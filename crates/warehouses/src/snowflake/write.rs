//! The transaction that every write shares. Snowflake has no locks on rows: whoever changes a table makes the others
//! wait until the commit. So the fence row is read first, to fail early, and changed last, just before the commit:
//! from then on nobody passes us, and what it says is what holds.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_model::failpoint::hit;
use tidegate_model::span::{Fence, OpId};
use tidegate_model::{Error, ErrorKind, Result};

use super::catalog::dotted;
use super::errors::Refusal;
use super::server::{Rows, Server, rows};
use super::wire::{Bind, Session, Statement};
use crate::fence::{Held, SPAN_DAYS_MAX, Step, judge};

/// Longest statement of a write.
pub(super) const WRITE_S_MAX: u32 = 3_600;
/// Longest statement on our own tables, and wait for another sync's commit.
const OWN_S_MAX: u32 = 60;

/// A write. Dropped without [`Txn::finish`], its session ends and nothing of it stays.
pub(super) struct Txn<'a> {
    server: &'a Server,
    pub(super) session: Session,
    fence: Fence,
    fences: String,
    spans: String,
    pub(super) work: String,
    /// A temporary table that goes when the write has ended.
    stage: OnceLock<String>,
}

/// How a write ended.
pub(super) enum End<T> {
    /// Committed.
    Done,
    /// The operation had been carried out before, by somebody who was faster than our look: with this result.
    Before(T),
}

impl<'a> Txn<'a> {
    /// Takes a session, with our tables in place, and our right to write proven for now.
    pub(super) async fn begin(server: &'a Server, fence: &Fence) -> Result<Self> {
        let txn = Self::open(server, fence).await?;
        if let Step::Insert = judge(&txn.held().await?, fence)? {
            txn.insert().await?;
        }
        Ok(txn)
    }

    /// Takes a session, with our tables in place.
    pub(super) async fn open(server: &'a Server, fence: &Fence) -> Result<Self> {
        server.may_write()?;
        let Some(database) = server.place().0.map(str::to_owned) else {
            return Err(Error::config(
                "the connection names no database, so there is no place for tidegate's own tables",
            )
            .hint("set `database:` of the connection"));
        };
        let place =
            |table: &str| dotted(&[database.clone(), server.work_schema.clone(), format!("{}{table}", server.prefix)]);
        let (fences, spans) = (place("FENCE"), place("SPAN"));
        let work = dotted(&[database.clone(), server.work_schema.clone()]);
        let session = server.session().await?;
        let txn = Self { server, session, fence: fence.clone(), fences, spans, work, stage: OnceLock::new() };
        txn.make_tables().await?;
        Ok(txn)
    }

    async fn make_tables(&self) -> Result<()> {
        if self.server.made().load(Ordering::Relaxed) {
            return Ok(());
        }
        self.look_or_make().await?;
        self.server.made().store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn look_or_make(&self) -> Result<()> {
        let there = format!(
            "SELECT COUNT(*) FROM {} WHERE FALSE UNION ALL SELECT COUNT(*) FROM {} WHERE FALSE",
            self.fences, self.spans
        );
        if self.attempt(&there, &[], OWN_S_MAX, "look for tidegate's own tables").await?.is_ok() {
            return Ok(());
        }
        let doing = format!("make {} for tidegate's own tables", self.work);
        // Who may not make schemas need not: one that is there is not asked for.
        let schema = format!("CREATE SCHEMA IF NOT EXISTS {}", self.work);
        match self.run(&self.own_tables()[0], &[], OWN_S_MAX, &doing).await {
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::NotFound => {
                self.run(&schema, &[], OWN_S_MAX, &doing).await.map_err(|error| self.lacks_schema(error))?;
            }
            Err(error) => return Err(self.lacks_schema(error)),
        }
        for sql in self.own_tables() {
            self.run(&sql, &[], OWN_S_MAX, &doing).await.map_err(|error| self.lacks_schema(error))?;
        }
        Ok(())
    }

    fn own_tables(&self) -> [String; 2] {
        [
            format!(
                "CREATE TABLE IF NOT EXISTS {} (\"SYNC\" VARCHAR NOT NULL, \"STORE\" VARCHAR NOT NULL, \"EPOCH\" NUMBER(19,0) NOT NULL)",
                self.fences
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {} (\"OP\" VARCHAR NOT NULL, \"SYNC\" VARCHAR NOT NULL, \"RESULT\" VARCHAR NOT NULL, \"AT\" TIMESTAMP_NTZ(6) NOT NULL)",
                self.spans
            ),
        ]
    }

    /// The role that lacks something, for messages.
    pub(super) fn role(&self) -> &str {
        self.server.role().unwrap_or("<role>")
    }

    fn lacks_schema(&self, error: Error) -> Error {
        if !matches!(error.kind, ErrorKind::Forbidden | ErrorKind::NotFound) {
            return error;
        }
        let role = self.role();
        let work = &self.work;
        error.hint(format!("CREATE SCHEMA {work}; GRANT USAGE, CREATE TABLE ON SCHEMA {work} TO ROLE {role};"))
    }

    /// Runs a statement and gathers its small answer.
    pub(super) async fn run(&self, sql: &str, binds: &[Bind], seconds_max: u32, doing: &str) -> Result<Rows> {
        self.attempt(sql, binds, seconds_max, doing).await?.map_err(|refusal| refusal.error(doing))
    }

    /// The same; what the server says against it is told as it is.
    pub(super) async fn attempt(
        &self,
        sql: &str,
        binds: &[Bind],
        seconds_max: u32,
        doing: &str,
    ) -> Result<std::result::Result<Rows, Refusal>> {
        let statement = Statement { sql, binds, describe: false, seconds_max, doing };
        // A statement within the transaction whose answer is lost is rolled back with it.
        let unanswered = |error: Error| match error.kind {
            ErrorKind::Lost => Error { kind: ErrorKind::Unavailable, ..error },
            _ => error,
        };
        match self.session.attempt(&statement).await.map_err(unanswered)? {
            Ok(answer) => Ok(Ok(rows(answer, doing).await?)),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// What the target holds of the sync. No constraint keeps two first writers from a row each: the worse one counts.
    async fn held(&self) -> Result<Held> {
        let sql = format!("SELECT \"STORE\", \"EPOCH\" FROM {} WHERE \"SYNC\" = ?", self.fences);
        let rows = self.run(&sql, &[Bind(self.fence.sync.clone())], OWN_S_MAX, "read the fence row").await?;
        let held = rows.iter().filter_map(|row| Some((row.at(0)?.to_owned(), row.at(1)?.parse::<i64>().ok()?)));
        Ok(held.max_by_key(|(store, epoch)| (*store != self.fence.store, *epoch)))
    }

    async fn insert(&self) -> Result<()> {
        let Fence { sync, store, epoch } = &self.fence;
        let sql = format!(
            "INSERT INTO {} (\"SYNC\", \"STORE\", \"EPOCH\") SELECT ?, ?, CAST(? AS NUMBER(19,0))",
            self.fences
        );
        let binds = [Bind(sync.clone()), Bind(store.clone()), Bind(epoch.to_string())];
        self.run(&sql, &binds, OWN_S_MAX, "write the fence row").await.map(|_| ())
    }

    /// Sets the fence row to ours, whoever held it.
    pub(super) async fn take_over(self) -> Result<()> {
        let sql = format!("DELETE FROM {} WHERE \"SYNC\" = ?", self.fences);
        self.open_transaction().await?;
        let taken = async {
            self.run(&sql, &[Bind(self.fence.sync.clone())], OWN_S_MAX, "take the fence row over").await?;
            self.insert().await
        };
        match taken.await {
            Ok(()) => self.commit().await,
            Err(error) => Err(self.give_up(error).await),
        }
    }

    /// The result of an operation that was carried out before.
    pub(super) async fn told<T: DeserializeOwned>(&self, op: &OpId) -> Result<Option<T>> {
        let sql = format!("SELECT \"RESULT\" FROM {} WHERE \"OP\" = ?", self.spans);
        let rows = self.run(&sql, &[Bind(op.0.clone())], OWN_S_MAX, "read the span row").await?;
        rows.one()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| Error::internal("a span row cannot be read").cause(error))
    }

    /// Begins the transaction.
    pub(super) async fn open_transaction(&self) -> Result<()> {
        self.run("BEGIN", &[], OWN_S_MAX, "begin a write").await?;
        self.session.set_holds(true);
        Ok(())
    }

    /// Takes the fence, writes the span row, commits.
    pub(super) async fn finish<T: Serialize + DeserializeOwned>(self, op: &OpId, result: &T) -> Result<End<T>> {
        match self.seal(op, result).await {
            Ok(None) => self.commit().await.map(|()| End::Done),
            Ok(Some(before)) => {
                self.rollback().await?;
                Ok(End::Before(before))
            }
            Err(error) => Err(self.give_up(error).await),
        }
    }

    /// Takes the fence and commits: for what needs no span row, since it may be repeated.
    pub(super) async fn close(self) -> Result<()> {
        match self.hold().await {
            Ok(()) => self.commit().await,
            Err(error) => Err(self.give_up(error).await),
        }
    }

    /// Takes the fence: from here on nobody passes us.
    async fn hold(&self) -> Result<()> {
        let Fence { sync, store, epoch } = &self.fence;
        let sql = format!(
            "UPDATE {} SET \"EPOCH\" = CAST(? AS NUMBER(19,0)) WHERE \"SYNC\" = ? AND \"STORE\" = ? AND \"EPOCH\" <= CAST(? AS NUMBER(19,0))",
            self.fences
        );
        let binds = [Bind(epoch.to_string()), Bind(sync.clone()), Bind(store.clone()), Bind(epoch.to_string())];
        let changed = self.run(&sql, &binds, OWN_S_MAX, "hold the fence row").await?.counted("rows updated");
        let held = self.held().await?;
        judge(&held, &self.fence)?;
        if changed == 0 || held.is_none() {
            return Err(Error::new(ErrorKind::Locked, "the fence row was taken away while the write was under way"));
        }
        Ok(())
    }

    /// `Some` if somebody else has carried the operation out.
    async fn seal<T: Serialize + DeserializeOwned>(&self, op: &OpId, result: &T) -> Result<Option<T>> {
        self.hold().await?;
        if let Some(before) = self.told(op).await? {
            return Ok(Some(before));
        }
        let text = serde_json::to_string(result)
            .map_err(|error| Error::internal("a span row cannot be written").cause(error))?;
        let sql =
            format!("INSERT INTO {} (\"OP\", \"SYNC\", \"RESULT\", \"AT\") SELECT ?, ?, ?, SYSDATE()", self.spans);
        let binds = [Bind(op.0.clone()), Bind(self.fence.sync.clone()), Bind(text)];
        self.run(&sql, &binds, OWN_S_MAX, "write the span row").await?;
        Ok(None)
    }

    /// Makes it last.
    async fn commit(self) -> Result<()> {
        hit("snowflake.before_commit");
        let statement =
            Statement { sql: "COMMIT", binds: &[], describe: false, seconds_max: OWN_S_MAX, doing: "commit" };
        match self.session.attempt(&statement).await {
            Ok(Ok(_)) => {}
            Ok(Err(refusal)) => return Err(refusal.error("commit")),
            Err(error) if error.kind == ErrorKind::Lost => {
                return Err(error.hint("the next run finds out by the span row whether it was carried out"));
            }
            Err(error) => return Err(error),
        }
        hit("snowflake.after_commit");
        self.sweep().await;
        self.leave().await;
        Ok(())
    }

    /// Old span rows go, once per process and after the commit: their end must not make other syncs wait.
    async fn sweep(&self) {
        if self.server.swept() {
            return;
        }
        let sql = format!("DELETE FROM {} WHERE \"AT\" < DATEADD(DAY, -{SPAN_DAYS_MAX}, SYSDATE())", self.spans);
        if let Err(error) = self.run(&sql, &[], OWN_S_MAX, "sweep old span rows").await {
            tracing::debug!(%error, "old span rows stay until the next time");
        }
    }

    /// Ends without a change.
    pub(super) async fn rollback(self) -> Result<()> {
        self.run("ROLLBACK", &[], OWN_S_MAX, "end a write").await?;
        self.leave().await;
        Ok(())
    }

    /// Ends without a change after an error, which is what counts: a session that cannot roll back is ended, and
    /// with it what was open on it.
    pub(super) async fn give_up(self, error: Error) -> Error {
        if let Err(second) = self.rollback().await {
            tracing::debug!(%second, "a transaction was left to the end of its session");
        }
        error
    }

    /// Notes a temporary table. It would end with its session, but sessions are kept and must not gather them.
    pub(super) fn stage(&self, name: String) {
        let _one_per_write = self.stage.set(name);
        // A new login would not see it: from here on the session may not be replaced.
        self.session.set_holds(true);
    }

    /// Gives the session back; no transaction is open on it.
    pub(super) async fn leave(self) {
        self.session.set_holds(false);
        if let Some(name) = self.stage.get()
            && let Err(error) =
                self.run(&format!("DROP TABLE IF EXISTS {name}"), &[], OWN_S_MAX, "drop the stage").await
        {
            tracing::debug!(%error, "a temporary table stays until its session ends");
            return;
        }
        self.server.keep(self.session);
    }
}
