//! The line to Planhat: one request, one classified answer. Nothing is sent twice from here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value as Json;
use tidegate_model::secret::{Secret, redact_url};
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_net::http::Http;
use tidegate_net::targets;

use super::LIMITS;
use crate::list::{Gate, OpenContext};
use crate::rest::without_credentials;

/// A bulk upsert of 5,000 records takes seconds; a call has to end before the lease of a run that was lost can be
/// taken over, which is 60 seconds.
const CALL_MAX: Duration = Duration::from_secs(55);
/// Characters of an answer that are shown in an error.
const SHOWN_MAX: usize = 200;

/// A host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// The API.
    Main,
    /// The sink of activities and metrics.
    Analytics,
}

/// What a call may have done when no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It only reads.
    Reads,
    /// It writes.
    Writes,
}

/// A request.
pub(super) struct Call<'a> {
    pub(super) host: Host,
    pub(super) method: Method,
    /// Parts of the path, not encoded.
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, String)],
    pub(super) body: Option<Vec<u8>>,
    /// Whether the token goes along.
    pub(super) token: bool,
    /// For a person: what it is for.
    pub(super) doing: &'a str,
}

/// An answer: 2xx, or what the caller has to look into (400, 403, 404).
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl Answer {
    /// Whether it is 2xx.
    pub(super) fn good(&self) -> bool {
        (200..300).contains(&self.status)
    }
    /// The body as JSON, if it is.
    pub(super) fn json(&self) -> Option<Json> {
        serde_json::from_slice(&self.body).ok()
    }
    /// What a refusal says, short, for an error's cause.
    pub(super) fn said(&self) -> String {
        let text = match self.json() {
            Some(Json::String(text)) => text,
            Some(Json::Object(object)) => {
                let text = ["message", "error", "name"].iter().find_map(|key| object.get(*key)?.as_str());
                text.map_or_else(String::new, str::to_owned)
            }
            Some(_) => String::new(),
            None => String::from_utf8_lossy(&self.body).into_owned(),
        };
        text.chars().filter(|c| !c.is_control()).take(SHOWN_MAX).collect()
    }
}

/// The line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    client: Client,
    main: Url,
    analytics: Url,
    token: Secret,
    /// What grants calls.
    gate: Option<Arc<dyn Gate>>,
}

fn address(text: &str, key: &str) -> Result<Url> {
    let wrong = || {
        Error::config(format!("`{key}: {}` is no address", redact_url(text)))
            .hint("write it as https://api-us2.planhat.com, without a path")
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if url.cannot_be_a_base() || url.host_str().is_none() || !url.username().is_empty() {
        return Err(wrong());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if local => Ok(url),
        _ => Err(Error::config(format!("`{key}` is not https: the token would travel in the clear"))
            .hint("write https://…; plain http is for a twin on this machine")),
    }
}

impl Line {
    pub(super) fn new(main: &str, analytics: &str, token: Secret, context: &OpenContext) -> Result<Self> {
        let targets = context.targets.clone();
        let client = Http { read_timeout: CALL_MAX, targets, ..Http::default() }.client()?;
        let (main, analytics) = (address(main, "url")?, address(analytics, "analytics_url")?);
        Ok(Self { client, main, analytics, token, gate: context.gate.clone() })
    }

    /// Waits for a call that the engine has not been granted: it asks for writes, one for each batch.
    async fn granted(&self, call: &Call<'_>) -> Result<()> {
        match &self.gate {
            Some(gate) if call.host == Host::Main && [Method::GET, Method::POST].contains(&call.method) => {
                gate.pass(&LIMITS).await
            }
            _ => Ok(()),
        }
    }

    fn url(&self, call: &Call<'_>) -> Result<Url> {
        let mut url = match call.host {
            Host::Main => self.main.clone(),
            Host::Analytics => self.analytics.clone(),
        };
        url.path_segments_mut()
            .map_err(|()| Error::internal("an address without a path"))?
            .pop_if_empty()
            .extend(call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        Ok(url)
    }

    /// Makes a call. Errors: the answer was lost or refused as a whole, with whose move it is.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Answer> {
        let effect = if call.method == Method::GET { Effect::Reads } else { Effect::Writes };
        let url = self.url(&call)?;
        self.granted(&call).await?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut request = self.client.request(call.method, url).timeout(CALL_MAX);
        if call.token {
            request = request.bearer_auth(self.token.expose());
        }
        if let Some(body) = call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| broken(&error, effect, call.doing, &host))?;
        let status = response.status();
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = response.bytes().await.map_err(|error| broken(&error, effect, call.doing, &host))?;
        // The sink of metrics is sent the token as well, and the tenant's id is none.
        let body = without_credentials(body.into(), &[self.token.expose().to_owned()]).into();
        let answer = Answer { status: status.as_u16(), body };
        match refused(status, &answer, wait, effect, call.doing, &host) {
            Some(error) => Err(error),
            None => Ok(answer),
        }
    }
}

/// The text of an error and its causes, without the address: a query holds keys.
fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "timed out".to_owned() } else { String::new() };
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn broken(error: &reqwest::Error, effect: Effect, doing: &str, host: &str) -> Error {
    if let Some(ours) = targets::refusal(error) {
        return ours.at(doing);
    }
    let kind = match effect {
        Effect::Writes if !error.is_connect() => ErrorKind::Lost,
        _ => ErrorKind::Unavailable,
    };
    let what = match kind {
        ErrorKind::Lost => format!("{doing}: {host} took the request and did not answer"),
        _ => format!("{doing}: {host} cannot be reached"),
    };
    Error::new(kind, what).cause(chain(error)).hint("look at the network, the proxy, and status.planhat.com")
}

/// What a status means that concerns the whole call; `None`: the caller looks into it.
fn refused(
    status: StatusCode,
    answer: &Answer,
    wait: Option<u64>,
    effect: Effect,
    doing: &str,
    host: &str,
) -> Option<Error> {
    let error = |kind, what: String| Some(Error::new(kind, format!("{doing}: {what}")));
    match status.as_u16() {
        200..=299 | 400 | 403 | 404 => None,
        401 => error(ErrorKind::Unauthorized, format!("{host} refuses the token")).map(|error| {
            error.hint(
                "is the service account paused or removed? A token of another region is refused too: set `url` to your \
                 region's host, such as https://api-us2.planhat.com",
            )
        }),
        413 => error(ErrorKind::BadRequest, format!("{host} finds the request too large"))
            .map(|error| error.hint("set a smaller `batch_size` in the sync")),
        429 => error(ErrorKind::RateLimited, format!("{host} asks us to slow down")).map(|mut error| {
            error.retry_after = wait.map(Duration::from_secs);
            error.hint("lower `quota: {requests_per_minute: …}` of the connection if it comes often")
        }),
        500..=599 => {
            let kind = if effect == Effect::Writes { ErrorKind::Lost } else { ErrorKind::Unavailable };
            error(kind, format!("{host} failed ({})", status.as_u16()))
                .map(|error| error.hint("if it goes on, write to Planhat's support with the time of the request"))
        }
        code => error(ErrorKind::BadRequest, format!("{host} answered {code}")).map(|error| error.cause(answer.said())),
    }
}

/// The error of an answer that the caller cannot read record by record.
pub(super) fn whole(answer: &Answer, doing: &str) -> Error {
    let said = answer.said();
    let error = match answer.status {
        403 => Error::new(ErrorKind::Unauthorized, format!("{doing}: Planhat denies it"))
            .hint("give the service account the permission for this model (Settings, Service Accounts)"),
        404 => Error::new(ErrorKind::NotFound, format!("{doing}: it is not there")),
        400 => Error::new(ErrorKind::BadRequest, format!("{doing}: Planhat refuses the request")),
        code => Error::new(ErrorKind::BadRequest, format!("{doing}: an answer ({code}) that is not understood")),
    };
    if said.is_empty() { error } else { error.cause(said) }
}
