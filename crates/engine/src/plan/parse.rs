//! Values from the text that a person typed, read by a field's type.

use tidegate_model::change::FieldReject;
use tidegate_model::time;
use tidegate_model::value::{Decimal, Type, Value};

/// Reads a text as a value of a type; empty text is NULL but for text fields.
pub fn parse_as(text: &str, logical: Type) -> Result<Value, FieldReject> {
    let wrong = || {
        FieldReject::record("wrong_type", format!("this is not a {logical}; write one, such as {}", example(logical)))
    };
    if text.is_empty() && logical != Type::Text {
        return Ok(Value::Null);
    }
    let value = match logical {
        Type::Text => Some(Value::text(text)),
        Type::Bool => text.parse().ok().map(Value::Bool),
        Type::Int64 => text.parse().ok().map(Value::Int),
        Type::Decimal { .. } => Decimal::parse(text).map(Value::Decimal),
        Type::Float64 => text.parse().ok().filter(|x: &f64| x.is_finite()).map(Value::Float),
        Type::Date => time::parse_date(text).ok().map(Value::Date),
        Type::Time => time::parse_time(text).ok().map(Value::Time),
        Type::Timestamp => time::parse_timestamp(text).ok().map(Value::Timestamp),
        Type::TimestampTz => time::parse_timestamptz(text).ok().map(Value::TimestampTz),
        Type::Json => {
            serde_json::from_str::<serde_json::Value>(text).ok().map(|json| Value::Json(json.to_string().into()))
        }
        Type::List => Some(tidegate_model::cells::list_value(text)),
        Type::Binary => None,
    };
    value.ok_or_else(wrong)
}

fn example(logical: Type) -> &'static str {
    match logical {
        Type::Bool => "true",
        Type::Int64 => "42",
        Type::Decimal { .. } | Type::Float64 => "12.50",
        Type::Date => "2024-05-31",
        Type::Time => "14:30:00",
        Type::Timestamp => "2024-05-31T14:30:00",
        Type::TimestampTz => "2024-05-31T14:30:00Z",
        Type::Json => "{\"a\":1}",
        Type::List => "[\"a\",\"b\"]",
        Type::Text | Type::Binary => "text",
    }
}
