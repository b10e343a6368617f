//! A run of records: resolve what is open, detect, let the guards speak, deliver, close.

use futures_util::future::join;
use tidegate_model::change::Reject;
use tidegate_model::error::{ErrorKind, Result};
use tidegate_model::ports::{Settlement, StatePatch, flags};
use tidegate_model::record::Key;
use tidegate_model::run::RunRecord;
use tidegate_model::span::Span;
use tidegate_model::sync::Target;

use crate::plan::guard::{Planned, tripped};
use crate::plan::reconcile::{Look, UNCERTAIN};

use super::context::Ctx;
use super::deliver::{Delivery, guard_error};
use super::detect::{self, Plan, Reading};
use super::history::{self, Begin};
use super::judged::OPEN_MAX;
use super::keyed;
use super::looks::{LOOK_ROWS, Taker};
use super::resume::resume;
use super::retry;
use super::shards;
use super::sink::Sink;
use super::spans;

/// How often a detection is begun in one run. It is begun anew and not resumed: a platform's read cannot go on after a
/// key (its port offers no such thing), and what was concluded from half a read of one side would have to be taken back.
const DETECTIONS_MAX: u32 = 4;

/// Runs a sync of records.
pub(crate) async fn run(ctx: &Ctx, run: &mut RunRecord) -> Result<()> {
    resume(ctx, run).await?;
    ctx.engine.env.failpoint("records.resumed");
    history::tidy(ctx).await?;
    // Resolving what was open may have moved the ledger: what follows starts from the state as it is now.
    let Looked { plan, mut sink, outcome } = look(ctx, Some(run)).await?;
    if let Err(error) = outcome {
        ahead(ctx, &mut sink, run)?;
        return Err(error);
    }
    ctx.engine.env.failpoint("records.detected");
    let tripped = tripped(&ctx.sync.guards, &sink.planned, &ctx.options.force_guards);
    if !tripped.is_empty() {
        ahead(ctx, &mut sink, run)?;
        return Err(guard_error(&ctx.sync.name, &tripped));
    }
    deliver(ctx, &plan, sink, run).await
}

/// What a detection came to.
pub(crate) struct Looked<'a> {
    pub plan: Plan,
    pub sink: Sink<'a>,
    /// Whether it came to its end.
    pub outcome: Result<()>,
}

/// Finds out what is to be done. Without a run it only looks, and moves no stream.
pub(crate) async fn look<'a>(ctx: &'a Ctx, mut run: Option<&mut RunRecord>) -> Result<Looked<'a>> {
    let (mut attempt, mut full) = (0, false);
    loop {
        attempt += 1;
        let plan = detect::plan(ctx, Begin { full, drain: run.is_some() }).await?;
        if let Some(run) = &mut run {
            run.mode = plan.mode.to_owned();
        }
        let mut sink = new_sink(ctx, &plan)?;
        let outcome = detect(ctx, &plan, &mut sink).await;
        // Also of a read that broke off: what was looked at counts. Why it broke off is what is told.
        let drained = sink.drain().await;
        let outcome = outcome.and(drained);
        sink.finish();
        let error = match (&outcome, attempt < DETECTIONS_MAX) {
            (Err(error), true) => error,
            _ => return Ok(Looked { plan, sink, outcome }),
        };
        // Nothing was written yet: a read that broke off is begun again.
        if error.kind == ErrorKind::HistoryGone && plan.read.is_history() {
            ctx.log(&format!("{}; everything is read instead", history::told(error))).await?;
            full = true;
            continue;
        }
        let random = ctx.engine.env.random();
        let Some(wait) = retry::wait_after(error, attempt, true, random) else {
            return Ok(Looked { plan, sink, outcome });
        };
        retry::pause(&*ctx.engine.env, &ctx.options.cancel, wait).await?;
    }
}

async fn detect(ctx: &Ctx, plan: &Plan, sink: &mut Sink<'_>) -> Result<()> {
    let found = detect::detect(ctx, plan, sink).await?;
    sink.drain().await?;
    sink.planned.empty_read = found.empty_read;
    // A limit leaves out what is missing: what a history says of that must not be passed over.
    sink.complete = found.complete && ctx.options.limit.is_none();
    open_records(ctx, plan, sink).await
}

/// A sink for one detection.
fn new_sink<'a>(ctx: &'a Ctx, plan: &Plan) -> Result<Sink<'a>> {
    let remember = [plan.warehouse, plan.platform].contains(&Reading::Delta);
    let planned = Planned { linked: ctx.state.linked, first_run: !ctx.state.full_settled, ..Planned::default() };
    Sink::new(ctx, planned, remember)
}

/// Records to be looked at again that join one run.
const LOOKS_MAX: usize = 100_000;

/// Records with open rejects or a person's choice, and those that are to be looked at again, join a run that reads only
/// changes of a side: they may not be among them, and the ledger may not be scanned, or have no entry of them.
async fn open_records(ctx: &Ctx, plan: &Plan, sink: &mut Sink<'_>) -> Result<()> {
    if ![plan.warehouse, plan.platform].contains(&Reading::Delta) {
        return Ok(());
    }
    let open = ctx.rejected.iter().chain(ctx.choices.keys()).chain(&ctx.rekeyed);
    let mut keys: Vec<Key> = open.cloned().collect();
    if plan.warehouse != Reading::Complete && plan.platform != Reading::Complete {
        keys.extend(ctx.engine.memory.flagged(&ctx.sync.name, flags::LOOK | flags::AHEAD, LOOKS_MAX).await?);
    }
    keys.sort();
    keys.dedup();
    let (shown, gone): (Vec<Look>, Vec<Look>) = keyed::looks(ctx, &keys).await?.into_iter().partition(shows);
    sink.over.extend(gone.into_iter().map(|look| look.key));
    let mut shown = shown.into_iter().filter(|look| !sink.has(&look.key)).collect::<Vec<_>>().into_iter();
    while !shown.as_slice().is_empty() {
        sink.looks(shown.by_ref().take(LOOK_ROWS).collect()).await?;
    }
    Ok(())
}

fn shows(look: &Look) -> bool {
    look.entry.is_some() || look.warehouse.row().is_some() || look.platform.row().is_some()
}

/// Counts everything that the run does not come to.
fn ahead(ctx: &Ctx, sink: &mut Sink<'_>, run: &mut RunRecord) -> Result<()> {
    let span = spans::span(ctx, None);
    let mut delivery = Delivery::new(ctx, &span, 0, 0);
    sink.rewind()?;
    while let Some(verdict) = sink.next()? {
        delivery.not_reached([verdict])?;
    }
    run.books.add(delivery.books());
    run.books.add(&sink.books);
    Ok(())
}

async fn deliver(ctx: &Ctx, plan: &Plan, mut sink: Sink<'_>, run: &mut RunRecord) -> Result<()> {
    let moves = sink.complete && ctx.options.direction.is_none();
    ctx.work.store(sink.verdicts, std::sync::atomic::Ordering::Relaxed);
    let span = spans::open(ctx, plan.warehouse_to.clone().filter(|_| moves)).await?;
    ctx.engine.env.failpoint("records.span_opened");
    let outcome = match shards::of(ctx, &sink) {
        // Boxed: its state is large, and most runs have none of it.
        Some(shards) => Box::pin(shards::deliver(ctx, shards, &span, &mut sink, run)).await,
        None => alone(ctx, &span, &mut sink, run).await,
    };
    run.books.add(&sink.books);
    outcome?;
    close(ctx, plan, span, sink, moves).await
}

/// Delivers everything in this process.
async fn alone(ctx: &Ctx, span: &Span, sink: &mut Sink<'_>, run: &mut RunRecord) -> Result<()> {
    let size = Delivery::batch_max(ctx);
    let mut delivery = Delivery::new(ctx, span, 0, sink.verdicts);
    sink.rewind()?;
    let mut outcome = Ok(());
    let mut next = sink.next_batch(size).await?;
    while let Some(batch) = next {
        if outcome.is_ok()
            && let Err(cancelled) = ctx.options.cancel.check()
        {
            outcome = spans::end(&mut delivery).await.and(Err(cancelled));
        }
        if outcome.is_err() {
            delivery.not_reached(batch.verdicts)?;
            next = sink.next_batch(size).await?;
            continue;
        }
        // While the store and the target have this batch, the next one is unpacked.
        let (sent, after) = join(delivery.next(batch), sink.next_batch(size)).await;
        (outcome, next) = (sent, after?);
        if outcome.is_ok() && delivery.stop.is_some() {
            outcome = spans::end(&mut delivery).await;
        }
    }
    if outcome.is_ok() {
        outcome = spans::end(&mut delivery).await;
    }
    run.books.add(delivery.books());
    outcome
}

async fn close(ctx: &Ctx, plan: &Plan, span: Span, sink: Sink<'_>, moves: bool) -> Result<()> {
    let both = plan.warehouse != Reading::Delta && plan.platform != Reading::Delta;
    let complete = moves && both;
    let whole_warehouse = moves && plan.warehouse != Reading::Delta;
    let mut sweep = Vec::new();
    if whole_warehouse && ctx.reads(Target::Warehouse) {
        sweep.push(Target::Platform);
    }
    if moves && plan.platform == Reading::Complete {
        sweep.push(Target::Warehouse);
    }
    let platform = plan.platform_to.clone().filter(|_| moves).map(|to| (ctx.state.platform.clone(), to));
    let patch = StatePatch {
        shape_hash: Some(ctx.job.shape_hash.clone()),
        mapping: if moves && whole(ctx, plan) { Some(ctx.kept_mapping()?) } else { None },
        full_settled: whole(ctx, plan) && moves,
        platform,
        ..StatePatch::default()
    };
    let mut rejects = sink.rejects;
    rejects.extend(still_uncertain(ctx).await?);
    let over = sink.over.iter();
    let both_sides = [Target::Platform, Target::Warehouse];
    let settlement = Settlement {
        rejects,
        sweep_rejects: sweep,
        sweep_conflicts: complete,
        delivered_to: over.clone().flat_map(|key| both_sides.map(|to| (key.clone(), to))).collect(),
        settled_conflicts: over.map(|key| (key.clone(), None)).collect(),
        books: sink.books,
        patch,
        ..Settlement::default()
    };
    let settled = span.to.clone().filter(|_| moves);
    ctx.engine.env.failpoint("records.before_close");
    spans::close(ctx, span, settlement).await?;
    ctx.engine.env.failpoint("records.closed");
    history::delivered(ctx, settled.as_ref()).await
}

/// Writes of earlier runs that may have arrived and that no later one has answered: they stay listed, for a read of all
/// rows closes what nobody lists again.
async fn still_uncertain(ctx: &Ctx) -> Result<Vec<Reject>> {
    if !ctx.judged.has_uncertain() {
        return Ok(Vec::new());
    }
    let open = ctx.engine.memory.rejects(Some(&ctx.sync.name), OPEN_MAX).await?.into_iter().map(|open| open.reject);
    let earlier = |reject: &Reject| reject.key.as_ref().is_some_and(|key| ctx.judged.is_uncertain(key));
    Ok(open.filter(|reject| reject.why.rule == UNCERTAIN && earlier(reject)).collect())
}

/// Whether every record was considered: all sides that are read were read as a whole, or one as a whole and the other
/// by its changes since a run that did.
fn whole(ctx: &Ctx, plan: &Plan) -> bool {
    match (ctx.reads(Target::Warehouse), ctx.reads(Target::Platform)) {
        (true, true) => plan.warehouse == Reading::Complete,
        (true, false) => plan.warehouse == Reading::Complete,
        (false, _) => plan.platform == Reading::Complete,
    }
}
