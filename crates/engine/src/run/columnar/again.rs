//! Open rejects, tried again: their rows are read by key, and what fits now is delivered.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use tidegate_model::cells::value_at;
use tidegate_model::error::{Error, Result};
use tidegate_model::page::{Page, REMOTE_ID, UPDATED_AT};
use tidegate_model::ports::{LoadMode, Settlement};
use tidegate_model::record::{Key, RecordRef, RemoteId};
use tidegate_model::span::{CursorPoint, Position};
use tidegate_model::sync::{Changes, Lookback, Target};
use tidegate_model::value::Value;

use super::cursor::spec;
use super::groups::twin;
use super::ledger::prints;
use super::note::{Again, Note};
use super::reader::{no_cursor, row_printer, short_prints};
use super::source::warehouse_columns;
use super::window::{order, point_of, start};
use super::work::{Batch, Work};
use super::{Way, takes_once};
use crate::plan::columns::{Beforehand, position};
use crate::run::context::Ctx;
use crate::run::cursor::compare;
use crate::run::retry;

/// Keys that are read again in one call.
const RETRY_KEYS: usize = 1_000;

/// Before a cursor's window is read: rejects of rows that it will not show.
pub(super) async fn below(work: &mut Work<'_>, from: &CursorPoint) -> Result<()> {
    let keys = work.open_keys();
    if keys.is_empty() || work.to == Target::Warehouse {
        return Ok(());
    }
    if work.ctx.key_rule()?.is_some() {
        return work.ctx.log("open rejects are not tried again: `key.transform` changes the keys on their way").await;
    }
    let ask = Ask::new(work, Way::Cursor, Some(from.clone()))?;
    each(work, &keys, &ask).await
}

/// Before a change history is read: rejects of rows that it may not show again.
pub(super) async fn following(work: &mut Work<'_>, way: Way) -> Result<()> {
    let keys = work.open_keys();
    if keys.is_empty() {
        return Ok(());
    }
    let ask = Ask::new(work, way, None)?;
    each(work, &keys, &ask).await
}

/// What `tidegate retry` asks for: the rows of all open rejects, or of one.
pub(super) async fn asked(work: &mut Work<'_>, way: Way, key: Option<&Key>) -> Result<()> {
    refuse(work.ctx, way, work.to)?;
    let mut keys = work.open_keys();
    if work.mode == LoadMode::Merge {
        // A row that went on without a field can be merged once more, with the field.
        keys = work.open.iter().filter(|key| !work.said.contains(key.as_str())).cloned().collect();
        keys.sort();
    }
    if let Some(key) = key {
        if keys.binary_search(key).is_err() {
            let name = &work.ctx.sync.name;
            let why = format!("sync {name}: there is no open reject of key `{key}` that could be tried again");
            let hint = format!(
                "`tidegate rejects {name}` lists what is open; rows that went on without a field, or whose answer was lost, are not sent twice"
            );
            return Err(Error::config(why).hint(hint));
        }
        keys = vec![key.clone()];
    }
    let ask = Ask::new(work, way, None)?;
    each(work, &keys, &ask).await
}

fn refuse(ctx: &Ctx, way: Way, to: Target) -> Result<()> {
    let name = &ctx.sync.name;
    let no = |why: &str, hint: String| Err(Error::config(format!("sync {name}: {why}")).hint(hint));
    let run = format!("mend the rows, then `tidegate run {name}`");
    if way == Way::Replace {
        return no("`replace` writes all rows in one go, so single rejects cannot be tried again", run);
    }
    if to == Target::Platform && ctx.key_rule()?.is_some() {
        return no("its keys are changed on their way (`key.transform`), so rows cannot be asked for by key", run);
    }
    if to == Target::Warehouse && !ctx.abilities.fetch {
        return no("this platform cannot be asked for single records", run);
    }
    if to == Target::Warehouse && !ctx.sync.filter.is_empty() {
        return no("it has a `where`, which only a read of all records applies", run);
    }
    Ok(())
}

/// How rows are looked at.
struct Ask {
    way: Way,
    /// The cursor's column and margin.
    cursor: Option<(String, Option<Lookback>)>,
    /// Rows above it are left to the window's own read.
    below: Option<CursorPoint>,
}

impl Ask {
    fn new(work: &Work<'_>, way: Way, below: Option<CursorPoint>) -> Result<Self> {
        let cursor = if work.ctx.sync.changes == Changes::Cursor { Some(spec(work.ctx)?) } else { None };
        Ok(Self { way, cursor, below })
    }
}

async fn each(work: &mut Work<'_>, keys: &[Key], ask: &Ask) -> Result<()> {
    let (mut gone, mut later) = (0, 0);
    for keys in keys.chunks(RETRY_KEYS) {
        let page = fetch(work, keys, ask).await?;
        let there: HashSet<Key> = work.keys(&page)?.into_iter().flatten().collect();
        if work.ctx.mapping.key.plain() {
            let lost: Vec<Key> = keys.iter().filter(|key| !there.contains(*key)).cloned().collect();
            gone += lost.len();
            close(work, lost).await?;
        }
        if page.is_empty() {
            continue;
        }
        let found = batch(work, &page, ask).await?;
        later += found.later;
        close(work, found.known).await?;
        let batch = found.batch;
        if batch.read == 0 {
            continue;
        }
        work.gate(&batch).await?;
        let span = work.open_span(&batch).await?;
        let loaded = work.load_batch(&batch, &span.op(0)).await;
        work.settle(span, batch, loaded).await?;
        work.ctx.engine.env.failpoint("columnar.retried");
    }
    if gone > 0 {
        work.ctx.log(&format!("{gone} rejected rows are gone from the source: their rejects are closed")).await?;
    }
    if later > 0 {
        work.ctx.log(&format!("{later} rejected rows moved past the cursor: the next run delivers them")).await?;
    }
    Ok(())
}

/// Closes rejects of which there is nothing left to deliver.
async fn close(work: &mut Work<'_>, keys: Vec<Key>) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let delivered_to = keys.into_iter().map(|key| (key, work.to)).collect();
    let settlement = Settlement { run: work.ctx.run.clone(), delivered_to, ..Settlement::default() };
    work.commit(&settlement).await
}

async fn fetch(work: &Work<'_>, keys: &[Key], ask: &Ask) -> Result<Page> {
    let (ctx, job, sync) = (work.ctx, &work.ctx.job, &work.ctx.sync);
    match work.to {
        Target::Platform => {
            let columns = warehouse_columns(&work.columns, ask.cursor.as_ref().map(|(column, _)| column.as_str()));
            let call = || job.warehouse.fetch(&sync.source, &columns, &sync.key.warehouse, keys, &sync.timezone);
            retry::again(&ctx.engine, &ctx.options.cancel, call).await
        }
        Target::Warehouse => {
            let name = work.columns.key_source().to_owned();
            let mut fields = work.columns.sources();
            fields.retain(|field| field != REMOTE_ID && field != UPDATED_AT);
            let by = |key: &Key| match name == REMOTE_ID {
                true => RecordRef::Remote(RemoteId::new(key.as_str())),
                false => RecordRef::Key(key.clone()),
            };
            let refs: Vec<RecordRef> = keys.iter().map(by).collect();
            let call = || job.platform.fetch(&sync.model, &name, &fields, &refs);
            retry::again(&ctx.engine, &ctx.options.cancel, call).await
        }
    }
}

/// What was found of the keys.
struct Found {
    batch: Batch,
    /// Keys that the ledger has: nothing is left to do.
    known: Vec<Key>,
    /// Rows that the next run's window shows.
    later: u64,
}

/// What becomes of a fetched row.
enum Fate {
    Deliver,
    Reject(tidegate_model::change::FieldReject),
    /// Left out and counted nowhere.
    Aside,
    Known,
    Later,
}

async fn batch(work: &Work<'_>, page: &Page, ask: &Ask) -> Result<Found> {
    let keys = work.keys(page)?;
    let mut copies: HashMap<&str, u32> = HashMap::new();
    keys.iter().flatten().for_each(|key| *copies.entry(key.as_str()).or_default() += 1);
    let fates = fates(work, page, ask, &keys)?;
    let ledger = ledger_prints(work, page, ask)?;
    let stands = stands(work, ask, &keys).await?;
    let (mut skip, mut rejects, mut told) = (vec![false; page.len()], Vec::new(), HashSet::new());
    let (mut known, mut uncounted, mut later) = (Vec::new(), 0, 0);
    // A key that several rows have is judged here if one of its rows is.
    let here = |fate: &Fate| !matches!(fate, Fate::Aside);
    let mine: HashSet<&Key> =
        keys.iter().zip(&fates).filter(|(_, fate)| here(fate)).filter_map(|(key, _)| key.as_ref()).collect();
    for (row, (key, fate)) in keys.iter().zip(fates.iter()).enumerate() {
        let Some(key) = key else {
            (skip[row], uncounted) = (true, uncounted + 1);
            continue;
        };
        if copies.get(key.as_str()).is_some_and(|copies| *copies > 1) && mine.contains(key) {
            if told.insert(key) {
                rejects.push((row, twin(work.columns.key_source())));
            } else {
                (skip[row], uncounted) = (true, uncounted + 1);
            }
            continue;
        }
        let print = ledger.as_ref().map(|prints| prints[row]);
        let fate = match (fate, stands.get(key), print) {
            (Fate::Deliver, Some(stands), Some(print)) if !work.ctx.sync.append_versions || *stands == print => {
                &Fate::Known
            }
            _ => fate,
        };
        match fate {
            Fate::Deliver => {}
            Fate::Reject(why) => rejects.push((row, why.clone())),
            Fate::Known => {
                skip[row] = true;
                known.push(key.clone());
            }
            Fate::Aside | Fate::Later => {
                later += u64::from(matches!(fate, Fate::Later));
                (skip[row], uncounted) = (true, uncounted + 1);
            }
        }
    }
    let mapped = work.columns.map(page, Beforehand { skip, rejects })?;
    let margin = margin(work, page, ask).await?;
    let pages = work.columns.parts(mapped)?;
    let from = pages.iter().flat_map(|page| &page.from);
    let rows = (0u32..).zip(from).filter_map(|(number, from)| {
        let at = usize::try_from(*from).ok()?;
        let key = keys[at].clone()?;
        let ledger = ledger.as_ref().map(|prints| prints[at]);
        Some(Again { row: number, key, margin: margin.get(at).copied().flatten(), ledger })
    });
    let note = Some(Note::Again(rows.collect()));
    let to = work.position.clone().filter(|position| matches!(position, Position::Cursor(_)));
    let read = page.len() as u64 - uncounted;
    let batch = Batch { pages, read, known: known.len() as u64, note, to, ..Batch::default() };
    Ok(Found { batch, known, later })
}

/// What becomes of each row, as far as its cursor says.
fn fates(work: &Work<'_>, page: &Page, ask: &Ask, keys: &[Option<Key>]) -> Result<Vec<Fate>> {
    let Some((column, _)) = &ask.cursor else { return Ok(keys.iter().map(|_| Fate::Deliver).collect()) };
    let at = position(page, column)?;
    let here = point_of(work.position.as_ref());
    let once = work.mode == LoadMode::Merge || takes_once(work.ctx);
    let beyond = |value: &Value| here.is_none_or(|here| compare(value, &here.value) == Ordering::Greater);
    let fate = |row: usize| {
        let value = value_at(&page.rows, at, row);
        match &ask.below {
            Some(_) if value.is_null() => Fate::Aside,
            Some(below) if compare(&value, &below.value) == Ordering::Greater => Fate::Aside,
            None if value.is_null() => Fate::Reject(no_cursor(column)),
            // The next window brings it, and it must not come twice.
            None if !once && beyond(&value) => Fate::Later,
            _ => Fate::Deliver,
        }
    };
    Ok((0..page.len()).map(fate).collect())
}

/// Order and print of the rows that later margins read again.
async fn margin(work: &Work<'_>, page: &Page, ask: &Ask) -> Result<Vec<Option<(i64, u64)>>> {
    let (Some((column, lookback)), Some(at)) = (&ask.cursor, point_of(work.position.as_ref())) else {
        return Ok(Vec::new());
    };
    let floor = order(&start(at, *lookback).value);
    let cursor = position(page, column)?;
    let (printer, content) = row_printer(work).await?;
    let prints = short_prints(&printer, content, page, &work.ctx.sync.key.warehouse, 0, page.len())?;
    let one = |(row, print): (usize, &u64)| {
        let order = order(&value_at(&page.rows, cursor, row))?;
        (Some(order) >= floor).then_some((order, *print))
    };
    Ok(prints.iter().enumerate().map(one).collect())
}

fn ledger_prints(work: &Work<'_>, page: &Page, ask: &Ask) -> Result<Option<Vec<tidegate_model::ports::Print>>> {
    if ask.way != Way::Ledger {
        return Ok(None);
    }
    prints(&work.ctx.printer, work, page).map(Some)
}

/// What the ledger says of these keys, where it is kept.
async fn stands(
    work: &Work<'_>,
    ask: &Ask,
    keys: &[Option<Key>],
) -> Result<HashMap<Key, tidegate_model::ports::Print>> {
    if ask.way != Way::Ledger {
        return Ok(HashMap::new());
    }
    let keys: Vec<Key> = keys.iter().flatten().cloned().collect();
    let entries = work.ctx.engine.memory.entries(&work.ctx.sync.name, &keys).await?;
    let print = |entry: tidegate_model::ports::LedgerEntry| match work.to {
        Target::Platform => entry.warehouse,
        Target::Warehouse => entry.platform,
    };
    Ok(keys.into_iter().zip(entries).filter_map(|(key, record)| Some((key, print(record?.entry)))).collect())
}
