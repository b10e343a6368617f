//! REST calls. One call is one request: nothing is repeated here. What is read may be asked again; whether what
//! writes was carried out is told by the job's name.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Method, Url};
use serde_json::Value as Json;
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_net::http::Http;
use tidegate_net::targets::{self, Targets};

use super::auth::Tokens;
use super::errors::Refusal;

/// Answers are held back for so long while a job runs.
pub(super) const WAIT_MS: u32 = 20_000;
/// Silence after which a connection is broken: well beyond what an answer is held back.
const SILENCE: Duration = Duration::from_secs(60);
/// Largest answer: pages of rows are asked for in less.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// What stands between the two parts of an upload. It cannot come up in rows: they have no such line.
const BOUNDARY: &str = "tidegate-part";

/// What a call came to: an answer, or what BigQuery says against it.
pub(super) type Told = std::result::Result<Json, Refusal>;

/// A way to the REST addresses.
pub(super) struct Rest {
    client: Client,
    base: Url,
    tokens: Tokens,
}

impl Rest {
    pub(super) fn new(base: &str, tokens: Tokens, targets: Option<Targets>) -> Result<Self> {
        let base = Url::parse(base).map_err(|error| Error::config(format!("{base} is no address")).cause(error))?;
        let client = Http { read_timeout: SILENCE, targets, ..Http::default() }.client()?;
        Ok(Self { client, base, tokens })
    }

    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    fn url(&self, before: &str, parts: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        let mut url = self.base.clone();
        {
            let mut path = url.path_segments_mut().map_err(|()| Error::config("the endpoint has no path"))?;
            path.pop_if_empty().extend(before.split('/').filter(|part| !part.is_empty()));
            path.extend(["bigquery", "v2"]).extend(parts);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// Asks for something.
    pub(super) async fn get(&self, parts: &[&str], query: &[(&str, &str)], doing: &str) -> Result<Told> {
        let request = self.client.request(Method::GET, self.url("", parts, query)?);
        // What is only read may be asked again.
        self.send(request, doing).await.map_err(|error| match error.kind {
            ErrorKind::Lost => Error { kind: ErrorKind::Unavailable, ..error },
            _ => error,
        })
    }

    /// Makes or starts something.
    pub(super) async fn post(&self, parts: &[&str], body: &Json, doing: &str) -> Result<Told> {
        let request = self.client.request(Method::POST, self.url("", parts, &[])?).json(body);
        self.send(request, doing).await
    }

    /// Asks for a job to be cancelled.
    pub(super) async fn cancel(&self, project: &str, job: &str, location: Option<&str>) -> Result<Told> {
        let query: Vec<(&str, &str)> = location.map(|location| ("location", location)).into_iter().collect();
        let url = self.url("", &["projects", project, "jobs", job, "cancel"], &query)?;
        self.send(self.client.request(Method::POST, url).json(&Json::Null), "cancel a job").await
    }

    /// Removes something.
    pub(super) async fn delete(&self, parts: &[&str], doing: &str) -> Result<Told> {
        self.send(self.client.request(Method::DELETE, self.url("", parts, &[])?), doing).await
    }

    /// Starts a job with rows in its body.
    pub(super) async fn upload(&self, parts: &[&str], job: &Json, rows: &[u8], doing: &str) -> Result<Told> {
        let mut body = Vec::with_capacity(rows.len() + 2_048);
        for (kind, bytes) in [("application/json; charset=UTF-8", job.to_string().as_bytes()), ("text/plain", rows)] {
            body.extend_from_slice(format!("--{BOUNDARY}\r\ncontent-type: {kind}\r\n\r\n").as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        let url = self.url("upload", parts, &[("uploadType", "multipart")])?;
        let request = self.client.request(Method::POST, url).body(body);
        self.send(request.header(CONTENT_TYPE, format!("multipart/related; boundary={BOUNDARY}")), doing).await
    }

    /// A call whose token is refused was not carried out: where another token may be had, it is made with that one.
    async fn send(&self, request: reqwest::RequestBuilder, doing: &str) -> Result<Told> {
        let again = request.try_clone();
        match (self.once(request, doing).await?, again) {
            (Err(refusal), Some(again)) if refusal.status == 401 && self.tokens.forget().await => {
                self.once(again, doing).await
            }
            (told, _) => Ok(told),
        }
    }

    async fn once(&self, request: reqwest::RequestBuilder, doing: &str) -> Result<Told> {
        let request = request.headers(self.tokens.headers().await?);
        let mut answer = request.send().await.map_err(|error| unanswered(&error, doing))?;
        let status = answer.status();
        let wait = answer.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
        let mut body = Vec::new();
        while let Some(bytes) = answer.chunk().await.map_err(|error| unanswered(&error, doing))? {
            add(&mut body, &bytes, doing)?;
        }
        if status.is_success() {
            if body.is_empty() {
                return Ok(Ok(Json::Null));
            }
            let json = serde_json::from_slice(&body);
            return json.map(Ok).map_err(|_| lost(doing, "the answer is no JSON"));
        }
        let refusal = Refusal::of_body(status.as_u16(), &body);
        if status.is_server_error() {
            // A gateway may have passed the call on before it gave up.
            return Err(lost(doing, &format!("the answer is {status}")));
        }
        if let Some(seconds) = wait {
            return Err(Error { retry_after: Some(Duration::from_secs(seconds)), ..refusal.error(doing) });
        }
        Ok(Err(refusal))
    }
}

fn add(body: &mut Vec<u8>, bytes: &Bytes, doing: &str) -> Result<()> {
    if body.len() + bytes.len() > ANSWER_BYTES_MAX {
        return Err(Error::internal(format!("{doing}: an answer of more than {} MB", ANSWER_BYTES_MAX >> 20)));
    }
    body.extend_from_slice(bytes);
    Ok(())
}

fn lost(doing: &str, why: &str) -> Error {
    Error::new(ErrorKind::Lost, format!("{doing}: {why}"))
        .hint("whether it was carried out is found out by the job's name when it is tried again")
}

/// A call without an answer: it did not go out, or nobody knows.
fn unanswered(error: &reqwest::Error, doing: &str) -> Error {
    if let Some(ours) = targets::refusal(error) {
        return ours.at(doing);
    }
    let host = error.url().and_then(Url::host_str).unwrap_or("BigQuery").to_owned();
    let cause = std::error::Error::source(error).map_or_else(|| "no answer".to_owned(), ToString::to_string);
    if error.is_connect() {
        return Error::new(ErrorKind::Unavailable, format!("{doing}: {host} cannot be reached"))
            .cause(cause)
            .hint("check the network, HTTPS_PROXY, and `endpoint:` of the connection");
    }
    if error.is_builder() {
        return Error::internal(format!("{doing}: the call cannot be made")).cause(cause);
    }
    lost(doing, &format!("{host} gave no answer")).cause(cause)
}
