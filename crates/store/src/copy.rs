//! Copies of the state. The one portable form is a SQLite state file: a state in Postgres is copied into one, and one is
//! copied back, so a copy also moves a project from one backend to the other.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags};
use tidegate_model::error::{Error, ErrorKind, Result};

use crate::sqlite::{self, Sqlite, off};
use crate::store::{Backend, Store, now, read_tx, write_tx};
use crate::tx::{Cell, P, Tx};

/// Rows carried at a time: enough that neither side waits for the other, a few megabytes with the widest rows.
pub(crate) const ROWS_AT_ONCE: usize = 2_000;
/// A copy is nobody else's: a lock on it is somebody looking.
const COPY_LOCK_WAIT: Duration = Duration::from_secs(5);

/// A table of the state and its columns, as the SQLite form has them; the other backend has the same by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// Name, and whether it holds text.
    pub(crate) columns: Vec<(String, bool)>,
}

impl Table {
    /// The columns' names for SQL, quoted.
    pub(crate) fn list(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        names.join(", ")
    }
}

impl Store {
    /// Copies a state in Postgres, as it stands at one instant, into a new SQLite state file, while runs go on; how
    /// many rows. Secrets stay encrypted with the same key. (A state in SQLite is copied by SQLite's own backup.)
    pub async fn copy_into(&self, file: &Path) -> Result<u64> {
        let Backend::Postgres(db) = &self.backend else {
            return Err(Error::internal("a state file is copied page by page, not row by row"));
        };
        drop(Sqlite::open(&file.to_string_lossy(), COPY_LOCK_WAIT).await?);
        let path = file.to_owned();
        let copy = off(move || StateFile::open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)).await?;
        let (copy, rows) = db.copy_out(copy).await?;
        off(move || copy.seal()).await?;
        Ok(rows)
    }

    /// Replaces all that a state in Postgres holds by what a SQLite state file holds, in one transaction; how many
    /// rows. This store is not to be used any more afterwards: it knows who it was before.
    pub async fn copy_from(&self, file: &Path) -> Result<u64> {
        let Backend::Postgres(db) = &self.backend else {
            return Err(Error::internal("a state file is copied page by page, not row by row"));
        };
        let path = file.to_owned();
        let copy = off(move || StateFile::open(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)).await?;
        db.copy_in(copy).await
    }

    /// Makes a copy fit to take the place of what went on since it was made: nobody holds its leases, and its next
    /// runs come after every run that the targets have seen. Without that they would refuse the writes of the next
    /// runs as those of a run that was overtaken.
    pub async fn come_back(&self) -> Result<()> {
        let epoch = now().0;
        write_tx!(self, |tx| {
            let sql = "UPDATE syncs SET epoch = CASE WHEN epoch < $1 THEN $1 ELSE epoch + 1 END, holder = NULL, \
                       expires_at = 0";
            tx.exec(sql, &[P::Int(epoch)]).await.map(drop)
        })
    }

    /// `Locked` while a run of any sync holds its lease.
    pub async fn at_rest(&self) -> Result<()> {
        let now = now();
        let busy = read_tx!(self, |tx| {
            let sql = "SELECT name FROM syncs WHERE holder IS NOT NULL AND expires_at > $1 ORDER BY name LIMIT 1";
            tx.row(sql, &[P::Int(now.0)]).await?.map(|mut row| row.text(0)).transpose()
        })?;
        match busy {
            None => Ok(()),
            Some(sync) => Err(Error::new(ErrorKind::Locked, format!("sync {sync} is running on this state"))
                .hint("stop `serve` and wait for its runs to end; a run that was killed lets go after a minute")),
        }
    }
}

/// A SQLite state file, row by row.
pub(crate) struct StateFile {
    db: Connection,
    path: std::path::PathBuf,
    /// All tables, in the order of their names.
    pub(crate) tables: Vec<Table>,
}

impl StateFile {
    fn open(path: &Path, flags: OpenFlags) -> Result<Self> {
        let fail = |error: rusqlite::Error| sqlite::classify(path, &error);
        let db = Connection::open_with_flags(path, flags).map_err(fail)?;
        let tables = tables(&db).map_err(fail)?;
        if tables.is_empty() {
            return Err(Error::config(format!("{} is not a state of tidegate", path.display()))
                .hint("name a file made by `tidegate state backup`"));
        }
        Ok(Self { db, path: path.to_owned(), tables })
    }

    /// Empties a table.
    pub(crate) fn clear(&self, table: &Table) -> Result<()> {
        let sql = format!("DELETE FROM \"{}\"", table.name);
        self.db.execute_batch(&sql).map_err(|error| sqlite::classify(&self.path, &error))
    }

    /// Adds rows, whose cells are in the order of the table's columns.
    pub(crate) fn add(&mut self, table: &Table, rows: &[Vec<Cell>]) -> Result<()> {
        let holes = vec!["?"; table.columns.len()].join(", ");
        let sql = format!("INSERT INTO \"{}\" ({}) VALUES ({holes})", table.name, table.list());
        let mut add = || {
            let all = self.db.transaction()?;
            let mut insert = all.prepare_cached(&sql)?;
            for row in rows {
                insert.execute(rusqlite::params_from_iter(row.iter().map(value)))?;
            }
            drop(insert);
            all.commit()
        };
        add().map_err(|error| sqlite::classify(&self.path, &error))
    }

    /// Hands over the rows of a table, page by page.
    pub(crate) fn each(&self, table: &Table, mut take: impl FnMut(Vec<Vec<Cell>>) -> Result<()>) -> Result<()> {
        let fail = |error: rusqlite::Error| sqlite::classify(&self.path, &error);
        let sql = format!("SELECT {} FROM \"{}\"", table.list(), table.name);
        let mut statement = self.db.prepare(&sql).map_err(fail)?;
        let width = table.columns.len();
        let mut rows = statement.query([]).map_err(fail)?;
        let mut page = Vec::new();
        while let Some(row) = rows.next().map_err(fail)? {
            let cells = (0..width).map(|at| row.get_ref(at).and_then(sqlite::cell)).collect::<rusqlite::Result<_>>();
            page.push(cells.map_err(fail)?);
            if page.len() == ROWS_AT_ONCE {
                take(std::mem::take(&mut page))?;
            }
        }
        if page.is_empty() { Ok(()) } else { take(page) }
    }

    /// One file, with everything in it.
    fn seal(self) -> Result<()> {
        let sealed = self.db.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0));
        sealed.map(drop).map_err(|error| sqlite::classify(&self.path, &error))
    }
}

fn tables(db: &Connection) -> rusqlite::Result<Vec<Table>> {
    let names =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1";
    let names: Vec<String> = db.prepare(names)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut tables = Vec::new();
    for name in names {
        let mut info = db.prepare("SELECT name, type = 'TEXT' FROM pragma_table_info(?1) ORDER BY cid")?;
        let columns =
            info.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        tables.push(Table { name, columns });
    }
    Ok(tables)
}

fn value(cell: &Cell) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match cell {
        Cell::Null => ValueRef::Null,
        Cell::Int(number) => ValueRef::Integer(*number),
        Cell::Text(text) => ValueRef::Text(text.as_bytes()),
        Cell::Blob(bytes) => ValueRef::Blob(bytes),
    })
}
