//! Lists in pages. Marks are the columns of the order, so that a page costs the same wherever it begins.

use std::collections::BTreeMap;

use tidegate_model::error::Result;
use tidegate_model::ports::{ListedConflict, ListedReject};
use tidegate_model::run::RunRecord;
use tidegate_model::time::Instant;

use super::{conflicts as conflict_ops, rejects as reject_ops, runs as run_ops};
use crate::pages::{LoggedLine, OpenCounts};
use crate::tx::{P, Row, Tx};

pub(crate) async fn runs<T: Tx>(
    tx: &mut T,
    sync: Option<&str>,
    status: Option<&str>,
    after: Option<(i64, i64)>,
    limit: u32,
) -> Result<Vec<(RunRecord, (i64, i64))>> {
    let (at, id) = after.unwrap_or((i64::MAX, i64::MAX));
    let mut params = vec![P::Int(at), P::Int(id), P::Int(i64::from(limit))];
    let mut only = String::new();
    if let Some(sync) = sync {
        params.push(P::Text(sync));
        only.push_str(&format!(" AND sync = ${}", params.len()));
    }
    if let Some(status) = status {
        params.push(P::Text(status));
        only.push_str(&format!(" AND status = ${}", params.len()));
    }
    let sql = format!(
        "SELECT record, books, started_at, id FROM runs WHERE (started_at < $1 OR (started_at = $1 AND id < $2)){only} \
         ORDER BY started_at DESC, id DESC LIMIT $3"
    );
    let rows = tx.rows(&sql, &params).await?;
    rows.into_iter()
        .map(|mut row| {
            let mark = (row.int(2)?, row.int(3)?);
            Ok((run_ops::record(row)?, mark))
        })
        .collect()
}

pub(crate) async fn logs<T: Tx>(tx: &mut T, sync: Option<&str>, before: i64, limit: u32) -> Result<Vec<LoggedLine>> {
    let mut params = vec![P::Int(before), P::Int(i64::from(limit))];
    let mut only = "";
    if let Some(sync) = sync {
        params.push(P::Text(sync));
        only = " AND r.sync = $3";
    }
    let sql = format!(
        "SELECT l.id, l.at, l.run, r.sync, l.line FROM logs l JOIN runs r ON r.run = l.run WHERE l.id < $1{only} \
         ORDER BY l.id DESC LIMIT $2"
    );
    let rows = tx.rows(&sql, &params).await?;
    let line = |mut row: Row| {
        Ok(LoggedLine {
            number: row.int(0)?,
            at: Instant(row.int(1)?),
            run: row.text(2)?,
            sync: row.text(3)?,
            line: row.text(4)?,
        })
    };
    rows.into_iter().map(line).collect()
}

pub(crate) async fn rejects<T: Tx>(
    tx: &mut T,
    sync: Option<&str>,
    after: Option<&[String; 4]>,
    limit: u32,
) -> Result<Vec<(ListedReject, [String; 4])>> {
    let mut params = vec![P::Int(i64::from(limit))];
    let mut only = String::from("1 = 1");
    if let Some([sync, key, side, field]) = after {
        params.extend([P::Text(sync), P::Key(key), P::Text(side), P::Text(field)]);
        only = "(s.name > $2 OR (s.name = $2 AND (r.key > $3 OR (r.key = $3 AND (r.side > $4 OR \
                (r.side = $4 AND r.field > $5))))))"
            .to_owned();
    }
    if let Some(sync) = sync {
        params.push(P::Text(sync));
        only.push_str(&format!(" AND s.name = ${}", params.len()));
    }
    let sql = format!(
        "SELECT s.name, r.key, r.side, r.field, r.rule, r.reason, r.value, r.run, r.at FROM rejects r \
         JOIN syncs s ON s.id = r.sync WHERE {only} ORDER BY s.name, r.key, r.side, r.field LIMIT $1"
    );
    let rows = tx.rows(&sql, &params).await?;
    rows.into_iter()
        .map(|row| {
            let listed = reject_ops::listed(row)?;
            let key = listed.reject.key.as_ref().map_or("", |key| key.as_str()).to_owned();
            let field = listed.reject.why.field.clone().unwrap_or_default();
            let mark = [listed.sync.clone(), key, crate::code::side(listed.reject.to).to_owned(), field];
            Ok((listed, mark))
        })
        .collect()
}

pub(crate) async fn conflicts<T: Tx>(
    tx: &mut T,
    sync: Option<&str>,
    open_only: bool,
    after: Option<(i64, i64)>,
    limit: u32,
) -> Result<Vec<(ListedConflict, (i64, i64))>> {
    let (at, id) = after.unwrap_or((i64::MAX, i64::MAX));
    let mut params = vec![P::Int(at), P::Int(id), P::Int(i64::from(limit))];
    let mut only = String::new();
    if open_only {
        only.push_str(" AND c.state <> 'decided'");
    }
    if let Some(sync) = sync {
        params.push(P::Text(sync));
        only.push_str(" AND s.name = $4");
    }
    let sql = format!(
        "SELECT s.name, c.key, c.field, c.state, c.warehouse, c.platform, c.winner, c.note, c.choice, c.run, c.at, c.id \
         FROM conflicts c JOIN syncs s ON s.id = c.sync WHERE (c.at < $1 OR (c.at = $1 AND c.id < $2)){only} \
         ORDER BY c.at DESC, c.id DESC LIMIT $3"
    );
    let rows = tx.rows(&sql, &params).await?;
    rows.into_iter()
        .map(|mut row: Row| {
            let id = row.int(11)?;
            let listed = conflict_ops::listed(row)?;
            let mark = (listed.at.0, id);
            Ok((listed, mark))
        })
        .collect()
}

pub(crate) async fn open_counts<T: Tx>(tx: &mut T) -> Result<BTreeMap<String, OpenCounts>> {
    let mut out: BTreeMap<String, OpenCounts> = BTreeMap::new();
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let sql = "SELECT s.name, count(*) FROM rejects r JOIN syncs s ON s.id = r.sync GROUP BY s.name";
    for mut row in tx.rows(sql, &[]).await? {
        out.entry(row.text(0)?).or_default().rejects = count(row.int(1)?);
    }
    let sql = "SELECT s.name, count(*) FROM conflicts c JOIN syncs s ON s.id = c.sync WHERE c.state <> 'decided' \
               GROUP BY s.name";
    for mut row in tx.rows(sql, &[]).await? {
        out.entry(row.text(0)?).or_default().conflicts = count(row.int(1)?);
    }
    Ok(out)
}

pub(crate) async fn last_runs<T: Tx>(tx: &mut T) -> Result<BTreeMap<String, RunRecord>> {
    // From the list of syncs, by the index on sync and time: a state holds many runs and few syncs.
    let sql = "SELECT r.record, r.books FROM syncs s JOIN runs r ON r.id = (SELECT x.id FROM runs x \
               WHERE x.sync = s.name ORDER BY x.started_at DESC, x.id DESC LIMIT 1)";
    let rows = tx.rows(sql, &[]).await?;
    rows.into_iter()
        .map(|row| {
            let run = run_ops::record(row)?;
            Ok((run.sync.clone(), run))
        })
        .collect()
}
