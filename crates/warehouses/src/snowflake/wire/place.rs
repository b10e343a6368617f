//! Where a file for a stage goes, as the answer to PUT says: storage of Amazon, Microsoft or Google, credentials for
//! it, and a key if the file has to be sealed on this side. Pure: [`put`] makes the request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use serde::Deserialize;
use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};

use super::reply::{or_default, text};
use super::seal::{Material, Sealed};
use super::sigv4::{self, Keys};

/// The place, with what opens it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct StageInfo {
    /// `S3`, `AZURE`, `GCS`, or `LOCAL_FS`.
    #[serde(deserialize_with = "or_default")]
    location_type: String,
    /// Bucket or container, and the folder in it.
    #[serde(deserialize_with = "or_default")]
    location: String,
    region: Option<String>,
    storage_account: Option<String>,
    /// Another host than the cloud's usual one.
    end_point: Option<String>,
    /// Google: an address that is good for one file.
    presigned_url: Option<Secret>,
    #[serde(deserialize_with = "or_default")]
    creds: Creds,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
struct Creds {
    aws_key_id: Option<Secret>,
    aws_secret_key: Option<Secret>,
    aws_token: Option<Secret>,
    azure_sas_token: Option<Secret>,
    gcs_access_token: Option<Secret>,
}

/// The key material of a PUT: nothing, one, or a list of one.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Materials {
    One(Wrapped),
    Many(Vec<Wrapped>),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Wrapped {
    #[serde(deserialize_with = "or_default")]
    query_stage_master_key: Secret,
    #[serde(deserialize_with = "or_default")]
    query_id: String,
    #[serde(deserialize_with = "text")]
    smk_id: String,
}

impl Materials {
    /// The key, where there is one.
    pub(super) fn key(&self) -> Result<Option<Material>> {
        let first = match self {
            Self::One(one) => Some(one),
            Self::Many(list) => list.first(),
        };
        let Some(first) = first.filter(|one| !one.query_stage_master_key.expose().is_empty()) else { return Ok(None) };
        Material::new(first.query_stage_master_key.expose(), &first.query_id, &first.smk_id).map(Some)
    }
}

/// A file to be put, as bytes that are ready to go.
pub(super) struct File<'a> {
    pub(super) name: &'a str,
    pub(super) bytes: &'a [u8],
    /// SHA-256 of the file before it was sealed, in base64.
    pub(super) digest: &'a str,
    pub(super) sealed: Option<&'a Sealed>,
}

/// A request that puts a file.
pub(super) struct Put {
    pub(super) url: Url,
    pub(super) headers: Vec<(String, String)>,
}

/// The request for a file. `local`: the account is a test server, so storage may be one too, and unencrypted.
pub(super) fn put(info: &StageInfo, file: &File<'_>, now: jiff::Timestamp, local: bool) -> Result<Put> {
    match info.location_type.to_ascii_uppercase().as_str() {
        "S3" => s3(info, file, now, local),
        "AZURE" => azure(info, file, local),
        "GCS" => gcs(info, file, local),
        other => Err(Error::new(
            ErrorKind::Config,
            format!("the stage lies in storage of a kind ({other}) that we cannot write to"),
        )
        .hint("take an internal stage of an account on AWS, Azure or Google Cloud, or leave `stage:` out")),
    }
}

fn s3(info: &StageInfo, file: &File<'_>, now: jiff::Timestamp, local: bool) -> Result<Put> {
    let (bucket, folder) = info.location.split_once('/').unwrap_or((&info.location, ""));
    let region = info.region.as_deref().filter(|region| !region.is_empty()).unwrap_or("us-east-1");
    let end = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let host = info.host().map_or_else(|| format!("s3.{region}.{end}"), str::to_owned);
    // Certificates cover one name before the host: a bucket with a point in its name goes into the path.
    let base = match test_server(&host, local) || bucket.contains('.') {
        true => format!("{}/{}", scheme(&host, local), escaped(bucket)),
        false => format!("https://{bucket}.{host}"),
    };
    let url = address(&format!("{base}/{}", joined(folder, file.name)))?;
    let keys = Keys {
        id: needed(info.creds.aws_key_id.as_ref())?,
        secret: needed(info.creds.aws_secret_key.as_ref())?,
        token: info.creds.aws_token.as_ref(),
    };
    let mut headers = vec![("content-type".to_owned(), "application/octet-stream".to_owned())];
    headers.push(("x-amz-meta-sfc-digest".to_owned(), file.digest.to_owned()));
    if let Some(sealed) = file.sealed {
        headers.push(("x-amz-meta-x-amz-iv".to_owned(), sealed.iv.clone()));
        headers.push(("x-amz-meta-x-amz-key".to_owned(), sealed.key.clone()));
        headers.push(("x-amz-meta-x-amz-matdesc".to_owned(), sealed.about.clone()));
    }
    sigv4::sign("PUT", &url, &mut headers, file.bytes, region, &keys, now);
    Ok(Put { url, headers })
}

fn azure(info: &StageInfo, file: &File<'_>, local: bool) -> Result<Put> {
    let account = info.storage_account.as_deref().unwrap_or_default();
    let host = info.host().unwrap_or("blob.core.windows.net");
    let base = match test_server(host, local) {
        true => format!("{}/{account}", scheme(host, local)),
        false => format!("https://{account}.{host}"),
    };
    let sas = needed(info.creds.azure_sas_token.as_ref())?.expose();
    let mut url = address(&format!("{base}/{}", joined(&info.location, file.name)))?;
    url.set_query(Some(sas.trim_start_matches('?')));
    let mut headers = vec![
        ("x-ms-blob-type".to_owned(), "BlockBlob".to_owned()),
        ("content-type".to_owned(), "application/octet-stream".to_owned()),
        ("x-ms-meta-sfcdigest".to_owned(), file.digest.to_owned()),
    ];
    if let Some(sealed) = file.sealed {
        headers.push(("x-ms-meta-matdesc".to_owned(), sealed.about.clone()));
        headers.push(("x-ms-meta-encryptiondata".to_owned(), sealed.envelope()));
    }
    Ok(Put { url, headers })
}

fn gcs(info: &StageInfo, file: &File<'_>, local: bool) -> Result<Put> {
    let mut headers = vec![("x-goog-meta-sfc-digest".to_owned(), file.digest.to_owned())];
    let url = match info.presigned_url.as_ref().filter(|url| !url.expose().is_empty()) {
        Some(url) => address(url.expose())?,
        None => {
            let token = needed(info.creds.gcs_access_token.as_ref())?;
            headers.push(("authorization".to_owned(), format!("Bearer {}", token.expose())));
            let host = info.host().unwrap_or("storage.googleapis.com");
            address(&format!("{}/{}", scheme(host, local), joined(&info.location, file.name)))?
        }
    };
    if url.scheme() != "https" && !(local && url.host_str().is_some_and(on_this_machine)) {
        return Err(Error::new(ErrorKind::Unavailable, "the address of the stage's storage is not encrypted"));
    }
    if let Some(sealed) = file.sealed {
        headers.push(("x-goog-meta-matdesc".to_owned(), sealed.about.clone()));
        headers.push(("x-goog-meta-encryptiondata".to_owned(), sealed.envelope()));
    }
    Ok(Put { url, headers })
}

impl StageInfo {
    fn host(&self) -> Option<&str> {
        self.end_point.as_deref().filter(|host| !host.is_empty())
    }
}

fn on_this_machine(host: &str) -> bool {
    host.split(':').next().is_some_and(|name| name == "localhost" || name.starts_with("127."))
}

/// Storage of a test: on this machine, for an account on this machine. Files go into the path there.
fn test_server(host: &str, local: bool) -> bool {
    local && on_this_machine(host)
}

fn scheme(host: &str, local: bool) -> String {
    format!("{}://{host}", if test_server(host, local) { "http" } else { "https" })
}

fn address(text: &str) -> Result<Url> {
    Url::parse(text).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "the address of the stage's storage cannot be used").cause(error)
    })
}

fn needed(part: Option<&Secret>) -> Result<&Secret> {
    part.filter(|part| !part.expose().is_empty())
        .ok_or_else(|| Error::new(ErrorKind::Unavailable, "the server gave no credentials for the stage's storage"))
}

/// A folder and a name, escaped as signatures want it.
fn joined(folder: &str, name: &str) -> String {
    let folder = folder.trim_end_matches('/');
    let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    path.split('/').map(escaped).collect::<Vec<_>>().join("/")
}

fn escaped(text: &str) -> String {
    crate::snowflake::config::escape(text)
}

/// SHA-256 in base64, as stages keep it beside a file.
pub(super) fn digest(bytes: &[u8]) -> String {
    STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(info: serde_json::Value, local: bool) -> Result<Put> {
        let info: StageInfo = serde_json::from_value(info).expect("a place");
        let file = File { name: "a b.csv.gz", bytes: b"x", digest: "d", sealed: None };
        put(&info, &file, "2026-11-28T12:00:00Z".parse().expect("a time"), local)
    }

    fn url(info: serde_json::Value, local: bool) -> String {
        of(info, local).expect("a request").url.to_string()
    }

    #[test]
    fn each_cloud_has_its_address() {
        let aws = json!({ "AWS_KEY_ID": "k", "AWS_SECRET_KEY": "s", "AWS_TOKEN": "t" });
        let s3 = |location: &str, region: &str| json!({ "locationType": "S3", "location": location, "region": region, "creds": aws });
        assert_eq!(url(s3("b/f/", "eu-west-1"), false), "https://b.s3.eu-west-1.amazonaws.com/f/a%20b.csv.gz");
        assert_eq!(url(s3("b.c/f", "cn-north-1"), false), "https://s3.cn-north-1.amazonaws.com.cn/b.c/f/a%20b.csv.gz");
        let mut moto = s3("b/f/", "us-east-1");
        moto["endPoint"] = json!("127.0.0.1:5000");
        assert_eq!(url(moto.clone(), true), "http://127.0.0.1:5000/b/f/a%20b.csv.gz");
        assert!(of(moto, false).is_err(), "an account elsewhere writes to this machine in the clear");
        let azure = json!({ "locationType": "AZURE", "location": "c/f/", "storageAccount": "acct", "endPoint": "blob.core.windows.net",
            "creds": { "AZURE_SAS_TOKEN": "?sv=1&sig=a%2Bb" } });
        assert_eq!(url(azure, false), "https://acct.blob.core.windows.net/c/f/a%20b.csv.gz?sv=1&sig=a%2Bb");
        let gcs = json!({ "locationType": "GCS", "location": "b/f/", "creds": { "GCS_ACCESS_TOKEN": "t" } });
        assert_eq!(url(gcs.clone(), false), "https://storage.googleapis.com/b/f/a%20b.csv.gz");
        assert!(of(gcs, false).expect("a request").headers.contains(&("authorization".into(), "Bearer t".into())));
        let presigned = json!({ "locationType": "GCS", "location": "b/", "presignedUrl": "https://storage.googleapis.com/x?sig=1" });
        assert_eq!(url(presigned, false), "https://storage.googleapis.com/x?sig=1");
    }

    #[test]
    fn what_cannot_be_written_to_is_told() {
        assert_eq!(
            of(json!({ "locationType": "LOCAL_FS" }), true).err().map(|error| error.kind),
            Some(ErrorKind::Config)
        );
        assert!(of(json!({ "locationType": "S3", "location": "b/", "creds": null }), false).is_err());
        let clear = json!({ "locationType": "GCS", "location": "b/", "presignedUrl": "http://127.0.0.1/x" });
        assert!(of(clear.clone(), false).is_err() && of(clear, true).is_ok());
        let info: StageInfo =
            serde_json::from_value(json!({ "creds": { "AWS_SECRET_KEY": "hunter2" } })).expect("a place");
        assert!(!format!("{info:?}").contains("hunter2"));
    }
}
