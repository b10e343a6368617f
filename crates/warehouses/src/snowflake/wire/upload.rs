//! Files on their way to a stage. A file of one name can be put twice, so a put is repeated while that can help; keys
//! that have expired are asked for anew, with the statement that gave them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::StatusCode;
use tidegate_model::{Error, ErrorKind, Result};

use super::line::chain;
use super::place::{self, File, Materials, StageInfo};
use super::query::{Said, Statement};
use super::seal::{Material, Sealed};
use super::session::{Inner, Session};

/// How often new keys are asked for on behalf of one file: storage says "forbidden" of wrong ones, too.
const RENEWALS_MAX: u32 = 2;
/// Longest PUT statement: it only hands out an address.
const ASK_S_MAX: u32 = 60;
/// What storage may say in words, for a message.
const SAYS_BYTES_MAX: usize = 4096;

/// Puts files on behalf of a session.
#[derive(Clone)]
pub(in crate::snowflake) struct Uploader {
    inner: Arc<Inner>,
}

/// What came of one attempt.
enum Sent {
    Done,
    /// The keys are no longer good, or never were.
    Forbidden(String),
    Again(String),
    Refused(Error),
}

impl Session {
    /// Puts files on this session's behalf.
    pub(in crate::snowflake) fn uploader(&self) -> Uploader {
        Uploader { inner: self.inner.clone() }
    }
}

impl Uploader {
    /// Puts a file where the PUT statement says.
    pub(in crate::snowflake) async fn put(&self, sql: &str, name: &str, file: Vec<u8>, doing: &str) -> Result<()> {
        let digest = place::digest(&file);
        let file = Bytes::from(file);
        let mut says = String::new();
        for _ in 0..=RENEWALS_MAX {
            let (info, material) = self.ask(sql, doing).await?;
            let (bytes, sealed) = match material {
                None => (file.clone(), None),
                Some(material) => {
                    let mut bytes = file.to_vec();
                    let sealed = material.seal(&mut bytes);
                    (Bytes::from(bytes), Some(sealed))
                }
            };
            match self.send(&info, name, bytes, &digest, sealed.as_ref(), doing).await? {
                None => return Ok(()),
                Some(why) => says = why,
            }
        }
        Err(Error::new(ErrorKind::Unauthorized, format!("{doing}: the storage of the stage does not take our files"))
            .cause(says)
            .hint("a firewall or a policy of the storage may forbid it from here; without `stage:` rows are bound to statements"))
    }

    /// Asks where a file goes.
    async fn ask(&self, sql: &str, doing: &str) -> Result<(StageInfo, Option<Material>)> {
        let statement = Statement { sql, binds: &[], describe: false, seconds_max: ASK_S_MAX, doing };
        let data = match self.inner.statement(&statement).await.map_err(super::query::unanswered)? {
            Said::Answer(data) => data,
            Said::Refused(refusal) => return Err(refusal.error(doing)),
        };
        let Some(info) = data.stage_info else {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("{doing}: the server does not say where the stage is"),
            )
            .cause(format!("query {}", data.query_id)));
        };
        let material = data.encryption_material.as_ref().map(Materials::key).transpose()?.flatten();
        Ok((info, material))
    }

    /// Sends it until it has arrived; `Some` if the keys are refused, with what storage says.
    async fn send(
        &self,
        info: &StageInfo,
        name: &str,
        bytes: Bytes,
        digest: &str,
        sealed: Option<&Sealed>,
        doing: &str,
    ) -> Result<Option<String>> {
        let line = &self.inner.context.line;
        let begun = Instant::now();
        let mut attempt = 0;
        loop {
            let file = File { name, bytes: &bytes, digest, sealed };
            // Made anew each time: a signature holds the time.
            let put = place::put(info, &file, jiff::Timestamp::now(), line.is_local())?;
            let why = match self.attempt(put, bytes.clone()).await {
                Sent::Done => return Ok(None),
                Sent::Forbidden(why) => return Ok(Some(why)),
                Sent::Refused(error) => return Err(error.at(doing)),
                Sent::Again(why) => why,
            };
            attempt += 1;
            let wait = line.wait(attempt);
            if attempt >= line.patience.attempts_max || begun.elapsed() + wait > line.patience.budget {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("{doing}: a file did not reach the storage of the stage"),
                )
                .cause(why)
                .hint("check the way to the cloud's storage: proxy, firewall, private endpoint"));
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self, put: place::Put, bytes: Bytes) -> Sent {
        let http = &self.inner.context.line.http;
        // A file of 16 MB needs a while on a slow line; a line on which nothing moves is noticed by the client.
        let mut request = http.put(put.url).timeout(Duration::from_secs(600)).body(bytes);
        for (name, value) in &put.headers {
            request = request.header(name, value);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Sent::Again(chain(&error)),
        };
        let status = response.status();
        if status.is_success() {
            return Sent::Done;
        }
        let body = response.bytes().await.unwrap_or_default();
        let code = code_of(&body[..body.len().min(SAYS_BYTES_MAX)]);
        let says = format!("storage answers {status} {code}");
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Sent::Forbidden(says),
            StatusCode::BAD_REQUEST if code.contains("Token") => Sent::Forbidden(says),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Sent::Again(says),
            _ if status.is_server_error() => Sent::Again(says),
            _ => {
                Sent::Refused(Error::new(ErrorKind::BadRequest, "the storage of the stage refuses a file").cause(says))
            }
        }
    }
}

/// The word for what went wrong, in the XML that storage answers.
fn code_of(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    code.chars().filter(char::is_ascii_alphanumeric).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_says_why_in_one_word() {
        assert_eq!(code_of(b"<?xml?><Error><Code>ExpiredToken</Code><Message>m</Message></Error>"), "ExpiredToken");
        assert_eq!(code_of(b"<html>"), "");
    }
}
