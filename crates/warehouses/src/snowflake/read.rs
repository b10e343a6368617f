//! Reading. One statement is one snapshot; its result is kept by the service, so that a slow consumer holds nothing
//! open in the warehouse.

use std::sync::Arc;

use tidegate_model::cells::value_at;
use tidegate_model::page::{DELETED, Page, Pages};
use tidegate_model::ports::{Outbox, ReadAsk, ReadMode};
use tidegate_model::record::Key;
use tidegate_model::schema::Source;
use tidegate_model::span::CursorPoint;
use tidegate_model::value::Value;
use tidegate_model::{Error, ErrorKind, Instant, Result};

use super::catalog::{Shape, SourceColumn, shape, title};
use super::decode::Wanted;
use super::order::{Clauses, clauses, key_text, key_value, possible, usable};
use super::rows::{PIECE_BYTES_MAX, Piece, cell_text, unfolded};
use super::server::{Server, look};
use super::stream::pages;
use super::wire::{Answer, Bind, Session, Statement};
use super::{history, outbox};
use crate::builder::PageMaker;

/// Longest read: an hour of sorting is a warehouse too small, or a key to cluster by.
const READ_S_MAX: u32 = 3_600;

/// Starts a read.
pub(super) async fn read(server: &Arc<Server>, ask: ReadAsk) -> Result<Pages> {
    let session = server.session().await?;
    let shape = shape(server, &session, &ask.source, false).await?;
    let find = |name: &String| shape.column(name, &ask.source);
    let columns = ask.columns.iter().map(find).collect::<Result<Vec<_>>>()?;
    let doing = format!("read {}", title(&ask.source));
    let Clauses { sql, binds } = clauses(&shape, &ask.source, &ask.mode)?;
    let wants = &columns;
    let asked = match &ask.mode {
        ReadMode::Full { at: Some(mark), .. } => {
            format!("SELECT {} FROM {}", list(wants), history::pinned(&shape, mark)?)
        }
        ReadMode::Changes { from, to, .. } => {
            let window = history::window(&shape, &ask.source, from, to)?;
            format!("SELECT {}, {} FROM {window}", list(wants), history::LEFT)
        }
        ReadMode::Outbox { outbox, .. } => waiting(server, &session, outbox, wants, &doing).await?,
        _ => format!("SELECT {} FROM {}", list(wants), shape.from),
    };
    let answer = run(&session, &format!("{asked}{sql}"), &binds, &doing).await?;
    // The rest of the result does not need the session, but to renew its addresses, and that any session can.
    server.keep(session);
    let mut wanted = wanted(&answer, &columns);
    wanted.extend(answer.columns.get(columns.len()).map(|row| Wanted { name: DELETED.into(), ..Wanted::of_row(row) }));
    Ok(pages(answer, wanted, ask.page_rows, &doing))
}

/// What waits in an outbox. A column that the source got since the last move is NULL there.
async fn waiting(
    server: &Server,
    session: &Session,
    outbox: &Outbox,
    columns: &[&SourceColumn],
    doing: &str,
) -> Result<String> {
    let table = outbox::table(server, outbox)?;
    let Some(known) = outbox::known(session, &table, doing).await? else {
        return Err(Error::new(ErrorKind::HistoryGone, format!("{doing}: the outbox {table} is not there any more"))
            .hint("what it held is lost; one full read helps"));
    };
    let one = |column: &&SourceColumn| match known.iter().any(|known| known.name == column.name) {
        true => column.quoted(),
        false => format!("CAST(NULL AS {}) AS {}", column.native, column.quoted()),
    };
    let list: Vec<String> = columns.iter().map(one).collect();
    Ok(format!("SELECT {}, {} FROM {table}", list.join(", "), outbox::LEFT))
}

async fn run(session: &Session, sql: &str, binds: &[Bind], doing: &str) -> Result<Answer> {
    session.run(&Statement { sql, binds, describe: false, seconds_max: READ_S_MAX, doing }).await
}

fn list(columns: &[&SourceColumn]) -> String {
    columns.iter().map(|column| column.quoted()).collect::<Vec<_>>().join(", ")
}

/// The columns of an answer as the source declares them; how they are written only the answer knows.
fn wanted(answer: &Answer, columns: &[&SourceColumn]) -> Vec<Wanted> {
    let one = |(row, column): (_, &&SourceColumn)| Wanted {
        name: column.name.clone(),
        logical: column.logical(),
        ..Wanted::of_row(row)
    };
    answer.columns.iter().zip(columns).map(one).collect()
}

/// Rows of these keys, a page at a time, with some more expressions (as text) behind the columns.
pub(super) async fn by_keys(
    session: &Session,
    shape: &Shape,
    key: &SourceColumn,
    columns: &[&SourceColumn],
    more: &[String],
    keys: &[Key],
    doing: &str,
) -> Result<Vec<Page>> {
    let mut found = Vec::new();
    let mut piece = Piece::default();
    let asked = possible(key, keys);
    for (at, text) in asked.iter().enumerate() {
        piece.begin();
        piece.push(Some(text))?;
        if !piece.end() && at + 1 < asked.len() {
            continue;
        }
        let those = unfolded(&[key_value(key, &cell_text(0))]);
        let more: String = more.iter().map(|expression| format!(", {expression}")).collect();
        let sql = format!("SELECT {}{more} FROM {} WHERE {} IN ({those})", list(columns), shape.from, key.plain(""));
        let answer = run(session, &sql, &[Bind(piece.take())], doing).await?;
        let mut wanted = wanted(&answer, columns);
        wanted.extend(answer.columns.iter().skip(columns.len()).map(Wanted::of_row));
        let mut pages = pages(answer, wanted, PIECE_BYTES_MAX, doing);
        while let Some(page) = pages.next().await? {
            found.push(page);
        }
    }
    Ok(found)
}

/// Rows by key.
pub(super) async fn fetch(
    session: &Session,
    shape: &Shape,
    source: &Source,
    names: &[String],
    key: &str,
    keys: &[Key],
) -> Result<Page> {
    let find = |name: &String| shape.column(name, source);
    let columns = names.iter().map(find).collect::<Result<Vec<_>>>()?;
    let key = shape.column(key, source)?;
    let doing = format!("fetch from {}", title(source));
    let mut pages = by_keys(session, shape, key, &columns, &[], keys, &doing).await?;
    if pages.len() == 1
        && let Some(page) = pages.pop()
    {
        return Ok(page);
    }
    let mut maker = PageMaker::new(columns.iter().map(|column| (column.name.as_str(), column.logical())), usize::MAX);
    for page in &pages {
        let views = crate::cell::ColumnView::all(&page.rows)?;
        let mut misfits = page.misfits.iter().peekable();
        for row in 0..page.len() {
            for (at, view) in views.iter().enumerate() {
                let misfit = misfits.next_if(|misfit| misfit.row == row && misfit.column == at);
                let fault = misfit.map(|misfit| crate::builder::Fault::new(misfit.rule, misfit.reason.clone()));
                maker.put(at, fault.map_or_else(|| Ok(view.cell(row)), Err));
            }
            maker.end_row(0);
        }
    }
    maker.take()
}

/// Number of rows.
pub(super) async fn count(session: &Session, shape: &Shape, source: &Source) -> Result<u64> {
    let doing = format!("count {}", title(source));
    let rows = look(session, &format!("SELECT COUNT(*) FROM {}", shape.from), &[], &doing).await?;
    rows.one()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::internal(format!("{doing}: the answer is no number")))
}

/// The greatest `(column, key)`. Snowflake does not show transactions that still run: what commits later with a
/// smaller cursor is what the sync's lookback is for.
pub(super) async fn bound(
    session: &Session,
    shape: &Shape,
    source: &Source,
    column: &str,
    key: &str,
) -> Result<Option<CursorPoint>> {
    let (column, key) = (shape.column(column, source)?, shape.column(key, source)?);
    let doing = format!("find the end of {}", title(source));
    let key = format!("COALESCE({}, '')", key_text(key));
    let (name, order, usable) = (column.quoted(), column.plain(""), usable(column)?);
    let sql = format!(
        "SELECT {name}, {key} FROM {} WHERE {usable} ORDER BY {order} DESC NULLS LAST, {key} DESC LIMIT 1",
        shape.from
    );
    let answer = run(session, &sql, &[], &doing).await?;
    let mut wanted = wanted(&answer, &[column]);
    wanted.extend(answer.columns.iter().skip(1).map(Wanted::of_row));
    let mut pages = pages(answer, wanted, 1, &doing);
    let Some(page) = pages.next().await? else { return Ok(None) };
    match (value_at(&page.rows, 0, 0), value_at(&page.rows, 1, 0)) {
        // A value that we cannot hold exactly cannot be a bound either.
        (Value::Null, _) => Err(Error::new(
            ErrorKind::Data,
            format!("{doing}: the greatest value of {} does not fit {}", column.name, column.logical()),
        )
        .hint("take `query:` and cast the cursor to fewer digits, such as TIMESTAMP_NTZ(6)")),
        (value, Value::Text(key)) => Ok(Some(CursorPoint { value, key: Some(Key::new(key)) })),
        (value, _) => Ok(Some(CursorPoint { value, key: None })),
    }
}

/// The account's clock.
pub(super) async fn now(session: &Session) -> Result<Instant> {
    let doing = "read the clock";
    let rows = look(session, "SELECT DATE_PART(EPOCH_MICROSECOND, SYSDATE())", &[], doing).await?;
    let micros = rows.one().and_then(|text| text.parse().ok());
    micros.map(Instant).ok_or_else(|| Error::internal("the account's clock cannot be read"))
}
