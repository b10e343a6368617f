//! What Batch's answers mean, record by record.

use std::collections::HashMap;

use serde::Deserialize;
use tidegate_model::change::{Action, Change, Effect, FieldReject, Outcome};
use tidegate_model::value::Value;
use tidegate_model::{Error, ErrorKind, Result};

use super::encode::Body;
use super::model::attribute;
use crate::rest::{Answer, quoted, refused};

/// When a rate limit is over, where the answer says so.
const RESET: &str = "x-ratelimit-reset";
/// What the calls are named in messages.
pub const WHAT: &str = "Batch's Profile API";

/// The body of a 202.
#[derive(Deserialize)]
struct Accepted {
    code: String,
    #[serde(default)]
    errors: Vec<Partial>,
}

/// Something that was dropped while the rest was taken.
#[derive(Deserialize)]
struct Partial {
    #[serde(default)]
    bulk_index: Option<usize>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    attribute: Option<String>,
}

/// The body of a refusal.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error_code: String,
    #[serde(default)]
    error_message: String,
}

/// One outcome per change.
pub fn outcomes(answer: &Answer, body: Body, batch: &[Change]) -> Result<Vec<Outcome>> {
    if !answer.status.is_success() {
        return Err(refusal(answer, batch));
    }
    let unread = |cause: String| {
        Error::new(ErrorKind::Lost, format!("{WHAT} took the call, but its answer cannot be read")).cause(cause)
    };
    let accepted: Accepted = serde_json::from_slice(&answer.body).map_err(|error| unread(error.to_string()))?;
    match accepted.code.as_str() {
        "SUCCESS" | "SUCCESS_WITH_PARTIAL_ERRORS" => Ok(sorted(&accepted.errors, body, batch)),
        other => Err(unread(format!("the code {} is not known", quoted(other, std::iter::empty())))),
    }
}

/// Texts of a change, so that they are not repeated.
fn sent(change: &Change) -> impl Iterator<Item = String> {
    let texts = change.fields.iter().flat_map(|(_, value)| match value {
        Value::List(items) => items.iter().map(Value::to_string).collect(),
        other => vec![other.to_string()],
    });
    texts.chain(std::iter::once(change.key.to_string()))
}

fn told(words: &str, change: &Change) -> String {
    let texts: Vec<String> = sent(change).collect();
    quoted(words, texts.iter().map(String::as_str))
}

fn sorted(errors: &[Partial], body: Body, batch: &[Change]) -> Vec<Outcome> {
    let mut dropped: HashMap<usize, Vec<FieldReject>> = HashMap::new();
    for (at, why) in body.refused {
        dropped.entry(at).or_default().push(why);
    }
    let mut rejected: HashMap<usize, FieldReject> = HashMap::new();
    let mut stray = false;
    for error in errors {
        // Each change is an operation, in the same order.
        let Some(at) = error.bulk_index.filter(|at| *at < batch.len()) else {
            stray = true;
            continue;
        };
        let change = &batch[at];
        let reason = format!("Batch ignored it: {}", told(&error.reason, change));
        let fields = error.attribute.as_deref().map(|name| fields_of(change, name)).unwrap_or_default();
        if fields.is_empty() {
            rejected.insert(at, FieldReject::record("ignored", reason.clone()));
        }
        let fields = fields.into_iter().map(|field| FieldReject::field(field, "ignored", reason.clone()));
        dropped.entry(at).or_default().extend(fields);
    }
    if dropped.is_empty() && rejected.is_empty() && !stray {
        return batch.iter().map(|change| outcome(change, None, Vec::new())).collect();
    }
    let one = |(at, change): (usize, &Change)| {
        // Something was dropped, and nobody knows of which record: none of them counts as delivered.
        let unknown = || stray.then(|| FieldReject::record("partial_error", STRAY));
        outcome(change, rejected.remove(&at).or_else(unknown), dropped.remove(&at).unwrap_or_default())
    };
    batch.iter().enumerate().map(one).collect()
}

const STRAY: &str = "Batch dropped something of this call without saying of which record; it is sent again";

fn outcome(change: &Change, rejected: Option<FieldReject>, dropped: Vec<FieldReject>) -> Outcome {
    if let Some(why) = rejected {
        return Outcome::Rejected(why);
    }
    let effect = if change.action == Action::Create { Effect::Created } else { Effect::Updated };
    Outcome::Applied { remote: None, effect, dropped, stored: None }
}

/// The fields behind an attribute as Batch names it: with or without its type.
fn fields_of(change: &Change, named: &str) -> Vec<String> {
    let inner = |open: &str| named.strip_prefix(open).and_then(|rest| rest.strip_suffix(')'));
    let bare = inner("date(").or_else(|| inner("url(")).unwrap_or(named);
    let fields = change.fields.iter().map(|(field, _)| field);
    fields.filter(|field| attribute(field) == bare).map(|field| field.to_string()).collect()
}

fn refusal(answer: &Answer, batch: &[Change]) -> Error {
    let body: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
    let texts: Vec<String> = batch.iter().flat_map(sent).collect();
    let words = [body.error_code.as_str(), body.error_message.as_str()].map(str::trim);
    let words: Vec<&str> = words.into_iter().filter(|words| !words.is_empty()).collect();
    let told = quoted(&words.join(", "), texts.iter().map(String::as_str));
    refused(answer, WHAT, &told, Some(RESET))
}
