//! `verify`: both sides are read back as they are and compared with what the ledger says they hold.

use async_trait::async_trait;
use tidegate_model::change::{Action, FieldReject};
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::flags;
use tidegate_model::record::Key;
use tidegate_model::run::RunRecord;
use tidegate_model::sync::{LedgerKind, Target};
use tidegate_model::value::Value;

use crate::api::{Applied, Drift, Engine, Job, RunOptions};
use crate::plan::images::{Detail, Image};
use crate::plan::map::MappedField;
use crate::plan::reconcile::{
    Asked, Class, FieldWrite, Look, Seen, TargetPlan, Verdict, Writes, changed, own_name, reconcile, target_name,
};
use crate::run::context::Ctx;
use crate::run::detect::{self, Plan, Reading};
use crate::run::looks::Taker;
use crate::run::spans::{self, IfMissed};
use crate::run::{Work, keyed, resume};

/// Differences that are listed.
const DRIFT_MAX: usize = 100_000;

impl Engine {
    /// Reads both readable sides back and reports drift.
    pub async fn verify(&self, job: &Job) -> Result<Vec<Drift>> {
        let ctx = super::looking(self, job, &RunOptions { full: true, ..RunOptions::default() }).await?;
        drift(&ctx).await
    }

    /// Mends the drift of the target sides (a plan that puts the ledger's values back).
    pub async fn repair(&self, job: &Job, drift: &[Drift]) -> Result<Applied> {
        let options = RunOptions { trigger: "manual".to_owned(), ..RunOptions::default() };
        let (run, ()) = self.recorded(job, &options, "repair", Repairing { drift }).await?;
        Ok(Applied { run, stale: Vec::new(), not_possible: Vec::new() })
    }
}

struct Repairing<'d> {
    drift: &'d [Drift],
}

impl Work for Repairing<'_> {
    type Made = ();
    async fn carry_out(self, ctx: &Ctx, run: &mut RunRecord) -> Result<()> {
        ctx.preflight().await?;
        resume::resume(ctx, run).await?;
        let verdicts = mends(ctx, self.drift).await?;
        spans::deliver(ctx, run, verdicts, IfMissed::LookAgain).await.map(drop)
    }
}

async fn drift(ctx: &Ctx) -> Result<Vec<Drift>> {
    if ctx.columnar() {
        return Err(Error::config(format!(
            "sync {} moves whole columns; there is no ledger of its records to verify",
            ctx.sync.name
        ))
        .hint("count the rows on both sides instead; `tidegate run` with a lookback reads late rows again"));
    }
    if !ctx.abilities.read {
        return Err(Error::config(format!("the platform of sync {} cannot be read back", ctx.sync.name)));
    }
    let plan = Plan { warehouse: Reading::Complete, platform: Reading::Complete, ..Plan::none("verify") };
    let mut comparison = Comparison { ctx, found: Vec::new() };
    detect::detect(ctx, &plan, &mut comparison).await?;
    Ok(comparison.found)
}

struct Comparison<'a> {
    ctx: &'a Ctx,
    found: Vec<Drift>,
}

#[async_trait]
impl Taker for Comparison<'_> {
    fn quiet(&mut self) {}
    fn keyless(&mut self, _to: Target, _why: FieldReject) -> Result<()> {
        Ok(())
    }
    fn duplicate(&mut self, _key: Key, _to: Target, _why: FieldReject) -> Result<()> {
        Ok(())
    }
    fn rejected(&self) -> u64 {
        0
    }
    async fn looks(&mut self, looks: Vec<Look>) -> Result<()> {
        looks.iter().for_each(|look| self.compare(look));
        Ok(())
    }
}

impl Comparison<'_> {
    fn compare(&mut self, look: &Look) {
        let Some(entry) = &look.entry else { return };
        if entry.flags & (flags::GONE_PLATFORM | flags::GONE_WAREHOUSE) != 0 {
            return;
        }
        for side in [Target::Platform, Target::Warehouse] {
            if !self.ctx.sync.direction.reaches(side) || self.found.len() >= DRIFT_MAX {
                continue;
            }
            match look.side(side) {
                Seen::Absent => self.missing(look, side),
                Seen::Row(row) => {
                    for (at, field) in self.ctx.mapping.fields.iter().enumerate() {
                        self.field(look, side, at, field, &row.values[at], row.updated_at);
                    }
                }
                Seen::NotRead => {}
            }
        }
    }

    fn missing(&mut self, look: &Look, side: Target) {
        if look.side(side.other()).row().is_none() {
            return;
        }
        self.found.push(Drift {
            key: look.key.to_string(),
            side,
            field: None,
            expected: None,
            found: None,
            cause: "the record was deleted there, or its key was changed".to_owned(),
        });
    }

    fn field(
        &mut self,
        look: &Look,
        side: Target,
        at: usize,
        field: &MappedField,
        now: &Value,
        updated_at: Option<i64>,
    ) {
        if !field.direction.reaches(side) {
            return;
        }
        let Some(expected) = expected(self.ctx, look, side, at, field) else { return };
        let same = match side {
            Target::Platform => field.same_on_platform(&expected, now),
            Target::Warehouse => field.same_in_warehouse(&expected, now),
        };
        if same {
            return;
        }
        let later = match (look.detail.wrote(side), updated_at) {
            (Some(wrote), Some(time)) => time > wrote.0,
            _ => false,
        };
        let cause = match (later, now.is_null()) {
            (true, _) => "changed there after our last write",
            (false, true) => "cleared there, or never kept",
            (false, false) => "changed there, or stored in another form than sent",
        };
        let hidden = self.ctx.sync.redact.iter().any(|name| *name == *field.name);
        self.found.push(Drift {
            key: look.key.to_string(),
            side,
            field: Some(field.name.to_string()),
            expected: Some(expected).filter(|_| !hidden),
            found: Some(now.clone()).filter(|_| !hidden),
            cause: cause.to_owned(),
        });
    }
}

/// What a side's field should hold: its image, or – where only fingerprints are kept – what an unchanged source maps to.
fn expected(ctx: &Ctx, look: &Look, side: Target, at: usize, field: &MappedField) -> Option<Value> {
    let images = look.detail.field(field.id)?;
    if ctx.sync.ledger == LedgerKind::Values
        && let Some(image) = images.side(side)
    {
        return image.value().cloned();
    }
    let source = &look.side(side.other()).row()?.values[at];
    let image: &Image = images.side(side.other())?;
    if changed(&ctx.rules(), field, side.other(), image, source) {
        // The source changed since: that is a pending change, no drift.
        return None;
    }
    let mapped = match side {
        Target::Platform => field.to_platform(source),
        Target::Warehouse => field.to_warehouse(source),
    };
    mapped.ok().flatten()
}

/// Writes that put the expected values back, each only while the found value still stands there.
async fn mends(ctx: &Ctx, drift: &[Drift]) -> Result<Vec<Verdict>> {
    let mut keys: Vec<Key> = drift.iter().map(|drift| Key::new(drift.key.as_str())).collect();
    keys.sort();
    keys.dedup();
    let rules = ctx.rules();
    let mut verdicts = Vec::new();
    for look in keyed::looks(ctx, &keys).await? {
        for side in [Target::Platform, Target::Warehouse] {
            let own = drift.iter().filter(|d| d.side == side && d.key == look.key.as_str());
            let writes: Writes = own.filter_map(|drift| mend(ctx, &look, side, drift)).collect();
            if writes.is_empty() {
                continue;
            }
            let mut verdict = Verdict {
                to_platform: TargetPlan::of(Class::Aside),
                to_warehouse: TargetPlan::of(Class::Aside),
                rejects: Vec::new(),
                conflicts: Vec::new(),
                remove: false,
                open: false,
                detail: Detail::clone(&look.detail),
                ..reconcile(&rules, &look)
            };
            let expect =
                writes.iter().filter_map(|write| Some((write.name.clone(), write.before()?.clone()))).collect();
            let change = Asked {
                remote: if side == Target::Platform { verdict.remote.clone() } else { own_name(&look, side) },
                action: Action::Update,
                fields: None,
                expect: Some(expect),
            };
            *verdict.to_mut(side) = TargetPlan { class: Class::Write, change: Some(change), writes, dropped: 0 };
            verdicts.push(verdict);
        }
    }
    Ok(verdicts)
}

fn mend(ctx: &Ctx, look: &Look, side: Target, drift: &Drift) -> Option<FieldWrite> {
    let at = ctx.mapping.fields.iter().position(|field| Some(&*field.name) == drift.field.as_deref())?;
    let field = &ctx.mapping.fields[at];
    let name = target_name(field, side)?;
    let source = look.side(side.other()).row().map_or(Value::Null, |row| row.values[at].clone());
    Some(FieldWrite {
        id: field.id,
        name,
        source: Some(Box::new(source)),
        sent: drift.expected.clone()?,
        before: drift.found.clone().map(Box::new),
        streak: 0,
    })
}
