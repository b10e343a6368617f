//! TLS by rustls, with as much trust as `sslmode` asks for.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tidegate_model::{Error, Result};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::{Address, Trust};

/// Makes TLS connections as the address asks for them.
pub(super) fn connector(address: &Address) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let fail = |error: String| Error::config("TLS cannot be set up").cause(error);
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| fail(error.to_string()))?;
    let config = match address.trust {
        Trust::Anyone => {
            let verifier = Checked { provider, roots: None };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        Trust::Host => builder.with_root_certificates(roots(address)?).with_no_client_auth(),
        Trust::Authority => {
            let roots = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(address)?), provider.clone())
                .build()
                .map_err(|error| fail(error.to_string()))?;
            let verifier = Checked { provider, roots: Some(roots) };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

/// The authorities that are trusted: those of the file, else those of the machine.
fn roots(address: &Address) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    match &address.root {
        Some(path) => {
            let unreadable = |error: String| {
                Error::config(format!("the root certificate {} cannot be read", path.display()))
                    .cause(error)
                    .hint("`sslrootcert` names a PEM file; relative paths start at the project's folder")
            };
            let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
                store.add(certificate).map_err(|error| unreadable(error.to_string()))?;
            }
        }
        None => {
            // Machines carry a few certificates that rustls does not take; the others are enough.
            let (_taken, _left) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if store.is_empty() {
        return Err(Error::config("there is no root certificate to check the server's against")
            .hint("name one with `sslrootcert`, or install the machine's (package ca-certificates)"));
    }
    Ok(store)
}

/// Checks less than rustls would: the authority but not the host's name, or only that the server owns its key.
#[derive(Debug)]
struct Checked {
    provider: Arc<CryptoProvider>,
    roots: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Checked {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        match roots.verify_server_cert(end_entity, intermediates, server_name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
