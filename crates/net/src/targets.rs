//! Where calls may go that a person of the pages, or another system's answer, gave the address of: out, and not to what
//! only this network can see. Addresses are looked at when a connection is made, so that a name cannot first point
//! somewhere harmless.

use std::future::Future;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tidegate_model::{Error, Result};

/// Hosts inside this network that may be called all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    allowed: Arc<[String]>,
}

impl Targets {
    /// All of the world, and these hosts inside.
    pub fn public_and(allowed: &[String]) -> Self {
        Self { allowed: allowed.iter().map(|host| host.to_ascii_lowercase()).collect() }
    }

    /// Refuses an address that leads inside by itself. What a name leads to is looked at when it is called.
    ///
    /// # Errors
    /// An address that is none, or that leads inside.
    pub fn check(&self, url: &str) -> Result<()> {
        let Some(host) = host_of(url) else {
            return Err(Error::config("the address is none that can be called").hint("write it as https://host/path"));
        };
        let number = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let inside = number.map_or_else(|_| is_local_name(&host), |address| !is_public(address));
        if inside && !self.allows(&host) {
            return Err(refused(&host));
        }
        Ok(())
    }

    /// Refuses an address whose name leads inside now. A name that leads nowhere is let through: so is nothing else then.
    ///
    /// # Errors
    /// A name of which an address is inside this network.
    pub async fn check_name(&self, url: &str) -> Result<()> {
        let parsed = Url::parse(url).ok();
        let named = parsed.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
        let Some((host, port)) = named.filter(|(host, _)| !self.allows(host)) else { return Ok(()) };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((bare, port)).await;
        let inside = found.is_ok_and(|mut found| found.any(|address| !is_public(address.ip())));
        if inside { Err(refused(host)) } else { Ok(()) }
    }

    /// Whether a host is one of those inside that may be called.
    pub fn allows(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        self.allowed.contains(&host)
    }
}

/// The host of an address over HTTP; `None` for everything else.
pub fn host_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    url.host_str().map(str::to_owned)
}

/// Our own refusal, where a call failed because its name leads where we do not go: trying again would not help.
pub fn refusal(error: &reqwest::Error) -> Option<Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(ours) = inner.downcast_ref::<Error>() {
            return Some(ours.clone());
        }
        cause = inner.source();
    }
    None
}

fn refused(host: &str) -> Error {
    Error::config(format!("{host} is an address inside this network, which is not called from here"))
        .hint("if that is meant, add the host to `serve.private_targets` in tidegate.yaml")
}

fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// Whether an address is one of the world's: not this machine, this network, a link, a test or a group.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let special =
                (a == 192 && b == 0 && (c == 0 || c == 2)) || (a == 198 && (b & 0xfe == 18 || (b == 51 && c == 100)));
            let rest = a == 0 || a >= 224 || (a == 203 && b == 0 && c == 113);
            !(v4.is_loopback() || v4.is_private() || v4.is_link_local() || shared || special || rest)
        }
        IpAddr::V6(v6) => match inner_v4(v6) {
            Some(v4) => is_public(v4),
            None => {
                let first = v6.segments()[0];
                let documentation = first == 0x2001 && v6.segments()[1] == 0xdb8;
                first & 0xe000 == 0x2000 && !documentation
            }
        },
    }
}

/// The address of the older kind that a newer one stands for: mapped, translated (64:ff9b::/96) or tunnelled (2002::/16).
fn inner_v4(v6: Ipv6Addr) -> Option<IpAddr> {
    if let Some(v4) = v6.to_ipv4_mapped() {
        return Some(IpAddr::V4(v4));
    }
    let s = v6.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(IpAddr::from([a, b, c, d]))
    };
    match s {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of(high, low),
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

/// Asks for the addresses of a name: the system, or a test in its place.
type Lookup = fn(&str) -> LookedUp;
type LookedUp = Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;

/// The resolver of a client that may not go everywhere: each connection is made to an address that was looked at, so a
/// name cannot point somewhere else once it was checked.
#[derive(Clone)]
pub(crate) struct Guard {
    targets: Targets,
    /// Hosts of proxies: the operator's own, and mostly inside.
    proxies: Vec<String>,
    lookup: Lookup,
}

impl Guard {
    /// For a client with these proxies.
    pub(crate) fn new(targets: &Targets, proxies: Vec<String>) -> Self {
        Self { targets: targets.clone(), proxies, lookup: by_the_system }
    }
}

fn by_the_system(host: &str) -> LookedUp {
    let host = host.to_owned();
    Box::pin(async move { Ok(tokio::net::lookup_host((host.as_str(), 0)).await?.collect()) })
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let own = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = (own.lookup)(&host).await?;
            let open = own.targets.allows(&host) || own.proxies.contains(&host.to_ascii_lowercase());
            let kept: Vec<SocketAddr> = found.into_iter().filter(|at| open || is_public(at.ip())).collect();
            if kept.is_empty() {
                return Err(Box::new(refused(&host)) as Box<dyn std::error::Error + Send + Sync>);
            }
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside() {
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "192.0.2.1",
            "198.18.0.1",
        ] {
            assert!(!is_public(inside.parse().expect(inside)), "{inside}");
        }
        for outside in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
        {
            assert!(is_public(outside.parse().expect(outside)), "{outside}");
        }
    }

    #[test]
    fn addresses_that_lead_inside_are_refused_unless_allowed() {
        let none = Targets::public_and(&[]);
        for url in [
            "http://127.0.0.1/x",
            "http://localhost:8080",
            "https://[::1]/",
            "http://169.254.169.254/latest/meta-data",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://a.localhost./",
            "ftp://example.org",
            "no address",
            "http://",
        ] {
            assert!(none.check(url).is_err(), "{url}");
        }
        assert!(none.check("https://hooks.example.org/x").is_ok());
        let some = Targets::public_and(&["LocalHost".to_owned(), "::1".to_owned()]);
        assert!(some.check("http://localhost:1/").is_ok() && some.check("http://[::1]:1/").is_ok());
        assert!(some.check("http://127.0.0.1:1/").is_err());
    }

    /// A listener, and whether anybody came.
    async fn listener() -> (u16, tokio::net::TcpListener) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        (listener.local_addr().expect("an address").port(), listener)
    }

    async fn nobody_came(listener: tokio::net::TcpListener) {
        let came = tokio::time::timeout(std::time::Duration::from_millis(200), listener.accept()).await;
        assert!(came.is_err(), "somebody connected");
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_called() {
        let http = crate::http::Http { targets: Some(Targets::public_and(&[])), ..crate::http::Http::default() };
        let (port, listener) = listener().await;
        let url = format!("http://localhost:{port}/");
        let error = http.client().expect("a client").get(&url).send().await.expect_err("refused");
        let ours = refusal(&error).expect("our own words");
        assert!(ours.message.contains("inside this network") && ours.hint.is_some(), "{ours:?}");
        nobody_came(listener).await;
    }

    /// An attacker's own name server: it says one thing when the address is checked and another when it is called.
    #[tokio::test]
    async fn a_name_that_points_elsewhere_once_it_was_checked_is_not_called() {
        fn answers(host: &str) -> LookedUp {
            let inside = match host {
                "rebound.example" => vec!["127.0.0.1:0"],
                "metadata.example" => vec!["169.254.169.254:0"],
                "mapped.example" => vec!["[::ffff:127.0.0.1]:0", "[::1]:0"],
                // One address outside, one inside: the one inside is left out, and not tried when the other fails.
                _ => vec!["192.0.1.1:1", "127.0.0.1:0"],
            };
            Box::pin(async move { Ok(inside.iter().map(|at| at.parse().expect("an address")).collect()) })
        }
        let (port, listener) = listener().await;
        let guard = Guard { lookup: answers, ..Guard::new(&Targets::public_and(&[]), Vec::new()) };
        crate::ring_for_the_process();
        let client = reqwest::Client::builder().no_proxy().dns_resolver(Arc::new(guard.clone())).build().expect("one");
        for name in ["rebound.example", "metadata.example", "mapped.example"] {
            let error = client.get(format!("http://{name}:{port}/")).send().await.expect_err("refused");
            assert!(format!("{error:?}").contains("inside this network"), "{name}: {error:?}");
        }
        let kept: Vec<SocketAddr> =
            guard.resolve("both.example".parse().expect("a name")).await.expect("some").collect();
        assert_eq!(kept, ["192.0.1.1:1".parse().expect("an address")]);
        nobody_came(listener).await;
    }

    #[tokio::test]
    async fn a_proxy_inside_is_taken_and_says_itself_where_names_lead() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (port, listener) = listener().await;
        let http = crate::http::Http {
            targets: Some(Targets::public_and(&[])),
            proxy: Some(format!("http://localhost:{port}")),
            ..crate::http::Http::default()
        };
        let proxy = async {
            let (mut stream, _) = listener.accept().await.expect("a call");
            let mut seen = vec![0; 1_024];
            let read = stream.read(&mut seen).await.expect("a request");
            stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await.expect("sent");
            String::from_utf8_lossy(&seen[..read]).into_owned()
        };
        let call = async { http.client().expect("a client").get("http://hooks.example/x").send().await };
        let (seen, answer) = tokio::join!(proxy, call);
        assert!(seen.starts_with("GET http://hooks.example/x "), "{seen}");
        assert_eq!(answer.expect("an answer").status().as_u16(), 204);
    }
}
