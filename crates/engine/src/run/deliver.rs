//! Delivery: spooled verdicts become batches – intents committed, sent, answers journalled, settled.

use tidegate_model::change::{Change, Outcome};
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::{IntentBatch, Progress, Settlement};
use tidegate_model::record::Key;
use tidegate_model::run::Books;
use tidegate_model::span::{OpId, Span};
use tidegate_model::sync::Target;
use tidegate_model::time::Instant;

use crate::plan::guard;
use crate::plan::reconcile::{Answered, Class, Rules, Settled, TargetPlan, Verdict, reconcile, settle};

use super::batch::Batch;
use super::context::Ctx;
use super::keyed;
use super::send::{Sent, send};

/// Verdicts settled together where nothing limits them further.
const BATCH_MAX: usize = 5_000;
/// How often a record that changed under our hands is looked at again within one run.
const LOOKS_AGAIN_MAX: u32 = 3;

/// The journalled answers of one batch, both directions.
#[derive(Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Answers {
    pub platform: Option<Vec<Outcome>>,
    pub warehouse: Option<Vec<Outcome>>,
}

/// Delivers batch after batch within an open span.
pub(crate) struct Delivery<'a> {
    ctx: &'a Ctx,
    span: &'a Span,
    number: u32,
    /// Counts of everything settled, and of what was not reached.
    pub books: Books,
    /// Why delivery ended early.
    pub stop: Option<Error>,
    /// Records that were not what the plan thought, and stayed so.
    pub stale: Vec<Key>,
    done: u64,
    total: u64,
}

impl<'a> Delivery<'a> {
    pub fn new(ctx: &'a Ctx, span: &'a Span, number: u32, total: u64) -> Self {
        Self { ctx, span, number, books: Books::default(), stop: None, stale: Vec::new(), done: 0, total }
    }

    /// Most verdicts in a batch.
    pub fn batch_max(ctx: &Ctx) -> usize {
        let limit = ctx.abilities.max_batch.max(1) as usize;
        ctx.sync.batch_size.map_or(BATCH_MAX, |size| size as usize).min(limit).max(1)
    }

    /// Delivers one batch; afterwards the records that changed under our hands, looked at again.
    pub async fn batch(&mut self, batch: Batch) -> Result<()> {
        let mut batch = batch;
        for round in 0..=LOOKS_AGAIN_MAX {
            let missed = self.once(batch, round == LOOKS_AGAIN_MAX).await?;
            if missed.is_empty() || self.stop.is_some() {
                return self.not_reached(missed.into_iter().map(|missed| missed.verdict));
            }
            batch = Batch::of(self.look_again(missed).await?)?;
        }
        Ok(())
    }

    /// Counts verdicts that the run does not come to.
    pub fn not_reached(&mut self, verdicts: impl IntoIterator<Item = Verdict>) -> Result<()> {
        let rules = self.ctx.rules();
        for verdict in verdicts {
            let settled = settle(&rules, verdict, Answered::NotReached, Answered::NotReached)?;
            self.books.add(&settled.books);
        }
        Ok(())
    }

    async fn look_again(&self, missed: Vec<Missed>) -> Result<Vec<Verdict>> {
        let keys: Vec<Key> = missed.iter().map(|missed| missed.verdict.key.clone()).collect();
        let mut fresh = self.fresh(&missed, &keys).await?;
        let mut out = Vec::with_capacity(missed.len());
        for missed in missed {
            let at = fresh.iter().position(|verdict| verdict.key == missed.verdict.key);
            let mut verdict = match at {
                Some(at) => fresh.swap_remove(at),
                None => Verdict {
                    to_platform: held(&missed, Target::Platform),
                    to_warehouse: held(&missed, Target::Warehouse),
                    open: true,
                    ..missed.verdict.clone()
                },
            };
            // What the first look said of a direction still counts: a record is considered once.
            for to in [Target::Platform, Target::Warehouse] {
                if missed.counted == Some(to) || missed.verdict.to(to).class == Class::Aside {
                    verdict.over.retain(|over| *over != to);
                    if verdict.to(to).change.is_some() {
                        verdict.open = true;
                    }
                    *verdict.to_mut(to) = TargetPlan::of(Class::Aside);
                } else if verdict.to(to).class == Class::Aside {
                    *verdict.to_mut(to) = TargetPlan::of(Class::Held);
                }
            }
            out.push(verdict);
        }
        Ok(out)
    }

    /// The records as they stand now. What somebody removed from the target of a one-way sync is as good as new.
    async fn fresh(&self, missed: &[Missed], keys: &[Key]) -> Result<Vec<Verdict>> {
        let mut looks = keyed::looks(self.ctx, keys).await?;
        for look in &mut looks {
            if missed.iter().any(|missed| missed.gone && missed.verdict.key == look.key) {
                look.entry = None;
                look.detail = Default::default();
            }
        }
        let rules = self.ctx.rules();
        Ok(looks.iter().map(|look| reconcile(&rules, look)).collect())
    }

    /// One round of one batch. Returns the records to be looked at again.
    pub async fn once(&mut self, mut batch: Batch, last: bool) -> Result<Vec<Missed>> {
        let ctx = self.ctx;
        let env = &ctx.engine.env;
        if !batch.verdicts.iter().any(Verdict::writes) {
            let now = env.now();
            return self.settle_all(batch.verdicts, Answers::default(), None, last, now).await;
        }
        let payload = batch.journal()?;
        let number = self.number;
        let intents = IntentBatch { span: self.span.id.clone(), number, to: Target::Platform, payload, answer: None };
        env.failpoint("deliver.before_intend");
        ctx.engine.memory.intend(&ctx.lease, &intents).await?;
        env.failpoint("deliver.intended");
        let missed = self.carry_out(number, batch.verdicts, Answers::default(), last).await?;
        self.number += 1;
        Ok(missed)
    }

    /// Sends a batch whose intents are committed, as far as it was not answered before, and settles it.
    pub async fn carry_out(
        &mut self,
        number: u32,
        mut verdicts: Vec<Verdict>,
        mut answers: Answers,
        last: bool,
    ) -> Result<Vec<Missed>> {
        let env = &self.ctx.engine.env;
        let op = self.span.op(number);
        // A record may be written twice in a run (resumed, or looked at again): what stood there before this write is
        // older than this instant, and not than the run's beginning.
        let now = env.now();
        if answers.platform.is_none() {
            let changes: Vec<Change> =
                verdicts.iter_mut().filter_map(|verdict| verdict.to_platform.change.as_mut()).map(carried).collect();
            let outcomes = self.send(Target::Platform, changes, &OpId(format!("{}/p", op.0))).await;
            env.failpoint("deliver.sent_platform");
            self.journal(number, &mut answers, Target::Platform, outcomes).await?;
            env.failpoint("deliver.answered_platform");
        }
        if answers.warehouse.is_none() && self.stop.is_none() {
            let changes = warehouse_changes(&mut verdicts, answers.platform.as_deref().unwrap_or_default());
            let outcomes = self.send(Target::Warehouse, changes, &OpId(format!("{}/w", op.0))).await;
            env.failpoint("deliver.sent_warehouse");
            self.journal(number, &mut answers, Target::Warehouse, outcomes).await?;
            env.failpoint("deliver.answered_warehouse");
        }
        let missed = self.settle_all(verdicts, answers, Some((self.span.id.clone(), number)), last, now).await?;
        env.failpoint("deliver.settled");
        Ok(missed)
    }

    /// Settles a batch with what was answered. Returns the records to be looked at again.
    async fn settle_all(
        &mut self,
        verdicts: Vec<Verdict>,
        answers: Answers,
        batch: Option<(String, u32)>,
        last: bool,
        now: Instant,
    ) -> Result<Vec<Missed>> {
        let ctx = self.ctx;
        let rules = Rules { now, ..ctx.rules() };
        let mut settlement = Settlement { run: ctx.run.clone(), batch, ..Settlement::default() };
        settlement.entries.reserve(verdicts.len());
        let mut missed = Vec::new();
        let mut dealt = Dealt::new(answers);
        for verdict in verdicts {
            let one = dealt.next(&verdict);
            let settled = match self.sort_missed(verdict, one, last) {
                Sorted::Settle(verdict, platform, warehouse) => settle(&rules, *verdict, platform, warehouse)?,
                Sorted::Again(again, part) => {
                    missed.push(*again);
                    let Some((verdict, platform)) = part else { continue };
                    settle(&rules, *verdict, platform, Answered::Nothing)?
                }
            };
            self.done += 1;
            add(ctx, &mut settlement, settled);
        }
        drop(rules);
        self.commit(settlement).await?;
        Ok(missed)
    }

    async fn send(&mut self, to: Target, changes: Vec<Change>, op: &OpId) -> Vec<Outcome> {
        if changes.is_empty() {
            return Vec::new();
        }
        let Sent { outcomes, requests, stop } = send(self.ctx, to, &changes, op).await;
        self.books.of(to).requests += requests;
        self.stop = self.stop.take().or(stop);
        outcomes
    }

    /// Takes what a side answered, and journals it; where nothing was asked, there is nothing to journal.
    async fn journal(&self, number: u32, answers: &mut Answers, to: Target, outcomes: Vec<Outcome>) -> Result<()> {
        let asked = !outcomes.is_empty();
        match to {
            Target::Platform => answers.platform = Some(outcomes),
            Target::Warehouse => answers.warehouse = Some(outcomes),
        }
        if !asked {
            return Ok(());
        }
        let bytes = postcard::to_allocvec(answers).map_err(|e| Error::internal("write answers").cause(e))?;
        self.ctx.engine.memory.answer(&self.ctx.lease, &self.span.id, number, &bytes).await
    }

    /// A record that changed under our hands is looked at again; what the other direction did is kept.
    fn sort_missed(&mut self, mut verdict: Verdict, one: (Answered, Answered), last: bool) -> Sorted {
        let is_missed = |answered: &Answered| matches!(answered, Answered::Outcome(Outcome::Missed { .. }));
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
        let upsert = matches!(
            self.ctx.sync.write,
            tidegate_model::sync::WriteMode::Upsert | tidegate_model::sync::WriteMode::Mirror
        );
        upsert && (is_gone(platform) || is_gone(warehouse)) && verdict.writes()
    }

    /// Commits what a batch led to, in one transaction of the store.
    async fn commit(&mut self, settlement: Settlement) -> Result<()> {
        let ctx = self.ctx;
        self.books.add(&settlement.books);
        ctx.engine.env.failpoint("deliver.before_settle");
        ctx.engine.memory.settle(&ctx.lease, &settlement).await?;
        let rejected = self.books.total().rejected;
        let progress = Progress { phase: "write", rows: self.done, total: Some(self.total), rejected };
        ctx.engine.listener.progress(&ctx.sync.name, &progress);
        self.guard_rejects();
        Ok(())
    }

    fn guard_rejects(&mut self) {
        let total = self.books.total();
        let forced = &self.ctx.options.force_guards;
        let refused = total.refused;
        let tripped = guard::too_many_rejects(&self.ctx.sync.guards, refused, total.sent, forced);
        if let (None, Some(tripped)) = (&self.stop, tripped) {
            self.stop = Some(guard_error(&self.ctx.sync.name, &[tripped]));
        }
    }
}

/// The error of a run that guards stopped.
pub(crate) fn guard_error(sync: &str, tripped: &[guard::Tripped]) -> Error {
    let whys: Vec<String> = tripped.iter().map(|tripped| format!("{}: {}", tripped.guard, tripped.why)).collect();
    let names: Vec<String> = tripped.iter().map(|tripped| format!("--force-guard {}", tripped.guard)).collect();
    Error::new(
        ErrorKind::Guard,
        format!("sync {sync} was stopped by a guard before it wrote more: {}", whys.join("; ")),
    )
    .hint(format!("look at `tidegate plan {sync}`; if it is right, `tidegate run {sync} {}`", names.join(" ")))
}

fn is_gone(answered: &Answered) -> bool {
    matches!(answered, Answered::Outcome(Outcome::Missed { now: None, .. }))
}

fn held(missed: &Missed, to: Target) -> TargetPlan {
    match missed.verdict.to(to).class {
        Class::Aside => TargetPlan::of(Class::Aside),
        _ => TargetPlan::of(Class::Held),
    }
}

/// A record to be looked at again.
pub(crate) struct Missed {
    verdict: Verdict,
    /// The direction that has been settled and counted.
    counted: Option<Target>,
    /// The target of a one-way sync does not have it any more.
    gone: bool,
}

enum Sorted {
    Settle(Box<Verdict>, Answered, Answered),
    /// To be looked at again, with the part that is settled now.
    Again(Box<Missed>, Option<(Box<Verdict>, Answered)>),
}

/// The change as it is sent. Its fields go with it: what settles a record are its writes.
fn carried(change: &mut Change) -> Change {
    let fields = std::mem::take(&mut change.fields);
    Change { fields, ..change.clone() }
}

/// Changes for the warehouse, but for records of which the platform's part was missed.
fn warehouse_changes(verdicts: &mut [Verdict], platform: &[Outcome]) -> Vec<Change> {
    let mut outcomes = platform.iter();
    let mut changes = Vec::new();
    for verdict in verdicts {
        let missed = verdict.to_platform.change.is_some() && matches!(outcomes.next(), Some(Outcome::Missed { .. }));
        if !missed && let Some(change) = &mut verdict.to_warehouse.change {
            changes.push(carried(change));
        }
    }
    changes
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
        let missed = matches!(platform, Answered::Outcome(Outcome::Missed { .. }));
        let warehouse = match verdict.to_warehouse.change {
            Some(_) if missed => Answered::NotReached,
            Some(_) => deal(&mut self.warehouse),
            None => Answered::Nothing,
        };
        (platform, warehouse)
    }
}

/// Adds one record's settlement to a batch's.
pub(crate) fn add(ctx: &Ctx, settlement: &mut Settlement, one: Settled) {
    let key = match (&one.record, one.remove) {
        (Some(record), _) => Some(record.entry.key.clone()),
        _ => None,
    };
    if one.remove {
        settlement.removed.extend(one.removed_key.clone());
    }
    let key = key.or(one.removed_key);
    if let Some(key) = key
        && (ctx.rejected.contains(&key) || ctx.resumed.load(std::sync::atomic::Ordering::Relaxed))
    {
        settlement.delivered_to.extend(one.delivered_to.iter().map(|to| (key.clone(), *to)));
    }
    settlement.entries.extend(one.record);
    settlement.rejects.extend(one.rejects);
    settlement.conflicts.extend(one.conflicts);
    settlement.settled_conflicts.extend(one.settled_conflicts);
    settlement.history.extend(one.history);
    settlement.books.add(&one.books);
}
