//! A project's folder: found, read, checked.

use std::path::{Path, PathBuf};

use tidegate_model::config::{
    KindInfo, Lookups, PROJECT_FILE, Problem, Project, Side, SourceFile, did_you_mean, resolve_text,
};
use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};

use crate::app::{App, Failure};

/// Where the state is when nobody says otherwise.
const DEFAULT_STATE: &str = "sqlite:.tidegate/state.db";

/// Where tidegate keeps what is its own.
const STATE_DIR: &str = ".tidegate";

/// Types of connections that the file format knows and this build cannot open yet.
const LATER: &[(&str, Side)] = &[("duckdb", Side::Warehouse), ("adbc", Side::Warehouse)];

/// The types of connections, with the settings of those that this build can open.
pub fn kinds() -> Vec<KindInfo> {
    let warehouses = tidegate_warehouses::kinds().into_iter().map(|kind| (kind.name, Side::Warehouse, kind.schema));
    let platforms = tidegate_platforms::list::LIST.iter().map(|kind| (kind.kind, Side::Platform, (kind.schema)()));
    let now = warehouses.chain(platforms).map(|(name, side, schema)| KindInfo {
        name: name.to_owned(),
        side,
        available: true,
        schema,
    });
    let mut all: Vec<KindInfo> = now.collect();
    for (name, side) in LATER {
        if all.iter().all(|kind| kind.name != *name) {
            let schema = serde_json::json!({});
            all.push(KindInfo { name: (*name).to_owned(), side: *side, available: false, schema });
        }
    }
    all
}

/// The JSON Schema of project files.
pub fn schema() -> serde_json::Value {
    tidegate_model::config::json_schema(&kinds())
}

/// The project's folder: the one asked for, else this one or the nearest parent that has the project's file.
pub fn root(app: &App) -> Result<PathBuf> {
    if let Some(dir) = &app.project {
        if dir.join(PROJECT_FILE).is_file() {
            return Ok(dir.clone());
        }
        return Err(Error::config(format!("there is no {PROJECT_FILE} in {}", dir.display()))
            .hint(format!("make a project there with `tidegate init {}`", dir.display())));
    }
    let here = std::env::current_dir()
        .map_err(|error| Error::new(ErrorKind::Unavailable, "the working folder cannot be read").cause(error))?;
    match here.ancestors().find(|dir| dir.join(PROJECT_FILE).is_file()) {
        Some(dir) => Ok(dir.to_owned()),
        None => Err(Error::config(format!("there is no {PROJECT_FILE} in this folder or above it"))
            .hint("make a project with `tidegate init`, or name its folder with `--project DIR`")),
    }
}

/// Reads all files of the project.
pub fn files(root: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for name in [PROJECT_FILE, "tidegate.yml"] {
        if root.join(name).is_file() {
            files.push(read(root, name.to_owned())?);
        }
    }
    for folder in ["connections", "syncs"] {
        let dir = root.join(folder);
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&dir, error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&dir, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".yaml") || name.ends_with(".yml") {
                files.push(read(root, format!("{folder}/{name}"))?);
            }
        }
    }
    Ok(files)
}

fn read(root: &Path, path: String) -> Result<SourceFile> {
    let file = root.join(&path);
    let bytes = std::fs::read(&file).map_err(|error| unreadable(&file, error))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::config(format!("{path} is not UTF-8 text")).hint("save it as UTF-8 in your editor"))?;
    Ok(SourceFile { path, text })
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Config, format!("cannot read {}", path.display()))
        .hint("look at its permissions")
        .cause(error)
}

/// The project, if its files are well formed; else every problem of every file at once. Whether they fit each other is
/// asked where something is about to run.
pub fn load(root: &Path) -> Result<Project, Failure> {
    let loaded = tidegate_model::config::load(&files(root)?, &kinds());
    match loaded.project {
        Some(project) if loaded.problems.is_empty() => Ok(project),
        _ => Err(Failure::several(loaded.problems.iter().map(problem_error).collect())),
    }
}

/// A problem of a file as an error.
pub fn problem_error(problem: &Problem) -> Error {
    let error = Error::config(format!("{}:{}:{}: {}", problem.file, problem.line, problem.column, problem.message));
    match &problem.hint {
        Some(hint) => error.hint(hint.clone()),
        None => error,
    }
}

/// `NotFound` for a name that is not among these, with the nearest one.
pub fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Error {
    let hint = match did_you_mean(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let all: Vec<&str> = known.take(20).collect();
            if all.is_empty() { "there are none yet".to_owned() } else { format!("there are {}", all.join(", ")) }
        }
    };
    Error::config(format!("there is no {what} `{name}`")).hint(hint)
}

/// Where the state of a project is, with paths made absolute.
pub fn state_url(root: &Path, project: &Project) -> Result<String> {
    if let Ok(url) = std::env::var("TIDEGATE_STATE")
        && !url.is_empty()
    {
        return Ok(absolute(root, &url));
    }
    let written = project.state.as_deref().unwrap_or(DEFAULT_STATE);
    // A state cannot hold the secret that opens it.
    let lookups = Surroundings {
        root,
        secrets: &|name| {
            Err(Error::config(format!("the state's own address cannot be a secret of that state (`secret:{name}`)"))
                .hint("use `${NAME}` from the environment, or TIDEGATE_STATE"))
        },
    };
    let (url, _) = resolve_text(written, &project.place("state").to_string(), &lookups)?;
    Ok(absolute(root, &url))
}

fn absolute(root: &Path, url: &str) -> String {
    match url.strip_prefix("sqlite:") {
        Some(path) => format!("sqlite:{}", root.join(path).display()),
        None => url.to_owned(),
    }
}

/// Where references find their values: environment, files of the project, secrets of the store.
pub struct Surroundings<'a> {
    /// The project's folder.
    pub root: &'a Path,
    /// Looks a secret up.
    pub secrets: &'a dyn Fn(&str) -> Result<Option<Secret>>,
}

impl Lookups for Surroundings<'_> {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> Result<String> {
        let place = |error: std::io::Error| {
            Error::config("the file cannot be read").hint("put it there, or mend the path").cause(error)
        };
        let root = self.root.canonicalize().map_err(place)?;
        let file = root.join(path).canonicalize().map_err(place)?;
        if !file.starts_with(&root) {
            return Err(Error::config("the file is a link that leads out of the project")
                .hint("put the file itself into the project's folder"));
        }
        // Who may only edit connections could have the state, or the key of its secrets, sent to an address of theirs.
        if file.starts_with(root.join(STATE_DIR)) {
            return Err(Error::config(format!("what tidegate keeps for itself in {STATE_DIR} is no setting"))
                .hint("put the file elsewhere in the project's folder, such as keys/"));
        }
        std::fs::read_to_string(file).map_err(place)
    }

    fn secret(&self, name: &str) -> Result<Option<Secret>> {
        (self.secrets)(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_inside_the_project_only() {
        let outside = tempfile::tempdir().expect("a folder");
        std::fs::write(outside.path().join("key"), "k").expect("written");
        let root = outside.path().join("project");
        std::fs::create_dir(&root).expect("made");
        std::fs::write(root.join("inside"), "i").expect("written");
        std::os::unix::fs::symlink(outside.path().join("key"), root.join("link")).expect("linked");
        let lookups = Surroundings { root: &root, secrets: &|_| Ok(None) };
        assert_eq!(lookups.file("inside").expect("read"), "i");
        assert!(lookups.file("link").expect_err("refused").message.contains("leads out"));
        assert!(lookups.file("absent").is_err());
        std::fs::create_dir(root.join(".tidegate")).expect("made");
        std::fs::write(root.join(".tidegate/state.key"), "k").expect("written");
        std::os::unix::fs::symlink(root.join(".tidegate"), root.join("keys")).expect("linked");
        for own in [".tidegate/state.key", "./.tidegate//state.key", "keys/state.key"] {
            assert!(lookups.file(own).expect_err(own).message.contains("keeps for itself"), "{own}");
        }
    }
}
