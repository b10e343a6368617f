//! Files of the project: read, checked, written as a whole. What is written here is what the next run reads.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use tidegate_model::config::{self, Connection, Problem, Project, SourceFile};
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_net::targets::Targets;
use tidegate_server::desk::*;

use super::ProjectDesk;
use crate::project;

/// Settings that say where a connection leads: with another one, its secrets would be sent elsewhere.
const ADDRESS_KEYS: [&str; 13] = [
    "url",
    "host",
    "hostaddr",
    "port",
    "account",
    "protocol",
    "endpoint",
    "storage_endpoint",
    "login_endpoint",
    "analytics_url",
    "path",
    "driver",
    "project",
];

/// A problem of a file.
pub fn problem(problem: &Problem) -> ProblemAnswer {
    ProblemAnswer {
        file: problem.file.clone(),
        line: u64::from(problem.line),
        column: u64::from(problem.column),
        message: problem.message.clone(),
        hint: problem.hint.clone(),
    }
}

/// The project as a whole.
pub fn project(desk: &ProjectDesk) -> ProjectAnswer {
    let shop = desk.shop();
    let problems = match project::files(&shop.root) {
        Ok(files) => config::load(&files, &project::kinds()).problems.iter().map(problem).collect(),
        Err(error) => vec![ProblemAnswer {
            file: config::PROJECT_FILE.to_owned(),
            line: 1,
            column: 1,
            message: error.to_string(),
            hint: error.hint.clone(),
        }],
    };
    ProjectAnswer {
        name: shop.project.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        timezone: shop.project.timezone.clone(),
        read_only: is_read_only(&shop.root),
        problems,
        egress_ips: shop.project.serve.egress_ips.clone(),
        env_allow: shop.project.serve.env_allow.clone(),
    }
}

fn is_read_only(root: &Path) -> bool {
    std::fs::OpenOptions::new().append(true).open(root.join(config::PROJECT_FILE)).is_err()
}

/// The path of a file. Its name is one that the project's own reader takes, and so no path by itself.
pub fn path_of(file: &FileName) -> Result<String> {
    let (folder, name) = match file {
        FileName::Connection(name) => ("connections", name),
        FileName::Sync(name) => ("syncs", name),
    };
    let good = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if good {
        return Ok(format!("{folder}/{name}.yaml"));
    }
    Err(Error::config("a name has up to 64 letters, digits, `-` and `_`, a letter or digit first")
        .hint("choose another name"))
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn current(root: &Path, path: &str) -> Result<Option<String>> {
    match std::fs::read_to_string(root.join(path)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::new(crate::scratch::kind_of(&error), format!("{path} cannot be read"))
            .hint("look at its permissions")
            .cause(error)),
    }
}

fn no_file(path: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no {path} in this project"))
}

/// A file as it stands.
pub fn read(desk: &ProjectDesk, file: &FileName) -> Result<FileAnswer> {
    let path = path_of(file)?;
    let text = current(&desk.live.root, &path)?.ok_or_else(|| no_file(&path))?;
    Ok(FileAnswer { hash: hash(&text), file: path, text, secrets_cleared: Vec::new() })
}

/// The project with one file changed or left out.
pub fn changed(root: &Path, path: &str, text: Option<&str>) -> Result<(Option<Project>, Vec<Problem>)> {
    let mut files = project::files(root)?;
    files.retain(|file| file.path != path);
    if let Some(text) = text {
        files.push(SourceFile { path: path.to_owned(), text: text.to_owned() });
    }
    let loaded = config::load(&files, &project::kinds());
    Ok((loaded.project, loaded.problems))
}

/// What would be wrong with the project.
pub fn check(desk: &ProjectDesk, file: &FileName, text: &str) -> Result<Vec<ProblemAnswer>> {
    let path = path_of(file)?;
    let (project, problems) = changed(&desk.live.root, &path, Some(text))?;
    if let (Some(project), true) = (&project, problems.is_empty()) {
        let critical = config::check(project).into_iter().filter(config::Found::is_critical);
        return Ok(critical.map(|found| problem(&found.problem())).collect());
    }
    Ok(problems.iter().map(problem).collect())
}

pub fn refused(problems: &[Problem]) -> Error {
    let lines: Vec<String> = problems.iter().take(20).map(Problem::to_string).collect();
    Error::config(format!("the file was not written: {}", lines.join("; "))).hint("mend it and save again")
}

/// Writes a file.
pub async fn save(desk: &ProjectDesk, file: &FileName, ask: &SaveAsk) -> Result<FileAnswer> {
    let path = path_of(file)?;
    let root = &desk.live.root;
    let _one_at_a_time = desk.saving.lock().await;
    let before = current(root, &path)?;
    if before.as_deref().map(hash) != ask.hash {
        let message = match &before {
            Some(_) => format!("{path} was changed since it was read"),
            None => format!("{path} is not there any more"),
        };
        return Err(Error::new(ErrorKind::Data, message).hint("read it again, and change what is there now"));
    }
    let (project, problems) = changed(root, &path, Some(&ask.text))?;
    let Some(project) = project.filter(|_| problems.is_empty()) else { return Err(refused(&problems)) };
    let mut cleared = Vec::new();
    if let FileName::Connection(name) = file
        && let Some(new) = project.connections.get(name)
    {
        let shop = desk.shop();
        let old = shop.project.connections.get(name);
        let moved = old.is_some_and(|old| leads_elsewhere(old, new));
        let kept = old.filter(|_| !moved);
        only_allowed_env(&project.serve.env_allow, kept, new)?;
        if kept.is_none() {
            only_public_targets(&Targets::public_and(&project.serve.private_targets), new).await?;
        }
        if let (Some(old), true) = (old, moved) {
            cleared = clear(desk, old).await?;
        }
    }
    write(root, &path, &ask.text)?;
    Ok(FileAnswer { file: path, hash: hash(&ask.text), text: ask.text.clone(), secrets_cleared: cleared })
}

/// Removes a file.
pub async fn remove(desk: &ProjectDesk, file: &FileName) -> Result<()> {
    let path = path_of(file)?;
    let root = &desk.live.root;
    let _one_at_a_time = desk.saving.lock().await;
    current(root, &path)?.ok_or_else(|| no_file(&path))?;
    if let FileName::Connection(name) = file {
        let shop = desk.shop();
        let uses = |sync: &&tidegate_model::sync::Sync| {
            sync.warehouse_connection == *name || sync.platform_connection == *name
        };
        if let Some(sync) = shop.project.syncs.values().find(uses) {
            return Err(Error::config(format!("the sync {} uses this connection", sync.name))
                .hint("remove or change its syncs first"));
        }
    }
    std::fs::remove_file(root.join(&path)).map_err(|error| unwritten(&path, error))
}

fn unwritten(path: &str, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Config,
        _ => crate::scratch::kind_of(&error),
    };
    Error::new(kind, format!("{path} cannot be written"))
        .hint("this project is changed elsewhere, or its disk is full")
        .cause(error)
}

/// The old file or the new one stands there, never half of one.
fn write(root: &Path, path: &str, text: &str) -> Result<()> {
    let file = root.join(path);
    let dir = file.parent().unwrap_or(root);
    let work = || -> std::io::Result<()> {
        std::fs::create_dir_all(dir)?;
        let mut new = tempfile::Builder::new().prefix(".tidegate-").tempfile_in(dir)?;
        new.write_all(text.as_bytes())?;
        // A temporary file is its owner's alone; a file of the project is as open as it was, or as files are here.
        let mode = std::fs::metadata(&file).or_else(|_| std::fs::metadata(root.join(config::PROJECT_FILE)))?;
        new.as_file().set_permissions(mode.permissions())?;
        new.as_file().sync_all()?;
        new.persist(&file).map_err(|error| error.error)?;
        Ok(())
    };
    work().map_err(|error| unwritten(path, error))
}

/// Whether a connection leads elsewhere than before.
fn leads_elsewhere(old: &Connection, new: &Connection) -> bool {
    let address = |of: &Connection| -> Vec<Json> {
        ADDRESS_KEYS.iter().map(|key| of.settings.get(key).cloned().unwrap_or(Json::Null)).collect()
    };
    old.kind != new.kind || address(old) != address(new)
}

/// Texts of settings by their path.
fn leaves(value: &Json, path: &str, out: &mut BTreeMap<String, String>) {
    match value {
        Json::String(text) => {
            out.insert(path.to_owned(), text.clone());
        }
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| leaves(item, &format!("{path}[{at}]"), out))
        }
        Json::Object(map) => map.iter().for_each(|(key, item)| leaves(item, &format!("{path}.{key}"), out)),
        _ => {}
    }
}

/// Names of environment variables in a text.
fn env_names(text: &str) -> impl Iterator<Item = &str> {
    text.split("${")
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name)
        .filter(|name| !name.contains(':'))
}

/// Refuses a variable that nobody allowed: whoever may edit connections could send it anywhere. What stood there
/// before, in a connection that leads where it led, may stay.
fn only_allowed_env(allowed: &[String], old: Option<&Connection>, new: &Connection) -> Result<()> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    if let Some(old) = old {
        leaves(&old.settings, "", &mut before);
    }
    leaves(&new.settings, "", &mut after);
    for (path, text) in after.iter().filter(|(path, text)| before.get(*path) != Some(*text)) {
        if let Some(name) = env_names(text).find(|name| !allowed.iter().any(|known| known == name)) {
            let key = path.trim_start_matches('.');
            return Err(Error::config(format!(
                "`{key}` names the environment variable {name}, which is not allowed here"
            ))
            .hint(format!("add it to `serve.env_allow` in {}, or keep the value as a secret", config::PROJECT_FILE)));
        }
    }
    Ok(())
}

/// Refuses a connection over HTTP to what only this network can see: whoever may edit connections could have it called,
/// and read what it says. Databases are not asked about: they speak no HTTP, and stand inside.
async fn only_public_targets(targets: &Targets, new: &Connection) -> Result<()> {
    for key in ADDRESS_KEYS {
        let Some(text) = new.settings.get(key).and_then(Json::as_str) else { continue };
        let url = match (key, new.kind.as_str()) {
            ("host", "snowflake") => format!("https://{text}"),
            _ if text.starts_with("http://") || text.starts_with("https://") => text.to_owned(),
            _ => continue,
        };
        // What a reference stands for is not ours to look at here.
        if !text.contains("${") {
            targets.check(&url).map_err(|error| error.at(key))?;
            targets.check_name(&url).await.map_err(|error| error.at(key))?;
        }
    }
    Ok(())
}

/// Removes the secrets of a connection that leads elsewhere now.
async fn clear(desk: &ProjectDesk, old: &Connection) -> Result<Vec<String>> {
    let shop = desk.shop();
    let mut texts = BTreeMap::new();
    leaves(&old.settings, "", &mut texts);
    let names: Vec<&str> = texts.values().filter_map(|text| text.strip_prefix("secret:")).collect();
    for name in &names {
        let users = crate::cmd::secrets::using(&shop.project, name);
        if let Some(other) = users.iter().find(|user| **user != old.name) {
            return Err(Error::config(format!(
                "the secret `{name}` is also {other}'s, and must not follow to another address"
            ))
            .hint("give this connection a secret of its own first"));
        }
    }
    let mut cleared = Vec::new();
    // The tokens of who signed in there are the old address's too.
    let tokens = tidegate_net::oauth::Login::kept_as(&old.name);
    for name in names.into_iter().chain([tokens.as_str()]) {
        if shop.store.remove_secret(name).await? {
            cleared.push(name.to_owned());
        }
    }
    Ok(cleared)
}
