//! The hub on SQLite: one file, WAL, durable at each commit.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};
use rusqlite::{CachedStatement, Connection, ToSql};
use tidegate_model::value::Decimal;
use tidegate_model::{Error, ErrorKind, Result};

use super::{Dialect, Lookup, NewRows, OnRow, Row, Session, Target, failure, names};
use crate::hub::cell::{CellRef, Grid};

/// How long a locked file is waited for; the engine's calls end well after it.
const BUSY_MS: u64 = 5_000;
/// How long until a switch to WAL that met another one is tried again.
const SWITCH_MS: u64 = 10;
/// Statements kept prepared per connection: each model has a handful, loads and reads a few.
const STATEMENTS_MAX: usize = 128;
/// Pages of the log before it is written back: bulk loads write long logs, and a checkpoint every 4 MB slows them.
const CHECKPOINT_PAGES: i64 = 8_192;

/// A connection to the hub's file.
pub struct Sqlite {
    conn: Connection,
    path: PathBuf,
    open: bool,
    usable: bool,
}

impl Sqlite {
    /// Opens the file, and makes it (mode 0600) with its folder where it is not there.
    pub fn open(path: &Path) -> Result<Self> {
        make_file(path)?;
        let fail = |e| failure::sqlite(path, e);
        let conn = Connection::open(path).map_err(fail)?;
        conn.busy_timeout(Duration::from_millis(BUSY_MS)).map_err(fail)?;
        use_log(&conn).map_err(fail)?;
        // What the hub has taken, the engine settles: it must survive a power cut.
        conn.pragma_update(None, "synchronous", "FULL").map_err(fail)?;
        conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(fail)?;
        conn.pragma_update(None, "cache_size", -16_384).map_err(fail)?;
        conn.pragma_update(None, "secure_delete", "FAST").map_err(fail)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        rusqlite::vtab::array::load_module(&conn).map_err(fail)?;
        add_functions(&conn).map_err(fail)?;
        Ok(Self { conn, path: path.to_owned(), open: false, usable: true })
    }

    fn fail(&self, error: rusqlite::Error) -> Error {
        failure::sqlite(&self.path, error)
    }

    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>> {
        let sql = sql.replace('$', "?");
        self.conn.prepare_cached(&sql).map_err(|e| self.fail(e))
    }

    fn run(&self, statement: &mut CachedStatement<'_>, on_row: OnRow<'_>) -> Result<()> {
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|e| self.fail(e))? {
            on_row(&SqliteRow(row))?;
        }
        Ok(())
    }
}

/// Sets the file to WAL. Several that open a new file at once all want to switch it, and SQLite does not wait here: who
/// would have to wait for another reader's lock while holding one is told "busy" at once, whatever the timeout says.
fn use_log(conn: &Connection) -> rusqlite::Result<()> {
    let mut waited = 0;
    loop {
        match conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())) {
            Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) && waited < BUSY_MS => {
                std::thread::sleep(Duration::from_millis(SWITCH_MS));
                waited += SWITCH_MS;
            }
            done => return done,
        }
    }
}

/// Exact numbers are texts here: they are compared and added by these.
fn add_functions(conn: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let number = |ctx: &rusqlite::functions::Context<'_>, at: usize| -> rusqlite::Result<Option<Decimal>> {
        Ok(ctx.get_raw(at).as_str_or_null()?.and_then(Decimal::parse))
    };
    conn.create_scalar_function("dec_cmp", 2, flags, move |ctx| {
        Ok(match (number(ctx, 0)?, number(ctx, 1)?) {
            (Some(a), Some(b)) => Some(a.cmp(&b) as i64),
            _ => None,
        })
    })?;
    conn.create_scalar_function("dec_add", 2, flags, move |ctx| {
        Ok(match (number(ctx, 0)?, number(ctx, 1)?) {
            (Some(a), Some(b)) => {
                let scale = a.scale().max(b.scale());
                let sum = a.rescale(scale).zip(b.rescale(scale)).and_then(|(a, b)| {
                    a.unscaled().checked_add(b.unscaled()).map(|sum| Decimal::new(sum, scale).normalized())
                });
                Some(sum.ok_or_else(|| rusqlite::Error::UserFunctionError("a sum has too many digits".into()))?)
            }
            (a, b) => a.or(b),
        }
        .map(|sum| sum.to_string()))
    })
}

fn make_file(path: &Path) -> Result<()> {
    let failed = |e: std::io::Error| {
        let kind = match e.kind() {
            std::io::ErrorKind::StorageFull => ErrorKind::DiskFull,
            _ => ErrorKind::Forbidden,
        };
        Error::new(kind, format!("the hub file {} cannot be made", path.display()))
            .hint("check that its folder can be written by the user that runs tidegate")
            .cause(e)
    };
    if path.exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(failed)?;
    Ok(())
}

struct SqliteRow<'a>(&'a rusqlite::Row<'a>);

impl Row for SqliteRow<'_> {
    #[inline]
    fn cell(&self, at: usize) -> Result<CellRef<'_>> {
        let broken = || Error::new(ErrorKind::Data, "the hub file holds text that is not UTF-8");
        Ok(match self.0.get_ref(at).map_err(|e| Error::internal("a column is missing").cause(e))? {
            ValueRef::Null => CellRef::Null,
            ValueRef::Integer(n) => CellRef::Int(n),
            ValueRef::Real(x) => CellRef::Real(x),
            ValueRef::Text(bytes) => CellRef::Text(std::str::from_utf8(bytes).map_err(|_| broken())?),
            ValueRef::Blob(bytes) => CellRef::Blob(bytes),
        })
    }
}

impl ToSql for CellRef<'_> {
    #[inline]
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            CellRef::Null => ValueRef::Null,
            CellRef::Int(n) => ValueRef::Integer(*n),
            CellRef::Real(x) => ValueRef::Real(*x),
            CellRef::Text(text) => ValueRef::Text(text.as_bytes()),
            CellRef::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn owned(cell: CellRef<'_>) -> SqlValue {
    match cell {
        CellRef::Null => SqlValue::Null,
        CellRef::Int(n) => SqlValue::Integer(n),
        CellRef::Real(x) => SqlValue::Real(x),
        CellRef::Text(text) => SqlValue::Text(text.to_owned()),
        CellRef::Blob(bytes) => SqlValue::Blob(bytes.to_vec()),
    }
}

fn slots(count: usize) -> String {
    let slots: Vec<String> = (1..=count).map(|at| format!("?{at}")).collect();
    slots.join(", ")
}

fn bind(statement: &mut CachedStatement<'_>, params: &[CellRef<'_>]) -> rusqlite::Result<()> {
    params.iter().enumerate().try_for_each(|(at, cell)| statement.raw_bind_parameter(at + 1, cell))
}

impl Session for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn begin(&mut self) -> Result<()> {
        self.script("BEGIN IMMEDIATE")?;
        self.open = true;
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.script("COMMIT")?;
        self.open = false;
        Ok(())
    }

    fn rollback(&mut self) {
        if self.open {
            // Some errors (a full disk) have rolled back by themselves: then there is nothing left to do.
            self.usable = self.conn.is_autocommit() || self.conn.execute_batch("ROLLBACK").is_ok();
            self.open = false;
        }
    }

    fn script(&mut self, sql: &str) -> Result<()> {
        self.conn.execute_batch(sql).map_err(|e| self.fail(e))
    }

    fn exec(&mut self, sql: &str, params: &[CellRef<'_>]) -> Result<u64> {
        let mut statement = self.prepare(sql)?;
        bind(&mut statement, params).map_err(|e| self.fail(e))?;
        Ok(statement.raw_execute().map_err(|e| self.fail(e))? as u64)
    }

    fn query(&mut self, sql: &str, params: &[CellRef<'_>], on_row: OnRow<'_>) -> Result<()> {
        let mut statement = self.prepare(sql)?;
        bind(&mut statement, params).map_err(|e| self.fail(e))?;
        self.run(&mut statement, on_row)
    }

    fn lookup(&mut self, ask: &Lookup<'_>, keys: &dyn Grid, on_row: OnRow<'_>) -> Result<()> {
        if keys.rows() == 0 {
            return Ok(());
        }
        // One index probe per key where the column has an index, else one scan.
        let sql = format!(
            "SELECT {} FROM {} WHERE {} IN (SELECT value FROM rarray(?1)) {}",
            ask.select, ask.from, ask.on, ask.and
        );
        let list: Vec<SqlValue> = (0..keys.rows()).map(|row| owned(keys.cell(0, row))).collect();
        let mut statement = self.prepare(&sql)?;
        statement.raw_bind_parameter(1, Rc::new(list)).map_err(|e| self.fail(e))?;
        self.run(&mut statement, on_row)
    }

    fn insert(&mut self, into: &str, columns: &[Target], rows: &dyn Grid, conflict: Option<&str>) -> Result<u64> {
        let conflict = conflict.map_or_else(String::new, |rule| format!(" ON CONFLICT {rule}"));
        let sql = format!("INSERT INTO {into} ({}) VALUES ({}){conflict}", names(columns), slots(columns.len()));
        let mut statement = self.prepare(&sql)?;
        let mut changed = 0;
        for row in 0..rows.rows() {
            changed += step(&mut statement, columns.len(), rows, row).map_err(|e| self.fail(e))?;
        }
        Ok(changed as u64)
    }

    fn append(&mut self, into: &str, columns: &[Target], rows: &dyn Grid) -> Result<()> {
        self.insert(into, columns, rows, None).map(|_| ())
    }

    fn insert_new(&mut self, ask: &NewRows<'_>, rows: &dyn Grid, taken: &mut Vec<usize>) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} ({}, load) VALUES ({}, {}) ON CONFLICT DO NOTHING",
            ask.table,
            names(ask.columns),
            slots(ask.columns.len()),
            ask.load
        );
        let mut statement = self.conn.prepare(&sql).map_err(|e| self.fail(e))?;
        for row in 0..rows.rows() {
            for column in 0..ask.columns.len() {
                let cell = rows.cell(column, row);
                statement.raw_bind_parameter(column + 1, cell).map_err(|e| self.fail(e))?;
            }
            if statement.raw_execute().map_err(|e| self.fail(e))? == 0 {
                taken.push(row);
            }
        }
        Ok(())
    }

    fn update(&mut self, table: &str, columns: &[Target], extra: &str, rows: &dyn Grid) -> Result<u64> {
        let mut sets: Vec<String> =
            columns.iter().enumerate().map(|(at, column)| format!("{} = ?{}", column.sql, at + 1)).collect();
        if !extra.is_empty() {
            sets.push(extra.to_owned());
        }
        let sql = format!("UPDATE {table} SET {} WHERE id = ?{}", sets.join(", "), columns.len() + 1);
        let mut statement = self.prepare(&sql)?;
        let mut changed = 0;
        for row in 0..rows.rows() {
            changed += step(&mut statement, columns.len() + 1, rows, row).map_err(|e| self.fail(e))?;
        }
        Ok(changed as u64)
    }

    fn next_number(&mut self) -> Result<i64> {
        let sql = "UPDATE hub_meta SET number = number + 1 WHERE name = 'load' RETURNING number";
        let found = super::first(self, sql, &[], 1)?;
        found.and_then(|cells| cells[0].int()).ok_or_else(|| Error::internal("the hub's load counter is missing"))
    }

    fn usable(&self) -> bool {
        self.usable && !self.open
    }
}

#[inline]
fn step(statement: &mut CachedStatement<'_>, width: usize, rows: &dyn Grid, row: usize) -> rusqlite::Result<usize> {
    for column in 0..width {
        statement.raw_bind_parameter(column + 1, rows.cell(column, row))?;
    }
    statement.raw_execute()
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.rollback();
    }
}
