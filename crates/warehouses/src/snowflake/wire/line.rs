//! The line to an account: requests with an id, sent again while that can help.

use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, AUTHORIZATION, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};

use super::inflate::inflate;
use super::reply::Reply;

/// How long a request is repeated.
#[derive(Debug, Clone, Copy)]
pub(in crate::snowflake) struct Patience {
    /// Sent at most this often.
    pub(in crate::snowflake) attempts_max: u32,
    /// Not sent again after this time.
    pub(in crate::snowflake) budget: Duration,
    /// The wait before the second time; it doubles, with some chance in it.
    pub(in crate::snowflake) first_wait: Duration,
    /// A session is told alive at least this often.
    pub(in crate::snowflake) beat_max: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        // A restart of a cloud's gateway takes some seconds. Past this the engine's own policy takes over, which knows
        // the lease and can give up for good.
        Self {
            attempts_max: 7,
            budget: Duration::from_secs(40),
            first_wait: Duration::from_millis(250),
            beat_max: Duration::from_secs(3600),
        }
    }
}

/// The longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_secs(8);
/// The server holds an answer back for 45 seconds before it says that a statement still runs.
const ATTEMPT_MAX: Duration = Duration::from_secs(90);

/// A new id of a request: a random UUID.
pub(super) fn request_id() -> String {
    let mut bytes = tidegate_net::random::bytes::<16>();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// An account's address and how to reach it.
#[derive(Debug)]
pub(in crate::snowflake) struct Line {
    pub(super) http: reqwest::Client,
    base: Url,
    pub(super) patience: Patience,
}

/// One request.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// The path, or the path with a query that the server gave us.
    pub(super) path: &'a str,
    pub(super) params: &'a [(&'a str, &'a str)],
    /// The session's token, or the master token.
    pub(super) token: Option<&'a Secret>,
    pub(super) body: Option<&'a serde_json::Value>,
    /// The same for all attempts: the server carries out only the first that arrives.
    pub(super) id: &'a str,
    /// What it is for, in words.
    pub(super) doing: &'a str,
}

/// What came of one attempt.
enum Attempt<T> {
    Done(T),
    /// Worth another try, and whether the request may have arrived.
    Again {
        why: String,
        arrived: bool,
        wait: Option<Duration>,
        status: Option<StatusCode>,
    },
}

impl Line {
    pub(in crate::snowflake) fn new(http: reqwest::Client, base: &str, patience: Patience) -> Result<Self> {
        let base = Url::parse(base)
            .map_err(|error| Error::config(format!("the address {base} cannot be used")).cause(error).hint(ADDRESS))?;
        if base.host_str().is_none() {
            return Err(Error::config(format!("the address {base} names no host")).hint(ADDRESS));
        }
        Ok(Self { http, base, patience })
    }

    /// Where it leads, for messages.
    pub(in crate::snowflake) fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// A server of a test, on this machine and in the clear.
    pub(super) fn is_local(&self) -> bool {
        self.base.scheme() == "http"
    }

    pub(super) fn url(&self, path: &str) -> Result<Url> {
        let url = self.base.join(path).map_err(|error| Error::internal(format!("the path {path}")).cause(error))?;
        // A server's answer must not send our tokens to somebody else.
        if url.host() != self.base.host() || url.port_or_known_default() != self.base.port_or_known_default() {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("{} refers to another host for its answer", self.host()),
            ));
        }
        Ok(url)
    }

    /// Sends a request until it is answered. `Lost` if it may have arrived and no answer came, `Unavailable` if it
    /// never arrived.
    pub(super) async fn call<T: DeserializeOwned + Default>(&self, call: &Call<'_>) -> Result<Reply<T>> {
        let url = self.url(call.path)?;
        let begun = Instant::now();
        let mut arrived = false;
        let mut attempt = 0;
        loop {
            let tried = self.attempt(&url, call, attempt).await?;
            let (why, wait, status) = match tried {
                Attempt::Done(reply) => return Ok(reply),
                Attempt::Again { why, arrived: this, wait, status } => {
                    arrived |= this;
                    (why, wait, status)
                }
            };
            attempt += 1;
            let wait = wait.unwrap_or_else(|| self.wait(attempt));
            if attempt >= self.patience.attempts_max || begun.elapsed() + wait > self.patience.budget {
                return Err(self.gave_up(call, &why, arrived, status, attempt));
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Doubling, between half and all of it.
    pub(super) fn wait(&self, attempt: u32) -> Duration {
        let full = self.patience.first_wait.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(WAIT_MAX);
        full.mul_f64(0.5 + 0.5 * (tidegate_net::random::number() as f64 / u64::MAX as f64))
    }

    fn gave_up(&self, call: &Call<'_>, why: &str, arrived: bool, status: Option<StatusCode>, attempts: u32) -> Error {
        let host = self.host();
        if status == Some(StatusCode::TOO_MANY_REQUESTS) {
            return Error::new(ErrorKind::RateLimited, format!("{}: {host} asks us to slow down", call.doing));
        }
        let kind = if arrived { ErrorKind::Lost } else { ErrorKind::Unavailable };
        let error = Error::new(kind, format!("{}: no answer from {host} after {attempts} attempts", call.doing));
        error.cause(why).hint(
            "check `account:` (or `host:`) and the way there: proxy, firewall, PrivateLink, a network policy of the account",
        )
    }

    async fn attempt<T: DeserializeOwned + Default>(
        &self,
        url: &Url,
        call: &Call<'_>,
        attempt: u32,
    ) -> Result<Attempt<Reply<T>>> {
        let mut request = self.http.request(call.method.clone(), url.clone()).timeout(ATTEMPT_MAX);
        let count = attempt.to_string();
        let guid = request_id();
        request = request.query(call.params).query(&[("request_guid", guid.as_str())]);
        if call.method == Method::POST {
            request = request.query(&[("requestId", call.id), ("retryCount", count.as_str())]);
        }
        request = request.header(ACCEPT, "application/snowflake");
        if let Some(token) = call.token {
            request = request.header(AUTHORIZATION, format!("Snowflake Token=\"{}\"", token.expose()));
        }
        if let Some(body) = call.body {
            request = request.json(body);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return self.not_sent(&error, call.doing),
        };
        let status = response.status();
        let wait = retry_after(&response);
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => {
                return Ok(Attempt::Again { why: chain(&error), arrived: true, wait: None, status: None });
            }
        };
        self.read(status, wait, &body, call.doing)
    }

    fn read<T: DeserializeOwned + Default>(
        &self,
        status: StatusCode,
        wait: Option<Duration>,
        body: &[u8],
        doing: &str,
    ) -> Result<Attempt<Reply<T>>> {
        let again = |why: String| {
            Ok(Attempt::Again {
                why,
                arrived: status.is_success() || status.is_server_error(),
                wait,
                status: Some(status),
            })
        };
        if status == StatusCode::REQUEST_TIMEOUT || status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
        {
            return again(format!("the server answers {status}"));
        }
        let body = match inflate(body, 0) {
            Ok(body) => body,
            Err(error) => return again(error.to_string()),
        };
        match serde_json::from_slice::<Reply<T>>(&body) {
            Ok(reply) if status.is_success() || !reply.code.is_empty() => Ok(Attempt::Done(reply)),
            Ok(_) | Err(_) if !status.is_success() => Err(self.refused(status, doing)),
            Ok(reply) => Ok(Attempt::Done(reply)),
            // A body that was cut short on the way.
            Err(error) => again(format!("the answer cannot be read ({} bytes): {}", body.len(), category(&error))),
        }
    }

    fn refused(&self, status: StatusCode, doing: &str) -> Error {
        let host = self.host();
        let of = |kind, what: &str| Error::new(kind, format!("{doing}: {host} {what} ({status})"));
        match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => of(ErrorKind::Unauthorized, "lets nobody in from here")
                .hint("look for a network policy of the account, or for a proxy that wants to be asked first"),
            StatusCode::NOT_FOUND => of(ErrorKind::Config, "is no Snowflake account").hint(ADDRESS),
            _ => of(ErrorKind::BadRequest, "refuses the request"),
        }
    }

    fn not_sent<T>(&self, error: &reqwest::Error, doing: &str) -> Result<Attempt<T>> {
        if let Some(ours) = tidegate_net::targets::refusal(error) {
            return Err(ours.at(doing));
        }
        let text = chain(error);
        if text.contains("invalid peer certificate") {
            return Err(Error::new(
                ErrorKind::Unauthorized,
                format!("{doing}: the certificate of {} is not trusted", self.host()),
            )
            .cause(text)
            .hint(
                "behind a proxy that opens TLS, name its authority in SSL_CERT_FILE; else check `account:` or `host:`",
            ));
        }
        Ok(Attempt::Again { why: text, arrived: !error.is_connect(), wait: None, status: None })
    }
}

const ADDRESS: &str =
    "`account:` is what stands before .snowflakecomputing.com, such as myorg-myaccount; `host:` overrides it";

/// What kind of error of JSON it was; its own text could quote a row.
fn category(error: &serde_json::Error) -> &'static str {
    if error.is_eof() { "it ends too early" } else { "it is no JSON that we know" }
}

fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The text of an error and its causes, without the address, which may carry a signature.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "no answer in time".to_owned() } else { String::new() };
    let mut cause = std::error::Error::source(error);
    while let Some(below) = cause {
        let said = below.to_string();
        if !text.contains(&said) {
            text = if text.is_empty() { said } else { format!("{text}: {said}") };
        }
        cause = below.source();
    }
    if text.is_empty() { "the request failed".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_cannot_send_us_elsewhere() {
        let http = tidegate_net::http::Http::default().client().expect("a client");
        let line = Line::new(http.clone(), "https://acme.example:444/", Patience::default()).expect("a line");
        assert!(line.url("/queries/1/result?x=1").is_ok());
        assert!(line.url("https://acme.example:444/queries/1").is_ok());
        for elsewhere in ["https://evil.example/queries/1", "//evil.example:444/x", "https://acme.example/x"] {
            assert!(line.url(elsewhere).is_err(), "{elsewhere}");
        }
        assert!(Line::new(http, "data:x", Patience::default()).is_err());
    }

    #[test]
    fn ids_are_random_uuids() {
        let (one, other) = (request_id(), request_id());
        assert_ne!(one, other);
        assert_eq!((one.len(), &one[14..15], one.matches('-').count()), (36, "4", 4));
    }
}
