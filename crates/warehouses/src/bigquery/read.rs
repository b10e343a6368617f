//! Reading. One query is one snapshot; its result is a table that BigQuery keeps for a day, so that a slow consumer
//! holds nothing open.

use std::sync::Arc;

use tidegate_model::cells::value_at;
use tidegate_model::page::{Page, Pages};
use tidegate_model::ports::{ReadAsk, ReadMode};
use tidegate_model::record::Key;
use tidegate_model::schema::{RelationKind, Source};
use tidegate_model::span::CursorPoint;
use tidegate_model::value::{Type, Value};
use tidegate_model::{Error, ErrorKind, Instant, Result};

use super::catalog::{Shape, SourceColumn, shape, title};
use super::decode::Wanted;
use super::history;
use super::order::{clauses, key_text, keys_param, possible, usable};
use super::server::{Param, Server};
use super::storage;
use super::text;
use crate::builder::{Fault, PageMaker};
use crate::cell::ColumnView;

/// Keys of one lookup: far below the 10 MB that a request may have. Each is billed as the columns of the whole table.
pub(super) const KEYS_MAX: usize = 10_000;
/// Text of the keys of one lookup.
const KEY_BYTES_MAX: usize = 1 << 20;

/// A read as a query.
struct Asked {
    sql: String,
    params: Vec<Param>,
    wanted: Vec<Wanted>,
    ordered: bool,
    doing: String,
}

/// Starts a read.
pub(super) async fn read(server: &Arc<Server>, ask: ReadAsk) -> Result<Pages> {
    let Asked { sql, params, wanted, ordered, doing } = asked(server, &ask).await?;
    let answer = server.run(&sql, &params, false, &doing).await?;
    storage::pages(server, answer, wanted, ordered, ask.page_rows, &doing).await
}

/// Bytes that a read is billed, by a dry run, which costs nothing.
pub(super) async fn price(server: &Server, ask: &ReadAsk) -> Result<Option<u64>> {
    let Asked { sql, params, doing, .. } = asked(server, ask).await?;
    Ok(server.dry_run(&sql, &params, &doing).await?.bytes)
}

async fn asked(server: &Server, ask: &ReadAsk) -> Result<Asked> {
    let shape = shape(server, &ask.source, false).await?;
    let find = |name: &String| shape.column(name, &ask.source);
    let columns = ask.columns.iter().map(find).collect::<Result<Vec<_>>>()?;
    let doing = format!("read {}", title(&ask.source));
    let list = list(&columns);
    let mut wanted = wanted(&columns);
    let (sql, params, ordered) = match &ask.mode {
        ReadMode::Changes { key, from, to, added } => {
            let key = shape.column(key, &ask.source)?;
            wanted.push(Wanted { name: tidegate_model::page::DELETED.to_owned(), logical: Type::Bool });
            let window = history::window(&shape, &ask.source, from, to)?;
            let sql = if *added { window.appends(&list) } else { window.changes(key, &list) };
            (sql, Vec::new(), false)
        }
        ReadMode::Outbox { .. } => return Err(tidegate_model::ports::no_history()),
        mode => {
            let clauses = clauses(&shape, &ask.source, mode)?;
            let from = match mode {
                ReadMode::Full { at: Some(at), .. } => history::as_of(&shape, &ask.source, at)?,
                _ => shape.from.clone(),
            };
            (format!("SELECT {list} FROM {from}{}", clauses.sql), clauses.params, clauses.ordered)
        }
    };
    Ok(Asked { sql, params, wanted, ordered, doing })
}

/// The columns as they are selected. Names that a result may not have twice are given by number.
fn list(columns: &[&SourceColumn]) -> String {
    let one = |column: &&SourceColumn| format!("{} AS {}", column.kind.read(&column.quoted()), column.quoted());
    if columns.is_empty() { "1 AS nothing".to_owned() } else { columns.iter().map(one).collect::<Vec<_>>().join(", ") }
}

fn wanted(columns: &[&SourceColumn]) -> Vec<Wanted> {
    columns.iter().map(|column| Wanted { name: column.name.clone(), logical: column.kind.logical() }).collect()
}

/// Rows of these keys, a page at a time, with some more expressions (as text) behind the columns.
pub(super) async fn by_keys(
    server: &Server,
    shape: &Shape,
    key: &SourceColumn,
    columns: &[&SourceColumn],
    more: &[String],
    keys: &[Key],
    doing: &str,
) -> Result<Vec<Page>> {
    let mut wanted = wanted(columns);
    let mut selected = vec![list(columns)];
    for (at, expression) in more.iter().enumerate() {
        selected.push(format!("{expression} AS tidegate_{at}"));
        wanted.push(Wanted { name: format!("tidegate_{at}"), logical: Type::Text });
    }
    let sql = format!("SELECT {} FROM {} WHERE {} IN UNNEST(@p0)", selected.join(", "), shape.from, key.plain(""));
    let mut found = Vec::new();
    for texts in pieces(&possible(key, keys)) {
        let answer = server.look(&sql, &[keys_param(key, texts)], doing).await?;
        found.extend(text::pages(&answer.rows, &wanted, usize::MAX)?);
    }
    Ok(found)
}

/// Keys in portions that one request carries.
fn pieces<'a>(texts: &'a [&'a str]) -> Vec<&'a [&'a str]> {
    let mut pieces = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (at, text) in texts.iter().enumerate() {
        if at > from && (at - from >= KEYS_MAX || bytes + text.len() > KEY_BYTES_MAX) {
            pieces.push(&texts[from..at]);
            (from, bytes) = (at, 0);
        }
        bytes += text.len();
    }
    if from < texts.len() {
        pieces.push(&texts[from..]);
    }
    pieces
}

/// Rows by key.
pub(super) async fn fetch(server: &Server, source: &Source, names: &[String], key: &str, keys: &[Key]) -> Result<Page> {
    let shape = shape(server, source, false).await?;
    let find = |name: &String| shape.column(name, source);
    let columns = names.iter().map(find).collect::<Result<Vec<_>>>()?;
    let key = shape.column(key, source)?;
    let doing = format!("fetch from {}", title(source));
    let mut pages = by_keys(server, &shape, key, &columns, &[], keys, &doing).await?;
    if pages.len() == 1
        && let Some(page) = pages.pop()
    {
        return Ok(page);
    }
    let types = columns.iter().map(|column| (column.name.as_str(), column.kind.logical()));
    let mut maker = PageMaker::new(types, usize::MAX);
    for page in &pages {
        let views = ColumnView::all(&page.rows)?;
        let mut misfits = page.misfits.iter().peekable();
        for row in 0..page.len() {
            for (at, view) in views.iter().enumerate() {
                let misfit = misfits.next_if(|misfit| misfit.row == row && misfit.column == at);
                let fault = misfit.map(|misfit| Fault::new(misfit.rule, misfit.reason.clone()));
                maker.put(at, fault.map_or_else(|| Ok(view.cell(row)), Err));
            }
            maker.end_row(0);
        }
    }
    maker.take()
}

/// Number of rows. Of a table it costs nothing.
pub(super) async fn count(server: &Server, source: &Source) -> Result<u64> {
    let shape = shape(server, source, false).await?;
    let doing = format!("count {}", title(source));
    let answer = server.look(&format!("SELECT COUNT(*) FROM {}", shape.from), &[], &doing).await?;
    let count = answer.one().and_then(|text| text.parse().ok());
    count.ok_or_else(|| Error::internal(format!("{doing}: the answer is no number")))
}

/// The greatest `(column, key)`. BigQuery does not show what is being written: what commits later with a smaller
/// cursor is what the sync's lookback is for.
pub(super) async fn bound(server: &Server, source: &Source, column: &str, key: &str) -> Result<Option<CursorPoint>> {
    let shape = shape(server, source, false).await?;
    let (column, key) = (shape.column(column, source)?, shape.column(key, source)?);
    let doing = format!("find the end of {}", title(source));
    let key = format!("IFNULL({}, '')", key_text(key));
    let (name, order, usable) = (column.quoted(), column.plain(""), usable(column)?);
    let sql = format!(
        "SELECT {name} AS tidegate_0, {key} AS tidegate_1 FROM {} WHERE {usable} ORDER BY {order} DESC, tidegate_1 DESC LIMIT 1",
        shape.from
    );
    let answer = server.look(&sql, &[], &doing).await?;
    let wanted = [
        Wanted { name: "tidegate_0".to_owned(), logical: column.kind.logical() },
        Wanted { name: "tidegate_1".to_owned(), logical: Type::Text },
    ];
    let pages = text::pages(&answer.rows, &wanted, 1)?;
    let Some(page) = pages.first() else { return Ok(None) };
    match (value_at(&page.rows, 0, 0), value_at(&page.rows, 1, 0)) {
        // A value that we cannot hold exactly cannot be a bound either.
        (Value::Null, _) => Err(Error::new(
            ErrorKind::Data,
            format!("{doing}: the greatest value of {} does not fit {}", column.name, column.kind.logical()),
        )
        .hint("take `query:` and cast the cursor to fewer digits")),
        (value, Value::Text(key)) => Ok(Some(CursorPoint { value, key: Some(Key::new(key)) })),
        (value, _) => Ok(Some(CursorPoint { value, key: None })),
    }
}

/// The service's clock.
pub(super) async fn now(server: &Server) -> Result<Instant> {
    let answer = server.look("SELECT UNIX_MICROS(CURRENT_TIMESTAMP())", &[], "read the clock").await?;
    let micros = answer.one().and_then(|text| text.parse().ok());
    micros.map(Instant).ok_or_else(|| Error::internal("the service's clock cannot be read"))
}

/// Whether a source is a table, of which alone there is a history.
pub(super) fn is_table(shape: &Shape) -> bool {
    shape.kind == RelationKind::Table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_keys_are_asked_for_in_portions() {
        let texts: Vec<String> = (0..25_000).map(|n| n.to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert_eq!(pieces(&texts).iter().map(|piece| piece.len()).collect::<Vec<_>>(), [10_000, 10_000, 5_000]);
        let long = "x".repeat(KEY_BYTES_MAX);
        assert_eq!(pieces(&[&long, "a", "b"]).iter().map(|piece| piece.len()).collect::<Vec<_>>(), [1, 2]);
        assert!(pieces(&[]).is_empty());
    }
}
