//! The frozen JSON shapes of plans, conflicts and rejects.

use serde::Serialize;
use serde_json::Value as Json;
use tidegate_engine::{Drift, PlanSummary, PlannedChange, Why, WhyField};
use tidegate_model::change::Reject;
use tidegate_model::ports::{Conflict, ConflictState, HistoryEntry, ListedConflict, ListedReject};
use tidegate_model::run::Books;
use tidegate_model::sync::{Direction, FieldSource, Sync, Target};
use tidegate_model::value::Value;

use crate::out::Object;

/// `warehouse` or `platform`.
pub fn side(target: Target) -> &'static str {
    match target {
        Target::Warehouse => "warehouse",
        Target::Platform => "platform",
    }
}

/// What stands in the place of a value that is never shown.
const HIDDEN: &str = "***";

/// Whether a name, the platform's or the warehouse's, belongs to a field under `redact:`.
pub fn hides(sync: &Sync, name: &str) -> bool {
    let column = FieldSource::Column(name.to_owned());
    let of = |field: &&tidegate_model::sync::FieldMap| field.source == column && sync.redact.contains(&field.platform);
    sync.redact.iter().any(|hidden| hidden == name) || sync.field_list().iter().any(|field| of(&field))
}

/// A planned change as it may be shown: the engine leaves hidden values out, which looks like a field that is cleared.
pub fn hidden(sync: &Sync, change: &PlannedChange) -> PlannedChange {
    let mut change = change.clone();
    for field in change.fields.iter_mut().filter(|field| hides(sync, &field.field)) {
        field.from = Some(Value::Text(HIDDEN.into()));
        field.to = Some(Value::Text(HIDDEN.into()));
    }
    change
}

fn json(value: Option<&Value>) -> Json {
    value.map_or(Json::Null, Value::to_json)
}

/// `{"key","side","action","fields":{"name":{"from":…,"to":…}}}`, and `why` for rejects and holds.
pub fn change(change: &PlannedChange) -> Object {
    let mut fields = Object::default();
    for field in &change.fields {
        let mut pair = Object::default();
        // An old value that nobody knows is left out; a known empty one is null.
        if let Some(from) = &field.from {
            pair.put("from", from.to_json());
        }
        pair.put("to", json(field.to.as_ref()));
        fields.nest(field.field.clone(), pair);
    }
    let mut line = Object::default();
    line.put("key", change.key.clone()).put("side", side(change.side)).put("action", change.action.clone());
    line.nest("fields", fields);
    if let Some(why) = &change.why {
        line.put("why", why.clone());
    }
    line
}

/// `{"summary":{…}}`: the books as if everything were applied, and what it costs.
pub fn summary(sync: &str, summary: &PlanSummary) -> Object {
    let total = summary.books.total();
    let mut inner = Object::default();
    inner.put("sync", sync);
    for (name, count) in [
        ("read", total.read),
        ("created", total.created),
        ("updated", total.updated),
        ("unchanged", total.unchanged),
        ("deleted", total.deleted),
        ("rejected", total.rejected),
        ("held", total.held),
        ("conflicts", total.conflicts),
        ("calls", summary.calls),
    ] {
        inner.put(name, count);
    }
    inner.put("minutes", summary.minutes).put("quota_share", summary.quota_share.map_or(Json::Null, Json::from));
    inner.put("guards", summary.guards.clone());
    if !summary.based_on.is_empty() {
        inner.put("based_on", summary.based_on.clone());
    }
    for (name, bytes) in [("bytes_to_read", summary.bytes_to_read), ("bytes_billed", summary.bytes_billed)] {
        if let Some(bytes) = bytes {
            inner.put(name, bytes);
        }
    }
    for (name, is) in [("bytes_least", summary.bytes_least), ("whole_columns", summary.whole_columns)] {
        if is {
            inner.put(name, true);
        }
    }
    let mut line = Object::default();
    line.nest("summary", inner);
    line
}

/// `{"summary":{…}}` of what was done.
pub fn books(sync: &str, books: &Books) -> Object {
    summary(sync, &PlanSummary { books: *books, calls: books.total().requests, ..PlanSummary::default() })
}

/// A write that was carried out, in the shape of the plan's line for it.
pub fn done(sync: &Sync, entry: &HistoryEntry) -> Object {
    let mut fields = Object::default();
    for (name, to) in entry.after.iter() {
        let mut pair = Object::default();
        let shown = |value: &Value| if hides(sync, name) { HIDDEN.into() } else { value.to_json() };
        if let Some(from) = entry.before.get(name) {
            pair.put("from", shown(from));
        }
        pair.put("to", shown(to));
        fields.nest(name.to_string(), pair);
    }
    let action = match entry.effect.as_str() {
        "created" => "create",
        "updated" => "update",
        "deleted" => "delete",
        other => other,
    };
    let mut line = Object::default();
    line.put("key", entry.key.as_str()).put("side", side(entry.to)).put("action", action).nest("fields", fields);
    line
}

/// A difference that `verify` found, in the shape of a plan's line that mends it.
pub fn drift(sync: &Sync, drift: &Drift) -> Object {
    let mut fields = Object::default();
    if let Some(field) = &drift.field {
        let mut pair = Object::default();
        let shown = |value: Option<&Value>| if hides(sync, field) { HIDDEN.into() } else { json(value) };
        pair.put("from", shown(drift.found.as_ref())).put("to", shown(drift.expected.as_ref()));
        fields.nest(field.clone(), pair);
    }
    let mut line = Object::default();
    line.put("key", drift.key.clone()).put("side", side(drift.side)).put("action", "drift");
    line.nest("fields", fields).put("why", drift.cause.clone());
    line
}

/// The word for how far a conflict is.
pub fn conflict_state(conflict: &Conflict) -> &'static str {
    match conflict.state {
        ConflictState::Decided => "decided",
        ConflictState::Open => "open",
        ConflictState::Chosen => "chosen",
    }
}

/// `{"sync","key","field","warehouse","platform","winner","state","run","at"}`; redacted fields show `***`.
pub fn conflict(listed: &ListedConflict, redact: &[String]) -> Object {
    let conflict = &listed.conflict;
    let hidden = conflict.field.as_ref().is_some_and(|field| redact.contains(field));
    let shown = |value: Option<&Value>| if hidden { Json::from(HIDDEN) } else { json(value) };
    let mut line = Object::default();
    line.put("sync", listed.sync.clone())
        .put("key", conflict.key.as_str())
        .put("field", conflict.field.clone())
        .put("warehouse", shown(conflict.warehouse.as_ref()))
        .put("platform", shown(conflict.platform.as_ref()))
        .put("winner", conflict.winner.map(side))
        .put("state", conflict_state(conflict))
        .put("run", listed.run.clone())
        .put("at", listed.at.to_string());
    line
}

/// `{"sync","key","field","rule","reason","run","at"}`
pub fn reject(listed: &ListedReject) -> Object {
    let Reject { key, why, .. } = &listed.reject;
    let mut line = Object::default();
    line.put("sync", listed.sync.clone())
        .put("key", key.as_ref().map(|key| key.as_str().to_owned()))
        .put("field", why.field.clone())
        .put("rule", why.rule.clone())
        .put("reason", why.reason.clone())
        .put("run", listed.run.clone())
        .put("at", listed.at.to_string());
    line
}

/// The word for a direction.
pub fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::ToPlatform => "to_platform",
        Direction::ToWarehouse => "to_warehouse",
        Direction::Both => "both",
    }
}

/// Everything about one record; the planned changes in the shape of a plan's lines.
pub fn why<'a>(sync: &Sync, why: &'a Why) -> WhyLine<'a> {
    WhyLine {
        sync: &why.sync,
        key: &why.key,
        remote: why.remote.as_deref(),
        link: &why.link,
        fields: &why.fields,
        history: &why.history,
        rejects: &why.rejects,
        conflicts: &why.conflicts,
        next: why.next.iter().map(|next| change(&hidden(sync, next))).collect(),
        verdict: &why.verdict,
    }
}

/// See [`why`].
#[derive(Debug, Serialize)]
pub struct WhyLine<'a> {
    sync: &'a str,
    key: &'a str,
    remote: Option<&'a str>,
    link: &'a str,
    fields: &'a [WhyField],
    history: &'a [Json],
    rejects: &'a [Json],
    conflicts: &'a [Json],
    next: Vec<Object>,
    verdict: &'a str,
}
