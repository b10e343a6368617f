//! The form of the state file, version by version. A migration that was released never changes.

use tidegate_model::error::{Error, ErrorKind, Result};

use super::Conn;

/// Marks the file as a state of tidegate (`PRAGMA application_id`): "TIDS".
const APPLICATION_ID: i64 = 0x5449_4453;

/// Version n is number n - 1 of this list.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_state.sql"),
    include_str!("../../migrations/sqlite/0002_access.sql"),
    include_str!("../../migrations/sqlite/0003_crew.sql"),
    include_str!("../../migrations/sqlite/0004_shards.sql"),
    include_str!("../../migrations/sqlite/0005_judged_shards.sql"),
    include_str!("../../migrations/sqlite/0006_answers.sql"),
];

/// Brings a file to the newest form, in one transaction; refuses what is newer than this binary, or not ours.
pub(crate) fn migrate(conn: &mut Conn) -> Result<()> {
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    // In one look: another process may be bringing the same file forward.
    if conn.transaction("BEGIN", |conn| version(conn))? == newest {
        return Ok(());
    }
    conn.transaction("BEGIN IMMEDIATE", |conn| {
        let version = version(conn)?;
        let path = conn.path().display().to_string();
        let done = usize::try_from(version).ok().filter(|done| *done <= MIGRATIONS.len());
        let Some(done) = done else {
            return Err(Error::new(
                ErrorKind::Config,
                format!("state file {path} has form {version}, this tidegate knows {newest}"),
            )
            .hint("use the tidegate that wrote it, or a newer one"));
        };
        for step in &MIGRATIONS[done..] {
            conn.batch(step)?;
        }
        conn.batch(&format!("PRAGMA user_version = {newest}; PRAGMA application_id = {APPLICATION_ID}"))
    })
}

/// The form of the file, 0 for an empty one.
fn version(conn: &Conn) -> Result<i64> {
    let application = conn.number("PRAGMA application_id")?;
    let version = conn.number("PRAGMA user_version")?;
    let empty = version == 0 && application == 0 && conn.number("SELECT count(*) FROM sqlite_schema")? == 0;
    if application != APPLICATION_ID && !empty {
        return Err(Error::config(format!("{} is a SQLite file, but not a state of tidegate", conn.path().display()))
            .hint("name another file with `state:` in tidegate.yaml or TIDEGATE_STATE"));
    }
    Ok(version)
}
