//! Connections: one per call, a few kept for the next.

use std::sync::Mutex;
use std::time::Duration;

use tidegate_model::{Error, ErrorKind, Result};
use tidegate_net::postgres::Address;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::errors::classify;

/// Connections kept for the next call: a run reads and writes at once, and looks things up.
const IDLE_MAX: usize = 3;
/// A server that does not answer within this time is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection to the server. Dropping it ends it at once, whatever it is doing.
pub(super) struct Session {
    pub(super) client: Client,
    line: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        // The task would otherwise read all that is still on its way first.
        self.line.abort();
    }
}

/// A database and how it may be used.
pub(super) struct Server {
    address: Address,
    tls: Option<MakeRustlsConnect>,
    idle: Mutex<Vec<Session>>,
    pub(super) write: bool,
    /// Name of the connection, for messages.
    pub(super) name: String,
    /// Schema of our own tables.
    pub(super) work_schema: String,
}

impl Server {
    pub(super) fn new(address: Address, write: bool, name: String, work_schema: String) -> Result<Self> {
        let secure = address.config.get_ssl_mode() != tokio_postgres::config::SslMode::Disable;
        let tls = if secure { Some(address.connector()?) } else { None };
        Ok(Self { address, tls, idle: Mutex::new(Vec::new()), write, name, work_schema })
    }

    /// A connection, kept from an earlier call or new.
    pub(super) async fn session(&self) -> Result<Session> {
        let kept = || self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        while let Some(session) = kept() {
            if !session.client.is_closed() {
                return Ok(session);
            }
        }
        self.connect().await
    }

    /// Gives a connection back whose transaction has ended.
    pub(super) fn keep(&self, session: Session) {
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if idle.len() < IDLE_MAX && !session.client.is_closed() {
            idle.push(session);
        }
    }

    async fn connect(&self) -> Result<Session> {
        let mut config = self.address.config.clone();
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        let doing = format!("connect to postgres://{}", self.address.shown());
        let fail = |error: tokio_postgres::Error| classify(&error, &doing);
        // Errors of the line itself reach every call on it.
        let (client, line) = match &self.tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await.map_err(fail)?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
            None => {
                let (client, connection) = config.connect(NoTls).await.map_err(fail)?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
        };
        let session = Session { client, line };
        let read_only = if self.write { "off" } else { "on" };
        // Literals of COPY commands are quoted for this setting, whatever the database's own is.
        let settings = format!(
            "SET standard_conforming_strings = on; SET default_transaction_read_only = {read_only}; \
             SET idle_in_transaction_session_timeout = '10min'"
        );
        session.client.batch_execute(&settings).await.map_err(fail)?;
        Ok(session)
    }

    /// Asks the server to stop what a session does.
    pub(super) fn cancel(&self, token: tokio_postgres::CancelToken) {
        let tls = self.tls.clone();
        // Best effort: the connection is closed as well.
        tidegate_net::farewell::say(async move {
            let _closed_anyway = match tls {
                Some(tls) => token.cancel_query(tls).await,
                None => token.cancel_query(NoTls).await,
            };
        });
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
