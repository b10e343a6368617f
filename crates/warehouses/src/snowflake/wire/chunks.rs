//! The parts of a large result, which lie in the cloud's storage under addresses that are good for some hours.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tidegate_model::{Error, ErrorKind, Result};

use super::line::chain;
use super::query::unanswered;
use super::reply::ChunkRef;
use super::session::Inner;

/// What the sizes that the server promises may at most make us set aside before the bytes are there.
const PROMISE_MAX: usize = 256 << 20;
/// How often new addresses are asked for on behalf of one part: storage says "forbidden" of a wrong one, too.
const RENEWALS_MAX: u32 = 3;

/// What every gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// 2^15 bytes: the largest window there is, which takes all smaller ones.
const WINDOW_BITS: u8 = 15;

/// Inflates what begins as gzip does, whatever the headers say; anything else is left as it is.
pub(super) fn inflate(body: &[u8], expected: usize) -> Result<Cow<'_, [u8]>> {
    if !body.starts_with(&GZIP) {
        return Ok(Cow::Borrowed(body));
    }
    unpacked([body], expected).map(Cow::Owned)
}

/// The same of a body in the pieces that it came in, which are let go one by one: it is never held in one piece.
pub(in crate::snowflake) fn inflate_pieces(body: Vec<Bytes>, expected: usize) -> Result<Vec<u8>> {
    if !body.iter().flat_map(|piece| piece.iter()).take(GZIP.len()).eq(&GZIP) {
        return Ok(body.concat());
    }
    unpacked(body, expected)
}

/// Straight into the room that is set aside: a reader's way would fill that with zeros first and go by small steps.
fn unpacked<B: AsRef<[u8]>>(body: impl IntoIterator<Item = B>, expected: usize) -> Result<Vec<u8>> {
    let damaged = || Error::new(ErrorKind::Unavailable, "a compressed answer was cut short or damaged on its way");
    // One byte more than promised: a full house would be taken for one that is too small.
    let mut out = Vec::with_capacity(expected.min(PROMISE_MAX) + 1);
    let mut member = Decompress::new_gzip(WINDOW_BITS);
    let mut ended = false;
    for piece in body {
        let mut rest = piece.as_ref();
        while !rest.is_empty() {
            if ended {
                member = Decompress::new_gzip(WINDOW_BITS);
            }
            if out.len() == out.capacity() {
                out.reserve(out.len().max(64 << 10));
            }
            let (taken, made) = (member.total_in(), member.total_out());
            let status = member.decompress_vec(rest, &mut out, FlushDecompress::None);
            let status = status.map_err(|error| damaged().cause(error))?;
            let took = usize::try_from(member.total_in() - taken).unwrap_or(usize::MAX);
            ended = status == Status::StreamEnd;
            if !ended && took == 0 && member.total_out() == made {
                return Err(damaged());
            }
            rest = rest.get(took..).unwrap_or_default();
        }
    }
    if ended { Ok(out) } else { Err(damaged().cause("it ends too early")) }
}

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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn gzip_is_known_by_its_first_bytes() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"rows").expect("written");
        let packed = gzip.finish().expect("packed");
        assert_eq!(*inflate(&packed, 4).expect("inflated"), *b"rows");
        assert_eq!(*inflate(b"plain", 0).expect("plain"), *b"plain");
        let two: Vec<u8> = [packed.clone(), packed.clone()].concat();
        assert_eq!(*inflate(&two, 8).expect("both members"), *b"rowsrows");
        for cut in 1..packed.len() {
            assert!(cut < 2 || inflate(&packed[..cut], 4).is_err(), "a body cut to {cut} bytes passed");
        }
        let mut damaged = packed;
        let at = damaged.len() - 6;
        damaged[at] ^= 1;
        assert!(inflate(&damaged, 4).is_err(), "a wrong checksum passed");
    }

    #[test]
    fn pieces_are_inflated_as_the_whole_is() {
        let plain: Vec<u8> = (0..200_000_u32).flat_map(|n| (n % 1_000).to_le_bytes()).collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&plain).expect("written");
        let packed = gzip.finish().expect("packed");
        for (size, expected) in [(1, 0), (7, plain.len()), (1_000, plain.len() - 1), (packed.len(), 10 * plain.len())] {
            let pieces = |body: &[u8]| body.chunks(size).map(Bytes::copy_from_slice).collect::<Vec<_>>();
            assert!(inflate_pieces(pieces(&packed), expected).expect("inflated") == plain, "pieces of {size}");
            assert_eq!(inflate_pieces(pieces(b"plain"), 0).expect("plain"), b"plain");
            assert!(inflate_pieces(pieces(&packed[..packed.len() - 1]), expected).is_err());
        }
    }
}
