//! `state backup|restore|migrate`

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};
use tidegate_model::secret::redact_url;
use tidegate_model::{Error, ErrorKind, Result};

use crate::app::{App, Ending, Failure, block_on};
use crate::out::Object;
use crate::{project, workshop};

/// Pages copied between two looks at the lock: runs go on during a backup.
const PAGES_AT_ONCE: i32 = 1_000;

/// What to do.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate state backup state-2026-01-31.db     while syncs go on running
  tidegate state restore state-2026-01-31.db --yes
  TIDEGATE_STATE=postgres://… tidegate state restore state-2026-01-31.db --yes    moves it
  tidegate state migrate                        to the form of this version
")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Copy the state into a file (always a SQLite one, wherever the state is)
    Backup {
        /// The new file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Put a copy in the state's place
    Restore {
        /// A file made by `state backup`
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Really do it: what the state holds now is lost
        #[arg(long)]
        yes: bool,
    },
    /// Bring the state to the form of this version
    Migrate,
}

/// Copies, restores, migrates.
pub fn run(app: &App, args: &Args) -> Ending {
    let root = project::root(app)?;
    let root = std::path::absolute(&root).unwrap_or(root);
    let url = project::state_url(&root, &project::load(&root)?)?;
    let mut line = Object::default();
    match &args.what {
        What::Migrate => {
            block_on(async { Ok(workshop::open_store(&url).await.map(drop)?) })?;
            line.put("state", redact_url(&url)).put("migrated", true);
            app.out.note("the state has the form of this version");
        }
        What::Backup { file } => {
            if file.exists() {
                return Err(Error::config(format!("{} is there already", file.display()))
                    .hint("name a new file")
                    .into());
            }
            let key = backup(&url, file)?;
            line.put("backup", file.display().to_string());
            app.out.note(&format!("copied to {}; {key}", file.display()));
        }
        What::Restore { file, yes } => {
            if !yes {
                return Err(Error::config(format!("restore would replace {}", redact_url(&url)))
                    .hint("stop what runs on it, then say --yes; what it holds now is lost")
                    .into());
            }
            restore(file, &url)?;
            line.put("restored", file.display().to_string());
            app.out.note("restored; what was delivered since that copy will be found again by the next full runs");
        }
    }
    if app.out.json {
        app.out.json(&line)?;
    }
    Ok(0)
}

/// A copy of a state in a new file that only its owner can read.
pub async fn copied(url: &str, file: &Path) -> Result<(), Failure> {
    make_private(file)?;
    match url.strip_prefix("sqlite:") {
        Some(state) => copy(Path::new(state), file)?,
        None => drop(workshop::open_store(url).await?.copy_into(file).await?),
    }
    Ok(())
}

/// Copies the state; what is to be said of the key of its secrets, which is no part of a copy.
fn backup(url: &str, file: &Path) -> Result<String, Failure> {
    make_private(file)?;
    let done = match url.strip_prefix("sqlite:") {
        Some(state) => copy(Path::new(state), file).map_err(Failure::from),
        None => block_on(async { Ok(workshop::open_store(url).await?.copy_into(file).await.map(drop)?) }),
    };
    if let Err(failure) = done {
        remove(file)?;
        return Err(failure);
    }
    Ok(match url.strip_prefix("sqlite:") {
        Some(state) if Path::new(&format!("{state}.key")).exists() => {
            format!("the key of its secrets stays in {state}.key: keep a copy of that too, elsewhere")
        }
        Some(_) => "it holds no secrets that need a key".to_owned(),
        None => "its secrets open with the same TIDEGATE_KEY".to_owned(),
    })
}

/// Puts a copy in the state's place, after it was opened as a state beside it.
fn restore(file: &Path, url: &str) -> Result<(), Failure> {
    if !file.is_file() {
        return Err(Error::config(format!("there is no file {}", file.display()))
            .hint("name a file made by `tidegate state backup`")
            .into());
    }
    let folder = tempfile::tempdir().map_err(|error| {
        Error::new(crate::scratch::kind_of(&error), "cannot make a folder for temporary files")
            .hint("free some space, or set TMPDIR to a folder that you may write")
            .cause(error)
    })?;
    let state = url.strip_prefix("sqlite:");
    // Beside a state in SQLite, so that a disk that is too small shows before anything was replaced.
    let beside = match state {
        Some(state) => PathBuf::from(format!("{state}.restore")),
        None => folder.path().join("state.db"),
    };
    let done = checked_copy(file, &beside).and_then(|()| match state {
        Some(state) => {
            at_rest(url, state)?;
            same_pages(&beside, Path::new(state))?;
            Ok(copy(&beside, Path::new(state))?)
        }
        None => block_on(async {
            let store = workshop::open_store(url).await?;
            store.at_rest().await?;
            Ok(store.copy_from(&beside).await.map(drop)?)
        }),
    });
    for suffix in ["", "-wal", "-shm", "-journal", ".key"] {
        remove(Path::new(&format!("{}{suffix}", beside.display())))?;
    }
    done
}

/// Refuses while a run works on the state that is to be replaced. One that cannot be opened has no runs, and may well be
/// the reason for the restore.
fn at_rest(url: &str, state: &str) -> Result<(), Failure> {
    if !Path::new(state).is_file() {
        return Ok(());
    }
    block_on(async {
        match workshop::open_store(url).await {
            Ok(store) => Ok(store.at_rest().await?),
            Err(error) if error.kind == ErrorKind::Locked => Err(error.into()),
            Err(_) => Ok(()),
        }
    })
}

/// Gives the copy pages of the size that the state has: SQLite copies page by page. States that older versions made have
/// smaller ones.
fn same_pages(copy: &Path, state: &Path) -> Result<()> {
    let bytes = |path: &Path| -> rusqlite::Result<i64> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        // Before it has read anything SQLite tells the size that it gives to new files.
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        db.query_row("PRAGMA page_size", [], |row| row.get(0))
    };
    // What is not there, or is no database, is told or replaced by who copies.
    let Ok(wanted) = bytes(state) else { return Ok(()) };
    let rewrite = || {
        if bytes(copy)? == wanted {
            return Ok(());
        }
        let db = Connection::open(copy)?;
        db.execute_batch(&format!("PRAGMA journal_mode = DELETE; PRAGMA page_size = {wanted}; VACUUM"))
    };
    rewrite().map_err(|error: rusqlite::Error| {
        let kind = match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => ErrorKind::DiskFull,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, format!("cannot rewrite {} with pages of {wanted} bytes", copy.display()))
            .hint("free some space there; the state is as it was")
            .cause(error)
    })
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::new(ErrorKind::Unavailable, format!("cannot remove {}", path.display())).cause(error))
        }
        _ => Ok(()),
    }
}

/// Copies, opens the copy, and makes it ready to take over.
fn checked_copy(file: &Path, to: &Path) -> Result<(), Failure> {
    make_private(to)?;
    let url = format!("sqlite:{}", to.display());
    let opened = copy(file, to).map_err(Failure::from);
    let opened = opened.and_then(|()| block_on(async { Ok(workshop::open_store(&url).await?.come_back().await?) }));
    opened.map_err(|failure| {
        let kinds = [ErrorKind::DiskFull, ErrorKind::Forbidden];
        if failure.errors.iter().any(|error| kinds.contains(&error.kind)) {
            return failure;
        }
        let cause = failure.errors.first().map_or_else(String::new, ToString::to_string);
        Error::config(format!("{} is not a state of tidegate", file.display()))
            .hint("name a file made by `tidegate state backup`")
            .cause(cause)
            .into()
    })
}

/// An empty file that only its owner can read.
fn make_private(file: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let made = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file);
    made.map(drop).map_err(|error| {
        Error::new(crate::scratch::kind_of(&error), format!("cannot write {}", file.display()))
            .hint("name a file in a folder that you may write")
            .cause(error)
    })
}

/// Copies a database, page by page, to a consistent whole.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let trouble = |error: rusqlite::Error| {
        let what = format!("cannot copy {} to {}", from.display(), to.display());
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) {
            return Error::new(ErrorKind::DiskFull, format!("{what}: no space left"))
                .hint("free some space there, or name a file on another disk");
        }
        Error::new(ErrorKind::Unavailable, what)
            .hint("is there such a state, and does something else hold the file?")
            .cause(error)
    };
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(trouble)?;
    let mut target = Connection::open(to).map_err(trouble)?;
    let backup = Backup::new(&source, &mut target).map_err(trouble)?;
    backup.run_to_completion(PAGES_AT_ONCE, Duration::ZERO, None).map_err(trouble)
}
