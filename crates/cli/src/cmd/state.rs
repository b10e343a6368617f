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
  tidegate state migrate                        to the form of this version
")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Copy the state into a file (SQLite)
    Backup {
        /// The new file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Put a copy in the state's place (SQLite)
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
            let state = sqlite_path(&url)?;
            if file.exists() {
                return Err(Error::config(format!("{} is there already", file.display()))
                    .hint("name a new file")
                    .into());
            }
            make_private(file)?;
            copy(Path::new(state), file)?;
            line.put("backup", file.display().to_string());
            app.out.note(&format!("copied to {}; the key of its secrets stays in {state}.key", file.display()));
        }
        What::Restore { file, yes } => {
            let state = sqlite_path(&url)?;
            if !yes {
                return Err(Error::config(format!("restore would replace {state}"))
                    .hint("stop what runs on it, then say --yes; what it holds now is lost")
                    .into());
            }
            restore(file, state)?;
            line.put("restored", file.display().to_string());
            app.out.note("restored; what was delivered since that copy will be found again by the next full runs");
        }
    }
    if app.out.json {
        app.out.json(&line)?;
    }
    Ok(0)
}

fn sqlite_path(url: &str) -> Result<&str> {
    url.strip_prefix("sqlite:").ok_or_else(|| {
        Error::config(format!("the state is {}: its own tools copy it", redact_url(url)))
            .hint("pg_dump --schema=tidegate copies it, pg_restore puts it back")
    })
}

/// Checks the copy by opening it as a state, beside the one it replaces.
fn restore(file: &Path, state: &str) -> Result<()> {
    let beside = PathBuf::from(format!("{state}.restore"));
    let done = checked_copy(file, &beside).and_then(|()| copy(&beside, Path::new(state)));
    for suffix in ["", "-wal", "-shm", "-journal", ".key"] {
        let path = format!("{}{suffix}", beside.display());
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(Error::new(ErrorKind::Unavailable, format!("cannot remove {path}")).cause(error));
        }
    }
    done
}

/// Copies and opens the copy.
fn checked_copy(file: &Path, to: &Path) -> Result<()> {
    make_private(to)?;
    let url = format!("sqlite:{}", to.display());
    let opened = copy(file, to).map_err(Failure::from);
    let opened = opened.and_then(|()| block_on(async { Ok(workshop::open_store(&url).await.map(drop)?) }));
    opened.map_err(|failure| {
        let cause = failure.errors.first().map_or_else(String::new, ToString::to_string);
        Error::config(format!("{} is not a state of tidegate", file.display()))
            .hint("name a file made by `tidegate state backup`")
            .cause(cause)
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
        Error::new(ErrorKind::Unavailable, format!("cannot copy {} to {}", from.display(), to.display()))
            .hint("is there such a state, is there space, does something else hold the file?")
            .cause(error)
    };
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(trouble)?;
    let mut target = Connection::open(to).map_err(trouble)?;
    let backup = Backup::new(&source, &mut target).map_err(trouble)?;
    backup.run_to_completion(PAGES_AT_ONCE, Duration::ZERO, None).map_err(trouble)
}
