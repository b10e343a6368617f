//! A URL as libpq knows it. The driver knows all of it but how far to trust the server.

use std::path::PathBuf;

use tidegate_model::error::{Error, Result};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// What of the server's certificate is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nothing: the line is encrypted, if at all, but the server may be anybody (`prefer`, `require`).
    Anybody,
    /// That one of these authorities signed it (`verify-ca`).
    Signed(Roots),
    /// That, and that it was made for this host (`verify-full`).
    Host(Roots),
}

/// Who may sign certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Roots {
    /// The authorities that the system trusts.
    System,
    /// Those in a PEM file.
    File(PathBuf),
}

pub(crate) struct Address {
    pub(crate) config: Config,
    pub(crate) trust: Trust,
    /// Host and database, without login.
    pub(crate) shown: String,
}

pub(crate) fn parse(url: &str) -> Result<Address> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut roots, mut rest) = (None, None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(decoded(value)?),
            Some(("sslrootcert", value)) => roots = Some(decoded(value)?),
            Some(("sslcert" | "sslkey" | "sslpassword" | "sslcrl", _)) => {
                return Err(Error::config("the state's URL asks for a client certificate, which tidegate cannot send")
                    .hint("log in with a password (SCRAM) instead"));
            }
            _ => rest.push(pair),
        }
    }
    let plain = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    // The driver's error may quote the URL with its password; it says little more than this anyway.
    let mut config: Config = plain.parse().map_err(|_| {
        Error::config("the state's URL is not a Postgres URL")
            .hint("write it as postgres://USER:PASSWORD@HOST:5432/DATABASE")
    })?;
    let roots = roots.map(|path| if path == "system" { Roots::System } else { Roots::File(PathBuf::from(path)) });
    let (ssl, trust) = trust(mode.as_deref(), roots)?;
    config.ssl_mode(ssl);
    let shown = shown(&config);
    Ok(Address { config, trust, shown })
}

/// libpq's rules, also the odd one: `require` with a root certificate checks it.
fn trust(mode: Option<&str>, roots: Option<Roots>) -> Result<(SslMode, Trust)> {
    let system = || roots.clone().unwrap_or(Roots::System);
    Ok(match (mode, &roots) {
        (None, Some(Roots::System)) => (SslMode::Require, Trust::Host(Roots::System)),
        (Some("disable"), _) => (SslMode::Disable, Trust::Anybody),
        (None | Some("allow" | "prefer"), _) => (SslMode::Prefer, Trust::Anybody),
        (Some("require"), Some(roots)) => (SslMode::Require, Trust::Signed(roots.clone())),
        (Some("require"), None) => (SslMode::Require, Trust::Anybody),
        (Some("verify-ca"), _) => (SslMode::Require, Trust::Signed(system())),
        (Some("verify-full"), _) => (SslMode::Require, Trust::Host(system())),
        (Some(other), _) => {
            return Err(Error::config(format!("sslmode={other} in the state's URL is not known"))
                .hint("use disable, prefer, require, verify-ca or verify-full"));
        }
    })
}

fn shown(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().or(config.get_user()).unwrap_or("postgres");
    format!("{host}:{port}/{database}")
}

/// Percent signs of a URL.
fn decoded(text: &str) -> Result<String> {
    let bad = || Error::config("the state's URL has a % that is not followed by two hex digits");
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
    use super::*;

    #[test]
    fn urls_say_whom_to_trust() {
        let file = Roots::File("/etc/my ca.pem".into());
        for (query, mode, trust) in [
            ("", SslMode::Prefer, Trust::Anybody),
            ("?sslmode=disable", SslMode::Disable, Trust::Anybody),
            ("?sslmode=require&application_name=x", SslMode::Require, Trust::Anybody),
            ("?sslmode=require&sslrootcert=/etc/my%20ca.pem", SslMode::Require, Trust::Signed(file.clone())),
            ("?sslmode=verify-ca", SslMode::Require, Trust::Signed(Roots::System)),
            ("?sslrootcert=%2fetc/my%20ca.pem&sslmode=verify-full", SslMode::Require, Trust::Host(file)),
            ("?sslrootcert=system", SslMode::Require, Trust::Host(Roots::System)),
        ] {
            let address = parse(&format!("postgres://me:secret@db:5433/x{query}")).unwrap();
            assert_eq!((address.config.get_ssl_mode(), address.trust), (mode, trust), "{query}");
            assert_eq!(address.shown, "db:5433/x");
        }
        for url in ["postgres://me:hunter2@db:port/x", "postgres://me:hunter2@db/x?sslmode=maybe"] {
            let error = parse(url).err().unwrap();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
