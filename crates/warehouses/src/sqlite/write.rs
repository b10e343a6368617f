//! The transaction that every write shares: lock, fence row, span row, commit.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_model::failpoint::hit;
use tidegate_model::span::{Fence, OpId};
use tidegate_model::{Error, Result};

use super::client::File;
use crate::fence::{Held, SPAN_DAYS_MAX, Step, judge};

/// A write transaction. Dropped without [`Txn::commit`], nothing of it stays.
pub(super) struct Txn<'a> {
    pub(super) connection: &'a Connection,
    pub(super) file: &'a File,
    open: bool,
}

impl<'a> Txn<'a> {
    /// Takes the file's write lock and our right to write.
    pub(super) fn begin(connection: &'a Connection, file: &'a File, fence: &Fence) -> Result<Self> {
        let txn = Self::lock(connection, file)?;
        match judge(&txn.held(&fence.sync)?, fence)? {
            Step::Keep => {}
            Step::Insert | Step::Raise => txn.hold(fence)?,
        }
        Ok(txn)
    }

    /// Takes the file's write lock, and makes our tables where they are missing.
    pub(super) fn lock(connection: &'a Connection, file: &'a File) -> Result<Self> {
        let begin = || -> rusqlite::Result<()> {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            connection.execute_batch(&format!(
                "CREATE TABLE IF NOT EXISTS {} (sync TEXT PRIMARY KEY, store TEXT NOT NULL, epoch INTEGER NOT NULL) WITHOUT ROWID; \
                 CREATE TABLE IF NOT EXISTS {} (op TEXT PRIMARY KEY, sync TEXT NOT NULL, result TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;",
                file.fence, file.span
            ))
        };
        let txn = Self { connection, file, open: true };
        begin().map_err(|error| txn.error(&error, "begin a write"))?;
        Ok(txn)
    }

    pub(super) fn error(&self, error: &rusqlite::Error, doing: &str) -> Error {
        self.file.error(error, doing)
    }

    fn held(&self, sync: &str) -> Result<Held> {
        let sql = format!("SELECT store, epoch FROM {} WHERE sync = ?1", self.file.fence);
        self.connection
            .query_row(&sql, [sync], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(|error| self.error(&error, "read the fence row"))
    }

    /// Sets the fence row to ours.
    pub(super) fn hold(&self, fence: &Fence) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (sync, store, epoch) VALUES (?1, ?2, ?3) \
             ON CONFLICT (sync) DO UPDATE SET store = excluded.store, epoch = excluded.epoch",
            self.file.fence
        );
        self.connection
            .execute(&sql, params![fence.sync, fence.store, fence.epoch])
            .map_err(|error| self.error(&error, "write the fence row"))?;
        Ok(())
    }

    /// The result of an operation that was carried out before.
    pub(super) fn told<T: DeserializeOwned>(&self, op: &OpId) -> Result<Option<T>> {
        let sql = format!("SELECT result FROM {} WHERE op = ?1", self.file.span);
        let text: Option<String> = self
            .connection
            .query_row(&sql, [&op.0], |row| row.get(0))
            .optional()
            .map_err(|error| self.error(&error, "read the span row"))?;
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| Error::internal("a span row cannot be read").cause(error))
    }

    /// Writes the span row and commits.
    pub(super) fn finish<T: Serialize>(self, op: &OpId, sync: &str, result: &T) -> Result<()> {
        let text = serde_json::to_string(result)
            .map_err(|error| Error::internal("a span row cannot be written").cause(error))?;
        let write = || -> rusqlite::Result<()> {
            let span = &self.file.span;
            self.connection.execute(
                &format!("INSERT INTO {span} (op, sync, result, at) VALUES (?1, ?2, ?3, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))"),
                params![op.0, sync, text],
            )?;
            let old = format!("DELETE FROM {span} WHERE sync = ?1 AND at < strftime('%Y-%m-%dT%H:%M:%SZ', 'now', ?2)");
            self.connection.execute(&old, params![sync, format!("-{SPAN_DAYS_MAX} days")])?;
            Ok(())
        };
        write().map_err(|error| self.error(&error, "write the span row"))?;
        self.commit()
    }

    /// Makes it last. An error says that nothing was kept: SQLite commits all or nothing.
    pub(super) fn commit(mut self) -> Result<()> {
        hit("sqlite.before_commit");
        self.connection.execute_batch("COMMIT").map_err(|error| self.error(&error, "commit"))?;
        self.open = false;
        hit("sqlite.after_commit");
        Ok(())
    }
}

impl Drop for Txn<'_> {
    fn drop(&mut self) {
        if self.open && !self.connection.is_autocommit() {
            // If even this fails, closing the connection rolls back.
            let _closing_rolls_back = self.connection.execute_batch("ROLLBACK");
        }
    }
}
