//! Records: lists, single ones, and the bulk upsert with its answer.

use jiff::Timestamp;
use rusqlite::Transaction;
use serde_json::{Value as Json, json};

use super::models::{self, Model};
use super::store::{self, Doc, Window, is_id, text};
use crate::frame::call::{Call, Reply};
use crate::frame::chance::Chance;
use crate::frame::knobs::{Knobs, Normalise};

/// Most items of a bulk upsert.
const BULK_MAX: usize = 5_000;

/// What happened to one item.
enum Done {
    Created(Doc),
    Updated(Doc),
    Same(Doc),
    /// Planhat says nothing of it, and does nothing.
    Vanished,
    Refused {
        update: bool,
        why: String,
    },
}

fn refused(update: bool, why: impl Into<String>) -> Done {
    Done::Refused { update, why: why.into() }
}

fn stamp(at: i64) -> String {
    Timestamp::from_millisecond(at / 1_000).map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}

/// The bulk upsert.
pub(super) fn bulk(
    db: &Transaction<'_>,
    call: &Call,
    model: &Model,
    knobs: &Knobs,
    chance: &mut Chance,
) -> rusqlite::Result<Reply> {
    let Ok(Json::Array(items)) = call.json() else {
        return Ok(Reply::text(400, "an array of objects is expected"));
    };
    if items.len() > BULK_MAX {
        return Ok(Reply::text(400, format!("more than {BULK_MAX} items")));
    }
    if knobs.choice("strict", "no") == "yes" && items.iter().any(|item| bad(model, item)) {
        return Ok(Reply::text(400, "a required key is missing or duplicated"));
    }
    let mut answer = Answer::new(knobs);
    for item in items {
        let Json::Object(item) = item else {
            answer.add(&Doc::new(), refused(false, "an item is no object"));
            continue;
        };
        let done = match chance.hit(knobs.reject_pct) {
            true => refused(found(db, model, &item)?.is_some(), "refused on purpose"),
            false => upsert(db, call.at, model, &item, knobs)?,
        };
        answer.add(&item, done);
    }
    Ok(answer.reply())
}

/// An item that nobody could take: without a required field and without a key.
fn bad(model: &Model, item: &Json) -> bool {
    let Some(item) = item.as_object() else { return true };
    let keyed = model.keys.iter().any(|key| text(item, key).is_some());
    !keyed && model.required.iter().any(|field| item.get(field).is_none_or(Json::is_null))
}

/// The answer of a bulk upsert, as it comes together.
struct Answer<'a> {
    knobs: &'a Knobs,
    created: u64,
    updated: u64,
    nonupdates: u64,
    created_errors: Vec<Json>,
    updated_errors: Vec<Json>,
    inserts: Vec<Json>,
    updates: Vec<Json>,
    modified: Vec<Json>,
    upserted: Vec<Json>,
}

impl<'a> Answer<'a> {
    fn new(knobs: &'a Knobs) -> Self {
        Self {
            knobs,
            created: 0,
            updated: 0,
            nonupdates: 0,
            created_errors: Vec::new(),
            updated_errors: Vec::new(),
            inserts: Vec::new(),
            updates: Vec::new(),
            modified: Vec::new(),
            upserted: Vec::new(),
        }
    }

    fn keys(&self, item: &Doc, doc: &Doc) -> Json {
        let mut keys = Doc::new();
        keys.insert("_id".to_owned(), doc["_id"].clone());
        let told: &[&str] = match self.knobs.choice("answer_keys", "externalId") {
            "all" => &["externalId", "sourceId", "email"],
            _ => &["externalId"],
        };
        for key in told.iter().filter(|key| text(item, key).is_some()) {
            keys.insert((*key).to_owned(), item[*key].clone());
        }
        Json::Object(keys)
    }

    fn add(&mut self, item: &Doc, done: Done) {
        match done {
            Done::Vanished => {}
            Done::Created(doc) => {
                self.created += 1;
                self.upserted.push(doc["_id"].clone());
                self.inserts.push(self.keys(item, &doc));
            }
            Done::Updated(doc) => {
                self.updated += 1;
                self.modified.push(doc["_id"].clone());
                self.updates.push(self.keys(item, &doc));
            }
            Done::Same(doc) => {
                self.nonupdates += 1;
                if self.knobs.choice("nonupdates_listed", "yes") == "yes" {
                    self.updates.push(self.keys(item, &doc));
                }
            }
            Done::Refused { update, why } => {
                let error = match self.knobs.choice("error_items", "keys") {
                    "text" => Json::String(why),
                    "item" => json!({ "item": item, "error": why }),
                    _ => {
                        let keys = ["_id", "externalId", "sourceId", "email"];
                        let mut error: Doc = keys
                            .iter()
                            .filter(|key| item.contains_key(**key))
                            .map(|key| ((*key).to_owned(), item[*key].clone()))
                            .collect();
                        error.insert("message".to_owned(), Json::String(why));
                        Json::Object(error)
                    }
                };
                if update { self.updated_errors.push(error) } else { self.created_errors.push(error) }
            }
        }
    }

    fn reply(self) -> Reply {
        let refused = !self.created_errors.is_empty() || !self.updated_errors.is_empty();
        let taken = self.created + self.updated + self.nonupdates > 0;
        let status = match (refused, taken) {
            (false, _) => 200,
            (true, true) => 206,
            (true, false) => 400,
        };
        let body = json!({
            "created": self.created,
            "createdErrors": self.created_errors,
            "insertsKeys": self.inserts,
            "updated": self.updated,
            "updatedErrors": self.updated_errors,
            "updatesKeys": self.updates,
            "nonupdates": self.nonupdates,
            "modified": self.modified,
            "upsertedIds": self.upserted,
            "permissionErrors": [],
        });
        Reply::json(status, &body)
    }
}

/// The record that an item names: the first key that is there and found.
fn found(db: &Transaction<'_>, model: &Model, item: &Doc) -> rusqlite::Result<Option<Doc>> {
    for key in &model.keys {
        if let Some(value) = text(item, key)
            && let Some(doc) = store::by_key(db, &model.model, key, value)?
        {
            return Ok(Some(doc));
        }
    }
    Ok(None)
}

fn upsert(db: &Transaction<'_>, at: i64, model: &Model, item: &Doc, knobs: &Knobs) -> rusqlite::Result<Done> {
    if model.model == "ticket" && text(item, "email").is_none() && found(db, model, item)?.is_none() {
        return Ok(Done::Vanished);
    }
    let item = normalised(item, knobs.normalise);
    match found(db, model, &item)? {
        Some(old) => change(db, at, model, &old, &item, knobs),
        None if text(&item, "_id").is_some() && knobs.choice("unknown_id", "insert") == "error" => {
            Ok(refused(true, "no record has this _id"))
        }
        None => insert(db, at, model, &item, knobs),
    }
}

fn insert(db: &Transaction<'_>, at: i64, model: &Model, item: &Doc, knobs: &Knobs) -> rusqlite::Result<Done> {
    let mut doc = Doc::new();
    let given = text(item, "_id").filter(|_| knobs.choice("unknown_id", "insert") == "keep");
    doc.insert("_id".to_owned(), Json::String(given.map_or_else(|| store::new_id(at), str::to_owned)));
    if let Err(why) = merge(db, model, &mut doc, item, knobs)? {
        return Ok(refused(false, why));
    }
    if model.model == "enduser" && text(&doc, "companyId").is_none() {
        let domain = text(&doc, "email").and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain.to_owned());
        match domain.map(|domain| store::company_of_domain(db, &domain)).transpose()?.flatten() {
            Some(company) => drop(doc.insert("companyId".to_owned(), Json::String(company))),
            None => return Ok(refused(false, "companyId is required: no company has the domain of the email")),
        }
    }
    let empty = |field: &String| doc.get(field).is_none_or(|value| value.is_null() || value == "");
    if let Some(field) = model.required.iter().find(|field| empty(field)) {
        return Ok(refused(false, format!("{field} is required")));
    }
    if let Some(why) = without_revenue(model, &doc) {
        return Ok(refused(false, why));
    }
    if model.model == "user" && !doc.contains_key("inactive") {
        doc.insert("inactive".to_owned(), Json::Bool(true));
    }
    doc.insert("createdAt".to_owned(), Json::String(stamp(at)));
    doc.insert("updatedAt".to_owned(), Json::String(stamp(at)));
    store::put(db, model, &doc)?;
    Ok(Done::Created(doc))
}

fn change(
    db: &Transaction<'_>,
    at: i64,
    model: &Model,
    old: &Doc,
    item: &Doc,
    knobs: &Knobs,
) -> rusqlite::Result<Done> {
    let mut doc = old.clone();
    if let Err(why) = merge(db, model, &mut doc, item, knobs)? {
        return Ok(refused(true, why));
    }
    if doc == *old {
        return Ok(Done::Same(doc));
    }
    let empty = |field: &String| doc.get(field).is_none_or(|value| value.is_null() || value == "");
    if let Some(field) = model.required.iter().find(|field| empty(field)) {
        return Ok(refused(true, format!("{field} is required")));
    }
    if let Some(why) = without_revenue(model, &doc) {
        return Ok(refused(true, why));
    }
    doc.insert("updatedAt".to_owned(), Json::String(stamp(at)));
    store::put(db, model, &doc)?;
    Ok(Done::Updated(doc))
}

/// A license of a fixed period has a value (or an mrr), any other an mrr.
fn without_revenue(model: &Model, doc: &Doc) -> Option<&'static str> {
    let none = |field: &str| doc.get(field).is_none_or(Json::is_null);
    match doc.get("fixedPeriod").and_then(Json::as_bool) {
        Some(true) if model.model == "license" && none("value") && none("mrr") => Some("value is required"),
        Some(false) if model.model == "license" && none("mrr") => Some("mrr is required"),
        _ => None,
    }
}

fn normalised(item: &Doc, normalise: Normalise) -> Doc {
    let key = |name: &str| ["externalId", "sourceId", "email"].contains(&name);
    let text = |name: &str, value: &Json| {
        let Json::String(text) = value else { return value.clone() };
        let mut text = text.as_str();
        if (key(name) && normalise.trim_keys) || (!key(name) && normalise.trim_texts) {
            text = text.trim();
        }
        // Planhat keeps mail addresses in lower case.
        let lower = name == "email" || (key(name) && normalise.lower_keys);
        Json::String(if lower { text.trim().to_lowercase() } else { text.to_owned() })
    };
    item.iter().map(|(name, value)| (name.clone(), text(name, value))).collect()
}

/// Puts an item's fields into a record; the first thing that is wrong with them.
fn merge(
    db: &Transaction<'_>,
    model: &Model,
    doc: &mut Doc,
    item: &Doc,
    knobs: &Knobs,
) -> rusqlite::Result<Result<(), String>> {
    for (name, value) in item {
        match name.as_str() {
            "_id" | "createdAt" | "updatedAt" => continue,
            "custom" => {
                let Json::Object(custom) = value else { return Ok(Err("custom is no object".to_owned())) };
                let mut all = doc.get("custom").and_then(Json::as_object).cloned().unwrap_or_default();
                for (name, value) in custom {
                    if knobs.choice("custom", "keep") == "keep" || defined(db, model, name)? {
                        set(&mut all, name, value, knobs);
                    }
                }
                doc.insert("custom".to_owned(), Json::Object(all));
                continue;
            }
            "externalId" | "sourceId" => {
                let other = value.as_str().map(|value| store::by_key(db, &model.model, name, value)).transpose()?;
                if other.flatten().is_some_and(|other| other["_id"] != doc["_id"]) {
                    return Ok(Err(format!("{name} is duplicated")));
                }
            }
            _ => {}
        }
        if Some(name) == model.company.as_ref()
            && let Some(given) = value.as_str()
        {
            match store::by_name(db, "company", given)? {
                Some(company) => drop(doc.insert(name.clone(), company["_id"].clone())),
                None => return Ok(Err(format!("{name}: there is no such company"))),
            }
            continue;
        }
        if let Err(why) = fits(&model.model, name, value) {
            return Ok(Err(why));
        }
        set(doc, name, &date(name, value), knobs);
    }
    if model.model == "conversation" {
        let kind = text(doc, "type").unwrap_or("note").to_owned();
        let known = ["note", "email", "chat", "ticket", "call"].contains(&kind.as_str());
        doc.insert("type".to_owned(), Json::String(if known { kind } else { "note".to_owned() }));
        if let Some(description) = text(doc, "description") {
            let snippet: String = description.chars().take(100).collect();
            doc.insert("snippet".to_owned(), Json::String(snippet));
        }
    }
    Ok(Ok(()))
}

fn defined(db: &Transaction<'_>, model: &Model, name: &str) -> rusqlite::Result<bool> {
    let window = Window { companies: Vec::new(), descending: false, limit: 10_000, offset: 0 };
    let all = store::list(db, "customfield", &window)?;
    Ok(all.iter().any(|field| text(field, "name") == Some(name) && text(field, "parent") == Some(&model.model)))
}

fn set(doc: &mut Doc, name: &str, value: &Json, knobs: &Knobs) {
    let clears = value.is_null() && knobs.choice("nulls", "clear") == "clear";
    let empties = value == "" && knobs.choice("empty", "keep") == "clear";
    if clears || empties {
        doc.remove(name);
    } else if !value.is_null() {
        doc.insert(name.to_owned(), value.clone());
    }
}

/// Times are kept as JavaScript keeps them: to the millisecond.
fn date(name: &str, value: &Json) -> Json {
    let Some(text) = value.as_str().filter(|text| text.len() > 19 && text.ends_with('Z') && text.contains('T')) else {
        return value.clone();
    };
    match text.parse::<Timestamp>() {
        Ok(time) if name != "externalId" && name != "sourceId" => Json::String(stamp(time.as_microsecond())),
        _ => value.clone(),
    }
}

fn fits(model: &str, name: &str, value: &Json) -> Result<(), String> {
    let one_of: &[&str] = match (model, name) {
        ("company", "status") => &["prospect", "coming", "customer", "canceled", "lost"],
        ("license", "renewalStatus") => &["ongoing", "renewed", "lost"],
        ("opportunity", "status") => &["active", "won", "lost"],
        ("task", "mainType") => &["task", "event"],
        _ => &[],
    };
    if let Some(text) = value.as_str().filter(|_| !one_of.is_empty())
        && !one_of.contains(&text)
    {
        return Err(format!("{name} takes only {}", one_of.join(", ")));
    }
    let days = model == "invoice" && name.ends_with("Date");
    if days && !value.is_null() && !value.is_i64() {
        return Err(format!("{name} is a number of days since 1970-01-01"));
    }
    if model == "nps" && name == "score" && !value.as_i64().is_some_and(|score| (0..=10).contains(&score)) {
        return Err("score is a number from 0 to 10".to_owned());
    }
    Ok(())
}

/// A list: no total, no next page.
pub(super) fn list(db: &Transaction<'_>, call: &Call, model: &Model) -> rusqlite::Result<Reply> {
    let number = |name: &str, default: usize| call.param(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (default, most) = model.page;
    let window = Window {
        companies: call.param("companyId").map_or(Vec::new(), |list| list.split(',').collect()),
        descending: call.param("sort").is_some_and(|sort| sort.starts_with('-')),
        limit: number("limit", default).min(most),
        offset: number("offset", 0),
    };
    let mut docs = store::list(db, &model.model, &window)?;
    if let Some(select) = call.param("select") {
        let wanted: Vec<&str> = select.split(',').chain(["_id"]).collect();
        docs.iter_mut().for_each(|doc| doc.retain(|name, _| wanted.contains(&name.as_str())));
    }
    Ok(Reply::json(200, &json!(docs)))
}

/// The end users of a company.
pub(super) fn of_company(db: &Transaction<'_>, call: &Call, id: &str) -> rusqlite::Result<Reply> {
    let Some(company) = store::by_name(db, "company", id)? else { return Ok(Reply::text(404, "Not found")) };
    let mut call = call.clone();
    call.query = vec![("companyId".to_owned(), text(&company, "_id").unwrap_or_default().to_owned())];
    match models::named("enduser") {
        Some(model) => list(db, &call, model),
        None => Ok(Reply::text(404, "Not found")),
    }
}

/// All companies by their keys, without a limit.
pub(super) fn lean(db: &Transaction<'_>, call: &Call) -> rusqlite::Result<Reply> {
    let window = Window { companies: Vec::new(), descending: false, limit: i64::MAX as usize, offset: 0 };
    let passes = |doc: &Doc| {
        ["externalId", "sourceId", "status"].iter().all(|name| {
            call.param(name)
                .is_none_or(|list| text(doc, name).is_some_and(|value| list.split(',').any(|one| one == value)))
        })
    };
    let lean = |mut doc: Doc| {
        doc.retain(|name, _| ["_id", "externalId", "sourceId", "name"].contains(&name.as_str()));
        doc
    };
    let docs = store::list(db, "company", &window)?;
    Ok(Reply::json(200, &json!(docs.into_iter().filter(passes).map(lean).collect::<Vec<_>>())))
}

/// A single record.
pub(super) fn one(db: &Transaction<'_>, model: &Model, id: &str) -> rusqlite::Result<Reply> {
    let known = is_id(id) || id.starts_with("extid-") || id.starts_with("srcid-");
    match store::by_name(db, &model.model, id)? {
        Some(doc) => Ok(Reply::json(200, &Json::Object(doc))),
        None if known => Ok(Reply::text(404, "Not found")),
        None => Ok(Reply::text(400, "the id has the wrong form")),
    }
}

fn single(done: Done) -> Reply {
    match done {
        Done::Created(doc) | Done::Updated(doc) | Done::Same(doc) => Reply::json(200, &Json::Object(doc)),
        Done::Vanished => Reply::json(200, &json!({})),
        Done::Refused { why, .. } => Reply::text(400, why),
    }
}

/// A new record.
pub(super) fn create(db: &Transaction<'_>, call: &Call, model: &Model, knobs: &Knobs) -> rusqlite::Result<Reply> {
    match call.json() {
        Ok(Json::Object(item)) => insert(db, call.at, model, &normalised(&item, knobs.normalise), knobs).map(single),
        _ => Ok(Reply::text(400, "an object is expected")),
    }
}

/// A partial update.
pub(super) fn update(
    db: &Transaction<'_>,
    call: &Call,
    model: &Model,
    id: &str,
    knobs: &Knobs,
) -> rusqlite::Result<Reply> {
    let Ok(Json::Object(item)) = call.json() else { return Ok(Reply::text(400, "an object is expected")) };
    match store::by_name(db, &model.model, id)? {
        Some(old) => change(db, call.at, model, &old, &normalised(&item, knobs.normalise), knobs).map(single),
        None => Ok(Reply::text(404, "Not found")),
    }
}

/// Removes a record.
pub(super) fn delete(db: &Transaction<'_>, model: &Model, id: &str) -> rusqlite::Result<Reply> {
    let Some(doc) = store::by_name(db, &model.model, id)? else { return Ok(Reply::text(404, "Not found")) };
    let gone = store::remove(db, &model.model, text(&doc, "_id").unwrap_or_default())?;
    Ok(Reply::json(200, &json!({ "n": u8::from(gone), "ok": 1, "deletedCount": u8::from(gone) })))
}
