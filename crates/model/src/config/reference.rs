//! References in settings: `${NAME}` reads the environment, `${file:PATH}` a file inside the project, `secret:NAME` the
//! encrypted store. They stay as they are until a connection is opened. `$${` stands for `${` itself.

use serde_json::Value as Json;

use super::problem::Place;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Where references find their values. Handed in: this crate reaches nothing by itself.
pub trait Lookups {
    /// A variable of the environment.
    fn env(&self, name: &str) -> Option<String>;
    /// A file by its path inside the project, already checked not to leave it by its name. The implementer refuses
    /// symbolic links that lead out of the project.
    fn file(&self, path: &str) -> Result<String>;
    /// A secret of the encrypted store.
    fn secret(&self, name: &str) -> Result<Option<Secret>>;
}

/// Settings with every reference replaced.
#[derive(Clone, PartialEq)]
pub struct Resolved {
    /// The settings, secrets in the clear: hand them to the connector only.
    pub settings: Json,
    /// Every text that came from a reference, and each text that one is part of: strike them out of messages.
    pub secrets: Vec<Secret>,
}

impl std::fmt::Debug for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolved").field("settings", &"***").field("secrets", &self.secrets.len()).finish()
    }
}

/// A piece of a text.
#[derive(Debug, PartialEq)]
enum Part<'a> {
    Literal(&'a str),
    Env(&'a str),
    File(&'a str),
    Secret(&'a str),
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_secret_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// Refuses what could leave the project.
fn check_path(path: &str) -> Result<(), String> {
    let leaves = path.starts_with(['/', '\\', '~'])
        || path.contains([':', '\\', '\0'])
        || path.split('/').any(|part| part == "..");
    match path.is_empty() || leaves {
        true => Err(format!("`${{file:{path}}}` must name a file inside the project, such as `${{file:keys/x.pem}}`")),
        false => Ok(()),
    }
}

fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    if let Some(name) = text.strip_prefix("secret:") {
        return match is_secret_name(name) {
            true => Ok(vec![Part::Secret(name)]),
            false => Err("`secret:` is followed by a name of letters, digits, `_`, `-` and `.`".to_owned()),
        };
    }
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            out.push(Part::Literal(before));
            out.push(Part::Literal("${"));
            rest = &rest[at + 2..];
            continue;
        }
        out.push(Part::Literal(&rest[..at]));
        let Some(end) = rest[at..].find('}') else {
            return Err("`${` is not closed by `}`; for the characters themselves write `$${`".to_owned());
        };
        let inside = &rest[at + 2..at + end];
        match inside.strip_prefix("file:") {
            Some(path) => {
                check_path(path)?;
                out.push(Part::File(path));
            }
            None if is_name(inside) => out.push(Part::Env(inside)),
            None => {
                return Err("`${…}` holds the name of an environment variable or `file:PATH`".to_owned());
            }
        }
        rest = &rest[at + end + 1..];
    }
    out.push(Part::Literal(rest));
    Ok(out)
}

/// Checks how references are written, without reading any.
pub(crate) fn check(text: &str) -> Result<(), String> {
    parts(text).map(drop)
}

/// Whether a text holds a reference.
pub(crate) fn has_reference(text: &str) -> bool {
    parts(text).is_ok_and(|parts| parts.iter().any(|part| !matches!(part, Part::Literal(_))))
}

/// Replaces the references of one text. `at` says where the text stands, for messages.
pub fn resolve_text(text: &str, at: &str, lookups: &dyn Lookups) -> Result<(String, Vec<Secret>)> {
    let mut out = String::new();
    let mut secrets = Vec::new();
    for part in parts(text).map_err(|why| Error::config(format!("{at}: {why}")))? {
        let found = match part {
            Part::Literal(literal) => {
                out.push_str(literal);
                continue;
            }
            Part::Env(name) => lookups.env(name).ok_or_else(|| {
                Error::config(format!("{at}: the environment variable {name} is not set"))
                    .hint(format!("set it, for example `export {name}=…`, and start again"))
            })?,
            // Editors end a file with a line break that is no part of the key or token in it.
            Part::File(path) => {
                let text = lookups.file(path).map_err(|error| error.at(format!("{at}: ${{file:{path}}}")))?;
                text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(&text).to_owned()
            }
            Part::Secret(name) => match lookups.secret(name)? {
                Some(secret) => secret.expose().to_owned(),
                None => {
                    return Err(Error::config(format!("{at}: there is no secret `{name}` in the store"))
                        .hint(format!("put it there with `tidegate secrets set {name}`")));
                }
            },
        };
        out.push_str(&found);
        secrets.push(Secret::new(found));
    }
    if secrets.len() == 1 && secrets[0].expose() == out {
        return Ok((out, secrets.into_iter().filter(|secret| !secret.expose().is_empty()).collect()));
    }
    if !secrets.is_empty() {
        secrets.push(Secret::new(out.clone()));
    }
    secrets.retain(|secret| !secret.expose().is_empty());
    Ok((out, secrets))
}

/// Replaces every reference of a tree of settings. `place` says where a key such as `auth.private_key` stands. All
/// failures are told in one error.
pub fn resolve_settings(settings: &Json, place: &dyn Fn(&str) -> Place, lookups: &dyn Lookups) -> Result<Resolved> {
    let mut walk = Walk { place, lookups, secrets: Vec::new(), errors: Vec::new() };
    let settings = walk.value(settings, "");
    walk.errors.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut errors = walk.errors.into_iter().map(|(_, error)| error);
    match errors.next() {
        None => Ok(Resolved { settings, secrets: walk.secrets }),
        Some(first) => Err(errors.fold(first, |mut all, error| {
            all.message = format!("{}; {}", all.message, error.message);
            all
        })),
    }
}

struct Walk<'a> {
    place: &'a dyn Fn(&str) -> Place,
    lookups: &'a dyn Lookups,
    secrets: Vec<Secret>,
    errors: Vec<(Place, Error)>,
}

impl Walk<'_> {
    fn value(&mut self, value: &Json, path: &str) -> Json {
        match value {
            Json::String(text) => match resolve_text(text, &(self.place)(path).to_string(), self.lookups) {
                Ok((text, secrets)) => {
                    self.secrets.extend(secrets);
                    Json::String(text)
                }
                Err(error) => {
                    self.errors.push(((self.place)(path), error));
                    Json::Null
                }
            },
            Json::Array(items) => {
                let each = items.iter().enumerate().map(|(i, item)| self.value(item, &format!("{path}[{i}]")));
                Json::Array(each.collect())
            }
            Json::Object(map) => {
                let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                Json::Object(map.iter().map(|(key, item)| (key.clone(), self.value(item, &below(key)))).collect())
            }
            other => other.clone(),
        }
    }
}
