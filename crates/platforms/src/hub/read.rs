//! Reading: a plan is one SELECT; a thread runs it and hands out pages through a short queue.

use std::collections::HashSet;

use async_trait::async_trait;
use tidegate_model::page::{DELETED, Page, PageStream, Pages, REMOTE_ID, UPDATED_AT};
use tidegate_model::ports::{PlatformAsk, PlatformRead};
use tidegate_model::record::RecordRef;
use tidegate_model::sync::Condition;
use tidegate_model::value::Type;
use tidegate_model::{Error, ErrorKind, Result};
use tokio::sync::mpsc;

use super::cell::{Cell, CellRef, Kind};
use super::columns::{Decode, Out, PageMaker};
use super::db::pool::Pool;
use super::db::{Lookup, Session};
use super::ids::Ids;
use super::layout::CUSTOM;
use super::models::{self, Place};
use super::source::{Select, Source, order};

/// Pages that wait to be taken: one is made while one is looked at.
const PAGES_AHEAD: usize = 2;

/// One statement, and the columns that it fills.
pub struct Plan {
    sql: String,
    params: Vec<Cell>,
    columns: Vec<Out>,
}

/// The columns that pages begin with: remote id, key, fields.
fn head(session: &dyn Session, source: &Source, select: &mut Select, key: &str, fields: &[String]) -> Result<Vec<Out>> {
    let dialect = session.dialect();
    let mut columns = vec![select.pick(dialect, &source.remote, REMOTE_ID)];
    for name in std::iter::once(key).chain(fields.iter().map(String::as_str)) {
        match source.attr(name) {
            Some(attr) => columns.push(select.pick(dialect, attr, name)),
            None if name.starts_with(CUSTOM) => {
                columns.push(Out { name: name.to_owned(), logical: Type::Text, decode: Decode::Absent });
            }
            None => return Err(no_field(source, name)),
        }
    }
    Ok(columns)
}

fn no_field(source: &Source, name: &str) -> Error {
    let names = source.attrs.iter().map(|attr| attr.field.schema.name.as_str());
    let error = Error::new(ErrorKind::NotFound, format!("there is no field {name:?} to read"));
    match models::near(name, names) {
        Some(like) => error.hint(format!("did you mean {like:?}?")),
        None => error.hint("see its fields with: tidegate discover CONNECTION MODEL"),
    }
}

/// Plans a read.
pub fn plan(session: &mut dyn Session, ids: Ids, source: &Source, ask: &PlatformAsk) -> Result<Plan> {
    let mut select = Select::default();
    let mut source = source.clone();
    let mut columns = head(session, &source, &mut select, &ask.key, &ask.fields)?;
    let dialect = session.dialect();
    columns.push(select.pick(dialect, &source.updated, UPDATED_AT));
    select.filter(session, ids, &source, &ask.filter)?;
    if let PlatformRead::Since(mark) = &ask.mode {
        let (Some(seq), Some(deleted)) = (source.seq.clone(), source.deleted.clone()) else {
            return Err(Error::config(format!("changes of {} cannot be read", ask.model))
                .hint("read all of it: set changes: full"));
        };
        let from: i64 = mark.parse().map_err(|_| Error::internal("a mark of the hub is not a number"))?;
        columns.push(select.pick(dialect, &deleted, DELETED));
        select.params.push(Cell::Int(from));
        // What is deleted has no fields to filter by: every deletion is handed out.
        let live = format!("{}{}", source.only, std::mem::take(&mut select.and));
        source.only = format!("{seq} > ${} AND ({} = 1 OR ({live}))", select.params.len(), deleted.sql);
    }
    let by = source.attr(&ask.key).map_or_else(String::new, |attr| order(dialect, attr));
    Ok(Plan { sql: select.sql(&source) + &by, params: select.params, columns })
}

/// Counts.
pub fn count(session: &mut dyn Session, ids: Ids, source: &Source, filter: &[Condition]) -> Result<u64> {
    let mut select = Select { picks: vec!["count(*)".to_owned()], ..Select::default() };
    select.filter(session, ids, source, filter)?;
    let params: Vec<CellRef<'_>> = select.params.iter().map(Cell::as_ref).collect();
    let found = super::db::first(session, &select.sql(source), &params, 1)?;
    Ok(found.and_then(|cells| cells[0].int()).and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
}

/// Records by reference.
pub fn fetch(
    session: &mut dyn Session,
    ids: Ids,
    source: &Source,
    key: &str,
    fields: &[String],
    records: &[RecordRef],
) -> Result<Page> {
    let mut select = Select::default();
    let mut columns = head(session, source, &mut select, key, fields)?;
    columns.push(select.pick(session.dialect(), &source.updated, UPDATED_AT));
    // One more cell that no column takes: by it, no row is handed out twice.
    select.picks.push(source.remote.sql.clone());
    let width: usize = columns.iter().map(|column| column.decode.width()).sum();
    let mut maker = PageMaker::new(ids, &columns)?;
    let mut seen: HashSet<String> = HashSet::new();
    let attr = source.attr(key).ok_or_else(|| no_field(source, key))?;
    let (mut numbers, mut remotes, mut keys) = (HashSet::new(), HashSet::new(), HashSet::new());
    for record in records {
        match record {
            RecordRef::Remote(remote) if source.remote.field.place == Place::Id => {
                numbers.extend(ids.parse(remote.as_str()));
            }
            RecordRef::Remote(remote) => drop(remotes.insert(remote.as_str().to_owned())),
            RecordRef::Key(key) if attr.field.place == Place::Id => numbers.extend(ids.parse(key.as_str())),
            RecordRef::Key(key) => {
                keys.insert(super::rules::normal(&attr.field, key.as_str()).into_owned());
            }
        }
    }
    let numbers: Vec<Cell> = numbers.into_iter().map(Cell::Int).collect();
    let texts = |set: HashSet<String>| set.into_iter().map(Cell::Text).collect::<Vec<_>>();
    let key_sql = session.dialect().as_text(attr.field.kind, &attr.sql);
    let picks = select.picks.join(", ");
    let from = format!("{}{}", source.from, select.joins.concat());
    let and = format!("AND {}", source.only);
    for (on, kind, keys) in [
        (source.remote.sql.as_str(), Kind::Int, numbers),
        (source.remote.sql.as_str(), Kind::Text, texts(remotes)),
        (key_sql.as_str(), Kind::Text, texts(keys)),
    ] {
        let ask = Lookup { select: &picks, from: &from, on, and: &and, kind };
        session.lookup(&ask, &keys, &mut |row| {
            if seen.insert(format!("{:?}", row.cell(width)?)) {
                maker.push(row)?;
            }
            Ok(())
        })?;
    }
    maker.take()
}

/// Pages of a plan.
struct Feed(mpsc::Receiver<Result<Option<Page>>>);

#[async_trait]
impl PageStream for Feed {
    async fn next(&mut self) -> Result<Option<Page>> {
        match self.0.recv().await {
            Some(answer) => answer,
            // The end is said; a queue that merely closes is not the end.
            None => Err(Error::internal("a read of the hub ended early")),
        }
    }
}

/// Runs a plan on a thread of its own.
pub fn stream(pool: Pool, mut session: Box<dyn Session>, ids: Ids, plan: Plan, page_rows: usize) -> Pages {
    let (queue, pages) = mpsc::channel(PAGES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let end = run(session.as_mut(), ids, &plan, page_rows.max(1), &queue).map(|()| None);
        pool.give(session);
        // Nobody listens any more when the reader was dropped.
        let _gone = queue.blocking_send(end);
    });
    Box::new(Feed(pages))
}

fn run(
    session: &mut dyn Session,
    ids: Ids,
    plan: &Plan,
    page_rows: usize,
    queue: &mpsc::Sender<Result<Option<Page>>>,
) -> Result<()> {
    let mut maker = PageMaker::new(ids, &plan.columns)?;
    let params: Vec<CellRef<'_>> = plan.params.iter().map(Cell::as_ref).collect();
    let send = |maker: &mut PageMaker| {
        let page = maker.take()?;
        let dropped = |_| Error::new(ErrorKind::Cancelled, "the reader has gone");
        queue.blocking_send(Ok(Some(page))).map_err(dropped)
    };
    session.query(&plan.sql, &params, &mut |row| {
        maker.push(row)?;
        if maker.rows() >= page_rows { send(&mut maker) } else { Ok(()) }
    })?;
    if maker.rows() > 0 { send(&mut maker) } else { Ok(()) }
}
