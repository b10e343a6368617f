//! `apply`: a plan file is carried out as far as its before-values still hold.

use std::collections::BTreeMap;

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::Settlement;
use tidegate_model::record::Key;
use tidegate_model::run::RunRecord;
use tidegate_model::span::Span;
use tidegate_model::sync::Target;

use crate::api::{Applied, Engine, Job, PlanFile, PlannedChange, RunOptions};
use crate::plan::reconcile::{Class, TargetPlan, Verdict};
use crate::run::context::Ctx;
use crate::run::deliver::Delivery;
use crate::run::{keyed, resume};

/// A plan is good for a day.
const PLAN_MS_MAX: i64 = 24 * 3_600 * 1_000;

impl Engine {
    /// Carries out a plan file: refuses on a changed configuration, an expired plan (24 h) or a broken guard.
    pub async fn apply(&self, job: &Job, plan: &PlanFile) -> Result<Applied> {
        refuse(self, job, plan)?;
        let options = RunOptions { trigger: "manual".to_owned(), ..RunOptions::default() };
        let mut stale = Vec::new();
        let run = self
            .recorded(job, &options, "apply", async |ctx: &Ctx, run: &mut RunRecord| {
                ctx.preflight().await?;
                resume::resume(ctx, run).await?;
                let (verdicts, left) = still_good(ctx, plan).await?;
                stale = left;
                deliver(ctx, run, verdicts).await
            })
            .await?;
        Ok(Applied { run, stale, not_possible: Vec::new() })
    }
}

fn refuse(engine: &Engine, job: &Job, plan: &PlanFile) -> Result<()> {
    let name = &job.sync.name;
    let again = format!("make a new one: `tidegate plan {name} --out FILE`");
    if plan.sync != *name {
        return Err(Error::config(format!("the plan is of sync {}, not of {name}", plan.sync)));
    }
    if plan.config_hash != job.config_hash {
        return Err(
            Error::config(format!("the configuration of sync {name} changed since the plan was made")).hint(again)
        );
    }
    let age_ms = engine.env.now().millis_since(plan.planned_at);
    if age_ms > PLAN_MS_MAX {
        return Err(
            Error::config(format!("the plan is {} hours old; plans expire after 24", age_ms / 3_600_000)).hint(again)
        );
    }
    if let Some(guard) = plan.summary.guards.first() {
        return Err(Error::new(ErrorKind::Guard, format!("the plan breaks a guard: {guard}"))
            .hint("make a plan with `--force-guard NAME` if that is what you want"));
    }
    Ok(())
}

/// The verdicts that come to the same changes as the plan; the plan's other changes are stale.
async fn still_good(ctx: &Ctx, plan: &PlanFile) -> Result<(Vec<Verdict>, Vec<PlannedChange>)> {
    let writes = plan.changes.iter().filter(|change| matches!(change.action.as_str(), "create" | "update" | "delete"));
    let mut by_key: BTreeMap<Key, Vec<&PlannedChange>> = BTreeMap::new();
    for change in writes {
        by_key.entry(Key::new(change.key.as_str())).or_default().push(change);
    }
    let keys: Vec<Key> = by_key.keys().cloned().collect();
    let mut good = Vec::new();
    for mut verdict in keyed::verdicts(ctx, &keys).await? {
        let Some(planned) = by_key.get_mut(&verdict.key) else { continue };
        let now = super::plan::changes(ctx, &verdict);
        for side in [Target::Platform, Target::Warehouse] {
            let wanted = planned.iter().position(|change| change.side == side);
            let matches = wanted.is_some_and(|at| now.iter().any(|change| same(change, planned[at])));
            if matches {
                wanted.map(|at| planned.swap_remove(at));
            } else {
                verdict.open |= verdict.to(side).class == Class::Write;
                *verdict.to_mut(side) = TargetPlan::of(Class::Aside);
            }
        }
        if verdict.writes() {
            good.push(verdict);
        }
    }
    Ok((good, by_key.into_values().flatten().cloned().collect()))
}

fn same(a: &PlannedChange, b: &PlannedChange) -> bool {
    a.side == b.side && a.action == b.action && a.fields == b.fields && a.expect == b.expect
}

/// Delivers verdicts in a span of their own, which moves no position.
pub(super) async fn deliver(ctx: &Ctx, run: &mut RunRecord, verdicts: Vec<Verdict>) -> Result<()> {
    let size = Delivery::batch_max(ctx);
    let span = Span {
        id: ctx.engine.env.new_id(),
        sync: ctx.sync.name.clone(),
        run: ctx.run.clone(),
        from: ctx.state.warehouse.clone(),
        to: ctx.state.warehouse.clone(),
        batch_rows: u32::try_from(size).unwrap_or(u32::MAX),
    };
    ctx.engine.memory.open_span(&ctx.lease, &span).await?;
    let mut delivery = Delivery::new(ctx, &span, 0, verdicts.len() as u64);
    let mut outcome = Ok(());
    let mut rest = verdicts.into_iter();
    loop {
        let batch: Vec<Verdict> = rest.by_ref().take(size).collect();
        if batch.is_empty() {
            break;
        }
        if outcome.is_err() {
            batch.into_iter().for_each(|verdict| delivery.not_reached(verdict));
            continue;
        }
        outcome = delivery.batch(batch).await;
        if let (Ok(()), Some(stop)) = (&outcome, delivery.stop.take()) {
            outcome = Err(stop);
        }
    }
    run.books.add(&delivery.books);
    outcome?;
    let settlement = Settlement { run: ctx.run.clone(), close: Some(span), ..Settlement::default() };
    ctx.engine.memory.settle(&ctx.lease, &settlement).await
}
