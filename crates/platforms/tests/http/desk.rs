//! A stand-in that speaks an API of nobody's: contacts by key or by id, one by one or in bulk, read in four ways, behind
//! four kinds of credentials. The frame of the twins puts the faults in.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, Transaction, params};
use serde_json::{Map, Value as Json, json};
use tidegate_twins::{About, Call, Chance, Knobs, Reply, Shelf, Twin, Weight};

/// What it lets in: as a bearer token, as a password, as an API key, as a client's secret.
pub const SECRET: &str = "planted-secret-91c4";

/// The stand-in.
#[derive(Debug, Default)]
pub struct Desk {
    /// Tokens that it gave out.
    pub tokens: AtomicU64,
}

fn of(reply: Json, status: u16) -> rusqlite::Result<Reply> {
    Ok(Reply::json(status, &reply))
}

/// A contact: id, key, fields.
type Held = (String, String, Map<String, Json>);

fn held(db: &Connection, by: &str, value: &str) -> rusqlite::Result<Option<Held>> {
    let sql = format!("SELECT id, key, body FROM contacts WHERE {by} = ?1 ORDER BY id LIMIT 1");
    let mut rows = db.prepare(&sql)?;
    let mut rows = rows.query([value])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let body: String = row.get(2)?;
    Ok(Some((row.get(0)?, row.get(1)?, serde_json::from_str(&body).unwrap_or_default())))
}

/// What a request with this idempotency key made before.
fn seen(db: &Connection, call: &Call) -> rusqlite::Result<Option<String>> {
    let once = call.header("idempotency-key").unwrap_or_default();
    let mut rows = db.prepare("SELECT id FROM once WHERE name = ?1 AND name <> ''")?;
    let mut rows = rows.query([once])?;
    rows.next()?.map(|row| row.get(0)).transpose()
}

fn keep(db: &Connection, id: &str, key: &str, body: &Map<String, Json>) -> rusqlite::Result<()> {
    let text = Json::Object(body.clone()).to_string();
    db.execute(
        "INSERT INTO contacts VALUES (?1, ?2, ?3, 1) ON CONFLICT (id) DO UPDATE SET body = excluded.body, writes = writes + 1",
        params![id, key, text],
    )?;
    Ok(())
}

fn merged(mut body: Map<String, Json>, sent: &Json) -> Map<String, Json> {
    for (name, value) in sent.as_object().into_iter().flatten() {
        match value {
            Json::Null => drop(body.remove(name)),
            value => drop(body.insert(name.clone(), value.clone())),
        }
    }
    body
}

/// Repeats the value that it does not like, as servers do.
fn refusal(sent: &Json) -> Json {
    let name = sent.get("name").and_then(Json::as_str).unwrap_or_default();
    json!({ "error": { "message": format!("the name \"{name}\" is refused on purpose"), "field": "name" } })
}

impl Desk {
    fn lets_in(call: &Call) -> bool {
        let header = call.header("authorization").unwrap_or_default();
        let basic = "Basic YW5uOnBsYW50ZWQtc2VjcmV0LTkxYzQ=";
        let bearer =
            header.strip_prefix("Bearer ").is_some_and(|token| token == SECRET || token.starts_with("granted-"));
        bearer || header == basic || call.header("x-api-key") == Some(SECRET)
    }

    fn token(&self, call: &Call) -> rusqlite::Result<Reply> {
        let form = String::from_utf8_lossy(&call.body).into_owned();
        let has = |part: &str| form.split('&').any(|one| one == part);
        let basic = call.header("authorization") == Some("Basic dGlkZTpwbGFudGVkLXNlY3JldC05MWM0");
        let named = has("client_id=tide") && has(&format!("client_secret={SECRET}"));
        if !has("grant_type=client_credentials") || !(basic || named) {
            return of(json!({ "error": "invalid_client" }), 401);
        }
        let number = self.tokens.fetch_add(1, Ordering::SeqCst) + 1;
        of(json!({ "access_token": format!("granted-{number}"), "expires_in": 3600, "token_type": "Bearer" }), 200)
    }

    /// A PUT names the record by its key and takes its place.
    fn put(db: &Connection, key: &str, sent: &Json) -> rusqlite::Result<Reply> {
        let was = held(db, "id", key)?.is_some();
        keep(db, key, key, &merged(Map::new(), sent))?;
        of(json!({ "data": { "id": key } }), if was { 200 } else { 201 })
    }

    /// A POST makes a new record each time, unless the request was seen before.
    fn post(db: &Connection, call: &Call, sent: &Json) -> rusqlite::Result<Reply> {
        let once = call.header("idempotency-key").unwrap_or_default().to_owned();
        let seen = seen(db, call)?;
        if let Some(id) = seen {
            return of(json!({ "data": { "id": id } }), 200);
        }
        let count: i64 = db.query_row("SELECT count(*) FROM contacts", [], |row| row.get(0))?;
        let id = format!("id-{count:05}");
        keep(db, &id, sent["key"].as_str().unwrap_or_default(), &merged(Map::new(), sent))?;
        db.execute("INSERT OR IGNORE INTO once VALUES (?1, ?2)", [&once, &id])?;
        of(json!({ "data": { "id": id } }), 201)
    }

    fn patch(db: &Connection, id: &str, sent: &Json) -> rusqlite::Result<Reply> {
        match held(db, "id", id)? {
            None => of(json!({ "error": { "message": "no such contact" } }), 404),
            Some((id, key, body)) => {
                keep(db, &id, &key, &merged(body, sent))?;
                of(json!({ "data": { "id": id } }), 200)
            }
        }
    }

    /// Many at once. Results come in the wrong order on purpose; with `?errors` only what was refused is listed.
    fn bulk(db: &Connection, call: &Call, knobs: &Knobs, chance: &mut Chance) -> rusqlite::Result<Reply> {
        let sent = call.json().unwrap_or_default();
        let list = sent.get("contacts").and_then(Json::as_array).cloned().unwrap_or_default();
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for (at, one) in list.iter().enumerate() {
            let key = one["key"].as_str().unwrap_or_default();
            if chance.hit(knobs.reject_pct) || one["name"] == "bad" {
                let mut why = refusal(one);
                (why["key"], why["status"], why["index"]) = (json!(key), json!(422), json!(at));
                errors.push(why.clone());
                results.push(why);
                continue;
            }
            let body = held(db, "id", key)?.map(|(_, _, body)| body).unwrap_or_default();
            keep(db, key, key, &merged(body, one))?;
            results.push(json!({ "key": key, "status": 200, "id": format!("B{key}") }));
        }
        results.reverse();
        match call.param("errors") {
            Some(_) => of(json!({ "errors": errors }), 200),
            None => of(json!({ "results": results }), 207),
        }
    }

    fn list(db: &Connection, call: &Call) -> rusqlite::Result<Reply> {
        let number = |name: &str| call.param(name).and_then(|text| text.parse::<i64>().ok());
        let limit = number("limit").unwrap_or(100);
        let offset = match (number("page"), number("offset"), call.param("after")) {
            (Some(page), ..) => (page - 1) * limit,
            (_, Some(offset), _) => offset,
            (.., after) => after.and_then(|after| after.strip_prefix("c")?.parse().ok()).unwrap_or(0),
        };
        let mut rows = db.prepare("SELECT id, key, body FROM contacts ORDER BY id LIMIT ?1 OFFSET ?2")?;
        let rows = rows.query_map([limit, offset], |row| {
            let (id, key, body): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let mut body: Map<String, Json> = serde_json::from_str(&body).unwrap_or_default();
            body.insert("id".to_owned(), json!(id));
            body.insert("key".to_owned(), json!(key));
            Ok(Json::Object(body))
        })?;
        let rows: Vec<Json> = rows.collect::<rusqlite::Result<_>>()?;
        let more = rows.len() as i64 == limit;
        let next = more.then(|| format!("c{}", offset + limit));
        let host = call.header("x-elsewhere").map_or_else(String::new, |host| format!("http://{host}"));
        let link = next.as_ref().map(|next| format!("{host}/contacts?limit={limit}&after={next}"));
        let reply = Reply::json(200, &json!({ "data": rows, "next": next, "links": { "next": link } }));
        Ok(match link {
            Some(link) => reply.header("link", format!("<{link}>; rel=\"next\"")),
            None => reply,
        })
    }
}

impl Twin for Desk {
    fn about(&self) -> About {
        About { platform: "Desk", ..About::default() }
    }

    fn prepare(&self, db: &Connection) -> rusqlite::Result<()> {
        db.execute_batch(
            "CREATE TABLE contacts(id TEXT PRIMARY KEY, key TEXT NOT NULL, body TEXT NOT NULL, writes INTEGER NOT NULL);
             CREATE TABLE once(name TEXT PRIMARY KEY, id TEXT NOT NULL);",
        )
    }

    fn weight(&self, call: &Call) -> Option<Weight> {
        let rates = tidegate_twins::Rates::default();
        (call.path != "/token").then_some(Weight { class: "all", rates, records: 1 })
    }

    fn too_many(&self) -> Reply {
        Reply::json(429, &json!({ "error": { "message": "slow down" } }))
    }

    fn answer(&self, db: &Transaction<'_>, call: &Call, knobs: &Knobs, chance: &mut Chance) -> rusqlite::Result<Reply> {
        let parts = call.parts();
        if parts.as_slice() == ["token"] {
            return self.token(call);
        }
        if !Self::lets_in(call) {
            return of(json!({ "error": { "message": "who are you" } }), 401);
        }
        let sent = call.json().unwrap_or_default();
        let writes = ["PUT", "POST", "PATCH"].contains(&call.method.as_str());
        let unlucky = writes && (chance.hit(knobs.reject_pct) || sent["name"] == "bad");
        // What was carried out before is answered as it was then, and not refused by a second throw.
        if parts.first() == Some(&"contacts") && unlucky && seen(db, call)?.is_none() {
            return of(refusal(&sent), 422);
        }
        match (call.method.as_str(), parts.as_slice()) {
            ("PUT", ["contacts", key]) => Self::put(db, key, &sent),
            ("POST", ["contacts"]) => Self::post(db, call, &sent),
            ("PATCH", ["contacts", id]) => Self::patch(db, id, &sent),
            ("POST", ["bulk"]) => Self::bulk(db, call, knobs, chance),
            ("GET", ["contacts"]) => Self::list(db, call),
            ("GET", ["contacts", id]) => match held(db, "id", id)? {
                None => of(json!({ "error": { "message": "no such contact" } }), 404),
                Some((id, key, mut body)) => {
                    body.insert("id".to_owned(), json!(id));
                    body.insert("key".to_owned(), json!(key));
                    of(json!({ "data": body }), 200)
                }
            },
            ("DELETE", ["contacts", id]) => {
                let gone = db.execute("DELETE FROM contacts WHERE id = ?1", [id])?;
                if gone == 0 { of(json!({}), 404) } else { Ok(Reply::text(204, "")) }
            }
            ("POST", ["echo"]) => of(json!({ "status": sent["name"].clone(), "reason": "as asked" }), 200),
            _ => of(json!({ "error": { "message": "no such place" } }), 404),
        }
    }

    fn shelves(&self, db: &Connection, newest: u32) -> rusqlite::Result<Vec<Shelf>> {
        let count = db.query_row("SELECT count(*) FROM contacts", [], |row| row.get(0))?;
        let mut rows = db.prepare("SELECT id, key, body, writes FROM contacts ORDER BY id LIMIT ?1")?;
        let rows = rows.query_map([newest], |row| {
            let (id, key, body, writes): (String, String, String, i64) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let body: Json = serde_json::from_str(&body).unwrap_or_default();
            Ok(json!({ "id": id, "key": key, "body": body, "writes": writes }))
        })?;
        Ok(vec![Shelf { name: "contacts".to_owned(), count, newest: rows.collect::<rusqlite::Result<_>>()? }])
    }
}
