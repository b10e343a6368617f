//! The twin's file: records as documents with their keys beside them, events, measurements.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use serde_json::{Map, Value as Json};

use super::models::{self, Model};
use crate::frame::twin::Shelf;

/// A record as it is kept.
pub(super) type Doc = Map<String, Json>;

pub(super) fn prepare(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS planhat_record(
             seq INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, id TEXT NOT NULL, ext TEXT, src TEXT,
             email TEXT, company TEXT, doc TEXT NOT NULL);
         CREATE UNIQUE INDEX IF NOT EXISTS planhat_record_id ON planhat_record(model, id);
         CREATE INDEX IF NOT EXISTS planhat_record_ext ON planhat_record(model, ext) WHERE ext IS NOT NULL;
         CREATE INDEX IF NOT EXISTS planhat_record_src ON planhat_record(model, src) WHERE src IS NOT NULL;
         CREATE INDEX IF NOT EXISTS planhat_record_email ON planhat_record(model, email) WHERE email IS NOT NULL;
         CREATE INDEX IF NOT EXISTS planhat_record_company ON planhat_record(model, company) WHERE company IS NOT NULL;
         CREATE TABLE IF NOT EXISTS planhat_event(
             seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, state TEXT NOT NULL, doc TEXT NOT NULL);",
    )
}

/// An id as Planhat's look: 24 hexadecimal digits that grow with time.
pub(super) fn new_id(at: i64) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let seconds = u32::try_from(at / 1_000_000).unwrap_or(u32::MAX);
    // The process and the microsecond keep ids of several starts on one file apart.
    let spread = (u64::from(std::process::id()) << 20) ^ u64::try_from(at % 1_000_000).unwrap_or(0);
    format!("{seconds:08x}{:010x}{:06x}", spread & 0xff_ffff_ffff, number & 0xff_ffff)
}

/// Whether a text is an id by its look.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn text<'a>(doc: &'a Doc, field: &str) -> Option<&'a str> {
    doc.get(field).and_then(Json::as_str).filter(|text| !text.is_empty())
}

fn column(key: &str) -> Option<&'static str> {
    match key {
        "_id" => Some("id"),
        "externalId" => Some("ext"),
        "sourceId" => Some("src"),
        "email" => Some("email"),
        _ => None,
    }
}

fn doc_of(row: &Row<'_>, at: usize) -> rusqlite::Result<Doc> {
    let text: String = row.get(at)?;
    match serde_json::from_str(&text) {
        Ok(Json::Object(doc)) => Ok(doc),
        _ => Ok(Doc::new()),
    }
}

/// The record whose key has this value.
pub(super) fn by_key(db: &Transaction<'_>, model: &str, key: &str, value: &str) -> rusqlite::Result<Option<Doc>> {
    let Some(column) = column(key) else { return Ok(None) };
    let sql = format!("SELECT doc FROM planhat_record WHERE model = ?1 AND {column} = ?2 ORDER BY seq LIMIT 1");
    db.prepare_cached(&sql)?.query_row(params![model, value], |row| doc_of(row, 0)).optional()
}

/// The record that a path or a reference names: an id, `extid-…` or `srcid-…`.
pub(super) fn by_name(db: &Transaction<'_>, model: &str, name: &str) -> rusqlite::Result<Option<Doc>> {
    let (key, value) = match (name.strip_prefix("extid-"), name.strip_prefix("srcid-")) {
        (Some(value), _) => ("externalId", value),
        (_, Some(value)) => ("sourceId", value),
        _ => ("_id", name),
    };
    by_key(db, model, key, value)
}

/// The one company that has this mail domain.
pub(super) fn company_of_domain(db: &Transaction<'_>, domain: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT DISTINCT r.id FROM planhat_record r, json_each(r.doc, '$.domains') d
               WHERE r.model = 'company' AND lower(d.value) = lower(?1) LIMIT 2";
    let mut found = db.prepare_cached(sql)?;
    let ids: Vec<String> = found.query_map([domain], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(if ids.len() == 1 { ids.into_iter().next() } else { None })
}

/// Keeps a record, new or changed.
pub(super) fn put(db: &Transaction<'_>, model: &Model, doc: &Doc) -> rusqlite::Result<()> {
    let company = model.company.as_deref().and_then(|field| text(doc, field));
    let values = params![
        model.model,
        text(doc, "_id"),
        text(doc, "externalId"),
        text(doc, "sourceId"),
        text(doc, "email"),
        company,
        Json::Object(doc.clone()).to_string(),
    ];
    let sql = "INSERT INTO planhat_record(model, id, ext, src, email, company, doc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
               ON CONFLICT(model, id) DO UPDATE SET ext = ?3, src = ?4, email = ?5, company = ?6, doc = ?7";
    db.prepare_cached(sql)?.execute(values).map(drop)
}

/// Removes a record; whether it was there.
pub(super) fn remove(db: &Transaction<'_>, model: &str, id: &str) -> rusqlite::Result<bool> {
    Ok(db.execute("DELETE FROM planhat_record WHERE model = ?1 AND id = ?2", params![model, id])? > 0)
}

/// What is read of a list.
pub(super) struct Window<'a> {
    pub(super) companies: Vec<&'a str>,
    pub(super) descending: bool,
    pub(super) limit: usize,
    pub(super) offset: usize,
}

/// Records in the order of their making.
pub(super) fn list(db: &Transaction<'_>, model: &str, window: &Window<'_>) -> rusqlite::Result<Vec<Doc>> {
    let order = if window.descending { "DESC" } else { "ASC" };
    let only = if window.companies.is_empty() { "" } else { "AND company IN (SELECT value FROM json_each(?4))" };
    let sql = format!("SELECT doc FROM planhat_record WHERE model = ?1 {only} ORDER BY seq {order} LIMIT ?2 OFFSET ?3");
    let mut statement = db.prepare(&sql)?;
    let (limit, offset) = (i64::try_from(window.limit).unwrap_or(i64::MAX), i64::try_from(window.offset).unwrap_or(0));
    let read = |row: &Row<'_>| doc_of(row, 0);
    if window.companies.is_empty() {
        return statement.query_map(params![model, limit, offset], read)?.collect();
    }
    let companies = serde_json::json!(window.companies).to_string();
    statement.query_map(params![model, limit, offset, companies], read)?.collect()
}

/// Keeps an event or a measurement.
pub(super) fn event(db: &Transaction<'_>, kind: &str, state: &str, doc: &Json) -> rusqlite::Result<()> {
    let sql = "INSERT INTO planhat_event(kind, state, doc) VALUES (?1, ?2, ?3)";
    db.prepare_cached(sql)?.execute(params![kind, state, doc.to_string()]).map(drop)
}

/// Events of a kind and state, oldest first.
pub(super) fn events(db: &Connection, kind: &str, state: &str) -> rusqlite::Result<Vec<Json>> {
    let sql = "SELECT doc FROM planhat_event WHERE kind = ?1 AND state = ?2 ORDER BY seq";
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map(params![kind, state], |row| doc_of(row, 0).map(Json::Object))?;
    rows.collect()
}

/// What there is, for the page.
pub(super) fn shelves(db: &Connection, newest: u32) -> rusqlite::Result<Vec<Shelf>> {
    let mut out = Vec::new();
    let read = |row: &Row<'_>| doc_of(row, 0).map(Json::Object);
    for model in models::all() {
        let count =
            db.query_row("SELECT count(*) FROM planhat_record WHERE model = ?1", [&model.model], |row| row.get(0))?;
        let mut some =
            db.prepare_cached("SELECT doc FROM planhat_record WHERE model = ?1 ORDER BY seq DESC LIMIT ?2")?;
        let newest = some.query_map(params![model.model, newest], read)?.collect::<rusqlite::Result<_>>()?;
        out.push(Shelf { name: model.model.clone(), count, newest });
    }
    let kinds = "SELECT kind, state, count(*) FROM planhat_event GROUP BY kind, state ORDER BY kind, state";
    let mut statement = db.prepare(kinds)?;
    let kinds = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for (kind, state, count) in kinds.collect::<rusqlite::Result<Vec<(String, String, i64)>>>()? {
        let sql = "SELECT doc FROM planhat_event WHERE kind = ?1 AND state = ?2 ORDER BY seq DESC LIMIT ?3";
        let mut some = db.prepare_cached(sql)?;
        let newest = some.query_map(params![kind, state, newest], read)?.collect::<rusqlite::Result<_>>()?;
        out.push(Shelf { name: format!("{kind}, {state}"), count, newest });
    }
    Ok(out)
}
