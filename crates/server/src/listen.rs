//! Where `serve` listens, and who can reach that.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tidegate_model::{Error, Result};

use crate::options::ServeOptions;

/// Where `serve` listens if nobody says otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// An address, and who can reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The address.
    pub(crate) address: SocketAddr,
    /// Only this machine can call: it listens on loopback, and no proxy or public address says otherwise.
    pub(crate) local: bool,
    /// Browsers come over TLS.
    pub(crate) secure: bool,
    /// Host of the public address, with its port if it has one.
    pub(crate) public: Option<String>,
}

/// Reads where to listen, such as `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`, and who can reach that.
pub(crate) fn reach(options: &ServeOptions) -> Result<Reach> {
    let text = options.listen.as_str();
    let shape = || {
        Error::config(format!("{text:?} is no address to listen on"))
            .hint(format!("write it as ADDRESS:PORT, such as {DEFAULT_LISTEN}"))
    };
    let address: SocketAddr = match text.strip_prefix("localhost:") {
        Some(port) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().map_err(|_| shape())?),
        None => text.parse().map_err(|_| shape())?,
    };
    let public = options.public_url.as_deref().map(public_host).transpose()?;
    let tls = options.tls.is_some();
    let (secure, host) = public.map_or((tls, None), |(secure, host)| (secure || tls, Some(host)));
    let named_here = host.as_deref().is_none_or(|host| {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        ["localhost", "127.0.0.1", "[::1]"].contains(&name) || host == "[::1]"
    });
    let local = address.ip().is_loopback() && named_here && !options.behind_proxy;
    Ok(Reach { address, local, secure, public: host })
}

/// Reads an address such as `127.0.0.1:8080` that only this machine can reach; any other is refused.
pub fn loopback_address(text: &str) -> Result<SocketAddr> {
    let found = reach(&ServeOptions { listen: text.to_owned(), ..ServeOptions::default() })?;
    if found.local {
        return Ok(found.address);
    }
    Err(Error::config(format!("{} can be reached by other machines", found.address))
        .hint(format!("listen on 127.0.0.1:{}", found.address.port())))
}

/// Whether it is `https`, and the host with its port, of an address such as `https://sync.example.org`.
fn public_host(url: &str) -> Result<(bool, String)> {
    let shape = || {
        Error::config(format!("`serve.public_url: {url}` is no address that a browser uses"))
            .hint("write it as https://sync.example.org")
    };
    let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(shape()),
    };
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let good = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    if host.is_empty() || !host.chars().all(good) {
        return Err(shape());
    }
    Ok((secure, host.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(listen: &str, public_url: Option<&str>, behind_proxy: bool) -> Result<Reach> {
        let public_url = public_url.map(str::to_owned);
        reach(&ServeOptions { listen: listen.to_owned(), public_url, behind_proxy, ..ServeOptions::default() })
    }

    #[test]
    fn loopback_is_this_machine_unless_something_says_otherwise() {
        for (text, address) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("127.0.0.9:1", "127.0.0.9:1"),
            ("[::1]:8080", "[::1]:8080"),
            ("localhost:0", "127.0.0.1:0"),
        ] {
            let reach = of(text, None, false).expect(text);
            assert_eq!((reach.address.to_string(), reach.local), (address.to_owned(), true));
            assert!(!of(text, None, true).expect(text).local, "a proxy lets others in");
            assert!(!of(text, Some("https://sync.example.org"), false).expect(text).local);
            assert!(of(text, Some("http://localhost:8080"), false).expect(text).local);
        }
        for text in ["0.0.0.0:8080", "[::]:8080", "192.168.1.7:8080", "[fe80::1]:80"] {
            assert!(!of(text, None, false).expect(text).local, "{text}");
        }
        for text in ["", "8080", "127.0.0.1", "localhost", "localhost:x", "example.org:80", "127.0.0.1:70000"] {
            let error = of(text, None, false).expect_err(text);
            assert!(error.message.contains("no address"), "{error}");
        }
    }

    #[test]
    fn the_public_address_says_whether_browsers_use_tls() {
        let reach = of("127.0.0.1:1", Some("https://Sync.Example.org/"), false).expect("an address");
        assert_eq!((reach.secure, reach.public.as_deref()), (true, Some("sync.example.org")));
        let reach = of("127.0.0.1:1", Some("http://sync.example.org:8080"), false).expect("an address");
        assert_eq!((reach.secure, reach.public.as_deref()), (false, Some("sync.example.org:8080")));
        for bad in ["sync.example.org", "https://", "ftp://x", "https://user@x", "https://x/y"] {
            assert!(of("127.0.0.1:1", Some(bad), false).is_err(), "{bad}");
        }
    }
}
