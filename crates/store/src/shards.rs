//! Parts of spans: each call is one transaction.

use async_trait::async_trait;
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::{Holder, IntentBatch, Judgement, Lease, Shard, ShardStanding, Shards};
use tidegate_model::run::Books;
use tidegate_model::time::Instant;

use crate::ops;
use crate::store::{Store, now, read_tx, write_tx};

impl Store {
    /// Parts that somebody delivers now: span, number, and who.
    pub async fn held_shards(&self) -> Result<Vec<(String, u32, Holder)>> {
        read_tx!(self, |tx| ops::shards::held(tx).await)
    }
}

#[async_trait]
impl Shards for Store {
    async fn plan_batch(&self, lease: &Lease, batch: &IntentBatch, shard: u32) -> Result<()> {
        let (lease, batch) = (lease.clone(), batch.clone());
        write_tx!(self, |tx| ops::shards::plan(tx, &lease, &batch, shard).await)
    }
    async fn offer(&self, lease: &Lease, shards: &[Shard]) -> Result<()> {
        let (lease, shards) = (lease.clone(), shards.to_vec());
        write_tx!(self, |tx| ops::shards::offer(tx, &lease, &shards).await)
    }
    async fn open_shards(&self, span: Option<&str>, now: Instant) -> Result<Vec<Shard>> {
        let span = span.map(str::to_owned);
        read_tx!(self, |tx| ops::shards::open(tx, span.as_deref(), now).await)
    }
    async fn take_shard(&self, shard: &Shard, holder: &Holder, now: Instant) -> Result<Option<Shard>> {
        let (shard, holder) = (shard.clone(), holder.clone());
        write_tx!(self, |tx| ops::shards::take(tx, &shard, &holder, now).await)
    }
    async fn beat_shard(&self, shard: &Shard, holder: &str, now: Instant) -> Result<()> {
        let (shard, holder) = (shard.clone(), holder.to_owned());
        write_tx!(self, |tx| ops::shards::beat(tx, &shard, &holder, now).await)
    }
    async fn next_planned(&self, shard: &Shard, holder: &str, now: Instant) -> Result<Option<IntentBatch>> {
        let (shard, holder) = (shard.clone(), holder.to_owned());
        write_tx!(self, |tx| ops::shards::next(tx, &shard, &holder, now).await)
    }
    async fn judge(&self, shard: &Shard, holder: &str, heard: Judgement, now: Instant) -> Result<Judgement> {
        let (shard, holder) = (shard.clone(), holder.to_owned());
        write_tx!(self, |tx| ops::shards::judge(tx, &shard, &holder, heard, now).await)
    }
    async fn give_shard_back(&self, span: &str, number: u32, holder: &str) -> Result<bool> {
        let (span, holder) = (span.to_owned(), holder.to_owned());
        write_tx!(self, |tx| ops::shards::give_back(tx, &span, number, &holder).await)
    }
    async fn end_shard(&self, shard: &Shard, holder: &str, stop: Option<&Error>, apart: &Books) -> Result<()> {
        let (shard, holder, stop, apart, at) = (shard.clone(), holder.to_owned(), stop.cloned(), *apart, now());
        write_tx!(self, |tx| ops::shards::end(tx, &shard, &holder, stop.as_ref(), &apart, at).await)
    }
    async fn standings(&self, span: &str) -> Result<Vec<ShardStanding>> {
        let span = span.to_owned();
        read_tx!(self, |tx| ops::shards::standings(tx, &span).await)
    }
    async fn drop_planned(&self, lease: &Lease, span: &str) -> Result<Option<IntentBatch>> {
        let (lease, span) = (lease.clone(), span.to_owned());
        write_tx!(self, |tx| ops::shards::drop_planned(tx, &lease, &span).await)
    }
}
