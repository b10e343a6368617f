//! Encrypted secrets and the key that opens them.

use std::path::{Path, PathBuf};

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::secret::Secret;
use tidegate_model::time::Instant;

use crate::ops;
use crate::seal::{SealKey, new_key};
use crate::sqlite::files;
use crate::store::{Store, now, read_tx, write_tx};

/// What may be shown of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretInfo {
    /// Its name, as in `secret:NAME`.
    pub name: String,
    /// The key that it is encrypted with.
    pub key_id: String,
    /// When it was set.
    pub updated_at: Instant,
}

/// Where the key comes from.
#[derive(Debug, Clone)]
enum Source {
    /// The caller gave it, or nobody did.
    Caller(Option<Secret>),
    /// A file beside a SQLite state; made when first needed.
    File(PathBuf),
}

/// The key of the secrets, read when first needed.
#[derive(Debug)]
pub(crate) struct Keyring {
    source: Source,
}

impl Keyring {
    /// The key that the caller gave, if any; a bad one is refused at once.
    pub(crate) fn given(key: Option<&Secret>) -> Result<Self> {
        key.map(SealKey::parse).transpose()?;
        Ok(Self { source: Source::Caller(key.cloned()) })
    }

    /// The same, else a file beside the state.
    pub(crate) fn beside(key: Option<&Secret>, state: &Path) -> Result<Self> {
        match key {
            Some(_) => Self::given(key),
            None => Ok(Self { source: Source::File(files::with_suffix(state, ".key")) }),
        }
    }

    /// The key to seal with.
    fn for_sealing(&self) -> Result<SealKey> {
        match &self.source {
            Source::Caller(Some(key)) => SealKey::parse(key),
            Source::Caller(None) => Err(missing()),
            Source::File(path) => {
                let key = match files::read_private(path)? {
                    Some(key) => Secret::new(key),
                    None => files::write_private_once(path, &new_key()?)?,
                };
                SealKey::parse(&key).map_err(|error| error.at(path.display()))
            }
        }
    }

    /// The key that opens secrets sealed under `key_id`. Looks into the file of a rotation that was cut off too.
    fn for_opening(&self, key_id: &str) -> Result<SealKey> {
        let Source::File(path) = &self.source else { return self.for_sealing() };
        let next = rotation_file(path);
        for file in [path, &next] {
            let Some(text) = files::read_private(file)? else { continue };
            let key = SealKey::parse(&Secret::new(text)).map_err(|error| error.at(file.display()))?;
            if key.id() == key_id {
                if file == &next {
                    files::replace(&next, path)?;
                }
                return Ok(key);
            }
        }
        if files::read_private(path)?.is_none() {
            let message = format!("the file {} with the key of the secrets is missing", path.display());
            return Err(Error::new(ErrorKind::Unauthorized, message)
                .hint("restore that file, or set TIDEGATE_KEY to its content, or set the secrets again"));
        }
        self.for_sealing()
    }
}

fn rotation_file(path: &Path) -> PathBuf {
    files::with_suffix(path, ".next")
}

fn missing() -> Error {
    Error::new(ErrorKind::Unauthorized, "the key of the secrets (TIDEGATE_KEY) is not set")
        .hint("set TIDEGATE_KEY to 32 bytes in base64; make them once with `openssl rand -base64 32`")
}

impl Store {
    /// Stores a secret, encrypted; replaces one of the same name.
    pub async fn set_secret(&self, name: &str, secret: &Secret) -> Result<()> {
        ops::secrets::check_name(name)?;
        let keyring = self.keyring.lock().await;
        let key = self.current_key(&keyring).await?;
        let (name, secret, at) = (name.to_owned(), secret.clone(), now());
        write_tx!(self, |tx| ops::secrets::set(tx, &key, &name, &secret, at).await)
    }

    /// The key that new secrets are sealed with: the one that opens those that are there.
    async fn current_key(&self, keyring: &Keyring) -> Result<SealKey> {
        match read_tx!(self, |tx| ops::secrets::list(tx).await)?.first() {
            Some(known) => keyring.for_opening(&known.key_id),
            None => keyring.for_sealing(),
        }
    }

    /// A secret in clear; `None` if there is none of this name.
    pub async fn get_secret(&self, name: &str) -> Result<Option<Secret>> {
        let keyring = self.keyring.lock().await;
        let stored_name = name.to_owned();
        let Some((key_id, sealed)) = read_tx!(self, |tx| ops::secrets::sealed(tx, &stored_name).await)? else {
            return Ok(None);
        };
        keyring.for_opening(&key_id)?.open(name, &key_id, &sealed).map(Some)
    }

    /// Names, keys and times of all secrets.
    pub async fn list_secrets(&self) -> Result<Vec<SecretInfo>> {
        read_tx!(self, |tx| ops::secrets::list(tx).await)
    }

    /// Removes a secret; false if there was none of this name.
    pub async fn remove_secret(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        write_tx!(self, |tx| ops::secrets::remove(tx, &name).await)
    }

    /// Encrypts all secrets with another key, all or none; their number. A key that stands in a file beside the state
    /// is replaced there; one that the caller handed in has to be replaced by the caller.
    pub async fn rotate_secrets(&self, new: &Secret) -> Result<u64> {
        let new_key = SealKey::parse(new)?;
        let mut keyring = self.keyring.lock().await;
        let old_key = self.current_key(&keyring).await?;
        // The new key is on disk before the first secret is sealed with it, and takes its place once all are: a crash
        // in between leaves both files, and the one that fits is found by its id.
        if let Source::File(path) = &keyring.source {
            files::write_private(&rotation_file(path), new)?;
        }
        let count = write_tx!(self, |tx| ops::secrets::rotate(tx, &old_key, &new_key).await)?;
        match &mut keyring.source {
            Source::File(path) => files::replace(&rotation_file(path), path)?,
            Source::Caller(key) => *key = Some(new.clone()),
        }
        Ok(count)
    }
}
