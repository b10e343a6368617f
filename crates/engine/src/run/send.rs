//! Sending a batch of a run to one side: what moved on is left out, the rest goes through the calls.

use async_trait::async_trait;
use tidegate_model::change::{Action, Change, Outcome};
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::{Cancel, Env, WriteAsk};
use tidegate_model::record::{Key, RecordRef};
use tidegate_model::span::OpId;
use tidegate_model::sync::{OnUncertain, Target};

use crate::plan::reconcile::SideRow;

use super::calls::{self, Line, Sent};
use super::context::Ctx;
use super::looks::read_platform;
use super::{folded, pace};

/// Sends the changes of a batch to one side.
pub(crate) async fn send(ctx: &Ctx, to: Target, changes: &[Change], op: &OpId) -> Sent {
    let side = Side { ctx, to };
    let mut outcomes: Vec<Option<Outcome>> = changes.iter().map(|_| None).collect();
    let looked = match side.moved_on(changes, &mut outcomes).await {
        Ok(looked) => u64::from(looked),
        Err(error) => return calls::closed(outcomes, 1, Some(error)),
    };
    let sent = calls::send_open(&side, changes, op, outcomes).await;
    Sent { requests: sent.requests + looked, ..sent }
}

/// One side of a run.
struct Side<'a> {
    ctx: &'a Ctx,
    to: Target,
}

impl Side<'_> {
    /// A platform that cannot write conditionally is read just before it is overwritten: records that no longer hold
    /// what we believe are not sent. Whether it was read.
    async fn moved_on(&self, changes: &[Change], outcomes: &mut [Option<Outcome>]) -> Result<bool> {
        let able = &self.ctx.abilities;
        if self.to != Target::Platform || able.conditional || !able.fetch || !self.ctx.sync.two_way() {
            return Ok(false);
        }
        let risky = |change: &Change| change.expect.as_ref().is_some_and(|expect| !expect.is_empty());
        let at: Vec<usize> = (0..changes.len()).filter(|at| risky(&changes[*at])).collect();
        let by_ref = |change: &Change| match &change.remote {
            Some(remote) => RecordRef::Remote(remote.clone()),
            None => RecordRef::Key(change.key.clone()),
        };
        let refs: Vec<RecordRef> = at.iter().map(|at| by_ref(&changes[*at])).collect();
        let found = read_platform(self.ctx, &refs).await?;
        for at in at {
            let change = &changes[at];
            let row = match &change.remote {
                Some(remote) => found.by_remote.get(remote).map(|(_, row)| row),
                None => found.by_key.get(&change.key),
            };
            outcomes[at] = self.miss(change, row);
        }
        Ok(!refs.is_empty())
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
}

#[async_trait]
impl Line for Side<'_> {
    async fn call(&self, batch: &[Change], op: &OpId) -> Result<Vec<Outcome>> {
        let ctx = self.ctx;
        match self.to {
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
                let answers = ctx.counted(ctx.job.platform.write(&ask, batch)).await;
                place.leave(ctx).await?;
                answers
            }
            Target::Warehouse => {
                let tidegate_model::schema::Source::Relation(relation) = &ctx.sync.source else {
                    return Err(Error::config("a query cannot be written").hint("name a table instead of `query:`"));
                };
                let standing = standing(ctx, batch).await?;
                let batch = standing.as_deref().unwrap_or(batch);
                ctx.job.warehouse.write(relation, &ctx.sync.key.warehouse, batch, op, &ctx.fence).await
            }
        }
    }

    fn keyed(&self) -> bool {
        let resent = self.ctx.sync.on_uncertain == OnUncertain::Resend;
        self.to == Target::Warehouse || self.ctx.abilities.keyed || resent
    }

    fn requests(&self, records: u64) -> u64 {
        match self.to {
            Target::Platform => pace::calls_of(&self.ctx.limits(self.ctx.records(records)), records),
            Target::Warehouse => 1,
        }
    }

    fn env(&self) -> &dyn Env {
        &*self.ctx.engine.env
    }

    fn cancel(&self) -> &Cancel {
        &self.ctx.options.cancel
    }
}

/// Changes of rows that are there, by their keys as they stand in the warehouse; `None` where that is what they are.
async fn standing(ctx: &Ctx, batch: &[Change]) -> Result<Option<Vec<Change>>> {
    let Some(rule) = ctx.key_rule()? else { return Ok(None) };
    let there = |change: &&Change| change.action != Action::Create;
    // Rows of a side that is only written nobody has read: how their keys stand is looked up.
    let unknown = batch.iter().filter(there).filter(|change| change.remote.is_none());
    let unknown: Vec<Key> = unknown.map(|change| change.key.clone()).collect();
    let found = folded::as_they_stand(ctx, &unknown, rule).await?;
    let named = |change: &Change| {
        let stands = match &change.remote {
            _ if change.action == Action::Create => None,
            Some(stands) => Some(Key::new(stands.as_str())),
            None => found.get(&change.key).cloned(),
        };
        Change { key: stands.unwrap_or_else(|| change.key.clone()), ..change.clone() }
    };
    Ok(Some(batch.iter().map(named).collect()))
}
