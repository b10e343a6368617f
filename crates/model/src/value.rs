//! Values: one cell of one record, outside of Arrow. Only changed rows ever become values.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use crate::decimal::Decimal;

/// The logical types that a field of a record can have (semantics.md §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// True or false.
    Bool,
    /// A signed integer of 64 bits.
    Int64,
    /// An exact number: total digits (at most 76) and digits after the point.
    Decimal {
        /// Total digits, 1–76.
        precision: u8,
        /// Digits after the point.
        scale: i8,
    },
    /// A binary floating point number of 64 bits.
    Float64,
    /// Unicode text.
    Text,
    /// A calendar day.
    Date,
    /// A time of day, microseconds.
    Time,
    /// Date and time without zone, microseconds.
    Timestamp,
    /// An instant, microseconds UTC.
    TimestampTz,
    /// Bytes.
    Binary,
    /// A JSON document in canonical text.
    Json,
    /// A list of texts, such as tags.
    List,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Bool => f.write_str("bool"),
            Type::Int64 => f.write_str("int64"),
            Type::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Type::Float64 => f.write_str("float64"),
            Type::Text => f.write_str("text"),
            Type::Date => f.write_str("date"),
            Type::Time => f.write_str("time"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::TimestampTz => f.write_str("timestamptz"),
            Type::Binary => f.write_str("binary"),
            Type::Json => f.write_str("json"),
            Type::List => f.write_str("list"),
        }
    }
}

/// The text of a value: short ones stand in the value itself, long ones are shared, so that a copy costs next to nothing. A
/// first load holds each text of a record half a dozen times: as it was read, as it is sent, as both sides' images.
pub type Text = smol_str::SmolStr;

/// One cell of one record. NULL, absent and empty text are three things: absent is no entry at all.
///
/// The serde form is for tidegate's own store; what people and scripts see is [`Value::to_json`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// SQL NULL: known to be empty.
    Null,
    /// True or false.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An exact number.
    Decimal(Decimal),
    /// A floating point number, finite in every record that is written.
    Float(f64),
    /// Text, as is.
    Text(Text),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01T00:00:00 on a clock without zone.
    Timestamp(i64),
    /// Microseconds since 1970-01-01T00:00:00Z.
    TimestampTz(i64),
    /// Bytes.
    Binary(Vec<u8>),
    /// A JSON document: compact, keys sorted, numbers as written.
    Json(Text),
    /// A list of values, in practice of texts.
    List(Vec<Value>),
}

impl Value {
    /// True for NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
    /// True for what two-way syncs call empty: NULL, empty text, an empty list.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Text(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            _ => false,
        }
    }
    /// Text from anything that holds text.
    pub fn text(text: impl Into<Text>) -> Self {
        Value::Text(text.into())
    }
    /// The text within, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
    /// What kind of value this is, in words for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int64",
            Value::Decimal(_) => "decimal",
            Value::Float(_) => "float64",
            Value::Text(_) => "text",
            Value::Date(_) => "date",
            Value::Time(_) => "time",
            Value::Timestamp(_) => "timestamp",
            Value::TimestampTz(_) => "timestamptz",
            Value::Binary(_) => "binary",
            Value::Json(_) => "json",
            Value::List(_) => "list",
        }
    }
    /// The form that scripts read: decimals as strings of their exact digits, dates and times as ISO text, bytes as hex.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as J;
        match self {
            Value::Null => J::Null,
            Value::Bool(b) => J::Bool(*b),
            Value::Int(i) => J::from(*i),
            Value::Float(x) => serde_json::Number::from_f64(*x).map_or_else(|| J::String(x.to_string()), J::Number),
            Value::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| J::String(text.to_string())),
            Value::List(items) => J::Array(items.iter().map(Value::to_json).collect()),
            other => J::String(other.to_string()),
        }
    }
}

/// The canonical text: integers without point or leading zeros, decimals with their digits, ISO dates and times.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str(""),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(i) => write!(f, "{i}"),
            Value::Decimal(d) => write!(f, "{d}"),
            Value::Float(x) => write!(f, "{x}"),
            Value::Text(text) => f.write_str(text),
            Value::Json(text) => f.write_str(text),
            Value::Date(days) => f.write_str(&crate::time::date_text(*days)),
            Value::Time(us) => f.write_str(&crate::time::time_text(*us)),
            Value::Timestamp(us) => f.write_str(&crate::time::timestamp_text(*us)),
            Value::TimestampTz(us) => write!(f, "{}Z", crate::time::timestamp_text(*us)),
            Value::Binary(bytes) => bytes.iter().try_for_each(|b| write!(f, "{b:02x}")),
            Value::List(_) => write!(f, "{}", self.to_json()),
        }
    }
}
