//! The analytics host: it takes everything and says 200. What becomes of an event is seen in the app alone.

use rusqlite::Transaction;
use serde_json::{Value as Json, json};

use super::models;
use super::store::{self, Doc, text};
use crate::frame::call::{Call, Reply};
use crate::frame::knobs::Knobs;

fn items(call: &Call, bulk: bool) -> Option<Vec<Json>> {
    match call.json().ok()? {
        Json::Array(items) if bulk => Some(items),
        one @ Json::Object(_) => Some(vec![one]),
        _ => None,
    }
}

/// User activities, single or bulk.
pub(super) fn activities(
    db: &Transaction<'_>,
    call: &Call,
    ours: bool,
    bulk: bool,
    knobs: &Knobs,
) -> rusqlite::Result<Reply> {
    let Some(items) = items(call, bulk) else {
        return Ok(Reply::json(200, &json!({ "processed": 0, "errors": [{ "error": "the body is not understood" }] })));
    };
    let (count, mut errors) = (items.len(), Vec::new());
    for item in items {
        let Json::Object(event) = &item else {
            errors.push(json!({ "item": item, "error": "an event is an object" }));
            continue;
        };
        let state = if ours { link(db, call.at, event, bulk, knobs)? } else { "unknown tenant" };
        store::event(db, "activity", state, &item)?;
    }
    Ok(Reply::json(200, &json!({ "processed": count - errors.len(), "errors": errors })))
}

/// What becomes of an event.
fn link(db: &Transaction<'_>, at: i64, event: &Doc, bulk: bool, knobs: &Knobs) -> rusqlite::Result<&'static str> {
    let first = |names: &[&str]| names.iter().find_map(|name| text(event, name));
    let (external, company) = match (bulk, knobs.choice("activity_names", "current")) {
        (false, _) => (first(&["externalId"]), first(&["companyExternalId"])),
        (true, "old") => (first(&["id"]), first(&["cId"])),
        (true, "any") => (first(&["euExtId", "id", "externalId"]), first(&["companyExternalId", "cId"])),
        (true, _) => (first(&["euExtId"]), first(&["companyExternalId"])),
    };
    let email = text(event, "email").map(str::to_lowercase);
    if external.is_none() && email.is_none() {
        return Ok("ignored");
    }
    let by_external = external.map(|id| store::by_key(db, "enduser", "externalId", id)).transpose()?.flatten();
    let known = match (by_external, &email) {
        (Some(user), _) => Some(user),
        (None, Some(email)) => store::by_key(db, "enduser", "email", email)?,
        (None, None) => None,
    };
    if known.is_some() {
        return Ok("linked");
    }
    let company = company.map(|id| store::by_key(db, "company", "externalId", id)).transpose()?.flatten();
    let (Some(company), Some(model)) = (company, models::named("enduser")) else { return Ok("unassigned") };
    let mut user = Doc::new();
    user.insert("_id".to_owned(), Json::String(store::new_id(at)));
    user.insert("companyId".to_owned(), company["_id"].clone());
    if let Some(external) = external {
        user.insert("externalId".to_owned(), Json::String(external.to_owned()));
    }
    if let Some(email) = email {
        user.insert("email".to_owned(), Json::String(email));
    }
    store::put(db, model, &user)?;
    Ok("linked")
}

/// Custom metrics.
pub(super) fn metrics(db: &Transaction<'_>, call: &Call, ours: bool) -> rusqlite::Result<Reply> {
    let Some(items) = items(call, true) else {
        return Ok(Reply::json(200, &json!({ "processed": 0, "errors": [{ "error": "the body is not understood" }] })));
    };
    let (mut processed, mut errors) = (0, Vec::new());
    for item in items {
        let missing = ["dimensionId", "externalId", "value"]
            .into_iter()
            .find(|field| item.get(field).is_none_or(|value| value.is_null() || value == ""));
        if let Some(field) = missing {
            errors.push(json!({ "item": item, "error": format!("{field} must be specified") }));
            continue;
        }
        processed += 1;
        let model = match item.get("model").and_then(Json::as_str).unwrap_or("Company") {
            "EndUser" => "enduser",
            "Asset" => "asset",
            "Project" => "project",
            _ => "company",
        };
        let external = item["externalId"].as_str().unwrap_or_default();
        let known = store::by_key(db, model, "externalId", external)?.is_some();
        store::event(db, "metric", if ours && known { "linked" } else { "failed" }, &item)?;
    }
    Ok(Reply::json(200, &json!({ "processed": processed, "errors": errors })))
}

/// Measurements that were linked.
pub(super) fn list(db: &Transaction<'_>, call: &Call) -> rusqlite::Result<Reply> {
    let number = |name: &str, default: usize| call.param(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let passes = |metric: &Json| call.param("dimid").is_none_or(|id| metric["dimensionId"] == id);
    let all = store::events(db, "metric", "linked")?;
    let row = |metric: Json| {
        json!({ "dimensionId": metric["dimensionId"], "time": metric["date"], "value": metric["value"],
                "model": metric["model"], "companyId": metric["externalId"] })
    };
    let some = all.into_iter().filter(passes).skip(number("offset", 0)).take(number("limit", 10_000)).map(row);
    Ok(Reply::json(200, &Json::Array(some.collect())))
}
