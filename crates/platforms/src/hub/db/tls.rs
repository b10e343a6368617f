//! TLS to Postgres with the meaning that libpq gives `sslmode` and `sslrootcert`.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tidegate_model::{Error, Result};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// How much of the server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Nothing: the wire is encrypted, the other end is not proven.
    Nobody,
    /// That a trusted authority signed it.
    Authority,
    /// That it was made for this host, too.
    Host,
}

/// What a URL says about TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    mode: SslMode,
    trust: Trust,
    roots: Option<PathBuf>,
}

impl Tls {
    /// Takes `sslmode` and `sslrootcert` out of a URL; the rest is for the client.
    pub fn of_url(url: &str) -> Result<(String, Self)> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut tls = Self { mode: SslMode::Prefer, trust: Trust::Nobody, roots: None };
        let mut rest = Vec::new();
        let mut mode = "prefer".to_owned();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = value.to_owned(),
                Some(("sslrootcert", value)) => tls.roots = Some(PathBuf::from(value.replace("%2F", "/"))),
                _ => rest.push(pair),
            }
        }
        (tls.mode, tls.trust) = match mode.as_str() {
            "disable" => (SslMode::Disable, Trust::Nobody),
            "allow" | "prefer" => (SslMode::Prefer, Trust::Nobody),
            // As libpq does: with a root certificate at hand, require checks against it.
            "require" if tls.roots.is_some() => (SslMode::Require, Trust::Authority),
            "require" => (SslMode::Require, Trust::Nobody),
            "verify-ca" => (SslMode::Require, Trust::Authority),
            "verify-full" => (SslMode::Require, Trust::Host),
            other => {
                return Err(Error::config(format!("sslmode={other} in the hub's url is not known"))
                    .hint("use disable, prefer, require, verify-ca or verify-full"));
            }
        };
        let plain = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        Ok((plain, tls))
    }

    /// The client's own word for it.
    pub fn mode(&self) -> SslMode {
        self.mode
    }

    /// What makes connections.
    pub fn connector(&self) -> Result<MakeRustlsConnect> {
        let unusable = |e: rustls::Error| Error::internal("TLS cannot be set up").cause(e);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let web = match self.trust {
            Trust::Nobody => None,
            Trust::Authority | Trust::Host => {
                let built = WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()?), provider.clone());
                Some(built.build().map_err(|e| Error::config("the root certificates cannot be used").cause(e))?)
            }
        };
        let verifier = Verifier { trust: self.trust, web, provider: provider.clone() };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut store = RootCertStore::empty();
        let Some(path) = self.roots.as_ref().filter(|path| path.as_os_str() != "system") else {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(store);
        };
        let unread = |e: rustls::pki_types::pem::Error| {
            Error::config(format!("the root certificate {} cannot be read", path.display()))
                .hint("name a PEM file in sslrootcert")
                .cause(e)
        };
        for certificate in CertificateDer::pem_file_iter(path).map_err(unread)? {
            store.add(certificate.map_err(unread)?).map_err(|e| {
                Error::config(format!("the root certificate {} cannot be used", path.display())).cause(e)
            })?;
        }
        Ok(store)
    }
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    web: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(web) = &self.web else {
            return Ok(ServerCertVerified::assertion());
        };
        match web.verify_server_cert(end, between, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.trust == Trust::Authority => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_words_are_taken_out_of_the_url() {
        let (plain, tls) = Tls::of_url("postgres://h/d?sslmode=verify-full&options=-csearch_path%3Dx").unwrap();
        assert_eq!(plain, "postgres://h/d?options=-csearch_path%3Dx");
        assert_eq!((tls.mode, tls.trust), (SslMode::Require, Trust::Host));
        assert!(Tls::of_url("postgres://h/d?sslmode=perhaps").is_err());
        let (_, tls) = Tls::of_url("postgres://h/d?sslmode=require&sslrootcert=/etc/ca.pem").unwrap();
        assert_eq!(tls.trust, Trust::Authority);
    }
}
