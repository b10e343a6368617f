//! The state in Postgres: a few connections, each with its prepared statements.

mod copy;
mod error;
mod ledger;
mod migrate;
mod session;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidegate_model::error::{Error, Result};
use tidegate_net::postgres::Address;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use error::Place;
pub(crate) use session::Session;

/// Connections of one process: enough for parallel syncs and a listing, few enough for a server of 100.
const SESSIONS_MAX: usize = 6;
/// How long to wait for the server to answer the first time.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a dead network may go unnoticed: a call ends before its lease does.
const SILENCE: Duration = Duration::from_secs(30);

/// What a session is set to.
///
/// Every query of the state has an index, so plans that guess wrong on tables without statistics are switched off: a
/// scan of the ledger must never become a sort of it. A commit is on disk when it returns, whatever the server's
/// default; a lock is waited for a while, and a frozen process does not keep its locks for ever.
const SETTINGS: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; \
    SET enable_mergejoin = off; SET jit = off; SET idle_in_transaction_session_timeout = '60s'; SET client_min_messages = warning; SET timezone = 'UTC'; \
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// What a session is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A transaction that writes.
    Write,
    /// One query.
    Query,
    /// Several queries at one instant.
    Snapshot,
}

pub(crate) struct Postgres {
    config: Config,
    tls: MakeRustlsConnect,
    schema: String,
    lock_wait: Duration,
    place: Arc<Place>,
    idle: Mutex<Vec<Session>>,
    permits: Arc<Semaphore>,
}

impl Postgres {
    /// Connects, and makes or migrates the state's schema.
    pub(crate) async fn open(url: &str, schema: Option<&str>, lock_wait: Duration) -> Result<Self> {
        let address = Address::parse(url, "the state's URL", Path::new(""))?;
        let tls = address.connector()?;
        let shown = address.shown();
        let mut config = address.config;
        config.connect_timeout(CONNECT).tcp_user_timeout(SILENCE).keepalives_idle(SILENCE);
        let place = Arc::new(Place { shown });
        let schema = schema.unwrap_or("tidegate").to_owned();
        let permits = Arc::new(Semaphore::new(SESSIONS_MAX));
        let db = Self { config, tls, schema, lock_wait, place, idle: Mutex::default(), permits };
        let mut session = db.connect(db.permit().await?).await?;
        migrate::migrate(&mut session, &db.schema).await?;
        db.give_back(session);
        Ok(db)
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.map_err(|_| Error::internal("the connections of the state were closed"))
    }

    async fn connect(&self, permit: OwnedSemaphorePermit) -> Result<Session> {
        let (client, connection) =
            self.config.connect(self.tls.clone()).await.map_err(|error| self.place.unreachable(&error))?;
        // Ends when the client is dropped or the server hangs up; a failure shows in the client's next call.
        let _detached = tokio::spawn(connection);
        let path = format!(
            "SET search_path TO {}; SET lock_timeout = {}; {SETTINGS}",
            migrate::quoted(&self.schema),
            self.lock_wait.as_millis()
        );
        let session = Session::new(client, Arc::clone(&self.place), permit);
        session.batch(&path).await?;
        Ok(session)
    }

    fn give_back(&self, session: Session) {
        if !session.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
    }

    /// A session inside a transaction of the mode.
    pub(crate) async fn begin(&self, mode: Mode) -> Result<Session> {
        let begin = match mode {
            Mode::Write => Some("BEGIN"),
            Mode::Snapshot => Some("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
            Mode::Query => None,
        };
        let mut permit = self.permit().await?;
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut session) = idle else { break };
            session.hold(permit);
            if !session.is_closed() {
                match begin {
                    None => return Ok(session),
                    Some(sql) => match session.batch(sql).await {
                        Ok(()) => return Ok(session),
                        // The server hung up while the session was idle: nothing was begun, so a new one is no retry.
                        Err(_) if session.is_closed() => {}
                        Err(error) => return Err(error),
                    },
                }
            }
            drop(session);
            permit = self.permit().await?;
        }
        let session = self.connect(permit).await?;
        if let Some(sql) = begin {
            session.batch(sql).await?;
        }
        Ok(session)
    }

    /// Ends the transaction: committed if the work succeeded, undone if not. A session that is dropped without this
    /// (its caller was cancelled) closes its connection, which undoes its transaction too.
    pub(crate) async fn end<R>(&self, mut session: Session, mode: Mode, out: Result<R>) -> Result<R> {
        let ended = match (mode, &out) {
            (Mode::Query, _) => Ok(()),
            (_, Ok(_)) => session.commit().await,
            (_, Err(_)) => session.batch("ROLLBACK").await,
        };
        session.let_go();
        match (out, ended) {
            (Ok(out), Ok(())) => {
                self.give_back(session);
                Ok(out)
            }
            (Ok(_), Err(error)) => Err(error),
            (Err(error), Ok(())) => {
                self.give_back(session);
                Err(error)
            }
            // The session is dropped, and the server rolls back.
            (Err(error), Err(_)) => Err(error),
        }
    }

    /// Frees dead rows of the tables that hold data of persons.
    pub(crate) async fn scrub(&self) -> Result<()> {
        let mut session = self.begin(Mode::Query).await?;
        let out =
            session.batch("VACUUM ledger, details, history, rejects, conflicts, logs, runs, intents, planned").await;
        session.let_go();
        self.give_back(session);
        out
    }
}
