//! Values to JSON and back, held against the rules of the field. What does not fit is a reject that names field and
//! rule, never the value; nothing is cut or rounded.

use std::borrow::Cow;

use serde_json::Value as Json;
use tidegate_model::cells::json_value;
use tidegate_model::change::FieldReject;
use tidegate_model::schema::Case;
use tidegate_model::time;
use tidegate_model::value::{Decimal, Type, Value};

use super::models::{Field, Wire};
use super::wired::Wired;

/// Digits that a number of JavaScript keeps exactly.
const DIGITS_MAX: usize = 15;
/// Whole numbers that a number of JavaScript keeps exactly.
const WHOLE_MAX: u64 = 1 << 53;

fn reject(field: &Field, rule: &str, reason: impl Into<String>) -> FieldReject {
    FieldReject::field(field.name(), rule, reason)
}

fn wrong(field: &Field, value: &Value) -> FieldReject {
    let (name, logical) = (field.name(), field.schema.logical);
    reject(field, "wrong_type", format!("{name} takes {logical}, not {}", value.type_name()))
}

/// A value as Planhat takes it. References and NULL are the caller's.
pub(super) fn wire<'v>(field: &Field, value: &'v Value) -> Result<Wired<'v>, FieldReject> {
    match field.schema.logical {
        Type::Text => text(field, value).map(Wired::Text),
        Type::Bool => match value {
            Value::Bool(b) => Ok(Wired::Bool(*b)),
            _ => Err(wrong(field, value)),
        },
        Type::Int64 => whole(field, value),
        Type::Decimal { .. } | Type::Float64 => number(field, value),
        Type::Date => day(field, value),
        Type::Timestamp | Type::TimestampTz => match value {
            Value::TimestampTz(us) | Value::Timestamp(us) => Ok(Wired::own(moment(*us))),
            Value::Date(days) => Ok(Wired::own(moment(i64::from(*days) * 86_400_000_000))),
            _ => Err(wrong(field, value)),
        },
        Type::List => match value {
            Value::List(items) => Ok(Wired::List(items)),
            _ => Err(wrong(field, value)),
        },
        Type::Json => match value {
            Value::Json(text) => serde_json::from_str(text).map(Wired::Json).map_err(|_| wrong(field, value)),
            Value::List(items) => Ok(Wired::List(items)),
            _ => Err(wrong(field, value)),
        },
        Type::Time | Type::Binary => Err(wrong(field, value)),
    }
}

/// The same as a tree.
pub(super) fn encode(field: &Field, value: &Value) -> Result<Json, FieldReject> {
    wire(field, value).map(Wired::into_json)
}

/// A text in the field's normal form.
pub(super) fn normal<'t>(field: &Field, text: &'t str) -> Cow<'t, str> {
    let form = &field.schema.normal;
    let text = if form.trim { text.trim() } else { text };
    // Most texts are as they should be.
    let kept = |other: fn(&u8) -> bool| text.is_ascii() && !text.as_bytes().iter().any(other);
    match form.case {
        Some(Case::Lower) if !kept(u8::is_ascii_uppercase) => Cow::Owned(text.to_lowercase()),
        Some(Case::Upper) if !kept(u8::is_ascii_lowercase) => Cow::Owned(text.to_uppercase()),
        _ => Cow::Borrowed(text),
    }
}

fn text<'v>(field: &Field, value: &'v Value) -> Result<Cow<'v, str>, FieldReject> {
    let Value::Text(given) = value else { return Err(wrong(field, value)) };
    let (text, name) = (normal(field, given), field.name());
    if !field.schema.one_of.is_empty() && !field.schema.one_of.iter().any(|one| *one == text) {
        return Err(reject(field, "enum", format!("{name} takes only {}", field.schema.one_of.join(", "))));
    }
    if field.none_of.iter().any(|one| one.eq_ignore_ascii_case(text.trim())) {
        return Err(reject(field, "reserved", format!("{name} does not take {}", field.none_of.join(", "))));
    }
    if field.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(&text)) {
        let pattern = field.schema.pattern.as_deref().unwrap_or("");
        return Err(reject(field, "pattern", format!("{name} does not match {pattern}")));
    }
    Ok(text)
}

fn digits<'v>(field: &Field, number: &Decimal) -> Result<Wired<'v>, FieldReject> {
    let plain = number.normalized();
    if plain.digits() > DIGITS_MAX {
        let name = field.name();
        let reason = format!("{name} has {} digits; Planhat's numbers keep {DIGITS_MAX} exactly", plain.digits());
        return Err(reject(field, "too_precise", reason));
    }
    Ok(Wired::Exact(plain))
}

fn number<'v>(field: &Field, value: &Value) -> Result<Wired<'v>, FieldReject> {
    match value {
        Value::Int(n) => digits(field, &Decimal::from_i128(i128::from(*n), 0)),
        Value::Decimal(number) => digits(field, number),
        Value::Float(x) if x.is_finite() => Ok(Wired::Float(*x)),
        _ => Err(wrong(field, value)),
    }
}

fn whole<'v>(field: &Field, value: &Value) -> Result<Wired<'v>, FieldReject> {
    let whole = match value {
        Value::Int(n) => Some(*n),
        Value::Decimal(number) => number.rescale(0).and_then(|number| number.to_string().parse().ok()),
        _ => None,
    };
    let Some(whole) = whole else { return Err(wrong(field, value)) };
    let name = field.name();
    if let Some((least, most)) = field.schema.range
        && !(least..=most).contains(&whole)
    {
        return Err(reject(field, "range", format!("{name} takes numbers from {least} to {most}")));
    }
    if whole.unsigned_abs() > WHOLE_MAX {
        return Err(reject(
            field,
            "too_precise",
            format!("{name} is larger than the numbers that Planhat keeps exactly"),
        ));
    }
    Ok(Wired::Whole(whole))
}

fn day<'v>(field: &Field, value: &Value) -> Result<Wired<'v>, FieldReject> {
    let Value::Date(days) = value else { return Err(wrong(field, value)) };
    Ok(match field.wire {
        Some(Wire::EpochDays) => Wired::Whole(i64::from(*days)),
        Some(Wire::Day) => Wired::own(time::date_text(*days)),
        None => Wired::own(moment(i64::from(*days) * 86_400_000_000)),
    })
}

/// A time as JavaScript writes it.
pub(super) fn moment(us: i64) -> String {
    let whole = us.div_euclid(1_000);
    match jiff::Timestamp::from_millisecond(whole) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => time::timestamp_text(us),
    }
}

/// A value as Planhat shows it. What is not of the field's type is handed out as it is: the page says that it misfits.
pub(super) fn decode(field: &Field, json: &Json) -> Value {
    let raw = || match json {
        Json::String(text) => Value::text(text.as_str()),
        other => json_value(other.clone()),
    };
    match (field.schema.logical, json) {
        (_, Json::Null) => Value::Null,
        (Type::Text, Json::Number(number)) => Value::text(number.to_string()),
        (Type::Text, Json::Bool(b)) => Value::text(b.to_string()),
        (Type::Bool, Json::Bool(b)) => Value::Bool(*b),
        (Type::Int64, Json::Number(number)) => exact(&number.to_string()).map_or_else(raw, |number| {
            number.rescale(0).and_then(|whole| whole.to_string().parse().ok()).map_or_else(raw, Value::Int)
        }),
        (Type::Decimal { .. }, Json::Number(number)) => exact(&number.to_string()).map_or_else(raw, Value::Decimal),
        (Type::Decimal { .. }, Json::String(text)) => exact(text).map_or_else(raw, Value::Decimal),
        (Type::Date, Json::Number(number)) => {
            number.as_i64().and_then(|days| i32::try_from(days).ok()).map_or_else(raw, Value::Date)
        }
        (Type::Date, Json::String(text)) if text.is_empty() => Value::Null,
        (Type::Date, Json::String(text)) => date(text).map_or_else(raw, Value::Date),
        (Type::TimestampTz, Json::String(text)) if text.is_empty() => Value::Null,
        (Type::TimestampTz, Json::String(text)) => instant(text).map_or_else(raw, Value::TimestampTz),
        (Type::TimestampTz, Json::Number(number)) => {
            number.as_i64().and_then(|ms| ms.checked_mul(1_000)).map_or_else(raw, Value::TimestampTz)
        }
        (Type::List, Json::Array(items)) => Value::List(items.iter().map(|item| json_value(item.clone())).collect()),
        (Type::Json, other) => Value::Json(other.to_string().into()),
        _ => raw(),
    }
}

fn exact(text: &str) -> Option<Decimal> {
    Decimal::parse(text)
}

pub(super) use crate::conditions::instant;

fn date(text: &str) -> Option<i32> {
    if let Ok(days) = time::parse_date(text) {
        return Some(days);
    }
    i32::try_from(instant(text)?.div_euclid(86_400_000_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::schema::FieldSchema;

    fn field(logical: Type, wire: Option<Wire>) -> Field {
        Field { wire, ..Field::plain(FieldSchema::new("f", logical)) }
    }

    #[test]
    fn values_go_out_and_come_back() {
        let cases = [
            (Type::Text, None, Value::text("ü"), r#""ü""#),
            (super::super::models::NUMBER, None, Value::Decimal(Decimal::parse("12.50").expect("n")), "12.5"),
            (Type::Int64, None, Value::Int(-3), "-3"),
            (Type::Date, None, Value::Date(20_000), r#""2024-10-04T00:00:00.000Z""#),
            (Type::Date, Some(Wire::EpochDays), Value::Date(20_000), "20000"),
            (Type::Date, Some(Wire::Day), Value::Date(20_000), r#""2024-10-04""#),
            (Type::TimestampTz, None, Value::TimestampTz(1_700_000_000_123_000), r#""2023-11-14T22:13:20.123Z""#),
            (Type::List, None, Value::List(vec![Value::text("a")]), r#"["a"]"#),
            (Type::Bool, None, Value::Bool(true), "true"),
        ];
        for (logical, wire, value, wired) in cases {
            let field = field(logical, wire);
            let json = encode(&field, &value).expect("fits");
            assert_eq!(json.to_string(), wired);
            assert_eq!(decode(&field, &json), value, "{logical}");
        }
    }

    #[test]
    fn what_planhat_would_round_is_refused() {
        let number = field(super::super::models::NUMBER, None);
        let long = Value::Decimal(Decimal::parse("1234567890.1234567").expect("n"));
        assert_eq!(encode(&number, &long).expect_err("too long").rule, "too_precise");
        assert_eq!(encode(&number, &Value::Float(f64::NAN)).expect_err("no number").rule, "wrong_type");
        let whole = field(Type::Int64, None);
        assert_eq!(encode(&whole, &Value::Int(i64::MAX)).expect_err("too large").rule, "too_precise");
        assert!(encode(&whole, &Value::text("1")).expect_err("text").reason.contains("takes"));
    }
}
