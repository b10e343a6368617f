//! Statements: sent once however often the line breaks, asked for until they end, aborted when nobody waits any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tidegate_model::{Error, ErrorKind, Result};

use super::chunks::Addresses;
use super::line::{Call, request_id};
use super::reply::{JsonRows, QueryData, Reply, RowType};
use super::session::{Inner, Session};
use crate::snowflake::errors::Refusal;

/// Past the statement's own limit we wait this long for the server to say so.
const GRACE: Duration = Duration::from_secs(60);
/// How often a token may be replaced within one statement before we stop believing in it.
const RENEWALS_MAX: u32 = 5;

/// A value of a statement. Everything travels as text; the SQL says what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::snowflake) struct Bind(pub(in crate::snowflake) String);

/// One statement.
pub(in crate::snowflake) struct Statement<'a> {
    pub(in crate::snowflake) sql: &'a str,
    pub(in crate::snowflake) binds: &'a [Bind],
    /// Only what the columns would be.
    pub(in crate::snowflake) describe: bool,
    /// The server ends it after this time.
    pub(in crate::snowflake) seconds_max: u32,
    /// What it is for, in words.
    pub(in crate::snowflake) doing: &'a str,
}

/// How the rows of a result are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::snowflake) enum Format {
    Arrow,
    Json,
}

/// Rows that came along with the answer.
pub(in crate::snowflake) enum Part {
    Arrow(Vec<u8>),
    Json(JsonRows),
}

/// The answer of a statement.
pub(in crate::snowflake) struct Answer {
    pub(in crate::snowflake) query_id: String,
    pub(in crate::snowflake) columns: Vec<RowType>,
    pub(in crate::snowflake) format: Format,
    /// Rows of the whole result.
    pub(in crate::snowflake) total: Option<u64>,
    pub(in crate::snowflake) first: Part,
    /// Where the other rows are.
    pub(in crate::snowflake) rest: Arc<Addresses>,
}

/// What the server said to a statement.
pub(super) enum Said {
    Answer(Box<QueryData>),
    Refused(Refusal),
}

impl Session {
    /// Runs a statement to its end. Dropped before that, it is aborted.
    pub(in crate::snowflake) async fn run(&self, statement: &Statement<'_>) -> Result<Answer> {
        self.attempt(statement).await.map_err(unanswered)?.map_err(|refusal| refusal.error(statement.doing))
    }

    /// Runs a statement; what the server says against it is told as it is, and a lost answer as lost.
    pub(in crate::snowflake) async fn attempt(
        &self,
        statement: &Statement<'_>,
    ) -> Result<std::result::Result<Answer, Refusal>> {
        match self.inner.statement(statement).await? {
            Said::Answer(data) => self.inner.answer(*data, statement.doing).map(Ok),
            Said::Refused(refusal) => Ok(Err(refusal)),
        }
    }
}

impl Inner {
    pub(super) async fn statement(self: &Arc<Self>, statement: &Statement<'_>) -> Result<Said> {
        let begun = Instant::now();
        let mut abort = Abort { inner: self.clone(), id: request_id(), sql: Some(statement.sql.to_owned()) };
        let body = self.body(statement);
        let limit = Duration::from_secs(u64::from(statement.seconds_max)) + GRACE;
        let mut poll: Option<String> = None;
        let mut renewals = 0;
        let said = loop {
            let tokens = self.tokens();
            let asked = Instant::now();
            let call = Call {
                method: if poll.is_some() { Method::GET } else { Method::POST },
                path: poll.as_deref().unwrap_or("/queries/v1/query-request"),
                params: &[],
                token: Some(&tokens.session),
                body: if poll.is_some() { None } else { Some(&body) },
                id: &abort.id,
                doing: statement.doing,
            };
            let reply: Reply<QueryData> = self.context.line.call(&call).await?;
            let running = matches!(reply.code.as_str(), "333333" | "333334");
            if running && begun.elapsed() > limit {
                // Dropping the guard tells the server to stop.
                return Err(Error::new(ErrorKind::Unavailable, format!("{}: still running", statement.doing))
                    .cause(format!("stopped after {} s, query {}", begun.elapsed().as_secs(), reply.data.query_id)));
            }
            if running {
                if let Some(next) = reply.data.get_result_url.filter(|url| !url.is_empty()) {
                    poll = Some(next);
                }
                pause(asked).await;
                continue;
            }
            if reply.success {
                break Said::Answer(Box::new(reply.data));
            }
            let refusal = Refusal {
                code: reply.code,
                sql_state: reply.data.sql_state,
                message: reply.message,
                query_id: reply.data.query_id,
            };
            let (expired, gone) = (refusal.token_expired(), refusal.session_gone());
            if !(expired || gone) || renewals >= RENEWALS_MAX {
                break Said::Refused(refusal);
            }
            renewals += 1;
            // Not carried out: the token is looked at first. So it may be sent again under a new session, too.
            if expired { self.renew(tokens.generation).await? } else { self.replace(tokens.generation).await? }
        };
        abort.sql = None;
        log(&said, statement.doing, begun);
        Ok(said)
    }

    fn body(&self, statement: &Statement<'_>) -> Value {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let mut body = json!({
            "sqlText": statement.sql,
            "asyncExec": false,
            "sequenceId": self.sequence.fetch_add(1, Ordering::SeqCst) + 1,
            "querySubmissionTime": u64::try_from(now.as_millis()).unwrap_or_default(),
            // One statement a request, whatever the account's own setting is.
            "parameters": { "STATEMENT_TIMEOUT_IN_SECONDS": statement.seconds_max, "MULTI_STATEMENT_COUNT": 1 },
        });
        if statement.describe {
            body["describeOnly"] = json!(true);
        }
        if !statement.binds.is_empty() {
            let bind = |(at, bind): (usize, &Bind)| ((at + 1).to_string(), json!({ "type": "TEXT", "value": bind.0 }));
            body["bindings"] = Value::Object(statement.binds.iter().enumerate().map(bind).collect());
        }
        body
    }

    /// The answer again, by the id of its query: with addresses that are good again.
    pub(super) async fn result_again(&self, query_id: &str, doing: &str) -> Result<QueryData> {
        for _ in 0..RENEWALS_MAX {
            let tokens = self.tokens();
            let id = request_id();
            let path = format!("/queries/{query_id}/result");
            let call = Call {
                method: Method::GET,
                path: &path,
                params: &[],
                token: Some(&tokens.session),
                body: None,
                id: &id,
                doing,
            };
            let reply: Reply<QueryData> = self.context.line.call(&call).await.map_err(unanswered)?;
            if reply.success {
                return Ok(reply.data);
            }
            let refusal =
                Refusal { code: reply.code, message: reply.message, query_id: query_id.into(), ..Refusal::default() };
            match (refusal.token_expired(), refusal.session_gone()) {
                (true, _) => self.renew(tokens.generation).await?,
                (_, true) => self.replace(tokens.generation).await?,
                _ => return Err(refusal.error(doing)),
            }
        }
        Err(Error::new(ErrorKind::Unavailable, format!("{doing}: the session's token is refused again and again")))
    }

    fn answer(self: &Arc<Self>, data: QueryData, doing: &str) -> Result<Answer> {
        let format = if data.query_result_format.eq_ignore_ascii_case("arrow") { Format::Arrow } else { Format::Json };
        let first = match (format, data.rowset_base64) {
            (Format::Json, _) => Part::Json(data.rowset),
            (Format::Arrow, None) => Part::Arrow(Vec::new()),
            (Format::Arrow, Some(text)) => Part::Arrow(STANDARD.decode(text).map_err(|_| {
                Error::new(
                    ErrorKind::Unavailable,
                    format!("{doing}: the rows of query {} cannot be read", data.query_id),
                )
            })?),
        };
        let headers = headers(data.chunk_headers, data.qrmk);
        let rest = Addresses::new(self.clone(), data.query_id.clone(), data.chunks, headers, doing.to_owned());
        Ok(Answer {
            query_id: data.query_id,
            columns: data.rowtype,
            format,
            total: data.total,
            first,
            rest: Arc::new(rest),
        })
    }

    async fn abort(&self, id: &str, sql: &str) {
        let tokens = self.tokens();
        let body = json!({ "sqlText": sql, "requestId": id });
        // Nobody waits for the answer; a statement that goes on ends at its own limit.
        if let Err(error) =
            self.post::<Value>("/queries/v1/abort-request", &tokens.session, &body, "abort a statement").await
        {
            tracing::debug!(%error, "a statement was not aborted");
        }
    }
}

/// Reads change nothing: without an answer they may simply be asked again.
pub(super) fn unanswered(error: Error) -> Error {
    if error.kind == ErrorKind::Lost { Error { kind: ErrorKind::Unavailable, ..error } } else { error }
}

/// The headers that each chunk wants.
fn headers(given: BTreeMap<String, String>, qrmk: Option<String>) -> BTreeMap<String, String> {
    match qrmk {
        Some(key) if given.is_empty() && !key.is_empty() => BTreeMap::from([
            ("x-amz-server-side-encryption-customer-algorithm".to_owned(), "AES256".to_owned()),
            ("x-amz-server-side-encryption-customer-key".to_owned(), key),
        ]),
        _ => given,
    }
}

/// The server holds its answer back itself; one that does not must not be asked in a tight loop.
async fn pause(asked: Instant) {
    let least = Duration::from_millis(500);
    if let Some(left) = least.checked_sub(asked.elapsed()) {
        tokio::time::sleep(left).await;
    }
}

fn log(said: &Said, doing: &str, begun: Instant) {
    let ms = begun.elapsed().as_millis();
    match said {
        Said::Answer(data) => {
            tracing::debug!(query_id = %data.query_id, rows = data.total, ms, "{doing}: answered");
        }
        Said::Refused(refusal) => {
            tracing::debug!(query_id = %refusal.query_id, code = %refusal.code, ms, "{doing}: refused");
        }
    }
}

/// Aborts the statement unless it has ended.
struct Abort {
    inner: Arc<Inner>,
    id: String,
    /// `None`: it has ended.
    sql: Option<String>,
}

impl Drop for Abort {
    fn drop(&mut self) {
        let Some(sql) = self.sql.take() else { return };
        let (inner, id) = (self.inner.clone(), std::mem::take(&mut self.id));
        // Held from now on: the session may be dropped next, and ends after this. None: it is ending already.
        let first = inner.aborting.clone().try_read_owned();
        tidegate_net::farewell::say(async move {
            inner.abort(&id, &sql).await;
            drop(first);
        });
    }
}
