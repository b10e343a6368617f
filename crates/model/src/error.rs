//! Errors: what happened, whose move it is, whether to try again, and what to do next.

use std::fmt;
use std::time::Duration;

/// The closed list of what can go wrong. Matched exhaustively in one place, the engine's retry policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// A project file or an option is wrong.
    Config,
    /// The other side refuses our credentials (401, or a 403 that names no record).
    Unauthorized,
    /// The credentials are good but a right is missing.
    Forbidden,
    /// A relation, column, model, field or record that was named is not there.
    NotFound,
    /// The source or target changed its shape: a column dropped or retyped.
    SchemaChanged,
    /// The other side refuses the content of a whole call (4xx), nothing was taken.
    BadRequest,
    /// The change history that was asked for has expired, or its stream went stale: only a full read helps.
    HistoryGone,
    /// Told to slow down (429).
    RateLimited,
    /// The other side is down or broken (5xx) before it took anything.
    Unavailable,
    /// The answer was lost: the call may or may not have been carried out.
    Lost,
    /// A lease or a fence row says that another run owns this sync now.
    LeaseLost,
    /// A different store drives this sync into the same target.
    ForeignStore,
    /// The database file or row is locked by somebody else.
    Locked,
    /// No space left, or the quota of a disk is reached.
    DiskFull,
    /// A guard stopped the run.
    Guard,
    /// Data breaks what the mode of reading needs (keys that do not ascend, a maximum below the cursor).
    Data,
    /// The run was asked to stop.
    Cancelled,
    /// A bug of ours.
    Internal,
}

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// The person who runs tidegate: configuration, rights, data.
    User,
    /// The system on the other side.
    Remote,
    /// Us: a bug.
    Tidegate,
}

/// Whether and how to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Trying again changes nothing.
    No,
    /// Try again with back-off; not before the given wait if the other side named one.
    After(Option<Duration>),
    /// The call may have been carried out: only a keyed (idempotent) call may be sent again.
    IfKeyed,
}

/// An error that a person can act on. Never holds a secret or a row's value.
#[derive(Debug, Clone)]
pub struct Error {
    /// What kind of thing went wrong.
    pub kind: ErrorKind,
    /// What happened and where, one sentence.
    pub message: String,
    /// What to do next, one sentence.
    pub hint: Option<String>,
    /// How long the other side asked us to wait.
    pub retry_after: Option<Duration>,
    /// The cause below, as text (already free of secrets).
    pub cause: Option<String>,
}

/// The result of everything that can fail for a reason outside of the code.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error of a kind, with its one-sentence message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, retry_after: None, cause: None }
    }
    /// Configuration that cannot work.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }
    /// A bug of ours: an invariant that does not hold.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message).hint("this is a bug in tidegate; please report it with the run's log")
    }
    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// Adds the cause below.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }
    /// Puts where it happened before the message, as in "read crm.companies: …".
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
    /// The stable word for scripts (`error.code`).
    pub fn code(&self) -> &'static str {
        match self.kind {
            ErrorKind::Config => "config",
            ErrorKind::Unauthorized => "unauthorized",
            ErrorKind::Forbidden => "forbidden",
            ErrorKind::NotFound => "not_found",
            ErrorKind::SchemaChanged => "schema_changed",
            ErrorKind::BadRequest => "bad_request",
            ErrorKind::HistoryGone => "history_gone",
            ErrorKind::RateLimited => "rate_limited",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Lost => "lost",
            ErrorKind::LeaseLost => "lease_lost",
            ErrorKind::ForeignStore => "foreign_store",
            ErrorKind::Locked => "locked",
            ErrorKind::DiskFull => "disk_full",
            ErrorKind::Guard => "guard",
            ErrorKind::Data => "data",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Internal => "internal",
        }
    }
    /// Whose move it is.
    pub fn party(&self) -> Party {
        match self.kind {
            ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Lost => Party::Remote,
            ErrorKind::Internal => Party::Tidegate,
            ErrorKind::Config
            | ErrorKind::Unauthorized
            | ErrorKind::Forbidden
            | ErrorKind::NotFound
            | ErrorKind::SchemaChanged
            | ErrorKind::BadRequest
            | ErrorKind::HistoryGone
            | ErrorKind::LeaseLost
            | ErrorKind::ForeignStore
            | ErrorKind::Locked
            | ErrorKind::DiskFull
            | ErrorKind::Guard
            | ErrorKind::Data
            | ErrorKind::Cancelled => Party::User,
        }
    }
    /// Whether to try again.
    pub fn retry(&self) -> Retry {
        match self.kind {
            ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Locked => Retry::After(self.retry_after),
            ErrorKind::Lost => Retry::IfKeyed,
            ErrorKind::Config
            | ErrorKind::Unauthorized
            | ErrorKind::Forbidden
            | ErrorKind::NotFound
            | ErrorKind::SchemaChanged
            | ErrorKind::BadRequest
            | ErrorKind::HistoryGone
            | ErrorKind::LeaseLost
            | ErrorKind::ForeignStore
            | ErrorKind::DiskFull
            | ErrorKind::Guard
            | ErrorKind::Data
            | ErrorKind::Cancelled
            | ErrorKind::Internal => Retry::No,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
