//! The parts of a large result, which lie in the cloud's storage under addresses that are good for some hours.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tidegate_model::{Error, ErrorKind, Result};

use super::line::chain;
use super::query::unanswered;
use super::reply::ChunkRef;
use super::session::Inner;

/// How often new addresses are asked for on behalf of one part: storage says "forbidden" of a wrong one, too.
const RENEWALS_MAX: u32 = 3;

/// Where the rest of a result is.
pub(in crate::snowflake) struct Addresses {
    inner: Arc<Inner>,
    query_id: String,
    headers: BTreeMap<String, String>,
    doing: String,
    known: Mutex<Known>,
    renewing: tokio::sync::Mutex<()>,
}

struct Known {
    chunks: Arc<Vec<ChunkRef>>,
    renewals: u32,
}

/// What came of one attempt to get a chunk.
enum Got {
    /// In the pieces that it came in.
    Body(Vec<Bytes>),
    /// The address is no longer good.
    Expired(StatusCode),
    Again(String),
}

impl Addresses {
    pub(super) fn new(
        inner: Arc<Inner>,
        query_id: String,
        chunks: Vec<ChunkRef>,
        headers: BTreeMap<String, String>,
        doing: String,
    ) -> Self {
        let known = Mutex::new(Known { chunks: Arc::new(chunks), renewals: 0 });
        Self { inner, query_id, headers, doing, known, renewing: tokio::sync::Mutex::new(()) }
    }

    /// Number of chunks.
    pub(in crate::snowflake) fn len(&self) -> usize {
        self.known().0.len()
    }

    /// Bytes of a chunk once inflated, as promised.
    pub(in crate::snowflake) fn size(&self, at: usize) -> usize {
        let size = self.known().0.get(at).and_then(|chunk| chunk.uncompressed_size).unwrap_or(0);
        usize::try_from(size).unwrap_or(usize::MAX)
    }

    /// Rows of a chunk, as promised.
    pub(in crate::snowflake) fn rows(&self, at: usize) -> Option<u64> {
        self.known().0.get(at).and_then(|chunk| chunk.row_count)
    }

    fn known(&self) -> (Arc<Vec<ChunkRef>>, u32) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        (known.chunks.clone(), known.renewals)
    }

    fn lost(&self, at: usize, why: &str) -> Error {
        Error::new(ErrorKind::Unavailable, format!("{}: part {} of {} did not come", self.doing, at + 1, self.len()))
            .cause(format!("{why} (query {})", self.query_id))
    }

    /// The bytes of a chunk, compressed or not, in the pieces that they came in.
    pub(in crate::snowflake) async fn fetch(&self, at: usize) -> Result<Vec<Bytes>> {
        let patience = self.inner.context.line.patience;
        let begun = Instant::now();
        let (mut attempt, mut expired) = (0, 0);
        loop {
            let (chunks, renewals) = self.known();
            let Some(chunk) = chunks.get(at) else {
                return Err(Error::internal("a part that the result does not have"));
            };
            let why = match self.attempt(chunk).await {
                Got::Body(body) => return Ok(body),
                Got::Expired(status) => {
                    expired += 1;
                    if expired > RENEWALS_MAX {
                        return Err(self.lost(at, &format!("storage answers {status}")));
                    }
                    self.renew(renewals).await?;
                    continue;
                }
                Got::Again(why) => why,
            };
            attempt += 1;
            let wait = self.inner.context.line.wait(attempt);
            if attempt >= patience.attempts_max || begun.elapsed() + wait > patience.budget {
                return Err(self.lost(at, &why));
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self, chunk: &ChunkRef) -> Got {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()))
            {
                headers.insert(name, value);
            }
        }
        let mut response = match self.inner.context.line.http.get(&chunk.url).headers(headers).send().await {
            Ok(response) => response,
            Err(error) => return Got::Again(chain(&error)),
        };
        let status = response.status();
        match status {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => {
                return Got::Expired(status);
            }
            _ if !status.is_success() => return Got::Again(format!("storage answers {status}")),
            _ => {}
        }
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(piece)) => body.push(piece),
                Ok(None) if body.is_empty() => return Got::Again("storage answers nothing".into()),
                Ok(None) => return Got::Body(body),
                Err(error) => return Got::Again(chain(&error)),
            }
        }
    }

    /// Asks for new addresses of the same parts, unless somebody else has done so since `seen`.
    async fn renew(&self, seen: u32) -> Result<()> {
        let _one_at_a_time = self.renewing.lock().await;
        let (chunks, renewals) = self.known();
        if renewals != seen {
            return Ok(());
        }
        let data = self.inner.result_again(&self.query_id, &self.doing).await.map_err(unanswered)?;
        let counts = |chunks: &[ChunkRef]| chunks.iter().map(|chunk| chunk.row_count).collect::<Vec<_>>();
        if counts(&data.chunks) != counts(&chunks) {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("{}: the result was cut anew while it was read", self.doing),
            )
            .cause(format!("query {}", self.query_id)));
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Known { chunks: Arc::new(data.chunks), renewals: renewals + 1 };
        tracing::debug!(query_id = %self.query_id, "the addresses of a result were renewed");
        Ok(())
    }
}
