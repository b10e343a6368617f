//! Reading: binary COPY, decoded straight into Arrow, at most two pages ahead of who takes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use futures_util::TryStreamExt;
use tidegate_model::page::{Page, PageStream, Pages};
use tidegate_model::ports::ReadAsk;
use tidegate_model::record::Key;
use tidegate_model::schema::Source;
use tidegate_model::{Error, Result};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::CancelToken;
use tokio_postgres::types::{FromSql, Type as PgType};

use super::catalog::{Shape, SourceColumn, shape, title};
use super::client::{Server, Session};
use super::decode;
use super::errors::classify;
use super::order::{among, clauses};
use crate::builder::PageMaker;

/// Pages that may wait to be taken.
const AHEAD_PAGES_MAX: usize = 2;
/// Bytes gathered before rows are taken out of them: the messages of a COPY are rows, often of a few bytes.
const GATHER_BYTES: usize = 128 << 10;
/// `PGCOPY\n\xff\r\n\0`, flags and the length of an extension that nobody uses.
const COPY_HEADER: usize = 19;

/// What begins a read: one snapshot, nothing can be written.
pub(super) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Pages of a read under way. Dropping it ends the read.
struct Reading {
    pages: mpsc::Receiver<Result<Page>>,
    task: JoinHandle<()>,
    server: Arc<Server>,
    token: CancelToken,
    /// True until the read gives its connection back, or is dropped: whoever turns it off owns the connection's end.
    open: Arc<AtomicBool>,
}

#[async_trait]
impl PageStream for Reading {
    async fn next(&mut self) -> Result<Option<Page>> {
        self.pages.recv().await.transpose()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if self.open.swap(false, Ordering::SeqCst) {
            self.task.abort();
            // A server that still sorts does not notice that the line is closed.
            self.server.cancel(self.token.clone());
        }
    }
}

/// Starts a read.
pub(super) async fn read(server: &Arc<Server>, ask: ReadAsk) -> Result<Pages> {
    let session = server.session().await?;
    let doing = format!("read {}", title(&ask.source));
    session.client.batch_execute(BEGIN_READ).await.map_err(|error| classify(&error, &doing))?;
    let shape = shape(&session.client, &ask.source).await?;
    let find = |name: &String| shape.column(name, &ask.source).cloned();
    let columns = ask.columns.iter().map(find).collect::<Result<Vec<_>>>()?;
    let clauses = clauses(&shape, &ask.source, &ask.mode)?;
    let copy = format!("COPY ({}) TO STDOUT (FORMAT binary)", select(&columns, &shape.from, &clauses));
    let (sender, pages) = mpsc::channel(AHEAD_PAGES_MAX);
    let token = session.client.cancel_token();
    let keeper = server.clone();
    let open = Arc::new(AtomicBool::new(true));
    let ours = open.clone();
    let task = tokio::spawn(async move {
        let run = Run { columns: &columns, page_rows: ask.page_rows, doing: &doing };
        match run.copy(&session, &copy, &sender).await {
            Ok(complete) => {
                // Dropped meanwhile: a cancellation is on its way to this connection, so nobody may use it again.
                let ours = ours.swap(false, Ordering::SeqCst) && complete;
                if ours && session.client.batch_execute("COMMIT").await.is_ok() {
                    keeper.keep(session);
                }
            }
            Err(error) => {
                // If nobody listens any more, nobody needs to know.
                let _nobody = sender.send(Err(error)).await;
            }
        }
    });
    Ok(Box::new(Reading { pages, task, server: server.clone(), token, open }))
}

/// A SELECT of columns in the form that [`decode`] reads.
pub(super) fn select(columns: &[SourceColumn], from: &str, clauses: &str) -> String {
    let list: Vec<String> = columns.iter().map(|column| column.sent("")).collect();
    format!("SELECT {} FROM {from}{clauses}", list.join(", "))
}

pub(super) fn maker(columns: &[SourceColumn], rows_max: usize) -> PageMaker {
    PageMaker::new(columns.iter().map(|column| (column.name.as_str(), column.known.logical)), rows_max)
}

struct Run<'a> {
    columns: &'a [SourceColumn],
    page_rows: usize,
    doing: &'a str,
}

impl Run<'_> {
    /// False if nobody listens any more.
    async fn copy(&self, session: &Session, copy: &str, sender: &mpsc::Sender<Result<Page>>) -> Result<bool> {
        let fail = |error: tokio_postgres::Error| classify(&error, self.doing);
        let stream = session.client.copy_out(copy).await.map_err(fail)?;
        let mut stream = std::pin::pin!(stream);
        let mut maker = maker(self.columns, self.page_rows);
        let mut gathered = BytesMut::with_capacity(2 * GATHER_BYTES);
        let mut header = COPY_HEADER;
        let mut more = true;
        while more {
            match stream.try_next().await.map_err(fail)? {
                Some(bytes) => gathered.extend_from_slice(&bytes),
                None => more = false,
            }
            if more && gathered.len() < GATHER_BYTES {
                continue;
            }
            if header > 0 && gathered.len() >= header {
                gathered.advance(header);
                header = 0;
            }
            loop {
                let (used, full) = self.rows(&gathered, &mut maker)?;
                gathered.advance(used);
                if !full {
                    break;
                }
                if sender.send(Ok(maker.take()?)).await.is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(maker.is_empty() || sender.send(Ok(maker.take()?)).await.is_ok())
    }

    /// Takes whole rows out of the bytes until they end or the page is full; how many bytes were used.
    fn rows(&self, bytes: &[u8], maker: &mut PageMaker) -> Result<(usize, bool)> {
        let mut used = 0;
        while let Some(end) = self.row_end(bytes, used)? {
            self.row(&bytes[used + 2..end], maker);
            let full = maker.end_row(end - used);
            used = end;
            if full {
                return Ok((used, true));
            }
        }
        Ok((used, false))
    }

    /// Where the row that starts here ends; `None`: not all of it is there, or it is the end mark.
    fn row_end(&self, bytes: &[u8], start: usize) -> Result<Option<usize>> {
        let Some(count) = bytes.get(start..start + 2) else { return Ok(None) };
        let count = i16::from_be_bytes([count[0], count[1]]);
        if count < 0 {
            return Ok(None);
        }
        if usize::try_from(count) != Ok(self.columns.len()) {
            return Err(Error::internal(format!("{}: a row of {count} columns came", self.doing)));
        }
        let mut at = start + 2;
        for _ in 0..count {
            let Some(length) = bytes.get(at..at + 4) else { return Ok(None) };
            let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
            at += 4 + usize::try_from(length).unwrap_or(0);
        }
        Ok((at <= bytes.len()).then_some(at))
    }

    /// Decodes a whole row.
    fn row(&self, mut row: &[u8], maker: &mut PageMaker) {
        for (at, column) in self.columns.iter().enumerate() {
            let length = row.get_i32();
            let Ok(length) = usize::try_from(length) else {
                if let Some(col) = maker.col(at) {
                    col.null();
                }
                continue;
            };
            let (cell, rest) = row.split_at(length);
            row = rest;
            decode::cell(column.known.wire, Some(cell), maker, at);
        }
    }
}

/// The bytes of a cell as they came.
pub(super) struct Raw<'a>(pub(super) &'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &PgType, raw: &'a [u8]) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }
    fn accepts(_: &PgType) -> bool {
        true
    }
}

/// Puts a row of a query into the maker; its columns start at `first`.
pub(super) fn put_row(
    row: &tokio_postgres::Row,
    first: usize,
    columns: &[SourceColumn],
    maker: &mut PageMaker,
) -> Result<()> {
    for (at, column) in columns.iter().enumerate() {
        let raw: Option<Raw<'_>> =
            row.try_get(first + at).map_err(|error| Error::internal("a cell cannot be read").cause(error))?;
        decode::cell(column.known.wire, raw.map(|raw| raw.0), maker, at);
    }
    Ok(())
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
    let find = |name: &String| shape.column(name, source).cloned();
    let columns = names.iter().map(find).collect::<Result<Vec<_>>>()?;
    let (filter, texts) = among(shape.column(key, source)?, keys);
    let sql = select(&columns, &shape.from, &format!(" WHERE {filter}"));
    let fail = |error: tokio_postgres::Error| classify(&error, &format!("fetch from {}", title(source)));
    let rows = session.client.query_raw(&sql, [&texts]).await.map_err(fail)?;
    let mut rows = std::pin::pin!(rows);
    let mut maker = maker(&columns, usize::MAX);
    while let Some(row) = rows.try_next().await.map_err(fail)? {
        put_row(&row, 0, &columns, &mut maker)?;
        maker.end_row(0);
    }
    maker.take()
}

/// Number of rows.
pub(super) async fn count(session: &Session, source: &Source) -> Result<u64> {
    let shape = shape(&session.client, source).await?;
    let sql = format!("SELECT count(*) FROM {}", shape.from);
    let row = session.client.query_one(&sql, &[]).await;
    let rows: i64 = row.map_err(|error| classify(&error, &format!("count {}", title(source))))?.get(0);
    Ok(u64::try_from(rows).unwrap_or(0))
}
