//! A large delivery in parts, which several workers carry out.

use async_trait::async_trait;

use super::{Holder, IntentBatch, Lease};
use crate::error::{Error, Result};
use crate::run::Books;
use crate::time::Instant;

/// A part of a span: batches of keys that no other part has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The span.
    pub span: String,
    /// Which part, from 0.
    pub number: u32,
    /// Of how many.
    pub parts: u32,
    /// The sync.
    pub sync: String,
    /// The run that planned it.
    pub run: String,
    /// The epoch of that run's lease: once a newer one was claimed, nothing of it can be delivered any more.
    pub epoch: i64,
    /// The configuration that it was planned with.
    pub config_hash: String,
    /// Records of the whole run.
    pub records: u64,
    /// How often it was taken, this time included.
    pub taken: u32,
    /// Guards that the run passes by.
    pub forced: Vec<String>,
}

/// What a delivery sent, and what of it was refused, as the reject guard judges it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Records that the target answered for.
    pub sent: u64,
    /// Those of them that it refused.
    pub refused: u64,
}

/// How a part stands.
#[derive(Debug, Clone)]
pub struct ShardStanding {
    /// Which part.
    pub number: u32,
    /// Who delivers it; `None` while it waits, or has ended.
    pub holder: Option<Holder>,
    /// Nothing of it is left to do.
    pub ended: bool,
    /// Why its delivery stopped early.
    pub stop: Option<Error>,
    /// Counts that no settlement holds.
    pub apart: Books,
}

/// Parts of spans in the store, for several workers.
///
/// Contract. What is written for a part is refused with `LeaseLost` once a newer lease of the sync was claimed, or
/// another worker has taken the part – in the same transaction. A part whose worker has been silent for a lease may be
/// taken by another. All of a span's parts go when it is closed.
#[async_trait]
pub trait Shards: Send + Sync {
    /// Keeps a batch of a part, to be sent by whoever delivers the part.
    async fn plan_batch(&self, lease: &Lease, batch: &IntentBatch, shard: u32) -> Result<()>;
    /// Offers parts whose batches are all planned.
    async fn offer(&self, lease: &Lease, shards: &[Shard]) -> Result<()>;
    /// Parts that may be taken, of one span or all.
    async fn open_shards(&self, span: Option<&str>, now: Instant) -> Result<Vec<Shard>>;
    /// Takes a part; `None` if somebody was faster.
    async fn take_shard(&self, shard: &Shard, holder: &Holder, now: Instant) -> Result<Option<Shard>>;
    /// A sign of life.
    async fn beat_shard(&self, shard: &Shard, holder: &str, now: Instant) -> Result<()>;
    /// The next planned batch of a part becomes an intent; `None`: none is left.
    async fn next_planned(&self, shard: &Shard, holder: &str, now: Instant) -> Result<Option<IntentBatch>>;
    /// Adds what was heard of a batch to a part's; the sum of all parts of the span, for a guard that judges the whole run.
    async fn judge(&self, shard: &Shard, holder: &str, heard: Judgement, now: Instant) -> Result<Judgement>;
    /// Gives a part back, for others to go on with. False if it is no longer the holder's.
    async fn give_shard_back(&self, span: &str, number: u32, holder: &str) -> Result<bool>;
    /// Ends a part: nothing of it is left to do, or its delivery has to stop.
    async fn end_shard(&self, shard: &Shard, holder: &str, stop: Option<&Error>, apart: &Books) -> Result<()>;
    /// How the parts of a span stand.
    async fn standings(&self, span: &str) -> Result<Vec<ShardStanding>>;
    /// Takes a planned batch out that nobody has sent; `None`: none is left.
    async fn drop_planned(&self, lease: &Lease, span: &str) -> Result<Option<IntentBatch>>;
}
