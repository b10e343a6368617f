//! What a job keeps in the account itself, where it has no other place: who holds the lease, what was rejected, how its
//! runs ended, and the key of the platform's API. The tables stand in the job's schema, which may hold others too, so
//! that each of ours is named `TIDEGATE_…`.
//!
//! Snowflake keeps no two rows apart by a key, and only UPDATE, DELETE and MERGE wait for one another. So a lease is
//! taken by an UPDATE, and looked at once more when it is taken: whoever sees another holder then leaves.

use std::sync::Arc;

use tidegate_model::ports::{Outbox, Warehouse};
use tidegate_model::schema::Relation;
use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};

use super::catalog::{dotted, parts};
use super::config::{Config, Container};
use super::outbox::{self, LEFT, SEQ};
use super::rows::{Piece, cell_text, unfolded};
use super::server::{Rows, Server, look};
use super::wire::{Bind, Patience, Session, Statement};
use crate::list::OpenContext;

/// Before the names of the job's tables.
const PREFIX: &str = "TIDEGATE_";
/// A lease that nobody renews is over after this time.
pub const LEASE_S: u64 = 120;
/// Longest statement on the job's own tables.
const OWN_S_MAX: u32 = 120;

/// The tables of a job.
pub struct JobTables {
    server: Arc<Server>,
    leases: String,
    rejects: String,
    runs: String,
}

/// A lease that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What is held.
    pub sync: String,
    /// Who holds it.
    pub holder: String,
    /// Grows with each holder.
    pub epoch: i64,
}

/// What could not be delivered, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejected {
    /// The record's key, if it has one.
    pub key: Option<String>,
    /// The field; `None`: the record.
    pub field: Option<String>,
    /// The rule that it breaks.
    pub rule: String,
    /// In words, without the value.
    pub reason: String,
}

/// How a run stands, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// The sync.
    pub sync: String,
    /// `running`, `succeeded`, `partial`, `failed`, `cancelled`.
    pub status: String,
    /// Rows that were moved from the stream into the outbox.
    pub moved: u64,
    /// Profiles that were delivered.
    pub delivered: u64,
    /// Profiles and rows that were rejected.
    pub rejected: u64,
    /// Attributes that were left out, or that the platform ignored.
    pub dropped: u64,
    /// Rows that left the source: their profiles stay.
    pub left: u64,
    /// Calls.
    pub requests: u64,
    /// What went wrong, without values.
    pub error: Option<String>,
}

/// Opens the account for a job: as a warehouse that is written to, and its tables. `context.work_schema` is taken
/// exactly. Nothing is called before the first use.
pub fn open(config: &serde_json::Value, context: &OpenContext) -> Result<(Arc<dyn Warehouse>, JobTables)> {
    let config = Config::parse(config)?;
    let settings = config.context(context, Container::look(), Patience::default())?;
    let mut server = Server::new(settings, true, context.name.clone(), context.work_schema.clone(), None);
    server.prefix = PREFIX;
    let Some(database) = server.place().0.map(str::to_owned) else {
        return Err(Error::config("the job is not told in which database it keeps its tables")
            .hint("Snowpark Container Services set SNOWFLAKE_DATABASE; elsewhere set it, or `database` in --connection-parameters"));
    };
    let server = Arc::new(server);
    let table = |name: &str| dotted(&[database.clone(), server.work_schema.clone(), format!("{PREFIX}{name}")]);
    let (leases, rejects, runs) = (table("LEASE"), table("REJECTS"), table("RUNS"));
    let warehouse = Arc::new(super::Snowflake { server: server.clone() });
    Ok((warehouse, JobTables { server, leases, rejects, runs }))
}

impl JobTables {
    async fn run(&self, session: &Session, sql: &str, binds: &[Bind], doing: &str) -> Result<Rows> {
        let statement = Statement { sql, binds, describe: false, seconds_max: OWN_S_MAX, doing };
        super::server::rows(session.run(&statement).await?, doing).await
    }

    /// Makes the tables where they are missing.
    pub async fn make(&self) -> Result<()> {
        let session = self.server.session().await?;
        for sql in self.tables() {
            let made = self.run(&session, &sql, &[], "make the job's own tables").await;
            made.map_err(|error| self.lacks(error))?;
        }
        self.server.keep(session);
        Ok(())
    }

    fn tables(&self) -> [String; 3] {
        let Self { leases, rejects, runs, .. } = self;
        let counts = ["MOVED", "DELIVERED", "REJECTED", "DROPPED", "LEFT_SOURCE", "REQUESTS"];
        let counts: String = counts.iter().map(|name| format!("\"{name}\" NUMBER(19,0) NOT NULL, ")).collect();
        [
            format!(
                "CREATE TABLE IF NOT EXISTS {leases} (\"SYNC\" VARCHAR NOT NULL, \"HOLDER\" VARCHAR NOT NULL, \
                 \"EPOCH\" NUMBER(19,0) NOT NULL, \"UNTIL\" TIMESTAMP_NTZ(6) NOT NULL)"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {rejects} (\"RUN\" VARCHAR NOT NULL, \"SYNC\" VARCHAR NOT NULL, \
                 \"AT\" TIMESTAMP_NTZ(6) NOT NULL, \"KEY\" VARCHAR, \"FIELD\" VARCHAR, \"RULE\" VARCHAR NOT NULL, \
                 \"REASON\" VARCHAR NOT NULL)"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {runs} (\"RUN\" VARCHAR NOT NULL, \"SYNC\" VARCHAR NOT NULL, \
                 \"STARTED_AT\" TIMESTAMP_NTZ(6) NOT NULL, \"ENDED_AT\" TIMESTAMP_NTZ(6), \
                 \"STATUS\" VARCHAR NOT NULL, {counts}\"ERROR\" VARCHAR)"
            ),
        ]
    }

    fn lacks(&self, error: Error) -> Error {
        if !matches!(error.kind, ErrorKind::Forbidden | ErrorKind::NotFound) {
            return error;
        }
        let role = self.server.role().unwrap_or("<role>");
        let place = self.leases.rsplit_once('.').map_or("", |(place, _)| place);
        error.hint(format!("GRANT USAGE, CREATE TABLE ON SCHEMA {place} TO ROLE \"{role}\";"))
    }

    /// The key of the platform's API, from the table in which the job's owner keeps it.
    pub async fn key(&self, table: &Relation, project: &str) -> Result<Secret> {
        let name = dotted(&parts(&self.server, table)?);
        let session = self.server.session().await?;
        let doing = format!("read the key of project {project} from {name}");
        let sql = format!("SELECT DISTINCT \"REST_API_KEY\" FROM {name} WHERE \"PROJECT_KEY\" = ? LIMIT 2");
        let rows =
            look(&session, &sql, &[Bind(project.to_owned())], &doing).await.map_err(|error| match error.kind {
                ErrorKind::NotFound | ErrorKind::SchemaChanged | ErrorKind::Forbidden => error.hint(format!(
                    "the table has the columns PROJECT_KEY and REST_API_KEY, and the job's role SELECT on it: {name}"
                )),
                _ => error,
            })?;
        self.server.keep(session);
        let keys: Vec<&str> = rows.iter().filter_map(|row| row.at(0)).filter(|key| !key.trim().is_empty()).collect();
        let wrong = |what: &str| {
            Error::config(format!("{name} has {what} for the project {project}")).hint(format!(
                "INSERT INTO {name} (PROJECT_KEY, REST_API_KEY) VALUES ('{}', '…'); one row for each project",
                project.replace('\'', "''")
            ))
        };
        match keys.as_slice() {
            [key] => Ok(Secret::new(key.trim())),
            [] => Err(wrong("no key")),
            _ => Err(wrong("several keys")),
        }
    }

    /// Takes the lease, if nobody holds it.
    pub async fn claim(&self, sync: &str, holder: &str) -> Result<Option<Claim>> {
        let session = self.server.session().await?;
        let doing = "take the lease";
        let (of, me) = (Bind(sync.to_owned()), Bind(holder.to_owned()));
        let sql = format!(
            "INSERT INTO {0} (\"SYNC\", \"HOLDER\", \"EPOCH\", \"UNTIL\") SELECT ?, '', 0, DATEADD(SECOND, -1, SYSDATE()) \
             WHERE NOT EXISTS (SELECT 1 FROM {0} WHERE \"SYNC\" = ?)",
            self.leases
        );
        self.run(&session, &sql, &[of.clone(), of.clone()], doing).await?;
        // Not below the clock: the table may have been dropped, and the fence remembers.
        let sql = format!(
            "SELECT GREATEST(COALESCE(MAX(\"EPOCH\"), 0) + 1, DATE_PART(EPOCH_MICROSECOND, SYSDATE())) FROM {} WHERE \"SYNC\" = ?",
            self.leases
        );
        let epoch = number(self.run(&session, &sql, std::slice::from_ref(&of), doing).await?.one(), doing)?;
        let sql = format!(
            "UPDATE {} SET \"HOLDER\" = ?, \"EPOCH\" = CAST(? AS NUMBER(19,0)), \"UNTIL\" = DATEADD(SECOND, {LEASE_S}, SYSDATE()) \
             WHERE \"SYNC\" = ? AND (\"UNTIL\" < SYSDATE() OR \"HOLDER\" = ?)",
            self.leases
        );
        let binds = [me.clone(), Bind(epoch.to_string()), of.clone(), me.clone()];
        let taken = self.run(&session, &sql, &binds, doing).await?.counted("rows updated");
        let sql = format!(
            "SELECT COUNT(*) FROM {} WHERE \"SYNC\" = ? AND \"UNTIL\" >= SYSDATE() AND \"HOLDER\" <> ?",
            self.leases
        );
        let others = number(self.run(&session, &sql, &[of, me], doing).await?.one(), doing)?;
        self.server.keep(session);
        let claim = Claim { sync: sync.to_owned(), holder: holder.to_owned(), epoch };
        if taken > 0 && others > 0 {
            self.release(&claim).await?;
        }
        Ok((taken > 0 && others == 0).then_some(claim))
    }

    /// Until when another one holds the lease, for messages.
    pub async fn held_until(&self, sync: &str) -> Result<Option<String>> {
        let session = self.server.session().await?;
        let sql = format!(
            "SELECT CAST(MAX(\"UNTIL\") AS VARCHAR) FROM {} WHERE \"SYNC\" = ? AND \"UNTIL\" >= SYSDATE()",
            self.leases
        );
        let rows = self.run(&session, &sql, &[Bind(sync.to_owned())], "look at the lease").await?;
        self.server.keep(session);
        Ok(rows.one().map(str::to_owned))
    }

    /// Holds the lease for longer; false if it is another's now.
    pub async fn renew(&self, claim: &Claim) -> Result<bool> {
        self.until(claim, i64::try_from(LEASE_S).unwrap_or(i64::MAX), "renew the lease").await
    }

    /// Gives the lease back.
    pub async fn release(&self, claim: &Claim) -> Result<()> {
        self.until(claim, -1, "give the lease back").await.map(|_| ())
    }

    async fn until(&self, claim: &Claim, seconds: i64, doing: &str) -> Result<bool> {
        let session = self.server.session().await?;
        let sql = format!(
            "UPDATE {} SET \"UNTIL\" = DATEADD(SECOND, {seconds}, SYSDATE()) WHERE \"SYNC\" = ? AND \"HOLDER\" = ? AND \
             \"EPOCH\" = CAST(? AS NUMBER(19,0))",
            self.leases
        );
        let binds = [Bind(claim.sync.clone()), Bind(claim.holder.clone()), Bind(claim.epoch.to_string())];
        let changed = self.run(&session, &sql, &binds, doing).await?.counted("rows updated");
        self.server.keep(session);
        Ok(changed > 0)
    }

    /// How many rows that are to be delivered wait in an outbox, at most.
    pub async fn waiting(&self, outbox: &Outbox, through: u64) -> Result<u64> {
        let session = self.server.session().await?;
        let table = outbox::table(&self.server, outbox)?;
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE {SEQ} <= CAST(? AS NUMBER(19,0)) AND NOT ({LEFT})");
        let doing = "count what waits in the outbox";
        let rows = self.run(&session, &sql, &[Bind(through.to_string())], doing).await?;
        self.server.keep(session);
        number(rows.one(), doing).map(|count| u64::try_from(count).unwrap_or(0))
    }

    /// Writes down that a run began.
    pub async fn begin(&self, run: &Run) -> Result<()> {
        let session = self.server.session().await?;
        let sql = format!(
            "INSERT INTO {} (\"RUN\", \"SYNC\", \"STARTED_AT\", \"STATUS\", \"MOVED\", \"DELIVERED\", \"REJECTED\", \
             \"DROPPED\", \"LEFT_SOURCE\", \"REQUESTS\") SELECT ?, ?, SYSDATE(), ?, 0, 0, 0, 0, 0, 0",
            self.runs
        );
        let binds = [&run.id, &run.sync, &run.status].map(|text| Bind(text.clone()));
        self.run(&session, &sql, &binds, "write down that the run began").await?;
        self.server.keep(session);
        Ok(())
    }

    /// Writes down how a run ended.
    pub async fn end(&self, run: &Run) -> Result<()> {
        let session = self.server.session().await?;
        let counts = [
            ("MOVED", run.moved),
            ("DELIVERED", run.delivered),
            ("REJECTED", run.rejected),
            ("DROPPED", run.dropped),
            ("LEFT_SOURCE", run.left),
            ("REQUESTS", run.requests),
        ];
        let set: String = counts.iter().map(|(name, count)| format!(", \"{name}\" = {count}")).collect();
        let error = if run.error.is_some() { "?" } else { "NULL" };
        let sql = format!(
            "UPDATE {} SET \"ENDED_AT\" = SYSDATE(), \"STATUS\" = ?{set}, \"ERROR\" = {error} WHERE \"RUN\" = ?",
            self.runs
        );
        let texts = [Some(&run.status), run.error.as_ref(), Some(&run.id)];
        let binds: Vec<Bind> = texts.into_iter().flatten().map(|text| Bind(text.clone())).collect();
        self.run(&session, &sql, &binds, "write down how the run ended").await?;
        self.server.keep(session);
        Ok(())
    }

    /// Keeps what was rejected.
    pub async fn keep(&self, run: &Run, rejected: &[Rejected]) -> Result<()> {
        if rejected.is_empty() {
            return Ok(());
        }
        let session = self.server.session().await?;
        let mut piece = Piece::default();
        for (at, one) in rejected.iter().enumerate() {
            piece.begin();
            let cells = [&run.id, &run.sync].map(|text| Some(text.as_str()));
            let more = [one.key.as_deref(), one.field.as_deref(), Some(&one.rule), Some(&one.reason)];
            cells.into_iter().chain(more).try_for_each(|cell| piece.push(cell))?;
            if !piece.end() && at + 1 < rejected.len() {
                continue;
            }
            let cells: Vec<String> = (0..6).map(cell_text).chain(["SYSDATE()".to_owned()]).collect();
            let sql = format!(
                "INSERT INTO {} (\"RUN\", \"SYNC\", \"KEY\", \"FIELD\", \"RULE\", \"REASON\", \"AT\") {}",
                self.rejects,
                unfolded(&cells)
            );
            self.run(&session, &sql, &[Bind(piece.take())], "keep what was rejected").await?;
        }
        self.server.keep(session);
        Ok(())
    }
}

fn number(text: Option<&str>, doing: &str) -> Result<i64> {
    let whole = text.and_then(|text| text.split('.').next()).and_then(|text| text.parse().ok());
    whole.ok_or_else(|| Error::internal(format!("{doing}: the answer is no number")))
}
