//! The first half of delivering a batch: its intents are committed, both sides are asked, their answers journalled.

use tidegate_model::change::{Change, Outcome};
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::{IntentBatch, Judgement};
use tidegate_model::run::Books;
use tidegate_model::span::{OpId, Span};
use tidegate_model::sync::Target;
use tidegate_model::time::Instant;

use crate::plan::reconcile::Verdict;

use super::batch::Batch;
use super::calls::Sent;
use super::context::Ctx;
use super::judged::Judged;
use super::send::send;

/// The journalled answers of one batch, both directions.
#[derive(Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Answers {
    pub platform: Option<Vec<Outcome>>,
    pub warehouse: Option<Vec<Outcome>>,
}

impl Answers {
    /// Whether some record was not what the plan thought.
    pub fn missed(&self) -> bool {
        [&self.platform, &self.warehouse].into_iter().flatten().flatten().any(Outcome::is_missed)
    }
}

/// A batch whose intents are committed, with what an earlier run heard of it.
pub(crate) struct Intended {
    /// Its number; none if nothing is to be sent.
    pub number: Option<u32>,
    pub verdicts: Vec<Verdict>,
    pub answers: Answers,
}

/// A batch that was answered and waits for its settlement.
pub(crate) struct Heard {
    pub number: Option<u32>,
    pub verdicts: Vec<Verdict>,
    pub answers: Answers,
    /// Before it was sent. A record may be written twice in a run (resumed, or looked at again): what stood there before
    /// this write is older than this instant, and not than the run's beginning.
    pub sent_at: Instant,
    /// Calls made.
    pub requests: Books,
    /// Why nothing more should be sent.
    pub stop: Option<Error>,
}

impl Heard {
    /// The verdicts of which a side is asked: not those for the warehouse of which the platform's part was missed.
    fn asked(&mut self, to: Target) -> impl Iterator<Item = &mut Verdict> {
        let mut told = self.answers.platform.as_deref().unwrap_or_default().iter();
        self.verdicts.iter_mut().filter(move |verdict| is_asked(verdict, to, &mut told))
    }

    /// What the answers count for the reject guard: what was sent and what of it refused, less what was refused before
    /// and is again.
    pub fn fresh(&self, judged: &Judged) -> Judgement {
        let platform = self.answers.platform.as_deref().unwrap_or_default();
        let warehouse = self.answers.warehouse.as_deref().unwrap_or_default();
        let asked = |to: Target| {
            let mut told = platform.iter();
            self.verdicts.iter().filter(move |verdict| is_asked(verdict, to, &mut told))
        };
        let mut counts = Judgement::default();
        for (verdict, outcome) in asked(Target::Platform).zip(platform).chain(asked(Target::Warehouse).zip(warehouse)) {
            let refused = matches!(outcome, Outcome::Rejected(_));
            let sent = !(outcome.is_missed() || matches!(outcome, Outcome::Retry(_)));
            if sent && !(refused && judged.has(&verdict.key)) {
                counts.sent += 1;
                counts.refused += u64::from(refused);
            }
        }
        counts
    }
}

/// Whether a side is asked of a record: not the warehouse where the platform's part was missed. `told`: what the platform
/// said of the records from this one on, for the warehouse's turn.
fn is_asked(verdict: &Verdict, to: Target, told: &mut std::slice::Iter<'_, Outcome>) -> bool {
    let on_platform = to == Target::Warehouse && verdict.to_platform.change.is_some();
    let missed = on_platform && told.next().is_some_and(Outcome::is_missed);
    !missed && verdict.to(to).change.is_some()
}

/// Asks for batch after batch within an open span.
pub(crate) struct Asking<'a> {
    ctx: &'a Ctx,
    span: &'a Span,
    number: u32,
    step: u32,
}

impl<'a> Asking<'a> {
    /// Begins with a batch of this number.
    pub fn new(ctx: &'a Ctx, span: &'a Span, number: u32) -> Self {
        Self { ctx, span, number, step: 1 }
    }

    /// The same where others number batches of the span too: each its own, so many apart.
    pub fn apart(ctx: &'a Ctx, span: &'a Span, number: u32, step: u32) -> Self {
        Self { ctx, span, number, step }
    }

    /// Commits a batch's intents.
    pub async fn intend(&mut self, mut batch: Batch) -> Result<Intended> {
        if !batch.verdicts.iter().any(Verdict::writes) {
            return Ok(Intended { number: None, verdicts: batch.verdicts, answers: Answers::default() });
        }
        let env = &self.ctx.engine.env;
        let (number, payload) = (self.number, batch.journal());
        let intents = IntentBatch { span: self.span.id.clone(), number, to: Target::Platform, payload, answer: None };
        env.failpoint("deliver.before_intend");
        self.ctx.engine.memory.intend_all(&self.ctx.lease, intents).await?;
        env.failpoint("deliver.intended");
        self.number += self.step;
        Ok(Intended { number: Some(number), verdicts: batch.verdicts, answers: Answers::default() })
    }

    /// Sends a batch whose intents are committed, as far as it was not answered before.
    pub async fn ask(&self, intended: Intended) -> Result<Heard> {
        let env = &self.ctx.engine.env;
        let Intended { number, verdicts, answers } = intended;
        let (requests, sent_at) = (Books::default(), env.now());
        let mut heard = Heard { number, verdicts, answers, sent_at, requests, stop: None };
        let Some(number) = number else { return Ok(heard) };
        let op = self.span.op(number);
        if heard.answers.platform.is_none() {
            let outcomes = self.send(&mut heard, Target::Platform, &OpId(format!("{}/p", op.0))).await;
            env.failpoint("deliver.sent_platform");
            self.journal(&mut heard.answers, number, Target::Platform, outcomes).await?;
            env.failpoint("deliver.answered_platform");
        }
        if heard.answers.warehouse.is_none() && heard.stop.is_none() {
            let outcomes = self.send(&mut heard, Target::Warehouse, &OpId(format!("{}/w", op.0))).await;
            env.failpoint("deliver.sent_warehouse");
            self.journal(&mut heard.answers, number, Target::Warehouse, outcomes).await?;
            env.failpoint("deliver.answered_warehouse");
        }
        Ok(heard)
    }

    async fn send(&self, heard: &mut Heard, to: Target, op: &OpId) -> Vec<Outcome> {
        let lend = |verdict: &mut Verdict| {
            let Verdict { key, to_platform, to_warehouse, .. } = verdict;
            match to {
                Target::Platform => to_platform.lend(key),
                Target::Warehouse => to_warehouse.lend(key),
            }
        };
        let changes: Vec<Change> = heard.asked(to).filter_map(lend).collect();
        if changes.is_empty() {
            return Vec::new();
        }
        let Sent { outcomes, requests, stop } = send(self.ctx, to, &changes, op).await;
        heard.asked(to).zip(changes).for_each(|(verdict, change)| verdict.to_mut(to).take_back(change));
        heard.requests.of(to).requests += requests;
        heard.stop = heard.stop.take().or(stop);
        outcomes
    }

    /// Takes what a side answered, and journals it; where nothing was asked, there is nothing to journal.
    async fn journal(&self, answers: &mut Answers, number: u32, to: Target, outcomes: Vec<Outcome>) -> Result<()> {
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
}
