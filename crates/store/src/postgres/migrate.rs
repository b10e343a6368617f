//! The form of the state's schema, version by version. A migration that was released never changes.

use tidegate_model::error::{Error, ErrorKind, Result};

use super::Session;
use crate::tx::{P, Tx};

/// Version n is number n - 1 of this list.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/postgres/0001_state.sql"),
    include_str!("../../migrations/postgres/0002_access.sql"),
    include_str!("../../migrations/postgres/0003_crew.sql"),
    include_str!("../../migrations/postgres/0004_shards.sql"),
    include_str!("../../migrations/postgres/0005_judged_shards.sql"),
    include_str!("../../migrations/postgres/0006_answers.sql"),
];

/// Keeps two processes from migrating at once: an arbitrary number that nobody else locks.
const LOCK: i64 = 0x5449_4453;

/// A name as SQL quotes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Makes the schema or brings it to the newest form, in one transaction; refuses what is newer than this binary.
pub(super) async fn migrate(session: &mut Session, schema: &str) -> Result<()> {
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version(session, schema).await? == Some(newest) {
        return Ok(());
    }
    session.batch("BEGIN").await?;
    match steps(session, schema, newest).await {
        Ok(()) => session.commit().await,
        Err(error) => {
            session.batch("ROLLBACK").await?;
            Err(error)
        }
    }
}

async fn steps(session: &mut Session, schema: &str, newest: i64) -> Result<()> {
    session.batch(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    let version = match version(session, schema).await? {
        Some(version) => version,
        None => {
            let known = "SELECT 1 FROM pg_namespace WHERE nspname = $1::text";
            if session.row(known, &[P::Text(schema)]).await?.is_none() {
                session.batch(&format!("CREATE SCHEMA {}", quoted(schema))).await?;
            }
            session
                .batch("CREATE TABLE store_schema (version BIGINT NOT NULL); INSERT INTO store_schema VALUES (0)")
                .await?;
            0
        }
    };
    let done = usize::try_from(version).ok().filter(|done| *done <= MIGRATIONS.len());
    let Some(done) = done else {
        let message = format!("the state in schema {schema} has form {version}, this tidegate knows {newest}");
        return Err(Error::new(ErrorKind::Config, message).hint("use the tidegate that wrote it, or a newer one"));
    };
    for step in &MIGRATIONS[done..] {
        session.batch(step).await?;
    }
    session.batch(&format!("UPDATE store_schema SET version = {newest}")).await
}

/// The form of the schema; `None` if there is none yet.
async fn version(session: &mut Session, schema: &str) -> Result<Option<i64>> {
    let known = "SELECT 1 FROM pg_tables WHERE schemaname = $1::text AND tablename = 'store_schema'";
    if session.row(known, &[P::Text(schema)]).await?.is_none() {
        return Ok(None);
    }
    match session.row("SELECT version FROM store_schema", &[]).await? {
        Some(mut row) => row.int(0).map(Some),
        None => Ok(Some(0)),
    }
}
