//! Rows of the hub's tables into Arrow columns, cell by cell but without values in between.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder, Float64Builder, Int64Builder,
    StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use tidegate_model::page::{Page, arrow_field};
use tidegate_model::value::{Decimal, Type};
use tidegate_model::{Error, Result};

use super::cell::CellRef;
use super::db::Row;
use super::ids::Ids;

/// How a column of a page is made from the cells of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decode {
    /// One cell, the value itself.
    Plain,
    /// One cell, a number that becomes an id.
    Id,
    /// Two cells: the parent's number and its externalId; the latter is shown if there is one.
    Reference,
    /// No cell: nobody has made this field yet.
    Absent,
}

impl Decode {
    /// Cells that it takes.
    pub fn width(self) -> usize {
        match self {
            Decode::Absent => 0,
            Decode::Plain | Decode::Id => 1,
            Decode::Reference => 2,
        }
    }
}

enum Build {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Small(Decimal128Builder, i8),
    Large(Decimal256Builder, i8),
    Float(Float64Builder),
    Text(StringBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Moment(TimestampMicrosecondBuilder),
    Bytes(BinaryBuilder),
}

impl Build {
    fn new(logical: Type) -> Result<Self> {
        let wrong = |e: ArrowError| Error::internal("a field's type cannot be carried").cause(e);
        Ok(match logical {
            Type::Bool => Build::Bool(BooleanBuilder::new()),
            Type::Int64 => Build::Int(Int64Builder::new()),
            Type::Decimal { precision, scale } if precision <= 38 => {
                let builder = Decimal128Builder::new().with_precision_and_scale(precision, scale).map_err(wrong)?;
                Build::Small(builder, scale)
            }
            Type::Decimal { precision, scale } => {
                let builder = Decimal256Builder::new().with_precision_and_scale(precision, scale).map_err(wrong)?;
                Build::Large(builder, scale)
            }
            Type::Float64 => Build::Float(Float64Builder::new()),
            Type::Text | Type::Json | Type::List => Build::Text(StringBuilder::new()),
            Type::Date => Build::Date(Date32Builder::new()),
            Type::Time => Build::Time(Time64MicrosecondBuilder::new()),
            Type::Timestamp => Build::Moment(TimestampMicrosecondBuilder::new()),
            Type::TimestampTz => Build::Moment(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            Type::Binary => Build::Bytes(BinaryBuilder::new()),
        })
    }

    #[inline]
    fn push(&mut self, cell: CellRef<'_>) -> Result<()> {
        match (self, cell) {
            (Build::Bool(b), CellRef::Int(n)) => b.append_value(n != 0),
            (Build::Bool(b), _) => b.append_null(),
            (Build::Int(b), CellRef::Int(n)) => b.append_value(n),
            (Build::Int(b), _) => b.append_null(),
            (Build::Small(b, scale), CellRef::Text(text)) => match small(text, *scale) {
                Some(unscaled) => b.append_value(unscaled),
                None => return Err(too_fine()),
            },
            (Build::Small(b, _), _) => b.append_null(),
            (Build::Large(b, scale), CellRef::Text(text)) => {
                let scaled = Decimal::parse(text).and_then(|number| number.rescale(*scale)).ok_or_else(too_fine)?;
                b.append_value(scaled.unscaled());
            }
            (Build::Large(b, _), _) => b.append_null(),
            (Build::Float(b), CellRef::Real(x)) => b.append_value(x),
            (Build::Float(b), _) => b.append_null(),
            (Build::Text(b), CellRef::Text(text)) => b.append_value(text),
            (Build::Text(b), _) => b.append_null(),
            (Build::Date(b), CellRef::Int(n)) => b.append_option(i32::try_from(n).ok()),
            (Build::Date(b), _) => b.append_null(),
            (Build::Time(b), CellRef::Int(n)) => b.append_value(n),
            (Build::Time(b), _) => b.append_null(),
            (Build::Moment(b), CellRef::Int(n)) => b.append_value(n),
            (Build::Moment(b), _) => b.append_null(),
            (Build::Bytes(b), CellRef::Blob(bytes)) => b.append_value(bytes),
            (Build::Bytes(b), _) => b.append_null(),
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Build::Bool(b) => Arc::new(b.finish()),
            Build::Int(b) => Arc::new(b.finish()),
            Build::Small(b, _) => Arc::new(b.finish()),
            Build::Large(b, _) => Arc::new(b.finish()),
            Build::Float(b) => Arc::new(b.finish()),
            Build::Text(b) => Arc::new(b.finish()),
            Build::Date(b) => Arc::new(b.finish()),
            Build::Time(b) => Arc::new(b.finish()),
            Build::Moment(b) => Arc::new(b.finish()),
            Build::Bytes(b) => Arc::new(b.finish()),
        }
    }
}

fn too_fine() -> Error {
    Error::internal("a number of the hub has more digits than its field")
}

/// The unscaled digits of a number in text at a scale; `None` if digits would be lost.
pub fn small(text: &str, scale: i8) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let scale_digits = usize::try_from(scale).ok()?;
    let fraction = if fraction.len() > scale_digits { fraction.trim_end_matches('0') } else { fraction };
    if fraction.len() > scale_digits || whole.len() + scale_digits > 38 {
        // Rare forms take the long way.
        return Decimal::parse(text)?.rescale(scale)?.unscaled().to_i128();
    }
    let mut out: i128 = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        out = out * 10 + i128::from(byte.wrapping_sub(b'0').min(9));
    }
    for _ in fraction.len()..scale_digits {
        out *= 10;
    }
    Some(out * sign)
}

/// One column of pages to be.
pub struct Out {
    /// Its name.
    pub name: String,
    /// Its type.
    pub logical: Type,
    /// How it is made.
    pub decode: Decode,
}

/// Collects rows into pages.
pub struct PageMaker {
    schema: SchemaRef,
    columns: Vec<(Build, Decode)>,
    ids: Ids,
    rows: usize,
}

impl PageMaker {
    /// For these columns.
    pub fn new(ids: Ids, columns: &[Out]) -> Result<Self> {
        let fields: Vec<_> = columns.iter().map(|column| arrow_field(&column.name, column.logical)).collect();
        let builds: Result<Vec<_>> = columns.iter().map(|c| Ok((Build::new(c.logical)?, c.decode))).collect();
        Ok(Self { schema: Arc::new(Schema::new(fields)), columns: builds?, ids, rows: 0 })
    }
    /// Adds a row; its cells stand in the order of the columns.
    pub fn push(&mut self, row: &dyn Row) -> Result<()> {
        let mut at = 0;
        for (build, decode) in &mut self.columns {
            match decode {
                Decode::Plain => build.push(row.cell(at)?)?,
                Decode::Absent => build.push(CellRef::Null)?,
                Decode::Id => push_id(build, self.ids, row.cell(at)?)?,
                Decode::Reference => match row.cell(at + 1)? {
                    CellRef::Null => push_id(build, self.ids, row.cell(at)?)?,
                    external => build.push(external)?,
                },
            }
            at += decode.width();
        }
        self.rows += 1;
        Ok(())
    }
    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// The rows so far as a page.
    pub fn take(&mut self) -> Result<Page> {
        let arrays: Vec<ArrayRef> = self.columns.iter_mut().map(|(build, _)| build.finish()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .map(Page::new)
            .map_err(|e| Error::internal("a page cannot be made").cause(e))
    }
}

fn push_id(build: &mut Build, ids: Ids, cell: CellRef<'_>) -> Result<()> {
    match cell {
        CellRef::Int(id) => build.push(CellRef::Text(&ids.text(id))),
        other => build.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_scaled_and_never_lost() {
        assert_eq!(small("12.5", 2), Some(1250));
        assert_eq!(small("-0.05", 2), Some(-5));
        assert_eq!(small("1.500", 2), Some(150));
        assert_eq!(small("1.505", 2), None);
        assert_eq!(small("7", 0), Some(7));
        assert_eq!(
            small("99999999999999999999999999999999999999", 0),
            Decimal::parse("99999999999999999999999999999999999999").unwrap().unscaled().to_i128()
        );
    }
}
