//! Calls of platforms that speak HTTP: one request, one answer read to its end, and what a failure below the answer
//! means. What an answer means is the connector's.

use std::error::Error as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, StatusCode};
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_net::http::Http;
use tidegate_net::targets::{self, Targets};

/// A call that takes longer is given up: it ends before a lease of 60 s does.
const CALL_MAX: Duration = Duration::from_secs(50);
/// Most bytes of an answer that are read.
pub const ANSWER_MAX: usize = 64 << 20;
/// Most characters of a platform's own words that are repeated.
const WORDS_MAX: usize = 300;
/// Shorter credentials are not looked for in answers: they could be anything.
const CREDENTIAL_MIN: usize = 6;
/// A number above this in a rate header is a time since 1970, not a wait.
const EPOCH_FROM: u64 = 1_000_000_000;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// How long the other side asks us to wait: `Retry-After` in seconds, else the named header, in seconds or as a time
    /// since 1970.
    pub fn wait(&self, reset: Option<&str>, now_s: u64) -> Option<Duration> {
        let header = |name: &str| self.headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
        let seconds = header("retry-after").or_else(|| header(reset?)).filter(|seconds| seconds.is_finite())?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 1e12")]
        let seconds = seconds.clamp(0.0, 1e12).ceil() as u64;
        Some(Duration::from_secs(if seconds >= EPOCH_FROM { seconds.saturating_sub(now_s) } else { seconds }))
    }
}

/// The client of a connector, and where it may go by a name if not everywhere.
pub fn client(targets: Option<Targets>) -> Result<Client> {
    Http { read_timeout: CALL_MAX, targets, ..Http::default() }.client()
}

/// Makes one call. `what` names it in messages.
///
/// # Errors
/// `Unavailable` if nothing was sent, `Lost` if the answer did not arrive whole.
pub async fn call(request: RequestBuilder, what: &str) -> Result<Answer> {
    let (client, request) = request.build_split();
    let request = request.map_err(|error| failed(&error, what))?;
    let credentials = credentials(request.headers());
    let sent = async {
        let mut response = client.execute(request).await?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > ANSWER_MAX {
                return Ok(Err(Error::new(ErrorKind::Data, format!("{what} answered more than {ANSWER_MAX} bytes"))
                    .hint("ask it for less at once")));
            }
            body.extend_from_slice(&chunk);
        }
        let body = without_credentials(body, &credentials);
        Ok(Ok(Answer { status, headers, body }))
    };
    match tokio::time::timeout(CALL_MAX, sent).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Err(failed(&error, what)),
        Err(_) => Err(Error::new(
            ErrorKind::Lost,
            format!(
                "{what} did not answer within {} s; whether the call was carried out is not known",
                CALL_MAX.as_secs()
            ),
        )),
    }
}

/// The credentials that a request carries: its headers that are marked as sensitive, bare of how they are wrapped.
fn credentials(headers: &HeaderMap) -> Vec<String> {
    let sensitive = headers.values().filter(|value| value.is_sensitive()).filter_map(|value| value.to_str().ok());
    let mut found = Vec::new();
    for text in sensitive {
        let (scheme, bare) = text.split_once(' ').unwrap_or(("", text));
        found.push(bare.to_owned());
        if scheme == "Basic" {
            let pair = STANDARD.decode(bare).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let password = pair.as_deref().and_then(|pair| pair.split_once(':'));
            found.extend(password.map(|(_, password)| password.to_owned()));
        }
    }
    found
}

/// An answer without the credentials that it was asked with. Some services repeat a key that they refuse, and what they
/// say is shown in errors and kept with runs.
pub fn without_credentials(body: Vec<u8>, credentials: &[String]) -> Vec<u8> {
    if body.is_empty() {
        return body;
    }
    let mut body = body;
    for plain in credentials.iter().filter(|plain| plain.len() >= CREDENTIAL_MIN) {
        // As it is, and as JSON writes it where that differs.
        let other = plain.contains(|c: char| c == '"' || c == '\\' || c.is_control());
        let in_json = other.then(|| serde_json::Value::String(plain.clone()).to_string());
        let in_json = in_json.as_deref().map(|text| text.trim_matches('"'));
        for form in std::iter::once(plain.as_str()).chain(in_json) {
            let held = std::str::from_utf8(&body).ok().filter(|text| text.contains(form));
            if let Some(clean) = held.map(|text| text.replace(form, "***")) {
                body = clean.into_bytes();
            }
        }
    }
    body
}

/// What a failure below the answer means. Addresses may hold secrets in their path: they are not repeated.
fn failed(error: &reqwest::Error, what: &str) -> Error {
    if let Some(ours) = targets::refusal(error) {
        return ours.at(what);
    }
    let mut cause = error.source();
    let mut words = String::new();
    while let Some(inner) = cause {
        words = inner.to_string();
        cause = inner.source();
    }
    if error.is_connect() {
        return Error::new(ErrorKind::Unavailable, format!("{what} cannot be reached"))
            .hint("check the address, the network and the proxy (HTTPS_PROXY)")
            .cause(words);
    }
    if error.is_builder() || error.is_redirect() {
        return Error::config(format!("{what} cannot be called"))
            .hint("check the address and the headers of the connection; redirects are not followed")
            .cause(words);
    }
    Error::new(ErrorKind::Lost, format!("the answer of {what} was lost; whether the call was carried out is not known"))
        .cause(words)
}

/// What a status that is no success means where the platform says nothing finer: `told` are its own words.
pub fn refused(answer: &Answer, what: &str, told: &str, reset: Option<&str>) -> Error {
    let status = answer.status.as_u16();
    let words = if told.is_empty() { String::new() } else { format!(": {told}") };
    let error = |kind, message: String| Error::new(kind, format!("{message}{words}"));
    match status {
        401 | 403 => error(ErrorKind::Unauthorized, format!("{what} refuses our credentials ({status})"))
            .hint("check the keys of the connection, and that they are those of this project and region"),
        404 | 405 | 410 => error(ErrorKind::NotFound, format!("{what} is not there ({status})"))
            .hint("check the address and the version of the API in the connection"),
        408 | 502 | 504 => error(ErrorKind::Lost, format!("{what} gave up on the call ({status})")),
        429 => Error {
            retry_after: answer.wait(reset, now_s()),
            ..error(ErrorKind::RateLimited, format!("{what} asks to slow down"))
        },
        503 => Error {
            retry_after: answer.wait(reset, now_s()),
            ..error(ErrorKind::Unavailable, format!("{what} is down (503)"))
        },
        500..=599 => error(ErrorKind::Lost, format!("{what} failed ({status})")),
        _ => error(ErrorKind::BadRequest, format!("{what} refuses the call ({status})")),
    }
}

/// Seconds since 1970.
fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A platform's own words, as they may be repeated: short, on one line, and without what was sent. Values shorter than
/// three characters are found only between quotes.
pub fn quoted<'a>(words: &str, sent: impl Iterator<Item = &'a str>) -> String {
    let mut text: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    for value in sent.filter(|value| !value.is_empty()) {
        if value.len() >= 3 {
            text = text.replace(value, "…");
        } else {
            for (open, close) in [("\"", "\""), ("'", "'"), ("`", "`")] {
                text = text.replace(&format!("{open}{value}{close}"), &format!("{open}…{close}"));
            }
        }
    }
    match text.char_indices().nth(WORDS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)]) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: map, body: Vec::new() }
    }

    #[test]
    fn statuses_are_classified() {
        for (status, kind) in [
            (400, ErrorKind::BadRequest),
            (401, ErrorKind::Unauthorized),
            (403, ErrorKind::Unauthorized),
            (404, ErrorKind::NotFound),
            (413, ErrorKind::BadRequest),
            (422, ErrorKind::BadRequest),
            (429, ErrorKind::RateLimited),
            (500, ErrorKind::Lost),
            (502, ErrorKind::Lost),
            (503, ErrorKind::Unavailable),
        ] {
            assert_eq!(refused(&answer(status, &[]), "it", "", None).kind, kind, "{status}");
        }
    }

    #[test]
    fn waits_are_read_as_seconds_or_as_a_time() {
        let wait =
            |headers: &[(&'static str, &str)]| answer(429, headers).wait(Some("x-ratelimit-reset"), 1_800_000_000);
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[("x-ratelimit-reset", "3")]), Some(Duration::from_secs(3)));
        assert_eq!(wait(&[("x-ratelimit-reset", "1800000009")]), Some(Duration::from_secs(9)));
        assert_eq!(wait(&[("x-ratelimit-reset", "1700000000")]), Some(Duration::from_secs(0)));
        assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]), None);
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn an_answer_does_not_carry_the_credentials_further() {
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, text: &str| {
            let mut value: reqwest::header::HeaderValue = text.parse().unwrap();
            value.set_sensitive(true);
            headers.insert(name, value);
        };
        put("authorization", &format!("Basic {}", STANDARD.encode("ann:pass\"word")));
        put("x-api-key", "planted-key");
        headers.insert("x-other", "not-a-secret".parse().unwrap());
        let given = credentials(&headers);
        assert_eq!(given, [STANDARD.encode("ann:pass\"word"), "pass\"word".to_owned(), "planted-key".to_owned()]);
        let told = br#"{"a": "planted-key of not-a-secret", "b": "pass\"word"}"#;
        let kept = String::from_utf8(without_credentials(told.to_vec(), &given)).unwrap();
        assert_eq!(kept, r#"{"a": "*** of not-a-secret", "b": "***"}"#);
        assert_eq!(without_credentials(b"abc".to_vec(), &["abc".to_owned()]), b"abc", "too short to be told apart");
    }

    #[test]
    fn words_are_repeated_without_what_was_sent() {
        let sent = ["ann@example.com", "7"];
        assert_eq!(
            quoted("bad mail ann@example.com, not \"7\" of 17\n", sent.into_iter()),
            "bad mail …, not \"…\" of 17 "
        );
        assert_eq!(quoted(&"x".repeat(400), std::iter::empty()).chars().count(), 301);
    }
}
