//! Records by key: read from both sides and the ledger now, and reconciled.

use tidegate_model::error::Result;
use tidegate_model::record::Key;
use tidegate_model::sync::Target;

use crate::plan::reconcile::{Look, Seen, Verdict, reconcile};

use super::context::Ctx;
use super::detect::{Plan, Reading};
use super::looks::{Looks, Pending};

/// Looks at these records as they stand now.
pub(crate) async fn looks(ctx: &Ctx, keys: &[Key]) -> Result<Vec<Look>> {
    looks_at(ctx, keys, |side| ctx.reads(side)).await
}

/// Looks at these records on both sides, also on one that the sync only writes, as far as it can be read by key.
pub(crate) async fn both_sides(ctx: &Ctx, keys: &[Key]) -> Result<Vec<Look>> {
    looks_at(ctx, keys, |side| ctx.reads(side) || side == Target::Warehouse || ctx.abilities.fetch).await
}

async fn looks_at(ctx: &Ctx, keys: &[Key], reads: impl Fn(Target) -> bool) -> Result<Vec<Look>> {
    let reading = |side: Target| if reads(side) { Reading::Delta } else { Reading::None };
    let (warehouse, platform) = (reading(Target::Warehouse), reading(Target::Platform));
    let plan = Plan { warehouse, platform, ..Plan::none("keys") };
    let looks = Looks::new(ctx, &plan);
    let seen = |reading: Reading| if reading == Reading::None { Some(Seen::NotRead) } else { None };
    let mut out = Vec::with_capacity(keys.len());
    for part in keys.chunks(super::looks::LOOK_ROWS) {
        let pending = part.iter().map(|key| Pending {
            key: key.clone(),
            warehouse: seen(plan.warehouse),
            platform: seen(plan.platform),
            unknown: false,
        });
        out.extend(looks.complete_looks(pending.collect()).await?);
    }
    Ok(out)
}

/// Verdicts over these records as they stand now.
pub(crate) async fn verdicts(ctx: &Ctx, keys: &[Key]) -> Result<Vec<Verdict>> {
    let rules = ctx.rules();
    Ok(looks(ctx, keys).await?.iter().map(|look| reconcile(&rules, look)).collect())
}
