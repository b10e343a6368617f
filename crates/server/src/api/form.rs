//! Bodies: JSON of programs, forms of pages. Both mean the same and go the same way.
//!
//! A form may carry two fields besides its own: `_csrf`, which every form of a session needs, and `_back`, the page to
//! go to afterwards.

use axum::extract::Query;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::de::DeserializeOwned;
use tidegate_model::{Error, Result};

use super::fail;
use crate::access::{Caller, Via, equal};

/// The header that carries what `_csrf` carries, for scripts.
const CSRF_HEADER: &str = "x-csrf-token";

fn media(headers: &HeaderMap) -> &str {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    text.split(';').next().unwrap_or("").trim()
}

/// Whether the body is a form's.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    media(headers).eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Reads a body. An empty one is an empty object.
pub(crate) fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T> {
    if is_form(headers) {
        let own: Vec<&str> =
            pairs(body).filter(|pair| !pair.starts_with("_csrf=") && !pair.starts_with("_back=")).collect();
        return read_pairs(&own.join("&"));
    }
    let json = media(headers);
    if !body.is_empty() && !json.eq_ignore_ascii_case("application/json") {
        return Err(
            Error::config("the body is neither JSON nor a form").hint("send `Content-Type: application/json` with it")
        );
    }
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| bad(format!("the body does not fit: {error}")))
}

fn bad(message: String) -> Error {
    Error::config(message).hint("/api/v1/openapi.json says what each call takes")
}

/// Reads the pairs of a query or a form.
pub(crate) fn read_pairs<T: DeserializeOwned>(pairs: &str) -> Result<T> {
    let uri: Uri =
        format!("/?{pairs}").parse().map_err(|_| bad("the parameters are no text of an address".to_owned()))?;
    let read = Query::<T>::try_from_uri(&uri);
    read.map(|Query(value)| value).map_err(|error| bad(format!("the parameters do not fit: {}", error.body_text())))
}

fn pairs(body: &[u8]) -> impl Iterator<Item = &str> {
    std::str::from_utf8(body).unwrap_or("").split('&').filter(|pair| !pair.is_empty())
}

/// A field of a form, decoded.
fn field(body: &[u8], name: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct One {
        #[serde(rename = "_csrf", default)]
        csrf: Option<String>,
        #[serde(rename = "_back", default)]
        back: Option<String>,
    }
    let own: Vec<&str> = pairs(body).filter(|pair| pair.split('=').next() == Some(name)).take(1).collect();
    let one: One = read_pairs(&own.join("&")).ok()?;
    if name == "_csrf" { one.csrf } else { one.back }
}

/// The page to go to after a form: one of ours, whatever the form says.
pub(crate) fn back(body: &[u8]) -> String {
    field(body, "_back").filter(|path| is_own_page(path)).unwrap_or_else(|| "/".to_owned())
}

/// Whether a form names a page to go to.
pub(crate) fn has_back(body: &[u8]) -> bool {
    field(body, "_back").is_some()
}

/// A path on this server, and nothing that a browser takes for another server's address or a header.
pub(crate) fn is_own_page(path: &str) -> bool {
    let rest = path.strip_prefix('/');
    rest.is_some_and(|rest| !rest.starts_with(['/', '\\'])) && path.chars().all(|c| c.is_ascii_graphic() && c != '\\')
}

/// Refuses what a session's browser sends without the session's own mark: another page made it send that.
pub(crate) fn check_csrf(caller: &Caller, headers: &HeaderMap, body: &[u8]) -> std::result::Result<(), Box<Response>> {
    let Via::Session { csrf } = &caller.via else { return Ok(()) };
    let header = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let given = header.or_else(|| is_form(headers).then(|| field(body, "_csrf")).flatten());
    if given.is_some_and(|given| equal(&given, csrf)) {
        return Ok(());
    }
    Err(Box::new(fail::plain(
        StatusCode::FORBIDDEN,
        "csrf",
        "this request does not come from a page of ours",
        "open the page again and repeat it; programs use a token (`tidegate tokens add NAME`)",
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_are_gone_back_to() {
        for good in ["/", "/syncs/companies?tab=runs", "/runs/01K#log"] {
            assert!(is_own_page(good), "{good}");
        }
        for bad in
            ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nSet-Cookie: x", "/a b", "/é"]
        {
            assert!(!is_own_page(bad), "{bad}");
        }
        assert_eq!(back(b"_back=%2Fsyncs&full=true"), "/syncs");
        assert_eq!(back(b"_back=https%3A%2F%2Fevil.example"), "/");
        assert_eq!(back(b"_back=%2F%2Fevil.example"), "/");
    }
}
