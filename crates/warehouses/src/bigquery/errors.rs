//! BigQuery's errors, classified by reason. Messages that may quote values are never shown.

use serde_json::Value as Json;
use tidegate_model::{Error, ErrorKind};

/// What BigQuery says of a call or a job that it refuses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The HTTP status; 0 for jobs that failed.
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) message: String,
    /// The job by which an administrator finds it.
    pub(super) job: String,
}

/// What our own scripts raise, before whatever words follow it.
const RAISED: &str = "tidegate:";

/// Beginnings of messages that speak of names and grammar, and so quote no value.
const PLAIN: [&str; 19] = [
    "Access Denied",
    "Already Exists",
    "Cannot access",
    "Column name",
    "Duplicate column",
    "Expected",
    "Exceeded rate limits",
    "Invalid snapshot",
    "Name ",
    "No matching signature",
    "Not found",
    "Quota exceeded",
    "Query exceeded limit",
    "Resources exceeded",
    "Syntax error",
    "Table ",
    "Transaction is aborted",
    "Unrecognized name",
    "User does not have",
];

impl Refusal {
    /// From the body of a refused call.
    pub(super) fn of_body(status: u16, body: &[u8]) -> Self {
        let json: Json = serde_json::from_slice(body).unwrap_or_default();
        let error = &json["error"];
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let reason = text(&error["errors"][0]["reason"]);
        let reason = if reason.is_empty() { text(&error["status"]) } else { reason };
        Self { status, reason, message: text(&error["message"]), job: String::new() }
    }

    /// From the status of a job that failed.
    pub(super) fn of_job(error: &Json, job: &str) -> Self {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        Self { status: 0, reason: text(&error["reason"]), message: text(&error["message"]), job: job.to_owned() }
    }

    /// What a script of ours raised.
    pub(super) fn raised(&self) -> Option<&str> {
        let at = self.message.find(RAISED)?;
        let word = &self.message[at + RAISED.len()..];
        Some(word.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default())
    }

    /// A job of this name is there already.
    pub(super) fn duplicate(&self) -> bool {
        self.status == 409 || self.reason == "duplicate"
    }

    /// Transactions that write one table at once: the later one is ended.
    fn overtaken(&self) -> bool {
        self.message.contains("concurrent update") || self.message.contains("Could not serialize access")
    }

    fn says(&self) -> String {
        let plain = PLAIN.iter().any(|begins| self.message.starts_with(begins));
        let message = self.message.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut says = if plain { format!("{message} ({})", self.reason) } else { format!("reason {}", self.reason) };
        if !self.job.is_empty() {
            says.push_str(&format!(", job {}", self.job));
        }
        says
    }

    /// The error of a call.
    pub(super) fn error(&self, doing: &str) -> Error {
        let (kind, what, hint) = self.sorted();
        let error = Error::new(kind, format!("{doing}: {what}")).cause(self.says());
        if hint.is_empty() { error } else { error.hint(hint) }
    }

    fn sorted(&self) -> (ErrorKind, &'static str, &'static str) {
        use ErrorKind as K;
        if self.overtaken() {
            return (K::Locked, "another write of the same table came first", "nothing was written; it is tried again");
        }
        if let Some(sorted) = self.by_message() {
            return sorted;
        }
        match self.reason.as_str() {
            "accessDenied" => (K::Forbidden, "a right is missing", "`tidegate check` names the role that is missing"),
            "authError" | "required" | "UNAUTHENTICATED" => (K::Unauthorized, "BigQuery does not let us in", ""),
            "notFound" => (K::NotFound, "something is not there, or in another location", LOCATION),
            "rateLimitExceeded" | "jobRateLimitExceeded" | "quotaExceeded" | "userRateLimitExceeded" => (
                K::RateLimited,
                "a quota is used up",
                "the run waits; `region-REGION.INFORMATION_SCHEMA.JOBS` shows who uses it",
            ),
            "bytesBilledLimitExceeded" => (
                K::Guard,
                "the query would bill more bytes than maximum_bytes_billed",
                "map fewer columns, partition or cluster the table, or raise `maximum_bytes_billed:` of the connection",
            ),
            "billingNotEnabled" | "billingTierLimitExceeded" => {
                (K::Forbidden, "the project may not run this", "enable billing for the project")
            }
            "responseTooLarge" => (K::BadRequest, "the result is too large", "map fewer columns, or split the sync"),
            "resourcesExceeded" => (
                K::BadRequest,
                "the query is too large for the project's slots",
                "a full read is sorted by its key: `changes: tracking` or `cursor` reads less, or split the sync by `query:`",
            ),
            "stopped" => (K::Cancelled, "the job was cancelled", "somebody cancelled it in BigQuery"),
            "backendError" | "internalError" | "jobBackendError" | "jobInternalError" | "tableUnavailable"
            | "timeout" | "blocked" => (K::Unavailable, "BigQuery could not finish it", ""),
            "invalidQuery" => (K::BadRequest, "BigQuery refuses the statement", ""),
            "invalid" if self.status == 0 => (K::Data, "BigQuery refuses the rows", ""),
            _ => self.by_status(),
        }
    }

    /// What only the words tell.
    fn by_message(&self) -> Option<(ErrorKind, &'static str, &'static str)> {
        use ErrorKind as K;
        let says = |words: &str| self.message.contains(words);
        if says("Too many DML statements outstanding") {
            return Some((
                K::RateLimited,
                "too many writes of the table wait already",
                "BigQuery queues 20; the run waits",
            ));
        }
        if says("Unrecognized name") || says("not found inside") {
            return Some((K::SchemaChanged, "a column is not there", "run `tidegate check`"));
        }
        if says("time travel window") || says("Invalid snapshot time") || says("before the table was created") {
            return Some((K::HistoryGone, "the table's history does not reach back that far", GONE));
        }
        if says("10 minutes") && says("CHANGES") {
            return Some((K::Unavailable, "the change history ends ten minutes ago", "it is read in some minutes"));
        }
        None
    }

    fn by_status(&self) -> (ErrorKind, &'static str, &'static str) {
        use ErrorKind as K;
        match self.status {
            401 => (K::Unauthorized, "BigQuery does not let us in", "`tidegate check` says what is missing"),
            403 => (K::Forbidden, "a right is missing", "`tidegate check` names the role that is missing"),
            404 => (K::NotFound, "something is not there, or in another location", LOCATION),
            429 => (K::RateLimited, "a quota is used up", ""),
            500..=599 => (K::Unavailable, "BigQuery could not answer", ""),
            _ => (K::BadRequest, "BigQuery refuses the call", ""),
        }
    }
}

/// What helps when a history has ended.
pub(super) const GONE: &str = "one full read is needed; the dataset's `max_time_travel_hours` says how long it is kept";
const LOCATION: &str = "check the name, and `location:` of the connection: a query sees one location only";

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, reason: &str, message: &str) -> Refusal {
        Refusal { status, reason: reason.into(), message: message.into(), job: "p:EU.j1".into() }
    }

    #[test]
    fn reasons_say_whose_move_it_is() {
        let kind = |status, reason: &str, message: &str| refusal(status, reason, message).error("read t").kind;
        let dml = "Resources exceeded: Too many DML statements outstanding against table p:d.t, limit is 20.";
        assert_eq!(kind(0, "resourcesExceeded", dml), ErrorKind::RateLimited);
        assert_eq!(kind(400, "bytesBilledLimitExceeded", "Query exceeded limit"), ErrorKind::Guard);
        assert_eq!(kind(403, "accessDenied", "Access Denied: Table"), ErrorKind::Forbidden);
        assert_eq!(kind(403, "quotaExceeded", "Quota exceeded"), ErrorKind::RateLimited);
        assert_eq!(kind(400, "invalidQuery", "Unrecognized name: x at [1:8]"), ErrorKind::SchemaChanged);
        let aborted = "Transaction is aborted due to concurrent update against table p:d.t";
        assert_eq!(kind(0, "invalidQuery", aborted), ErrorKind::Locked);
        assert_eq!(kind(0, "invalid", "Bad value"), ErrorKind::Data);
        assert_eq!(kind(401, "", ""), ErrorKind::Unauthorized);
        assert_eq!(kind(503, "", ""), ErrorKind::Unavailable);
    }

    #[test]
    fn every_error_names_its_job_and_none_quotes_a_value() {
        let error = refusal(400, "invalidQuery", "Syntax error: Unexpected \"x\"").error("read t");
        assert!(error.to_string().contains("Unexpected") && error.to_string().contains("p:EU.j1"), "{error}");
        let error = refusal(0, "invalidQuery", "Bad int64 value: hunter2").error("load t");
        assert!(!error.to_string().contains("hunter2") && error.to_string().contains("p:EU.j1"), "{error}");
    }

    #[test]
    fn what_our_scripts_raise_is_heard() {
        assert_eq!(refusal(0, "invalidQuery", "Query error: tidegate:moved at [3:1]").raised(), Some("moved"));
        assert_eq!(refusal(0, "invalidQuery", "Syntax error").raised(), None);
    }

    #[test]
    fn a_body_that_is_no_json_is_an_answer_too() {
        assert_eq!(Refusal::of_body(502, b"<html>").error("read t").kind, ErrorKind::Unavailable);
        let body = br#"{"error":{"code":403,"message":"Quota exceeded: x","errors":[{"reason":"quotaExceeded"}]}}"#;
        assert_eq!(Refusal::of_body(403, body).reason, "quotaExceeded");
    }
}
