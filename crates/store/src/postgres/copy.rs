//! The whole state out of Postgres and into it: binary COPY, one transaction.

use std::sync::Arc;

use futures_util::{TryStreamExt, pin_mut};
use tidegate_model::error::{Error, Result};
use tokio::sync::mpsc;
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutRow, BinaryCopyOutStream};
use tokio_postgres::types::{ToSql, Type};

use super::{Mode, Postgres, Session};
use crate::copy::{ROWS_AT_ONCE, StateFile, Table};
use crate::sqlite::off;
use crate::tx::{Cell, P, Tx, damaged};

/// Pages between the reader of the file and the writer to the server.
const PAGES_AHEAD: usize = 4;

impl Postgres {
    /// Copies all tables, as they stand at one instant; the copy, and how many rows.
    pub(crate) async fn copy_out(&self, copy: StateFile) -> Result<(StateFile, u64)> {
        let mut session = self.begin(Mode::Snapshot).await?;
        let out = tables_out(&mut session, copy).await;
        self.end(session, Mode::Snapshot, out).await
    }

    /// Replaces all tables; how many rows.
    pub(crate) async fn copy_in(&self, copy: StateFile) -> Result<u64> {
        let mut session = self.begin(Mode::Write).await?;
        let out = tables_in(&mut session, copy).await;
        self.end(session, Mode::Write, out).await
    }
}

/// The types of a table's columns.
async fn types(session: &mut Session, table: &Table) -> Result<Vec<Type>> {
    let statement = session.prepared(&format!("SELECT {} FROM \"{}\" LIMIT 0", table.list(), table.name)).await?;
    Ok(statement.columns().iter().map(|column| column.type_().clone()).collect())
}

async fn tables_out(session: &mut Session, mut copy: StateFile) -> Result<(StateFile, u64)> {
    let mut all = 0;
    for table in copy.tables.clone() {
        let types = types(session, &table).await?;
        let sql = format!("COPY \"{}\" ({}) TO STDOUT (FORMAT binary)", table.name, table.list());
        let stream = session.client.copy_out(&sql).await.map_err(|error| session.fail(&error))?;
        let rows = BinaryCopyOutStream::new(stream, &types);
        pin_mut!(rows);
        copy.clear(&table)?;
        let table = Arc::new(table);
        let mut page = Vec::new();
        loop {
            let row = rows.try_next().await.map_err(|error| session.fail(&error))?;
            let ended = row.is_none();
            if let Some(row) = row {
                page.push(cells(&row, &table, &types)?);
                all += 1;
            }
            if page.len() >= ROWS_AT_ONCE || ended {
                let (table, rows) = (Arc::clone(&table), std::mem::take(&mut page));
                copy = off(move || copy.add(&table, &rows).map(|()| copy)).await?;
            }
            if ended {
                break;
            }
        }
    }
    Ok((copy, all))
}

/// Keys are bytes here and text in the file.
fn cells(row: &BinaryCopyOutRow, table: &Table, types: &[Type]) -> Result<Vec<Cell>> {
    let mistyped = || damaged(format!("a row of the table {} has another type than tidegate gives it", table.name));
    let cell = |at: usize, ty: &Type, text: bool| -> Option<Cell> {
        Some(match *ty {
            Type::INT8 => row.try_get::<Option<i64>>(at).ok()?.map_or(Cell::Null, Cell::Int),
            Type::BYTEA => match row.try_get::<Option<Vec<u8>>>(at).ok()? {
                None => Cell::Null,
                Some(bytes) if text => Cell::Text(String::from_utf8(bytes).ok()?),
                Some(bytes) => Cell::Blob(bytes),
            },
            _ => row.try_get::<Option<String>>(at).ok()?.map_or(Cell::Null, Cell::Text),
        })
    };
    let columns = types.iter().zip(&table.columns).enumerate();
    columns.map(|(at, (ty, (_, text)))| cell(at, ty, *text).ok_or_else(mistyped)).collect()
}

async fn tables_in(session: &mut Session, copy: StateFile) -> Result<u64> {
    let tables = copy.tables.clone();
    // Whoever wants to begin a run now waits for the end of this, and then finds the restored state.
    session.batch("LOCK TABLE syncs IN ACCESS EXCLUSIVE MODE").await?;
    let (send, mut pages) = mpsc::channel::<(usize, Vec<Vec<Cell>>)>(PAGES_AHEAD);
    let reading = tokio::spawn(off(move || {
        for (at, table) in copy.tables.iter().enumerate() {
            copy.each(table, |rows| send.blocking_send((at, rows)).map_err(|_| unread()))?;
        }
        Ok(())
    }));
    let mut all = 0;
    let mut next = pages.recv().await;
    for (at, table) in tables.iter().enumerate() {
        session.batch(&format!("DELETE FROM \"{}\"", table.name)).await?;
        let types = types(session, table).await?;
        let sql = format!("COPY \"{}\" ({}) FROM STDIN (FORMAT binary)", table.name, table.list());
        let sink = session.client.copy_in(&sql).await.map_err(|error| session.fail(&error))?;
        let writer = BinaryCopyInWriter::new(sink, &types);
        pin_mut!(writer);
        while let Some((of, rows)) = next.take() {
            if of != at {
                next = Some((of, rows));
                break;
            }
            for row in &rows {
                let params: Vec<P<'_>> = row.iter().zip(&types).map(|(cell, ty)| param(cell, ty)).collect();
                let params = params.iter().map(|param| param as &(dyn ToSql + Sync));
                writer.as_mut().write_raw(params).await.map_err(|error| session.fail(&error))?;
                all += 1;
            }
            next = pages.recv().await;
        }
        writer.finish().await.map_err(|error| session.fail(&error))?;
    }
    match reading.await {
        Ok(read) => read?,
        Err(error) => return Err(Error::internal("the reading of the copy was cut off").cause(error)),
    }
    numbers(session).await?;
    Ok(all)
}

/// Nobody takes the rows: the writer failed, and its error is the one that is told.
fn unread() -> Error {
    Error::internal("nobody takes the rows of the copy")
}

fn param<'a>(cell: &'a Cell, ty: &Type) -> P<'a> {
    match cell {
        Cell::Null => P::Null,
        Cell::Int(number) => P::Int(*number),
        Cell::Text(text) if *ty == Type::BYTEA => P::Key(text),
        Cell::Text(text) => P::Text(text),
        Cell::Blob(bytes) => P::Blob(bytes),
    }
}

/// Numbers that the server gives go on after those that came with the copy.
async fn numbers(session: &mut Session) -> Result<()> {
    let counted = "SELECT table_name::text, column_name::text FROM information_schema.columns \
                   WHERE table_schema = current_schema() AND is_identity = 'YES'";
    for mut row in session.rows(counted, &[]).await? {
        let (table, column) = (row.text(0)?, row.text(1)?);
        let sql = format!(
            "SELECT setval(pg_get_serial_sequence(quote_ident(current_schema()) || '.{table}', '{column}'), \
             (SELECT coalesce(max({column}), 0) + 1 FROM \"{table}\"), false)"
        );
        session.rows(&sql, &[]).await?;
    }
    Ok(())
}
