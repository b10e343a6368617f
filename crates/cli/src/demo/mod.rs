//! The demo: a project with data, run in front of your eyes. Everything goes the same way as the commands.

mod edits;
mod files;
mod lake;
mod postgres;
mod story;
mod words;

use std::path::{Path, PathBuf};

use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};

pub use files::PG_URL;
pub use story::tell;

use crate::cmd::init::write_new;

/// Where the demo's warehouse is; hub and state are beside it.
pub enum Lake {
    /// A SQLite file.
    File(PathBuf),
    /// An empty Postgres database.
    Postgres(Secret),
}

impl Lake {
    /// The file in the project's folder.
    pub fn file(dir: &Path) -> Self {
        Self::File(dir.join(files::WAREHOUSE))
    }

    /// Runs SQL that both dialects read, in one transaction.
    async fn run(&self, sql: &str) -> Result<()> {
        match self {
            Self::File(path) => lake::run(path, sql).map_err(|error| {
                Error::new(ErrorKind::Unavailable, format!("cannot edit {}", path.display())).cause(error)
            }),
            Self::Postgres(url) => postgres::run(url, sql).await,
        }
    }
}

/// Makes the demo's project in `dir`, which must be new or empty.
pub async fn make(dir: &Path, lake: &Lake) -> Result<()> {
    let on_postgres = matches!(lake, Lake::Postgres(_));
    refuse_old(dir)?;
    if let Lake::Postgres(url) = lake {
        postgres::refuse_full(url).await?;
    }
    for (path, text) in files::ALL {
        write_new(&dir.join(path), &files::text(path, text, on_postgres))?;
    }
    match lake {
        Lake::File(path) => lake::make(path).map_err(|error| no_space(&path.display().to_string(), error)),
        Lake::Postgres(url) => {
            let made = tempfile::tempdir().map_err(|error| no_space("a temporary folder", error))?;
            let path = made.path().join(files::WAREHOUSE);
            lake::make(&path).map_err(|error| no_space(&path.display().to_string(), error))?;
            postgres::fill(url, &path).await
        }
    }
}

fn no_space(what: &str, error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot make {what}")).hint("is there space in the folder?").cause(error)
}

fn refuse_old(dir: &Path) -> Result<()> {
    let shown = dir.display();
    let ours = std::fs::read_to_string(dir.join("tidegate.yaml")).is_ok_and(|text| files::is_project(&text));
    if ours {
        return Err(Error::config(format!("the demo is in {shown} already")).hint(format!(
            "go on there (`cd {shown}; tidegate runs`), or start anew: `rm -r {shown}; tidegate demo {shown}`"
        )));
    }
    let empty = match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if empty {
        return Ok(());
    }
    Err(Error::config(format!("{shown} is there already, and it is not empty"))
        .hint("name a new folder: `tidegate demo DIR`"))
}
