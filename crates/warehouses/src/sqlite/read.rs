//! Reading: pages made on a thread of their own, at most two ahead of who takes them.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::tz::TimeZone;
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, InterruptHandle, params_from_iter};
use tidegate_model::page::{Page, PageStream, Pages};
use tidegate_model::ports::{ReadAsk, ReadMode, no_history};
use tidegate_model::record::Key;
use tidegate_model::schema::Source;
use tidegate_model::span::CursorPoint;
use tidegate_model::value::Type;
use tidegate_model::{Error, Result};
use tokio::sync::{mpsc, oneshot};

use super::catalog::{Shape, SourceColumn, shape, title};
use super::client::{File, add_time_function};
use super::cursor::{CursorSql, KeySql, Part, TimeRule, full, window};
use super::types::{Affinity, decode};
use crate::builder::PageMaker;
use crate::cell::Cell;
use crate::findings::Dialect;

/// Pages that may wait to be taken.
const AHEAD_PAGES_MAX: usize = 2;

/// Pages of a read under way. Dropping it ends the read.
struct Reading {
    pages: mpsc::Receiver<Result<Page>>,
    stop: InterruptHandle,
}

#[async_trait]
impl PageStream for Reading {
    async fn next(&mut self) -> Result<Option<Page>> {
        self.pages.recv().await.transpose()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.pages.close();
        // A sort before the first row would otherwise go on to its end.
        self.stop.interrupt();
    }
}

/// The zone of a read.
pub(super) fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|error| {
        Error::config(format!("{name} is not a time zone")).cause(error).hint("take a name such as Europe/Stockholm")
    })
}

/// Starts a read.
pub(super) async fn read(file: &Arc<File>, ask: ReadAsk) -> Result<Pages> {
    let file = file.clone();
    let (ready, started) = oneshot::channel();
    let (sender, pages) = mpsc::channel(AHEAD_PAGES_MAX);
    tokio::task::spawn_blocking(move || match Plan::new(&file, &ask) {
        Ok(plan) => {
            if ready.send(Ok(plan.connection.get_interrupt_handle())).is_err() {
                return; // nobody waits any more
            }
            if let Err(error) = plan.run(&file, &sender) {
                // If nobody listens any more, the error is that we were stopped.
                let _nobody = sender.blocking_send(Err(error));
            }
        }
        Err(error) => {
            let _nobody = ready.send(Err(error));
        }
    });
    let stop = started.await.map_err(|error| Error::internal("a read ended early").cause(error))??;
    Ok(Box::new(Reading { pages, stop }))
}

/// A read, worked out.
struct Plan {
    connection: Connection,
    title: String,
    from: String,
    columns: Vec<SourceColumn>,
    parts: Vec<Part>,
    zone: TimeZone,
    page_rows: usize,
}

impl Plan {
    fn new(file: &File, ask: &ReadAsk) -> Result<Self> {
        let connection = file.reader()?;
        let zone = zone(&ask.timezone)?;
        let shape = shape(&connection, file, &ask.source)?;
        let find = |name: &str| shape.column(name, &ask.source);
        let columns = ask.columns.iter().map(|name| find(name).cloned()).collect::<Result<Vec<_>>>()?;
        let parts = match &ask.mode {
            ReadMode::Full { key, after, .. } => full(find(key)?, after.as_ref()),
            ReadMode::Unordered => vec![Part::all()],
            ReadMode::Changes { .. } | ReadMode::Outbox { .. } => return Err(no_history()),
            ReadMode::Cursor { column, key, from, to } => {
                let column = find(column)?;
                add_time(&connection, file, column)?;
                window(column, find(key)?, from.as_ref(), to)?
            }
        };
        let title = title(&ask.source);
        Ok(Self { connection, title, from: shape.from, columns, parts, zone, page_rows: ask.page_rows })
    }

    /// All parts in one transaction: one snapshot.
    fn run(&self, file: &File, sender: &mpsc::Sender<Result<Page>>) -> Result<()> {
        let doing = format!("read {}", self.title);
        let fail = |error: rusqlite::Error| file.error(&error, &doing);
        self.connection.execute_batch("BEGIN").map_err(fail)?;
        let mut maker = maker(&self.columns, self.page_rows);
        for part in &self.parts {
            let sql = select(&self.columns, &self.from, &part.filter, &part.order);
            let mut statement = self.connection.prepare(&sql).map_err(fail)?;
            let mut rows = statement.query(params_from_iter(&part.params)).map_err(fail)?;
            while let Some(row) = rows.next().map_err(fail)? {
                for (at, column) in self.columns.iter().enumerate() {
                    let raw = row.get_ref(at).map_err(fail)?;
                    maker.put(at, decode(raw, column.logical, &self.zone));
                }
                if maker.end_row(0) && sender.blocking_send(Ok(maker.take()?)).is_err() {
                    return Ok(()); // dropped
                }
            }
        }
        if !maker.is_empty() {
            let _dropped = sender.blocking_send(Ok(maker.take()?));
        }
        Ok(())
    }
}

fn maker(columns: &[SourceColumn], rows_max: usize) -> PageMaker {
    PageMaker::new(columns.iter().map(|column| (column.name.as_str(), column.logical)), rows_max)
}

/// Cursors are compared as UTC whatever zone the sync reads times in: a row must not move past the end of a read.
fn add_time(connection: &Connection, file: &File, column: &SourceColumn) -> Result<()> {
    let rule = TimeRule { logical: column.logical, zone: TimeZone::UTC };
    add_time_function(connection, rule).map_err(|error| file.error(&error, "read"))
}

/// A SELECT of columns. Without columns one constant stands in, for there is no empty SELECT.
pub(super) fn select(columns: &[SourceColumn], from: &str, filter: &str, order: &str) -> String {
    let list: Vec<String> = columns.iter().map(|column| super::dialect::Sqlite.quote(&column.name)).collect();
    let list = if list.is_empty() { "1".to_owned() } else { list.join(", ") };
    let filter = if filter.is_empty() { String::new() } else { format!(" WHERE {filter}") };
    let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {order}") };
    format!("SELECT {list} FROM {from}{filter}{order}")
}

/// A condition that a column is one of these keys (parameter 1), and the parameter.
pub(super) fn among<'a>(column: &SourceColumn, keys: impl Iterator<Item = &'a Key>) -> (String, Vec<SqlValue>) {
    let name = super::dialect::Sqlite.quote(&column.name);
    let text = |key: &Key| SqlValue::Text(key.as_str().to_owned());
    // Only a number in canonical form names a row of numbers: 7, not 007.
    let number = |key: &Key| key.as_str().parse::<i64>().ok().filter(|n| n.to_string() == key.as_str());
    match (column.logical, column.affinity) {
        (Type::Int64, _) => (format!("{name} IN rarray(?1)"), keys.filter_map(number).map(SqlValue::Integer).collect()),
        (Type::Decimal { .. }, affinity) if affinity != Affinity::Text => {
            (format!("{name} IN rarray(?1)"), keys.filter_map(number).map(SqlValue::Integer).collect())
        }
        (Type::Text, Affinity::Text) => (format!("{name} COLLATE BINARY IN rarray(?1)"), keys.map(text).collect()),
        _ => (format!("CAST({name} AS TEXT) COLLATE BINARY IN rarray(?1)"), keys.map(text).collect()),
    }
}

/// Rows by key.
pub(super) fn fetch(
    connection: &Connection,
    file: &File,
    shape: &Shape,
    source: &Source,
    wanted: (&[String], &str, &[Key]),
    zone: &TimeZone,
) -> Result<Page> {
    let (names, key, keys) = wanted;
    let doing = format!("fetch from {}", title(source));
    let fail = |error: rusqlite::Error| file.error(&error, &doing);
    let columns = names.iter().map(|name| shape.column(name, source).cloned()).collect::<Result<Vec<_>>>()?;
    let (filter, params) = among(shape.column(key, source)?, keys.iter());
    let mut maker = maker(&columns, usize::MAX);
    let mut statement = connection.prepare_cached(&select(&columns, &shape.from, &filter, "")).map_err(fail)?;
    let mut rows = statement.query([std::rc::Rc::new(params)]).map_err(fail)?;
    while let Some(row) = rows.next().map_err(fail)? {
        for (at, column) in columns.iter().enumerate() {
            maker.put(at, decode(row.get_ref(at).map_err(fail)?, column.logical, zone));
        }
        maker.end_row(0);
    }
    maker.take()
}

/// The greatest cursor with its greatest key.
pub(super) fn bound(
    connection: &Connection,
    file: &File,
    source: &Source,
    column: &str,
    key: &str,
) -> Result<Option<CursorPoint>> {
    let shape = shape(connection, file, source)?;
    let (column, key) = (shape.column(column, source)?, shape.column(key, source)?);
    add_time(connection, file, column)?;
    let cursor = CursorSql::new(column)?;
    let name = super::dialect::Sqlite.quote(&column.name);
    let key_text = format!("coalesce({}, '')", KeySql::new(key).text);
    let sql = format!(
        "SELECT {name}, {key_text} FROM {} WHERE {} ORDER BY {} DESC, {key_text} DESC LIMIT 1",
        shape.from, cursor.usable, cursor.number
    );
    let fail = |error: rusqlite::Error| file.error(&error, &format!("find the end of {}", title(source)));
    let mut statement = connection.prepare(&sql).map_err(fail)?;
    let mut rows = statement.query([]).map_err(fail)?;
    let Some(row) = rows.next().map_err(fail)? else { return Ok(None) };
    let raw = row.get_ref(0).map_err(fail)?;
    let key: String = row.get(1).map_err(fail)?;
    match decode(raw, column.logical, &TimeZone::UTC) {
        Ok(Cell::Null) | Err(_) => Ok(None),
        Ok(cell) => Ok(Some(CursorPoint { value: cell.into_value(), key: Some(Key::new(key)) })),
    }
}

/// Number of rows.
pub(super) fn count(connection: &Connection, file: &File, source: &Source) -> Result<u64> {
    let shape = shape(connection, file, source)?;
    let rows: i64 = connection
        .query_row(&format!("SELECT count(*) FROM {}", shape.from), [], |row| row.get(0))
        .map_err(|error| file.error(&error, &format!("count {}", title(source))))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}
