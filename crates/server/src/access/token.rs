//! Tokens and cookies: 256 random bits; what is kept of them is a hash.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tidegate_model::Result;
use tidegate_model::secret::Secret;

/// What tokens begin with, so that scanners for leaked secrets find them.
const MARK: &str = "tgt_";

/// A new token, and the hash to keep of it.
pub fn new_token() -> Result<(Secret, Vec<u8>)> {
    let text = format!("{MARK}{}", random_text()?);
    let hash = hash(&text);
    Ok((Secret::new(text), hash))
}

/// Random text of 256 bits.
pub(crate) fn random_text() -> Result<String> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(tidegate_store::random_bytes()?))
}

/// What is kept of a token or cookie.
pub(crate) fn hash(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

/// Whether two texts are equal, in a time that does not tell where they differ.
pub(crate) fn equal(a: &str, b: &str) -> bool {
    // Of hashes: how much of those is equal says nothing of the texts.
    hash(a) == hash(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_found_by_their_hash() {
        let (a, hash_a) = new_token().expect("random");
        let (b, hash_b) = new_token().expect("random");
        assert!(a.expose().starts_with("tgt_") && a.expose().len() == 47, "{}", a.expose().len());
        assert_ne!(a.expose(), b.expose());
        assert_ne!(hash_a, hash_b);
        assert_eq!(hash(a.expose()), hash_a);
        assert!(equal("a", "a") && !equal("a", "b") && !equal("", "a"));
    }
}
