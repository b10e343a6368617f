//! From the outbox to Batch: pages are read, mapped and sent; what was rejected is kept; and only when all of it has an
//! answer is the outbox emptied.

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_engine::run::calls::{Line, send};
use tidegate_engine::run::{pace::Own, retry};
use tidegate_model::change::{Change, FieldReject, Outcome};
use tidegate_model::ports::{
    Cancel, Drained, Env, Limits, Outbox, PAGE_ROWS, Platform, ReadAsk, ReadMode, Warehouse, WriteAsk,
};
use tidegate_model::schema::{ModelName, Source};
use tidegate_model::span::{Fence, OpId};
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_platforms::batch::{KEY, PROFILE};
use tidegate_warehouses::snowflake::job::{JobTables, Rejected, Run};

use super::lease::Held;
use super::rows::{self, rejected};
use super::shape::Shape;

/// Calls where Batch names no limit of its own.
const BATCH: u64 = 200;
/// Rejects that are held until they are written down.
const REJECTS_MAX: usize = 5_000;
/// Stands in fence rows as the store that drives the outbox: the job has none.
const STORE: &str = "batch-sync";

/// Everything that delivering needs.
pub struct Delivery<'a> {
    /// The account.
    pub warehouse: Arc<dyn Warehouse>,
    /// The job's tables.
    pub tables: Arc<JobTables>,
    /// Batch.
    pub platform: Arc<dyn Platform>,
    /// The lease.
    pub held: Arc<Held>,
    /// The clock.
    pub env: Arc<dyn Env>,
    /// Somebody who may ask to stop.
    pub cancel: Cancel,
    /// How rows become profiles.
    pub shape: &'a Shape,
    /// The stream and its outbox.
    pub outbox: Outbox,
}

/// The way to Batch for one run.
struct Way<'a> {
    of: &'a Delivery<'a>,
    ask: WriteAsk,
    limits: Limits,
    pace: Own,
}

#[async_trait]
impl Line for Way<'_> {
    async fn call(&self, batch: &[Change], op: &OpId) -> Result<Vec<Outcome>> {
        let of = self.of;
        let wait = self.pace.book(&self.limits, batch.len() as u64, of.env.now());
        retry::pause(&*of.env, &of.cancel, wait.div_ceil(1_000)).await?;
        of.held.sure().await?;
        of.platform.write(&WriteAsk { op: op.clone(), ..self.ask.clone() }, batch).await
    }

    fn keyed(&self) -> bool {
        self.of.platform.abilities(&self.ask.model).keyed
    }

    fn env(&self) -> &dyn Env {
        &*self.of.env
    }

    fn cancel(&self) -> &Cancel {
        &self.of.cancel
    }
}

/// What waits to be written down.
#[derive(Default)]
struct Kept(Vec<Rejected>);

impl Delivery<'_> {
    fn fence(&self) -> Fence {
        let Outbox { sync, .. } = &self.outbox;
        Fence { sync: sync.clone(), store: STORE.to_owned(), epoch: self.held.claim.epoch }
    }

    /// Moves what the stream holds, and delivers what the outbox holds then.
    pub async fn run(&self, run: &mut Run) -> Result<()> {
        let fence = self.fence();
        let drain = || self.warehouse.drain(&self.outbox, &fence);
        let drained = retry::insist(&*self.env, &self.cancel, drain).await;
        let Drained { moved, through, .. } = drained.map_err(stale)?;
        run.moved = moved;
        self.env.failpoint("batch_sync.moved");
        if through == 0 {
            return Ok(());
        }
        let records = self.tables.waiting(&self.outbox, through).await?;
        let mut kept = Kept::default();
        let sent = self.pages(&self.way(records, fence.clone()), through, run, &mut kept).await;
        // Also of a run that failed: what it says of itself can be looked up.
        let noted = self.keep(run, &mut kept).await;
        sent.and(noted)?;
        self.env.failpoint("batch_sync.delivered");
        let trim = || self.warehouse.trim(&self.outbox, through, &fence);
        retry::insist(&*self.env, &self.cancel, trim).await
    }

    fn way(&self, records: u64, fence: Fence) -> Way<'_> {
        let model = ModelName(PROFILE.to_owned());
        let limits = self.platform.limits(&model, Some(records));
        let ask = WriteAsk {
            model,
            key: KEY.to_owned(),
            new_fields: self.shape.own.clone(),
            addresses: self.shape.addresses.clone(),
            records,
            op: OpId(String::new()),
            fence,
        };
        Way { of: self, ask, limits, pace: Own::default() }
    }

    async fn pages(&self, way: &Way<'_>, through: u64, run: &mut Run, kept: &mut Kept) -> Result<()> {
        let ask = ReadAsk {
            source: Source::Relation(self.outbox.stream.clone()),
            columns: self.shape.columns.clone(),
            mode: ReadMode::Outbox { key: self.shape.columns[0].clone(), outbox: self.outbox.clone(), through },
            page_rows: PAGE_ROWS,
            timezone: "UTC".to_owned(),
        };
        let size = usize::try_from(Own::batch_max(&way.limits).unwrap_or(BATCH)).unwrap_or(usize::MAX).max(1);
        let mut pages = retry::insist(&*self.env, &self.cancel, || self.warehouse.read(ask.clone())).await?;
        let mut open: Vec<Change> = Vec::new();
        while let Some(page) = pages.next().await? {
            let found = rows::read(self.shape, &page)?;
            run.left += found.left;
            run.rejected += found.rejected.len() as u64;
            run.dropped += found.dropped.len() as u64;
            kept.0.extend(found.rejected);
            kept.0.extend(found.dropped);
            open.extend(found.changes);
            while open.len() >= size {
                let batch: Vec<Change> = open.drain(..size).collect();
                self.batch(way, &batch, run, kept).await?;
            }
        }
        if open.is_empty() { Ok(()) } else { self.batch(way, &open, run, kept).await }
    }

    async fn batch(&self, way: &Way<'_>, batch: &[Change], run: &mut Run, kept: &mut Kept) -> Result<()> {
        self.cancel.check()?;
        let op = OpId(format!("{}/{}", run.id, run.requests));
        let sent = send(way, batch, &op).await;
        run.requests += sent.requests;
        let mut open = None;
        for (change, outcome) in batch.iter().zip(sent.outcomes) {
            match outcome {
                Outcome::Applied { dropped, .. } => {
                    run.delivered += 1;
                    run.dropped += dropped.len() as u64;
                    kept.0.extend(dropped.into_iter().map(|why| rejected(Some(change.key.as_str()), why)));
                }
                Outcome::Unchanged { .. } => run.delivered += 1,
                Outcome::Rejected(why) => {
                    run.rejected += 1;
                    kept.0.push(rejected(Some(change.key.as_str()), why));
                }
                Outcome::Retry(error) | Outcome::Unknown(error) => open = Some(error),
                Outcome::Missed { .. } => {
                    let why = FieldReject::record("missed", "Batch holds something else than was expected");
                    run.rejected += 1;
                    kept.0.push(rejected(Some(change.key.as_str()), why));
                }
            }
        }
        self.env.failpoint("batch_sync.batch");
        if let Some(error) = sent.stop.or(open) {
            return Err(error);
        }
        if kept.0.len() >= REJECTS_MAX {
            self.keep(run, kept).await?;
        }
        Ok(())
    }

    async fn keep(&self, run: &Run, kept: &mut Kept) -> Result<()> {
        self.tables.keep(run, &kept.0).await?;
        kept.0.clear();
        Ok(())
    }
}

/// The job has nothing but the stream: one that is made anew has to begin with every row.
fn stale(error: Error) -> Error {
    if error.kind != ErrorKind::HistoryGone {
        return error;
    }
    let anew = error.hint.as_deref().and_then(|hint| hint.split_once(';')).map(|(sql, _)| sql.to_owned());
    let sql =
        anew.filter(|sql| sql.starts_with("CREATE")).unwrap_or_else(|| "CREATE OR REPLACE STREAM … ON …".to_owned());
    error.hint(format!(
        "{sql} SHOW_INITIAL_ROWS = TRUE; the run after that sends every row once, and changes from then on"
    ))
}
