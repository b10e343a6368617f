//! Sealing of files on this side, as Snowflake's drivers do it for stages that ask for it: a key of its own for each
//! file (AES-CBC), which the stage's master key wraps (AES-ECB). Pure.

use aes::cipher::{
    BlockEncrypt, BlockEncryptMut, BlockSizeUser, KeyInit, KeyIvInit, block_padding::Pkcs7, generic_array::GenericArray,
};
use aes::{Aes128, Aes256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tidegate_model::{Error, ErrorKind, Result};

/// A stage's master key, good for one statement.
pub(super) struct Material {
    key: Vec<u8>,
    query_id: String,
    smk_id: String,
}

/// What opens a sealed file, to be kept beside it. Only the master key's owner can use it.
pub(super) struct Sealed {
    /// The file's key, wrapped, in base64.
    pub(super) key: String,
    /// In base64.
    pub(super) iv: String,
    /// Which master key it was.
    pub(super) about: String,
    bits: usize,
}

impl Material {
    pub(super) fn new(key: &str, query_id: &str, smk_id: &str) -> Result<Self> {
        let key = STANDARD.decode(key).ok().filter(|key| matches!(key.len(), 16 | 32)).ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "the server gave a key for the stage that is none (16 or 32 bytes)")
        })?;
        Ok(Self { key, query_id: query_id.to_owned(), smk_id: smk_id.to_owned() })
    }

    /// Seals a file in place.
    pub(super) fn seal(&self, bytes: &mut Vec<u8>) -> Sealed {
        let iv = tidegate_net::random::bytes::<16>();
        let file_key = tidegate_net::random::bytes::<32>();
        let file_key = &file_key[..self.key.len()];
        encrypt(file_key, &iv, bytes);
        Sealed {
            key: STANDARD.encode(wrap(&self.key, file_key)),
            iv: STANDARD.encode(iv),
            about:
                json!({ "queryId": self.query_id, "smkId": self.smk_id, "keySize": (self.key.len() * 8).to_string() })
                    .to_string(),
            bits: self.key.len() * 8,
        }
    }
}

impl Sealed {
    /// What stages on Azure and Google keep beside a file.
    pub(super) fn envelope(&self) -> String {
        let algorithm = format!("AES_CBC_{}", self.bits);
        json!({
            "EncryptionMode": "FullBlob",
            "WrappedContentKey": { "KeyId": "symmKey1", "EncryptedKey": self.key, "Algorithm": algorithm },
            "EncryptionAgent": { "Protocol": "1.0", "EncryptionAlgorithm": algorithm },
            "ContentEncryptionIV": self.iv,
            "KeyWrappingMetadata": { "EncryptionLibrary": "Java 5.3.0" },
        })
        .to_string()
    }
}

/// AES-CBC with padding, in place: a file is large, and a copy of it would count.
fn encrypt(key: &[u8], iv: &[u8; 16], bytes: &mut Vec<u8>) {
    let plain = bytes.len();
    bytes.resize((plain / 16 + 1) * 16, 0);
    let (iv, buffer) = (GenericArray::from_slice(iv), bytes.as_mut_slice());
    // The room for the padding is there, so it cannot fail.
    let _ = match key.len() {
        16 => cbc::Encryptor::<Aes128>::new(GenericArray::from_slice(key), iv)
            .encrypt_padded_mut::<Pkcs7>(buffer, plain)
            .map(<[u8]>::len),
        _ => cbc::Encryptor::<Aes256>::new(GenericArray::from_slice(key), iv)
            .encrypt_padded_mut::<Pkcs7>(buffer, plain)
            .map(<[u8]>::len),
    };
}

/// AES-ECB with padding, for a key.
fn wrap(master: &[u8], key: &[u8]) -> Vec<u8> {
    match master.len() {
        16 => blocks(&Aes128::new(GenericArray::from_slice(master)), key),
        _ => blocks(&Aes256::new(GenericArray::from_slice(master)), key),
    }
}

fn blocks<C: BlockEncrypt + BlockSizeUser<BlockSize = aes::cipher::consts::U16>>(cipher: &C, key: &[u8]) -> Vec<u8> {
    let pad = 16 - key.len() % 16;
    let mut out = key.to_vec();
    out.resize(key.len() + pad, u8::try_from(pad).unwrap_or(16));
    for block in out.chunks_exact_mut(16) {
        cipher.encrypt_block(GenericArray::from_mut_slice(block));
    }
    out
}

#[cfg(test)]
mod tests {
    use aes::cipher::{BlockDecrypt, BlockDecryptMut};

    use super::*;

    fn opened(master: &[u8; 32], sealed: &Sealed, bytes: &[u8]) -> Vec<u8> {
        let mut key = STANDARD.decode(&sealed.key).expect("base64");
        for block in key.chunks_exact_mut(16) {
            Aes256::new(GenericArray::from_slice(master)).decrypt_block(GenericArray::from_mut_slice(block));
        }
        assert_eq!(&key[32..], [16; 16], "the wrapped key is padded by a block");
        let iv = STANDARD.decode(&sealed.iv).expect("base64");
        cbc::Decryptor::<Aes256>::new(GenericArray::from_slice(&key[..32]), GenericArray::from_slice(&iv))
            .decrypt_padded_vec_mut::<Pkcs7>(bytes)
            .expect("opened")
    }

    #[test]
    fn what_is_sealed_is_opened_by_the_master_key() {
        let master: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).expect("small"));
        let material = Material::new(&STANDARD.encode(master), "01b0", "92019681").expect("a key");
        for text in ["", "sixteen bytes!!!", "rows, many of them"] {
            let mut bytes = text.as_bytes().to_vec();
            let sealed = material.seal(&mut bytes);
            assert_ne!(bytes, text.as_bytes());
            assert_eq!(opened(&master, &sealed, &bytes), text.as_bytes());
            let about: serde_json::Value = serde_json::from_str(&sealed.about).expect("JSON");
            assert_eq!((about["smkId"].as_str(), about["keySize"].as_str()), (Some("92019681"), Some("256")));
        }
        let (mut one, mut other) = (b"same".to_vec(), b"same".to_vec());
        assert_ne!((material.seal(&mut one).iv, one), (material.seal(&mut other).iv, other));
        assert!(Material::new("c2hvcnQ=", "q", "1").is_err() && Material::new("*", "q", "1").is_err());
    }

    /// FIPS-197, appendix C.1; then a whole block of padding.
    #[test]
    fn keys_are_wrapped_by_aes_as_such() {
        let master: [u8; 16] = std::array::from_fn(|at| u8::try_from(at).expect("small"));
        let key: [u8; 16] = std::array::from_fn(|at| u8::try_from(at * 0x11).expect("small"));
        let wrapped = wrap(&master, &key);
        assert_eq!(
            wrapped[..16],
            [0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30, 0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a]
        );
        assert_eq!(wrapped.len(), 32);
    }
}
