//! `/_twin/…`: what tests and people ask of the twin itself, as JSON.

use axum::http::Method;
use serde_json::{Value as Json, json};

use super::call::{Call, Reply};
use super::knobs::Knobs;
use super::work::Desk;

/// Records of each model that `/_twin/holds` lists.
const HOLDS: u32 = 100;

/// The answer to a path under `/_twin/`; `None` for all others.
pub(super) fn answer(desk: &Desk, call: &Call) -> Option<Reply> {
    let what = call.path.strip_prefix("/_twin/")?;
    Some(match (call.method.clone(), what) {
        (Method::GET, "knobs") => knobs(desk),
        (Method::PUT, "knobs") => match serde_json::from_slice::<Knobs>(&call.body) {
            Ok(turned) => {
                desk.turn(turned);
                knobs(desk)
            }
            Err(error) => Reply::json(400, &json!({ "error": format!("these are no knobs: {error}") })),
        },
        (Method::GET, "requests") => requests(desk),
        (Method::DELETE, "requests") => {
            desk.state().log.clear();
            Reply::json(200, &json!({}))
        }
        (Method::GET, "holds") => match desk.shelves(HOLDS) {
            Ok(shelves) => Reply::json(200, &json!(shelves)),
            Err(error) => Reply::json(500, &json!({ "error": error.to_string() })),
        },
        _ => Reply::json(
            404,
            &json!({ "error": "there are GET and PUT /_twin/knobs, GET and DELETE /_twin/requests, GET /_twin/holds" }),
        ),
    })
}

fn knobs(desk: &Desk) -> Reply {
    Reply::json(200, &json!(desk.state().knobs))
}

fn requests(desk: &Desk) -> Reply {
    let whole = |seen: &super::log::Seen| {
        let mut line = json!(seen);
        line["body"] = match serde_json::from_slice::<Json>(&seen.body) {
            Ok(body) => body,
            Err(_) => Json::String(String::from_utf8_lossy(&seen.body).into_owned()),
        };
        line
    };
    Reply::json(200, &Json::Array(desk.state().log.all().iter().map(whole).collect()))
}
