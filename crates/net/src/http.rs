//! HTTP clients: the proxy, the authorities, the patience. What is asked is the caller's business.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Proxy};
use rustls::ClientConfig;
use tidegate_model::secret::redact_url;
use tidegate_model::{Error, Result};

use crate::roots::Roots;
use crate::targets::{Guard, Targets};

/// How a client reaches its server.
#[derive(Debug, Clone)]
pub struct Http {
    /// Who may sign the server's certificate. The system's authorities are those of `SSL_CERT_FILE` where it is set.
    pub roots: Roots,
    /// The proxy to take. `None`: as the environment says (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).
    pub proxy: Option<String>,
    /// A server that does not take the connection within this time is down.
    pub connect_timeout: Duration,
    /// A connection on which nothing comes for this time is broken. It must be longer than the server's own silence.
    pub read_timeout: Duration,
    /// Redirects that are followed. None for calls that carry credentials in a body.
    pub redirects_max: usize,
    /// What the client calls itself.
    pub user_agent: String,
    /// Where it may go by a name, if not everywhere; addresses in numbers are checked with [`Targets::check`].
    pub targets: Option<Targets>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            roots: Roots::System,
            proxy: None,
            connect_timeout: Duration::from_secs(15),
            read_timeout: Duration::from_secs(60),
            redirects_max: 0,
            user_agent: concat!("tidegate/", env!("CARGO_PKG_VERSION")).to_owned(),
            targets: None,
        }
    }
}

impl Http {
    /// Makes the client. It keeps connections for the next call, follows no redirect from `https` to `http`, and hands
    /// bodies out as they came: nothing is decompressed behind the caller's back.
    ///
    /// # Errors
    /// Authorities that cannot be loaded, a proxy that cannot be read.
    pub fn client(&self) -> Result<Client> {
        let fail = |error: String| Error::config("an HTTP client cannot be set up").cause(error);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| fail(error.to_string()))?
            .with_root_certificates(self.roots.load("SSL_CERT_FILE")?)
            .with_no_client_auth();
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(self.connect_timeout)
            .read_timeout(self.read_timeout)
            .tcp_keepalive(Duration::from_secs(30))
            .redirect(redirects(self.redirects_max))
            .referer(false)
            .user_agent(self.user_agent.as_str());
        if let Some(targets) = &self.targets {
            builder = builder.dns_resolver(Arc::new(Guard::new(targets, self.proxies())));
        }
        if let Some(url) = &self.proxy {
            let proxy = Proxy::all(url).map_err(|_| {
                Error::config(format!("the proxy {} cannot be used", redact_url(url)))
                    .hint("it looks like http://user:password@proxy.example:3128")
            })?;
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(|error| fail(error.to_string()))
    }
}

impl Http {
    /// Hosts of the proxies that this client takes.
    fn proxies(&self) -> Vec<String> {
        let named = match &self.proxy {
            Some(url) => vec![url.clone()],
            None => PROXY_VARIABLES.iter().filter_map(|name| std::env::var(name).ok()).collect(),
        };
        let host = |url: &String| {
            let whole = if url.contains("://") { url.clone() } else { format!("http://{url}") };
            Some(reqwest::Url::parse(&whole).ok()?.host_str()?.to_ascii_lowercase())
        };
        named.iter().filter_map(host).collect()
    }
}

/// Where an environment names proxies.
const PROXY_VARIABLES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// As many as allowed, and none that leaves TLS.
fn redirects(most: usize) -> Policy {
    if most == 0 {
        return Policy::none();
    }
    Policy::custom(move |attempt| {
        let secure = attempt.previous().iter().any(|url| url.scheme() == "https");
        if secure && attempt.url().scheme() != "https" {
            attempt.error("a redirect would leave TLS")
        } else if attempt.previous().len() > most {
            attempt.error("too many redirects")
        } else {
            attempt.follow()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_cannot_be_read_is_told_without_its_password() {
        let http = Http { proxy: Some("http://me:hunter2@:bad port".into()), ..Http::default() };
        let error = http.client().expect_err("refused");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        assert!(error.hint.is_some());
    }

    #[test]
    fn authorities_come_from_the_file_that_is_named() {
        let http = Http { roots: Roots::File("/nowhere/ca.pem".into()), ..Http::default() };
        assert!(http.client().expect_err("no file").to_string().contains("ca.pem"));
        assert!(Http::default().client().is_ok());
    }
}
