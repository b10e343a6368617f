//! `init [DIR] [--template NAME]`

use std::path::{Path, PathBuf};

use tidegate_model::config::PROJECT_FILE;
use tidegate_model::{Error, Result};

use crate::app::{App, Ending};
use crate::out::Object;

/// A file of a template: its path in the project and its text.
type File = (&'static str, &'static str);

macro_rules! template {
    ($name:literal, $($path:literal),+) => {
        &[$(($path, include_str!(concat!("../../templates/", $name, "/", $path)))),+]
    };
}

const SQLITE_HUB: &[File] =
    template!("sqlite-hub", "tidegate.yaml", "connections/lake.yaml", "connections/crm.yaml", "syncs/companies.yaml");
const POSTGRES_HUB: &[File] =
    template!("postgres-hub", "tidegate.yaml", "connections/lake.yaml", "connections/crm.yaml", "syncs/companies.yaml");

/// Kept out of version control: state, hub and keys hold customers' data.
const GIT_IGNORE: &str = ".tidegate/\n*.db\n*.db-wal\n*.db-shm\nkeys/\n";

/// Where, and from what.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate init                                 in this folder
  tidegate init acme --template postgres-hub    in a new folder
")]
pub struct Args {
    /// The folder; this one, if none is named
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// What to start from
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Template::SqliteHub)]
    template: Template,
}

/// `--template`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Template {
    /// A SQLite file as the warehouse, the embedded hub in another
    SqliteHub,
    /// Postgres for warehouse, hub and state
    PostgresHub,
}

/// Makes a project; refuses to touch one that is there.
pub fn run(app: &App, args: &Args) -> Ending {
    let dir = args.dir.clone().or_else(|| app.project.clone()).unwrap_or_else(|| PathBuf::from("."));
    if dir.join(PROJECT_FILE).exists() {
        return Err(Error::config(format!("{} is a project already", dir.display()))
            .hint("name another folder, or go on there with `tidegate check`")
            .into());
    }
    let files = match args.template {
        Template::SqliteHub => SQLITE_HUB,
        Template::PostgresHub => POSTGRES_HUB,
    };
    let name = project_name(&dir);
    let mut made = Vec::new();
    for (path, text) in files {
        if write_new(&dir.join(path), &text.replace("name: acme", &format!("name: {name}")))? {
            made.push(*path);
        }
    }
    if write_new(&dir.join(".gitignore"), GIT_IGNORE)? {
        made.push(".gitignore");
    }
    if app.out.json {
        let mut line = Object::default();
        line.put("project", dir.display().to_string()).put("name", name).put("files", made);
        app.out.json(&line)?;
        return Ok(0);
    }
    app.out.note(&format!("made the project {name} in {}: {}", dir.display(), made.join(", ")));
    app.out.note(
        "next: point connections/lake.yaml at your warehouse, then `tidegate check` and `tidegate plan companies`",
    );
    Ok(0)
}

/// The folder's name, as far as it can be one.
fn project_name(dir: &Path) -> String {
    let full = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let name = full.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let clean: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    if clean.starts_with(|c: char| c.is_ascii_alphabetic()) { clean } else { "acme".to_owned() }
}

/// Writes a file that is not there yet; false if it is.
pub fn write_new(path: &Path, text: &str) -> Result<bool> {
    use std::io::Write;
    let trouble = |error: std::io::Error| {
        Error::new(crate::scratch::kind_of(&error), format!("cannot write {}", path.display()))
            .hint("look at the folder's permissions and free space")
            .cause(error)
    };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(trouble)?;
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(trouble).map(|()| true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(trouble(error)),
    }
}
