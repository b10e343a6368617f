//! Amazon's signature of a request, version 4, as S3 wants it. Pure.

use std::fmt::Write;

use reqwest::Url;
use ring::digest::{SHA256, digest};
use ring::hmac;
use tidegate_model::secret::Secret;

/// Temporary keys of a place.
pub(super) struct Keys<'a> {
    pub(super) id: &'a Secret,
    pub(super) secret: &'a Secret,
    pub(super) token: Option<&'a Secret>,
}

/// Adds what proves that the request is ours. All headers given are signed; the path is escaped already.
pub(super) fn sign(
    method: &str,
    url: &Url,
    headers: &mut Vec<(String, String)>,
    body: &[u8],
    region: &str,
    keys: &Keys<'_>,
    now: jiff::Timestamp,
) {
    let at = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let payload = hex(digest(&SHA256, body).as_ref());
    headers.push(("x-amz-content-sha256".to_owned(), payload.clone()));
    headers.push(("x-amz-date".to_owned(), at.clone()));
    if let Some(token) = keys.token {
        headers.push(("x-amz-security-token".to_owned(), token.expose().to_owned()));
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = format!("{}{port}", url.host_str().unwrap_or_default());
    let mut signed: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.trim())).collect();
    signed.push(("host", &host));
    signed.sort_unstable();
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical =
        format!("{method}\n{}\n{}\n{lines}\n{names}\n{payload}", url.path(), url.query().unwrap_or_default());
    let scope = format!("{}/{region}/s3/aws4_request", &at[..8]);
    let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(digest(&SHA256, canonical.as_bytes()).as_ref()));
    let first = mac(format!("AWS4{}", keys.secret.expose()).as_bytes(), &at[..8]);
    let key = [region, "s3", "aws4_request"].iter().fold(first, |key, part| mac(key.as_ref(), part));
    let signature = hex(mac(key.as_ref(), &text).as_ref());
    let id = keys.id.expose();
    let proof = format!("AWS4-HMAC-SHA256 Credential={id}/{scope},SignedHeaders={names},Signature={signature}");
    headers.push(("authorization".to_owned(), proof));
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example "PUT Object" of "Signature Calculations for the Authorization Header" in Amazon's S3 API reference.
    #[test]
    fn amazons_own_example_comes_out() {
        let url = Url::parse("https://examplebucket.s3.amazonaws.com/test%24file.text").expect("an address");
        let mut headers = vec![
            ("date".to_owned(), "Fri, 24 May 2013 00:00:00 GMT".to_owned()),
            ("x-amz-storage-class".to_owned(), "REDUCED_REDUNDANCY".to_owned()),
        ];
        let (id, secret) =
            (Secret::new("AKIAIOSFODNN7EXAMPLE"), Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"));
        let keys = Keys { id: &id, secret: &secret, token: None };
        let now = "2013-05-24T00:00:00Z".parse().expect("a time");
        sign("PUT", &url, &mut headers, b"Welcome to Amazon S3.", "us-east-1", &keys, now);
        let proof = headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.as_str());
        assert_eq!(
            proof,
            Some(
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
                 SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,\
                 Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
            )
        );
    }
}
