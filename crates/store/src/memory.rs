//! The port: each call is one transaction of shared SQL on the backend at hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tidegate_model::error::Result;
use tidegate_model::failpoint::hit;
use tidegate_model::ports::{
    Choice, Flow, Held, HistoryEntry, Holder, IntentBatch, Lease, LedgerEntry, LedgerRecord, ListedConflict,
    ListedReject, Memory, OpenSpan, Settlement, SyncState,
};
use tidegate_model::record::{Key, RemoteId};
use tidegate_model::run::RunRecord;
use tidegate_model::span::Span;
use tidegate_model::sync::Target;
use tidegate_model::time::Instant;

use crate::ops;
use crate::store::{Store, now, read_tx, snapshot_tx, write_tx};
use crate::tx::Tx;

#[async_trait]
impl Memory for Store {
    async fn store_id(&self) -> Result<String> {
        Ok(self.id.clone())
    }
    async fn print_key(&self) -> Result<[u8; 16]> {
        Ok(self.print_key)
    }

    async fn claim_as(&self, sync: &str, holder: &Holder, now: Instant) -> Result<Lease> {
        let (sync, holder) = (sync.to_owned(), holder.clone());
        write_tx!(self, |tx| ops::leases::claim(tx, &sync, &holder, None, now).await)
    }
    async fn held(&self, sync: &str) -> Result<Option<Held>> {
        let sync = sync.to_owned();
        read_tx!(self, |tx| ops::leases::held(tx, &sync).await)
    }
    async fn take_over(&self, sync: &str, gone: i64, holder: &Holder, now: Instant) -> Result<Lease> {
        let (sync, holder) = (sync.to_owned(), holder.clone());
        write_tx!(self, |tx| ops::leases::claim(tx, &sync, &holder, Some(gone), now).await)
    }
    async fn heartbeat(&self, lease: &Lease, now: Instant) -> Result<()> {
        let lease = lease.clone();
        write_tx!(self, |tx| ops::leases::heartbeat(tx, &lease, now).await)
    }
    async fn release(&self, lease: &Lease) -> Result<()> {
        let lease = lease.clone();
        write_tx!(self, |tx| ops::leases::release(tx, &lease).await)
    }

    async fn put_run(&self, lease: &Lease, run: &RunRecord) -> Result<()> {
        let (lease, run) = (lease.clone(), run.clone());
        write_tx!(self, |tx| ops::runs::put_run(tx, &lease, &run).await)
    }
    async fn run(&self, run: &str) -> Result<Option<RunRecord>> {
        let run = run.to_owned();
        read_tx!(self, |tx| ops::runs::run(tx, &run).await)
    }
    async fn runs(&self, sync: Option<&str>, limit: u32) -> Result<Vec<RunRecord>> {
        let sync = sync.map(str::to_owned);
        read_tx!(self, |tx| ops::runs::runs(tx, sync.as_deref(), limit).await)
    }
    async fn log(&self, run: &str, at: Instant, line: &str) -> Result<()> {
        let (run, line) = (run.to_owned(), line.replace('\0', "\u{fffd}"));
        write_tx!(self, |tx| ops::runs::log(tx, &run, at, &line).await)
    }
    async fn log_lines(&self, run: &str, after: i64) -> Result<Vec<(i64, Instant, String)>> {
        let run = run.to_owned();
        read_tx!(self, |tx| ops::runs::log_lines(tx, &run, after).await)
    }
    async fn request_cancel(&self, run: &str) -> Result<bool> {
        let run = run.to_owned();
        write_tx!(self, |tx| ops::runs::request_cancel(tx, &run).await)
    }
    async fn cancel_requested(&self, run: &str) -> Result<bool> {
        let run = run.to_owned();
        read_tx!(self, |tx| ops::runs::cancel_requested(tx, &run).await)
    }

    async fn state(&self, sync: &str) -> Result<SyncState> {
        let sync = sync.to_owned();
        read_tx!(self, |tx| ops::state::state(tx, &sync).await)
    }
    async fn syncs(&self) -> Result<Vec<String>> {
        read_tx!(self, |tx| ops::state::syncs(tx).await)
    }
    async fn scan(&self, sync: &str, after: Option<&Key>, limit: usize) -> Result<Vec<LedgerEntry>> {
        let Some(id) = self.sync_id(sync).await? else { return Ok(Vec::new()) };
        let after = after.cloned();
        read_tx!(self, |tx| tx.scan(id, after.as_ref(), limit).await)
    }
    async fn entries(&self, sync: &str, keys: &[Key]) -> Result<Vec<Option<LedgerRecord>>> {
        let Some(id) = self.sync_id(sync).await? else { return Ok(vec![None; keys.len()]) };
        let keys = keys.to_vec();
        read_tx!(self, |tx| tx.entries(id, &keys).await)
    }
    async fn by_remote(&self, sync: &str, ids: &[RemoteId]) -> Result<Vec<Option<Key>>> {
        let Some(id) = self.sync_id(sync).await? else { return Ok(vec![None; ids.len()]) };
        let ids = ids.to_vec();
        read_tx!(self, |tx| tx.by_remote(id, &ids).await)
    }
    async fn flagged(&self, sync: &str, flags: u8, limit: usize) -> Result<Vec<Key>> {
        let sync = sync.to_owned();
        read_tx!(self, |tx| ops::state::flagged(tx, &sync, flags, limit).await)
    }
    async fn delivered(&self, sync: &str, prints: &[u64]) -> Result<Vec<bool>> {
        let mut known = self.remembered(sync).lock_owned().await;
        let (sync, prints) = (sync.to_owned(), prints.to_vec());
        snapshot_tx!(self, |tx| ops::delivered::delivered(tx, &sync, &mut known, &prints).await)
    }

    async fn open_span(&self, lease: &Lease, span: &Span) -> Result<()> {
        let (lease, span) = (lease.clone(), span.clone());
        write_tx!(self, |tx| {
            ops::spans::open_span(tx, &lease, &span).await?;
            hit("store.open_span.written");
            Ok(())
        })?;
        hit("store.open_span.committed");
        Ok(())
    }
    async fn open_spans(&self, sync: &str) -> Result<Vec<OpenSpan>> {
        let sync = sync.to_owned();
        snapshot_tx!(self, |tx| ops::spans::open_spans(tx, &sync).await)
    }
    async fn intend(&self, lease: &Lease, batch: &IntentBatch) -> Result<()> {
        self.intend_all(lease, batch.clone()).await
    }
    async fn intend_all(&self, lease: &Lease, batch: IntentBatch) -> Result<()> {
        let lease = lease.clone();
        write_tx!(self, |tx| {
            ops::spans::intend(tx, &lease, &batch).await?;
            hit("store.intend.written");
            Ok(())
        })?;
        hit("store.intend.committed");
        Ok(())
    }
    async fn answer(&self, lease: &Lease, span: &str, number: u32, answer: &[u8]) -> Result<()> {
        let (lease, span, answer) = (lease.clone(), span.to_owned(), answer.to_vec());
        write_tx!(self, |tx| {
            ops::spans::answer(tx, &lease, &span, number, &answer).await?;
            hit("store.answer.written");
            Ok(())
        })?;
        hit("store.answer.committed");
        Ok(())
    }
    async fn settle(&self, lease: &Lease, settlement: &Settlement) -> Result<()> {
        self.settle_all(lease, Arc::new(settlement.clone())).await
    }
    async fn settle_all(&self, lease: &Lease, settlement: Arc<Settlement>) -> Result<()> {
        let lease = lease.clone();
        write_tx!(self, |tx| ops::settle::settle(tx, &lease, &settlement).await)?;
        hit("store.settle.committed");
        Ok(())
    }

    async fn rejects(&self, sync: Option<&str>, limit: u32) -> Result<Vec<ListedReject>> {
        let sync = sync.map(str::to_owned);
        read_tx!(self, |tx| ops::rejects::rejects(tx, sync.as_deref(), limit).await)
    }
    async fn rejected_keys(&self, sync: &str, to: Target) -> Result<Vec<Key>> {
        let sync = sync.to_owned();
        read_tx!(self, |tx| ops::rejects::rejected_keys(tx, &sync, to).await)
    }
    async fn conflicts(&self, sync: Option<&str>, open_only: bool, limit: u32) -> Result<Vec<ListedConflict>> {
        let sync = sync.map(str::to_owned);
        read_tx!(self, |tx| ops::conflicts::conflicts(tx, sync.as_deref(), open_only, limit).await)
    }
    async fn choose(&self, sync: &str, key: &Key, field: Option<&str>, choice: &Choice) -> Result<bool> {
        let (sync, key, field, choice) = (sync.to_owned(), key.clone(), field.map(str::to_owned), choice.clone());
        write_tx!(self, |tx| ops::conflicts::choose(tx, &sync, &key, field.as_deref(), &choice).await)
    }
    async fn history(&self, run: &str, after: i64, limit: u32) -> Result<Vec<(i64, HistoryEntry)>> {
        let run = run.to_owned();
        read_tx!(self, |tx| ops::history::history(tx, &run, after, limit).await)
    }
    async fn history_of(&self, sync: &str, key: &Key, limit: u32) -> Result<Vec<HistoryEntry>> {
        let (sync, key) = (sync.to_owned(), key.clone());
        read_tx!(self, |tx| ops::history::history_of(tx, &sync, &key, limit).await)
    }

    async fn set_setting(&self, name: &str, value: Option<&str>) -> Result<()> {
        let (name, value) = (name.to_owned(), value.map(str::to_owned));
        write_tx!(self, |tx| ops::switches::set(tx, &name, value.as_deref()).await)
    }
    async fn settings(&self, prefix: &str) -> Result<BTreeMap<String, String>> {
        let prefix = prefix.to_owned();
        read_tx!(self, |tx| ops::switches::by_prefix(tx, &prefix).await)
    }

    async fn relink(&self, lease: &Lease, old: &Key, new: &Key) -> Result<bool> {
        let (lease, old, new) = (lease.clone(), old.clone(), new.clone());
        write_tx!(self, |tx| ops::relink::relink(tx, &lease, &old, &new).await)
    }
    async fn forget(&self, sync: &str, key: &Key) -> Result<u64> {
        let (sync, key, at) = (sync.to_owned(), key.clone(), now());
        let gone = write_tx!(self, |tx| ops::forget::forget(tx, &sync, &key, at).await)?;
        self.scrub().await?;
        Ok(gone)
    }
    async fn sweep(&self, runs_before: Instant, logs_before: Instant, history_before: Instant) -> Result<u64> {
        write_tx!(self, |tx| ops::sweep::sweep(tx, runs_before, logs_before, history_before).await)
    }
    async fn draw(&self, account: &str, unit: &str, block: i64, limit: u64, want: u64) -> Result<u64> {
        let (account, unit) = (account.to_owned(), unit.to_owned());
        write_tx!(self, |tx| ops::draws::draw(tx, &account, &unit, block, limit, want).await)
    }
    async fn book(&self, account: &str, unit: &str, flow: Flow, want: u64, now: Instant) -> Result<u64> {
        let (account, unit) = (account.to_owned(), unit.to_owned());
        write_tx!(self, |tx| ops::draws::book(tx, &account, &unit, flow, want, now).await)
    }
    async fn occupy(&self, account: &str, places: u32, now: Instant, until: Instant) -> Result<Option<u32>> {
        let account = account.to_owned();
        write_tx!(self, |tx| ops::draws::occupy(tx, &account, places, now, until).await)
    }
    async fn vacate(&self, account: &str, place: u32, until: Instant) -> Result<()> {
        let account = account.to_owned();
        write_tx!(self, |tx| ops::draws::vacate(tx, &account, place, until).await)
    }
}
