//! `apply`: a plan file is carried out as far as its before-values still hold.

use std::collections::BTreeMap;

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::record::Key;
use tidegate_model::run::RunRecord;
use tidegate_model::sync::Target;

use crate::api::{Applied, Engine, Job, PlanFile, PlannedChange, RunOptions};
use crate::plan::reconcile::{Class, TargetPlan, Verdict};
use crate::run::context::Ctx;
use crate::run::spans::{self, IfMissed};
use crate::run::{Work, keyed, resume};

/// A plan is good for a day.
const PLAN_MS_MAX: i64 = 24 * 3_600 * 1_000;

impl Engine {
    /// Carries out a plan file: refuses on a changed configuration, an expired plan (24 h) or a broken guard.
    pub async fn apply(&self, job: &Job, plan: &PlanFile) -> Result<Applied> {
        refuse(self, job, plan)?;
        let options = RunOptions { trigger: "manual".to_owned(), ..RunOptions::default() };
        let (run, stale) = self.recorded(job, &options, "apply", Applying { plan }).await?;
        Ok(Applied { run, stale, not_possible: Vec::new() })
    }
}

struct Applying<'p> {
    plan: &'p PlanFile,
}

impl Work for Applying<'_> {
    /// The changes that were left out.
    type Made = Vec<PlannedChange>;
    async fn carry_out(self, ctx: &Ctx, run: &mut RunRecord) -> Result<Vec<PlannedChange>> {
        ctx.preflight().await?;
        resume::resume(ctx, run).await?;
        let (verdicts, stale) = still_good(ctx, self.plan).await?;
        spans::deliver(ctx, run, verdicts, IfMissed::LookAgain).await?;
        Ok(stale)
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
