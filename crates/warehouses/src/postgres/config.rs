//! Settings of a connection.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_model::secret::Secret;
use tidegate_model::{Error, Result};
use tokio_postgres::config::SslMode;

/// A Postgres database.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "postgres")]
pub(crate) struct Config {
    /// Where it is: `postgres://user:password@host:5432/database`, with `sslmode` and `sslrootcert` as libpq knows them.
    #[schemars(with = "String")]
    pub(crate) url: Secret,
}

/// How much of the server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nothing: the line is encrypted, but to whom is not known (`prefer`, `require` without a root certificate).
    Anyone,
    /// It is signed by a certificate authority that we know (`verify-ca`).
    Authority,
    /// And it names the host (`verify-full`).
    Host,
}

/// A connection's settings, read.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) config: tokio_postgres::Config,
    pub(super) trust: Trust,
    pub(super) root: Option<PathBuf>,
}

impl Address {
    /// Reads the URL (or `key=value` text) of a connection. What tokio-postgres does not know is taken out first.
    pub(super) fn parse(url: &str, project: &Path) -> Result<Self> {
        let (rest, settings) = if url.contains("://") { split_url(url) } else { split_words(url) };
        let get = |name: &str| settings.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let root = get("sslrootcert").filter(|path| *path != "system").map(|path| project.join(path));
        let (mode, trust) = match get("sslmode").unwrap_or("prefer") {
            "disable" => (SslMode::Disable, Trust::Anyone),
            "allow" | "prefer" => (SslMode::Prefer, Trust::Anyone),
            // As libpq does it: a root certificate given is a root certificate checked.
            "require" if get("sslrootcert").is_some() => (SslMode::Require, Trust::Authority),
            "require" => (SslMode::Require, Trust::Anyone),
            "verify-ca" => (SslMode::Require, Trust::Authority),
            "verify-full" => (SslMode::Require, Trust::Host),
            other => {
                return Err(Error::config(format!("sslmode {other} is not known"))
                    .hint("take disable, prefer, require, verify-ca or verify-full"));
            }
        };
        // The parser's own message may quote the text, with the password in it.
        let mut config: tokio_postgres::Config = rest.parse().map_err(|_| {
            Error::config("the url of a postgres connection cannot be read")
                .hint("it looks like postgres://user:password@host:5432/database?sslmode=require; write % as %25, @ as %40, / as %2F in a password")
        })?;
        config.ssl_mode(mode);
        Ok(Self { config, trust, root })
    }

    /// Where it is, without secrets.
    pub(super) fn shown(&self) -> String {
        use tokio_postgres::config::Host;
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "localhost".to_owned(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let user = self.config.get_user().unwrap_or("postgres");
        format!("postgres://{user}@{host}:{port}/{}", self.config.get_dbname().unwrap_or(user))
    }
}

const OURS: [&str; 2] = ["sslmode", "sslrootcert"];

type Settings = Vec<(String, String)>;

fn split_url(url: &str) -> (String, Settings) {
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), Vec::new()) };
    let mut settings = Vec::new();
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((key, value)) if OURS.contains(&key) => settings.push((key.to_owned(), unescape(value))),
            _ => kept.push(pair),
        }
    }
    if kept.is_empty() { (base.to_owned(), settings) } else { (format!("{base}?{}", kept.join("&")), settings) }
}

fn split_words(text: &str) -> (String, Settings) {
    let mut settings = Vec::new();
    let kept: Vec<&str> = text
        .split_whitespace()
        .filter(|word| match word.split_once('=') {
            Some((key, value)) if OURS.contains(&key) => {
                settings.push((key.to_owned(), value.trim_matches('\'').to_owned()));
                false
            }
            _ => true,
        })
        .collect();
    (kept.join(" "), settings)
}

/// `%20` and its like.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Address {
        Address::parse(url, Path::new("/project")).expect("an address")
    }

    #[test]
    fn sslmode_is_read_as_libpq_reads_it() {
        let of = |url: &str| {
            let address = parse(url);
            (address.config.get_ssl_mode(), address.trust)
        };
        assert_eq!(of("postgres://u:p@h/d"), (SslMode::Prefer, Trust::Anyone));
        assert_eq!(of("postgres://u:p@h/d?sslmode=disable"), (SslMode::Disable, Trust::Anyone));
        assert_eq!(of("postgres://u:p@h/d?sslmode=require"), (SslMode::Require, Trust::Anyone));
        assert_eq!(of("postgres://u:p@h/d?sslmode=require&sslrootcert=ca.pem"), (SslMode::Require, Trust::Authority));
        assert_eq!(of("postgres://u:p@h/d?sslmode=verify-ca&application_name=x"), (SslMode::Require, Trust::Authority));
        assert_eq!(of("host=h user=u sslmode=verify-full"), (SslMode::Require, Trust::Host));
        let address = parse("postgres://u:p@h:6000/d?sslrootcert=my%20ca.pem");
        assert_eq!(address.root, Some(PathBuf::from("/project/my ca.pem")));
        assert_eq!(address.shown(), "postgres://u@h:6000/d");
        let error = Address::parse("postgres://u:hunter2@h:port/d", Path::new(".")).expect_err("no port");
        assert!(!format!("{error:?}").contains("hunter2"));
        assert!(Address::parse("postgres://u@h/d?sslmode=maybe", Path::new(".")).is_err());
    }
}
