//! The twin of Batch: the Profile API's two calls, `/profiles/update` and `/profiles/mass-update`.
//!
//! A call is taken with 202, and what was dropped of it is listed by the operation's number and the attribute. Attributes
//! of one name and another type are two attributes. What is not known of Batch is a choice here ([`Knobs::unsure`]).

mod rules;

use axum::http::Method;
use rusqlite::{Connection, Transaction, params};
use serde_json::{Map, Value as Json, json};

use crate::frame::call::{Call, Reply};
use crate::frame::chance::Chance;
use crate::frame::knobs::Knobs;
use crate::frame::limits::Rates;
use crate::frame::twin::{About, Shelf, Twin, Weight};
use rules::Taken;

/// What a sandbox takes when nobody names a project.
pub const PROJECT: &str = "project_sandbox";
/// What a sandbox takes when nobody names a key.
pub const KEY: &str = "sandbox-rest-key";

const UPDATE: Rates = Rates {
    requests_per_second: None,
    requests_per_minute: None,
    records_per_second: Some(300),
    burst_records: Some(1_000),
    parallel: None,
};
const MASS: Rates = Rates {
    requests_per_second: None,
    requests_per_minute: None,
    records_per_second: Some(10_000),
    burst_records: None,
    parallel: None,
};
/// Most operations of a call.
const UPDATE_MAX: usize = 200;
const MASS_MAX: usize = 10_000;

const UNSURE: &[&str] = &[
    "null_key: under which name null deletes a date or an address. `any` (default), `typed` (`date(x)`) or `plain` (`x`).",
    "partial: what an entry of the list of what was dropped names. `attribute` (default: the attribute as it was sent), `bare` (without its type) or `nothing`.",
    "The rate of /profiles/update is that of third parties: 300 profiles a second, 1,000 at once.",
    "How large a body may be; here 64 MB. How long a custom_id may be; here 512 characters.",
];

/// The twin of Batch.
#[derive(Debug, Clone)]
pub struct Batch {
    project: String,
    key: String,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new(PROJECT, KEY)
    }
}

impl Batch {
    /// One project with its REST API key.
    pub fn new(project: impl Into<String>, key: impl Into<String>) -> Self {
        Self { project: project.into(), key: key.into() }
    }
}

/// The most operations of a call, by its path; `None`: there is no such call.
fn door(call: &Call) -> Option<usize> {
    let parts = call.parts();
    let [version, "profiles", name] = parts.as_slice() else { return None };
    let (major, minor) = version.split_once('.')?;
    if major != "2" || minor.is_empty() || !minor.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match *name {
        "update" => Some(UPDATE_MAX),
        "mass-update" => Some(MASS_MAX),
        _ => None,
    }
}

fn refusal(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({ "error_code": code, "error_message": message }))
}

impl Twin for Batch {
    fn about(&self) -> About {
        About {
            platform: "Batch",
            connect: vec![
                "type: batch, url: this address".to_owned(),
                format!("project_key: {}, rest_api_key: the one it was started with", self.project),
            ],
            unsure: UNSURE.to_vec(),
        }
    }

    fn prepare(&self, db: &Connection) -> rusqlite::Result<()> {
        db.execute_batch(
            "CREATE TABLE IF NOT EXISTS batch_profiles(
                custom_id TEXT PRIMARY KEY, attributes TEXT NOT NULL, writes INTEGER NOT NULL, changed INTEGER NOT NULL
            ) WITHOUT ROWID;
            CREATE INDEX IF NOT EXISTS batch_profiles_changed ON batch_profiles(changed);",
        )
    }

    fn weight(&self, call: &Call) -> Option<Weight> {
        let most = door(call)?;
        let records = call.json().ok().and_then(|body| body.as_array().map(Vec::len)).unwrap_or(0) as u64;
        Some(match most {
            UPDATE_MAX => Weight { class: "update", rates: UPDATE, records },
            _ => Weight { class: "mass-update", rates: MASS, records },
        })
    }

    fn too_many(&self) -> Reply {
        refusal(429, "TOO_MANY_REQUESTS", "the rate limit was exceeded")
    }

    fn answer(&self, db: &Transaction<'_>, call: &Call, knobs: &Knobs, chance: &mut Chance) -> rusqlite::Result<Reply> {
        let Some(most) = door(call) else {
            return Ok(refusal(404, "ROUTE_NOT_FOUND", "there is no such route"));
        };
        if call.method != Method::POST {
            return Ok(refusal(405, "METHOD_NOT_ALLOWED", "use POST"));
        }
        if call.bearer() != Some(self.key.as_str()) || call.header("x-batch-project") != Some(self.project.as_str()) {
            return Ok(refusal(401, "AUTHENTICATION_INVALID", "the REST API key or the project is not valid"));
        }
        let Ok(Json::Array(operations)) = call.json() else {
            return Ok(refusal(400, "MALFORMED_JSON_BODY", "the body is not an array of operations"));
        };
        if operations.is_empty() || operations.len() > most {
            return Ok(refusal(400, "INVALID_BULK_SIZE", &format!("a call takes 1 to {most} operations")));
        }
        let mut errors = Vec::new();
        for (at, operation) in operations.iter().enumerate() {
            let unlucky = chance.hit(knobs.reject_pct);
            for (attribute, reason) in one(db, operation, knobs, unlucky, call.at)? {
                errors.push(partial(at, attribute, &reason, knobs));
            }
        }
        let body = match errors.is_empty() {
            true => json!({ "code": "SUCCESS" }),
            false => json!({ "code": "SUCCESS_WITH_PARTIAL_ERRORS", "errors": errors }),
        };
        Ok(Reply::json(202, &body))
    }

    fn shelves(&self, db: &Connection, newest: u32) -> rusqlite::Result<Vec<Shelf>> {
        let count = db.query_row("SELECT count(*) FROM batch_profiles", [], |row| row.get(0))?;
        let sql = "SELECT custom_id, attributes, writes FROM batch_profiles ORDER BY changed DESC, custom_id LIMIT ?1";
        let mut rows = db.prepare(sql)?;
        let newest = rows.query_map([newest], |row| {
            let (id, attributes, writes): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let attributes: Json = serde_json::from_str(&attributes).unwrap_or(Json::Null);
            Ok(json!({ "custom_id": id, "attributes": attributes, "writes": writes }))
        })?;
        Ok(vec![Shelf { name: "profile".to_owned(), count, newest: newest.collect::<rusqlite::Result<_>>()? }])
    }
}

/// An entry of the list of what was dropped.
fn partial(at: usize, attribute: Option<String>, reason: &str, knobs: &Knobs) -> Json {
    let mut entry = json!({ "category": "PROFILE", "bulk_index": at, "reason": reason });
    if let Some(name) = attribute {
        entry["category"] = json!("ATTRIBUTE");
        match knobs.choice("partial", "attribute") {
            "nothing" => {}
            "bare" => entry["attribute"] = json!(rules::bare(&name)),
            _ => entry["attribute"] = json!(name),
        }
    }
    entry
}

type Dropped = Vec<(Option<String>, String)>;

/// Carries one operation out; what was dropped of it.
fn one(db: &Transaction<'_>, operation: &Json, knobs: &Knobs, unlucky: bool, at: i64) -> rusqlite::Result<Dropped> {
    let id = match rules::identifier(operation) {
        Ok(id) => id,
        Err(reason) => return Ok(vec![(None, reason)]),
    };
    let mut dropped = Vec::new();
    let empty = Map::new();
    let sent = operation.get("attributes").and_then(Json::as_object).unwrap_or(&empty);
    let sql = "SELECT attributes FROM batch_profiles WHERE custom_id = ?1";
    let held: Option<String> = db.query_row(sql, [&id], |row| row.get(0)).map(Some).or_else(absent)?;
    let mut kept: Map<String, Json> = held.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    for (number, (name, value)) in sent.iter().enumerate() {
        let taken = match number {
            0 if unlucky => Err("this attribute is refused on purpose".to_owned()),
            50.. => Err("an update takes 50 attributes".to_owned()),
            _ => rules::attribute(name, value, knobs.choice("null_key", "any")),
        };
        match taken {
            Err(reason) => dropped.push((Some(name.clone()), reason)),
            Ok(Taken::Gone(names)) => names.iter().for_each(|name| drop(kept.remove(name))),
            Ok(Taken::Set(name, value)) => drop(kept.insert(name, value)),
            Ok(Taken::Part(name, add, remove)) => rules::merge(&mut kept, name, add, &remove),
        }
    }
    let text = Json::Object(kept).to_string();
    db.execute(
        "INSERT INTO batch_profiles VALUES (?1, ?2, 1, ?3) ON CONFLICT (custom_id)
         DO UPDATE SET attributes = excluded.attributes, writes = writes + 1, changed = excluded.changed",
        params![id, text, at],
    )?;
    Ok(dropped)
}

fn absent(error: rusqlite::Error) -> rusqlite::Result<Option<String>> {
    match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(None),
        error => Err(error),
    }
}
