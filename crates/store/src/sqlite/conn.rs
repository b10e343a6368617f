//! One connection to the state file.

use std::future::{Future, ready};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, params_from_iter};
use tidegate_model::error::Result;
use tidegate_model::ports::{HistoryEntry, LedgerEntry, LedgerRecord};
use tidegate_model::record::{Key, RemoteId};

use super::error::classify;
use super::ledger::Replaced;
use crate::tx::{Cell, P, Row, Tx, Writes};

/// Statements kept prepared: more than tidegate has.
const STATEMENTS: usize = 160;
/// Bytes of a page in a new file; one that is there keeps its own. With SQLite's 4,096 a first load takes a seventh more
/// of the processor, for twice as many pages that are filled, split, summed and written.
const PAGE_BYTES: u32 = 8_192;
/// Pages of the write-ahead log before it is moved into the file (32 MB): rare enough that bulk writes do not pay
/// for each page twice, small enough to stay in the system's cache.
const LOG_PAGES: u32 = 4_000;
/// Pages in memory for each connection. Settlements come in the order of keys, so that what is read again is read soon:
/// neither loads nor edits of every tenth record of a million were slower than with four times as much.
const CACHE_KB: u32 = 4_096;
/// The log is cut to this size when it is started anew.
const LOG_BYTES: u32 = 64 << 20;
/// Until a switch to WAL that met another one is tried again.
const SWITCH_WAIT: Duration = Duration::from_millis(10);

pub(crate) struct Conn {
    pub(super) db: Connection,
    path: Arc<Path>,
    /// What the ledger entries had before that a statement replaces, see `ledger`.
    pub(super) replaced: Arc<Mutex<Replaced>>,
}

/// Sets the file to WAL. Several that open a new file at once all want to switch it, and SQLite does not wait here: who
/// would have to wait for another's lock while holding one is told "busy" at once, whatever the timeout says.
fn use_log(db: &Connection, lock_wait: Duration) -> rusqlite::Result<()> {
    let mut waited = Duration::ZERO;
    loop {
        match db.execute_batch("PRAGMA journal_mode = WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && waited < lock_wait => {
                std::thread::sleep(SWITCH_WAIT);
                waited += SWITCH_WAIT;
            }
            done => return done,
        }
    }
}

impl Conn {
    pub(crate) fn open(path: &Path, lock_wait: Duration) -> Result<Self> {
        let open = || {
            let db =
                Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            db.busy_timeout(lock_wait)?;
            db.set_prepared_statement_cache_capacity(STATEMENTS);
            // FULL: a transaction is on disk when it returns, power loss or not.
            db.execute_batch(&format!("PRAGMA page_size = {PAGE_BYTES}"))?;
            use_log(&db, lock_wait)?;
            db.execute_batch(&format!(
                "PRAGMA synchronous = FULL; PRAGMA cache_size = -{CACHE_KB}; \
                 PRAGMA wal_autocheckpoint = {LOG_PAGES}; PRAGMA journal_size_limit = {LOG_BYTES};"
            ))?;
            let replaced = Arc::new(Mutex::new(Replaced::default()));
            let seen = Arc::clone(&replaced);
            let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
            db.create_scalar_function("swap_flags", 3, flags, move |call| super::ledger::swap_flags(&seen, call))?;
            Ok(Self { db, path: Arc::from(path), replaced })
        };
        open().map_err(|error| classify(path, &error))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs work in a transaction: committed if it succeeds, undone if not.
    pub(crate) fn transaction<R>(&mut self, begin: &str, work: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        self.batch(begin)?;
        match work(self).and_then(|out| self.batch("COMMIT").map(|()| out)) {
            Ok(out) => Ok(out),
            Err(error) => {
                self.take_back()?;
                Err(error)
            }
        }
    }

    /// Takes back what was not committed, if a transaction is open.
    pub(super) fn take_back(&self) -> Result<()> {
        // After some failures (a full disk) SQLite has rolled back by itself.
        if self.db.is_autocommit() { Ok(()) } else { self.batch("ROLLBACK") }
    }

    pub(crate) fn batch(&self, sql: &str) -> Result<()> {
        self.db.execute_batch(sql).map_err(|error| self.fail(&error))
    }

    /// The number that a query gives.
    pub(crate) fn number(&self, sql: &str) -> Result<i64> {
        self.db.query_row(sql, [], |row| row.get(0)).map_err(|error| self.fail(&error))
    }

    /// Rewrites the file without its free pages, and empties the log.
    pub(crate) fn scrub(&self) -> Result<()> {
        self.batch("VACUUM")?;
        let busy = self.number("PRAGMA wal_checkpoint(TRUNCATE)")?;
        if busy != 0 {
            return Err(classify(
                &self.path,
                &rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None),
            )
            .at("what was deleted still stands in the -wal file"));
        }
        Ok(())
    }

    pub(super) fn fail(&self, error: &rusqlite::Error) -> tidegate_model::Error {
        classify(&self.path, error)
    }

    fn exec_now(&self, sql: &str, rows: &[&[P<'_>]]) -> rusqlite::Result<u64> {
        let mut statement = self.db.prepare_cached(&dialect(sql))?;
        let mut touched = 0;
        for row in rows {
            touched += statement.execute(params_from_iter(row.iter()))?;
        }
        Ok(u64::try_from(touched).unwrap_or(u64::MAX))
    }

    fn rows_now(&self, sql: &str, params: &[P<'_>]) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.db.prepare_cached(&dialect(sql))?;
        let width = statement.column_count();
        let mut rows = statement.query(params_from_iter(params.iter()))?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = (0..width).map(|at| row.get_ref(at).and_then(cell)).collect::<rusqlite::Result<_>>()?;
            out.push(Row(cells));
        }
        Ok(out)
    }
}

pub(crate) fn cell(value: ValueRef<'_>) -> rusqlite::Result<Cell> {
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Int(number),
        // The state holds no floats; one would be found as a number that is none.
        ValueRef::Real(_) => Cell::Null,
        ValueRef::Text(_) => Cell::Text(value.as_str()?.to_owned()),
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    })
}

/// The shared SQL as SQLite reads it: numbered parameters, and no row locks, as a writer is alone anyway.
fn dialect(sql: &str) -> String {
    let sql = sql.strip_suffix(" SKIP LOCKED").unwrap_or(sql);
    sql.strip_suffix(" FOR UPDATE").unwrap_or(sql).replace('$', "?")
}

impl ToSql for P<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            P::Null => ValueRef::Null,
            P::Int(number) => ValueRef::Integer(*number),
            P::Text(text) | P::Key(text) => ValueRef::Text(text.as_bytes()),
            P::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl Tx for Conn {
    fn exec(&mut self, sql: &str, params: &[P<'_>]) -> impl Future<Output = Result<u64>> + Send {
        ready(self.exec_now(sql, &[params]).map_err(|error| self.fail(&error)))
    }
    fn exec_many(&mut self, sql: &str, rows: &[Vec<P<'_>>]) -> impl Future<Output = Result<u64>> + Send {
        let rows: Vec<&[P<'_>]> = rows.iter().map(Vec::as_slice).collect();
        ready(self.exec_now(sql, &rows).map_err(|error| self.fail(&error)))
    }
    fn rows(&mut self, sql: &str, params: &[P<'_>]) -> impl Future<Output = Result<Vec<Row>>> + Send {
        ready(self.rows_now(sql, params).map_err(|error| self.fail(&error)))
    }
    fn put_ledger(&mut self, sync: i64, records: &[&LedgerRecord]) -> impl Future<Output = Result<i64>> + Send {
        ready(self.put_ledger_now(sync, records))
    }
    fn add_history(&mut self, of: Writes, entries: &[HistoryEntry]) -> impl Future<Output = Result<()>> + Send {
        ready(self.add_history_now(of, entries))
    }
    fn remove_ledger(&mut self, sync: i64, keys: &[Key]) -> impl Future<Output = Result<i64>> + Send {
        ready(self.remove_ledger_now(sync, keys).map_err(|error| self.fail(&error)))
    }
    fn scan(
        &mut self,
        sync: i64,
        after: Option<&Key>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<LedgerEntry>>> + Send {
        ready(self.scan_now(sync, after, limit))
    }
    fn entries(&mut self, sync: i64, keys: &[Key]) -> impl Future<Output = Result<Vec<Option<LedgerRecord>>>> + Send {
        ready(self.entries_now(sync, keys))
    }
    fn by_remote(&mut self, sync: i64, ids: &[RemoteId]) -> impl Future<Output = Result<Vec<Option<Key>>>> + Send {
        ready(self.by_remote_now(sync, ids).map_err(|error| self.fail(&error)))
    }
}
