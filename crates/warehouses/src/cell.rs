//! One cell on its way between Arrow, a database and a record, without an allocation where none is needed.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{
    Array, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float64Array, Int64Array,
    RecordBatch, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use tidegate_model::cells::list_value;
use tidegate_model::page::logical_type;
use tidegate_model::value::{Decimal, Type, Value};
use tidegate_model::{Error, Result};

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Decimal(Decimal),
    Float(f64),
    Text(Cow<'a, str>),
    Date(i32),
    Time(i64),
    Timestamp(i64),
    TimestampTz(i64),
    Binary(Cow<'a, [u8]>),
    /// Canonical JSON text.
    Json(Cow<'a, str>),
    /// Canonical JSON text of a list.
    List(Cow<'a, str>),
}

impl<'a> Cell<'a> {
    /// A view of a value.
    pub(crate) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Cell::Null,
            Value::Bool(b) => Cell::Bool(*b),
            Value::Int(i) => Cell::Int(*i),
            Value::Decimal(d) => Cell::Decimal(*d),
            Value::Float(x) => Cell::Float(*x),
            Value::Text(text) => Cell::Text(Cow::Borrowed(text)),
            Value::Date(days) => Cell::Date(*days),
            Value::Time(us) => Cell::Time(*us),
            Value::Timestamp(us) => Cell::Timestamp(*us),
            Value::TimestampTz(us) => Cell::TimestampTz(*us),
            Value::Binary(bytes) => Cell::Binary(Cow::Borrowed(bytes)),
            Value::Json(text) => Cell::Json(Cow::Borrowed(text)),
            Value::List(_) => Cell::List(Cow::Owned(value.to_string())),
        }
    }

    /// The value.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Cell::Null => Value::Null,
            Cell::Bool(b) => Value::Bool(b),
            Cell::Int(i) => Value::Int(i),
            Cell::Decimal(d) => Value::Decimal(d),
            Cell::Float(x) => Value::Float(x),
            Cell::Text(text) => Value::text(text),
            Cell::Date(days) => Value::Date(days),
            Cell::Time(us) => Value::Time(us),
            Cell::Timestamp(us) => Value::Timestamp(us),
            Cell::TimestampTz(us) => Value::TimestampTz(us),
            Cell::Binary(bytes) => Value::Binary(bytes.into_owned()),
            Cell::Json(text) => Value::Json(text.into()),
            Cell::List(text) => list_value(&text),
        }
    }

    /// What kind of cell this is, in words for messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Cell::Null => "null",
            Cell::Bool(_) => "a bool",
            Cell::Int(_) => "an integer",
            Cell::Decimal(_) => "a decimal",
            Cell::Float(_) => "a float",
            Cell::Text(_) => "text",
            Cell::Date(_) => "a date",
            Cell::Time(_) => "a time",
            Cell::Timestamp(_) => "a timestamp without zone",
            Cell::TimestampTz(_) => "an instant",
            Cell::Binary(_) => "bytes",
            Cell::Json(_) => "JSON",
            Cell::List(_) => "a list",
        }
    }
}

/// A column of a page, downcast once, read cell by cell.
pub(crate) enum ColumnView<'a> {
    Bool(&'a BooleanArray),
    Int(&'a Int64Array),
    Decimal128(&'a Decimal128Array, i8),
    Decimal256(&'a Decimal256Array, i8),
    Float(&'a Float64Array),
    Text(&'a StringArray, Type),
    Date(&'a Date32Array),
    Time(&'a Time64MicrosecondArray),
    Timestamp(&'a TimestampMicrosecondArray),
    TimestampTz(&'a TimestampMicrosecondArray),
    Binary(&'a BinaryArray),
}

impl<'a> ColumnView<'a> {
    /// All columns of a page.
    pub(crate) fn all(batch: &'a RecordBatch) -> Result<Vec<Self>> {
        (0..batch.num_columns()).map(|column| Self::new(batch, column)).collect()
    }

    fn new(batch: &'a RecordBatch, column: usize) -> Result<Self> {
        let array = batch.column(column);
        let schema = batch.schema_ref();
        let field = schema.field(column);
        let logical = logical_type(field).ok_or_else(|| {
            Error::internal(format!("column {} has the Arrow type {}", field.name(), field.data_type()))
        })?;
        Ok(match logical {
            Type::Bool => Self::Bool(array.as_boolean()),
            Type::Int64 => Self::Int(array.as_primitive::<Int64Type>()),
            Type::Decimal { precision, scale }
                if precision <= 38 && array.as_primitive_opt::<Decimal128Type>().is_some() =>
            {
                Self::Decimal128(array.as_primitive::<Decimal128Type>(), scale)
            }
            Type::Decimal { scale, .. } => Self::Decimal256(array.as_primitive::<Decimal256Type>(), scale),
            Type::Float64 => Self::Float(array.as_primitive::<Float64Type>()),
            Type::Text | Type::Json | Type::List => Self::Text(array.as_string::<i32>(), logical),
            Type::Date => Self::Date(array.as_primitive::<Date32Type>()),
            Type::Time => Self::Time(array.as_primitive::<Time64MicrosecondType>()),
            Type::Timestamp => Self::Timestamp(array.as_primitive::<TimestampMicrosecondType>()),
            Type::TimestampTz => Self::TimestampTz(array.as_primitive::<TimestampMicrosecondType>()),
            Type::Binary => Self::Binary(array.as_binary::<i32>()),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Bool(a) => a.is_null(row),
            Self::Int(a) => a.is_null(row),
            Self::Decimal128(a, _) => a.is_null(row),
            Self::Decimal256(a, _) => a.is_null(row),
            Self::Float(a) => a.is_null(row),
            Self::Text(a, _) => a.is_null(row),
            Self::Date(a) => a.is_null(row),
            Self::Time(a) => a.is_null(row),
            Self::Timestamp(a) | Self::TimestampTz(a) => a.is_null(row),
            Self::Binary(a) => a.is_null(row),
        }
    }

    /// One cell.
    pub(crate) fn cell(&self, row: usize) -> Cell<'a> {
        if self.is_null(row) {
            return Cell::Null;
        }
        match self {
            Self::Bool(a) => Cell::Bool(a.value(row)),
            Self::Int(a) => Cell::Int(a.value(row)),
            Self::Decimal128(a, scale) => Cell::Decimal(Decimal::from_i128(a.value(row), *scale)),
            Self::Decimal256(a, scale) => Cell::Decimal(Decimal::new(a.value(row), *scale)),
            Self::Float(a) => Cell::Float(a.value(row)),
            Self::Text(a, Type::Json) => Cell::Json(Cow::Borrowed(a.value(row))),
            Self::Text(a, Type::List) => Cell::List(Cow::Borrowed(a.value(row))),
            Self::Text(a, _) => Cell::Text(Cow::Borrowed(a.value(row))),
            Self::Date(a) => Cell::Date(a.value(row)),
            Self::Time(a) => Cell::Time(a.value(row)),
            Self::Timestamp(a) => Cell::Timestamp(a.value(row)),
            Self::TimestampTz(a) => Cell::TimestampTz(a.value(row)),
            Self::Binary(a) => Cell::Binary(Cow::Borrowed(a.value(row))),
        }
    }
}

/// JSON in canonical text: compact, keys sorted, numbers as written; `None` if it is not JSON.
pub(crate) fn canonical_json(text: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(json.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_compact_sorted_and_keeps_its_digits() {
        let canonical = canonical_json("{ \"b\": 1.50, \"a\": [1e400, null], \"ab\": 12345678901234567890123 }");
        assert_eq!(canonical.as_deref(), Some(r#"{"a":[1e+400,null],"ab":12345678901234567890123,"b":1.50}"#));
        assert_eq!(canonical_json("{"), None);
    }
}
