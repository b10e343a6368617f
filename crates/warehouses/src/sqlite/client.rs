//! The database file and its connections: one per call, so that every call has its own snapshot.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags};
use tidegate_model::{Error, ErrorKind, Result};

use super::cursor;
use super::errors::classify;
use crate::findings::Dialect;

/// The file and how it may be used.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) busy: Duration,
    pub(super) write: bool,
    /// Name of the connection, for messages.
    pub(super) name: String,
    /// Quoted names of our own tables.
    pub(super) fence: String,
    pub(super) span: String,
}

impl File {
    pub(super) fn new(path: PathBuf, busy_ms: u32, write: bool, name: String, work_schema: &str) -> Self {
        let prefix = work_schema.to_lowercase();
        let table = |what: &str| super::dialect::Sqlite.quote(&format!("{prefix}_{what}"));
        let (fence, span) = (table("fence"), table("span"));
        Self { path, busy: Duration::from_millis(busy_ms.into()), write, name, fence, span }
    }

    /// Whether a table is one of ours.
    pub(super) fn owns(&self, table: &str) -> bool {
        let quoted = super::dialect::Sqlite.quote(table);
        quoted == self.fence || quoted == self.span
    }

    /// An error of a call on this file.
    pub(super) fn error(&self, error: &rusqlite::Error, doing: &str) -> Error {
        classify(error, &self.path, doing)
    }

    fn open(&self, flags: OpenFlags) -> Result<Connection> {
        if !self.path.exists() {
            return Err(Error::new(ErrorKind::NotFound, format!("{} is not there", self.path.display())).hint(
                "tidegate does not create warehouses: check `path:` of the connection, or make the file with sqlite3",
            ));
        }
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open_with_flags(&self.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            connection.busy_timeout(self.busy)?;
            // The first statement finds out whether it is a database at all.
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
            rusqlite::vtab::array::load_module(&connection)?;
            Ok(connection)
        };
        open().map_err(|error| self.error(&error, "open"))
    }

    /// A connection that cannot write.
    pub(super) fn reader(&self) -> Result<Connection> {
        let connection = self.open(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.pragma_update(None, "query_only", true).map_err(|error| self.error(&error, "open"))?;
        Ok(connection)
    }

    /// A connection that writes; refused without `access: write`.
    pub(super) fn writer(&self) -> Result<Connection> {
        self.may_write()?;
        let connection = self.open(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        if connection.is_readonly("main").unwrap_or(true) {
            return Err(Error::new(ErrorKind::Forbidden, format!("{} may not be written", self.path.display()))
                .hint("give tidegate's user the right to write the file and its folder"));
        }
        connection.pragma_update(None, "foreign_keys", true).map_err(|error| self.error(&error, "open"))?;
        Ok(connection)
    }

    /// An error unless the connection was opened for writing.
    pub(super) fn may_write(&self) -> Result<()> {
        if self.write {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Forbidden, format!("connection {} is opened with access: read", self.name))
            .hint(format!("set `access: write` in connections/{}.yaml to let tidegate write there", self.name)))
    }
}

/// Registers the function that turns the texts of a time column into numbers, so that they are compared as times
/// whatever form they are written in.
pub(super) fn add_time_function(connection: &Connection, rule: cursor::TimeRule) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection
        .create_scalar_function(cursor::TIME_FUNCTION, 1, flags, move |context| Ok(rule.number(context.get_raw(0))))
}

/// Runs blocking work on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    file: &Arc<File>,
    work: impl FnOnce(&File) -> Result<T> + Send + 'static,
) -> Result<T> {
    let file = file.clone();
    tokio::task::spawn_blocking(move || work(&file))
        .await
        .map_err(|error| Error::internal("a database thread ended early").cause(error))?
}

/// A path of a connection: relative ones start at the project's folder.
pub(super) fn resolve(project: &Path, path: &str) -> PathBuf {
    project.join(path)
}
