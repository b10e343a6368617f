//! Detection: both sides and the ledger, merged in key order. What is quiet is counted; what is not is looked at.

use tidegate_model::change::{FieldReject, Reject};
use tidegate_model::error::Result;
use tidegate_model::page::{Held, Pages};
use tidegate_model::ports::{PAGE_ROWS, PlatformAsk, PlatformRead, Print, Progress, ReadAsk, ReadMode};
use tidegate_model::record::Key;
use tidegate_model::span::Position;
use tidegate_model::sync::{Changes, Target};

use crate::plan::prints::NO_PRINT;
use crate::plan::reconcile::Seen;

use super::context::Ctx;
use super::goes_on::GoesOn;
use super::history::{self, Begin, Read};
use super::ledger::Ledger;
use super::looks::{Looks, Pending, Taker};
use super::retry::{again, opened};
use super::rows::{Layout, Rows};
use super::sorted;

/// What a side's stream tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The side is not read.
    None,
    /// Every record: what is missing is gone.
    Complete,
    /// Changed records only.
    Delta,
}

/// How both sides are read, and where they stand afterwards.
pub(crate) struct Plan {
    pub warehouse: Reading,
    pub platform: Reading,
    pub warehouse_to: Option<Position>,
    pub platform_to: Option<Position>,
    /// What is read of the warehouse, if it is read.
    pub read: Read,
    pub mode: &'static str,
}

impl Plan {
    /// Reads nothing, and moves nothing.
    pub fn none(mode: &'static str) -> Self {
        let read = Read::Full { at: None };
        let (warehouse, platform) = (Reading::None, Reading::None);
        Self { warehouse, platform, warehouse_to: None, platform_to: None, read, mode }
    }
}

/// Decides how both sides are read.
pub(crate) async fn plan(ctx: &Ctx, begin: Begin) -> Result<Plan> {
    let fresh = ctx.state.mapping != ctx.kept_mapping()?;
    let begin = Begin { full: begin.full || ctx.options.full || fresh, ..begin };
    let mut plan = Plan::none("full");
    if ctx.reads(Target::Warehouse) {
        plan.warehouse = Reading::Complete;
        match ctx.changes {
            Changes::Cursor => by_cursor(ctx, begin, &mut plan).await?,
            Changes::Tracking | Changes::Stream => {
                let found = history::begin(ctx, begin).await?;
                (plan.read, plan.warehouse_to) = (found.read, found.to);
                if plan.read.is_history() {
                    plan.warehouse = Reading::Delta;
                    plan.mode = history::word(ctx);
                }
            }
            Changes::Full | Changes::Auto => {}
        }
    }
    if ctx.reads(Target::Platform) {
        by_platform(ctx, begin, &mut plan).await?;
    }
    Ok(plan)
}

async fn by_cursor(ctx: &Ctx, begin: Begin, plan: &mut Plan) -> Result<()> {
    let sync = &ctx.sync;
    let Some(cursor) = &sync.cursor else { return Ok(()) };
    let ask = || ctx.job.warehouse.bound(&sync.source, &cursor.column, &sync.key.warehouse);
    let bound = again(&ctx.engine, &ctx.options.cancel, ask).await?;
    super::cursor::refuse_backwards(ctx, bound.as_ref())?;
    plan.warehouse_to = bound.map(Position::Cursor).or_else(|| ctx.state.warehouse.clone());
    if !begin.full && matches!(ctx.state.warehouse, Some(Position::Cursor(_))) {
        (plan.warehouse, plan.read, plan.mode) = (Reading::Delta, Read::Cursor, "cursor");
    }
    Ok(())
}

async fn by_platform(ctx: &Ctx, begin: Begin, plan: &mut Plan) -> Result<()> {
    plan.platform = Reading::Complete;
    if !ctx.abilities.changes || ctx.options.limit.is_some() {
        return Ok(());
    }
    let ask = || ctx.job.platform.mark(&ctx.sync.model);
    plan.platform_to = Some(Position::Mark(again(&ctx.engine, &ctx.options.cancel, ask).await?));
    let narrowed = !ctx.sync.filter.is_empty();
    if !begin.full && !narrowed && matches!(ctx.state.platform, Some(Position::Mark(_))) {
        plan.platform = Reading::Delta;
        if plan.warehouse != Reading::Complete && !plan.read.is_history() {
            plan.mode = "changes";
        }
    }
    Ok(())
}

/// Reads both sides and hands every record that is not quiet to the sink.
pub(crate) async fn detect(ctx: &Ctx, plan: &Plan, sink: &mut dyn Taker) -> Result<Detected> {
    let warehouse = match plan.warehouse {
        Reading::None => None,
        _ => Some(open_warehouse(ctx, plan).await?),
    };
    let platform = match plan.platform {
        Reading::None => None,
        reading => Some(open_platform(ctx, reading).await?),
    };
    let scanned = plan.warehouse == Reading::Complete || plan.platform == Reading::Complete;
    let memory = &*ctx.engine.memory;
    let ledger = if scanned { Ledger::new(memory, &ctx.sync.name) } else { Ledger::none(memory, &ctx.sync.name) };
    let looks = Looks::new(ctx, plan);
    let mut merge = Merge { ctx, plan, warehouse, platform, ledger, looks, sink, scanned, rows: 0, cut: false };
    merge.run().await?;
    let (rows, cut) = (merge.rows, merge.cut);
    let empty = |reading: Reading, rows: &Option<Rows>| {
        reading == Reading::Complete && rows.as_ref().is_some_and(|rows| rows.rows_read == 0)
    };
    let nothing = empty(plan.warehouse, &merge.warehouse) || empty(plan.platform, &merge.platform);
    tracing::debug!(rows, "detected");
    Ok(Detected { complete: !cut, empty_read: nothing && ctx.state.linked > 0 })
}

/// How detection ended.
pub(crate) struct Detected {
    /// Every record was considered.
    pub complete: bool,
    /// A side that was read as a whole gave no row, although records are linked.
    pub empty_read: bool,
}

async fn open_warehouse(ctx: &Ctx, plan: &Plan) -> Result<Rows> {
    let layout = ctx.layout(Target::Warehouse)?;
    let rule = ctx.key_rule()?.map(sorted::KeyRule::standing);
    let Some(ask) = warehouse_ask(ctx, plan)? else {
        return Ok(Rows::new(Box::new(Held(Default::default())), layout));
    };
    let in_order = matches!(ask.mode, ReadMode::Full { .. });
    let pinned = matches!(&ask.mode, ReadMode::Full { at: Some(_), .. });
    let pages: Pages = match pinned {
        true => {
            let (engine, warehouse) = (&ctx.engine, ctx.job.warehouse.clone());
            let pages = opened(&*warehouse, &ctx.options.cancel, ask.clone()).await?;
            Box::new(GoesOn::new(warehouse, ask, engine.env.clone(), ctx.options.cancel.clone(), pages))
        }
        false => opened(&*ctx.job.warehouse, &ctx.options.cancel, ask).await?,
    };
    let plain = sorted::KeyRule::plain(0);
    let pages = match (in_order, &rule) {
        (true, _) => pages,
        (false, rule) => sorted::sorted(pages, rule.as_ref().unwrap_or(&plain), &ctx.engine.env).await?,
    };
    Ok(Rows::new(pages, layout))
}

/// What is asked of the warehouse; `None` where it said that nothing changed.
pub(crate) fn warehouse_ask(ctx: &Ctx, plan: &Plan) -> Result<Option<ReadAsk>> {
    let columns = ctx.layout(Target::Warehouse)?.columns();
    let key = ctx.sync.key.warehouse.clone();
    let mode = match (&plan.read, ctx.key_rule()?) {
        (Read::Nothing, _) => return Ok(None),
        (Read::Cursor, _) => super::cursor::read_mode(ctx, plan.warehouse_to.as_ref())?,
        (Read::Window { from, to }, _) => ReadMode::Changes { key, from: from.clone(), to: to.clone(), added: false },
        (Read::Outbox { outbox, through }, _) => ReadMode::Outbox { key, outbox: outbox.clone(), through: *through },
        (Read::Full { .. }, Some(_)) => ReadMode::Unordered,
        (Read::Full { at }, None) => ReadMode::Full { key, after: None, at: at.clone() },
    };
    Ok(Some(ReadAsk {
        source: ctx.sync.source.clone(),
        columns,
        mode,
        page_rows: PAGE_ROWS,
        timezone: ctx.sync.timezone.clone(),
    }))
}

/// All records of the platform, in its own order.
pub(crate) async fn all_of_platform(ctx: &Ctx, layout: &Layout) -> Result<Pages> {
    read_platform(ctx, layout, PlatformRead::Full).await
}

async fn read_platform(ctx: &Ctx, layout: &Layout, mode: PlatformRead) -> Result<Pages> {
    let ask = PlatformAsk {
        model: ctx.sync.model.clone(),
        key: layout.key.clone(),
        fields: layout.fields(),
        filter: ctx.sync.filter.clone(),
        mode,
        page_rows: PAGE_ROWS,
    };
    ctx.job.platform.read(ask).await
}

async fn open_platform(ctx: &Ctx, reading: Reading) -> Result<Rows> {
    let layout = ctx.layout(Target::Platform)?;
    let mode = match (reading, &ctx.state.platform) {
        (Reading::Delta, Some(Position::Mark(mark))) => PlatformRead::Since(mark.clone()),
        _ => PlatformRead::Full,
    };
    let pages = read_platform(ctx, &layout, mode).await?;
    if ctx.abilities.ordered {
        return Ok(Rows::new(pages, layout));
    }
    // The key stands after the remote id in a platform's page.
    let rule = sorted::KeyRule::plain(1);
    Ok(Rows::new(sorted::sorted(pages, &rule, &ctx.engine.env).await?, layout))
}

struct Merge<'a> {
    ctx: &'a Ctx,
    plan: &'a Plan,
    warehouse: Option<Rows>,
    platform: Option<Rows>,
    ledger: Ledger<'a>,
    looks: Looks<'a>,
    sink: &'a mut dyn Taker,
    scanned: bool,
    rows: u64,
    cut: bool,
}

/// What one side showed under the key in hand.
struct Shown {
    seen: Option<Seen>,
    /// Rows.
    copies: u64,
    /// Rows that say that it is gone.
    gone: u64,
}

impl Merge<'_> {
    async fn run(&mut self) -> Result<()> {
        let mut key = String::new();
        self.looks.ledger_empty = self.scanned && !self.ledger.ready().await?;
        loop {
            if self.rows.is_multiple_of(4_096) {
                self.tick()?;
            }
            self.keyless().await?;
            if !self.next_key(&mut key).await? {
                break;
            }
            if self.ctx.options.limit.is_some_and(|limit| self.rows >= limit) {
                self.cut = true;
                break;
            }
            self.one(&key).await?;
        }
        self.looks.flush(self.sink).await
    }

    fn tick(&self) -> Result<()> {
        self.ctx.options.cancel.check()?;
        let total = self.ctx.relation.rows_estimate;
        let progress = Progress { phase: "read", rows: self.rows, total, rejected: self.sink.rejected() };
        self.ctx.engine.listener.progress(&self.ctx.sync.name, &progress);
        Ok(())
    }

    /// Rows without a usable key come first and are rejects.
    async fn keyless(&mut self) -> Result<()> {
        for (side, rows) in [(Target::Warehouse, &mut self.warehouse), (Target::Platform, &mut self.platform)] {
            let Some(rows) = rows else { continue };
            while rows.ready().await? && rows.key().is_none_or(str::is_empty) {
                let gone = rows.current().is_some_and(|(page, row)| page.deleted(row));
                let (rule, what) = if rows.key().is_none() { ("null_key", "NULL") } else { ("empty_key", "empty") };
                rows.advance()?;
                self.rows += 1;
                if gone {
                    continue;
                }
                let reason = format!("the key column `{}` is {what}; a record needs a key", rows.layout.key);
                self.sink.keyless(side.other(), FieldReject::record(rule, reason))?;
            }
        }
        Ok(())
    }

    /// The least key of the three streams.
    async fn next_key(&mut self, key: &mut String) -> Result<bool> {
        let mut least: Option<&str> = None;
        if let Some(rows) = &mut self.warehouse
            && rows.ready().await?
        {
            least = rows.key();
        }
        if let Some(rows) = &mut self.platform
            && rows.ready().await?
        {
            least = lesser(least, rows.key());
        }
        if self.ledger.ready().await? {
            least = lesser(least, self.ledger.current().map(|entry| entry.key.as_str()));
        }
        key.clear();
        key.push_str(least.unwrap_or_default());
        Ok(least.is_some())
    }

    async fn one(&mut self, key: &str) -> Result<()> {
        let entry = match self.ledger.ready().await? {
            true => self.ledger.current().filter(|entry| entry.key.as_str() == key).cloned(),
            false => None,
        };
        if entry.is_some() {
            self.ledger.advance();
        }
        let known = entry.as_ref().filter(|entry| entry.flags == 0);
        let known = known.filter(|entry| !self.ctx.choices.contains_key(entry.key.as_str()));
        let warehouse = peek(&mut self.warehouse, key).await?;
        let platform = peek(&mut self.platform, key).await?;
        let quiet = |reading: Reading, shown: Option<Print>, old: Print| match (reading, shown) {
            (Reading::None, _) | (Reading::Delta, None) => true,
            (Reading::Complete, None) => false,
            (_, Some(print)) => old != NO_PRINT && print == old,
        };
        // What a history shows is always looked up: the key may stand in the table twice by now, with the same values.
        let shows = warehouse.is_some() && self.plan.read.is_history();
        let quiet = known.filter(|_| !shows).is_some_and(|entry| {
            quiet(self.plan.warehouse, warehouse, entry.warehouse)
                && quiet(self.plan.platform, platform, entry.platform)
        });
        let warehouse = take(&mut self.warehouse, key, !quiet).await?;
        let platform = take(&mut self.platform, key, !quiet).await?;
        self.rows += warehouse.copies + platform.copies + platform.gone;
        let copies = warehouse.copies.max(platform.copies);
        if copies > 1 {
            let side = if warehouse.copies > 1 { Target::Warehouse } else { Target::Platform };
            return self.duplicate(key, side, copies);
        }
        if quiet {
            self.sink.quiet();
            return Ok(());
        }
        let pending = Pending {
            key: Key::new(key),
            warehouse: conclude(self.plan.warehouse, warehouse),
            platform: conclude(self.plan.platform, platform),
            unknown: self.scanned && entry.is_none(),
        };
        let lacks = [(self.plan.warehouse, &pending.warehouse), (self.plan.platform, &pending.platform)]
            .into_iter()
            .any(|(reading, seen)| reading == Reading::Complete && *seen == Some(Seen::Absent));
        if self.ctx.options.limit.is_some() && lacks && entry.is_some() {
            // With a limit the read is not complete: nothing is concluded from a record that is missing. (One that a
            // history says is gone is not missing.)
            return Ok(());
        }
        let bytes = [&self.warehouse, &self.platform].into_iter().flatten().map(Rows::row_bytes).sum();
        self.looks.push(pending, bytes, self.sink).await
    }

    fn duplicate(&mut self, key: &str, side: Target, copies: u64) -> Result<()> {
        let column = match side {
            Target::Warehouse => self.ctx.sync.key.warehouse.clone(),
            Target::Platform => self.ctx.platform_key()?.to_owned(),
        };
        let reason = format!("{copies} rows have this key in `{column}`; a key names one record");
        self.sink.duplicate(Key::new(key), side.other(), FieldReject::record("duplicate_key", reason))
    }
}

fn lesser<'a>(a: Option<&'a str>, b: Option<&'a str>) -> Option<&'a str> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The print that a stream shows under a key, if the key is there.
async fn peek(rows: &mut Option<Rows>, key: &str) -> Result<Option<Print>> {
    let Some(rows) = rows else { return Ok(None) };
    if !rows.ready().await? || rows.key() != Some(key) {
        return Ok(None);
    }
    Ok(rows.current().map(|(page, row)| if page.deleted(row) { NO_PRINT } else { page.print(row) }))
}

/// Takes all rows of a key from a stream, with the values of the last one if they are wanted.
async fn take(rows: &mut Option<Rows>, key: &str, values: bool) -> Result<Shown> {
    let mut shown = Shown { seen: None, copies: 0, gone: 0 };
    let Some(rows) = rows else { return Ok(shown) };
    while rows.ready().await? && rows.key() == Some(key) {
        let gone = rows.current().is_some_and(|(page, row)| page.deleted(row));
        if gone {
            // A record that was deleted and made again shows both: what stands there now counts.
            shown.gone += 1;
            shown.seen = shown.seen.or(Some(Seen::Absent));
        } else {
            shown.copies += 1;
            shown.seen = if values { rows.row().map(Seen::Row) } else { None };
        }
        rows.advance()?;
    }
    Ok(shown)
}

/// What may be concluded from what a stream showed; `None`: it has to be read by key.
fn conclude(reading: Reading, shown: Shown) -> Option<Seen> {
    match (reading, shown.seen) {
        (Reading::None, _) => Some(Seen::NotRead),
        (_, Some(seen)) => Some(seen),
        (Reading::Complete, None) => Some(Seen::Absent),
        (Reading::Delta, None) => None,
    }
}

/// Lists a reject that has no look of its own.
pub(crate) fn reject(key: Option<Key>, to: Target, why: FieldReject) -> Reject {
    Reject { key, to, why, value: None }
}
