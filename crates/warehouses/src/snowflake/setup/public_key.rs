//! The public key of a service user.

use tidegate_model::{Error, Result};

/// Base64 of an RSA key: 2,048 bits take 392 characters, 8,192 bits 1,424.
const KEY_CHARS: std::ops::RangeInclusive<usize> = 380..=2000;

/// A public key as Snowflake takes it: the base64 of its PEM, without the lines around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(String);

impl PublicKey {
    /// Reads PEM, or the base64 alone.
    pub fn parse(text: &str) -> Result<Self> {
        if text.contains("PRIVATE KEY") {
            return Err(Error::config("that is the private key, which nobody but tidegate may see")
                .hint("give the public one: `openssl rsa -in KEY.p8 -pubout -out KEY.pub`"));
        }
        let body: String = text.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        let base64 = body.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
        if !base64 || !body.starts_with("MII") || !KEY_CHARS.contains(&body.len()) {
            return Err(Error::config("the public key is not an RSA key in PEM, or is too short").hint(
                "make one of 2,048 bits or more: `openssl rsa -in KEY.p8 -pubout -out KEY.pub`, and give KEY.pub",
            ));
        }
        Ok(Self(body))
    }

    /// The base64.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
