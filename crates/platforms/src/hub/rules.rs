//! Values to cells: brought to the field's normal form and held against its rules. What does not fit is a reject
//! that names the field and the rule, never the value; nothing is cut or rounded.

use std::borrow::Cow;

use tidegate_model::change::FieldReject;
use tidegate_model::record::Key;
use tidegate_model::schema::Case;
use tidegate_model::time;
use tidegate_model::value::{Decimal, Type, Value};

use super::cell::Cell;
use super::models::{Field, Place};

const DAY_US: i64 = 86_400_000_000;

/// The cell that stores a value in a field. References stay the text that names the other record.
pub fn encode(field: &Field, value: &Value) -> Result<Cell, FieldReject> {
    if value.is_null() {
        return Ok(Cell::Null);
    }
    if field.place == Place::Reference {
        return reference(field, value);
    }
    match field.schema.logical {
        Type::Text => text(field, value),
        Type::Bool => match value {
            Value::Bool(b) => Ok(Cell::Int(i64::from(*b))),
            _ => Err(wrong(field, value)),
        },
        Type::Int64 => whole(field, value),
        Type::Decimal { precision, scale } => exact(field, value, precision, scale),
        Type::Float64 => float(field, value),
        Type::Date | Type::Time | Type::Timestamp | Type::TimestampTz => moment(field, value).map(Cell::Int),
        Type::Binary => match value {
            Value::Binary(bytes) => Ok(Cell::Blob(bytes.clone())),
            _ => Err(wrong(field, value)),
        },
        Type::Json => json(field, value),
        Type::List => list(field, value),
    }
}

fn reject(field: &Field, rule: &str, reason: impl Into<String>) -> FieldReject {
    FieldReject::field(&field.schema.name, rule, reason)
}

fn wrong(field: &Field, value: &Value) -> FieldReject {
    let (name, logical) = (&field.schema.name, field.schema.logical);
    reject(field, "wrong_type", format!("{name} takes {logical}, not {}", value.type_name()))
}

fn reference(field: &Field, value: &Value) -> Result<Cell, FieldReject> {
    match Key::of(value) {
        Some(key) => Ok(Cell::Text(key.as_str().trim().to_owned())),
        None if value.is_empty() => Ok(Cell::Null),
        None => Err(wrong(field, value)),
    }
}

/// A text in the field's normal form.
pub fn normal<'a>(field: &Field, text: &'a str) -> Cow<'a, str> {
    let form = &field.schema.normal;
    let text = if form.trim { text.trim() } else { text };
    match form.case {
        Some(Case::Lower) if text.chars().any(char::is_uppercase) => Cow::Owned(text.to_lowercase()),
        Some(Case::Upper) if text.chars().any(char::is_lowercase) => Cow::Owned(text.to_uppercase()),
        _ => Cow::Borrowed(text),
    }
}

fn text(field: &Field, value: &Value) -> Result<Cell, FieldReject> {
    let Value::Text(given) = value else {
        return Err(wrong(field, value));
    };
    let text = normal(field, given);
    let schema = &field.schema;
    let name = &schema.name;
    if text.is_empty() && schema.normal.empty_is_null {
        return Ok(Cell::Null);
    }
    if text.contains('\0') {
        return Err(reject(field, "zero_character", format!("{name} holds a zero character, which cannot be stored")));
    }
    if let Some(most) = schema.max_length.filter(|most| text.len() > *most as usize) {
        let length = text.chars().count();
        if length > most as usize {
            return Err(reject(field, "too_long", format!("{name} has {length} characters, at most {most} are taken")));
        }
    }
    if !schema.one_of.is_empty() && !schema.one_of.iter().any(|one| *one == text) {
        return Err(reject(field, "enum", format!("{name} takes only {}", schema.one_of.join(", "))));
    }
    if field.none_of.iter().any(|one| one.eq_ignore_ascii_case(&text)) {
        return Err(reject(field, "reserved", format!("{name} does not take {}", field.none_of.join(", "))));
    }
    if field.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(&text)) {
        let pattern = schema.pattern.as_deref().unwrap_or("");
        return Err(reject(field, "pattern", format!("{name} does not match {pattern}")));
    }
    Ok(Cell::Text(text.into_owned()))
}

fn in_range(field: &Field, number: Decimal) -> Result<(), FieldReject> {
    match field.schema.range {
        Some((least, most))
            if number < Decimal::from_i128(i128::from(least), 0)
                || number > Decimal::from_i128(i128::from(most), 0) =>
        {
            let name = &field.schema.name;
            Err(reject(field, "range", format!("{name} takes numbers from {least} to {most}")))
        }
        _ => Ok(()),
    }
}

/// The exact number within a value; floats by their shortest digits.
pub fn number(value: &Value) -> Option<Decimal> {
    match value {
        Value::Int(n) => Some(Decimal::from_i128(i128::from(*n), 0)),
        Value::Decimal(d) => Some(*d),
        Value::Float(x) if x.is_finite() => Decimal::parse(&x.to_string()),
        _ => None,
    }
}

fn finite(field: &Field, value: &Value) -> Result<(), FieldReject> {
    match value {
        Value::Float(x) if !x.is_finite() => {
            Err(reject(field, "not_finite", format!("{} takes no NaN or infinity", field.schema.name)))
        }
        _ => Ok(()),
    }
}

fn whole(field: &Field, value: &Value) -> Result<Cell, FieldReject> {
    finite(field, value)?;
    let number = number(value).ok_or_else(|| wrong(field, value))?;
    in_range(field, number)?;
    let digits = number.rescale(0).ok_or_else(|| {
        reject(field, "not_whole", format!("{} takes whole numbers; round it in the sync", field.schema.name))
    })?;
    let fits = digits.unscaled().to_i128().and_then(|n| i64::try_from(n).ok());
    fits.map(Cell::Int)
        .ok_or_else(|| reject(field, "out_of_range", format!("{} takes whole numbers of 64 bits", field.schema.name)))
}

fn exact(field: &Field, value: &Value, precision: u8, scale: i8) -> Result<Cell, FieldReject> {
    finite(field, value)?;
    let number = number(value).ok_or_else(|| wrong(field, value))?;
    in_range(field, number)?;
    let name = &field.schema.name;
    let scaled = number.rescale(scale).ok_or_else(|| {
        reject(field, "scale", format!("{name} takes at most {scale} digits after the point; round it in the sync"))
    })?;
    if scaled.digits() > usize::from(precision) {
        let before = i16::from(precision) - i16::from(scale);
        return Err(reject(field, "out_of_range", format!("{name} takes at most {before} digits before the point")));
    }
    Ok(Cell::Text(number.to_string()))
}

fn float(field: &Field, value: &Value) -> Result<Cell, FieldReject> {
    finite(field, value)?;
    let fits = match value {
        Value::Float(x) => Some(*x),
        Value::Int(n) => Some(*n as f64).filter(|x| *x as i64 == *n),
        Value::Decimal(d) => d.to_string().parse::<f64>().ok().filter(|x| Decimal::parse(&x.to_string()) == Some(*d)),
        _ => return Err(wrong(field, value)),
    };
    fits.map(Cell::Real).ok_or_else(|| {
        reject(field, "scale", format!("{} is a float and cannot hold all of these digits", field.schema.name))
    })
}

/// Dates and times. ISO texts are read; nothing is cut: an instant is a date only at midnight UTC.
fn moment(field: &Field, value: &Value) -> Result<i64, FieldReject> {
    let name = &field.schema.name;
    let malformed = |e| match e {
        time::TimeMisfit::SubMicrosecond => {
            reject(field, "sub_microsecond", format!("{name} takes microseconds; use transform truncate_us"))
        }
        time::TimeMisfit::Malformed => {
            reject(field, "wrong_type", format!("{name} takes {}, not other text", field.schema.logical))
        }
    };
    let micros = |us: i64| match field.schema.logical {
        Type::Date if us.rem_euclid(DAY_US) != 0 => {
            Err(reject(field, "not_a_date", format!("{name} takes dates without time; use transform date_only")))
        }
        Type::Date => Ok(us.div_euclid(DAY_US)),
        _ => Ok(us),
    };
    match (value, field.schema.logical) {
        (Value::Time(us), Type::Time) => Ok(*us),
        (Value::Text(text), Type::Time) => time::parse_time(text).map_err(malformed),
        (_, Type::Time) => Err(wrong(field, value)),
        (Value::Date(days), Type::Date) => Ok(i64::from(*days)),
        (Value::Date(days), _) => Ok(i64::from(*days) * DAY_US),
        (Value::Timestamp(us) | Value::TimestampTz(us), _) => micros(*us),
        (Value::Text(text), _) => match time::parse_timestamp(text) {
            Err(time::TimeMisfit::Malformed) => time::parse_timestamptz(text).map_err(malformed).and_then(micros),
            Err(other) => Err(malformed(other)),
            Ok(us) => micros(us),
        },
        _ => Err(wrong(field, value)),
    }
}

fn json(field: &Field, value: &Value) -> Result<Cell, FieldReject> {
    let text = match value {
        Value::Json(text) => text.clone(),
        other => return Ok(Cell::Text(other.to_json().to_string())),
    };
    let broken = |_| reject(field, "not_json", format!("{} takes JSON", field.schema.name));
    let read: serde_json::Value = serde_json::from_str(&text).map_err(broken)?;
    Ok(Cell::Text(read.to_string()))
}

fn list(field: &Field, value: &Value) -> Result<Cell, FieldReject> {
    let read = match value {
        Value::List(_) => value.to_json(),
        Value::Json(text) => serde_json::from_str(text).map_err(|_| wrong(field, value))?,
        _ => return Err(wrong(field, value)),
    };
    if read.is_array() { Ok(Cell::Text(read.to_string())) } else { Err(wrong(field, value)) }
}

/// A value from what a person typed, read by the field's type.
pub fn read_text(field: &Field, text: &str) -> Result<Value, FieldReject> {
    let unread = || reject(field, "wrong_type", format!("{} takes {}", field.schema.name, field.schema.logical));
    Ok(match field.schema.logical {
        Type::Text => Value::text(text),
        Type::Bool => match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => return Err(unread()),
        },
        Type::Int64 => Value::Int(text.trim().parse().map_err(|_| unread())?),
        Type::Decimal { .. } => Value::Decimal(Decimal::parse(text.trim()).ok_or_else(unread)?),
        Type::Float64 => Value::Float(text.trim().parse().map_err(|_| unread())?),
        Type::Date | Type::Time | Type::Timestamp | Type::TimestampTz => Value::text(text.trim()),
        Type::Binary => Value::Binary(unhex(text).ok_or_else(unread)?),
        Type::Json => Value::Json(text.into()),
        Type::List if text.trim_start().starts_with('[') => Value::Json(text.into()),
        Type::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::List(items.map(Value::text).collect())
        }
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use tidegate_model::schema::FieldSchema;

    use super::*;

    fn of(logical: Type) -> Field {
        Field::plain(FieldSchema::new("f", logical), "f".to_owned())
    }

    fn rule(logical: Type, value: &Value) -> String {
        encode(&of(logical), value).expect_err("a reject").rule
    }

    #[test]
    fn what_does_not_fit_names_its_rule() {
        let two = Type::Decimal { precision: 5, scale: 2 };
        assert_eq!(rule(two, &Value::Decimal(Decimal::parse("1.234").unwrap())), "scale");
        assert_eq!(rule(two, &Value::Int(1000)), "out_of_range");
        assert_eq!(rule(Type::Int64, &Value::Float(1.5)), "not_whole");
        assert_eq!(rule(Type::Float64, &Value::Float(f64::NAN)), "not_finite");
        assert_eq!(rule(Type::Date, &Value::TimestampTz(1)), "not_a_date");
        assert_eq!(rule(Type::TimestampTz, &Value::text("2024-01-01T00:00:00.1234567Z")), "sub_microsecond");
        assert_eq!(rule(Type::Text, &Value::Int(1)), "wrong_type");
        assert_eq!(rule(Type::Text, &Value::text("a\0b")), "zero_character");
        assert_eq!(rule(Type::Json, &Value::Json("{".into())), "not_json");
    }

    #[test]
    fn exact_digits_stay() {
        let two = of(Type::Decimal { precision: 12, scale: 2 });
        assert_eq!(encode(&two, &read_text(&two, "12.50").unwrap()).unwrap(), Cell::Text("12.50".to_owned()));
        let day = of(Type::Date);
        assert_eq!(encode(&day, &read_text(&day, "1970-01-03").unwrap()).unwrap(), Cell::Int(2));
        let tags = of(Type::List);
        assert_eq!(encode(&tags, &read_text(&tags, "a, b").unwrap()).unwrap(), Cell::Text("[\"a\",\"b\"]".to_owned()));
    }
}
