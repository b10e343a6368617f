//! Files of the project: read, checked, written as a whole. What is written here is what the next run reads.

use std::io::Write;
use std::path::Path;

use sha2::{Digest, Sha256};
use tidegate_model::config::{self, Connection, Problem, Project, SourceFile};
use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_net::targets::Targets;
use tidegate_server::desk::*;

use super::ProjectDesk;
use crate::addresses;
use crate::project;

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
        let moved = old.is_some_and(|old| addresses::leads_elsewhere(old, new));
        let kept = old.filter(|_| !moved);
        only_allowed_env(&project.serve.env_allow, kept, new)?;
        only_own_secrets(&project, kept, new)?;
        if kept.is_none() {
            let targets = Targets::public_and(&project.serve.private_targets);
            addresses::check_names(&targets, &new.kind, &new.settings).await?;
        }
        if let (Some(old), true) = (old, moved) {
            cleared = clear(desk, old, None).await?;
        }
        if kept.is_none() {
            given_here(desk, name, Some(new)).await?;
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
    std::fs::remove_file(root.join(&path)).map_err(|error| unwritten(&path, error))?;
    if let FileName::Connection(name) = file {
        given_here(desk, name, None).await?;
    }
    Ok(())
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
    let before = old.map(|old| addresses::leaves(&old.settings)).unwrap_or_default();
    for (key, value) in addresses::leaves(&new.settings).iter().filter(|leaf| !before.contains(leaf)) {
        let text = value.as_str().unwrap_or_default();
        if let Some(name) = env_names(text).find(|name| !allowed.iter().any(|known| known == name)) {
            return Err(Error::config(format!(
                "`{key}` names the environment variable {name}, which is not allowed here"
            ))
            .hint(format!("add it to `serve.env_allow` in {}, or keep the value as a secret", config::PROJECT_FILE)));
        }
    }
    Ok(())
}

/// Refuses a secret that is another's: whoever may edit connections could have it sent to an address of their own. Two
/// connections that lead to the same place may share one, and what stood there before may stay.
fn only_own_secrets(project: &Project, old: Option<&Connection>, new: &Connection) -> Result<()> {
    let before = old.map(|old| addresses::secrets(&old.settings)).unwrap_or_default();
    for (key, secret) in addresses::secrets(&new.settings).iter().filter(|named| !before.contains(named)) {
        let owner = project.connections.values().find(|other| {
            let theirs = addresses::secrets(&other.settings);
            other.name != new.name
                && theirs.iter().any(|(_, name)| name == secret)
                && addresses::leads_elsewhere(other, new)
        });
        let reference = format!("secret:{secret}");
        let oidc = project.serve.oidc.as_ref().is_some_and(|oidc| oidc.client_secret == reference);
        let whose = match (owner, oidc || project.alert_webhook.as_deref() == Some(&reference)) {
            (Some(other), _) => format!("the connection {}'s, which leads elsewhere", other.name),
            (None, true) => format!("{}'s own", config::PROJECT_FILE),
            (None, false) => continue,
        };
        return Err(Error::config(format!("`{key}` names the secret `{secret}`, which is {whose}"))
            .hint("give this connection a secret of its own"));
    }
    Ok(())
}

/// Removes the secrets of a connection that leads elsewhere now, and the tokens of who signed in there. `but` is the one
/// that says where it leads.
async fn clear(desk: &ProjectDesk, old: &Connection, but: Option<&str>) -> Result<Vec<String>> {
    let shop = desk.shop();
    let names = addresses::secrets(&old.settings);
    let names: Vec<&str> = names.iter().map(|(_, name)| *name).filter(|name| Some(*name) != but).collect();
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
        if shop.store.remove_secret(name).await? && !cleared.iter().any(|gone| gone == name) {
            cleared.push(name.to_owned());
        }
    }
    shop.close(std::slice::from_ref(&old.name)).await;
    Ok(cleared)
}

/// Notes that the address of a connection was given here, or that it is gone: such a one is called outside only.
async fn given_here(desk: &ProjectDesk, name: &str, connection: Option<&Connection>) -> Result<()> {
    let mark = connection.map(addresses::mark);
    desk.shop().memory().set_setting(&addresses::given_in_the_pages(name), mark.as_deref()).await
}

/// Keeps a secret. One that says where a connection leads takes the connection elsewhere: what else it has of secrets
/// does not follow, and it is from then on one whose address was given here. The names of those that went.
pub async fn set_secret(desk: &ProjectDesk, name: &str, value: &Secret) -> Result<Vec<String>> {
    if value.expose().is_empty() {
        return Err(Error::config("the secret is empty").hint("give its value"));
    }
    let _one_at_a_time = desk.saving.lock().await;
    let shop = desk.shop();
    let before = shop.store.get_secret(name).await?;
    let mut cleared = Vec::new();
    for connection in led_by(&shop.project, name).filter(|_| before.as_ref() != Some(value)) {
        if before.is_some() {
            cleared.extend(clear(desk, connection, Some(name)).await?);
        }
        given_here(desk, &connection.name, Some(connection)).await?;
    }
    shop.store.set_secret(name, value).await?;
    shop.close(&crate::cmd::secrets::using(&shop.project, name)).await;
    Ok(cleared)
}

/// Removes a secret, and where it says how a connection is reached, that connection's others.
pub async fn remove_secret(desk: &ProjectDesk, name: &str) -> Result<Vec<String>> {
    let _one_at_a_time = desk.saving.lock().await;
    let shop = desk.shop();
    let mut cleared = Vec::new();
    for connection in led_by(&shop.project, name) {
        cleared.extend(clear(desk, connection, Some(name)).await?);
    }
    if !shop.store.remove_secret(name).await? {
        return Err(Error::new(ErrorKind::NotFound, "there is no such secret").hint("`GET /api/v1/secrets` lists them"));
    }
    shop.close(&crate::cmd::secrets::using(&shop.project, name)).await;
    Ok(cleared)
}

/// Connections whose address a secret holds, or a part of it.
fn led_by<'p>(project: &'p Project, secret: &'p str) -> impl Iterator<Item = &'p Connection> {
    project.connections.values().filter(move |connection| {
        let leads = |(_, value): &(String, &serde_json::Value)| {
            value.as_str().and_then(|text| text.strip_prefix("secret:")) == Some(secret)
        };
        addresses::of(&connection.settings).iter().any(leads)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_variables_are_found() {
        assert_eq!(env_names("a${B}c${file:x}${D}").collect::<Vec<_>>(), ["B", "D"]);
    }
}
