//! What follows from a target's answers: images, ledger entry, rejects, history and counts. Pure.

use serde::{Deserialize, Serialize};
use tidegate_model::change::{Action, Effect, FieldReject, Outcome, Reject};
use tidegate_model::error::Result;
use tidegate_model::ports::{Conflict, ConflictState, HistoryEntry, LedgerEntry, LedgerRecord, Print};
use tidegate_model::record::{Fields, Key};
use tidegate_model::run::{Books, Counts};
use tidegate_model::sync::{LedgerKind, Target, WriteMode};
use tidegate_model::value::Value;

use super::super::images::{FieldImage, Image, Sent};
use super::super::prints::NO_PRINT;
use super::fields::same;
use super::{Class, Rules, TargetPlan, Verdict, Write};

/// What came back for the change of one direction.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub enum Answered {
    /// There was nothing to send.
    #[default]
    Nothing,
    /// The run stopped before it was sent.
    NotReached,
    /// The target answered.
    Outcome(Outcome),
}

/// The rule of writes that may have arrived and are not sent again: only a later write that is answered closes them.
pub const UNCERTAIN: &str = "uncertain";

/// None, one or both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sides([bool; 2]);

impl Sides {
    /// Adds a side.
    pub fn add(&mut self, side: Target) {
        self.0[slot(side)] = true;
    }
    /// Takes a side out.
    pub fn remove(&mut self, side: Target) {
        self.0[slot(side)] = false;
    }
    /// Those that are in here.
    pub fn iter(&self) -> impl Iterator<Item = Target> {
        let sides = *self;
        [Target::Platform, Target::Warehouse].into_iter().filter(move |side| sides.0[slot(*side)])
    }
}

/// Everything that settling one record changes.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    /// The ledger entry to set.
    pub record: Option<LedgerRecord>,
    /// The entry is to be removed.
    pub remove: bool,
    /// The record's key, where it is removed or has no entry.
    pub removed_key: Option<Key>,
    /// Rejects to open.
    pub rejects: Vec<Reject>,
    /// Conflicts to record.
    pub conflicts: Vec<Conflict>,
    /// Conflicts that are over.
    pub settled_conflicts: Vec<(Key, Option<String>)>,
    /// Sides towards which nothing is rejected any more.
    pub delivered_to: Sides,
    /// Writes carried out.
    pub history: Vec<HistoryEntry>,
    /// Counts.
    pub books: Books,
}

/// Settles one record: what the target said becomes images and counts.
pub fn settle(rules: &Rules<'_>, mut verdict: Verdict, platform: Answered, warehouse: Answered) -> Result<Settled> {
    let mut out = Settled::default();
    settle_in_place(rules, &mut verdict, platform, warehouse, &mut out)?;
    Ok(out)
}

/// The same where the verdict stands and into what was not settled yet: half a kilobyte each is not moved. The verdict is of no
/// more use afterwards.
pub fn settle_in_place(
    rules: &Rules<'_>,
    verdict: &mut Verdict,
    to_platform: Answered,
    to_warehouse: Answered,
    out: &mut Settled,
) -> Result<()> {
    let mut state = State { rules, out, written: [false, false], detail: None, verdict };
    state.direction(Target::Platform, to_platform);
    state.direction(Target::Warehouse, to_warehouse);
    state.finish()
}

struct State<'a> {
    rules: &'a Rules<'a>,
    verdict: &'a mut Verdict,
    out: &'a mut Settled,
    /// Whether the platform's and the warehouse's row were written.
    written: [bool; 2],
    /// The bytes of the record's images, where they were made at once.
    detail: Option<Result<Vec<u8>>>,
}

fn slot(to: Target) -> usize {
    match to {
        Target::Platform => 0,
        Target::Warehouse => 1,
    }
}

impl State<'_> {
    fn direction(&mut self, to: Target, answered: Answered) {
        if *self.verdict.to(to) == TargetPlan::of(Class::Aside) {
            return;
        }
        let plan = std::mem::replace(self.verdict.to_mut(to), TargetPlan::of(Class::Aside));
        let mut counts = Counts::default();
        if plan.class != Class::Aside {
            counts.read = 1;
        }
        counts.dropped_fields = plan.dropped;
        match plan.class {
            Class::Aside => {}
            Class::Unchanged => {
                counts.unchanged = 1;
                self.out.delivered_to.add(to);
            }
            Class::Held => counts.held = 1,
            Class::Rejected => counts.rejected = 1,
            Class::Write => self.answered(to, &plan, answered, &mut counts),
        }
        counts.acknowledged = counts.sent - counts.refused - counts.unknown;
        self.out.books.of(to).add(&counts);
    }

    fn answered(&mut self, to: Target, plan: &TargetPlan, answered: Answered, counts: &mut Counts) {
        let outcome = match answered {
            Answered::Nothing | Answered::NotReached => {
                counts.ahead = 1;
                self.verdict.open = true;
                return;
            }
            Answered::Outcome(outcome) => outcome,
        };
        match outcome {
            Outcome::Applied { remote, effect, dropped, stored } => {
                counts.sent = 1;
                match effect {
                    Effect::Created => counts.created = 1,
                    Effect::Updated => counts.updated = 1,
                    Effect::Deleted => counts.deleted = 1,
                }
                counts.dropped_fields += dropped.len() as u64;
                self.applied(to, plan, remote, effect, dropped, stored.as_ref(), counts);
            }
            Outcome::Unchanged { remote } => {
                counts.sent = 1;
                counts.unchanged = 1;
                counts.confirmed = 1;
                let effect = match plan.change.as_ref().map(|change| change.action) {
                    Some(Action::Delete) => Effect::Deleted,
                    _ => Effect::Updated,
                };
                self.landed(to, plan, remote, effect, &[], None, &mut Counts::default());
            }
            Outcome::Missed { now, remote } => self.missed(to, plan, now.as_ref(), remote, counts),
            Outcome::Rejected(why) => {
                counts.sent = 1;
                counts.rejected = 1;
                counts.refused = 1;
                self.reject(to, plan, why);
            }
            Outcome::Retry(error) => {
                counts.ahead = 1;
                self.verdict.open = true;
                drop(error);
            }
            Outcome::Unknown(error) if self.rules.holds_uncertain && to == Target::Platform => {
                counts.sent = 1;
                counts.unknown = 1;
                self.held_uncertain(to, plan, &error);
            }
            Outcome::Unknown(error) => {
                counts.sent = 1;
                counts.unknown = 1;
                self.reject(to, plan, FieldReject::record("unknown_outcome", format!("the answer was lost: {error}")));
            }
        }
    }

    /// It may have arrived, and a second time may make a double: it counts as arrived, and is listed for a person.
    fn held_uncertain(&mut self, to: Target, plan: &TargetPlan, error: &tidegate_model::Error) {
        let reason = format!("the answer was lost ({error}); it was not sent again (`on_uncertain: hold`)");
        let why = FieldReject::record(UNCERTAIN, reason);
        let effect = match plan.change.as_ref().map(|change| change.action) {
            Some(Action::Delete) => Effect::Deleted,
            Some(Action::Create) => Effect::Created,
            _ => Effect::Updated,
        };
        self.landed(to, plan, None, effect, &[], None, &mut Counts::default());
        self.out.delivered_to.remove(to);
        self.out.rejects.push(Reject { key: Some(self.verdict.key.clone()), to, why, value: None });
    }

    fn reject(&mut self, to: Target, plan: &TargetPlan, why: FieldReject) {
        let field = why.field.as_deref();
        let hidden = field.is_some_and(|name| self.rules.sync.redact.iter().any(|redacted| redacted == name));
        let write = plan.writes.iter().find(|write| Some(write.name.as_str()) == field);
        let value = write.filter(|_| !hidden).map(|write| write.sent.clone());
        self.out.rejects.push(Reject { key: Some(self.verdict.key.clone()), to, why, value });
        self.verdict.open = true;
    }

    /// The target's record was not what we thought, and another look did not help within this run.
    fn missed(
        &mut self,
        to: Target,
        plan: &TargetPlan,
        now: Option<&Fields>,
        remote: Option<tidegate_model::record::RemoteId>,
        counts: &mut Counts,
    ) {
        let insert = self.rules.sync.write == WriteMode::Insert && !self.rules.sync.two_way();
        if self.stands(plan, to, now) || (insert && now.is_some()) {
            counts.sent = 1;
            counts.unchanged = 1;
            counts.confirmed = 1;
            let deleted = plan.change.as_ref().is_some_and(|change| change.action == Action::Delete);
            let effect = if deleted { Effect::Deleted } else { Effect::Updated };
            self.landed(to, plan, remote, effect, &[], None, &mut Counts::default());
            return;
        }
        counts.held = 1;
        self.verdict.open = true;
        // The target has answered: what was listed of an answer that was lost is over.
        if self.out.rejects.iter().all(|reject| reject.to != to) {
            self.out.delivered_to.add(to);
        }
    }

    /// The target shows what we meant to write: an earlier try of the same write landed, and its answer was lost.
    fn stands(&self, plan: &TargetPlan, to: Target, now: Option<&Fields>) -> bool {
        let Some(change) = &plan.change else { return false };
        let Some(now) = now else { return change.action == Action::Delete };
        let shows = |write: Write<'_>| {
            let field = self.rules.mapping.fields.iter().find(|field| field.id == write.id());
            let shown = now.get(write.name);
            matches!((field, shown), (Some(field), Some(shown)) if same(field, to, shown, write.sent))
        };
        change.action != Action::Delete && !plan.writes.is_empty() && plan.writes.iter().all(shows)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one answer, spelled out once")]
    fn applied(
        &mut self,
        to: Target,
        plan: &TargetPlan,
        remote: Option<tidegate_model::record::RemoteId>,
        effect: Effect,
        dropped: Vec<FieldReject>,
        stored: Option<&Fields>,
        counts: &mut Counts,
    ) {
        let names: Vec<String> = dropped.iter().filter_map(|why| why.field.clone()).collect();
        for why in dropped {
            self.reject(to, plan, why);
        }
        self.history(to, plan, effect, &names);
        self.landed(to, plan, remote, effect, &names, stored, counts);
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one answer, spelled out once")]
    fn landed(
        &mut self,
        to: Target,
        plan: &TargetPlan,
        remote: Option<tidegate_model::record::RemoteId>,
        effect: Effect,
        dropped: &[String],
        stored: Option<&Fields>,
        counts: &mut Counts,
    ) {
        if effect == Effect::Deleted {
            // An undone create stays in the ledger as gone there, so that the next run does not create it again.
            self.verdict.remove = self.verdict.flags & super::gone_flag(to) == 0;
            return;
        }
        self.verdict.keep = true;
        let created = plan.change.as_ref().is_some_and(|change| change.action == Action::Create);
        if created && to == Target::Warehouse && self.rules.follows {
            self.verdict.flags |= tidegate_model::ports::flags::AHEAD;
        }
        if to == Target::Platform && remote.is_some() {
            self.verdict.remote = remote;
        }
        if self.out.rejects.iter().all(|reject| reject.to != to) {
            self.out.delivered_to.add(to);
        }
        self.written[slot(to)] = true;
        self.verdict.detail.set_wrote(to, self.rules.now);
        let known = self.verdict.detail.images().next().is_some();
        let again = created && known;
        let taken = |write: &Write<'_>| dropped.iter().all(|name| **name != **write.name);
        let plain = self.rules.sync.ledger == LedgerKind::Fingerprints && !self.rules.sync.two_way();
        if plain && !known && dropped.is_empty() && stored.is_none() {
            // What each field would get below, as bytes at once: nearly every record of a first load is one of these.
            let prints = plan.writes.iter().map(|write| (write.id(), self.rules.printer.value(write.source())));
            self.detail = Some(self.verdict.detail.encode_prints(to.other(), plan.writes.len(), prints));
            return;
        }
        self.verdict.detail.reserve(plan.writes.len());
        for write in plan.writes.iter().filter(taken) {
            self.field(to, write, stored, counts);
        }
        if again {
            self.begun_anew(to, plan, taken);
        }
    }

    /// A record that was made again starts empty: what the ledger knew of the old one must not be taken for its image, or
    /// the next run would think that somebody emptied it there, and empty the other side, too.
    fn begun_anew(&mut self, to: Target, plan: &TargetPlan, taken: impl Fn(&Write<'_>) -> bool) {
        let (kind, printer) = (self.rules.sync.ledger, self.rules.printer);
        for field in self.rules.mapping.fields.iter().filter(|field| field.direction.reaches(to)) {
            let Some(images) = self.verdict.detail.known_mut(field.id) else { continue };
            match plan.writes.iter().find(|write| write.id() == field.id) {
                Some(write) if taken(&write) => {}
                // What it would not take is sent again with the next look, as of any new record.
                Some(_) => *images = FieldImage::default(),
                None => {
                    *images.sent_mut(to) = None;
                    if images.side(to).is_some() {
                        images.set(to, Image::of(&Value::Null, kind, printer));
                    }
                }
            }
        }
    }

    fn field(&mut self, to: Target, write: Write<'_>, stored: Option<&Fields>, counts: &mut Counts) {
        let (kind, printer) = (self.rules.sync.ledger, self.rules.printer);
        let told = stored.and_then(|fields| fields.get(write.name));
        // A platform that answers a clear with the old value has not taken it. That is no image: the next read has to find
        // it different from what was sent.
        let ignored = |told: &&Value| write.sent.is_null() && !told.is_null() && write.before() == Some(*told);
        let told = told.filter(|told| !ignored(told));
        if told.is_some_and(|told| !told.is_null() && told != write.sent && told.to_string() != write.sent.to_string())
        {
            counts.normalised += 1;
        }
        let images = self.verdict.detail.field_mut(write.id());
        images.set(to.other(), Image::of(write.source(), kind, printer));
        if let Some(sent) = images.sent_mut(to.other()) {
            // What was read there is a later state than what we wrote. That the same is typed once more is then an edit.
            sent.seen = true;
        }
        if self.rules.sync.two_way() && to == Target::Platform && write.sent.is_null() {
            // Whether the clear was taken is only known once the field was read again.
            self.verdict.open |= write.before().is_some_and(|before| !before.is_null());
        }
        if kind == LedgerKind::Values || self.rules.sync.two_way() {
            images.set(to, Image::of(told.unwrap_or(write.sent), kind, printer));
            *images.sent_mut(to) = Some(Box::new(Sent {
                value: write.sent.clone(),
                before: write.before().cloned(),
                at: self.rules.now,
                streak: write.streak(),
                // An answer is not a read: only a read shows that reads have caught up.
                seen: false,
            }));
        }
    }

    fn history(&mut self, to: Target, plan: &TargetPlan, effect: Effect, dropped: &[String]) {
        if self.rules.sync.ledger != LedgerKind::Values {
            return;
        }
        let Some(change) = &plan.change else { return };
        let written = || plan.writes.iter().filter(|write| dropped.iter().all(|name| **name != **write.name));
        let named = |write: Write<'_>, value: &Value| (write.name.clone(), value.clone());
        let before: Fields = match change.action {
            Action::Delete => change.expect.clone().unwrap_or_default(),
            _ => written().filter_map(|write| Some(named(write, write.before()?))).collect(),
        };
        self.out.history.push(HistoryEntry {
            key: self.verdict.key.clone(),
            remote: change.remote.clone().filter(|_| to == Target::Platform).or_else(|| self.verdict.remote.clone()),
            to,
            effect: match effect {
                Effect::Created => "created",
                Effect::Updated => "updated",
                Effect::Deleted => "deleted",
            }
            .to_owned(),
            before,
            after: written().map(|write| named(write, write.sent)).collect(),
            run: String::new(),
            at: self.rules.now,
        });
    }

    fn finish(self) -> Result<()> {
        let verdict = self.verdict;
        self.out.conflicts = std::mem::take(&mut verdict.conflicts);
        let conflicts = self.out.conflicts.iter().filter(|conflict| is_conflict(conflict)).count();
        self.out.books.to_platform.conflicts += conflicts as u64;
        self.out.rejects.append(&mut verdict.rejects);
        verdict.over.iter().for_each(|to| self.out.delivered_to.add(*to));
        if verdict.was_open {
            let fields = self.rules.mapping.fields.iter().map(|field| Some(field.name.to_string()));
            let open = |name: &Option<String>| {
                self.out.conflicts.iter().any(|c| c.field == *name && c.state != ConflictState::Decided)
            };
            let over = fields.chain([None]).filter(|name| !open(name));
            self.out.settled_conflicts = over.map(|name| (verdict.key.clone(), name)).collect();
        }
        if verdict.remove {
            self.out.remove = true;
            self.out.removed_key = Some(verdict.key.clone());
            return Ok(());
        }
        if !verdict.keep {
            self.out.removed_key = Some(verdict.key.clone());
            return Ok(());
        }
        let mut entry = unwritten(verdict);
        if !verdict.open {
            if self.written[slot(Target::Warehouse)] {
                entry.warehouse = print_of(self.rules, verdict, Target::Warehouse);
            }
            if self.written[slot(Target::Platform)] {
                entry.platform = match overwritten(verdict) {
                    // The next read is looked at, so that we know when reads have caught up with our write.
                    true => NO_PRINT,
                    false => print_of(self.rules, verdict, Target::Platform),
                };
            }
        }
        // Gone at once, so that the next record's images take their place.
        let images = std::mem::take(&mut verdict.detail);
        let detail = self.detail.unwrap_or_else(|| images.encode())?;
        self.out.record = Some(LedgerRecord { entry, detail });
        Ok(())
    }
}

/// The ledger entry of a record of which no side was written.
pub fn unwritten(verdict: &Verdict) -> LedgerEntry {
    let (mut flags, mut prints) = (verdict.flags & !tidegate_model::ports::flags::LOOK, verdict.prints);
    if verdict.open {
        flags |= tidegate_model::ports::flags::LOOK;
        prints = (NO_PRINT, NO_PRINT);
    }
    let (key, remote) = (verdict.key.clone(), verdict.remote.clone());
    LedgerEntry { key, remote, flags, warehouse: prints.0, platform: prints.1 }
}

/// Whether a value of the platform was overwritten that reads may show once more.
fn overwritten(verdict: &Verdict) -> bool {
    verdict.detail.images().any(|image| image.sent(Target::Platform).is_some_and(|s| !s.seen && s.before.is_some()))
}

/// Drift and rekeyed records are held, but they are no conflicts.
fn is_conflict(conflict: &Conflict) -> bool {
    !matches!(conflict.note.as_deref(), Some("drift" | "rekeyed" | "oscillating"))
}

/// The print that a side will show, from its images; none if some image is not known as a value.
fn print_of(rules: &Rules<'_>, verdict: &Verdict, side: Target) -> Print {
    let mut values: Vec<&Value> = Vec::with_capacity(rules.mapping.fields.len());
    for field in &rules.mapping.fields {
        if side == Target::Warehouse && field.column.is_none() {
            continue;
        }
        let image = verdict.detail.field(field.id).and_then(|images| images.side(side));
        match image.and_then(Image::value) {
            Some(value) => values.push(value),
            None => return NO_PRINT,
        }
    }
    rules.printer.row(values.into_iter())
}
