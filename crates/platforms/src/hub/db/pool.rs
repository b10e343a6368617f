//! The hub's connections: opened when first needed, given back when clean, one writer at a time on a file.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_model::{Error, Result};

use super::sqlite::Sqlite;
use super::{Session, postgres};

/// Idle connections that are kept: a writer, a read on the side, one to spare.
const IDLE_MAX: usize = 3;

/// Where the hub is.
#[derive(Debug, Clone)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// A Postgres database.
    Server(Box<postgres::Server>),
}

/// The connections of one hub. Cheap to clone.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    place: Place,
    idle: Mutex<Vec<Box<dyn Session>>>,
    /// SQLite takes one writer at a time; waiting here is fair, waiting in its busy handler is not.
    writer: Arc<tokio::sync::Mutex<()>>,
}

impl Pool {
    /// A pool without connections yet.
    pub fn new(place: Place) -> Self {
        Self(Arc::new(Inner { place, idle: Mutex::default(), writer: Arc::default() }))
    }

    /// The place, for messages; never with a password.
    pub fn place(&self) -> String {
        match &self.0.place {
            Place::File(path) => path.display().to_string(),
            Place::Server(server) => server.name.clone(),
        }
    }

    fn idle(&self) -> Option<Box<dyn Session>> {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(session) = idle.pop() {
            if session.usable() {
                return Some(session);
            }
        }
        None
    }

    /// A connection.
    pub async fn take(&self) -> Result<Box<dyn Session>> {
        if let Some(session) = self.idle() {
            return Ok(session);
        }
        match &self.0.place {
            Place::File(path) => {
                let path = path.clone();
                let opened = blocking(move || Sqlite::open(&path)).await??;
                Ok(Box::new(opened))
            }
            Place::Server(server) => Ok(Box::new(postgres::connect(server).await?)),
        }
    }

    /// Gives a connection back.
    pub fn give(&self, session: Box<dyn Session>) {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if session.usable() && idle.len() < IDLE_MAX {
            idle.push(session);
        }
    }

    /// Runs reads on a connection, away from the async threads.
    pub async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Session) -> Result<T> + Send + 'static,
    {
        let mut session = self.take().await?;
        let pool = self.clone();
        blocking(move || {
            let done = work(session.as_mut());
            pool.give(session);
            done
        })
        .await?
    }

    /// Runs a write: one transaction, rolled back if the work fails. `before` and `after` the commit tests may stop
    /// the process.
    pub async fn write<T, F>(&self, points: [&'static str; 2], work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Session) -> Result<T> + Send + 'static,
    {
        let alone = match self.0.place {
            Place::File(_) => Some(self.0.writer.clone().lock_owned().await),
            Place::Server(_) => None,
        };
        self.run(move |session| {
            let _alone = alone;
            session.begin()?;
            let done = work(session).and_then(|done| {
                tidegate_model::failpoint::hit(points[0]);
                session.commit()?;
                Ok(done)
            });
            match done {
                Ok(done) => {
                    tidegate_model::failpoint::hit(points[1]);
                    Ok(done)
                }
                Err(error) => {
                    session.rollback();
                    Err(error)
                }
            }
        })
        .await
    }
}

/// Runs blocking work on a thread of its own.
pub async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("a thread of the hub ended early").cause(e))
}
