//! Key-pair logins: the private key of a service user, and the short-lived token that it signs.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::json;
use sha2::{Digest, Sha256};
use tidegate_model::secret::Secret;
use tidegate_model::{Error, Result};

/// How long a token lasts, in seconds. It is used once, at once; the clocks of both sides may differ by some of it.
const LIFE_S: i64 = 120;

/// The DER of `AlgorithmIdentifier { rsaEncryption, NULL }`.
const RSA_ENCRYPTION: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];

/// A private key that can sign logins.
pub(in crate::snowflake) struct KeyPair {
    key: RsaKeyPair,
    fingerprint: String,
}

impl KeyPair {
    /// Reads a PEM file: PKCS#8, plain or encrypted, or the older PKCS#1.
    pub(in crate::snowflake) fn parse(pem: &str, passphrase: Option<&Secret>) -> Result<Self> {
        let key = match label(pem) {
            Some("ENCRYPTED PRIVATE KEY") => {
                let Some(passphrase) = passphrase else {
                    return Err(bad("the private key is encrypted").hint("set `passphrase:` beside `private_key:`"));
                };
                from_pkcs8(decrypt(pem, passphrase)?.as_bytes())
            }
            Some("PRIVATE KEY") => from_pkcs8(document(pem)?.as_bytes()),
            Some("RSA PRIVATE KEY") => RsaKeyPair::from_der(document(pem)?.as_bytes()).map_err(refused),
            Some(other) => Err(bad(&format!("the private key's file holds a {other}")).hint(HINT)),
            None => Err(bad("the private key is not a PEM text").hint(HINT)),
        }?;
        let fingerprint = format!("SHA256:{}", STANDARD.encode(Sha256::digest(public_der(key.public().as_ref()))));
        Ok(Self { key, fingerprint })
    }

    /// The fingerprint of the public key, as `DESCRIBE USER` shows it (`RSA_PUBLIC_KEY_FP`).
    pub(in crate::snowflake) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// A token that logs this user in, good for two minutes from now (seconds since 1970).
    pub(in crate::snowflake) fn token(&self, account: &str, user: &str, now_s: i64) -> Result<Secret> {
        let name = format!("{}.{}", account_name(account), user.to_uppercase());
        let head = json!({ "alg": "RS256", "typ": "JWT" });
        let claims = json!({
            "iss": format!("{name}.{}", self.fingerprint), "sub": name, "iat": now_s, "exp": now_s + LIFE_S,
        });
        let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(&head), part(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| Error::internal("the login token could not be signed"))?;
        Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

const HINT: &str = "make a key as docs/snowflake.md shows: `openssl genrsa 2048 | openssl pkcs8 -topk8 -v2 aes-256-cbc -inform PEM -out tidegate.p8`";

/// The account's own name in tokens: upper case, without region and cloud (`xy12345.eu-west-1` is `XY12345`).
fn account_name(account: &str) -> String {
    account.split('.').next().unwrap_or(account).to_uppercase()
}

fn bad(message: &str) -> Error {
    Error::config(format!("auth.private_key: {message}"))
}

fn refused(error: ring::error::KeyRejected) -> Error {
    bad("the key cannot be used").cause(error).hint("Snowflake takes RSA keys of 2048 bits and more")
}

/// The words after BEGIN.
fn label(pem: &str) -> Option<&str> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    rest.split_once("-----").map(|(label, _)| label)
}

/// The bytes of a PEM text. What stands before and after it is passed over, and lines may have any length.
fn document(pem: &str) -> Result<SecretDocument> {
    let unreadable = || bad("the private key cannot be read").hint(HINT);
    let (_, rest) = pem.split_once("-----BEGIN ").ok_or_else(unreadable)?;
    let (_, rest) = rest.split_once("-----").ok_or_else(unreadable)?;
    let (body, _) = rest.split_once("-----END ").ok_or_else(unreadable)?;
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = STANDARD.decode(body).map_err(|_| unreadable())?;
    SecretDocument::try_from(bytes.as_slice()).map_err(|_| unreadable())
}

fn decrypt(pem: &str, passphrase: &Secret) -> Result<SecretDocument> {
    let bytes = document(pem)?;
    let info = EncryptedPrivateKeyInfo::try_from(bytes.as_bytes()).map_err(|error| {
        bad("the private key's encryption is not known")
            .cause(error)
            .hint("encrypt it with `-v2 aes-256-cbc` or `-v2 des3`; the ciphers of PKCS#5 1.5 are too weak")
    })?;
    // The library's own message tells no more than that it failed.
    info.decrypt(passphrase.expose())
        .map_err(|_| bad("the private key cannot be decrypted").hint("check `passphrase:`"))
}

fn from_pkcs8(der: &[u8]) -> Result<RsaKeyPair> {
    RsaKeyPair::from_pkcs8(der).map_err(refused)
}

/// `SubjectPublicKeyInfo` around the key's own `RSAPublicKey`: what Snowflake takes the fingerprint of.
fn public_der(pkcs1: &[u8]) -> Vec<u8> {
    let mut bits = vec![0];
    bits.extend_from_slice(pkcs1);
    let mut inner = RSA_ENCRYPTION.to_vec();
    inner.extend(element(3, &bits));
    element(0x30, &inner)
}

/// A DER element: tag, length, content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    if length < 128 {
        out.push(length as u8);
    } else {
        let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        out.push(0x80 | bytes.len() as u8);
        out.extend(bytes);
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_der_are_written_short_and_long() {
        assert_eq!(element(4, &[7; 3]), [4, 3, 7, 7, 7]);
        assert_eq!(element(4, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(element(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn what_is_no_key_is_refused_with_what_to_do() {
        let error = |pem: &str| KeyPair::parse(pem, None).err().expect("refused").to_string();
        assert!(error("").contains("not a PEM"));
        assert!(error("-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----").contains("CERTIFICATE"));
        assert!(error("-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----").contains("cannot be read"));
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----";
        assert!(error(locked).contains("encrypted"));
        let secret = Secret::new("x");
        assert!(KeyPair::parse(locked, Some(&secret)).is_err());
    }

    #[test]
    fn the_region_is_no_part_of_the_accounts_name() {
        assert_eq!(account_name("xy12345.eu-west-1"), "XY12345");
        assert_eq!(account_name("acme-prod"), "ACME-PROD");
    }
}
