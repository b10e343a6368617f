//! What answers mean. Pure.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value as Json;
use tidegate_model::change::{Action, Change, Effect, FieldReject, Outcome};
use tidegate_model::record::RemoteId;
use tidegate_model::value::Value;
use tidegate_model::{Error, ErrorKind, Result};

use super::config::{Condition, Failure, Results, Success};
use crate::rest::{Answer, quoted, refused};

/// The rules of a connection.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) success: Success,
    pub(super) error: Failure,
    /// What the endpoint is called in messages.
    what: String,
    /// The body has to be read even where all is well.
    looks: bool,
}

/// What an answer says of all that was asked.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Taken, as far as status and body say.
    Taken(Option<Json>),
    /// Nothing was done, and another try may help.
    Again(Error),
    /// Nobody knows whether it was done.
    Lost(Error),
    /// It cannot be taken as it is.
    Refused { status: u16, told: Told },
    /// The endpoint has no such record.
    Gone(Error),
    /// No request would go better.
    Stop(Error),
}

/// The endpoint's own words of a refusal.
#[derive(Debug, Default, Clone)]
pub(super) struct Told {
    words: String,
    field: Option<String>,
}

fn text(json: Option<&Json>) -> Option<String> {
    match json? {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

fn holds(condition: &Condition, body: &Json) -> bool {
    let found = body.pointer(&condition.at).filter(|found| !found.is_null());
    match (&condition.among, found) {
        (None, found) => found.is_some(),
        (Some(among), Some(found)) => among.contains(found),
        (Some(among), None) => among.contains(&Json::Null),
    }
}

/// Words under which reasons usually stand.
const USUAL: [&str; 8] =
    ["/message", "/error/message", "/error", "/errors/0/message", "/errors/0", "/detail", "/reason", "/title"];

/// Texts of a change, so that they are not repeated.
fn sent(change: &Change) -> impl Iterator<Item = String> + '_ {
    let texts = change.fields.iter().flat_map(|(_, value)| match value {
        Value::List(items) => items.iter().map(Value::to_string).collect(),
        other => vec![other.to_string()],
    });
    let id = change.remote.iter().map(|remote| remote.as_str().to_owned());
    texts.chain(std::iter::once(change.key.to_string())).chain(id)
}

/// Words of the endpoint without what was sent. The longest value goes first, for one may be part of another.
fn without(words: &str, changes: &[Change]) -> String {
    if words.is_empty() {
        return String::new();
    }
    let mut texts: Vec<String> = changes.iter().flat_map(sent).collect();
    texts.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
    quoted(words, texts.iter().map(String::as_str))
}

impl Rules {
    pub(super) fn of(success: Success, error: Failure, what: String) -> Self {
        let looks = !success.conditions.is_empty()
            || success.id.is_some()
            || success.results.is_some()
            || error.items.is_some()
            || !error.retry_where.is_empty();
        Self { success, error, what, looks }
    }

    /// What the endpoint is called.
    pub(super) fn what(&self) -> &str {
        &self.what
    }

    fn told(&self, body: Option<&Json>) -> Told {
        let Some(body) = body else { return Told::default() };
        let named = self.error.message.iter().map(String::as_str).chain(USUAL);
        let words =
            named.filter_map(|at| text(body.pointer(at))).find(|text| !text.trim().is_empty()).unwrap_or_default();
        let field = self.error.field.as_ref().and_then(|at| text(body.pointer(at)));
        Told { words, field }
    }

    /// What the answer says as a whole. `changes` are those of the request.
    pub(super) fn verdict(&self, answer: &Answer, changes: &[Change]) -> Verdict {
        let status = answer.status.as_u16();
        let good = match &self.success.status {
            Some(statuses) => statuses.contains(&status),
            None => (200..300).contains(&status),
        };
        let body = match self.looks || !good {
            true => serde_json::from_slice::<Json>(&answer.body).ok(),
            false => None,
        };
        let told = self.told(body.as_ref());
        let words = without(&told.words, changes);
        let again = |why: String| {
            let error = Error::new(ErrorKind::Unavailable, format!("{} asks to try again ({why})", self.what));
            Error { retry_after: answer.wait(self.error.retry_after.as_deref(), now_s()), ..error }
        };
        if body.as_ref().is_some_and(|body| self.error.retry_where.iter().any(|one| holds(one, body))) {
            return Verdict::Again(again(format!("{status}, by what its body says")));
        }
        if self.error.retry_status.contains(&status) {
            return Verdict::Again(again(status.to_string()));
        }
        if self.error.reject_status.contains(&status) {
            return Verdict::Refused { status, told };
        }
        if !good {
            return self.bad(answer, status, told, &words);
        }
        // Success without a body by its very name: there is nothing to look into.
        if status == 204 && changes.len() == 1 {
            return Verdict::Taken(None);
        }
        let Some(body) = body else {
            return match self.looks && self.needs_body() {
                true => Verdict::Lost(
                    Error::new(
                        ErrorKind::Lost,
                        format!("{} took the request ({status}), but its answer is no JSON", self.what),
                    )
                    .hint("`success` or `error` of the connection look into the body: does the endpoint answer JSON?"),
                ),
                false => Verdict::Taken(None),
            };
        };
        match self.success.conditions.iter().all(|one| holds(one, &body)) {
            true => Verdict::Taken(Some(body)),
            false => Verdict::Refused { status, told },
        }
    }

    /// Whether an answer without a body leaves open what became of the records.
    fn needs_body(&self) -> bool {
        !self.success.conditions.is_empty() || self.success.results.is_some() || self.error.items.is_some()
    }

    fn bad(&self, answer: &Answer, status: u16, told: Told, words: &str) -> Verdict {
        let error = refused(answer, &self.what, words, self.error.retry_after.as_deref());
        match (status, error.kind) {
            (300..=399, _) => Verdict::Stop(
                Error::config(format!("{} sends us elsewhere ({status}), and redirects are not followed", self.what))
                    .hint("write the address that it leads to"),
            ),
            // Statuses of success that the connection does not list.
            (200..=299, _) => Verdict::Refused {
                status,
                told: Told { words: format!("`success.status` does not list {status}"), field: None },
            },
            (404 | 410, _) => Verdict::Gone(error),
            (_, ErrorKind::RateLimited | ErrorKind::Unavailable) => Verdict::Again(error),
            (_, ErrorKind::Lost) => Verdict::Lost(error),
            (_, ErrorKind::Unauthorized | ErrorKind::NotFound) => Verdict::Stop(error),
            _ => Verdict::Refused { status, told },
        }
    }

    fn reject(&self, status: Option<u16>, told: &Told, change: &Change) -> FieldReject {
        let words = without(&told.words, std::slice::from_ref(change));
        let words = if words.is_empty() { "it gave no reason".to_owned() } else { words };
        let status = status.map_or_else(String::new, |status| format!(" ({status})"));
        let reason = format!("{} refused it{status}: {words}", self.what);
        // A field that the endpoint names and the sync does not map would not be found again.
        let field = told.field.as_ref().filter(|field| change.fields.get(field).is_some());
        FieldReject { field: field.cloned(), rule: "refused".to_owned(), reason }
    }

    fn applied(&self, change: &Change, shown: Option<&Json>) -> Outcome {
        let id = self.success.id.as_ref().and_then(|at| text(shown?.pointer(at))).map(RemoteId::new);
        let effect = match change.action {
            Action::Create => Effect::Created,
            Action::Update => Effect::Updated,
            Action::Delete => Effect::Deleted,
        };
        Outcome::Applied { remote: id.or_else(|| change.remote.clone()), effect, dropped: Vec::new(), stored: None }
    }

    /// The outcome of a record that was a request of its own; an error if no request would go better.
    pub(super) fn single(&self, verdict: Verdict, change: &Change, repeatable: bool) -> Result<Outcome> {
        Ok(match verdict {
            Verdict::Taken(body) => self.applied(change, body.as_ref()),
            Verdict::Again(error) => Outcome::Retry(error),
            Verdict::Lost(error) if repeatable => Outcome::Retry(error),
            Verdict::Lost(error) => Outcome::Unknown(error),
            Verdict::Refused { status, told } => Outcome::Rejected(self.reject(Some(status), &told, change)),
            Verdict::Gone(error) => match change.action {
                Action::Delete => Outcome::Unchanged { remote: change.remote.clone() },
                Action::Update => Outcome::Missed { now: None, remote: None },
                Action::Create => return Err(error),
            },
            Verdict::Stop(error) => return Err(error),
        })
    }

    /// The outcomes of a batch, one for each record; an error for the request as a whole.
    pub(super) fn batch(&self, verdict: Verdict, changes: &[Change]) -> Result<Vec<Outcome>> {
        let body = match verdict {
            Verdict::Taken(body) => body.unwrap_or(Json::Null),
            Verdict::Refused { status, told } => {
                let words = without(&told.words, changes);
                let words = if words.is_empty() { String::new() } else { format!(": {words}") };
                return Err(Error::new(
                    ErrorKind::BadRequest,
                    format!("{} refuses the request ({status}){words}", self.what),
                ));
            }
            Verdict::Again(error) | Verdict::Lost(error) | Verdict::Gone(error) | Verdict::Stop(error) => {
                return Err(error);
            }
        };
        match (&self.success.results, &self.error.items) {
            (Some(results), _) => self.by_results(results, &body, changes),
            (None, Some(_)) => Ok(self.by_errors(&body, changes)),
            (None, None) => Ok(changes.iter().map(|change| self.applied(change, None)).collect()),
        }
    }

    fn by_results(&self, results: &Results, body: &Json, changes: &[Change]) -> Result<Vec<Outcome>> {
        let Some(list) = body.pointer(&results.at).and_then(Json::as_array) else {
            return Err(Error::new(
                ErrorKind::Lost,
                format!("{} took the request, but its answer has no list of results", self.what),
            )
            .hint("compare `success.results.at` with an answer of the endpoint"));
        };
        let by_key: Option<HashMap<String, &Json>> =
            results.key.as_ref().map(|at| list.iter().filter_map(|one| Some((text(one.pointer(at))?, one))).collect());
        let one = |(at, change): (usize, &Change)| {
            let found = match &by_key {
                Some(map) => map.get(change.key.as_str()).copied(),
                None => list.get(at).filter(|_| list.len() == changes.len()),
            };
            match found {
                Some(result) => self.result(results, result, change),
                None => Outcome::Rejected(FieldReject::record(
                    "not_told",
                    format!("the answer of {} does not say what became of the record", self.what),
                )),
            }
        };
        Ok(changes.iter().enumerate().map(one).collect())
    }

    fn result(&self, results: &Results, result: &Json, change: &Change) -> Outcome {
        let status = results.status.as_ref().and_then(|at| result.pointer(at)?.as_u64());
        let status = status.and_then(|status| u16::try_from(status).ok());
        let good = match (results.status.is_some(), status) {
            (false, _) => true,
            (true, None) => false,
            (true, Some(status)) => (200..300).contains(&status),
        };
        let told = self.told(Some(result));
        match status {
            Some(404 | 410) if change.action == Action::Delete => Outcome::Unchanged { remote: change.remote.clone() },
            Some(404 | 410) if change.action == Action::Update => Outcome::Missed { now: None, remote: None },
            Some(code) if [429, 503].contains(&code) || self.error.retry_status.contains(&code) => Outcome::Retry(
                Error::new(ErrorKind::Unavailable, format!("{} asks to try the record again ({code})", self.what)),
            ),
            _ if good && results.conditions.iter().all(|one| holds(one, result)) => self.applied(change, Some(result)),
            _ => Outcome::Rejected(self.reject(status, &told, change)),
        }
    }

    /// An error that names no record of the request delivers none of them.
    fn by_errors(&self, body: &Json, changes: &[Change]) -> Vec<Outcome> {
        let Some(items) = &self.error.items else { return Vec::new() };
        let list = body.pointer(&items.at).and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
        let mut rejects: Vec<Option<FieldReject>> = changes.iter().map(|_| None).collect();
        let mut stray = false;
        for item in list {
            let index = items.index.as_ref().and_then(|at| item.pointer(at)?.as_u64());
            let by_index = index.and_then(|index| usize::try_from(index).ok()).filter(|at| *at < changes.len());
            let by_key = || {
                let key = items.key.as_ref().and_then(|at| text(item.pointer(at)))?;
                changes.iter().position(|change| change.key.as_str() == key)
            };
            match by_index.or_else(by_key) {
                Some(at) => rejects[at] = Some(self.reject(None, &self.told(Some(item)), &changes[at])),
                None => stray = true,
            }
        }
        let one = |(change, reject): (&Change, Option<FieldReject>)| match reject {
            Some(why) => Outcome::Rejected(why),
            None if stray => Outcome::Rejected(FieldReject::record(
                "not_told",
                format!(
                    "{} refused something of this request without saying which record; it is sent again",
                    self.what
                ),
            )),
            None => self.applied(change, None),
        };
        changes.iter().zip(rejects).map(one).collect()
    }
}

/// Seconds since 1970.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
