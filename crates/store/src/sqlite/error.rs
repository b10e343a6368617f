//! What an error of SQLite means.

use std::path::Path;

use rusqlite::ErrorCode;
use rusqlite::ffi;
use tidegate_model::error::{Error, ErrorKind};

use super::files;

/// Classifies an error of SQLite on the state file.
pub(crate) fn classify(path: &Path, error: &rusqlite::Error) -> Error {
    let shown = path.display();
    let Some(code) = error.sqlite_error() else {
        return Error::internal(format!("state file {shown}: a statement of tidegate failed")).cause(error);
    };
    match (code.code, code.extended_code) {
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => {
            Error::new(ErrorKind::Locked, format!("state file {shown} is locked by another process")).hint(
                "end whoever holds it (another tidegate, a sqlite3 shell with an open transaction), then try again",
            )
        }
        // The file of shared memory cannot grow: the disk is full, SQLite only says so differently.
        (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => full(path),
        (ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt, _) => {
            Error::new(ErrorKind::Data, format!("state file {shown} is damaged, or not a SQLite file"))
                .hint("restore it from a backup (`tidegate state restore`), or move it away and run the syncs in full")
        }
        (ErrorCode::CannotOpen, _) => Error::new(ErrorKind::NotFound, format!("state file {shown} cannot be opened"))
            .hint("check that its folder exists and that this user may write there"),
        (ErrorCode::ReadOnly | ErrorCode::PermissionDenied, _) => {
            Error::new(ErrorKind::Forbidden, format!("state file {shown} cannot be written"))
                .hint("give this user the right to write the file and its folder")
        }
        (ErrorCode::SystemIoFailure, _) => {
            Error::new(ErrorKind::Unavailable, format!("state file {shown}: the disk failed to read or write"))
                .hint("check the disk and its free space")
                .cause(code)
        }
        _ => Error::internal(format!("state file {shown}: a statement of tidegate failed")).cause(code),
    }
}

/// No space left, with the sizes of what is there.
pub(crate) fn full(path: &Path) -> Error {
    let size = files::size(path);
    let log = files::size(&files::with_suffix(path, "-wal"));
    let message = format!(
        "no space left for state file {} ({size} bytes, and {log} bytes of changes in its -wal file)",
        path.display()
    );
    Error::new(ErrorKind::DiskFull, message).hint(
        "free space on that disk, or raise its quota, then run again: nothing that was settled is lost, the rest is resumed",
    )
}
