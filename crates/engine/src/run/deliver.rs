//! Delivery: spooled verdicts become batches – intents committed, sent, answers journalled, settled. While the target
//! has one batch, the one before it is settled.

use futures_util::future::join;
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::{Judgement, Shard, Shards};
use tidegate_model::record::Key;
use tidegate_model::run::Books;
use tidegate_model::span::Span;
use tidegate_model::sync::Target;

use crate::plan::guard;
use crate::plan::reconcile::{Class, TargetPlan, Verdict, reconcile};

use super::ask::{Asking, Heard, Intended};
use super::batch::Batch;
use super::context::Ctx;
use super::keyed;
use super::pace;
use super::settle::{Missed, Settling};

/// Verdicts settled together where nothing limits them further.
const BATCH_MAX: usize = 5_000;
/// How often a record that changed under our hands is looked at again within one run.
const LOOKS_AGAIN_MAX: u32 = 3;

/// Delivers batch after batch within an open span.
pub(crate) struct Delivery<'a> {
    ctx: &'a Ctx,
    asking: Asking<'a>,
    settling: Settling<'a>,
    /// The batch that was answered last and is not settled yet.
    waiting: Option<Heard>,
    /// What was sent and what of it refused, for the reject guard.
    fresh: Judgement,
    /// The part that is delivered, and where it is kept.
    part: Option<(&'a dyn Shards, &'a Shard)>,
    /// Why delivery ended early.
    pub stop: Option<Error>,
}

impl<'a> Delivery<'a> {
    pub fn new(ctx: &'a Ctx, span: &'a Span, number: u32, total: u64) -> Self {
        let (asking, settling) = (Asking::new(ctx, span, number), Settling::new(ctx, span, total));
        Self { ctx, asking, settling, waiting: None, fresh: Judgement::default(), part: None, stop: None }
    }

    /// Delivers a part of a span: further batches of it are numbered so that no other part has their numbers.
    pub fn of_part(ctx: &'a Ctx, span: &'a Span, first: u32, part: (&'a dyn Shards, &'a Shard)) -> Self {
        let asking = Asking::apart(ctx, span, first, part.1.parts);
        Self { asking, part: Some(part), ..Self::new(ctx, span, 0, ctx.records(0)) }
    }

    /// Most verdicts in a batch.
    pub fn batch_max(ctx: &Ctx) -> usize {
        let limit = ctx.abilities.max_batch.max(1) as usize;
        let size = ctx.sync.batch_size.map_or(BATCH_MAX, |size| size as usize).min(limit);
        let permitted = match ctx.targets().contains(&Target::Platform) {
            true => pace::batch_max(&ctx.job.quota, &ctx.limits(ctx.records(0))),
            false => None,
        };
        permitted.map_or(size, |most| size.min(usize::try_from(most).unwrap_or(size))).max(1)
    }

    /// Counts of everything settled, and of what was not reached.
    pub fn books(&self) -> &Books {
        &self.settling.books
    }

    /// Records that were not what the plan thought, and stayed so.
    pub fn stale(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.settling.stale)
    }

    /// Counts verdicts that the run does not come to.
    pub fn not_reached(&mut self, verdicts: impl IntoIterator<Item = Verdict>) -> Result<()> {
        self.settling.not_reached(verdicts)
    }

    /// Counts that no settlement holds.
    pub fn apart(&self) -> &Books {
        &self.settling.apart
    }

    /// Sends a batch, and settles the one before it meanwhile.
    pub async fn next(&mut self, batch: Batch) -> Result<()> {
        self.go_on(Next::Batch(batch)).await
    }

    /// The same for a batch whose intents are committed.
    pub async fn next_intended(&mut self, intended: Intended) -> Result<()> {
        self.go_on(Next::Intended(intended)).await
    }

    async fn go_on(&mut self, next: Next) -> Result<()> {
        let (before, asking, settling) = (self.waiting.take(), &mut self.asking, &mut self.settling);
        let asked = async {
            let intended = match next {
                Next::Batch(batch) => asking.intend(batch).await?,
                Next::Intended(intended) => intended,
            };
            asking.ask(intended).await
        };
        // Begun while the intents are being committed: what is settled is not held any longer than it has to be.
        let settled = async {
            match before {
                Some(heard) => settling.settle(heard, false).await,
                None => Ok(Vec::new()),
            }
        };
        let (heard, missed) = join(asked, settled).await;
        let (missed, mut heard) = (missed?, heard?);
        self.note(&mut heard).await?;
        self.waiting = Some(heard);
        self.again(missed).await
    }

    /// Settles the last batch.
    pub async fn finish(&mut self) -> Result<()> {
        let Some(heard) = self.waiting.take() else { return Ok(()) };
        let missed = self.settling.settle(heard, false).await?;
        self.again(missed).await
    }

    /// Sends one batch and settles it; records that changed under our hands are left alone.
    pub async fn once(&mut self, batch: Batch) -> Result<()> {
        let intended = self.asking.intend(batch).await?;
        self.carry_out(intended, true).await.map(drop)
    }

    /// Sends a batch whose intents are committed, as far as it was not answered before, and settles it. Returns the
    /// records to be looked at again; none after the last look.
    pub async fn carry_out(&mut self, intended: Intended, last: bool) -> Result<Vec<Missed>> {
        let mut heard = self.asking.ask(intended).await?;
        self.note(&mut heard).await?;
        let missed = self.settling.settle(heard, last).await?;
        Ok(missed)
    }

    /// Records that changed under our hands are looked at again and delivered as they stand now.
    async fn again(&mut self, missed: Vec<Missed>) -> Result<()> {
        let mut missed = missed;
        for look in 1..=LOOKS_AGAIN_MAX {
            if missed.is_empty() || self.stop.is_some() {
                break;
            }
            let batch = Batch::of(self.look_again(missed).await?)?;
            let intended = self.asking.intend(batch).await?;
            missed = self.carry_out(intended, look == LOOKS_AGAIN_MAX).await?;
        }
        self.not_reached(missed.into_iter().map(|missed| missed.verdict))
    }

    /// Takes note of what was heard, before it is settled.
    async fn note(&mut self, heard: &mut Heard) -> Result<()> {
        self.settling.aside(&std::mem::take(&mut heard.requests));
        self.stop = self.stop.take().or(heard.stop.take());
        self.guard_rejects(heard).await
    }

    /// The reject guard speaks after each batch, but in a first run. It judges the whole run, however many deliver it.
    async fn guard_rejects(&mut self, heard: &Heard) -> Result<()> {
        if !self.ctx.state.full_settled {
            return Ok(());
        }
        let Judgement { sent, refused } = heard.fresh(&self.ctx.judged);
        self.fresh = match self.part {
            Some((shards, part)) => {
                let (engine, heard) = (&self.ctx.engine, Judgement { sent, refused });
                shards.judge(part, &engine.holder, heard, engine.env.now()).await?
            }
            None => Judgement { sent: self.fresh.sent + sent, refused: self.fresh.refused + refused },
        };
        let forced = &self.ctx.options.force_guards;
        let tripped = guard::too_many_rejects(&self.ctx.sync.guards, self.fresh.refused, self.fresh.sent, forced);
        if let (None, Some(tripped)) = (&self.stop, tripped) {
            self.stop = Some(guard_error(&self.ctx.sync.name, &[tripped]));
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
}

/// What is sent next.
enum Next {
    Batch(Batch),
    Intended(Intended),
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

fn held(missed: &Missed, to: Target) -> TargetPlan {
    match missed.verdict.to(to).class {
        Class::Aside => TargetPlan::of(Class::Aside),
        _ => TargetPlan::of(Class::Held),
    }
}
