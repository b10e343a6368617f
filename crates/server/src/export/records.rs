//! All records of a model as a file, made while it is taken: however many they are, memory holds a piece of them.

use axum::body::Body;
use futures_util::stream::unfold;
use serde_json::Value as Json;
use tidegate_model::ports::Scratch;
use tidegate_model::{Error, Result};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::parquet::{Column, File, Kind};
use super::{cell, entries, head, line};
use crate::desk::{Desk, RecordsAsk};

/// Bytes of CSV that are handed on at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait for whoever takes the file.
const WAITING_MAX: usize = 4;
/// Rows that stand together in Parquet, and bytes of their JSON: what is in memory at once is a few times as much.
const GROUP_ROWS: usize = 10_000;
/// See [`GROUP_ROWS`].
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// Records as they stood at one moment, in scratch space, and what columns they make.
pub(crate) struct Records {
    spool: Box<dyn Scratch>,
    /// In the order in which they come first; of what kind, where any record has a value.
    columns: Vec<(String, Option<Kind>)>,
}

/// Where pieces of a file go; an error when nobody takes it any more.
struct Out(Sender<Result<Vec<u8>>>);

impl Out {
    fn piece(&self, bytes: Vec<u8>) -> Result<()> {
        self.0.blocking_send(Ok(bytes)).map_err(|_| Error::internal("nobody takes the file any more"))
    }
}

impl Records {
    /// Reads all that are asked for.
    pub(crate) async fn read(desk: &dyn Desk, connection: &str, ask: &RecordsAsk) -> Result<Self> {
        let spool = desk.all_records(connection, ask).await?;
        let looked = tokio::task::spawn_blocking(move || Self::of(spool)).await;
        looked.map_err(|error| Error::internal("records could not be looked through").cause(error))?
    }

    fn of(mut spool: Box<dyn Scratch>) -> Result<Self> {
        let mut columns: Vec<(String, Option<Kind>)> = Vec::new();
        each(&mut *spool, &mut |record, _| {
            let mut at = 0;
            entries(&record, &mut |name, value| {
                // Records of a model have their fields in one order: the next name is mostly the next column.
                let ahead = columns.iter().skip(at).position(|(known, _)| *known == name).map(|found| at + found);
                let found = ahead.or_else(|| columns.iter().position(|(known, _)| *known == name));
                let found = found.unwrap_or_else(|| {
                    columns.push((name.into_owned(), None));
                    columns.len() - 1
                });
                if let Some((_, kind)) = columns.get_mut(found) {
                    *kind = Kind::with(*kind, value);
                }
                at = found + 1;
            });
            Ok(())
        })?;
        Ok(Self { spool, columns })
    }

    /// As CSV.
    pub(crate) fn csv(self) -> Body {
        body(move |out| self.write_csv(out))
    }

    fn write_csv(mut self, out: &Out) -> Result<()> {
        let names: Vec<String> = self.columns.into_iter().map(|(name, _)| name).collect();
        let mut text = head(&names);
        each(&mut *self.spool, &mut |record, _| {
            text.push_str(&line(&names, &record));
            if text.len() < PIECE_BYTES { Ok(()) } else { out.piece(std::mem::take(&mut text).into_bytes()) }
        })?;
        out.piece(text.into_bytes())
    }

    /// As Parquet.
    pub(crate) fn parquet(self) -> Body {
        body(move |out| self.write_parquet(out))
    }

    fn write_parquet(self, out: &Out) -> Result<()> {
        let Self { mut spool, mut columns } = self;
        if columns.is_empty() {
            // A file without columns is none.
            columns.push(("_id".to_owned(), None));
        }
        let column = |(name, kind): (String, Option<Kind>)| Column { name, kind: kind.unwrap_or(Kind::Text) };
        let (mut file, begin) = File::new(columns.into_iter().map(column).collect());
        out.piece(begin)?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        each(&mut *spool, &mut |record, size| {
            rows.push(record);
            bytes += size;
            if rows.len() < GROUP_ROWS && bytes < GROUP_BYTES {
                return Ok(());
            }
            bytes = 0;
            out.piece(file.group(&std::mem::take(&mut rows), cell))
        })?;
        if !rows.is_empty() {
            out.piece(file.group(&rows, cell))?;
        }
        out.piece(file.end())
    }
}

/// Calls back with each record and the bytes of its text, from the first to the last.
fn each(spool: &mut dyn Scratch, on: &mut dyn FnMut(Json, usize) -> Result<()>) -> Result<()> {
    spool.rewind()?;
    let mut text = Vec::new();
    while spool.next(&mut text)? {
        let record = serde_json::from_slice(&text);
        on(record.map_err(|error| Error::internal("a record cannot be read back").cause(error))?, text.len())?;
    }
    Ok(())
}

/// What some work on a thread of its own writes, as it writes it. An error in the middle breaks the answer off, so that
/// nobody takes half a file for a whole one.
fn body(work: impl FnOnce(&Out) -> Result<()> + Send + 'static) -> Body {
    let (to, from) = channel(WAITING_MAX);
    tokio::task::spawn_blocking(move || {
        let out = Out(to);
        if let Err(error) = work(&out) {
            // Where nobody takes the file any more nobody hears this either.
            let _unheard = out.0.blocking_send(Err(error));
        }
    });
    let next = |mut from: Receiver<Result<Vec<u8>>>| async move { from.recv().await.map(|piece| (piece, from)) };
    Body::from_stream(unfold(from, next))
}
