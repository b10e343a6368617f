//! Pages made cell by cell, straight into typed Arrow builders.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder, Float64Builder, Int64Builder,
    StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema, SchemaRef};
use tidegate_model::page::{Misfit, Page, arrow_field, arrow_type};
use tidegate_model::value::{Decimal, Type};
use tidegate_model::{Error, Result};

use crate::cell::Cell;

/// A page ends here even if it has fewer rows than asked for: a few pages of wide rows must fit a 64 MB budget.
pub(crate) const PAGE_BYTES_MAX: usize = 8 << 20;

/// Why a cell does not fit its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) rule: &'static str,
    pub(crate) reason: String,
}

impl Fault {
    pub(crate) fn new(rule: &'static str, reason: impl Into<String>) -> Self {
        Self { rule, reason: reason.into() }
    }
}

/// A typed builder of one column.
pub(crate) enum Col {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Decimal128(Decimal128Builder, u8, i8),
    Decimal256(Decimal256Builder, u8, i8),
    Float(Float64Builder),
    Text(StringBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Binary(BinaryBuilder),
}

impl Col {
    fn new(logical: Type) -> Self {
        let data_type = arrow_type(logical);
        match logical {
            Type::Bool => Self::Bool(BooleanBuilder::new()),
            Type::Int64 => Self::Int(Int64Builder::new()),
            Type::Decimal { precision, scale } if precision <= 38 => {
                Self::Decimal128(Decimal128Builder::new().with_data_type(data_type), precision, scale)
            }
            Type::Decimal { precision, scale } => {
                Self::Decimal256(Decimal256Builder::new().with_data_type(data_type), precision, scale)
            }
            Type::Float64 => Self::Float(Float64Builder::new()),
            Type::Text | Type::Json | Type::List => Self::Text(StringBuilder::new()),
            Type::Date => Self::Date(Date32Builder::new()),
            Type::Time => Self::Time(Time64MicrosecondBuilder::new()),
            Type::Timestamp | Type::TimestampTz => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(data_type))
            }
            Type::Binary => Self::Binary(BinaryBuilder::new()),
        }
    }

    pub(crate) fn null(&mut self) {
        match self {
            Self::Bool(b) => b.append_null(),
            Self::Int(b) => b.append_null(),
            Self::Decimal128(b, ..) => b.append_null(),
            Self::Decimal256(b, ..) => b.append_null(),
            Self::Float(b) => b.append_null(),
            Self::Text(b) => b.append_null(),
            Self::Date(b) => b.append_null(),
            Self::Time(b) => b.append_null(),
            Self::Timestamp(b) => b.append_null(),
            Self::Binary(b) => b.append_null(),
        }
    }

    /// Appends a cell; one that does not fit is told, and nothing is appended.
    pub(crate) fn push(&mut self, cell: &Cell<'_>) -> std::result::Result<(), Fault> {
        match (self, cell) {
            (col, Cell::Null) => col.null(),
            (Self::Bool(b), Cell::Bool(v)) => b.append_value(*v),
            (Self::Int(b), Cell::Int(v)) => b.append_value(*v),
            (Self::Decimal128(b, precision, scale), Cell::Decimal(v)) => {
                match at_scale(*v, *precision, *scale)?.unscaled().to_i128() {
                    Some(unscaled) => b.append_value(unscaled),
                    None => return Err(too_many_digits(*precision, *scale)),
                }
            }
            (Self::Decimal256(b, precision, scale), Cell::Decimal(v)) => {
                b.append_value(at_scale(*v, *precision, *scale)?.unscaled());
            }
            (Self::Float(b), Cell::Float(v)) if v.is_finite() => b.append_value(*v),
            (Self::Float(_), Cell::Float(_)) => return Err(not_finite()),
            (Self::Text(b), Cell::Text(v) | Cell::Json(v) | Cell::List(v)) => b.append_value(v),
            (Self::Date(b), Cell::Date(v)) => b.append_value(*v),
            (Self::Time(b), Cell::Time(v)) => b.append_value(*v),
            (Self::Timestamp(b), Cell::Timestamp(v) | Cell::TimestampTz(v)) => b.append_value(*v),
            (Self::Binary(b), Cell::Binary(v)) => b.append_value(v),
            (_, cell) => return Err(Fault::new("wrong_type", format!("the cell holds {}", cell.type_name()))),
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Int(b) => Arc::new(b.finish()),
            Self::Decimal128(b, ..) => Arc::new(b.finish()),
            Self::Decimal256(b, ..) => Arc::new(b.finish()),
            Self::Float(b) => Arc::new(b.finish()),
            Self::Text(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
            Self::Timestamp(b) => Arc::new(b.finish()),
            Self::Binary(b) => Arc::new(b.finish()),
        }
    }
}

/// The misfit of NaN and the infinities.
pub(crate) fn not_finite() -> Fault {
    Fault::new("not_finite", "the cell holds NaN or an infinity")
}

/// The misfit of a number with digits that its column has no room for.
pub(crate) fn too_many_digits(precision: u8, scale: i8) -> Fault {
    Fault::new("out_of_range", format!("the number has more digits than decimal({precision},{scale}) holds"))
}

fn at_scale(number: Decimal, precision: u8, scale: i8) -> std::result::Result<Decimal, Fault> {
    match number.rescale(scale) {
        Some(fit) if fit.digits() <= usize::from(precision) => Ok(fit),
        _ => Err(too_many_digits(precision, scale)),
    }
}

/// Makes pages of the same columns, one after the other.
pub(crate) struct PageMaker {
    schema: SchemaRef,
    cols: Vec<Col>,
    misfits: Vec<Misfit>,
    rows: usize,
    bytes: usize,
    rows_max: usize,
}

impl PageMaker {
    pub(crate) fn new<'a>(columns: impl Iterator<Item = (&'a str, Type)> + Clone, rows_max: usize) -> Self {
        let fields: Vec<Field> = columns.clone().map(|(name, logical)| arrow_field(name, logical)).collect();
        Self {
            schema: Arc::new(Schema::new(fields)),
            cols: columns.map(|(_, logical)| Col::new(logical)).collect(),
            misfits: Vec::new(),
            rows: 0,
            bytes: 0,
            rows_max: rows_max.max(1),
        }
    }

    /// Puts a cell, or the reason why there is none, into a column of the row in hand.
    pub(crate) fn put(&mut self, column: usize, cell: std::result::Result<Cell<'_>, Fault>) {
        let Some(col) = self.cols.get_mut(column) else { return };
        if let Ok(Cell::Text(text) | Cell::Json(text) | Cell::List(text)) = &cell {
            self.bytes += text.len();
        }
        if let Ok(Cell::Binary(bytes)) = &cell {
            self.bytes += bytes.len();
        }
        if let Err(fault) = cell.and_then(|cell| col.push(&cell)) {
            col.null();
            self.misfits.push(Misfit { row: self.rows, column, rule: fault.rule, reason: fault.reason });
        }
    }

    /// The builder of a column, to be filled directly.
    pub(crate) fn col(&mut self, column: usize) -> Option<&mut Col> {
        self.cols.get_mut(column)
    }

    /// Ends the row in hand; true when the page is full.
    pub(crate) fn end_row(&mut self, bytes: usize) -> bool {
        self.rows += 1;
        self.bytes += bytes;
        self.rows >= self.rows_max || self.bytes >= PAGE_BYTES_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The page of the rows so far; starts again.
    pub(crate) fn take(&mut self) -> Result<Page> {
        let arrays = self.cols.iter_mut().map(Col::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .map_err(|error| Error::internal("build a page").cause(error))?;
        self.rows = 0;
        self.bytes = 0;
        Ok(Page { rows, misfits: std::mem::take(&mut self.misfits) })
    }
}
