//! Which requests are answered: those that a browser meant for us. A page of another site can make a browser call us
//! under that site's name (DNS rebinding); such a call carries that name as its Host. A number is no name: nobody can
//! point it elsewhere.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The names that we answer to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    /// Host of `serve.public_url`, with its port if it has one.
    pub(crate) public: Option<String>,
    /// Whether any address in numbers is ours too: other machines may call.
    pub(crate) numbers: bool,
}

/// Refuses requests that name another host or come from another origin. `/healthz` tells nothing and is open, so that
/// any probe can call it.
pub(crate) async fn only_our_hosts(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    if request.uri().path() != "/healthz" && !hosts.meant(request.method(), request.headers()) {
        let text = match &hosts.public {
            None => "Refused: this address answers to localhost, 127.0.0.1 and [::1] only.\n".to_owned(),
            Some(public) => format!("Refused: this address answers to {public} and to itself only.\n"),
        };
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    next.run(request).await
}

impl Hosts {
    fn meant(&self, method: &Method, headers: &HeaderMap) -> bool {
        let one = |name: HeaderName| {
            let mut values = headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (None, _) => Ok(None),
                (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
                (Some(_), Some(_)) => Err(()),
            }
        };
        let host = matches!(one(HOST), Ok(Some(host)) if self.ours(host));
        let origin = match one(ORIGIN) {
            Ok(None) => true,
            Ok(Some(origin)) => {
                let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
                rest.is_some_and(|host| self.ours(host))
            }
            Err(()) => false,
        };
        // Browsers say where a request comes from; of one that changes something that must be ourselves.
        let site = match headers.get("sec-fetch-site").map(|value| value.to_str().unwrap_or("")) {
            None | Some("same-origin" | "none") => true,
            Some(_) => matches!(*method, Method::GET | Method::HEAD),
        };
        host && origin && site
    }

    fn ours(&self, host: &str) -> bool {
        let public = self.public.as_ref().is_some_and(|public| public.eq_ignore_ascii_case(host));
        public || is_local(host) || (self.numbers && is_number(host))
    }
}

/// `localhost`, `127.0.0.1` or `[::1]`, with any port or none.
fn is_local(host: &str) -> bool {
    let rest = ["localhost", "127.0.0.1", "[::1]"].into_iter().find_map(|name| {
        let start = host.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name))?;
        host.get(start.len()..)
    });
    rest.is_some_and(is_port)
}

/// Nothing, or `:` with a port.
fn is_port(rest: &str) -> bool {
    match rest {
        "" => true,
        rest => rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok()),
    }
}

/// An address in numbers, with any port or none.
fn is_number(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return address.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) && is_port(port);
    }
    let at = host.find(':').unwrap_or(host.len());
    host[..at].parse::<IpAddr>().is_ok_and(|address| address.is_ipv4()) && is_port(&host[at..])
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
    fn numbers_are_no_names() {
        for host in ["10.0.0.7", "10.0.0.7:8080", "[fe80::1]:80", "[2001:db8::1]"] {
            assert!(is_number(host), "{host}");
        }
        for host in ["10.0.0.7.example.org", "10.0.0:80", "fe80::1", "[fe80::1", "[10.0.0.7]", "10.0.0.7:x", ""] {
            assert!(!is_number(host), "{host}");
        }
    }

    #[test]
    fn a_request_names_its_host_once_and_comes_from_no_other_site() {
        let hosts = Hosts { public: Some("sync.example.org".to_owned()), numbers: false };
        let meant = |method: Method, pairs: &[(HeaderName, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in pairs {
                map.append(name, value.parse().expect("a header"));
            }
            hosts.meant(&method, &map)
        };
        let site = || HeaderName::from_static("sec-fetch-site");
        assert!(meant(Method::GET, &[(HOST, "localhost:8080")]));
        assert!(meant(Method::POST, &[(HOST, "sync.example.org"), (ORIGIN, "https://sync.example.org")]));
        assert!(meant(Method::GET, &[(HOST, "localhost"), (site(), "cross-site")]), "a link from elsewhere");
        assert!(!meant(Method::POST, &[(HOST, "localhost"), (site(), "cross-site")]));
        assert!(!meant(Method::POST, &[(HOST, "localhost"), (site(), "same-site")]));
        assert!(!meant(Method::GET, &[]));
        assert!(!meant(Method::GET, &[(HOST, "10.0.0.7")]));
        assert!(!meant(Method::GET, &[(HOST, "sync.example.org.evil.example")]));
        assert!(!meant(Method::GET, &[(HOST, "localhost"), (HOST, "localhost")]));
        assert!(!meant(Method::GET, &[(HOST, "localhost"), (ORIGIN, "https://example.org")]));
        assert!(!meant(Method::GET, &[(HOST, "localhost"), (ORIGIN, "null")]));
    }
}
