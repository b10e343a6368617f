//! Cells of Arrow columns to values and back. Only changed rows pass through here.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder, Float64Builder, Int64Builder,
    StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::page::{LOGICAL, Misfit, Page, arrow_field};
use crate::value::{Decimal, Type, Value};

/// The value of one cell. Types that no connector of ours makes read as NULL; `PageBuilder` never makes them.
pub fn value_at(batch: &RecordBatch, column: usize, row: usize) -> Value {
    cell(batch.column(column), batch.schema_ref().field(column), row)
}

/// The value of one cell of an array with its field.
pub fn cell(array: &ArrayRef, field: &Field, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Decimal128(_, scale) => {
            Value::Decimal(Decimal::from_i128(array.as_primitive::<Decimal128Type>().value(row), *scale))
        }
        DataType::Decimal256(_, scale) => {
            Value::Decimal(Decimal::new(array.as_primitive::<Decimal256Type>().value(row), *scale))
        }
        DataType::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => text_value(array.as_string::<i32>().value(row), field),
        DataType::Date32 => Value::Date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Time64(_) => Value::Time(array.as_primitive::<Time64MicrosecondType>().value(row)),
        DataType::Timestamp(_, None) => Value::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::Timestamp(_, Some(_)) => {
            Value::TimestampTz(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Binary => Value::Binary(array.as_binary::<i32>().value(row).to_vec()),
        _ => Value::Null,
    }
}

fn text_value(text: &str, field: &Field) -> Value {
    match field.metadata().get(LOGICAL).map(String::as_str) {
        Some("json") => Value::Json(text.into()),
        Some("list") => list_value(text),
        _ => Value::text(text),
    }
}

/// A list from its canonical JSON text; text that is no list becomes a list of one.
pub fn list_value(text: &str) -> Value {
    match serde_json::from_str::<Vec<serde_json::Value>>(text) {
        Ok(items) => Value::List(items.into_iter().map(json_value).collect()),
        Err(_) => Value::List(vec![Value::text(text)]),
    }
}

/// A value from JSON: numbers stay exact.
pub fn json_value(json: serde_json::Value) -> Value {
    use serde_json::Value as J;
    match json {
        J::Null => Value::Null,
        J::Bool(b) => Value::Bool(b),
        J::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Decimal::parse(&number.to_string()).map_or(Value::Null, Value::Decimal),
        },
        J::String(text) => Value::text(text),
        J::Array(items) => Value::List(items.into_iter().map(json_value).collect()),
        object => Value::Json(object.to_string().into()),
    }
}

/// Whether a value was appended.
type Pushed = Option<()>;

enum ColumnBuilder {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Decimal128(Decimal128Builder, u8, i8),
    Decimal256(Decimal256Builder, u8, i8),
    Float(Float64Builder),
    Text(StringBuilder, Type),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder, bool),
    Binary(BinaryBuilder),
}

impl ColumnBuilder {
    fn new(logical: Type) -> Self {
        match logical {
            Type::Bool => Self::Bool(BooleanBuilder::new()),
            Type::Int64 => Self::Int(Int64Builder::new()),
            Type::Decimal { precision, scale } if precision <= 38 => Self::Decimal128(
                Decimal128Builder::new().with_data_type(DataType::Decimal128(precision, scale)),
                precision,
                scale,
            ),
            Type::Decimal { precision, scale } => Self::Decimal256(
                Decimal256Builder::new().with_data_type(DataType::Decimal256(precision, scale)),
                precision,
                scale,
            ),
            Type::Float64 => Self::Float(Float64Builder::new()),
            Type::Text | Type::Json | Type::List => Self::Text(StringBuilder::new(), logical),
            Type::Date => Self::Date(Date32Builder::new()),
            Type::Time => Self::Time(Time64MicrosecondBuilder::new()),
            Type::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new(), false),
            Type::TimestampTz => Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC"), true),
            Type::Binary => Self::Binary(BinaryBuilder::new()),
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Bool(b) => b.append_null(),
            Self::Int(b) => b.append_null(),
            Self::Decimal128(b, ..) => b.append_null(),
            Self::Decimal256(b, ..) => b.append_null(),
            Self::Float(b) => b.append_null(),
            Self::Text(b, _) => b.append_null(),
            Self::Date(b) => b.append_null(),
            Self::Time(b) => b.append_null(),
            Self::Timestamp(b, _) => b.append_null(),
            Self::Binary(b) => b.append_null(),
        }
    }

    /// Appends the value if it is of the column's type (integers fit decimals); else NULL and the rule it breaks.
    fn push(&mut self, value: &Value) -> std::result::Result<(), &'static str> {
        if value.is_null() {
            self.push_null();
            return Ok(());
        }
        let fits = self.push_number(value).or_else(|| self.push_plain(value)).ok_or_else(|| self.rule(value));
        if fits.is_err() {
            self.push_null();
        }
        fits
    }

    /// Appends a number to a column of numbers.
    fn push_number(&mut self, value: &Value) -> Pushed {
        match (self, value) {
            (Self::Int(b), Value::Int(v)) => b.append_value(*v),
            (Self::Float(b), Value::Float(v)) if v.is_finite() => b.append_value(*v),
            (Self::Decimal128(b, precision, scale), value) => {
                b.append_value(decimal(value, *precision, *scale)?.unscaled().to_i128()?);
            }
            (Self::Decimal256(b, precision, scale), value) => {
                b.append_value(decimal(value, *precision, *scale)?.unscaled());
            }
            _ => return None,
        }
        Some(())
    }

    /// Appends what is no number.
    fn push_plain(&mut self, value: &Value) -> Pushed {
        match (self, value) {
            (Self::Bool(b), Value::Bool(v)) => b.append_value(*v),
            (Self::Text(b, Type::Text), Value::Text(v)) | (Self::Text(b, Type::Json), Value::Json(v)) => {
                b.append_value(v)
            }
            (Self::Text(b, Type::Json | Type::List), Value::List(_)) => b.append_value(value.to_string()),
            (Self::Date(b), Value::Date(v)) => b.append_value(*v),
            (Self::Time(b), Value::Time(v)) => b.append_value(*v),
            (Self::Timestamp(b, false), Value::Timestamp(v)) | (Self::Timestamp(b, true), Value::TimestampTz(v)) => {
                b.append_value(*v);
            }
            (Self::Binary(b), Value::Binary(v)) => b.append_value(v),
            _ => return None,
        }
        Some(())
    }

    /// The rule that a value breaks which did not fit.
    fn rule(&self, value: &Value) -> &'static str {
        match (self, value) {
            (Self::Float(_), Value::Float(_)) => "not_finite",
            (Self::Decimal128(..) | Self::Decimal256(..), Value::Decimal(_) | Value::Int(_)) => "out_of_range",
            _ => "wrong_type",
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Int(b) => Arc::new(b.finish()),
            Self::Decimal128(b, ..) => Arc::new(b.finish()),
            Self::Decimal256(b, ..) => Arc::new(b.finish()),
            Self::Float(b) => Arc::new(b.finish()),
            Self::Text(b, _) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
            Self::Timestamp(b, _) => Arc::new(b.finish()),
            Self::Binary(b) => Arc::new(b.finish()),
        }
    }
}

fn decimal(value: &Value, precision: u8, scale: i8) -> Option<Decimal> {
    let number = match value {
        Value::Decimal(number) => number.rescale(scale)?,
        Value::Int(whole) => Decimal::from_i128(i128::from(*whole), 0).rescale(scale)?,
        _ => return None,
    };
    (number.digits() <= usize::from(precision)).then_some(number)
}

/// Builds pages row by row from values.
pub struct PageBuilder {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    misfits: Vec<Misfit>,
    rows: usize,
    at: usize,
}

impl PageBuilder {
    /// A builder for columns of these names and types.
    pub fn new(columns: &[(String, Type)]) -> Self {
        let fields: Vec<Field> = columns.iter().map(|(name, logical)| arrow_field(name, *logical)).collect();
        Self {
            schema: Arc::new(Schema::new(fields)),
            columns: columns.iter().map(|(_, logical)| ColumnBuilder::new(*logical)).collect(),
            misfits: Vec::new(),
            rows: 0,
            at: 0,
        }
    }
    /// Appends the next cell of the row in hand. A value that does not fit becomes NULL and a misfit.
    pub fn push(&mut self, value: &Value) {
        let Some(column) = self.columns.get_mut(self.at) else { return };
        if let Err(rule) = column.push(value) {
            let logical = self.schema.field(self.at).data_type();
            let reason = format!("{} does not fit {logical}", value.type_name());
            self.misfits.push(Misfit { row: self.rows, column: self.at, rule, reason });
        }
        self.at += 1;
    }
    /// Ends the row in hand; missing cells are NULL.
    pub fn end_row(&mut self) {
        while let Some(column) = self.columns.get_mut(self.at) {
            column.push_null();
            self.at += 1;
        }
        self.rows += 1;
        self.at = 0;
    }
    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// The page of all rows so far; the builder starts again.
    pub fn take(&mut self) -> Result<Page> {
        let arrays = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .map_err(|error| Error::internal("build a page").cause(error))?;
        self.rows = 0;
        Ok(Page { rows, misfits: std::mem::take(&mut self.misfits) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_a_page_and_misfits_are_told() {
        let columns = [
            ("d".to_owned(), Type::Decimal { precision: 5, scale: 2 }),
            ("t".to_owned(), Type::Text),
            ("l".to_owned(), Type::List),
            ("z".to_owned(), Type::TimestampTz),
        ];
        let mut builder = PageBuilder::new(&columns);
        let tags = Value::List(vec![Value::text("a"), Value::text("b")]);
        let good = [Value::Int(12), Value::text(""), tags, Value::TimestampTz(5)];
        good.iter().for_each(|value| builder.push(value));
        builder.end_row();
        builder.push(&Value::Decimal(Decimal::parse("1234.56").expect("number")));
        builder.push(&Value::Int(1));
        builder.end_row();
        let page = builder.take().expect("page");
        assert_eq!(value_at(&page.rows, 0, 0), Value::Decimal(Decimal::parse("12").expect("number")));
        assert_eq!(value_at(&page.rows, 1, 0), Value::text(""));
        assert_eq!(value_at(&page.rows, 2, 0), good[2]);
        assert_eq!(value_at(&page.rows, 3, 0), Value::TimestampTz(5));
        let rules: Vec<_> = page.misfits.iter().map(|m| (m.row, m.column, m.rule)).collect();
        assert_eq!(rules, [(1, 0, "out_of_range"), (1, 1, "wrong_type")]);
    }
}
