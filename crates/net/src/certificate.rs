//! The certificate with which we serve others over TLS, read again when its files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tidegate_model::{Error, ErrorKind, Result};
use tokio_rustls::TlsAcceptor;

/// Between two looks whether the files changed.
const LOOK: Duration = Duration::from_secs(5);

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those between it and its authority, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// A certificate that is renewed under the server's feet every few weeks.
#[derive(Debug)]
pub struct Certificate {
    files: TlsFiles,
    now: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    changed: [Option<SystemTime>; 2],
    looked: Instant,
}

fn read<T>(what: &str, path: &Path, read: impl FnOnce() -> std::result::Result<T, String>) -> Result<T> {
    read().map_err(|cause| {
        Error::new(ErrorKind::Config, format!("`serve.tls`: the {what} {} cannot be used", path.display()))
            .hint("name PEM files that this user may read: the whole chain as `cert`, its private key as `key`")
            .cause(cause)
    })
}

impl Certificate {
    /// Reads it.
    ///
    /// # Errors
    /// Files that cannot be read, that hold none, or that do not belong together.
    pub fn load(files: TlsFiles) -> Result<Self> {
        let changed = changed(&files);
        let config = Arc::new(config(&files)?);
        Ok(Self { files, now: Mutex::new(Loaded { config, changed, looked: Instant::now() }) })
    }

    /// What shakes hands with it as it stands; what cannot be read leaves the one before. What changed is handed to `tell`.
    pub fn acceptor(&self, tell: impl Fn(Result<()>)) -> TlsAcceptor {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.looked.elapsed() >= LOOK {
            now.looked = Instant::now();
            let changed = changed(&self.files);
            if changed != now.changed {
                now.changed = changed;
                let read = config(&self.files).map(|config| now.config = Arc::new(config));
                tell(read);
            }
        }
        TlsAcceptor::from(Arc::clone(&now.config))
    }
}

fn changed(files: &TlsFiles) -> [Option<SystemTime>; 2] {
    [&files.cert, &files.key].map(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok())
}

fn config(files: &TlsFiles) -> Result<ServerConfig> {
    let chain = read("certificate", &files.cert, || {
        let bytes = std::fs::read(&files.cert).map_err(|error| error.to_string())?;
        let chain: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let chain = chain.map_err(|error| error.to_string())?;
        if chain.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(chain) }
    })?;
    // What a key file that cannot be read says of itself may be a part of it: only the kind of trouble is told.
    let key = read("key", &files.key, || {
        let bytes = std::fs::read(&files.key).map_err(|error| error.to_string())?;
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| "it holds no private key in PEM".to_owned())
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = read("certificate", &files.cert, || {
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| error.to_string())
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
