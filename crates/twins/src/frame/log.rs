//! The log of requests: the last ones, whole, for tests and for the page.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value as Json;

/// Most requests that are remembered.
pub const KEPT_MAX: usize = 2_000;
/// Most bytes of bodies that are remembered: older bodies go first.
pub const BYTES_MAX: usize = 64 << 20;

/// A request that was seen.
#[derive(Debug, Clone, Serialize)]
pub struct Seen {
    /// Its number, from 1.
    pub number: u64,
    /// When it came, microseconds since 1970.
    pub at: i64,
    /// GET, PUT, …
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// The content type it named.
    pub kind: Option<String>,
    /// Whether it carried credentials; which ones is not remembered.
    pub authorized: bool,
    /// The body; empty once it was forgotten.
    #[serde(skip)]
    pub body: Bytes,
    /// Length of the body.
    pub bytes: usize,
    /// What was answered; 0 if the connection was dropped.
    pub status: u16,
    /// Whether the work was done.
    pub done: bool,
    /// The fault that was put in, if any.
    pub fault: Option<String>,
    /// Milliseconds until the answer.
    pub took_ms: u64,
}

impl Seen {
    /// The body as JSON, `Null` if it is none.
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or(Json::Null)
    }
}

/// The last requests.
#[derive(Debug, Default)]
pub(super) struct Log {
    seen: VecDeque<Seen>,
    bytes: usize,
    number: u64,
}

impl Log {
    pub(super) fn add(&mut self, mut seen: Seen) {
        self.number += 1;
        seen.number = self.number;
        self.bytes += seen.body.len();
        self.seen.push_back(seen);
        if self.seen.len() > KEPT_MAX
            && let Some(old) = self.seen.pop_front()
        {
            self.bytes -= old.body.len();
        }
        let newest = self.seen.len() - 1;
        let mut at = 0;
        while self.bytes > BYTES_MAX && at < newest {
            self.bytes -= std::mem::take(&mut self.seen[at].body).len();
            at += 1;
        }
    }
    pub(super) fn all(&self) -> Vec<Seen> {
        self.seen.iter().cloned().collect()
    }
    /// The last so many, newest first.
    pub(super) fn last(&self, most: usize) -> Vec<Seen> {
        self.seen.iter().rev().take(most).cloned().collect()
    }
    pub(super) fn count(&self) -> u64 {
        self.number
    }
    pub(super) fn clear(&mut self) {
        self.seen.clear();
        self.bytes = 0;
    }
}
