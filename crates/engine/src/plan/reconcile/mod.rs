//! Reconciliation of one record: from what both sides show and what the ledger remembers to what is to be written,
//! held, rejected or merely noted. The tables of semantics.md §5, as a pure function.

mod fields;
mod moved;
pub(crate) use fields::{changed, target_name};
mod one_way;
mod settle;
mod two_way;
mod wire;
mod writes;

pub use settle::{Answered, Settled, Sides, UNCERTAIN, settle, settle_in_place, unwritten};
pub use wire::{Names, pack, unpack};
pub use writes::{Asked, FieldWrite, TargetPlan, Write, Writes};

use serde::{Deserialize, Serialize};
use tidegate_model::change::{FieldReject, Reject};
use tidegate_model::ports::{Choice, Conflict, LedgerEntry, Print};
use tidegate_model::record::{Key, RemoteId};
use tidegate_model::sync::{Direction, Sync, Target};
use tidegate_model::time::Instant;
use tidegate_model::value::Value;

use super::images::Detail;
use super::map::Mapping;
use super::prints::Printer;

/// One side's row of a record, its values aligned with the mapping's fields.
#[derive(Debug, Clone, PartialEq)]
pub struct SideRow {
    /// A value for each field of the mapping (constants on the warehouse's side are their constant).
    pub values: Vec<Value>,
    /// Print over the side's own columns.
    pub print: Print,
    /// Cells that did not fit their column, by field.
    pub misfits: Vec<(usize, FieldReject)>,
    /// The side's own name of the record: the platform's id; of a warehouse whose keys change on their way, the key as it
    /// stands there.
    pub remote: Option<RemoteId>,
    /// Time of the last change, microseconds UTC, where the side tells.
    pub updated_at: Option<i64>,
}

/// What a side shows of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// It is there.
    Row(SideRow),
    /// It is known not to be there.
    Absent,
    /// The side is not read in this sync (a one-way target), or nothing may be concluded.
    NotRead,
}

impl Seen {
    /// The row, if there is one.
    pub fn row(&self) -> Option<&SideRow> {
        match self {
            Seen::Row(row) => Some(row),
            _ => None,
        }
    }
}

/// A record that has to be looked at.
#[derive(Debug, Clone)]
pub struct Look {
    /// Its key.
    pub key: Key,
    /// What the warehouse shows.
    pub warehouse: Seen,
    /// What the platform shows.
    pub platform: Seen,
    /// That the platform does not have it was seen in a single scan, which is no snapshot.
    pub unconfirmed: bool,
    /// What the ledger remembers.
    pub entry: Option<LedgerEntry>,
    /// Its images.
    pub detail: Detail,
    /// The ledger knows this remote id under another key, or this key's remote id shows another key now.
    pub rekeyed: Option<Key>,
    /// Whether it is in the warehouse without that its change history has shown it yet; `None` where none is followed.
    pub ahead: Option<bool>,
    /// Rejects of it are listed.
    pub rejected: bool,
    /// A person's choices in open conflicts, by field (`None`: the record).
    pub choices: Vec<(Option<String>, Choice)>,
}

impl Look {
    pub(crate) fn side(&self, side: Target) -> &Seen {
        match side {
            Target::Warehouse => &self.warehouse,
            Target::Platform => &self.platform,
        }
    }
}

/// What stays the same for all records of a run.
pub struct Rules<'a> {
    /// The sync.
    pub sync: &'a Sync,
    /// Its mapping.
    pub mapping: &'a Mapping,
    /// Makes prints.
    pub printer: &'a Printer,
    /// The run's clock.
    pub now: Instant,
    /// The directions that this run may write.
    pub direction: Direction,
    /// The platform's key field, if it has to be written on create.
    pub platform_key: Option<&'a str>,
    /// The warehouse's change history is followed.
    pub follows: bool,
    /// The platform takes whole records: a change carries every mapped field.
    pub whole: bool,
    /// The platform can neither tell a double nor be asked, and what may have arrived is not sent again.
    pub holds_uncertain: bool,
}

/// What becomes of a record in one direction, before anything was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// The record does not take part in this direction.
    Aside,
    /// Nothing to do.
    Unchanged,
    /// Waiting for a person or the other side.
    Held,
    /// Cannot be delivered as it is.
    Rejected,
    /// To be written.
    Write,
}

/// The outcome of a reconciliation. Everything that `settle` needs is in here: it is journalled as the intent.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The record.
    pub key: Key,
    /// The platform's id, if known.
    pub remote: Option<RemoteId>,
    /// Flags of the ledger entry afterwards.
    pub flags: u8,
    /// Prints of what both sides showed, for the entry, if every field is settled.
    pub prints: (Print, Print),
    /// Images after everything that needs no write.
    pub detail: Detail,
    /// Something is left to be looked at in the next run (holds, rejects, stale reads).
    pub open: bool,
    /// The entry is to be removed from the ledger.
    pub remove: bool,
    /// The record has, or gets, an entry in the ledger even if nothing is sent.
    pub keep: bool,
    /// Towards the platform.
    pub to_platform: TargetPlan,
    /// Towards the warehouse.
    pub to_warehouse: TargetPlan,
    /// Rejects found before anything was sent.
    pub rejects: Vec<Reject>,
    /// Directions in which nothing is rejected any more, although nothing is sent either.
    pub over: Vec<Target>,
    /// Conflicts, decided or open.
    pub conflicts: Vec<Conflict>,
    /// The record had open conflicts or rejects that may be over now.
    pub was_open: bool,
}

impl Verdict {
    /// The plan towards a side.
    pub fn to(&self, to: Target) -> &TargetPlan {
        match to {
            Target::Platform => &self.to_platform,
            Target::Warehouse => &self.to_warehouse,
        }
    }
    pub(crate) fn to_mut(&mut self, to: Target) -> &mut TargetPlan {
        match to {
            Target::Platform => &mut self.to_platform,
            Target::Warehouse => &mut self.to_warehouse,
        }
    }
    /// Whether anything is to be sent.
    pub fn writes(&self) -> bool {
        self.to_platform.change.is_some() || self.to_warehouse.change.is_some()
    }
    /// Whether nothing at all follows from it but counting.
    pub fn is_quiet(&self) -> bool {
        !self.writes() && !self.keep && !self.remove && self.rejects.is_empty() && self.conflicts.is_empty()
    }
}

/// Decides about one record.
pub fn reconcile(rules: &Rules<'_>, look: &Look) -> Verdict {
    let mut verdict = start(rules, look);
    if rules.sync.two_way() {
        two_way::reconcile(rules, look, &mut verdict);
    } else {
        one_way::reconcile(rules, look, &mut verdict);
    }
    for to in [Target::Platform, Target::Warehouse] {
        let still = matches!(verdict.to(to).class, Class::Aside | Class::Held);
        if still && rules.direction.reaches(to) && verdict.rejects.iter().all(|reject| reject.to != to) {
            verdict.over.push(to);
        }
    }
    restrict(rules.direction, &mut verdict);
    if let Some(change) = &mut verdict.to_warehouse.change {
        change.remote = own_name(look, Target::Warehouse);
    }
    if verdict.open {
        verdict.flags |= tidegate_model::ports::flags::LOOK;
    } else {
        verdict.flags &= !tidegate_model::ports::flags::LOOK;
    }
    match look.ahead {
        Some(true) => verdict.flags |= tidegate_model::ports::flags::AHEAD,
        Some(false) => verdict.flags &= !tidegate_model::ports::flags::AHEAD,
        None => {}
    }
    verdict
}

/// How a side itself names a record that stands there.
pub(crate) fn own_name(look: &Look, side: Target) -> Option<RemoteId> {
    look.side(side).row().and_then(|row| row.remote.clone())
}

fn start(rules: &Rules<'_>, look: &Look) -> Verdict {
    let entry = look.entry.as_ref();
    let mut detail = look.detail.clone();
    detail.keep_only(|id| rules.mapping.fields.iter().any(|field| field.id == id));
    let print = |seen: &Seen, old: Option<Print>| match seen {
        Seen::Row(row) => row.print,
        _ => old.unwrap_or_default(),
    };
    let seen_remote = own_name(look, Target::Platform);
    Verdict {
        key: look.key.clone(),
        remote: entry.and_then(|entry| entry.remote.clone()).or(seen_remote),
        flags: entry.map_or(0, |entry| entry.flags),
        prints: (
            print(&look.warehouse, entry.map(|entry| entry.warehouse)),
            print(&look.platform, entry.map(|entry| entry.platform)),
        ),
        detail,
        open: false,
        remove: false,
        keep: entry.is_some(),
        to_platform: TargetPlan::of(Class::Aside),
        to_warehouse: TargetPlan::of(Class::Aside),
        rejects: Vec::new(),
        over: Vec::new(),
        conflicts: Vec::new(),
        was_open: look.rejected
            || !look.choices.is_empty()
            || entry.is_some_and(|entry| entry.flags & tidegate_model::ports::flags::LOOK != 0),
    }
}

/// A run of one direction only: what the other direction would write waits.
fn restrict(direction: Direction, verdict: &mut Verdict) {
    for to in [Target::Platform, Target::Warehouse] {
        let plan = verdict.to_mut(to);
        if direction.reaches(to) {
            continue;
        }
        let waits = plan.change.is_some();
        *plan = TargetPlan::of(Class::Aside);
        verdict.rejects.retain(|reject| reject.to != to);
        verdict.open |= waits;
    }
}

/// The flag that says that a record is gone on a side.
pub(crate) fn gone_flag(side: Target) -> u8 {
    match side {
        Target::Warehouse => tidegate_model::ports::flags::GONE_WAREHOUSE,
        Target::Platform => tidegate_model::ports::flags::GONE_PLATFORM,
    }
}
