//! The second half of delivering a batch: its answers become ledger entries, rejects, history and counts, in one
//! transaction of the store.

use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidegate_model::change::Outcome;
use tidegate_model::error::Result;
use tidegate_model::ports::{Progress, Settlement};
use tidegate_model::record::Key;
use tidegate_model::run::Books;
use tidegate_model::span::Span;
use tidegate_model::sync::{Target, WriteMode};
use tidegate_model::time::Instant;

use crate::plan::reconcile::{Answered, Class, Settled, TargetPlan, Verdict, settle, settle_in_place};

use super::ask::{Answers, Heard};
use super::context::Ctx;
use super::ground::Ground;

/// Settles batch after batch within an open span.
pub(crate) struct Settling<'a> {
    ctx: &'a Ctx,
    span: &'a Span,
    /// Counts of everything settled, and of what was not reached.
    pub books: Books,
    /// Those of them that no settlement holds.
    pub apart: Books,
    /// Records that were not what the plan thought, and stayed so.
    pub stale: Vec<Key>,
    done: u64,
    total: u64,
}

impl<'a> Settling<'a> {
    pub fn new(ctx: &'a Ctx, span: &'a Span, total: u64) -> Self {
        let (books, apart) = (Books::default(), Books::default());
        Self { ctx, span, books, apart, stale: Vec::new(), done: 0, total }
    }

    /// Counts verdicts that the run does not come to.
    pub fn not_reached(&mut self, verdicts: impl IntoIterator<Item = Verdict>) -> Result<()> {
        let rules = self.ctx.rules();
        for verdict in verdicts {
            let settled = settle(&rules, verdict, Answered::NotReached, Answered::NotReached)?;
            self.aside(&settled.books);
        }
        Ok(())
    }

    /// Counts what no settlement holds.
    pub fn aside(&mut self, books: &Books) {
        self.books.add(books);
        self.apart.add(books);
    }

    /// Settles a batch with what was answered. Returns the records to be looked at again; none after the last look.
    pub async fn settle(&mut self, heard: Heard, last: bool) -> Result<Vec<Missed>> {
        let env = &self.ctx.engine.env;
        let (number, now) = (heard.number, heard.sent_at);
        let (ground, resumed) = (Arc::clone(self.ctx.ground()), self.ctx.resumed.load(Ordering::Relaxed));
        let (records, settlement, missed) = if heard.answers.missed() {
            let (mut told, missed) = self.sorted(heard, last);
            let records = told.len();
            let work = move || ground.settlement(now, resumed, told.iter_mut().map(taken));
            (records, self.ctx.aside.in_turn(records, work).await?, missed)
        } else {
            let Heard { mut verdicts, answers, .. } = heard;
            let records = verdicts.len();
            let work = move || ground.settlement(now, resumed, told(&mut verdicts, answers));
            (records, self.ctx.aside.in_turn(records, work).await?, Vec::new())
        };
        self.done += records as u64;
        let batch = number.map(|number| (self.span.id.clone(), number));
        let settlement = Arc::new(Settlement { run: self.ctx.run.clone(), batch, ..settlement });
        self.books.add(&settlement.books);
        env.failpoint("deliver.before_settle");
        self.ctx.engine.memory.settle_all(&self.ctx.lease, Arc::clone(&settlement)).await?;
        self.ctx.aside.leave(settlement);
        if number.is_some() {
            env.failpoint("deliver.settled");
        }
        let rejected = self.books.total().rejected;
        let progress = Progress { phase: "write", rows: self.done, total: Some(self.total), rejected };
        self.ctx.engine.listener.progress(&self.ctx.sync.name, &progress);
        Ok(missed)
    }

    /// The records of a batch with what was answered, less those to be looked at again.
    fn sorted(&mut self, heard: Heard, last: bool) -> (Vec<Told>, Vec<Missed>) {
        let mut missed = Vec::new();
        let mut settled = Vec::with_capacity(heard.verdicts.len());
        let mut dealt = Dealt::new(heard.answers);
        for verdict in heard.verdicts {
            let (platform, warehouse) = dealt.next(&verdict);
            if !is_missed(&platform) && !is_missed(&warehouse) {
                settled.push((verdict, platform, warehouse));
                continue;
            }
            match self.sort_missed(verdict, (platform, warehouse), last) {
                Sorted::Settle(verdict, platform, warehouse) => settled.push((*verdict, platform, warehouse)),
                Sorted::Again(again, part) => {
                    missed.push(*again);
                    settled.extend(part.map(|(verdict, platform)| (*verdict, platform, Answered::Nothing)));
                }
            }
        }
        (settled, missed)
    }

    /// A record that changed under our hands is looked at again; what the other direction did is kept.
    fn sort_missed(&mut self, mut verdict: Verdict, one: (Answered, Answered), last: bool) -> Sorted {
        let (platform, warehouse) = one;
        let (on_platform, in_warehouse) = (is_missed(&platform), is_missed(&warehouse));
        let again = (on_platform || in_warehouse) && !last && self.again(&verdict, &platform, &warehouse);
        if last && (on_platform || in_warehouse) {
            self.stale.push(verdict.key.clone());
        }
        if !again {
            return Sorted::Settle(Box::new(verdict), platform, warehouse);
        }
        if on_platform {
            // Nothing was sent to the warehouse for it yet: the whole record is looked at again.
            let gone = !self.ctx.sync.two_way() && is_gone(&platform);
            return Sorted::Again(Box::new(Missed { verdict, counted: None, gone }), None);
        }
        let original = verdict.clone();
        verdict.to_warehouse = TargetPlan::of(Class::Aside);
        verdict.open = true;
        let gone = !self.ctx.sync.two_way() && is_gone(&warehouse);
        let counted = Some(Target::Platform);
        let again = Box::new(Missed { verdict: original, counted, gone });
        Sorted::Again(again, Some((Box::new(verdict), platform)))
    }

    /// Whether another look can change anything.
    fn again(&self, verdict: &Verdict, platform: &Answered, warehouse: &Answered) -> bool {
        if self.ctx.sync.two_way() {
            return true;
        }
        // A linked record that somebody removed is created again by an upsert.
        let upsert = matches!(self.ctx.sync.write, WriteMode::Upsert | WriteMode::Mirror);
        upsert && (is_gone(platform) || is_gone(warehouse)) && verdict.writes()
    }
}

/// Records that were sent, both directions.
fn sent(books: &Books) -> u64 {
    books.to_platform.sent + books.to_warehouse.sent
}

fn is_missed(answered: &Answered) -> bool {
    matches!(answered, Answered::Outcome(outcome) if outcome.is_missed())
}

fn is_gone(answered: &Answered) -> bool {
    matches!(answered, Answered::Outcome(Outcome::Missed { now: None, .. }))
}

/// A record to be looked at again.
pub(crate) struct Missed {
    pub verdict: Verdict,
    /// The direction that has been settled and counted.
    pub counted: Option<Target>,
    /// The target of a one-way sync does not have it any more.
    pub gone: bool,
}

enum Sorted {
    Settle(Box<Verdict>, Answered, Answered),
    /// To be looked at again, with the part that is settled now.
    Again(Box<Missed>, Option<(Box<Verdict>, Answered)>),
}

/// Deals the answers out to the records, in the order in which their changes were sent.
struct Dealt {
    platform: Option<std::vec::IntoIter<Outcome>>,
    warehouse: Option<std::vec::IntoIter<Outcome>>,
}

impl Dealt {
    fn new(answers: Answers) -> Self {
        Self { platform: answers.platform.map(Vec::into_iter), warehouse: answers.warehouse.map(Vec::into_iter) }
    }

    fn next(&mut self, verdict: &Verdict) -> (Answered, Answered) {
        let deal = |outcomes: &mut Option<std::vec::IntoIter<Outcome>>| match outcomes {
            Some(outcomes) => outcomes.next().map_or(Answered::NotReached, Answered::Outcome),
            None => Answered::NotReached,
        };
        let platform = match verdict.to_platform.change {
            Some(_) => deal(&mut self.platform),
            None => Answered::Nothing,
        };
        let missed = is_missed(&platform);
        let warehouse = match verdict.to_warehouse.change {
            Some(_) if missed => Answered::NotReached,
            Some(_) => deal(&mut self.warehouse),
            None => Answered::Nothing,
        };
        (platform, warehouse)
    }
}

/// A record with what both sides answered.
type Told = (Verdict, Answered, Answered);

fn taken((verdict, platform, warehouse): &mut Told) -> (&mut Verdict, Answered, Answered) {
    (verdict, take(platform), take(warehouse))
}

/// The records of a batch with what was answered.
fn told(verdicts: &mut [Verdict], answers: Answers) -> impl Iterator<Item = (&mut Verdict, Answered, Answered)> {
    let mut dealt = Dealt::new(answers);
    verdicts.iter_mut().map(move |verdict| {
        let (platform, warehouse) = dealt.next(verdict);
        (verdict, platform, warehouse)
    })
}

impl Ground {
    /// What the answers of some records come to.
    fn settlement<'v>(
        &self,
        now: Instant,
        resumed: bool,
        told: impl Iterator<Item = (&'v mut Verdict, Answered, Answered)>,
    ) -> Result<Settlement> {
        let rules = self.rules(now);
        let mut settlement = Settlement::default();
        settlement.entries.reserve(told.size_hint().0);
        let mut one = Settled::default();
        for (verdict, platform, warehouse) in told {
            let sent = sent(&one.books);
            settle_in_place(&rules, verdict, platform, warehouse, &mut one)?;
            self.add(&mut settlement, resumed, &mut one, sent);
        }
        settlement.books = one.books;
        Ok(settlement)
    }

    /// Adds one record's settlement to a batch's, and leaves nothing of it behind but its counts: they add up. `before`: what
    /// had been sent before it.
    fn add(&self, settlement: &mut Settlement, resumed: bool, one: &mut Settled, before: u64) {
        self.note_delivered(settlement, resumed, one, before);
        if take(&mut one.remove) {
            settlement.removed.extend(one.removed_key.take());
        }
        one.removed_key = None;
        settlement.entries.extend(one.record.take());
        settlement.rejects.append(&mut one.rejects);
        settlement.conflicts.append(&mut one.conflicts);
        settlement.settled_conflicts.append(&mut one.settled_conflicts);
        settlement.history.append(&mut one.history);
    }

    /// Closes what was listed of a record that has arrived.
    fn note_delivered(&self, settlement: &mut Settlement, resumed: bool, one: &mut Settled, before: u64) {
        let delivered = take(&mut one.delivered_to);
        let Some(key) = one.record.as_ref().map(|record| &record.entry.key).or(one.removed_key.as_ref()) else {
            return;
        };
        if !resumed && !self.rejected.contains(key) {
            return;
        }
        // That nothing is left to be sent says nothing of a write that may not have arrived.
        let silent = sent(&one.books) == before;
        if !(silent && self.judged.is_uncertain(key)) {
            settlement.delivered_to.extend(delivered.iter().map(|to| (key.clone(), to)));
        }
    }
}
