//! Runs: their books and what becomes of them.

use serde::{Deserialize, Serialize};

use crate::sync::Target;
use crate::time::Instant;

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Waiting for a worker.
    Queued,
    /// At work.
    Running,
    /// Everything delivered (held records are shown).
    Succeeded,
    /// Delivered, but for rejects, unknowns or dropped fields.
    Partial,
    /// Stopped by an error or a guard, or something is still ahead.
    Failed,
    /// Stopped by a person or a signal.
    Cancelled,
    /// The books do not balance: a bug.
    Unbalanced,
}

impl RunStatus {
    /// The exit code that stands for it.
    pub fn exit_code(self) -> u8 {
        match self {
            RunStatus::Queued | RunStatus::Running | RunStatus::Succeeded => 0,
            RunStatus::Partial => 3,
            RunStatus::Failed => 1,
            RunStatus::Cancelled => 143,
            RunStatus::Unbalanced => 4,
        }
    }
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Queued => "queued",
            RunStatus::Running => "running",
            RunStatus::Succeeded => "succeeded",
            RunStatus::Partial => "partial",
            RunStatus::Failed => "failed",
            RunStatus::Cancelled => "cancelled",
            RunStatus::Unbalanced => "unbalanced",
        }
    }
    /// The reverse of [`RunStatus::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Succeeded, Self::Partial, Self::Failed, Self::Cancelled, Self::Unbalanced]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// The counts of one direction, in records (semantics.md §6.6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Keys considered, each once.
    pub read: u64,
    /// Created at the target.
    pub created: u64,
    /// Changed at the target.
    pub updated: u64,
    /// Nothing to do, or the target had it already.
    pub unchanged: u64,
    /// Removed at the target.
    pub deleted: u64,
    /// Cannot be delivered as they are.
    pub rejected: u64,
    /// Waiting for a person or for the other side.
    pub held: u64,
    /// Sent, and the answer was lost.
    pub unknown: u64,
    /// Not reached.
    pub ahead: u64,
    /// Handed to the target.
    pub sent: u64,
    /// Sent, and the target said it had it already (⊆ unchanged).
    pub confirmed: u64,
    /// Sent, and the target refused it (⊆ rejected).
    pub refused: u64,
    /// sent − refused − unknown.
    pub acknowledged: u64,
    /// Conflicts recorded.
    pub conflicts: u64,
    /// Fields left out of records that were delivered.
    pub dropped_fields: u64,
    /// Values that the target stored in another form than sent.
    pub normalised: u64,
    /// Calls, retries among them.
    pub requests: u64,
}

impl Counts {
    /// Adds another direction's or batch's counts.
    pub fn add(&mut self, other: &Counts) {
        self.read += other.read;
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.deleted += other.deleted;
        self.rejected += other.rejected;
        self.held += other.held;
        self.unknown += other.unknown;
        self.ahead += other.ahead;
        self.sent += other.sent;
        self.confirmed += other.confirmed;
        self.refused += other.refused;
        self.acknowledged += other.acknowledged;
        self.conflicts += other.conflicts;
        self.dropped_fields += other.dropped_fields;
        self.normalised += other.normalised;
        self.requests += other.requests;
    }
    /// Whether the books balance. `bulk` counts (rows of a `replace`) stand outside and are handed in.
    pub fn balanced(&self, replaced: Replaced) -> bool {
        let created = self.created.saturating_sub(replaced.created);
        let deleted = self.deleted.saturating_sub(replaced.cleared);
        let read =
            created + self.updated + self.unchanged + deleted + self.rejected + self.held + self.unknown + self.ahead;
        let sent = created + self.updated + deleted + self.confirmed + self.refused + self.unknown;
        // A replace's rows are read, but their outcome stands outside of the equation.
        self.read == read + replaced.read
            && self.sent == sent + replaced.sent
            && self.confirmed <= self.unchanged
            && self.refused <= self.rejected
            && self.acknowledged + self.refused + self.unknown == self.sent
    }
}

/// What a `replace` did, which stands outside of the equation of the books.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Rows written.
    pub created: u64,
    /// Rows cleared.
    pub cleared: u64,
    /// Rows read for it that were written.
    pub read: u64,
    /// Rows handed to the target.
    pub sent: u64,
}

/// Both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// Towards the platform.
    pub to_platform: Counts,
    /// Towards the warehouse.
    pub to_warehouse: Counts,
    /// What a `replace` did (it has one direction only).
    #[serde(default)]
    pub replaced: Replaced,
    /// Which direction `replaced` belongs to.
    #[serde(default)]
    pub replaced_to: Option<Target>,
}

impl Books {
    /// The counts of one direction.
    pub fn of(&mut self, to: Target) -> &mut Counts {
        match to {
            Target::Platform => &mut self.to_platform,
            Target::Warehouse => &mut self.to_warehouse,
        }
    }
    /// The sum of both directions.
    pub fn total(&self) -> Counts {
        let mut sum = self.to_platform;
        sum.add(&self.to_warehouse);
        sum
    }
    /// Adds other books to these.
    pub fn add(&mut self, other: &Books) {
        self.to_platform.add(&other.to_platform);
        self.to_warehouse.add(&other.to_warehouse);
        self.replaced.created += other.replaced.created;
        self.replaced.cleared += other.replaced.cleared;
        self.replaced.read += other.replaced.read;
        self.replaced.sent += other.replaced.sent;
        self.replaced_to = self.replaced_to.or(other.replaced_to);
    }
    /// Whether both directions balance.
    pub fn balanced(&self) -> bool {
        let of = |to| if self.replaced_to == Some(to) { self.replaced } else { Replaced::default() };
        self.to_platform.balanced(of(Target::Platform)) && self.to_warehouse.balanced(of(Target::Warehouse))
    }
    /// The status that follows from the books. `stopped` says that an error or a guard ended the run.
    pub fn status(&self, stopped: bool, cancelled: bool) -> RunStatus {
        let total = self.total();
        if !self.balanced() {
            RunStatus::Unbalanced
        } else if cancelled {
            RunStatus::Cancelled
        } else if stopped || total.ahead > 0 {
            RunStatus::Failed
        } else if total.rejected > 0 || total.unknown > 0 || total.dropped_fields > 0 {
            RunStatus::Partial
        } else {
            RunStatus::Succeeded
        }
    }
}

/// An error as a run's report holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// Stable word, see [`crate::error::Error::code`].
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// One run, as it is kept and listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its id (ULID).
    pub run: String,
    /// The sync.
    pub sync: String,
    /// What became of it.
    pub status: RunStatus,
    /// `full`, `cursor`, `changes`, `undo`, `apply`, `reset`, `repair`, …
    pub mode: String,
    /// What started it: `manual`, `schedule`, `retry`, …
    pub trigger: String,
    /// The counts.
    pub books: Books,
    /// When it began.
    pub started_at: Instant,
    /// When it ended.
    pub finished_at: Option<Instant>,
    /// Milliseconds that the warehouse worked for it, where it tells.
    pub warehouse_ms: Option<u64>,
    /// Bytes that the warehouse bills for it, where it tells.
    pub bytes_billed: Option<u64>,
    /// Why it stopped.
    pub error: Option<RunError>,
    /// Hash of the sync's configuration.
    pub config_hash: String,
}
