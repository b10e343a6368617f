//! Where a connection leads, as its settings say it: what of them is an address, what of that is called over HTTP, and
//! what of it somebody who may only edit connections must not point inside this network.

use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use tidegate_model::config::Connection;
use tidegate_model::{Error, Result};
use tidegate_net::targets::{Targets, host_of};

/// Settings that say where a connection leads: with another one, its secrets would be sent elsewhere.
const WORDS: [&str; 9] = ["url", "host", "hostaddr", "port", "account", "protocol", "path", "driver", "project"];
/// The same wherever they stand: `auth.token_url`, `paging.url`, `storage_endpoint`.
const ENDS: [&str; 3] = ["url", "_url", "endpoint"];

/// Texts and numbers of settings by their path, `auth.token`.
pub fn leaves(settings: &Json) -> Vec<(String, &Json)> {
    fn walk<'s>(value: &'s Json, path: String, out: &mut Vec<(String, &'s Json)>) {
        match value {
            Json::Array(items) => {
                items.iter().enumerate().for_each(|(at, item)| walk(item, format!("{path}.{at}"), out))
            }
            Json::Object(map) => map.iter().for_each(|(key, item)| {
                walk(item, if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, out);
            }),
            Json::Null => {}
            _ => out.push((path, value)),
        }
    }
    let mut out = Vec::new();
    walk(settings, String::new(), &mut out);
    out
}

fn is_address(path: &str) -> bool {
    let mut parts = path.split('.');
    let first = parts.next().unwrap_or_default();
    WORDS.contains(&first)
        || path.split('.').any(|part| part == ENDS[0] || ENDS[1..].iter().any(|end| part.ends_with(end)))
}

/// The settings that say where a connection leads.
pub fn of(settings: &Json) -> Vec<(String, &Json)> {
    let mut all = leaves(settings);
    all.retain(|(path, _)| is_address(path));
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Whether a connection leads elsewhere than before.
pub fn leads_elsewhere(old: &Connection, new: &Connection) -> bool {
    old.kind != new.kind || of(&old.settings) != of(&new.settings)
}

/// The names of secrets in settings, with their paths.
pub fn secrets(settings: &Json) -> Vec<(String, &str)> {
    leaves(settings)
        .into_iter()
        .filter_map(|(path, value)| Some((path, value.as_str()?.strip_prefix("secret:")?)))
        .collect()
}

/// Whether a person signs in to a connection with a browser.
pub fn is_signed_in_to(connection: &Connection) -> bool {
    connection.settings.pointer("/auth/method").and_then(Json::as_str) == Some("oauth")
}

/// A mark of where a connection leads: the same as long as it leads there.
pub fn mark(connection: &Connection) -> String {
    let all: Vec<String> = of(&connection.settings).iter().map(|(path, value)| format!("{path}={value}")).collect();
    let text = format!("{}\n{}", connection.kind, all.join("\n"));
    Sha256::digest(text.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The setting that notes the mark of a connection whose address was given in the pages.
pub fn given_in_the_pages(connection: &str) -> String {
    format!("address-from-pages:{connection}")
}

/// What of settings is called over HTTP, as addresses. Databases speak none: they stand inside, and are not asked about.
fn called(kind: &str, settings: &Json) -> Vec<(String, String)> {
    let address = |path: String, value: &Json| {
        let text = value.as_str()?;
        let url = match (path.as_str(), kind) {
            ("host", "snowflake") => format!("https://{text}"),
            ("account", "snowflake") => format!("https://{text}.snowflakecomputing.com"),
            _ => text.to_owned(),
        };
        // A template is written out up to its first variable.
        let url = url.split("{{").next().unwrap_or_default().trim().to_owned();
        host_of(&url).is_some().then_some((path, url))
    };
    of(settings).into_iter().filter_map(|(path, value)| address(path, value)).collect()
}

/// Whether a text is filled in from elsewhere: what it stands for is not known here.
fn is_reference(url: &str) -> bool {
    url.contains("${")
}

/// Refuses settings by which a connection would call what only this network sees: by an address in numbers, by the name
/// of this machine. What other names lead to is looked at when they are called.
///
/// # Errors
/// The setting, and what may be done.
pub fn check(targets: &Targets, kind: &str, settings: &Json) -> Result<()> {
    for (path, url) in called(kind, settings).into_iter().filter(|(_, url)| !is_reference(url)) {
        targets.check(&url).map_err(|error| error.at(&path))?;
        // Google's own client makes these connections, and its resolver is not ours.
        let host = host_of(&url).unwrap_or_default();
        if path == "storage_endpoint" && !host.ends_with(".googleapis.com") && !targets.allows(&host) {
            return Err(Error::config(format!("{path}: {host} is not one of Google's addresses"))
                .hint("if that is meant, add the host to `serve.private_targets` in tidegate.yaml"));
        }
    }
    Ok(())
}

/// The same, and where their names lead now.
///
/// # Errors
/// The setting, and what may be done.
pub async fn check_names(targets: &Targets, kind: &str, settings: &Json) -> Result<()> {
    check(targets, kind, settings)?;
    for (path, url) in called(kind, settings).into_iter().filter(|(_, url)| !is_reference(url)) {
        targets.check_name(&url).await.map_err(|error| error.at(path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_found_wherever_they_stand() {
        let settings = json!({
            "url": { "create": "https://a.example/{{key}}" }, "auth": { "token_url": "https://b.example/t", "client_secret": "secret:c" },
            "paging": { "url": "https://c.example", "items": "/items" }, "storage_endpoint": "https://d.example", "port": 5,
            "headers": { "X-Path": "p" }, "host": null
        });
        let paths: Vec<String> = of(&settings).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["auth.token_url", "paging.url", "port", "storage_endpoint", "url.create"]);
        assert_eq!(secrets(&settings), [("auth.client_secret".to_owned(), "c")]);
    }

    #[test]
    fn what_leads_inside_is_refused_in_every_spelling() {
        let none = Targets::public_and(&[]);
        for (kind, settings) in [
            ("planhat", json!({ "url": "HTTP://127.0.0.1:9" })),
            ("planhat", json!({ "url": " http://169.254.169.254/latest" })),
            ("planhat", json!({ "analytics_url": "https://10.0.0.1" })),
            ("http", json!({ "url": { "delete": "https://[::1]/{{key}}" } })),
            ("http", json!({ "url": "https://a.example", "auth": { "token_url": "https://192.168.1.1/t" } })),
            ("snowflake", json!({ "host": "127.0.0.1" })),
            ("snowflake", json!({ "host": "me@127.0.0.1" })),
            ("snowflake", json!({ "account": "169.254.169.254/x?" })),
            ("bigquery", json!({ "endpoint": "http://2130706433" })),
            ("bigquery", json!({ "storage_endpoint": "https://storage.example" })),
        ] {
            assert!(check(&none, kind, &settings).is_err(), "{kind} {settings}");
        }
        for (kind, settings) in [
            ("planhat", json!({ "url": "https://api.planhat.com" })),
            ("postgres", json!({ "url": "postgres://me@127.0.0.1/x" })),
            ("snowflake", json!({ "account": "acme-prod" })),
            ("bigquery", json!({ "storage_endpoint": "https://eu-bigquerystorage.googleapis.com" })),
            ("planhat", json!({ "url": "${CRM_URL}" })),
        ] {
            assert!(check(&none, kind, &settings).is_ok(), "{kind} {settings}");
        }
    }
}
