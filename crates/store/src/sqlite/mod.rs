//! The state in a SQLite file: one connection that writes, a few that read, all work off the async threads.

mod conn;
mod error;
pub(crate) mod files;
mod history;
mod ledger;
mod many;
mod migrate;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidegate_model::error::{Error, Result};
use tokio::sync::Semaphore;

pub(crate) use conn::{Conn, cell};
pub(crate) use error::classify;
pub(crate) use ledger::taken;
use writer::Writer;

/// Reads that may go on at once; more wait. Each has a page cache of its own.
const READERS_MAX: usize = 4;

pub(crate) struct Sqlite {
    path: PathBuf,
    lock_wait: Duration,
    writer: Writer,
    readers: Arc<Mutex<Vec<Conn>>>,
    permits: Arc<Semaphore>,
}

impl Sqlite {
    /// Opens a state file, makes it and its folder if they are missing, and migrates it.
    pub(crate) async fn open(path: &str, lock_wait: Duration) -> Result<Self> {
        if path.is_empty() || path == ":memory:" {
            return Err(Error::config("the state needs a file: sqlite:PATH names none")
                .hint("set `state:` in tidegate.yaml, for example to sqlite:.tidegate/state.db"));
        }
        let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
        let open = path.clone();
        let writer = off(move || {
            files::prepare(&open)?;
            let mut writer = Conn::open(&open, lock_wait)?;
            migrate::migrate(&mut writer)?;
            Ok(writer)
        })
        .await?;
        Ok(Self {
            path,
            lock_wait,
            writer: Writer::new(writer)?,
            readers: Arc::default(),
            permits: Arc::new(Semaphore::new(READERS_MAX)),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// One transaction that writes. It is on disk when this returns.
    pub(crate) async fn write<R, F>(&self, work: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<R> + Send + 'static,
    {
        self.writer.work(move |conn| conn.transaction("BEGIN IMMEDIATE", work)).await
    }

    /// One transaction that reads, at one instant.
    pub(crate) async fn read<R, F>(&self, work: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<R> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| Error::internal("the readers of the state were closed"))?;
        let (readers, path, lock_wait) = (Arc::clone(&self.readers), self.path.clone(), self.lock_wait);
        off(move || {
            let idle = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut conn = match idle {
                Some(conn) => conn,
                None => Conn::open(&path, lock_wait)?,
            };
            let out = conn.transaction("BEGIN", work);
            readers.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
            drop(permit);
            out
        })
        .await
    }

    /// Rewrites the file without its free pages, and empties the log of changes.
    pub(crate) async fn scrub(&self) -> Result<()> {
        self.writer.work(|conn| conn.scrub()).await
    }
}

/// Runs blocking work off the async threads.
pub(crate) async fn off<R: Send + 'static>(work: impl FnOnce() -> Result<R> + Send + 'static) -> Result<R> {
    match tokio::task::spawn_blocking(work).await {
        Ok(out) => out,
        Err(error) => Err(Error::internal("the work on the state file was cut off").cause(error)),
    }
}
