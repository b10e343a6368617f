//! SQLite's errors, classified.

use std::path::Path;

use rusqlite::ffi;
use tidegate_model::change::FieldReject;
use tidegate_model::{Error, ErrorKind};

/// An error of a call on the database file.
pub(super) fn classify(error: &rusqlite::Error, path: &Path, doing: &str) -> Error {
    let at =
        |kind: ErrorKind, what: &str| Error::new(kind, format!("{doing} in {}: {what}", path.display())).cause(error);
    let Some(code) = error.sqlite_error_code() else {
        return match error {
            rusqlite::Error::MultipleStatement => {
                at(ErrorKind::Config, "the query has more than one statement").hint("leave one SELECT in `query:`")
            }
            _ => at(ErrorKind::BadRequest, "SQLite refuses the call"),
        };
    };
    match code {
        rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked => {
            at(ErrorKind::Locked, "another program holds a lock on the file")
                .hint("end the other program's transaction, or raise busy_timeout_ms")
        }
        rusqlite::ErrorCode::DiskFull => at(ErrorKind::DiskFull, "no space left").hint(space_hint(path)),
        rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::PermissionDenied => {
            at(ErrorKind::Forbidden, "the file may not be written")
                .hint("give tidegate's user the right to write the file and its folder")
        }
        rusqlite::ErrorCode::CannotOpen => at(ErrorKind::Unavailable, "the file cannot be opened")
            .hint("check that tidegate's user may read the file and its folder"),
        rusqlite::ErrorCode::NotADatabase => {
            at(ErrorKind::Config, "the file is not a SQLite database").hint("check `path:` of the connection")
        }
        rusqlite::ErrorCode::DatabaseCorrupt => {
            at(ErrorKind::Data, "the file is damaged").hint("restore it, or try `sqlite3 FILE .recover`")
        }
        rusqlite::ErrorCode::OperationInterrupted => at(ErrorKind::Cancelled, "the call was ended"),
        rusqlite::ErrorCode::SystemIoFailure => at(ErrorKind::Unavailable, "the disk cannot be read or written"),
        rusqlite::ErrorCode::ConstraintViolation => at(ErrorKind::Data, "a constraint of the database refuses it"),
        rusqlite::ErrorCode::SchemaChanged => at(ErrorKind::SchemaChanged, "a table changed meanwhile"),
        _ => by_text(error, &at),
    }
}

fn by_text(error: &rusqlite::Error, at: &dyn Fn(ErrorKind, &str) -> Error) -> Error {
    let text = error.to_string();
    if text.contains("no such table") || text.contains("no such view") {
        at(ErrorKind::NotFound, "a table is not there")
    } else if text.contains("no such column") {
        at(ErrorKind::SchemaChanged, "a column is not there").hint("run `tidegate check`")
    } else if text.contains("readonly database") || text.contains("query_only") {
        at(ErrorKind::Forbidden, "a query may only read")
    } else {
        at(ErrorKind::BadRequest, "SQLite refuses the call")
    }
}

fn space_hint(path: &Path) -> String {
    let bytes = std::fs::metadata(path).map_or(0, |meta| meta.len());
    format!("free space for {} ({bytes} bytes now); nothing of this call was kept", path.display())
}

/// The reject of one row, if the error is about the row alone. Never holds a value: SQLite names columns only.
pub(super) fn row_reject(error: &rusqlite::Error) -> Option<FieldReject> {
    let rusqlite::Error::SqliteFailure(failure, message) = error else { return None };
    let text = message.clone().unwrap_or_default();
    let named = text.rsplit(": ").next().unwrap_or("").to_owned();
    let column = named.rsplit('.').next().filter(|_| named.contains('.') && !named.contains(','));
    let of = |rule: &str, reason: &str| {
        Some(FieldReject { field: column.map(str::to_owned), rule: rule.to_owned(), reason: reason.to_owned() })
    };
    match failure.extended_code {
        ffi::SQLITE_CONSTRAINT_NOTNULL => of("not_null", "the column does not take NULL"),
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            of("unique", "another row has this value already")
        }
        ffi::SQLITE_CONSTRAINT_CHECK => {
            Some(FieldReject::record("check", format!("the table's check refuses the row: {named}")))
        }
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => {
            Some(FieldReject::record("foreign_key", "the row points to a row that is not there, or is pointed to"))
        }
        ffi::SQLITE_CONSTRAINT_DATATYPE => {
            Some(FieldReject::record("wrong_type", "a column of this STRICT table does not take the value"))
        }
        ffi::SQLITE_CONSTRAINT_TRIGGER => {
            Some(FieldReject::record("trigger", "a trigger of the table refuses the row"))
        }
        ffi::SQLITE_TOOBIG => Some(FieldReject::record("too_long", "the row is larger than the database takes")),
        _ => None,
    }
}
