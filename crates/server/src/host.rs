//! Which requests are answered: those that a browser on this machine meant for us. A page of another site can make a
//! browser call us under its own name (DNS rebinding); such a call carries that name as its Host.

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Refuses requests that name another host or come from another origin. `/healthz` tells nothing and is open, so that
/// any probe can call it.
pub(crate) async fn only_local(request: Request, next: Next) -> Response {
    if request.uri().path() != "/healthz" && !asked_locally(request.headers()) {
        let text = "Refused: this address answers to localhost, 127.0.0.1 and [::1] only.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    next.run(request).await
}

fn asked_locally(headers: &HeaderMap) -> bool {
    let one = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
            (Some(_), Some(_)) => Err(()),
        }
    };
    let host = matches!(one(HOST), Ok(Some(host)) if is_local(host));
    let origin = match one(ORIGIN) {
        Ok(None) => true,
        Ok(Some(origin)) => origin.strip_prefix("http://").is_some_and(is_local),
        Err(()) => false,
    };
    host && origin
}

/// `localhost`, `127.0.0.1` or `[::1]`, with any port or none.
fn is_local(host: &str) -> bool {
    let rest = ["localhost", "127.0.0.1", "[::1]"].into_iter().find_map(|name| {
        let start = host.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name))?;
        host.get(start.len()..)
    });
    match rest {
        Some("") => true,
        Some(rest) => rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_with_any_port() {
        for host in ["localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8080"] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "example.org",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "127.0.0.1:8080.example.org",
            "localhost:",
            "localhost:99999",
            "::1",
            "127.0.0.2",
            "localhost@example.org",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn a_request_names_its_host_once_and_comes_from_no_other_site() {
        let headers = |pairs: &[(HeaderName, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in pairs {
                map.append(name, value.parse().expect("a header"));
            }
            asked_locally(&map)
        };
        assert!(headers(&[(HOST, "localhost:8080")]));
        assert!(headers(&[(HOST, "localhost:8080"), (ORIGIN, "http://localhost:8080")]));
        assert!(!headers(&[]));
        assert!(!headers(&[(HOST, "localhost"), (HOST, "localhost")]));
        assert!(!headers(&[(HOST, "localhost"), (ORIGIN, "https://example.org")]));
        assert!(!headers(&[(HOST, "localhost"), (ORIGIN, "null")]));
    }
}
