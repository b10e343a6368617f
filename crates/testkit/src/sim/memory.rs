//! A real memory within a world: its calls end with the process, and can end the process before or after they commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tidegate_model::error::Result;
use tidegate_model::ports::{
    Choice, Flow, Held, HistoryEntry, Holder, IntentBatch, Lease, LedgerEntry, LedgerRecord, ListedConflict,
    ListedReject, Memory, OpenSpan, Settlement, SyncState,
};
use tidegate_model::record::{Key, RemoteId};
use tidegate_model::run::RunRecord;
use tidegate_model::span::Span;
use tidegate_model::sync::Target;
use tidegate_model::time::Instant;

use super::World;
use super::world::Call;

/// A memory that faults. Every call is carried out at once, on a runtime of its own, so that a simulation does not
/// depend on threads.
pub struct SimMemory {
    world: Arc<World>,
    runtime: Arc<tokio::runtime::Runtime>,
    inner: Arc<dyn Memory>,
}

impl SimMemory {
    /// Wraps a memory.
    pub fn new(world: Arc<World>, runtime: Arc<tokio::runtime::Runtime>, inner: Arc<dyn Memory>) -> Self {
        Self { world, runtime, inner }
    }

    fn call<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let gate = self.world.enter(Call::Memory)?;
        let answer = self.runtime.block_on(work)?;
        gate.leave(answer)
    }
}

/// One method of the memory, handed on.
macro_rules! handed_on {
    ($(fn $name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)*) => {
        #[async_trait]
        impl Memory for SimMemory {
            $(async fn $name(&self, $($arg: $kind),*) -> Result<$out> { self.call(self.inner.$name($($arg),*)) })*
        }
    };
}

handed_on! {
    fn store_id() -> String;
    fn print_key() -> [u8; 16];
    fn claim_as(sync: &str, holder: &Holder, now: Instant) -> Lease;
    fn held(sync: &str) -> Option<Held>;
    fn take_over(sync: &str, gone: i64, holder: &Holder, now: Instant) -> Lease;
    fn heartbeat(lease: &Lease, now: Instant) -> ();
    fn release(lease: &Lease) -> ();
    fn put_run(lease: &Lease, run: &RunRecord) -> ();
    fn run(run: &str) -> Option<RunRecord>;
    fn runs(sync: Option<&str>, limit: u32) -> Vec<RunRecord>;
    fn log(run: &str, at: Instant, line: &str) -> ();
    fn log_lines(run: &str, after: i64) -> Vec<(i64, Instant, String)>;
    fn request_cancel(run: &str) -> bool;
    fn cancel_requested(run: &str) -> bool;
    fn state(sync: &str) -> SyncState;
    fn syncs() -> Vec<String>;
    fn scan(sync: &str, after: Option<&Key>, limit: usize) -> Vec<LedgerEntry>;
    fn entries(sync: &str, keys: &[Key]) -> Vec<Option<LedgerRecord>>;
    fn by_remote(sync: &str, ids: &[RemoteId]) -> Vec<Option<Key>>;
    fn flagged(sync: &str, flags: u8, limit: usize) -> Vec<Key>;
    fn delivered(sync: &str, prints: &[u64]) -> Vec<bool>;
    fn open_span(lease: &Lease, span: &Span) -> ();
    fn open_spans(sync: &str) -> Vec<OpenSpan>;
    fn intend(lease: &Lease, batch: &IntentBatch) -> ();
    fn answer(lease: &Lease, span: &str, number: u32, answer: &[u8]) -> ();
    fn settle(lease: &Lease, settlement: &Settlement) -> ();
    fn rejects(sync: Option<&str>, limit: u32) -> Vec<ListedReject>;
    fn rejected_keys(sync: &str, to: Target) -> Vec<Key>;
    fn conflicts(sync: Option<&str>, open_only: bool, limit: u32) -> Vec<ListedConflict>;
    fn choose(sync: &str, key: &Key, field: Option<&str>, choice: &Choice) -> bool;
    fn history(run: &str, after: i64, limit: u32) -> Vec<(i64, HistoryEntry)>;
    fn history_of(sync: &str, key: &Key, limit: u32) -> Vec<HistoryEntry>;
    fn set_setting(name: &str, value: Option<&str>) -> ();
    fn settings(prefix: &str) -> BTreeMap<String, String>;
    fn relink(lease: &Lease, old: &Key, new: &Key) -> bool;
    fn forget(sync: &str, key: &Key) -> u64;
    fn sweep(runs_before: Instant, logs_before: Instant, history_before: Instant) -> u64;
    fn draw(account: &str, unit: &str, block: i64, limit: u64, want: u64) -> u64;
    fn book(account: &str, unit: &str, flow: Flow, want: u64, now: Instant) -> u64;
    fn occupy(account: &str, places: u32, now: Instant, until: Instant) -> Option<u32>;
    fn vacate(account: &str, place: u32, until: Instant) -> ();
}
