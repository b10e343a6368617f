//! How far a cursor may read without passing a row that is still being written.
//!
//! A row that carries a transaction at or after the oldest running one is "ahead", and so is everything from the
//! smallest such row on. Transaction numbers of rows have 32 bits and wrap around: a row is ahead if its number lies
//! in the window from the oldest running to the next transaction, counted modulo 2^32. Comparing against that small
//! window, instead of by "older than half of all numbers", keeps frozen rows of any age apart; the one in a few
//! billion that falls into it is held back until the window moves on.
//!
//! A writer that drew its cursor value early and its transaction number late (a `nextval` or `now()` long before the
//! first write) is not seen by this. For `timestamptz` cursors the start of the oldest writing transaction bounds as
//! well; for the rest there is the sync's lookback. Views and queries carry no transaction numbers: lookback only.

use tidegate_model::record::Key;
use tidegate_model::schema::Source;
use tidegate_model::span::CursorPoint;
use tidegate_model::value::Value;
use tidegate_model::{Error, Result};
use tokio_postgres::Client;

use super::catalog::{Shape, SourceColumn, shape, title};
use super::errors::classify;
use super::order::{cursor_order, key_text, usable};
use super::read::{BEGIN_READ, maker, put_row};
use super::types::{Wire, literal};

/// The start of the oldest transaction that has written something; asked before the snapshot is taken, so that a
/// writer that ends in between is still counted.
const OLDEST_WRITER: &str = "SELECT min(xact_start)::text FROM pg_catalog.pg_stat_activity \
    WHERE backend_xid IS NOT NULL AND datname = current_database() AND pid <> pg_catalog.pg_backend_pid()";

/// The oldest running transaction modulo 2^32, and how many there are up to the next one.
const HORIZON: &str = "SELECT pg_snapshot_xmin(s)::text::int8 & 4294967295, \
    pg_snapshot_xmax(s)::text::int8 - pg_snapshot_xmin(s)::text::int8 FROM pg_current_snapshot() s";

/// Finds the greatest `(column, key)` that may be read now.
pub(super) async fn bound(client: &Client, source: &Source, column: &str, key: &str) -> Result<Option<CursorPoint>> {
    let doing = format!("find the end of {}", title(source));
    let fail = |error: tokio_postgres::Error| classify(&error, &doing);
    let writer: Option<String> = client.query_one(OLDEST_WRITER, &[]).await.map_err(fail)?.get(0);
    client.batch_execute(BEGIN_READ).await.map_err(fail)?;
    let shape = shape(client, source).await?;
    let (column, key) = (shape.column(column, source)?.clone(), shape.column(key, source)?.clone());
    let ahead = ahead(client, &shape, &column, writer.as_deref()).await.map_err(fail)?;
    let sql = statement(&shape, &column, &key, ahead.as_deref())?;
    let row = client.query_opt(&sql, &[]).await.map_err(fail)?;
    client.batch_execute("COMMIT").await.map_err(fail)?;
    let Some(row) = row else { return Ok(None) };
    let columns = [column];
    let mut maker = maker(&columns, 1);
    put_row(&row, 0, &columns, &mut maker)?;
    maker.end_row(0);
    let page = maker.take()?;
    let key: String = row.try_get(1).map_err(|error| Error::internal("a key cannot be read").cause(error))?;
    match tidegate_model::cells::value_at(&page.rows, 0, 0) {
        Value::Null => Ok(None),
        value => Ok(Some(CursorPoint { value, key: Some(Key::new(key)) })),
    }
}

/// A condition for rows that may have company which we do not see yet.
async fn ahead(
    client: &Client,
    shape: &Shape,
    column: &SourceColumn,
    writer: Option<&str>,
) -> std::result::Result<Option<String>, tokio_postgres::Error> {
    let mut conditions = Vec::new();
    if shape.has_xmin {
        let row = client.query_one(HORIZON, &[]).await?;
        let (oldest, window): (i64, i64) = (row.get(0), row.get(1));
        if window > 0 {
            conditions.push(format!("((xmin::text::int8 - {oldest}) & 4294967295) < {window}"));
        }
        if let (Wire::TimestampTz, Some(writer)) = (column.known.wire, writer) {
            conditions.push(format!("{} >= {}::timestamptz", column.quoted(), literal(writer)));
        }
    }
    Ok((!conditions.is_empty()).then(|| conditions.join(" OR ")))
}

fn statement(shape: &Shape, column: &SourceColumn, key: &SourceColumn, ahead: Option<&str>) -> Result<String> {
    let (from, usable, order) = (&shape.from, usable(column)?.yes, cursor_order(column));
    let sent = column.sent("");
    let key = format!("coalesce({}, '')", key_text(key));
    let last = format!("ORDER BY {order} DESC, {key} DESC LIMIT 1");
    Ok(match ahead {
        None => format!("SELECT {sent}, {key} FROM {from} WHERE {usable} {last}"),
        Some(ahead) => format!(
            "WITH ahead AS MATERIALIZED (SELECT {order} AS \"tidegate at\", {key} AS \"tidegate key\" FROM {from} WHERE {usable} AND ({ahead}) \
             ORDER BY 1, 2 LIMIT 1) \
             SELECT {sent}, {key} FROM {from} WHERE {usable} AND NOT EXISTS (SELECT 1 FROM ahead \
             WHERE {order} > \"tidegate at\" OR ({order} = \"tidegate at\" AND {key} >= \"tidegate key\")) {last}"
        ),
    })
}
