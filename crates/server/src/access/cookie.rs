//! The cookie of a session.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

/// Over TLS the name itself keeps others from setting it: browsers take `__Host-` from this very host and over TLS only.
const SECURE_NAME: &str = "__Host-tidegate";
const PLAIN_NAME: &str = "tidegate";

fn name(secure: bool) -> &'static str {
    if secure { SECURE_NAME } else { PLAIN_NAME }
}

/// The session's text, if a browser sent one.
pub(crate) fn read(headers: &HeaderMap, secure: bool) -> Option<&str> {
    read_named(headers, name(secure))
}

/// A cookie by its name.
pub(crate) fn read_named<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Sets the session's cookie. `Lax`: a link from elsewhere finds the person signed in, a form from elsewhere does not.
pub(crate) fn set(text: &str, secure: bool, seconds: i64) -> Option<HeaderValue> {
    set_named(name(secure), text, secure, seconds)
}

/// The same for any name.
pub(crate) fn set_named(name: &str, text: &str, secure: bool, seconds: i64) -> Option<HeaderValue> {
    let tls = if secure { "; Secure" } else { "" };
    HeaderValue::from_str(&format!("{name}={text}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{tls}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=b; tidegate=xyz; __Host-tidegate=abc"));
        assert_eq!((read(&headers, false), read(&headers, true)), (Some("xyz"), Some("abc")));
        headers.clear();
        headers.append(COOKIE, HeaderValue::from_static("xtidegate=xyz"));
        assert_eq!(read(&headers, false), None);
        assert_eq!(set("a\r\nSet-Cookie: b", false, 1), None);
    }
}
