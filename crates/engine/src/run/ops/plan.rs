//! `plan`: what a run would do. Writes nothing.

use tidegate_model::change::{Action, Outcome};
use tidegate_model::error::Result;
use tidegate_model::ports::{PAGE_ROWS, ReadAsk, ReadMode};
use tidegate_model::run::Books;
use tidegate_model::sync::{Changes, Target};
use tidegate_model::value::Value;

use crate::api::{Engine, FieldChange, Job, PlanSink, PlanSummary, PlannedChange, RunOptions};
use crate::plan::guard::tripped;
use crate::plan::reconcile::{Answered, Class, TargetPlan, Verdict, settle};
use crate::run::columnar;
use crate::run::context::Ctx;
use crate::run::deliver::Delivery;
use crate::run::detect::{Plan, Reading, warehouse_ask};
use crate::run::pace;
use crate::run::records::{Looked, look};
use crate::run::retry::again;

impl Engine {
    /// What a run would do. Writes nothing.
    pub async fn plan(&self, job: &Job, options: &RunOptions, sink: &mut dyn PlanSink) -> Result<PlanSummary> {
        let job = &job.metered();
        let ctx = super::looking(self, job, options).await?;
        ctx.preflight().await?;
        let billed = job.warehouse.billed();
        if ctx.columnar() {
            return of_columns(&ctx, billed).await;
        }
        let Looked { plan, sink: mut found, outcome } = look(&ctx, None).await?;
        outcome?;
        let based_on = based_on(&ctx, &plan);
        let mut summary = PlanSummary { books: found.books, based_on, ..PlanSummary::default() };
        let guards = tripped(&ctx.sync.guards, &found.planned, &ctx.options.force_guards);
        summary.guards = guards.into_iter().map(|guard| format!("{}: {}", guard.guard, guard.why)).collect();
        for reject in std::mem::take(&mut found.rejects) {
            let key = reject.key.map_or_else(String::new, |key| key.to_string());
            let why = Some(format!("{}: {}", reject.why.rule, reject.why.reason));
            sink.change(PlannedChange {
                key,
                side: reject.to,
                action: "reject".to_owned(),
                fields: vec![],
                why,
                expect: None,
            })?;
        }
        let mut sent = [0_u64, 0];
        found.rewind()?;
        while let Some(verdict) = found.next()? {
            for change in changes(&ctx, &verdict) {
                sink.change(change)?;
            }
            sent[0] += u64::from(verdict.to_platform.change.is_some());
            sent[1] += u64::from(verdict.to_warehouse.change.is_some());
            summary.books.add(&as_if_applied(&ctx, verdict)?);
        }
        estimate(&ctx, sent, &mut summary);
        summary.bytes_to_read = price(&ctx, &reads(&ctx, &plan)?).await?;
        summary.bytes_billed = since(&ctx, billed);
        Ok(summary)
    }
}

/// The plan of a sync of columns: what it reads, and what that costs. Which rows are new the run itself finds.
async fn of_columns(ctx: &Ctx, billed: Option<u64>) -> Result<PlanSummary> {
    let told = columnar::foretold(ctx).await?;
    Ok(PlanSummary {
        whole_columns: true,
        based_on: told.read.map_or("a full read of the platform", |read| read.words(ctx.changes)).to_owned(),
        bytes_to_read: price(ctx, &told.asks).await?,
        bytes_least: told.least,
        bytes_billed: since(ctx, billed),
        ..PlanSummary::default()
    })
}

/// What a run reads of the warehouse: what this plan read.
fn reads(ctx: &Ctx, plan: &Plan) -> Result<Vec<ReadAsk>> {
    if plan.warehouse == Reading::None {
        return Ok(Vec::new());
    }
    let mut asks = Vec::from_iter(warehouse_ask(ctx, plan)?);
    if let Some(cursor) = ctx.sync.cursor.as_ref().filter(|_| ctx.changes == Changes::Cursor) {
        asks.push(whole(ctx, vec![ctx.sync.key.warehouse.clone(), cursor.column.clone()]));
    }
    let looked_up = whole(ctx, ctx.layout(Target::Warehouse)?.columns());
    let times = ctx.lookups.load(std::sync::atomic::Ordering::Relaxed);
    asks.extend((0..times).map(|_| looked_up.clone()));
    Ok(asks)
}

/// Every row of some columns: what finding the greatest cursor, or rows by key, is billed as.
pub(crate) fn whole(ctx: &Ctx, mut columns: Vec<String>) -> ReadAsk {
    let mut seen = std::collections::HashSet::new();
    columns.retain(|column| seen.insert(column.clone()));
    ReadAsk {
        source: ctx.sync.source.clone(),
        columns,
        mode: ReadMode::Unordered,
        page_rows: PAGE_ROWS,
        timezone: ctx.sync.timezone.clone(),
    }
}

/// What some reads are billed, by dry runs; `None` where nothing is billed by the byte.
async fn price(ctx: &Ctx, asks: &[ReadAsk]) -> Result<Option<u64>> {
    let warehouse = &ctx.job.warehouse;
    let mut sum = warehouse.billed().map(|_| 0);
    let mut known: Vec<(&ReadAsk, Option<u64>)> = Vec::new();
    for ask in asks {
        let bytes = match known.iter().find(|(told, _)| *told == ask) {
            Some((_, bytes)) => *bytes,
            None => again(&ctx.engine, &ctx.options.cancel, || warehouse.price(ask)).await?,
        };
        known.push((ask, bytes));
        sum = sum.zip(bytes).map(|(sum, bytes)| sum + bytes);
    }
    Ok(sum)
}

/// What this plan itself was billed.
fn since(ctx: &Ctx, before: Option<u64>) -> Option<u64> {
    ctx.job.warehouse.billed().map(|now| now.saturating_sub(before.unwrap_or(0)))
}

/// What was read for a plan, in words.
fn based_on(ctx: &Ctx, plan: &Plan) -> String {
    let warehouse = (plan.warehouse != Reading::None).then(|| plan.read.words(ctx.changes));
    let platform = match plan.platform {
        Reading::None => None,
        Reading::Complete => Some("a full read of the platform"),
        Reading::Delta => Some("the platform's changes since the last run"),
    };
    warehouse.into_iter().chain(platform).collect::<Vec<_>>().join(", and ")
}

fn estimate(ctx: &Ctx, sent: [u64; 2], summary: &mut PlanSummary) {
    ctx.work.store(sent[0], std::sync::atomic::Ordering::Relaxed);
    let batch = Delivery::batch_max(ctx) as u64;
    let calls = sent[0].div_ceil(batch);
    summary.calls = calls + sent[1].div_ceil(batch);
    let quota = &ctx.job.quota;
    summary.minutes = pace::minutes(quota, &ctx.limits(sent[0]), calls, sent[0]);
    summary.quota_share = quota.requests_per_day.map(|limit| calls as f64 / pace::part(quota, limit) as f64);
    for counts in [&mut summary.books.to_platform, &mut summary.books.to_warehouse] {
        counts.requests = 0;
    }
}

/// The counts of a record if everything that is planned for it were applied.
fn as_if_applied(ctx: &Ctx, verdict: Verdict) -> Result<Books> {
    let answer = |plan: &TargetPlan| match plan.change.as_ref().map(|change| change.action) {
        None => Answered::Nothing,
        Some(action) => {
            let effect = match action {
                Action::Create => tidegate_model::change::Effect::Created,
                Action::Update => tidegate_model::change::Effect::Updated,
                Action::Delete => tidegate_model::change::Effect::Deleted,
            };
            Answered::Outcome(Outcome::Applied { remote: None, effect, dropped: Vec::new(), stored: None })
        }
    };
    let (platform, warehouse) = (answer(&verdict.to_platform), answer(&verdict.to_warehouse));
    Ok(settle(&ctx.rules(), verdict, platform, warehouse)?.books)
}

/// The changes of a record, as a plan shows them.
pub(crate) fn changes(ctx: &Ctx, verdict: &Verdict) -> Vec<PlannedChange> {
    let mut out = Vec::new();
    for side in [Target::Platform, Target::Warehouse] {
        let plan = verdict.to(side);
        let action = match (plan.class, plan.change.as_ref().map(|change| change.action)) {
            (Class::Write, Some(Action::Create)) => "create",
            (Class::Write, Some(Action::Update)) => "update",
            (Class::Write, Some(Action::Delete)) => "delete",
            (Class::Rejected, _) => "reject",
            (Class::Held, _) => "hold",
            _ => continue,
        };
        let hidden = |name: &str| ctx.sync.redact.iter().any(|field| field == name);
        let fields = plan.writes.iter().map(|write| {
            let mapped = ctx.mapping.fields.iter().find(|field| field.id == write.id());
            let field = mapped.map_or(write.name, |field| &field.name);
            let open = |value: &Value| Some(value.clone()).filter(|_| !hidden(field));
            FieldChange {
                field: field.to_string(),
                from: write.before().and_then(open).or_else(|| image(ctx, verdict, side, write.id())),
                to: open(write.sent),
            }
        });
        let key = verdict.key.to_string();
        let expect = plan.change.as_ref().and_then(|change| change.expect.clone());
        let why = why(verdict, side, action);
        out.push(PlannedChange { key, side, action: action.to_owned(), fields: fields.collect(), why, expect });
    }
    out
}

fn image(ctx: &Ctx, verdict: &Verdict, side: Target, id: u64) -> Option<Value> {
    let name = ctx.mapping.fields.iter().find(|field| field.id == id).map(|field| field.name.to_string());
    if name.is_some_and(|name| ctx.sync.redact.contains(&name)) {
        return None;
    }
    verdict.detail.field(id)?.side(side)?.value().cloned()
}

fn why(verdict: &Verdict, side: Target, action: &str) -> Option<String> {
    match action {
        "reject" => verdict.rejects.iter().find(|r| r.to == side).map(|r| format!("{}: {}", r.why.rule, r.why.reason)),
        "hold" => {
            let note = verdict.conflicts.first().map(|c| {
                let what = c.note.clone().unwrap_or_else(|| "conflict".to_owned());
                c.field.as_ref().map_or(what.clone(), |field| format!("{what} on `{field}`"))
            });
            Some(note.unwrap_or_else(|| "the record is gone on one side".to_owned()))
        }
        _ => None,
    }
}
