//! The hub's database behind one narrow trait, so that everything above is written once for SQLite and Postgres.
//! A session is one connection, used by one blocking thread at a time. Statements are written with `$1`, `$2`, …

pub mod failure;
mod pg_copy;
mod pg_grid;
pub mod pool;
pub mod postgres;
pub mod sqlite;

use tidegate_model::Result;

use super::cell::{Cell, CellRef, Grid, Kind};

/// Which database it is, for the few places where SQL differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// Postgres.
    Postgres,
}

impl Dialect {
    /// The column type of a kind.
    pub fn column_type(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Dialect::Sqlite, Kind::Int) => "INTEGER",
            (Dialect::Sqlite, Kind::Real) => "REAL",
            (Dialect::Sqlite, Kind::Text | Kind::Dec) => "TEXT",
            (Dialect::Sqlite, Kind::Blob) => "BLOB",
            (Dialect::Postgres, Kind::Int) => "BIGINT",
            (Dialect::Postgres, Kind::Real) => "DOUBLE PRECISION",
            (Dialect::Postgres, Kind::Text) => "TEXT COLLATE \"C\"",
            (Dialect::Postgres, Kind::Dec) => "NUMERIC",
            (Dialect::Postgres, Kind::Blob) => "BYTEA",
        }
    }
    /// How a column of a kind is selected so that it arrives as the cell of that kind.
    pub fn select(self, kind: Kind, column: &str) -> String {
        match (self, kind) {
            (Dialect::Postgres, Kind::Dec) => format!("{column}::text"),
            _ => column.to_owned(),
        }
    }
    /// A column as text in canonical form, for ordering by it and looking it up.
    pub fn as_text(self, kind: Kind, column: &str) -> String {
        match (self, kind) {
            (_, Kind::Text) => column.to_owned(),
            (Dialect::Sqlite, _) => format!("CAST({column} AS TEXT)"),
            (Dialect::Postgres, _) => format!("({column}::text COLLATE \"C\")"),
        }
    }
    /// Adds a lock on the selected rows, where rows are what is locked (SQLite locks its file).
    pub fn for_update(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE",
        }
    }
}

/// A column of a table that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name as it stands in SQL (quoted where needed).
    pub sql: String,
    /// How it is stored.
    pub kind: Kind,
}

impl Target {
    /// A column by its SQL name.
    pub fn new(sql: impl Into<String>, kind: Kind) -> Self {
        Self { sql: sql.into(), kind }
    }
}

/// What a row says while a query runs.
pub trait Row {
    /// One cell of it.
    fn cell(&self, at: usize) -> Result<CellRef<'_>>;
    /// A whole number, 0 for NULL.
    fn int(&self, at: usize) -> Result<i64> {
        Ok(match self.cell(at)? {
            CellRef::Int(n) => n,
            _ => 0,
        })
    }
    /// A text that it owns, if it is one.
    fn text(&self, at: usize) -> Result<Option<String>> {
        Ok(match self.cell(at)? {
            CellRef::Text(text) => Some(text.to_owned()),
            _ => None,
        })
    }
}

/// What is done with each row.
pub type OnRow<'a> = &'a mut dyn FnMut(&dyn Row) -> Result<()>;

/// One connection.
pub trait Session: Send {
    /// Which database it is.
    fn dialect(&self) -> Dialect;
    /// Opens a transaction that will write.
    fn begin(&mut self) -> Result<()>;
    /// Commits. An answer that was lost is `Lost`.
    fn commit(&mut self) -> Result<()>;
    /// Gives the transaction up. A session that cannot is not used again.
    fn rollback(&mut self);
    /// Runs statements without parameters and results.
    fn script(&mut self, sql: &str) -> Result<()>;
    /// Runs one statement; number of rows changed.
    fn exec(&mut self, sql: &str, params: &[CellRef<'_>]) -> Result<u64>;
    /// Runs a query, row by row as they arrive.
    fn query(&mut self, sql: &str, params: &[CellRef<'_>], on_row: OnRow<'_>) -> Result<()>;
    /// Joins a list of keys to a table, set-wise: `SELECT columns FROM from WHERE on = key AND …`, where `on` is a
    /// column of `kind`. The keys are distinct.
    fn lookup(&mut self, ask: &Lookup<'_>, keys: &dyn Grid, on_row: OnRow<'_>) -> Result<()>;
    /// Inserts rows; `conflict` is what follows `ON CONFLICT` (without it a conflict is an error). Number of rows
    /// inserted or changed.
    fn insert(&mut self, into: &str, columns: &[Target], rows: &dyn Grid, conflict: Option<&str>) -> Result<u64>;
    /// Inserts rows of which none is there yet; one that is there is an error.
    fn append(&mut self, into: &str, columns: &[Target], rows: &dyn Grid) -> Result<()>;
    /// Inserts rows but those whose `key` columns are taken; numbers of the rows that were, into `taken`. The table
    /// has a column `load`, in which this call's rows, and no others, hold the number `load`.
    fn insert_new(&mut self, ask: &NewRows<'_>, rows: &dyn Grid, taken: &mut Vec<usize>) -> Result<()>;
    /// Updates rows by id: the last column of the rows is the id, `extra` is further SQL for SET.
    fn update(&mut self, table: &str, columns: &[Target], extra: &str, rows: &dyn Grid) -> Result<u64>;
    /// A number that was never handed out before.
    fn next_number(&mut self) -> Result<i64>;
    /// Whether it can be used again.
    fn usable(&self) -> bool;
}

/// A join of keys with a table.
pub struct Lookup<'a> {
    /// What is selected, in SQL.
    pub select: &'a str,
    /// The table with its alias.
    pub from: &'a str,
    /// The column that equals the key.
    pub on: &'a str,
    /// Further conditions, in SQL, beginning with `AND`; empty if there are none.
    pub and: &'a str,
    /// The kind of the key.
    pub kind: Kind,
}

/// An insert of rows that may be there already.
pub struct NewRows<'a> {
    /// The table.
    pub table: &'a str,
    /// All its columns but `load`.
    pub columns: &'a [Target],
    /// Which of the columns make the key.
    pub key: &'a [usize],
    /// The number of this call.
    pub load: i64,
}

/// The first row of a query, or nothing.
pub fn first(session: &mut dyn Session, sql: &str, params: &[CellRef<'_>], width: usize) -> Result<Option<Vec<Cell>>> {
    let mut found = None;
    session.query(sql, params, &mut |row| {
        if found.is_none() {
            let cells: Result<Vec<Cell>> = (0..width).map(|at| Ok(row.cell(at)?.to_owned())).collect();
            found = Some(cells?);
        }
        Ok(())
    })?;
    Ok(found)
}

/// A name quoted for SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Column names, separated by commas.
pub fn names(columns: &[Target]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.sql.as_str()).collect();
    names.join(", ")
}
