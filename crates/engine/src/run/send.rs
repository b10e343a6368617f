//! Sending a batch: the calls, the retries, the splitting. One outcome per change comes back, whatever happens.

use tidegate_model::change::{Action, Change, FieldReject, Outcome};
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::WriteAsk;
use tidegate_model::record::{Key, RecordRef};
use tidegate_model::span::OpId;
use tidegate_model::sync::Target;

use crate::plan::reconcile::SideRow;

use super::context::Ctx;
use super::looks::read_platform;
use super::{folded, pace, retry};

/// Most calls that one batch may take while a bad record is searched in it.
const SPLITS_MAX: u32 = 64;
/// If the first so many single records fail alike, it is not the records.
const ALIKE_MAX: u32 = 8;

/// What sending gave.
pub(crate) struct Sent {
    /// One per change, same order.
    pub outcomes: Vec<Outcome>,
    /// Calls made.
    pub requests: u64,
    /// The run has to stop after this batch.
    pub stop: Option<Error>,
}

/// Sends the changes of a batch to one side.
pub(crate) async fn send(ctx: &Ctx, to: Target, changes: &[Change], op: &OpId) -> Sent {
    let mut state = Sending { ctx, to, requests: 0, alike: 0, last: None, singles: 0, refused: Vec::new() };
    let mut outcomes: Vec<Option<Outcome>> = changes.iter().map(|_| None).collect();
    let stop = match state.moved_on(changes, &mut outcomes).await {
        Ok(()) => {
            let open: Vec<usize> = (0..changes.len()).filter(|at| outcomes[*at].is_none()).collect();
            state.part(changes, &open, &op.0, &mut outcomes).await.err()
        }
        Err(error) => Some(error),
    };
    let lost = |error: &Error| matches!(error.kind, ErrorKind::Lost);
    let rest = |slot: Option<Outcome>| match (slot, &stop) {
        (Some(outcome), _) => outcome,
        (None, Some(error)) if lost(error) => Outcome::Unknown(error.clone()),
        (None, Some(error)) => Outcome::Retry(error.clone()),
        (None, None) => Outcome::Retry(Error::internal("a change was left without an answer")),
    };
    let outcomes = outcomes.into_iter().map(rest).collect();
    // A lost answer is listed record by record and does not stop the run.
    let stop = stop.filter(|error| !lost(error));
    Sent { outcomes, requests: state.requests, stop }
}

struct Sending<'a> {
    ctx: &'a Ctx,
    to: Target,
    requests: u64,
    singles: u32,
    alike: u32,
    last: Option<String>,
    /// The first single records that were refused.
    refused: Vec<usize>,
}

impl Sending<'_> {
    /// A platform that cannot write conditionally is read just before it is overwritten: records that no longer hold
    /// what we believe are not sent.
    async fn moved_on(&mut self, changes: &[Change], outcomes: &mut [Option<Outcome>]) -> Result<()> {
        let able = &self.ctx.abilities;
        if self.to != Target::Platform || able.conditional || !able.fetch || !self.ctx.sync.two_way() {
            return Ok(());
        }
        let risky = |change: &Change| change.expect.as_ref().is_some_and(|expect| !expect.is_empty());
        let at: Vec<usize> = (0..changes.len()).filter(|at| risky(&changes[*at])).collect();
        let by_ref = |change: &Change| match &change.remote {
            Some(remote) => RecordRef::Remote(remote.clone()),
            None => RecordRef::Key(change.key.clone()),
        };
        let refs: Vec<RecordRef> = at.iter().map(|at| by_ref(&changes[*at])).collect();
        self.requests += u64::from(!refs.is_empty());
        let found = read_platform(self.ctx, &refs).await?;
        for at in at {
            let change = &changes[at];
            let row = match &change.remote {
                Some(remote) => found.by_remote.get(remote).map(|(_, row)| row),
                None => found.by_key.get(&change.key),
            };
            outcomes[at] = self.miss(change, row);
        }
        Ok(())
    }

    fn miss(&self, change: &Change, row: Option<&SideRow>) -> Option<Outcome> {
        let Some(row) = row else { return Some(Outcome::Missed { now: None, remote: None }) };
        let fields = || self.ctx.mapping.fields.iter().zip(&row.values);
        let moved = fields().any(|(field, value)| {
            let expected = change.expect.as_ref().and_then(|expect| expect.get(&field.name));
            expected.is_some_and(|expected| !field.same_on_platform(expected, value))
        });
        let now = || fields().map(|(field, value)| (field.name.clone(), value.clone())).collect();
        moved.then(|| Outcome::Missed { now: Some(now()), remote: row.remote.clone() })
    }

    /// Sends some of the changes; records that the target wants to see again are sent again.
    async fn part(
        &mut self,
        changes: &[Change],
        which: &[usize],
        op: &str,
        outcomes: &mut [Option<Outcome>],
    ) -> Result<()> {
        let mut open: Vec<usize> = which.to_vec();
        let mut attempt = 0;
        while !open.is_empty() {
            attempt += 1;
            let batch: Vec<Change> = open.iter().map(|at| changes[*at].clone()).collect();
            let name =
                if attempt == 1 || open.len() == which.len() { op.to_owned() } else { format!("{op}+{attempt}") };
            let error = match self.call(&batch, &OpId(name)).await {
                Ok(answers) => {
                    open = sort_answers(open, answers, outcomes)?;
                    match open.first().and_then(|at| outcomes[*at].as_ref()) {
                        Some(Outcome::Retry(error)) => error.clone(),
                        _ => return Ok(()),
                    }
                }
                Err(error) if error.kind == ErrorKind::BadRequest => {
                    return Box::pin(self.split(changes, &open, op, outcomes, error)).await;
                }
                Err(error) => error,
            };
            let keyed = self.to == Target::Warehouse || self.ctx.abilities.keyed;
            let Some(wait) = retry::wait_after(&error, attempt, keyed, self.ctx.engine.env.random()) else {
                return Err(error);
            };
            retry::pause(&*self.ctx.engine.env, &self.ctx.options.cancel, wait).await?;
        }
        Ok(())
    }

    async fn call(&mut self, batch: &[Change], op: &OpId) -> Result<Vec<Outcome>> {
        let ctx = self.ctx;
        self.requests += 1;
        let answers = match self.to {
            Target::Platform => {
                let records = ctx.records(batch.len() as u64);
                let place = pace::enter(ctx, &ctx.limits(records), batch.len() as u64).await?;
                let ask = WriteAsk {
                    model: ctx.sync.model.clone(),
                    key: ctx.platform_key()?.to_owned(),
                    new_fields: ctx.mapping.new_fields(),
                    addresses: ctx.mapping.addresses(),
                    op: op.clone(),
                    fence: ctx.fence.clone(),
                    records,
                };
                let answers = ctx.job.platform.write(&ask, batch).await;
                place.leave(ctx).await?;
                answers?
            }
            Target::Warehouse => {
                let tidegate_model::schema::Source::Relation(relation) = &ctx.sync.source else {
                    return Err(Error::config("a query cannot be written").hint("name a table instead of `query:`"));
                };
                let standing = standing(ctx, batch).await?;
                let batch = standing.as_deref().unwrap_or(batch);
                ctx.job.warehouse.write(relation, &ctx.sync.key.warehouse, batch, op, &ctx.fence).await?
            }
        };
        if answers.len() != batch.len() {
            return Err(Error::internal(format!("{} answers for {} changes", answers.len(), batch.len())));
        }
        Ok(answers)
    }

    /// The whole call was refused: halves are sent on their own until the bad record is found.
    async fn split(
        &mut self,
        changes: &[Change],
        which: &[usize],
        op: &str,
        outcomes: &mut [Option<Outcome>],
        error: Error,
    ) -> Result<()> {
        if let [single] = which {
            self.singles += 1;
            let text = error.to_string();
            self.alike = if self.singles == 1 || self.last.as_deref() == Some(&*text) { self.alike + 1 } else { 0 };
            self.last = Some(text);
            if self.singles == ALIKE_MAX && self.alike == ALIKE_MAX {
                // It was not the records: what was said of the ones before is taken back.
                self.refused.iter().for_each(|at| outcomes[*at] = None);
                return Err(error);
            }
            if self.singles < ALIKE_MAX {
                self.refused.push(*single);
            }
            outcomes[*single] = Some(Outcome::Rejected(FieldReject::record("refused", error.to_string())));
            return Ok(());
        }
        if self.requests >= u64::from(SPLITS_MAX) {
            return Err(error.hint("too many records of this batch are refused; `tidegate check --rows` lists why"));
        }
        let (left, right) = which.split_at(which.len() / 2);
        self.part(changes, left, &format!("{op}l"), outcomes).await?;
        self.part(changes, right, &format!("{op}r"), outcomes).await
    }
}

/// Changes of rows that are there, by their keys as they stand in the warehouse; `None` where that is what they are.
async fn standing(ctx: &Ctx, batch: &[Change]) -> Result<Option<Vec<Change>>> {
    let Some(rule) = ctx.key_rule()? else { return Ok(None) };
    let there = batch.iter().filter(|change| change.action != Action::Create);
    let keys: Vec<Key> = there.map(|change| change.key.clone()).collect();
    if keys.is_empty() {
        return Ok(None);
    }
    let stand = folded::as_they_stand(ctx, &keys, &rule).await?;
    let named = |change: &Change| {
        let key = stand.get(&change.key).filter(|_| change.action != Action::Create);
        Change { key: key.unwrap_or(&change.key).clone(), ..change.clone() }
    };
    Ok(Some(batch.iter().map(named).collect()))
}

/// Puts answers in their places; the ones to be asked again come back.
fn sort_answers(open: Vec<usize>, answers: Vec<Outcome>, outcomes: &mut [Option<Outcome>]) -> Result<Vec<usize>> {
    let mut again = Vec::new();
    for (at, answer) in open.into_iter().zip(answers) {
        if matches!(answer, Outcome::Retry(_)) {
            again.push(at);
        }
        outcomes[at] = Some(answer);
    }
    Ok(again)
}
