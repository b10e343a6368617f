//! Pages on their way in, and their columns as cells.

use std::sync::{Arc, Weak};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow_schema::DataType;
use tidegate_model::page::{Page, Pages};
use tidegate_model::value::Decimal;
use tidegate_model::{Error, ErrorKind, Result};
use tokio::sync::mpsc;

use super::cell::{CellRef, Grid};

/// Pages that are read ahead while one is written.
const PAGES_AHEAD: usize = 2;

/// Hands pages of an async stream to a blocking thread.
pub struct Inlet {
    queue: mpsc::Receiver<Result<Option<Page>>>,
    caller: Weak<()>,
}

impl Inlet {
    /// Starts reading. When the caller lets go of what comes with it, there are no more pages: a load that nobody
    /// waits for any more is not committed.
    pub fn open(mut pages: Pages) -> (Self, Arc<()>) {
        let (queue, inlet) = mpsc::channel(PAGES_AHEAD);
        let caller = Arc::new(());
        tokio::spawn(async move {
            loop {
                let next = pages.next().await;
                let more = matches!(next, Ok(Some(_)));
                if queue.send(next).await.is_err() || !more {
                    return;
                }
            }
        });
        (Self { queue: inlet, caller: Arc::downgrade(&caller) }, caller)
    }

    /// The next page; `None` is the end.
    pub fn next(&mut self) -> Result<Option<Page>> {
        let cut = || Error::new(ErrorKind::Cancelled, "the pages of a load stopped coming");
        let next = self.queue.blocking_recv().ok_or_else(cut)?;
        if self.caller.strong_count() == 0 { Err(cut()) } else { next }
    }
}

/// A column of a page as cells of the kind that carries its type.
pub enum Cells {
    /// Whole numbers.
    Int(Int64Array),
    /// Booleans, stored as 0 and 1.
    Bool(BooleanArray),
    /// Days.
    Date(Date32Array),
    /// Times of day.
    Time(Time64MicrosecondArray),
    /// Dates with time.
    Moment(TimestampMicrosecondArray),
    /// Floats.
    Real(Float64Array),
    /// Texts, also JSON and lists, and the digits of exact numbers.
    Text(StringArray),
    /// Bytes.
    Blob(BinaryArray),
}

impl Cells {
    /// Takes a column; exact numbers become digits, all else stays as it is.
    pub fn of(array: &ArrayRef) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Int64 => Cells::Int(array.as_primitive::<Int64Type>().clone()),
            DataType::Boolean => Cells::Bool(array.as_boolean().clone()),
            DataType::Date32 => Cells::Date(array.as_primitive::<Date32Type>().clone()),
            DataType::Time64(_) => Cells::Time(array.as_primitive::<Time64MicrosecondType>().clone()),
            DataType::Timestamp(..) => Cells::Moment(array.as_primitive::<TimestampMicrosecondType>().clone()),
            DataType::Float64 => Cells::Real(array.as_primitive::<Float64Type>().clone()),
            DataType::Utf8 => Cells::Text(array.as_string::<i32>().clone()),
            DataType::Binary => Cells::Blob(array.as_binary::<i32>().clone()),
            DataType::Decimal128(_, scale) => {
                let digits = array.as_primitive::<Decimal128Type>();
                let texts = digits.iter().map(|n| n.map(|n| Decimal::from_i128(n, *scale).to_string()));
                Cells::Text(texts.collect())
            }
            DataType::Decimal256(_, scale) => {
                let digits = array.as_primitive::<Decimal256Type>();
                let texts = digits.iter().map(|n| n.map(|n| Decimal::new(n, *scale).to_string()));
                Cells::Text(texts.collect())
            }
            other => return Err(Error::internal(format!("a page brings a column of the type {other}"))),
        })
    }

    /// One cell.
    #[inline]
    pub fn cell(&self, row: usize) -> CellRef<'_> {
        macro_rules! at {
            ($array:expr, $value:expr) => {
                if $array.is_null(row) { CellRef::Null } else { $value }
            };
        }
        match self {
            Cells::Int(a) => at!(a, CellRef::Int(a.value(row))),
            Cells::Bool(a) => at!(a, CellRef::Int(i64::from(a.value(row)))),
            Cells::Date(a) => at!(a, CellRef::Int(i64::from(a.value(row)))),
            Cells::Time(a) => at!(a, CellRef::Int(a.value(row))),
            Cells::Moment(a) => at!(a, CellRef::Int(a.value(row))),
            Cells::Real(a) => at!(a, CellRef::Real(a.value(row))),
            Cells::Text(a) => at!(a, CellRef::Text(a.value(row))),
            Cells::Blob(a) => at!(a, CellRef::Blob(a.value(row))),
        }
    }
}

/// Some rows of some columns: the rows of a page that are taken.
pub struct Frame<'a> {
    /// The columns.
    pub columns: Vec<Cells>,
    /// Numbers of the rows.
    pub rows: &'a [u32],
}

impl Grid for Frame<'_> {
    fn rows(&self) -> usize {
        self.rows.len()
    }
    #[inline]
    fn cell(&self, column: usize, row: usize) -> CellRef<'_> {
        self.columns[column].cell(self.rows[row] as usize)
    }
}
