//! What an error of Postgres means.

use tidegate_model::error::{Error, ErrorKind};
use tokio_postgres::error::{DbError, SqlState};

/// Which Postgres, for messages.
#[derive(Debug)]
pub(crate) struct Place {
    /// Host and database, without login.
    pub(crate) shown: String,
}

impl Place {
    /// An error while connecting.
    pub(crate) fn unreachable(&self, error: &tokio_postgres::Error) -> Error {
        if let Some(db) = error.as_db_error() {
            return self.said(db);
        }
        // The driver has a kind for this, but shows it only in its text.
        if error.to_string().starts_with("error performing TLS handshake") {
            return Error::config(format!("no encrypted line to the state's Postgres at {} could be made", self.shown))
                .hint(
                    "check sslmode and sslrootcert in the state's URL, and the server's certificate and `ssl` setting",
                )
                .cause(causes(error));
        }
        Error::new(ErrorKind::Unavailable, format!("the state's Postgres at {} cannot be reached", self.shown))
            .hint("check that it runs, that host and port in the state's URL are right, and that the network lets us through")
            .cause(causes(error))
    }

    /// An error of a statement.
    pub(crate) fn classify(&self, error: &tokio_postgres::Error) -> Error {
        match error.as_db_error() {
            Some(db) => self.said(db),
            None if error.is_closed() || io(error) => {
                Error::new(ErrorKind::Unavailable, format!("the connection to the state at {} was lost", self.shown))
                    .hint("run again: what was not settled is resumed")
                    .cause(causes(error))
            }
            None => Error::internal(format!("a statement of tidegate failed in the state at {}", self.shown))
                .cause(causes(error)),
        }
    }

    /// An error of a commit: without the server's word nobody knows whether it was carried out.
    pub(crate) fn lost_commit(&self, error: &tokio_postgres::Error) -> Error {
        if error.as_db_error().is_some() {
            return self.classify(error);
        }
        let message = format!("the connection to the state at {} was lost while it committed", self.shown);
        Error::new(ErrorKind::Lost, message).hint("run again: it resumes from what is stored").cause(causes(error))
    }

    /// What the server said. Its detail may hold values and is left out.
    fn said(&self, db: &DbError) -> Error {
        let at = &self.shown;
        let new = |kind, text: String, hint: &str| Error::new(kind, text).hint(hint).cause(db.message());
        let code = db.code();
        if *code == SqlState::DISK_FULL {
            // The server's own words name its file and the bytes that did not fit.
            return new(
                ErrorKind::DiskFull,
                format!("no space left on the server of the state at {at}"),
                "free space there, then run again: nothing that was settled is lost, the rest is resumed",
            );
        }
        if [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE]
            .contains(code)
        {
            return new(
                ErrorKind::Locked,
                format!("a row of the state at {at} is locked by another process"),
                "try again; if it stays, look for a session that is idle in a transaction",
            );
        }
        match code.code().get(..2) {
            Some("28") => new(
                ErrorKind::Unauthorized,
                format!("the state's Postgres at {at} refuses our login"),
                "check user and password in the state's URL",
            ),
            Some("3D") => new(
                ErrorKind::NotFound,
                format!("the database of the state at {at} does not exist"),
                "make it with CREATE DATABASE, or correct the state's URL",
            ),
            Some("53" | "57" | "08") => new(
                ErrorKind::Unavailable,
                format!("the state's Postgres at {at} cannot serve us now"),
                "try again when it is up; check its limit of connections",
            ),
            Some("42") if *code == SqlState::INSUFFICIENT_PRIVILEGE => new(
                ErrorKind::Forbidden,
                format!("a right is missing in the state at {at}"),
                "let the user make a schema (GRANT CREATE ON DATABASE … TO …), or own the state's schema",
            ),
            _ => Error::internal(format!("a statement of tidegate failed in the state at {at} ({})", code.code()))
                .cause(db.message()),
        }
    }
}

fn io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
}

/// The error with those below it, as text.
fn causes(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut below = std::error::Error::source(error);
    while let Some(source) = below {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        below = source.source();
    }
    text
}
