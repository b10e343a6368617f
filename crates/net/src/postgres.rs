//! Addresses of Postgres as libpq knows them: URLs and `key=value` texts, `sslmode` and `sslrootcert` included, which
//! the driver knows only in part.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use tidegate_model::{Error, Result};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::roots::Roots;
use crate::verifier::Lenient;

/// What of the server's certificate is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: the line is encrypted, if at all, but the server may be anybody (`prefer`, `require`).
    Anybody,
    /// That one of these authorities signed it (`verify-ca`).
    Signed(Roots),
    /// That, and that it was made for this host (`verify-full`).
    Host(Roots),
}

/// Where a server is, how to log in, and how far to trust it.
#[derive(Debug, Clone)]
pub struct Address {
    /// The driver's settings, with its word for `sslmode`.
    pub config: Config,
    /// What of the certificate is checked.
    pub trust: Trust,
}

/// What the driver does not know, taken out of an address.
#[derive(Default)]
struct Ssl {
    mode: Option<String>,
    roots: Option<String>,
    /// A setting for a certificate of our own.
    client: bool,
}

impl Ssl {
    /// Whether the setting is one of these.
    fn takes(&mut self, name: &str, value: &str) -> bool {
        match name {
            "sslmode" => self.mode = Some(value.to_owned()),
            "sslrootcert" => self.roots = Some(value.to_owned()),
            "sslcert" | "sslkey" | "sslpassword" | "sslcrl" => self.client = true,
            _ => return false,
        }
        true
    }
}

impl Address {
    /// Reads an address. `what` names it in messages ("the state's URL"); relative paths start at `folder`.
    ///
    /// # Errors
    /// An address that cannot be read, an unknown `sslmode`, a client certificate. Messages never quote it.
    pub fn parse(text: &str, what: &str, folder: &Path) -> Result<Self> {
        let mut ssl = Ssl::default();
        let plain = if text.contains("://") { take_url(text, what, &mut ssl)? } else { take_words(text, &mut ssl) };
        if ssl.client {
            return Err(Error::config(format!("{what} asks for a client certificate, which tidegate cannot send"))
                .hint("log in with a password (SCRAM) instead"));
        }
        // The driver's error may quote the text with its password; it says little more than this anyway.
        let mut config: Config = plain.parse().map_err(|_| {
            Error::config(format!("{what} is not a Postgres address"))
                .hint("write it as postgres://USER:PASSWORD@HOST:5432/DATABASE, with % as %25, @ as %40 and / as %2F in a password")
        })?;
        let roots = ssl.roots.map(|path| if path == "system" { Roots::System } else { Roots::File(folder.join(path)) });
        let (mode, trust) = trust(ssl.mode.as_deref(), roots, what)?;
        config.ssl_mode(mode);
        if config.get_application_name().is_none() {
            config.application_name("tidegate");
        }
        Ok(Self { config, trust })
    }

    /// Host, port and database; never the login.
    pub fn shown(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "localhost".to_owned(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or("postgres");
        format!("{host}:{port}/{database}")
    }

    /// Makes encrypted lines that trust the server as far as the address says.
    ///
    /// # Errors
    /// Root certificates that cannot be had.
    pub fn connector(&self) -> Result<MakeRustlsConnect> {
        let provider = Arc::new(ring::default_provider());
        let web_pki = |roots: &Roots| -> Result<Arc<WebPkiServerVerifier>> {
            WebPkiServerVerifier::builder_with_provider(roots.load("sslrootcert")?, Arc::clone(&provider))
                .build()
                .map_err(|error| Error::config("the root certificates cannot be used").cause(error))
        };
        let verifier: Arc<dyn ServerCertVerifier> = match &self.trust {
            Trust::Anybody => Arc::new(Lenient { provider: Arc::clone(&provider), chain: None }),
            Trust::Signed(roots) => {
                let chain = Some(web_pki(roots)?);
                Arc::new(Lenient { provider: Arc::clone(&provider), chain })
            }
            Trust::Host(roots) => web_pki(roots)?,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::internal("TLS cannot be set up").cause(error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }
}

/// libpq's rules, also the odd ones: `require` with a root certificate checks it, and the system's roots alone ask for
/// the full check.
fn trust(mode: Option<&str>, roots: Option<Roots>, what: &str) -> Result<(SslMode, Trust)> {
    let or_system = |roots: Option<Roots>| roots.unwrap_or(Roots::System);
    Ok(match (mode, roots) {
        (None, Some(Roots::System)) => (SslMode::Require, Trust::Host(Roots::System)),
        (Some("disable"), _) => (SslMode::Disable, Trust::Anybody),
        (None | Some("allow" | "prefer"), _) => (SslMode::Prefer, Trust::Anybody),
        (Some("require"), Some(roots)) => (SslMode::Require, Trust::Signed(roots)),
        (Some("require"), None) => (SslMode::Require, Trust::Anybody),
        (Some("verify-ca"), roots) => (SslMode::Require, Trust::Signed(or_system(roots))),
        (Some("verify-full"), roots) => (SslMode::Require, Trust::Host(or_system(roots))),
        (Some(other), _) => {
            return Err(Error::config(format!("sslmode={other} in {what} is not known"))
                .hint("use disable, prefer, require, verify-ca or verify-full"));
        }
    })
}

fn take_url(url: &str, what: &str, ssl: &mut Ssl) -> Result<String> {
    let Some((base, query)) = url.split_once('?') else { return Ok(url.to_owned()) };
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let taken = match pair.split_once('=') {
            Some((name, value)) => ssl.takes(name, &decoded(value, what)?),
            None => false,
        };
        if !taken {
            rest.push(pair);
        }
    }
    Ok(if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) })
}

fn take_words(text: &str, ssl: &mut Ssl) -> String {
    let mut rest = Vec::new();
    for word in text.split_whitespace() {
        let taken = word.split_once('=').is_some_and(|(name, value)| ssl.takes(name, value.trim_matches('\'')));
        if !taken {
            rest.push(word);
        }
    }
    rest.join(" ")
}

/// Percent signs of a URL.
fn decoded(text: &str, what: &str) -> Result<String> {
    let bad = || Error::config(format!("{what} has a % that is not followed by two hex digits"));
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let pair = [bytes.next().ok_or_else(bad)?, bytes.next().ok_or_else(bad)?];
            let hex = std::str::from_utf8(&pair).map_err(|_| bad())?;
            out.push(u8::from_str_radix(hex, 16).map_err(|_| bad())?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<Address> {
        Address::parse(text, "the state's URL", Path::new("/project"))
    }

    #[test]
    fn addresses_say_whom_to_trust() {
        let file = Roots::File("/etc/my ca.pem".into());
        for (query, mode, trust) in [
            ("", SslMode::Prefer, Trust::Anybody),
            ("?sslmode=disable", SslMode::Disable, Trust::Anybody),
            ("?sslmode=require&application_name=x", SslMode::Require, Trust::Anybody),
            ("?sslmode=require&sslrootcert=/etc/my%20ca.pem", SslMode::Require, Trust::Signed(file.clone())),
            (
                "?sslmode=require&sslrootcert=ca.pem",
                SslMode::Require,
                Trust::Signed(Roots::File("/project/ca.pem".into())),
            ),
            ("?sslmode=verify-ca", SslMode::Require, Trust::Signed(Roots::System)),
            ("?sslrootcert=%2fetc/my%20ca.pem&sslmode=verify-full", SslMode::Require, Trust::Host(file)),
            ("?sslrootcert=system", SslMode::Require, Trust::Host(Roots::System)),
        ] {
            let address = parse(&format!("postgres://me:secret@db:5433/x{query}")).unwrap();
            assert_eq!((address.config.get_ssl_mode(), address.trust.clone()), (mode, trust), "{query}");
            assert_eq!(address.shown(), "db:5433/x");
        }
        let words = parse("host=h user=u sslmode=verify-full").unwrap();
        assert_eq!((words.trust.clone(), words.shown()), (Trust::Host(Roots::System), "h:5432/u".to_owned()));
    }

    #[test]
    fn what_the_driver_knows_stays_in_the_address() {
        let address = parse("postgres://h/d?sslmode=disable&options=-csearch_path%3Dx&application_name=me").unwrap();
        assert_eq!(address.config.get_options(), Some("-csearch_path=x"));
        assert_eq!(address.config.get_application_name(), Some("me"));
        assert_eq!(parse("postgres://h/d").unwrap().config.get_application_name(), Some("tidegate"));
    }

    #[test]
    fn refusals_never_quote_the_address() {
        for url in [
            "postgres://me:hunter2@db:port/x",
            "postgres://me:hunter2@db/x?sslmode=maybe",
            "postgres://me:hunter2@db/x?sslrootcert=%zz",
            "postgres://me:hunter2@db/x?sslcert=me.pem",
            "password=hunter2 port=none",
        ] {
            let error = parse(url).err().unwrap();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
