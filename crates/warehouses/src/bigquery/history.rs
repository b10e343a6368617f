//! The change history: windows of CHANGES, netted per key, windows of APPENDS, and full reads pinned to an instant.
//!
//! Marks are instants of BigQuery's own clock, as text: `2026-11-28 12:00:00.000000+00:00`.

use tidegate_model::page::DELETED;
use tidegate_model::schema::Source;
use tidegate_model::time::parse_timestamptz;
use tidegate_model::value::Value;
use tidegate_model::{Error, ErrorKind, Result};

use super::catalog::{Shape, SourceColumn, shape, title};
use super::errors::GONE;
use super::read::is_table;
use super::server::Server;
use super::types::literal;

/// CHANGES takes no end that is younger than ten minutes; a second more, for the end is moved by a microsecond.
const LAG_US: i64 = 601 * 1_000_000;

/// Where a window may end, or what a full read is pinned to.
pub(super) async fn mark(server: &Server, source: &Source) -> Result<String> {
    let shape = shape(server, source, false).await?;
    if !is_table(&shape) {
        return Err(no_history(source));
    }
    let now = super::read::now(server).await?;
    // Before it was made a table cannot be read; one that is younger than ten minutes begins as it was made.
    let made = shape.created_ms.and_then(|ms| i64::try_from(ms).ok()).map_or(i64::MIN, |ms| (ms + 1) * 1_000);
    Ok(text(now.0.saturating_sub(LAG_US).max(made)))
}

/// Whether the table was changed in `(since, to]`, by the time of its last change: a free call.
pub(super) async fn changed(server: &Server, source: &Source, since: &str) -> Result<bool> {
    let since = instant(since)?;
    let shape = shape(server, source, false).await?;
    if !is_table(&shape) || shape.streaming {
        return Ok(true);
    }
    // Milliseconds, rounded down: what happened within the one of `since` may have happened after it.
    let modified = shape.modified_ms.and_then(|ms| i64::try_from(ms).ok());
    Ok(modified.is_none_or(|ms| ms.saturating_add(1).saturating_mul(1_000) > since))
}

/// The table as it stood at a mark.
pub(super) fn as_of(shape: &Shape, source: &Source, at: &str) -> Result<String> {
    if !is_table(shape) {
        return Err(no_history(source));
    }
    Ok(format!("{} FOR SYSTEM_TIME AS OF TIMESTAMP {}", shape.from, literal(&text(instant(at)?))))
}

/// A window of a table's history, as the functions take it: they include its start and exclude its end. The start is
/// read twice, which does no harm.
pub(super) struct Window<'a> {
    table: &'a str,
    start: String,
    end: String,
}

/// The window `(from, to]`.
pub(super) fn window<'a>(shape: &'a Shape, source: &Source, from: &str, to: &str) -> Result<Window<'a>> {
    if !is_table(shape) {
        return Err(no_history(source));
    }
    let (from, to) = (instant(from)?, instant(to)?);
    let made = shape.created_ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(0);
    if made.saturating_mul(1_000) > from {
        let why = format!("{} was made anew since the last run, and its history with it", title(source));
        return Err(Error::new(ErrorKind::HistoryGone, why).hint(GONE));
    }
    Ok(Window { table: &shape.from, start: literal(&text(from)), end: literal(&text(to.saturating_add(1))) })
}

impl Window<'_> {
    /// What changed, netted per key: the last change of each counts; of several in one commit a row that is there
    /// counts more than one that left.
    pub(super) fn changes(&self, key: &SourceColumn, list: &str) -> String {
        let Self { table, start, end } = self;
        let name = key.quoted();
        format!(
            "SELECT {list}, _CHANGE_TYPE = 'DELETE' AS {DELETED} \
             FROM CHANGES(TABLE {table}, TIMESTAMP {start}, TIMESTAMP {end}) \
             WHERE TRUE QUALIFY {name} IS NULL OR ROW_NUMBER() OVER (PARTITION BY {name} \
             ORDER BY _CHANGE_TIMESTAMP DESC, IF(_CHANGE_TYPE = 'DELETE', 1, 0)) = 1"
        )
    }

    /// What was added. It needs no option of the table, and tells of no row that was changed or left.
    pub(super) fn appends(&self, list: &str) -> String {
        let Self { table, start, end } = self;
        format!("SELECT {list}, FALSE AS {DELETED} FROM APPENDS(TABLE {table}, TIMESTAMP {start}, TIMESTAMP {end})")
    }
}

fn no_history(source: &Source) -> Error {
    Error::config(format!("{} is no table, and BigQuery keeps a history of tables only", title(source)))
        .hint("write `changes: auto`, `full` or `cursor`")
}

fn text(us: i64) -> String {
    Value::TimestampTz(us).to_string().replace('T', " ").replace('Z', "+00:00")
}

fn instant(mark: &str) -> Result<i64> {
    parse_timestamptz(mark).map_err(|_| Error::internal("a mark is no instant"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_as_it_was_written() {
        for us in [0, 1_795_878_274_930_180] {
            assert_eq!(instant(&text(us)).expect("an instant"), us);
        }
        assert_eq!(text(0), "1970-01-01 00:00:00+00:00");
        assert!(instant("yesterday").is_err());
    }
}
