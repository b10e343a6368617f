//! The port to the memory of a project: the store. It keeps what the engine hands it and refuses what does not chain.
//!
//! Only [`Memory::settle`] moves progress. There is no function that sets a cursor; `reset` is a settlement too.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::env::ProcessId;
use crate::change::Reject;
use crate::error::Result;
use crate::record::{Fields, Key, RemoteId};
use crate::run::{Books, RunRecord};
use crate::span::{Position, Span};
use crate::sync::Target;
use crate::time::Instant;
use crate::value::Value;

/// Seconds that a lease lives without a heartbeat.
pub const LEASE_MS: i64 = 60_000;
/// Milliseconds between heartbeats.
pub const HEARTBEAT_MS: u64 = 10_000;
/// The longest that any single remote call may take; it ends before the lease does.
pub const CALL_MS_MAX: u64 = 45_000;

/// The right to run one sync, until it expires. Its epoch grows with each claim, so an old holder can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The sync.
    pub sync: String,
    /// Who holds it: unique per process.
    pub holder: String,
    /// Grows by one with each claim.
    pub epoch: i64,
}

/// Who claims a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Unique per process.
    pub name: String,
    /// The process, where the system tells.
    pub process: Option<ProcessId>,
}

/// Who holds a sync's lease now, and since which claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The holder.
    pub holder: Holder,
    /// The lease's epoch.
    pub epoch: i64,
    /// Its last sign of life.
    pub seen_at: Instant,
}

/// A 128-bit keyed hash of what one side of a record last showed; all zero: nothing.
pub type Print = [u8; 16];

/// What stands between the two sides of a record (bits of [`LedgerEntry::flags`]).
pub mod flags {
    /// Gone in the warehouse; nothing is written until the key returns.
    pub const GONE_WAREHOUSE: u8 = 1;
    /// Gone on the platform.
    pub const GONE_PLATFORM: u8 = 2;
    /// The engine has to look at the record in detail at its next run, whatever the fingerprints say.
    pub const LOOK: u8 = 4;
    /// Written or seen in the warehouse ahead of the end of the last window of its change history. Should it leave before the
    /// next window ends, no window may show that it ever was: it is looked up by key until one has shown it.
    pub const AHEAD: u8 = 8;
}

/// The slim part of a ledger entry, which every full read merges with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The record's key.
    pub key: Key,
    /// The platform's id, unique per sync.
    pub remote: Option<RemoteId>,
    /// Bits of [`flags`].
    pub flags: u8,
    /// What the warehouse last showed.
    pub warehouse: Print,
    /// What the platform last showed.
    pub platform: Print,
}

/// A ledger entry with the engine's own detail (images per field), opaque to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRecord {
    /// The slim part.
    pub entry: LedgerEntry,
    /// The engine's own encoding; may be empty.
    pub detail: Vec<u8>,
}

/// What the store knows of a sync as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SyncState {
    /// Hash of what may not change without `reset`: key, relation, model, connections.
    pub shape_hash: String,
    /// The engine's own encoding of the field mappings that the ledger was made with; opaque.
    pub mapping: Vec<u8>,
    /// How far the warehouse has been read.
    pub warehouse: Option<Position>,
    /// How far the platform has been read.
    pub platform: Option<Position>,
    /// A full run has been settled (rejects allowed): two-way automation may start.
    pub full_settled: bool,
    /// Number of ledger entries that are linked and not gone.
    pub linked: u64,
}

/// Parts of a sync's state that a settlement changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StatePatch {
    /// New shape hash.
    pub shape_hash: Option<String>,
    /// New mapping encoding.
    pub mapping: Option<Vec<u8>>,
    /// Marks the first full run as settled.
    pub full_settled: bool,
    /// Moves the platform's position: `(from, to)`; refused if it does not stand at `from`.
    pub platform: Option<(Option<Position>, Position)>,
    /// Drops ledger, positions, rejects, conflicts, delivered keys, spans and intents of the sync (`reset`), before
    /// anything else of the settlement is applied.
    pub reset: bool,
    /// With `reset`: where the warehouse's cursor stands afterwards (`reset --cursor`).
    pub reset_cursor: Option<Position>,
}

/// A batch of planned writes, committed before the request that carries it. The payload is the engine's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentBatch {
    /// The span that it belongs to.
    pub span: String,
    /// Its number within the span, from 0.
    pub number: u32,
    /// Which side it writes.
    pub to: Target,
    /// The engine's encoding of the changes.
    pub payload: Vec<u8>,
    /// The engine's encoding of the outcomes, once answered.
    pub answer: Option<Vec<u8>>,
}

/// A span that was opened and not yet closed, with the batches that are not settled.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenSpan {
    /// The span.
    pub span: Span,
    /// The first batch number that has not been settled.
    pub next_batch: u32,
    /// Batches with intents that are not settled, by number.
    pub batches: Vec<IntentBatch>,
}

/// A write that was carried out, with what stood there before: for `undo` and `why`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The record.
    pub key: Key,
    /// The platform's id.
    pub remote: Option<RemoteId>,
    /// Which side was written.
    pub to: Target,
    /// What was done: `created`, `updated`, `deleted`, `appended`.
    pub effect: String,
    /// What stood there before, by field of the side that was written; absent fields were not known.
    pub before: Fields,
    /// What was written.
    pub after: Fields,
    /// The run (filled in by the store when listing).
    #[serde(default)]
    pub run: String,
    /// When (filled in by the store when listing).
    #[serde(default)]
    pub at: Instant,
}

/// How far a conflict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictState {
    /// Decided by rule in the run that saw it.
    Decided,
    /// Waiting for a person.
    Open,
    /// A person chose; the next run writes it.
    Chosen,
}

/// Both sides changed a field, differently.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// The record.
    pub key: Key,
    /// The field, by its platform name; `None`: the record as a whole (edit against deletion, `rekeyed`).
    pub field: Option<String>,
    /// The warehouse's value.
    pub warehouse: Option<Value>,
    /// The platform's value.
    pub platform: Option<Value>,
    /// Who won, if somebody did.
    pub winner: Option<Target>,
    /// How far it is.
    pub state: ConflictState,
    /// Why it is one, if it is not an ordinary conflict: `uncertain`, `oscillating`, `drift`, `delete`, `rekeyed`.
    pub note: Option<String>,
}

/// A person's choice in a conflict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Take the warehouse's value.
    Warehouse,
    /// Take the platform's value.
    Platform,
    /// Take this value, read by the field's type, on both sides.
    Value(String),
}

/// Keys that were delivered inside the lookback margin, so that reading them again delivers nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// `(order, print)`: the cursor's value as a sortable number and the print of the key (and content, for upserts).
    pub keys: Vec<(i64, u64)>,
    /// Remembered keys whose order is below this are forgotten.
    pub forget_below: Option<i64>,
}

/// One step forward: everything in it is committed together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Settlement {
    /// The run, for history, rejects and books.
    pub run: String,
    /// The span and the batch of it that is settled; its intents go.
    pub batch: Option<(String, u32)>,
    /// Closes the span: moves the warehouse's position from its `from` to its `to` and forgets the span. Refused if
    /// the position does not stand at `from` or if batches are open.
    pub close: Option<Span>,
    /// Ledger entries to set (insert or replace by key).
    pub entries: Vec<LedgerRecord>,
    /// Ledger entries to remove.
    pub removed: Vec<Key>,
    /// Rejects to open; one per key, side and field replaces an older one.
    pub rejects: Vec<Reject>,
    /// Keys whose rejects towards a side are closed (before `rejects` are opened).
    pub delivered_to: Vec<(Key, Target)>,
    /// Rejects towards these sides that this run has not opened are closed: a complete read saw everything.
    pub sweep_rejects: Vec<Target>,
    /// Conflicts to record; an open one replaces an older open one of the same key and field.
    pub conflicts: Vec<Conflict>,
    /// Conflicts that are over (key, field): open and chosen ones go.
    pub settled_conflicts: Vec<(Key, Option<String>)>,
    /// Open conflicts with these notes that this run has not recorded are closed (after a complete look).
    pub sweep_conflicts: bool,
    /// Writes carried out.
    pub history: Vec<HistoryEntry>,
    /// Keys inside the lookback margin.
    pub delivered: Option<Delivered>,
    /// Counts to add to the run's.
    pub books: Books,
    /// Changes of the sync's state.
    pub patch: StatePatch,
}

/// A reject as listed.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedReject {
    /// The sync.
    pub sync: String,
    /// The reject.
    pub reject: Reject,
    /// The run that saw it last.
    pub run: String,
    /// When.
    pub at: Instant,
}

/// A conflict as listed.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedConflict {
    /// The sync.
    pub sync: String,
    /// The conflict.
    pub conflict: Conflict,
    /// A person's choice, when [`ConflictState::Chosen`].
    pub choice: Option<Choice>,
    /// The run that saw it last.
    pub run: String,
    /// When.
    pub at: Instant,
}

/// The memory of a project.
///
/// Contract. Every write is durable when it returns. Writes under a lease are refused with `LeaseLost` once its epoch
/// is no longer the newest of its sync – in the same transaction. Running out of space is `DiskFull` with path and
/// bytes; a file that somebody else locks is `Locked`.
#[async_trait]
pub trait Memory: Send + Sync {
    /// The store's own id, made once; it marks targets.
    async fn store_id(&self) -> Result<String>;
    /// The secret key of the fingerprints, made once.
    async fn print_key(&self) -> Result<[u8; 16]>;

    /// Claims a sync. `Locked` (code `locked`, naming holder and expiry) while somebody else's lease lives, or for
    /// [`CALL_MS_MAX`] after its expiry, unless it was released.
    async fn claim_as(&self, sync: &str, holder: &Holder, now: Instant) -> Result<Lease>;
    /// Claims a sync for a holder without a process of its own.
    async fn claim(&self, sync: &str, holder: &str, now: Instant) -> Result<Lease> {
        self.claim_as(sync, &Holder { name: holder.to_owned(), process: None }, now).await
    }
    /// Who holds a sync's lease; `None` if it was given back or never claimed.
    async fn held(&self, sync: &str) -> Result<Option<Held>>;
    /// Claims a sync from a holder that is known to be gone, without waiting for its lease to end. Refused with
    /// `Locked` if the sync was claimed since that epoch.
    async fn take_over(&self, sync: &str, gone: i64, holder: &Holder, now: Instant) -> Result<Lease>;
    /// Keeps a lease alive.
    async fn heartbeat(&self, lease: &Lease, now: Instant) -> Result<()>;
    /// Gives a lease back.
    async fn release(&self, lease: &Lease) -> Result<()>;

    /// Writes a run's record (insert or replace; books are replaced too).
    async fn put_run(&self, lease: &Lease, run: &RunRecord) -> Result<()>;
    /// A run.
    async fn run(&self, run: &str) -> Result<Option<RunRecord>>;
    /// Runs, newest first.
    async fn runs(&self, sync: Option<&str>, limit: u32) -> Result<Vec<RunRecord>>;
    /// Adds a line to a run's log.
    async fn log(&self, run: &str, at: Instant, line: &str) -> Result<()>;
    /// Lines of a run's log after a number, with their numbers.
    async fn log_lines(&self, run: &str, after: i64) -> Result<Vec<(i64, Instant, String)>>;
    /// Asks a run to stop.
    async fn request_cancel(&self, run: &str) -> Result<bool>;
    /// Whether somebody asked the run to stop.
    async fn cancel_requested(&self, run: &str) -> Result<bool>;

    /// What is known of a sync.
    async fn state(&self, sync: &str) -> Result<SyncState>;
    /// Names of all syncs that have state.
    async fn syncs(&self) -> Result<Vec<String>>;
    /// The next ledger entries in byte order of their keys.
    async fn scan(&self, sync: &str, after: Option<&Key>, limit: usize) -> Result<Vec<LedgerEntry>>;
    /// Ledger records by key, same order as asked.
    async fn entries(&self, sync: &str, keys: &[Key]) -> Result<Vec<Option<LedgerRecord>>>;
    /// Keys of linked records by remote id, same order as asked.
    async fn by_remote(&self, sync: &str, ids: &[RemoteId]) -> Result<Vec<Option<Key>>>;
    /// Keys of ledger entries that carry any of these bits of [`flags`], in order.
    async fn flagged(&self, sync: &str, flags: u8, limit: usize) -> Result<Vec<Key>>;
    /// Of these keys' prints, those that were delivered inside the lookback margin.
    async fn delivered(&self, sync: &str, prints: &[u64]) -> Result<Vec<bool>>;

    /// Opens a span before its first effect.
    async fn open_span(&self, lease: &Lease, span: &Span) -> Result<()>;
    /// Spans of a sync that are open.
    async fn open_spans(&self, sync: &str) -> Result<Vec<OpenSpan>>;
    /// Commits a batch's intents before its first request.
    async fn intend(&self, lease: &Lease, batch: &IntentBatch) -> Result<()>;
    /// The same for one that is not needed afterwards: a megabyte is handed on instead of copied.
    async fn intend_all(&self, lease: &Lease, batch: IntentBatch) -> Result<()> {
        self.intend(lease, &batch).await
    }
    /// Journals a batch's answer.
    async fn answer(&self, lease: &Lease, span: &str, number: u32, answer: &[u8]) -> Result<()>;
    /// Goes one step forward, all or nothing.
    async fn settle(&self, lease: &Lease, settlement: &Settlement) -> Result<()>;
    /// The same for a batch of thousands, which is not copied. Who made it keeps a part in it and takes it down: threads that
    /// free what another one has made, while that one makes more, wait for each other.
    async fn settle_all(&self, lease: &Lease, settlement: Arc<Settlement>) -> Result<()> {
        self.settle(lease, &settlement).await
    }

    /// Rejects that are open.
    async fn rejects(&self, sync: Option<&str>, limit: u32) -> Result<Vec<ListedReject>>;
    /// Keys with open rejects of a sync towards a side.
    async fn rejected_keys(&self, sync: &str, to: Target) -> Result<Vec<Key>>;
    /// Conflicts, newest first; `open_only` leaves out decided ones.
    async fn conflicts(&self, sync: Option<&str>, open_only: bool, limit: u32) -> Result<Vec<ListedConflict>>;
    /// Records a person's choice in an open conflict; false if there is no such conflict.
    async fn choose(&self, sync: &str, key: &Key, field: Option<&str>, choice: &Choice) -> Result<bool>;
    /// Writes of a run, in order.
    async fn history(&self, run: &str, after: i64, limit: u32) -> Result<Vec<(i64, HistoryEntry)>>;
    /// The last writes of a record, newest first.
    async fn history_of(&self, sync: &str, key: &Key, limit: u32) -> Result<Vec<HistoryEntry>>;

    /// Switches and small settings, such as `paused:companies`; `None` removes.
    async fn set_setting(&self, name: &str, value: Option<&str>) -> Result<()>;
    /// All settings whose name starts with a prefix.
    async fn settings(&self, prefix: &str) -> Result<BTreeMap<String, String>>;

    /// Changes a key's name in the ledger (`relink`); false if the old key is not there or the new one is taken.
    async fn relink(&self, lease: &Lease, old: &Key, new: &Key) -> Result<bool>;
    /// Removes every trace of a key: ledger, history, rejects, conflicts, journalled payloads. Number of rows removed.
    async fn forget(&self, sync: &str, key: &Key) -> Result<u64>;
    /// Removes what is older than the retention, by table.
    async fn sweep(&self, runs_before: Instant, logs_before: Instant, history_before: Instant) -> Result<u64>;
    /// Draws from a remote account's budget: how many of `want` units are granted in this one-second block.
    async fn draw(&self, account: &str, unit: &str, block: i64, limit: u64, want: u64) -> Result<u64>;
    /// Books units of a flow of a remote account, behind what others booked: how many microseconds to wait before they
    /// may be used. What is booked stays booked, used or not.
    async fn book(&self, account: &str, unit: &str, flow: Flow, want: u64, now: Instant) -> Result<u64>;
    /// Takes one of so many places for calls in flight; `None` if all are taken. A place that nobody gives back is free
    /// again at `until`.
    async fn occupy(&self, account: &str, places: u32, now: Instant, until: Instant) -> Result<Option<u32>>;
    /// Gives a place back that was taken until then.
    async fn vacate(&self, account: &str, place: u32, until: Instant) -> Result<()>;
}

/// A bucket that fills evenly: what is in it may be used at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// The time in which one more unit may be used.
    pub unit_ns: u64,
    /// Units that may be used at once after a pause.
    pub burst: u64,
}
