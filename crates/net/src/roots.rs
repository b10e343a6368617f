//! Who may sign the certificates of servers.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tidegate_model::{Error, ErrorKind, Result};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// The authorities that are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Those of the system; where it has none, those that Mozilla trusted when this was built.
    System,
    /// Those in a PEM file.
    File(PathBuf),
}

impl Roots {
    /// Loads them. `setting` is what names a file, for hints: `sslrootcert`.
    ///
    /// # Errors
    /// A file that cannot be read or holds no certificate; a system without authorities.
    pub fn load(&self, setting: &str) -> Result<Arc<RootCertStore>> {
        match self {
            Self::System => SYSTEM.lock().unwrap_or_else(PoisonError::into_inner).load(setting),
            Self::File(path) => file(path, setting).map(Arc::new),
        }
    }
}

/// The system's authorities are read again after this time: a machine's list is renewed while we run.
const KEPT: Duration = Duration::from_secs(60);
/// What names them in the place of the machine's own.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The system's authorities as they were read last: reading them takes 5 ms of the processor, and each connection of each
/// sync asks for them.
struct Kept {
    named: [Option<OsString>; 2],
    read: Option<(Instant, Arc<RootCertStore>)>,
}

static SYSTEM: Mutex<Kept> = Mutex::new(Kept { named: [None, None], read: None });

impl Kept {
    fn load(&mut self, setting: &str) -> Result<Arc<RootCertStore>> {
        let named = VARIABLES.map(std::env::var_os);
        let fresh = self.read.as_ref().filter(|(read, _)| read.elapsed() < KEPT && named == self.named);
        if let Some((_, store)) = fresh {
            return Ok(Arc::clone(store));
        }
        let store = Arc::new(system(setting)?);
        *self = Self { named, read: Some((Instant::now(), Arc::clone(&store))) };
        Ok(store)
    }
}

fn system(setting: &str) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    // Machines carry a few certificates that rustls does not take; the others are enough.
    let (_taken, _left) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if !store.is_empty() {
        return Ok(store);
    }
    // Who names a file means that one: nothing takes its place.
    if VARIABLES.iter().any(|name| std::env::var_os(name).is_some()) {
        return Err(Error::config(
            "SSL_CERT_FILE or SSL_CERT_DIR names no root certificates, so no server can be verified",
        )
        .hint(format!("name a PEM file with {setting}, or unset both")));
    }
    // An image with nothing but this binary: Mozilla's list, as it stood when this was built.
    let (_taken, _left) = store.add_parsable_certificates(TLS_SERVER_ROOT_CERTS.iter().cloned());
    if store.is_empty() {
        return Err(Error::internal("the root certificates that are compiled in cannot be read"));
    }
    Ok(store)
}

fn file(path: &Path, setting: &str) -> Result<RootCertStore> {
    let shown = path.display();
    let hint = format!("{setting} names a PEM file with the certificate of the authority");
    let bytes = std::fs::read(path).map_err(|error| {
        Error::new(ErrorKind::NotFound, format!("the root certificate {shown} cannot be read")).hint(&hint).cause(error)
    })?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| store.add(certificate).map_err(|error| error.to_string()));
        added.map_err(|cause| {
            Error::config(format!("the root certificate {shown} is not valid PEM")).hint(&hint).cause(cause)
        })?;
    }
    if store.is_empty() {
        return Err(Error::config(format!("{shown} holds no certificate")).hint(hint));
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_authorities_are_read_once_for_many_connections_and_again_after_a_while() {
        let mut kept = Kept { named: [None, None], read: None };
        let first = kept.load("SSL_CERT_FILE").expect("authorities");
        assert!(!first.is_empty());
        assert!(Arc::ptr_eq(&first, &kept.load("SSL_CERT_FILE").expect("the same")));
        let old = Instant::now().checked_sub(KEPT).expect("a machine that is up for a minute");
        kept.read = Some((old, Arc::clone(&first)));
        assert!(!Arc::ptr_eq(&first, &kept.load("SSL_CERT_FILE").expect("anew")));
        kept.named = [Some("elsewhere.pem".into()), None];
        let second = kept.read.as_ref().map(|(_, store)| Arc::clone(store)).expect("kept");
        assert!(!Arc::ptr_eq(&second, &kept.load("SSL_CERT_FILE").expect("anew")));
    }
}
