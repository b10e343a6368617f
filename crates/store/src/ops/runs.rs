//! Runs, their books, their logs and the wish to stop them.

use tidegate_model::error::{Error, Result};
use tidegate_model::ports::Lease;
use tidegate_model::run::{Books, RunRecord};
use tidegate_model::time::Instant;

use super::leases;
use super::state::unchained;
use crate::code::{from_json, json};
use crate::tx::{P, Row, Tx};

pub(crate) async fn put_run<T: Tx>(tx: &mut T, lease: &Lease, run: &RunRecord) -> Result<()> {
    leases::verify(tx, lease).await?;
    if run.sync != lease.sync {
        return Err(Error::internal(format!("run {} is of sync {}, the lease of {}", run.run, run.sync, lease.sync)));
    }
    let books = json("the books of a run", &run.books)?;
    let record = json("a run", &RunRecord { books: Books::default(), ..run.clone() })?;
    let params = [
        P::Text(&run.run),
        P::Text(&run.sync),
        P::Int(run.started_at.0),
        P::int(run.finished_at.map(|at| at.0)),
        P::Text(&record),
        P::Text(&books),
        P::Text(run.status.as_str()),
    ];
    let sql = "INSERT INTO runs (run, sync, started_at, finished_at, record, books, writes, cancel, status) \
               VALUES ($1, $2, $3, $4, $5, $6, 0, 0, $7) ON CONFLICT (run) DO UPDATE SET \
               started_at = excluded.started_at, finished_at = excluded.finished_at, record = excluded.record, \
               books = excluded.books, status = excluded.status WHERE runs.sync = excluded.sync";
    match tx.exec(sql, &params).await? {
        0 => Err(Error::internal(format!("run {} exists already, of another sync than {}", run.run, run.sync))),
        _ => Ok(()),
    }
}

/// A run's row while a settlement adds to it.
pub(crate) struct RunRow {
    pub(crate) id: i64,
    books: Books,
    /// Rows of history so far.
    pub(crate) writes: i64,
}

/// The run that a settlement belongs to; it must have been put before.
pub(crate) async fn open<T: Tx>(tx: &mut T, run: &str, sync: &str) -> Result<RunRow> {
    let sql = "SELECT id, books, writes FROM runs WHERE run = $1 AND sync = $2 FOR UPDATE";
    let Some(mut row) = tx.row(sql, &[P::Text(run), P::Text(sync)]).await? else {
        return Err(unchained(format!("sync {sync} has no run {run} to settle for: nothing was settled")));
    };
    Ok(RunRow { id: row.int(0)?, books: from_json("the books of a run", &row.text(1)?)?, writes: row.int(2)? })
}

/// Adds a settlement's books and writes to its run.
pub(crate) async fn add<T: Tx>(tx: &mut T, mut run: RunRow, books: &Books, writes: usize) -> Result<()> {
    run.books.add(books);
    let books = json("the books of a run", &run.books)?;
    let writes = run.writes + i64::try_from(writes).unwrap_or(i64::MAX);
    let sql = "UPDATE runs SET books = $2, writes = $3 WHERE id = $1";
    tx.exec(sql, &[P::Int(run.id), P::Text(&books), P::Int(writes)]).await?;
    Ok(())
}

pub(super) fn record(mut row: Row) -> Result<RunRecord> {
    let mut run: RunRecord = from_json("a run", &row.text(0)?)?;
    run.books = from_json("the books of a run", &row.text(1)?)?;
    Ok(run)
}

pub(crate) async fn run<T: Tx>(tx: &mut T, run: &str) -> Result<Option<RunRecord>> {
    tx.row("SELECT record, books FROM runs WHERE run = $1", &[P::Text(run)]).await?.map(record).transpose()
}

pub(crate) async fn runs<T: Tx>(tx: &mut T, sync: Option<&str>, limit: u32) -> Result<Vec<RunRecord>> {
    let limit = P::Int(i64::from(limit));
    let rows = match sync {
        Some(sync) => {
            let sql = "SELECT record, books FROM runs WHERE sync = $1 ORDER BY started_at DESC, id DESC LIMIT $2";
            tx.rows(sql, &[P::Text(sync), limit]).await?
        }
        None => tx.rows("SELECT record, books FROM runs ORDER BY started_at DESC, id DESC LIMIT $1", &[limit]).await?,
    };
    rows.into_iter().map(record).collect()
}

pub(crate) async fn log<T: Tx>(tx: &mut T, run: &str, at: Instant, line: &str) -> Result<()> {
    let params = [P::Text(run), P::Int(at.0), P::Text(line)];
    tx.exec("INSERT INTO logs (run, at, line) VALUES ($1, $2, $3)", &params).await?;
    Ok(())
}

/// Most lines of a log that one call returns; whoever wants more asks again after the last.
const LOG_LINES_MAX: i64 = 10_000;

pub(crate) async fn log_lines<T: Tx>(tx: &mut T, run: &str, after: i64) -> Result<Vec<(i64, Instant, String)>> {
    let sql = "SELECT id, at, line FROM logs WHERE run = $1 AND id > $2 ORDER BY id LIMIT $3";
    let rows = tx.rows(sql, &[P::Text(run), P::Int(after), P::Int(LOG_LINES_MAX)]).await?;
    rows.into_iter().map(|mut row| Ok((row.int(0)?, Instant(row.int(1)?), row.text(2)?))).collect()
}

/// False if there is no such run or it has ended.
pub(crate) async fn request_cancel<T: Tx>(tx: &mut T, run: &str) -> Result<bool> {
    let sql = "UPDATE runs SET cancel = 1 WHERE run = $1 AND finished_at IS NULL";
    Ok(tx.exec(sql, &[P::Text(run)]).await? > 0)
}

pub(crate) async fn cancel_requested<T: Tx>(tx: &mut T, run: &str) -> Result<bool> {
    Ok(tx.row("SELECT 1 FROM runs WHERE run = $1 AND cancel = 1", &[P::Text(run)]).await?.is_some())
}
