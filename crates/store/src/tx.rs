//! What the store asks of a database: one transaction, seen from the shared SQL of `ops`.
//!
//! The SQL in `ops` is written once, in the dialect that both databases speak; parameters are `$1`, `$2`, ….
//! What has to be fast is a method of its own here, with an implementation per database.

use std::collections::HashMap;
use std::future::Future;

use tidegate_model::error::{Error, Result};
use tidegate_model::ports::{HistoryEntry, LedgerEntry, LedgerRecord};
use tidegate_model::record::{Key, RemoteId};
use tidegate_model::time::Instant;

/// A parameter of a statement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum P<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    /// A key or remote id: text in SQLite, bytes in Postgres, ordered by bytes in both.
    Key(&'a str),
    Blob(&'a [u8]),
}

impl<'a> P<'a> {
    pub(crate) fn text(text: Option<&'a str>) -> Self {
        text.map_or(P::Null, P::Text)
    }
    pub(crate) fn key(key: Option<&'a str>) -> Self {
        key.map_or(P::Null, P::Key)
    }
    pub(crate) fn blob(bytes: Option<&'a [u8]>) -> Self {
        bytes.map_or(P::Null, P::Blob)
    }
    pub(crate) fn int(number: Option<i64>) -> Self {
        number.map_or(P::Null, P::Int)
    }
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// A row; columns are taken by number. A value of another type than asked for means a damaged state.
pub(crate) struct Row(pub(crate) Vec<Cell>);

impl Row {
    fn take(&mut self, at: usize) -> Cell {
        self.0.get_mut(at).map_or(Cell::Null, |cell| std::mem::replace(cell, Cell::Null))
    }
    pub(crate) fn int(&mut self, at: usize) -> Result<i64> {
        match self.take(at) {
            Cell::Int(number) => Ok(number),
            other => Err(misfit(at, "a number", &other)),
        }
    }
    pub(crate) fn opt_int(&mut self, at: usize) -> Result<Option<i64>> {
        match self.take(at) {
            Cell::Null => Ok(None),
            Cell::Int(number) => Ok(Some(number)),
            other => Err(misfit(at, "a number", &other)),
        }
    }
    /// Text, or the bytes of a key.
    pub(crate) fn text(&mut self, at: usize) -> Result<String> {
        self.opt_text(at)?.ok_or_else(|| misfit(at, "text", &Cell::Null))
    }
    pub(crate) fn opt_text(&mut self, at: usize) -> Result<Option<String>> {
        match self.take(at) {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(text)),
            Cell::Blob(bytes) => {
                String::from_utf8(bytes).map(Some).map_err(|error| misfit(at, "text", &Cell::Blob(error.into_bytes())))
            }
            other => Err(misfit(at, "text", &other)),
        }
    }
    pub(crate) fn blob(&mut self, at: usize) -> Result<Vec<u8>> {
        self.opt_blob(at)?.ok_or_else(|| misfit(at, "bytes", &Cell::Null))
    }
    pub(crate) fn opt_blob(&mut self, at: usize) -> Result<Option<Vec<u8>>> {
        match self.take(at) {
            Cell::Null => Ok(None),
            Cell::Blob(bytes) => Ok(Some(bytes)),
            other => Err(misfit(at, "bytes", &other)),
        }
    }
    pub(crate) fn key(&mut self, at: usize) -> Result<Key> {
        Ok(Key::new(self.text(at)?))
    }
    pub(crate) fn remote(&mut self, at: usize) -> Result<Option<RemoteId>> {
        Ok(self.opt_text(at)?.map(RemoteId::new))
    }
}

fn misfit(at: usize, wanted: &str, found: &Cell) -> Error {
    let found = match found {
        Cell::Null => "nothing",
        Cell::Int(_) => "a number",
        Cell::Text(_) => "text",
        Cell::Blob(_) => "bytes",
    };
    damaged(format!("column {at} of a row of the state holds {found} where {wanted} belongs"))
}

/// The state holds what tidegate never writes.
pub(crate) fn damaged(message: impl Into<String>) -> Error {
    Error::new(tidegate_model::ErrorKind::Data, message)
        .hint("the state was changed by something else than tidegate, or is damaged: restore it from a backup")
}

/// Bits of the ledger's `flags` column above the engine's eight.
pub(crate) mod bits {
    /// Linked and not gone: what `SyncState::linked` counts.
    pub(crate) const LINKED: i64 = 256;
    /// Has a row in `details`.
    pub(crate) const DETAIL: i64 = 512;
    /// The engine's own.
    pub(crate) const ENGINE: i64 = 255;
}

/// What is written into the ledger's `flags` column.
pub(crate) fn column_flags(record: &LedgerRecord) -> i64 {
    use tidegate_model::ports::flags::{GONE_PLATFORM, GONE_WAREHOUSE};
    let entry = &record.entry;
    let both = entry.warehouse != [0; 16] && entry.platform != [0; 16];
    let gone = entry.flags & (GONE_WAREHOUSE | GONE_PLATFORM) != 0;
    let mut column = i64::from(entry.flags);
    if (entry.remote.is_some() || both) && !gone {
        column |= bits::LINKED;
    }
    if !record.detail.is_empty() {
        column |= bits::DETAIL;
    }
    column
}

/// The last record of each key, as later ones replace earlier ones. Settlements come in key order without repeats, so
/// this mostly only looks.
pub(crate) fn last_of_each(records: &[LedgerRecord]) -> Vec<&LedgerRecord> {
    if records.is_sorted_by(|a, b| a.entry.key < b.entry.key) {
        return records.iter().collect();
    }
    let mut last: HashMap<&str, usize> = HashMap::with_capacity(records.len());
    for (at, record) in records.iter().enumerate() {
        last.insert(record.entry.key.as_str(), at);
    }
    let kept = |(at, record): &(usize, &LedgerRecord)| last.get(record.entry.key.as_str()) == Some(at);
    records.iter().enumerate().filter(kept).map(|(_, record)| record).collect()
}

/// What all writes of a settlement have in common in the history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writes {
    /// The row of the run, and the sync.
    pub(crate) run: i64,
    pub(crate) sync: i64,
    pub(crate) at: Instant,
    /// The number of the first one within the run.
    pub(crate) first: i64,
}

/// One transaction of the state. Methods are called one after the other; an error means that it will be rolled back.
pub(crate) trait Tx: Send {
    /// Runs a statement; the number of rows it touched.
    fn exec(&mut self, sql: &str, params: &[P<'_>]) -> impl Future<Output = Result<u64>> + Send;
    /// Runs a statement once per row of parameters, in order; the number of rows touched.
    fn exec_many(&mut self, sql: &str, rows: &[Vec<P<'_>>]) -> impl Future<Output = Result<u64>> + Send;
    /// Runs a query and collects its rows.
    fn rows(&mut self, sql: &str, params: &[P<'_>]) -> impl Future<Output = Result<Vec<Row>>> + Send;
    /// The first row of a query.
    fn row(&mut self, sql: &str, params: &[P<'_>]) -> impl Future<Output = Result<Option<Row>>> + Send {
        let rows = self.rows(sql, params);
        async move { Ok(rows.await?.into_iter().next()) }
    }

    /// Sets ledger entries, each key once, with their details; the change of the number of linked ones. Remote ids may swap owners
    /// within one call.
    fn put_ledger(&mut self, sync: i64, records: &[&LedgerRecord]) -> impl Future<Output = Result<i64>> + Send;
    /// Adds writes to the history, in order.
    fn add_history(&mut self, of: Writes, entries: &[HistoryEntry]) -> impl Future<Output = Result<()>> + Send;
    /// Removes ledger entries with their details; the change of the number of linked ones.
    fn remove_ledger(&mut self, sync: i64, keys: &[Key]) -> impl Future<Output = Result<i64>> + Send;
    /// The next ledger entries in byte order of their keys.
    fn scan(
        &mut self,
        sync: i64,
        after: Option<&Key>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<LedgerEntry>>> + Send;
    /// Ledger records by key, in the order asked.
    fn entries(&mut self, sync: i64, keys: &[Key]) -> impl Future<Output = Result<Vec<Option<LedgerRecord>>>> + Send;
    /// Keys by remote id, in the order asked.
    fn by_remote(&mut self, sync: i64, ids: &[RemoteId]) -> impl Future<Output = Result<Vec<Option<Key>>>> + Send;
}
