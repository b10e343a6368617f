//! Arrow as Snowflake sends it, to the columns of our pages. Texts, floats, days and bytes are taken over as they
//! are; numbers, times and documents are brought into their own form, column by column.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, Decimal128Array, Int64Array, PrimitiveArray, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Schema, SchemaRef};
use tidegate_model::Result;
use tidegate_model::page::{Page, arrow_field};
use tidegate_model::value::Type;

use super::types::Kind;
use super::wire::RowType;
use crate::arrived::{self, Faults, documents, floats, unknown_form};
use crate::builder::too_many_digits;
use crate::cell::canonical_json;

/// A column of a result, and what becomes of it.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Its name in the page.
    pub(super) name: String,
    /// What it is in the page.
    pub(super) logical: Type,
    /// What it is on the wire.
    pub(super) kind: Kind,
    /// Digits after the point: of numbers, and of seconds.
    pub(super) scale: i8,
}

impl Wanted {
    /// A column as the result describes it.
    pub(super) fn of_row(column: &RowType) -> Self {
        let kind = Kind::of_row(column);
        let scale = column.scale.and_then(|scale| i8::try_from(scale).ok());
        let scale = scale.unwrap_or(if matches!(kind, Kind::Fixed { .. }) { 0 } else { 9 });
        Self { name: column.name.clone(), logical: kind.logical(), kind, scale }
    }
}

/// The schema of the pages.
pub(super) fn schema(columns: &[Wanted]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|column| arrow_field(&column.name, column.logical)).collect::<Vec<_>>()))
}

/// Brings a batch into the form of our pages.
pub(super) fn page(batch: &RecordBatch, columns: &[Wanted], schema: &SchemaRef) -> Result<Page> {
    arrived::page(batch, columns, schema, convert, |column, came| {
        unknown_form(&column.name, column.logical, came)
            .hint("structured types and vectors are not read yet: take `query:` and cast the column to VARIANT")
    })
}

/// `None` if the array has no form that the column's kind has on the wire.
fn convert(array: &ArrayRef, column: &Wanted, faults: &mut Faults<'_>) -> Option<ArrayRef> {
    if array.data_type() == &DataType::Null {
        return Some(arrow_array::new_null_array(&tidegate_model::page::arrow_type(column.logical), array.len()));
    }
    match (column.logical, array.data_type()) {
        (Type::Int64, _) => whole(array, faults),
        (Type::Decimal { precision, scale }, _) => decimal(array, column.scale, precision, scale, faults),
        (Type::Float64, DataType::Float64) => Some(floats(array, faults)),
        (Type::Text, DataType::Utf8) => Some(array.clone()),
        (Type::Json | Type::List, DataType::Utf8) => {
            Some(documents(array.as_string::<i32>(), canonical_document, faults))
        }
        (Type::Bool, DataType::Boolean) | (Type::Binary, DataType::Binary) => Some(array.clone()),
        (Type::Date, DataType::Date32) => Some(Arc::new(array.as_primitive::<Date32Type>().clone())),
        (Type::Time, _) => {
            Some(Arc::new(scaled(array, column.scale, faults)?.reinterpret_cast::<Time64MicrosecondType>()))
        }
        (Type::Timestamp, _) => {
            Some(Arc::new(instants(array, column.scale, faults)?.reinterpret_cast::<TimestampMicrosecondType>()))
        }
        (Type::TimestampTz, _) => {
            let instants = instants(array, column.scale, faults)?.reinterpret_cast::<TimestampMicrosecondType>();
            Some(Arc::new(instants.with_timezone("UTC")))
        }
        _ => None,
    }
}

/// Integers of any width, as 64 bits.
fn integers(array: &ArrayRef) -> Option<Int64Array> {
    fn widened<T: ArrowPrimitiveType>(array: &ArrayRef) -> Int64Array
    where
        T::Native: Into<i64>,
    {
        array.as_primitive::<T>().unary(Into::into)
    }
    Some(match array.data_type() {
        DataType::Int8 => widened::<Int8Type>(array),
        DataType::Int16 => widened::<Int16Type>(array),
        DataType::Int32 => widened::<Int32Type>(array),
        DataType::Int64 => array.as_primitive::<Int64Type>().clone(),
        _ => return None,
    })
}

fn whole(array: &ArrayRef, faults: &mut Faults<'_>) -> Option<ArrayRef> {
    if let Some(integers) = integers(array) {
        return Some(Arc::new(integers));
    }
    let wide = array.as_primitive_opt::<Decimal128Type>()?;
    let cells = wide.iter().enumerate().map(|(row, cell)| {
        let fit = i64::try_from(cell?);
        if fit.is_err() {
            faults.add(row, "out_of_range", "the number does not fit 64 bits");
        }
        fit.ok()
    });
    Some(Arc::new(cells.collect::<Int64Array>()))
}

/// Numbers with a scale travel as their digits without the point, in integers as small as they fit.
fn decimal(array: &ArrayRef, sent: i8, precision: u8, scale: i8, faults: &mut Faults<'_>) -> Option<ArrayRef> {
    let digits: Decimal128Array = match array.data_type() {
        DataType::Int8 => array.as_primitive::<Int8Type>().unary(i128::from),
        DataType::Int16 => array.as_primitive::<Int16Type>().unary(i128::from),
        DataType::Int32 => array.as_primitive::<Int32Type>().unary(i128::from),
        DataType::Int64 => array.as_primitive::<Int64Type>().unary(i128::from),
        _ => array.as_primitive_opt::<Decimal128Type>()?.clone(),
    };
    let digits = if sent == scale { digits } else { rescaled(&digits, sent, scale, precision, faults) };
    // More digits than declared would break the array's own promise; a server that sends them is off its own.
    let typed = digits.with_data_type(DataType::Decimal128(precision, scale));
    Some(Arc::new(typed))
}

fn rescaled(digits: &Decimal128Array, from: i8, to: i8, precision: u8, faults: &mut Faults<'_>) -> Decimal128Array {
    let cells = digits.iter().enumerate().map(|(row, cell)| {
        let number = tidegate_model::value::Decimal::from_i128(cell?, from).rescale(to);
        let fit = number.filter(|n| n.digits() <= usize::from(precision)).and_then(|n| n.unscaled().to_i128());
        if fit.is_none() {
            let fault = too_many_digits(precision, to);
            faults.add(row, fault.rule, fault.reason);
        }
        fit
    });
    cells.collect()
}

/// A document in canonical text. Snowflake prints an SQL NULL within an array as `undefined`.
pub(super) fn canonical_document(text: &str) -> Option<String> {
    canonical_json(text).or_else(|| canonical_json(&defined(text)))
}

/// `undefined` outside of texts, as `null`.
fn defined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(c) = rest.chars().next() {
        if !quoted && let Some(after) = rest.strip_prefix("undefined") {
            out.push_str("null");
            rest = after;
            continue;
        }
        let mut taken = c.len_utf8();
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => taken += rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => {}
        }
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

/// Integers that count units of 10^-scale seconds, as microseconds.
fn scaled(array: &ArrayRef, scale: i8, faults: &mut Faults<'_>) -> Option<PrimitiveArray<Int64Type>> {
    let integers = integers(array)?;
    let scale = u32::from(scale.clamp(0, 9).unsigned_abs());
    if scale <= 6 {
        let factor = 10_i64.pow(6 - scale);
        return Some(integers.unary(|units| units.saturating_mul(factor)));
    }
    let step = 10_i64.pow(scale - 6);
    if integers.iter().flatten().all(|units| units % step == 0) {
        return Some(integers.unary(|units| units.div_euclid(step)));
    }
    let cells = integers.iter().enumerate().map(|(row, units)| {
        let units = units?;
        if units % step == 0 {
            return Some(units / step);
        }
        faults.add(row, "sub_microsecond", FINER);
        None
    });
    Some(cells.collect())
}

const FINER: &str = "the time has digits finer than a microsecond";

/// Instants: one integer, or seconds (in whole numbers, rounded down) with nanoseconds beside them. The offset that a
/// TIMESTAMP_TZ carries says only how it is shown: its seconds are those of UTC.
fn instants(array: &ArrayRef, scale: i8, faults: &mut Faults<'_>) -> Option<PrimitiveArray<Int64Type>> {
    let Some(parts) = array.as_struct_opt() else { return scaled(array, scale, faults) };
    let epoch = parts.column_by_name("epoch")?;
    let Some(fraction) = parts.column_by_name("fraction") else {
        let whole = scaled(epoch, scale, faults)?;
        let nulls = NullBuffer::union(parts.nulls(), whole.nulls());
        return Some(PrimitiveArray::new(whole.values().clone(), nulls));
    };
    let (seconds, nanos) = (epoch.as_primitive_opt::<Int64Type>()?, integers(fraction)?);
    // The emulator marks NULL in the parts, the server on the whole.
    let nulls = NullBuffer::union(parts.nulls(), NullBuffer::union(seconds.nulls(), nanos.nulls()).as_ref());
    if let Some(instants) = plain_instants(seconds.values(), nanos.values()) {
        return Some(PrimitiveArray::new(instants.into(), nulls));
    }
    let there = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let cells = seconds.values().iter().zip(nanos.values()).enumerate().map(|(row, (seconds, nanos))| {
        if !there(row) {
            return None;
        }
        if nanos % 1_000 != 0 {
            faults.add(row, "sub_microsecond", FINER);
            return None;
        }
        let instant = seconds.checked_mul(1_000_000).and_then(|us| us.checked_add(nanos / 1_000));
        if instant.is_none() {
            faults.add(row, "out_of_range", "the time is too far away for microseconds of 64 bits");
        }
        instant
    });
    Some(cells.collect())
}

/// Instants of which each fits, as nearly all do: all in one go, without a question for each that would end it. `None`
/// if one does not, or what stands below a NULL.
fn plain_instants(seconds: &[i64], nanos: &[i64]) -> Option<Vec<i64>> {
    /// Seconds that are microseconds of 64 bits, whatever stands beside them.
    const SECONDS_MAX: u64 = 9_000_000_000_000;
    let mut odd = false;
    let instants = seconds.iter().zip(nanos).map(|(&seconds, &nanos)| {
        let micros = nanos / 1_000;
        odd |= seconds.unsigned_abs() >= SECONDS_MAX || micros * 1_000 != nanos;
        seconds.wrapping_mul(1_000_000).wrapping_add(micros)
    });
    let instants = instants.collect();
    (!odd).then_some(instants)
}
