//! A large one-way upsert is delivered by several workers: the batches of all keys are planned first, a key always in
//! the same part; then whoever is free takes a part and delivers its batches in order, under the lease of the run that
//! planned them. The run that planned takes parts like the others, waits for the rest, and closes the span.

use std::sync::Arc;

use futures_util::future::{Either, select};
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::{CALL_MS_MAX, HEARTBEAT_MS, Holder, IntentBatch, Lease, Shard, ShardStanding, Shards};
use tidegate_model::record::Key;
use tidegate_model::run::RunRecord;
use tidegate_model::span::Span;
use tidegate_model::sync::{Target, WriteMode};
use tidegate_model::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::api::{Engine, Job, RunOptions};
use crate::plan::reconcile::Verdict;

use super::ask::{Answers, Intended};
use super::batch::{BATCH_BYTES_MAX, Batch};
use super::context::Ctx;
use super::deliver::Delivery;
use super::sink::Sink;
use super::spans;

/// Parts of a delivery: more than the workers that are likely to share it, so that none waits long for the last.
const PARTS: u32 = 8;
/// From so many batches on a delivery is large: below, planning all of it first costs more than sharing brings.
const LARGE_BATCHES: u64 = 32;
/// Between two looks at how the others are doing, milliseconds.
const LOOK_MS: u64 = 200;
/// How long a run that is to stop waits for the others' batches in hand, milliseconds: it has to be gone within ten
/// seconds. What is not settled by then is settled by the next run.
const STOP_MS: u64 = 5_000;
/// Where batches of records that are looked at again are numbered: above all that are planned.
const AGAIN_FIRST: u32 = 1 << 20;
/// How many of them one taking of a part may number.
const AGAIN_MAX: u32 = 1 << 14;

/// Where parts are kept, if this delivery is one for several workers.
pub(super) fn of(ctx: &Ctx, sink: &Sink<'_>) -> Option<Arc<dyn Shards>> {
    let shards = ctx.options.shards.clone()?;
    // A part may change hands while a call of it is on its way: a target that would take a record twice is not for several.
    let keyed = ctx.abilities.keyed;
    let upsert = ctx.sync.write == WriteMode::Upsert && !ctx.sync.two_way() && ctx.targets() == [Target::Platform];
    let large = sink.verdicts >= LARGE_BATCHES.saturating_mul(Delivery::batch_max(ctx) as u64);
    (keyed && upsert && large).then_some(shards)
}

fn part_of(key: &Key) -> u32 {
    u32::try_from(xxh3_64(key.as_str().as_bytes()) % u64::from(PARTS)).unwrap_or(0)
}

fn holder(ctx: &Ctx) -> Holder {
    Holder { name: ctx.engine.holder.clone(), process: ctx.engine.env.process() }
}

/// Delivers what was spooled, with whoever helps. Counts all of it but the quiet records.
pub(super) async fn deliver(
    ctx: &Ctx,
    shards: Arc<dyn Shards>,
    span: &Span,
    sink: &mut Sink<'_>,
    run: &mut RunRecord,
) -> Result<()> {
    // What was resumed before is in the state's books, but for its calls.
    let calls = [run.books.to_platform.requests, run.books.to_warehouse.requests];
    let mut open: Vec<Open> = (0..PARTS).map(|number| Open { number, ..Open::default() }).collect();
    let mut outcome = plan(ctx, &*shards, span, sink, &mut open).await;
    if outcome.is_ok() {
        ctx.engine.env.failpoint("shards.offered");
        outcome = carry(ctx, &shards, span).await;
    }
    // Nothing that is not begun yet is begun any more; where all went well nothing is left.
    let mut rest = Delivery::new(ctx, span, 0, 0);
    while let Some(batch) = shards.drop_planned(&ctx.lease, &span.id).await? {
        rest.not_reached(Batch::read(&batch.payload)?)?;
    }
    // Of a plan that broke off, what never came into it.
    rest.not_reached(open.into_iter().flat_map(|open| open.verdicts))?;
    while let Some(verdict) = sink.next()? {
        rest.not_reached([verdict])?;
    }
    let standings = ended(ctx, &*shards, span, outcome.is_err()).await?;
    if let Some(settled) = ctx.engine.memory.run(&ctx.run).await? {
        run.books = settled.books;
    }
    run.books.to_platform.requests += calls[0];
    run.books.to_warehouse.requests += calls[1];
    standings.iter().for_each(|one| run.books.add(&one.apart));
    run.books.add(rest.books());
    let stopped = standings.into_iter().find_map(|one| one.stop);
    stopped.map_or(outcome, Err)
}

/// The next batch of a part, while it fills.
#[derive(Default)]
struct Open {
    number: u32,
    verdicts: Vec<Verdict>,
    /// Packed.
    bytes: usize,
}

/// Plans all batches, a key always in the same part, and offers the parts. `open` holds the next batch of each.
async fn plan(ctx: &Ctx, shards: &dyn Shards, span: &Span, sink: &mut Sink<'_>, open: &mut [Open]) -> Result<()> {
    let size = Delivery::batch_max(ctx);
    sink.rewind()?;
    while let Some(verdict) = sink.next()? {
        let part = part_of(&verdict.key);
        let Some(open) = open.get_mut(part as usize) else { continue };
        open.verdicts.push(verdict);
        open.bytes += sink.bytes();
        if open.verdicts.len() >= size || open.bytes >= BATCH_BYTES_MAX {
            ctx.options.cancel.check()?;
            let next = Open { number: open.number + PARTS, ..Open::default() };
            let full = std::mem::replace(open, next);
            keep(ctx, shards, span, full.number, full.verdicts).await?;
        }
    }
    for open in open {
        if !open.verdicts.is_empty() {
            keep(ctx, shards, span, open.number, std::mem::take(&mut open.verdicts)).await?;
        }
    }
    let offered = (0..PARTS).map(|number| Shard {
        span: span.id.clone(),
        number,
        parts: PARTS,
        sync: ctx.sync.name.clone(),
        run: ctx.run.clone(),
        epoch: ctx.lease.epoch,
        config_hash: ctx.job.config_hash.clone(),
        records: sink.verdicts,
        taken: 0,
        forced: ctx.options.force_guards.clone(),
    });
    shards.offer(&ctx.lease, &offered.collect::<Vec<_>>()).await?;
    ctx.log(&format!("{} records are delivered in {PARTS} parts, by whoever is free", sink.verdicts)).await
}

async fn keep(ctx: &Ctx, shards: &dyn Shards, span: &Span, number: u32, verdicts: Vec<Verdict>) -> Result<()> {
    let payload = Batch::of(verdicts)?.journal();
    let batch = IntentBatch { span: span.id.clone(), number, to: Target::Platform, payload, answer: None };
    shards.plan_batch(&ctx.lease, &batch, number % PARTS).await
}

/// Takes part after part, and waits for those that others have.
async fn carry(ctx: &Ctx, shards: &Arc<dyn Shards>, span: &Span) -> Result<()> {
    let env = &*ctx.engine.env;
    loop {
        ctx.options.cancel.check()?;
        if let Some(part) = take(ctx, &**shards, Some(&span.id)).await? {
            match Box::pin(one(ctx, &**shards, &part, span)).await {
                // The part alone was taken over, from one that was silent too long: unless the run is lost as well.
                Err(error) if error.kind == ErrorKind::LeaseLost => {
                    ctx.engine.memory.heartbeat(&ctx.lease, env.now()).await?;
                }
                done => done?,
            }
            continue;
        }
        let all = shards.standings(&span.id).await?;
        if all.iter().all(|one| one.ended) || all.iter().any(|one| one.stop.is_some()) {
            return Ok(());
        }
        free(ctx, &**shards, span, &all).await?;
        env.sleep(LOOK_MS).await;
    }
}

/// The first part that may be taken.
async fn take(ctx: &Ctx, shards: &dyn Shards, span: Option<&str>) -> Result<Option<Shard>> {
    let now = ctx.engine.env.now();
    for open in shards.open_shards(span, now).await? {
        if let Some(taken) = shards.take_shard(&open, &holder(ctx), now).await? {
            return Ok(Some(taken));
        }
    }
    Ok(None)
}

/// Gives back the parts of processes of this machine that are surely gone: they need not fall silent first.
async fn free(ctx: &Ctx, shards: &dyn Shards, span: &Span, all: &[ShardStanding]) -> Result<()> {
    for one in all {
        if let Some(Holder { name, process: Some(process) }) = &one.holder
            && ctx.engine.env.is_gone(process)
            && shards.give_shard_back(&span.id, one.number, name).await?
        {
            ctx.log(&format!("the process that delivered part {} has ended; it goes on elsewhere", one.number + 1))
                .await?;
        }
    }
    Ok(())
}

/// Waits until nobody has a batch in hand any more: in a run that went well until all has ended, else a while.
async fn ended(ctx: &Ctx, shards: &dyn Shards, span: &Span, stopping: bool) -> Result<Vec<ShardStanding>> {
    let env = &*ctx.engine.env;
    let begun = env.now();
    let patience = if stopping { STOP_MS } else { HEARTBEAT_MS + CALL_MS_MAX };
    loop {
        let all = shards.standings(&span.id).await?;
        free(ctx, shards, span, &all).await?;
        let waited = u64::try_from(env.now().millis_since(begun)).unwrap_or(0);
        if all.iter().all(|one| one.holder.is_none()) || waited > patience {
            return Ok(all);
        }
        env.sleep(LOOK_MS).await;
    }
}

/// Delivers a part, with signs of life beside it. An error means that it is not ended, and whose it is now.
async fn one(ctx: &Ctx, shards: &dyn Shards, part: &Shard, span: &Span) -> Result<()> {
    let name = &ctx.engine.holder;
    let line = format!("part {} of {} is delivered by {name}", part.number + 1, part.parts);
    ctx.log(&line).await?;
    let alive = std::pin::pin!(alive(ctx, shards, part));
    let work = std::pin::pin!(batches(ctx, shards, part, span));
    let done = match select(work, alive).await {
        Either::Left((done, _)) => done,
        Either::Right((lost, _)) => Err(lost),
    };
    match done {
        Ok(()) => Ok(()),
        // Others go on with it, or the run ends as a whole.
        Err(error) if error.kind == ErrorKind::Cancelled => {
            shards.give_shard_back(&part.span, part.number, name).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// Signs of life, until the part is no longer ours.
async fn alive(ctx: &Ctx, shards: &dyn Shards, part: &Shard) -> Error {
    loop {
        ctx.engine.env.sleep(HEARTBEAT_MS).await;
        if let Err(error) = shards.beat_shard(part, &ctx.engine.holder, ctx.engine.env.now()).await {
            return error;
        }
    }
}

async fn batches(ctx: &Ctx, shards: &dyn Shards, part: &Shard, span: &Span) -> Result<()> {
    let name = &ctx.engine.holder;
    let first = (AGAIN_FIRST + part.taken.saturating_mul(AGAIN_MAX)).saturating_mul(part.parts) + part.number;
    let mut delivery = Delivery::of_part(ctx, span, first, (shards, part));
    let mut outcome = left_over(ctx, part, &mut delivery).await;
    while outcome.is_ok() && delivery.stop.is_none() {
        if let Err(cancelled) = ctx.options.cancel.check() {
            outcome = spans::end(&mut delivery).await.and(Err(cancelled));
            break;
        }
        let Some(batch) = shards.next_planned(part, name, now(ctx)).await? else { break };
        ctx.engine.env.failpoint("shards.taken");
        let verdicts = Batch::read(&batch.payload)?;
        let intended = Intended { number: Some(batch.number), verdicts, answers: Answers::default() };
        outcome = delivery.next_intended(intended).await;
    }
    if outcome.is_ok() {
        outcome = spans::end(&mut delivery).await;
    }
    match &outcome {
        // What the store or the lease refuses is not the part's end.
        Err(error) if matches!(error.kind, ErrorKind::LeaseLost | ErrorKind::Cancelled) => {}
        _ => shards.end_shard(part, name, outcome.as_ref().err(), delivery.apart()).await?,
    }
    match outcome {
        Err(error) if matches!(error.kind, ErrorKind::LeaseLost | ErrorKind::Cancelled) => Err(error),
        _ => Ok(()),
    }
}

fn now(ctx: &Ctx) -> Instant {
    ctx.engine.env.now()
}

/// What whoever had the part before had in hand is resolved first, as after a crash.
async fn left_over(ctx: &Ctx, part: &Shard, delivery: &mut Delivery<'_>) -> Result<()> {
    if part.taken < 2 {
        return Ok(());
    }
    for open in ctx.engine.memory.open_spans(&part.sync).await? {
        for batch in
            open.batches.iter().filter(|batch| open.span.id == part.span && batch.number % part.parts == part.number)
        {
            ctx.resumed.store(true, std::sync::atomic::Ordering::Relaxed);
            let answers: Answers = match &batch.answer {
                Some(bytes) => postcard::from_bytes(bytes)
                    .map_err(|error| Error::internal("read the answers of another worker").cause(error))?,
                None => Answers::default(),
            };
            let intended = Intended { number: Some(batch.number), verdicts: Batch::read(&batch.payload)?, answers };
            delivery.carry_out(intended, true).await?;
        }
    }
    Ok(())
}

impl Engine {
    /// Delivers the parts of another process's run, beginning with one that was taken, until none of it is left.
    pub async fn help(&self, job: &Job, options: &RunOptions, shards: &Arc<dyn Shards>, taken: Shard) -> Result<()> {
        let name = self.holder.clone();
        let options = &RunOptions { force_guards: taken.forced.clone(), ..options.clone() };
        let lease = Lease { sync: taken.sync.clone(), holder: name.clone(), epoch: taken.epoch };
        let ready = async {
            let ctx = Ctx::open(self, job, options, lease, &taken.run).await?;
            let open = self.memory.open_spans(&taken.sync).await?;
            let span = open.into_iter().find(|open| open.span.id == taken.span).map(|open| open.span);
            Ok::<_, Error>((ctx, span))
        };
        let (mut ctx, span) = match ready.await {
            Ok((ctx, Some(span))) => (ctx, span),
            // It was closed meanwhile, and its parts with it.
            Ok((_, None)) => return Ok(()),
            Err(error) => {
                shards.give_shard_back(&taken.span, taken.number, &name).await?;
                return Err(error);
            }
        };
        ctx.work.store(taken.records, std::sync::atomic::Ordering::Relaxed);
        let mut part = Some(taken);
        while let Some(taken) = part {
            ctx.part = Some((Arc::clone(shards), taken.clone()));
            Box::pin(one(&ctx, &**shards, &taken, &span)).await?;
            part = take(&ctx, &**shards, Some(&span.id)).await?;
        }
        Ok(())
    }
}
