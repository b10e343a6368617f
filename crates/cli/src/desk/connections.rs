//! Connections: how they are, whether they work; types; secrets by name.

use std::sync::PoisonError;

use serde_json::Value as Json;
use tidegate_model::config::{Connection, Side};
use tidegate_model::ports::Need;
use tidegate_model::{Instant, Result};
use tidegate_net::oauth::Standing;
use tidegate_server::desk::*;
use tidegate_server::is_switched_on;

use super::{Check, ProjectDesk, known, shapes};
use crate::surroundings::now;
use crate::workshop::Workshop;

/// Types of connections.
pub fn kinds() -> Vec<KindAnswer> {
    let kinds = crate::project::kinds().into_iter();
    kinds
        .map(|kind| KindAnswer {
            kind: kind.name,
            side: kind.side.word().to_owned(),
            available: kind.available,
            schema: kind.schema,
        })
        .collect()
}

async fn answer(desk: &ProjectDesk, shop: &Workshop, connection: &Connection) -> Result<ConnectionAnswer> {
    let name = connection.name.as_str();
    let settings = shop.memory().settings("").await?;
    let switch =
        |setting: &str, file: bool| settings.get(setting).and_then(|text| is_switched_on(text)).unwrap_or(file);
    let check = desk.check_of(name);
    let uses =
        |sync: &&tidegate_model::sync::Sync| sync.warehouse_connection == name || sync.platform_connection == name;
    Ok(ConnectionAnswer {
        connection: name.to_owned(),
        kind: connection.kind.clone(),
        side: connection.side.word().to_owned(),
        available: connection.available,
        enabled: switch(&crate::workshop::enabled_setting(name), connection.enabled),
        automation: switch(&format!("automation-connection:{name}"), connection.automation),
        access_write: connection.access_write,
        syncs: shop.project.syncs.values().filter(uses).map(|sync| sync.name.clone()).collect(),
        checked_at: check.as_ref().map(|check| check.at.to_string()),
        works: check.as_ref().map(|check| check.findings.iter().all(|finding| finding.severity != "critical")),
        sign_in: sign_in(shop, connection).await?,
    })
}

/// So long before a sign-in ends a person is told: longer than a holiday.
const WARN_MS: i64 = 14 * 86_400_000;

async fn sign_in(shop: &Workshop, connection: &Connection) -> Result<Option<SignInState>> {
    if !crate::addresses::is_signed_in_to(connection) {
        return Ok(None);
    }
    // One whose settings cannot be read says so when it is tested.
    let Ok(login) = shop.login(&connection.name) else { return Ok(None) };
    let (state, until_s) = match login.standing().await? {
        Standing::Nobody => ("nobody", None),
        Standing::SignedIn { until_s } => ("signed_in", until_s),
        Standing::Over => ("over", None),
    };
    let until = until_s.and_then(|at| i64::try_from(at).ok()).map(|at| Instant(at.saturating_mul(1_000_000)));
    let soon = until.is_some_and(|until| until.millis_since(now()) < WARN_MS);
    Ok(Some(SignInState {
        state: state.to_owned(),
        until: until.map(|at| at.to_string()),
        needs_a_person: state != "signed_in" || soon,
    }))
}

/// All connections.
pub async fn all(desk: &ProjectDesk) -> Result<Vec<ConnectionAnswer>> {
    let shop = desk.shop();
    let mut out = Vec::new();
    for connection in shop.project.connections.values() {
        out.push(answer(desk, &shop, connection).await?);
    }
    Ok(out)
}

/// One connection.
pub async fn one(desk: &ProjectDesk, name: &str) -> Result<ConnectionDetail> {
    let shop = desk.shop();
    let connection = known(shop.connection(name))?;
    Ok(ConnectionDetail {
        connection: answer(desk, &shop, connection).await?,
        settings: masked(&connection.settings, ""),
        file: connection.file.clone(),
        findings: desk.check_of(name).map(|check| check.findings).unwrap_or_default(),
    })
}

/// Words in the names of settings that hold a secret.
const SECRET_WORDS: [&str; 6] = ["password", "secret", "token", "key", "passphrase", "authorization"];

/// Settings as they may be shown: references are names, but a secret that stands in the file itself is one.
fn masked(value: &Json, name: &str) -> Json {
    match value {
        Json::String(text) => {
            let is_reference = text.starts_with("secret:") || text.contains("${");
            let lower = name.to_ascii_lowercase();
            let secret = SECRET_WORDS.iter().any(|word| lower.contains(word)) && !lower.ends_with("_file");
            if secret && !is_reference {
                return "***".into();
            }
            Json::String(tidegate_model::secret::redact_url(text))
        }
        Json::Array(items) => Json::Array(items.iter().map(|item| masked(item, name)).collect()),
        Json::Object(map) => Json::Object(map.iter().map(|(key, item)| (key.clone(), masked(item, key))).collect()),
        other => other.clone(),
    }
}

/// Checks a connection, and remembers what was found.
pub async fn check(desk: &ProjectDesk, name: &str) -> Result<Vec<FindingAnswer>> {
    let shop = desk.shop();
    let connection = known(shop.connection(name))?;
    let found = match connection.side {
        Side::Warehouse => match shop.warehouse(name).await {
            Ok(warehouse) => warehouse.check(&[Need::Connect]).await.iter().map(shapes::finding).collect(),
            Err(error) => vec![shapes::of_error(&error)],
        },
        Side::Platform => match shop.platform(name).await {
            Ok(platform) => platform.check(&[Need::Connect]).await.iter().map(shapes::finding).collect(),
            Err(error) => vec![shapes::of_error(&error)],
        },
    };
    let check = Check { at: now(), findings: found.clone() };
    desk.checks.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), check);
    Ok(found)
}

/// Checks a sync: its files, its two sides, what it needs of them.
pub async fn check_sync(desk: &ProjectDesk, name: &str) -> Result<Vec<FindingAnswer>> {
    let shop = desk.shop();
    known(shop.sync(name))?;
    let files = shop.findings(Some(name)).await;
    let mut out: Vec<FindingAnswer> = files
        .iter()
        .map(|found| {
            let mut finding = shapes::finding(&found.finding);
            finding.why = format!("{}: {}", found.place, finding.why);
            finding
        })
        .collect();
    if out.iter().any(|finding| finding.severity == "critical") {
        return Ok(out);
    }
    match shop.job(name).await {
        Ok(job) => match shop.engine.check(&job, false).await {
            Ok(found) => out.extend(found.iter().map(shapes::finding)),
            Err(error) => out.push(shapes::of_error(&error)),
        },
        Err(failure) => out.extend(failure.errors.iter().map(shapes::of_error)),
    }
    Ok(out)
}

/// Secrets by name.
pub async fn secrets(desk: &ProjectDesk) -> Result<Vec<SecretAnswer>> {
    let shop = desk.shop();
    let secrets = shop.store.list_secrets().await?.into_iter().map(|secret| SecretAnswer {
        connections: crate::cmd::secrets::using(&shop.project, &secret.name),
        name: secret.name,
        key_id: secret.key_id,
        updated_at: secret.updated_at.to_string(),
    });
    Ok(secrets.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_stand_in_the_file_are_not_shown() {
        let settings = serde_json::json!({
            "url": "postgres://me:hunter2@db/x", "password": "hunter2", "auth": { "method": "token", "token": "hunter2" },
            "api": "${KEY}", "rest_api_key": "secret:batch", "list": ["a"], "port": 5
        });
        let shown = masked(&settings, "");
        assert!(!shown.to_string().contains("hunter2"), "{shown}");
        assert_eq!(shown["api"], "${KEY}");
        assert_eq!(shown["rest_api_key"], "secret:batch");
        assert_eq!(shown["auth"]["method"], "token");
    }
}
