//! Rows that the warehouse's change history shows, or a stream: the window tells keys, and the table tells which rows have
//! them now, so that a key that stands there twice is found. Deletes are not followed: rows are only added or merged.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, RecordBatch};
use async_trait::async_trait;
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::page::{DELETED, Held, Page, PageStream, Pages};
use tidegate_model::ports::{Cancel, ReadAsk, ReadMode};
use tidegate_model::record::Key;
use tidegate_model::span::Position;
use tidegate_model::sync::WriteMode;

use super::groups::Groups;
use super::source::{everything, warehouse_columns};
use super::work::Work;
use super::{Way, again};
use crate::api::{Engine, Job};
use crate::plan::columns::{Columns, position};
use crate::run::context::Ctx;
use crate::run::history::{self, Begin, Found, Read};
use crate::run::retry;
use crate::run::rows::canonical_keys;
use crate::run::sorted::{KeyRule, sorted};

/// How a run follows the history.
pub(super) struct Following {
    /// What is read.
    pub(super) read: Read,
    /// Where the sync stands once everything is delivered.
    pub(super) to: Option<Position>,
    /// Keys with open rejects, which were tried before.
    tried: HashSet<Key>,
}

impl Following {
    /// Whether every row is read all the same.
    pub(super) fn complete(&self) -> bool {
        !self.read.is_history()
    }
}

/// Finds out what is to be read, and tries open rejects whose rows no window shows.
pub(super) async fn begin(work: &mut Work<'_>, way: Way) -> Result<()> {
    let ctx = work.ctx;
    history::tidy(ctx).await?;
    let found = find(ctx, true).await?;
    let mut tried = HashSet::new();
    if found.read.is_history() {
        work.run.mode = history::word(ctx).to_owned();
        if ctx.options.limit.is_none() {
            tried = work.open_keys().into_iter().collect();
            again::following(work, way).await?;
        }
    }
    work.reading = true;
    work.following = Some(Following { read: found.read, to: found.to, tried });
    Ok(())
}

/// What is to be read. Without `drain` a stream is not moved.
pub(super) async fn find(ctx: &Ctx, drain: bool) -> Result<Found> {
    let full = ctx.options.full || ctx.state.mapping != ctx.kept_mapping()?;
    history::begin(ctx, Begin { full, drain }).await
}

/// The rows of this run, ascending by key: those of the history, or all.
pub(super) async fn rows(work: &mut Work<'_>) -> Result<Groups> {
    let (ctx, columns) = (work.ctx, work.columns.clone());
    if let Some(following) = work.following.as_ref().filter(|following| !following.complete()) {
        match window(work, following).await {
            Err(error) if error.kind == ErrorKind::HistoryGone => {
                ctx.log(&format!("{}; everything is read instead", history::told(&error))).await?;
            }
            done => return Ok(Groups::new(done?, columns.key_source(), ctx.options.limit)),
        }
        work.run.mode = "full".to_owned();
        if let Some(following) = &mut work.following {
            following.read = Read::Full { at: None };
        }
    }
    everything(ctx, &columns, work.page_rows(), work.to).await
}

/// What is asked of the change history; `None` where it said that nothing changed.
pub(super) fn ask(ctx: &Ctx, columns: &Columns, read: &Read, page_rows: usize) -> Option<ReadAsk> {
    let key = columns.key_source().to_owned();
    let mode = match read {
        Read::Window { from, to } => {
            // A row that is only ever added once is not sent again when it changes.
            let added = ctx.relation.appends && matches!(ctx.sync.write, WriteMode::Append | WriteMode::Insert);
            ReadMode::Changes { key, from: from.clone(), to: to.clone(), added }
        }
        Read::Outbox { outbox, through } => ReadMode::Outbox { key, outbox: outbox.clone(), through: *through },
        _ => return None,
    };
    Some(ReadAsk {
        source: ctx.sync.source.clone(),
        columns: warehouse_columns(columns, None),
        mode,
        page_rows,
        timezone: ctx.sync.timezone.clone(),
    })
}

async fn window(work: &Work<'_>, following: &Following) -> Result<Pages> {
    let ctx = work.ctx;
    let Some(ask) = ask(ctx, &work.columns, &following.read, work.page_rows()) else {
        return Ok(Box::new(Held(Default::default())));
    };
    // The whole window is spooled before anything of it is sent: a read that breaks off is begun again.
    let rule = KeyRule::plain(0);
    let cancel = &ctx.options.cancel;
    let open = || retry::opened(&*ctx.job.warehouse, cancel, ask.clone());
    let read = || async { sorted(open().await?, &rule, &ctx.engine.env).await };
    let shown = retry::again(&ctx.engine, cancel, read).await?;
    Ok(Box::new(LookedUp {
        engine: ctx.engine.clone(),
        job: ctx.job.clone(),
        cancel: ctx.options.cancel.clone(),
        columns: ask.columns,
        key: work.columns.key_source().to_owned(),
        shown,
        tried: Arc::new(following.tried.clone()),
        last: None,
        keys: Vec::new(),
        ready: Held(Default::default()),
    }))
}

/// Rows of the table by the keys that a window shows.
struct LookedUp {
    engine: Engine,
    job: Job,
    cancel: Cancel,
    columns: Vec<String>,
    key: String,
    shown: Pages,
    tried: Arc<HashSet<Key>>,
    last: Option<Key>,
    keys: Vec<Key>,
    ready: Held,
}

#[async_trait]
impl PageStream for LookedUp {
    async fn next(&mut self) -> Result<Option<Page>> {
        loop {
            if let Some(page) = self.ready.0.pop_front() {
                return Ok(Some(page));
            }
            match self.shown.next().await? {
                Some(page) => self.take(&page)?,
                None if self.keys.is_empty() => return Ok(None),
                None => self.look_up(usize::MAX).await?,
            }
            self.look_up(self.job.warehouse.fetch_keys()).await?;
        }
    }
}

impl LookedUp {
    /// Notes the keys of a page. Rows without a key cannot be looked up: they come first, and go on as they are.
    fn take(&mut self, page: &Page) -> Result<()> {
        let keys = canonical_keys(page.rows.column(position(page, &self.key)?), &self.key)?;
        let deleted = page.rows.column(position(page, DELETED)?).as_boolean();
        let gone = |row: usize| !deleted.is_null(row) && deleted.value(row);
        for row in (0..page.len()).filter(|row| !keys.is_null(*row) && !gone(*row)) {
            let key = Key::new(keys.value(row));
            if self.last.as_ref() == Some(&key) {
                continue;
            }
            self.last = Some(key.clone());
            if !self.tried.contains(&key) {
                self.keys.push(key);
            }
        }
        let keyless: BooleanArray = (0..page.len()).map(|row| Some(keys.is_null(row) && !gone(row))).collect();
        if keyless.true_count() == 0 {
            return Ok(());
        }
        let broken = |error| Error::internal("take the rows without a key").cause(error);
        let rows: RecordBatch = arrow_select::filter::filter_record_batch(&page.rows, &keyless).map_err(broken)?;
        let wanted: Vec<usize> =
            (0..rows.num_columns()).filter(|at| rows.schema().field(*at).name() != DELETED).collect();
        self.ready.0.push_back(Page::new(rows.project(&wanted).map_err(broken)?));
        Ok(())
    }

    /// Looks up what was noted, once there is enough of it; with `usize::MAX` whatever there is.
    async fn look_up(&mut self, enough: usize) -> Result<()> {
        while !self.keys.is_empty() && (self.keys.len() >= enough || enough == usize::MAX) {
            let rest = self.keys.split_off(self.keys.len().min(self.job.warehouse.fetch_keys()));
            let keys = std::mem::replace(&mut self.keys, rest);
            let (sync, warehouse) = (&self.job.sync, &self.job.warehouse);
            let call = || warehouse.fetch(&sync.source, &self.columns, &self.key, &keys, &sync.timezone);
            let page = retry::again(&self.engine, &self.cancel, call).await?;
            let rule = KeyRule::plain(0);
            let mut found = sorted(Box::new(Held::one(page)), &rule, &self.engine.env).await?;
            while let Some(page) = found.next().await? {
                self.ready.0.push_back(page);
            }
        }
        Ok(())
    }
}
