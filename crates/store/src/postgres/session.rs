//! One connection to the state.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use futures_util::future::try_join_all;
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::{HistoryEntry, LedgerEntry, LedgerRecord};
use tidegate_model::record::{Key, RemoteId};
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

use super::error::Place;
use crate::tx::{Cell, P, Row, Tx, Writes, damaged};

/// Statements in flight at once: hides the way to the server without filling its buffers.
const PIPELINE: usize = 512;

pub(crate) struct Session {
    pub(super) client: Client,
    statements: HashMap<String, Statement>,
    place: Arc<Place>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Session {
    pub(super) fn new(client: Client, place: Arc<Place>, permit: OwnedSemaphorePermit) -> Self {
        Self { client, statements: HashMap::new(), place, permit: Some(permit) }
    }
    /// Counts as one of the sessions in use.
    pub(super) fn hold(&mut self, permit: OwnedSemaphorePermit) {
        self.permit = Some(permit);
    }
    pub(super) fn let_go(&mut self) {
        self.permit = None;
    }
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
    pub(super) fn fail(&self, error: &tokio_postgres::Error) -> Error {
        self.place.classify(error)
    }

    /// Runs statements without parameters.
    pub(super) async fn batch(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(|error| self.fail(&error))
    }

    /// Commits. Without an answer nobody knows whether it was done.
    pub(super) async fn commit(&self) -> Result<()> {
        self.client.batch_execute("COMMIT").await.map_err(|error| self.place.lost_commit(&error))
    }

    pub(super) async fn prepared(&mut self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await.map_err(|error| self.fail(&error))?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// A query with parameters of Postgres's own types.
    pub(super) async fn typed_rows(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>> {
        let statement = self.prepared(sql).await?;
        self.client.query(&statement, params).await.map_err(|error| self.fail(&error))
    }
}

fn bound<'a, 'b>(params: &'a [P<'b>]) -> Vec<&'a (dyn ToSql + Sync)>
where
    'b: 'a,
{
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}

impl Tx for Session {
    async fn exec(&mut self, sql: &str, params: &[P<'_>]) -> Result<u64> {
        let statement = self.prepared(sql).await?;
        self.client.execute(&statement, &bound(params)).await.map_err(|error| self.fail(&error))
    }

    async fn exec_many(&mut self, sql: &str, rows: &[Vec<P<'_>>]) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let statement = self.prepared(sql).await?;
        let mut touched = 0;
        for chunk in rows.chunks(PIPELINE) {
            let bound: Vec<_> = chunk.iter().map(|row| bound(row)).collect();
            let all = bound.iter().map(|params| self.client.execute(&statement, params));
            let counts = try_join_all(all).await.map_err(|error| self.fail(&error))?;
            touched += counts.iter().sum::<u64>();
        }
        Ok(touched)
    }

    async fn rows(&mut self, sql: &str, params: &[P<'_>]) -> Result<Vec<Row>> {
        let statement = self.prepared(sql).await?;
        let rows = self.client.query(&statement, &bound(params)).await.map_err(|error| self.fail(&error))?;
        rows.iter().map(cells).collect()
    }

    async fn put_ledger(&mut self, sync: i64, records: &[&LedgerRecord]) -> Result<i64> {
        super::ledger::put(self, sync, records).await
    }
    async fn add_history(&mut self, of: Writes, entries: &[HistoryEntry]) -> Result<()> {
        crate::ops::history::add_each(self, of, entries).await
    }
    async fn remove_ledger(&mut self, sync: i64, keys: &[Key]) -> Result<i64> {
        super::ledger::remove(self, sync, keys).await
    }
    async fn scan(&mut self, sync: i64, after: Option<&Key>, limit: usize) -> Result<Vec<LedgerEntry>> {
        super::ledger::scan(self, sync, after, limit).await
    }
    async fn entries(&mut self, sync: i64, keys: &[Key]) -> Result<Vec<Option<LedgerRecord>>> {
        super::ledger::entries(self, sync, keys).await
    }
    async fn by_remote(&mut self, sync: i64, ids: &[RemoteId]) -> Result<Vec<Option<Key>>> {
        super::ledger::by_remote(self, sync, ids).await
    }
}

fn cells(row: &tokio_postgres::Row) -> Result<Row> {
    let cell = |at: usize, kind: &Type| -> Result<Cell, tokio_postgres::Error> {
        Ok(match *kind {
            Type::INT8 => row.try_get::<_, Option<i64>>(at)?.map_or(Cell::Null, Cell::Int),
            Type::INT4 => row.try_get::<_, Option<i32>>(at)?.map_or(Cell::Null, |number| Cell::Int(number.into())),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(at)?.map_or(Cell::Null, Cell::Blob),
            _ => row.try_get::<_, Option<String>>(at)?.map_or(Cell::Null, Cell::Text),
        })
    };
    let columns = row.columns().iter().enumerate();
    let cells = columns.map(|(at, column)| cell(at, column.type_())).collect::<Result<_, _>>();
    cells.map(Row).map_err(|_| damaged("a row of the state has another type than tidegate gives it"))
}

/// Binds to whatever type the statement has in that place.
impl ToSql for P<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            P::Null => return Ok(IsNull::Yes),
            P::Int(number) if *ty == Type::INT4 => out.put_i32(i32::try_from(*number)?),
            P::Int(number) => out.put_i64(*number),
            // Postgres has no NUL in texts; in the places where we write texts it carries no meaning.
            P::Text(text) if text.contains('\0') => out.put_slice(text.replace('\0', "\u{fffd}").as_bytes()),
            P::Text(text) | P::Key(text) => out.put_slice(text.as_bytes()),
            P::Blob(bytes) => out.put_slice(bytes),
        }
        Ok(IsNull::No)
    }
    fn accepts(ty: &Type) -> bool {
        [Type::INT4, Type::INT8, Type::TEXT, Type::VARCHAR, Type::BYTEA].contains(ty)
    }
    to_sql_checked!();
}
