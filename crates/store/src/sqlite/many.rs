//! Statements that insert many rows at once: what SQLite does around a row (its start, its cursors, its end) costs as
//! much as the row.

use std::fmt::Write;

use rusqlite::{CachedStatement, Connection, ErrorCode, ToSql};

/// Rows of one statement: with twice as many it gets no cheaper.
const ROWS_AT_ONCE: usize = 32;

/// How rows are put into a table: many at once while all are new, else one by one.
pub(super) struct Insert {
    /// How many parameters all rows share: those of the first columns.
    shared: usize,
    one: String,
    many: String,
}

impl Insert {
    /// `verb` and `behind` are of the statement for one row, which has to say what becomes of a row that is there.
    pub(super) fn new(verb: &str, table: &str, shared: &[&str], own: &[&str], behind: &str) -> Self {
        let into = format!("INTO {table} ({}) VALUES ", [shared, own].concat().join(", "));
        let values = |rows: usize| {
            let mut sql = String::new();
            for row in 0..rows {
                let first = shared.len() + row * own.len();
                let params = (1..=shared.len()).chain(first + 1..=first + own.len());
                for (at, param) in params.enumerate() {
                    let before = match (row, at) {
                        (0, 0) => "(",
                        (_, 0) => "), (",
                        _ => ", ",
                    };
                    // Writing into a text cannot fail.
                    write!(sql, "{before}?{param}").ok();
                }
            }
            sql + ")"
        };
        // OR FAIL: what stands before a row that is there stays written. Without it SQLite would keep the old content of
        // every page that the statement changes, to be able to undo it, which costs more than one statement saves.
        let many = format!("INSERT OR FAIL {into}{}", values(ROWS_AT_ONCE));
        Self { shared: shared.len(), one: format!("{verb} {into}{}{behind}", values(1)), many }
    }

    /// The statement for one row.
    pub(super) fn one<'db>(&self, db: &'db Connection, shared: &[i64]) -> rusqlite::Result<Rows<'db>> {
        Rows::new(db, &self.one, self.shared, shared)
    }

    /// Inserts rows, many at once, up to one that is there or the last that fill a statement; how many were written.
    /// `bind` binds the columns of a row that are its own, in their order.
    pub(super) fn while_new<T>(
        &self,
        db: &Connection,
        shared: &[i64],
        rows: &[T],
        mut bind: impl FnMut(&mut Rows<'_>, &T) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<usize> {
        let (whole, _) = rows.as_chunks::<ROWS_AT_ONCE>();
        if whole.is_empty() {
            return Ok(0);
        }
        let mut many = Rows::new(db, &self.many, self.shared, shared)?;
        let mut written = 0;
        for chunk in whole {
            chunk.iter().try_for_each(|row| bind(&mut many, row))?;
            match many.run() {
                Ok(()) => written += ROWS_AT_ONCE,
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    return Ok(written + usize::try_from(db.changes()).unwrap_or(0));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }
}

/// A statement whose shared parameters are bound, to be run again and again with others for its rows.
pub(super) struct Rows<'db> {
    statement: CachedStatement<'db>,
    /// The first parameter that is not shared.
    first: usize,
    /// The parameter that is bound next.
    next: usize,
}

impl<'db> Rows<'db> {
    fn new(db: &'db Connection, sql: &str, params: usize, shared: &[i64]) -> rusqlite::Result<Self> {
        let mut statement = db.prepare_cached(sql)?;
        for (at, value) in shared.iter().enumerate() {
            statement.raw_bind_parameter(at + 1, value)?;
        }
        Ok(Self { statement, first: params + 1, next: params + 1 })
    }

    pub(super) fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.statement.raw_bind_parameter(self.next, value)?;
        self.next += 1;
        Ok(())
    }

    pub(super) fn run(&mut self) -> rusqlite::Result<()> {
        self.next = self.first;
        self.statement.raw_execute().map(drop)
    }
}
