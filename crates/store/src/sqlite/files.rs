//! The files of a SQLite state: private to their owner.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind as Io, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::secret::Secret;

/// Only the owner reads and writes.
const PRIVATE: u32 = 0o600;

/// A path with something appended to its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Bytes of a file; 0 if it is not there.
pub(crate) fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Makes the folder and an empty file, and closes an existing file to others. SQLite gives its -wal and -shm files
/// the rights of the file itself.
pub(crate) fn prepare(path: &Path) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| refused(folder, &error))?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == Io::AlreadyExists => close_to_others(path),
        Err(error) => Err(refused(path, &error)),
    }
}

fn close_to_others(path: &Path) -> Result<()> {
    let meta = fs::metadata(path).map_err(|error| refused(path, &error))?;
    if meta.is_dir() {
        return Err(Error::config(format!("the state's path {} is a folder", path.display()))
            .hint("name a file, for example .tidegate/state.db"));
    }
    if meta.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(PRIVATE)).map_err(|error| refused(path, &error))?;
    }
    Ok(())
}

/// What the system's refusal to touch a file means.
fn refused(path: &Path, error: &std::io::Error) -> Error {
    let shown = path.display();
    match error.kind() {
        Io::StorageFull | Io::QuotaExceeded => super::error::full(path),
        Io::PermissionDenied | Io::ReadOnlyFilesystem => {
            Error::new(ErrorKind::Forbidden, format!("{shown} cannot be written")).cause(error).hint(
                "give this user the right to write there, or choose another place with `state:` or TIDEGATE_STATE",
            )
        }
        Io::NotADirectory | Io::AlreadyExists => {
            Error::config(format!("{shown} cannot be made: a part of the path is a file")).cause(error)
        }
        _ => Error::new(ErrorKind::Unavailable, format!("{shown} cannot be opened")).cause(error),
    }
}

/// The content of a private file, if it is there. One that others may read is refused: its content is no secret.
pub(crate) fn read_private(path: &Path) -> Result<Option<String>> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == Io::NotFound => return Ok(None),
        Err(error) => return Err(refused(path, &error)),
    };
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(Error::new(ErrorKind::Forbidden, format!("the key file {} can be read by others", path.display()))
            .hint(format!("run `chmod 600 {}`; if somebody may have read it, rotate the key", path.display())));
    }
    fs::read_to_string(path).map(Some).map_err(|error| refused(path, &error))
}

/// Writes a private file, replacing one that is there; on disk when it returns.
pub(crate) fn write_private(path: &Path, secret: &Secret) -> Result<()> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE).open(path)?;
        file.set_permissions(Permissions::from_mode(PRIVATE))?;
        file.write_all(secret.expose().as_bytes())?;
        file.sync_all()?;
        sync_folder(path)
    };
    write().map_err(|error| refused(path, &error))
}

/// Writes a private file unless somebody else was faster; what the file holds then. It appears with its content or
/// not at all.
pub(crate) fn write_private_once(path: &Path, secret: &Secret) -> Result<Secret> {
    let draft = with_suffix(path, &format!(".{}", std::process::id()));
    write_private(&draft, secret)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(|error| refused(&draft, &error))?;
    match linked {
        Ok(()) => {}
        Err(error) if error.kind() == Io::AlreadyExists => {}
        Err(error) => return Err(refused(path, &error)),
    }
    sync_folder(path).map_err(|error| refused(path, &error))?;
    match read_private(path)? {
        Some(text) => Ok(Secret::new(text)),
        None => Err(refused(path, &Io::NotFound.into())),
    }
}

/// Puts one file in the place of another, for good.
pub(crate) fn replace(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).and_then(|()| sync_folder(to)).map_err(|error| refused(to, &error))
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
