//! Errors of both databases, classified.

use std::error::Error as _;
use std::path::Path;

use rusqlite::ErrorCode;
use tidegate_model::{Error, ErrorKind};

/// An error of SQLite on this file.
pub fn sqlite(path: &Path, error: rusqlite::Error) -> Error {
    let code = error.sqlite_error_code();
    let file = path.display();
    let (kind, message, hint) = match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ErrorKind::Locked,
            format!("the hub file {file} is locked by another process"),
            "close the program that holds it open, or wait until its run has ended",
        ),
        Some(ErrorCode::DiskFull) => (
            ErrorKind::DiskFull,
            format!("no space left for the hub file {file}{}", size_of(path)),
            "free space on that disk, then run again; nothing of this call was kept",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => (
            ErrorKind::Forbidden,
            format!("the hub file {file} may not be written"),
            "give the user that runs tidegate the right to write the file and its folder",
        ),
        Some(ErrorCode::CannotOpen) => (
            ErrorKind::Forbidden,
            format!("the hub file {file} cannot be opened"),
            "check that the folder exists and that the user that runs tidegate may write there",
        ),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => (
            ErrorKind::Data,
            format!("the hub file {file} is not a sound SQLite database"),
            "restore it from a backup, or name another file in the connection's url",
        ),
        Some(ErrorCode::SystemIoFailure) => (
            ErrorKind::Unavailable,
            format!("the disk failed under the hub file {file}"),
            "check the disk; nothing of this call was kept",
        ),
        Some(ErrorCode::ConstraintViolation) => (
            ErrorKind::BadRequest,
            format!("the hub file {file} refuses a row"),
            "run again; if it stays, please report it with the run's log",
        ),
        _ => (
            ErrorKind::Internal,
            format!("a statement on the hub file {file} failed"),
            "this is a bug in tidegate; please report it with the run's log",
        ),
    };
    Error::new(kind, message).hint(hint).cause(error)
}

fn size_of(path: &Path) -> String {
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let (file, log) = (bytes(path), bytes(Path::new(&wal)));
    format!(" ({file} bytes, and {log} bytes of its log)")
}

/// An error of Postgres; `place` names server and database.
pub fn postgres(place: &str, error: &tokio_postgres::Error) -> Error {
    let Some(db) = error.as_db_error() else {
        let lost = error.is_closed() || error.source().is_some_and(|e| e.is::<std::io::Error>());
        let kind = if lost { ErrorKind::Unavailable } else { ErrorKind::Internal };
        let hint = if lost {
            "check that the server runs and can be reached from here"
        } else {
            "this is a bug in tidegate; please report it with the run's log"
        };
        return Error::new(kind, format!("the hub's database {place} failed")).hint(hint).cause(chain(error));
    };
    let code = db.code().code();
    let (kind, hint) = match code.get(..2).unwrap_or("") {
        "28" => (ErrorKind::Unauthorized, "check user and password in the connection's url"),
        "3D" => (ErrorKind::NotFound, "create the database, or correct its name in the connection's url"),
        "08" => (ErrorKind::Unavailable, "check that the server runs and can be reached from here"),
        "40" => (ErrorKind::Locked, "run again: two writers met"),
        "57" if code == "57014" => (ErrorKind::Unavailable, "the server cancelled the statement: see its timeouts"),
        "57" => (ErrorKind::Unavailable, "the server is starting or stopping; run again"),
        "53" if code == "53100" => (ErrorKind::DiskFull, "free space on the database server, then run again"),
        "53" => (ErrorKind::Unavailable, "the server is out of connections or memory; run again later"),
        "25" if code == "25006" => (ErrorKind::Forbidden, "the server is read-only: use its primary"),
        _ => match code {
            "42501" => (ErrorKind::Forbidden, "grant the user the right to create and write tables in its schema"),
            "3F000" => (ErrorKind::NotFound, "create the schema, or correct search_path in the connection's url"),
            "55P03" => (ErrorKind::Locked, "another transaction holds the hub's tables; run again"),
            _ => (ErrorKind::Internal, "this is a bug in tidegate; please report it with the run's log"),
        },
    };
    // The server's detail line may quote a row's values; its message does not.
    Error::new(kind, format!("the hub's database {place} refused a statement"))
        .hint(hint)
        .cause(format!("{} ({code})", db.message()))
}

/// A connection that could not be made.
pub fn connect(place: &str, error: &tokio_postgres::Error) -> Error {
    if error.as_db_error().is_some() {
        return postgres(place, error);
    }
    Error::new(ErrorKind::Unavailable, format!("cannot connect to the hub's database {place}"))
        .hint("check host, port and TLS in the connection's url, and that the server can be reached from here")
        .cause(chain(error))
}

fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        text = format!("{text}: {cause}");
        below = cause.source();
    }
    text
}
