//! Encryption of secrets: XChaCha20-Poly1305 under a key of 32 bytes, each secret bound to its name.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::secret::Secret;

use crate::tx::damaged;

const KEY_BYTES: usize = 32;
/// Large enough that random nonces never meet.
const NONCE_BYTES: usize = 24;

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "the operating system gives no random numbers").cause(error)
    })?;
    Ok(bytes)
}

/// A new key as text, as `TIDEGATE_KEY` holds it.
pub fn new_key() -> Result<Secret> {
    Ok(Secret::new(STANDARD.encode(random::<KEY_BYTES>()?)))
}

/// A key that seals secrets, with the id that tells which key sealed one.
pub(crate) struct SealKey {
    cipher: XChaCha20Poly1305,
    id: String,
}

impl SealKey {
    /// From its text: 32 bytes in base64.
    pub(crate) fn parse(text: &Secret) -> Result<Self> {
        let trimmed = text.expose().trim();
        let bytes = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .iter()
            .find_map(|alphabet| alphabet.decode(trimmed).ok())
            .filter(|bytes| bytes.len() == KEY_BYTES);
        let Some(bytes) = bytes else {
            return Err(Error::config("the key of the secrets (TIDEGATE_KEY) is not 32 bytes in base64")
                .hint("make one with `openssl rand -base64 32`, and keep it: without it the secrets cannot be read"));
        };
        let digest = Sha256::new().chain_update(b"tidegate key id\0").chain_update(&bytes).finalize();
        let id = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { cipher: XChaCha20Poly1305::new(bytes.as_slice().into()), id })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn seal(&self, name: &str, secret: &Secret) -> Result<Vec<u8>> {
        let nonce = random::<NONCE_BYTES>()?;
        let payload = Payload { msg: secret.expose().as_bytes(), aad: name.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| Error::internal(format!("secret {name} cannot be encrypted")))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    pub(crate) fn open(&self, name: &str, key_id: &str, sealed: &[u8]) -> Result<Secret> {
        if key_id != self.id {
            let message = format!("secret {name} was encrypted with key {key_id}, but the key at hand is {}", self.id);
            return Err(Error::new(ErrorKind::Unauthorized, message)
                .hint("set TIDEGATE_KEY to the key that it was encrypted with, or set the secret again"));
        }
        let spoilt = || damaged(format!("secret {name} cannot be decrypted: its bytes were changed"));
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(spoilt)?;
        let payload = Payload { msg: sealed, aad: name.as_bytes() };
        let bytes = self.cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| spoilt())?;
        String::from_utf8(bytes).map(Secret::new).map_err(|_| spoilt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_secrets_open_under_their_own_name_and_key_only() {
        let key = SealKey::parse(&new_key().unwrap()).unwrap();
        let sealed = key.seal("a", &Secret::new("hunter2")).unwrap();
        assert_eq!(key.open("a", key.id(), &sealed).unwrap().expose(), "hunter2");
        assert_eq!(key.open("b", key.id(), &sealed).unwrap_err().kind, ErrorKind::Data);
        let other = SealKey::parse(&new_key().unwrap()).unwrap();
        assert_eq!(other.open("a", key.id(), &sealed).unwrap_err().kind, ErrorKind::Unauthorized);
        assert_eq!(other.open("a", other.id(), &sealed).unwrap_err().kind, ErrorKind::Data);
        assert_eq!(key.open("a", key.id(), &sealed[..10]).unwrap_err().kind, ErrorKind::Data);
    }

    #[test]
    fn short_keys_are_refused() {
        assert_eq!(SealKey::parse(&Secret::new("c2hvcnQ=")).err().unwrap().kind, ErrorKind::Config);
    }
}
