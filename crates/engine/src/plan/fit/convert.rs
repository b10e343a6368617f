//! One value into another logical type: losslessly, or not at all.

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use tidegate_model::cells::list_value;
use tidegate_model::sync::As;
use tidegate_model::time::{
    TimeMisfit, date_of, datetime_of, days_of, micros_of, parse_date, parse_time, parse_timestamp, parse_timestamptz,
};
use tidegate_model::value::{Type, Value};

use super::{Broken, Reading, number};

const DAY: i64 = 86_400_000_000;

/// Whether any value of one type can ever become the other.
pub(crate) fn possible(from: Type, to: Type, reading: &Reading) -> bool {
    use Type::{Binary, Bool, Date, Decimal, Float64, Int64, Json, List, Text, Time, Timestamp, TimestampTz};
    let hinted = reading.hint.is_some();
    match (from, to) {
        (Int64 | Decimal { .. } | Float64, Int64 | Decimal { .. } | Float64) => true,
        (Date | Timestamp | TimestampTz, Date | Timestamp | TimestampTz) => true,
        (Text, Date | Time | Timestamp | TimestampTz) => true,
        (Json, List) | (List, Json) => true,
        (Text, List) => reading.hint == Some(As::Tags),
        (List, Text) => hinted,
        (Text, Int64 | Decimal { .. } | Float64 | Bool) => reading.from_text,
        (Int64, Bool) | (Bool, Int64) => reading.hint == Some(As::Boolean),
        (Binary, Text) => reading.hint == Some(As::Text),
        (_, Text) => from == Text || reading.to_text,
        (a, b) => a == b,
    }
}

/// Converts a value that is not NULL.
pub(super) fn convert(value: &Value, to: Type, reading: &Reading) -> Result<Value, Broken> {
    match to {
        Type::Text => to_text(value, reading),
        Type::Bool => to_bool(value, reading),
        Type::Int64 | Type::Decimal { .. } | Type::Float64 => to_number(value, to, reading),
        Type::Date => to_date(value, reading),
        Type::Time => match value {
            Value::Time(us) => Ok(Value::Time(*us)),
            Value::Text(text) => parse_time(text.trim()).map(Value::Time).map_err(|misfit| unread(misfit, "time")),
            other => Err(wrong(other, to)),
        },
        Type::Timestamp => to_timestamp(value, reading),
        Type::TimestampTz => to_timestamptz(value, reading),
        Type::Binary => match value {
            Value::Binary(bytes) => Ok(Value::Binary(bytes.clone())),
            other => Err(wrong(other, to)),
        },
        Type::Json => match value {
            Value::Json(text) => Ok(Value::Json(text.clone())),
            Value::List(_) => Ok(Value::Json(value.to_string().into())),
            other => Err(wrong(other, to)),
        },
        Type::List => to_list(value, reading),
    }
}

fn wrong(value: &Value, to: Type) -> Broken {
    Broken::new("wrong_type", format!("is {} where {to} is needed; use `transform:` or `as:`", value.type_name()))
}

fn to_text(value: &Value, reading: &Reading) -> Result<Value, Broken> {
    match value {
        Value::Text(text) => Ok(Value::Text(text.clone())),
        Value::List(items) if reading.hint.is_some() => {
            let plain = |item: &Value| match item {
                Value::Text(text) => {
                    !text.is_empty() && text.trim() == text && !text.contains(',') && !text.starts_with('[')
                }
                _ => false,
            };
            if !items.is_empty() && items.iter().all(plain) {
                let texts: Vec<String> = items.iter().map(Value::to_string).collect();
                return Ok(Value::text(texts.join(",")));
            }
            Ok(Value::text(value.to_string()))
        }
        Value::Date(_) | Value::Timestamp(_) | Value::TimestampTz(_) if reading.format.is_some() => {
            formatted(value, reading)
        }
        Value::Float(number) if !number.is_finite() => Err(Broken::new("not_finite", "is not a finite number")),
        Value::Binary(_) if reading.hint != Some(As::Text) => Err(wrong(value, Type::Text)),
        other if reading.to_text => Ok(Value::text(other.to_string())),
        other => Err(Broken::new(
            "wrong_type",
            format!("is {} where text is needed; use `as: text` or `transform: [to_text]`", other.type_name()),
        )),
    }
}

fn formatted(value: &Value, reading: &Reading) -> Result<Value, Broken> {
    let format = reading.format.as_deref().unwrap_or_default();
    let no = || Broken::new("out_of_range", "is outside of the years that can be written");
    let text = match value {
        Value::Date(days) => strtime::format(format, date_of(*days).ok_or_else(no)?),
        Value::Timestamp(us) => strtime::format(format, datetime_of(*us).ok_or_else(no)?),
        Value::TimestampTz(us) => {
            let at = jiff::Timestamp::from_microsecond(*us).map_err(|_| no())?;
            strtime::format(format, &at.to_zoned(reading.zone.clone()))
        }
        _ => return Err(wrong(value, Type::Text)),
    };
    text.map(Value::text).map_err(|_| Broken::new("wrong_type", "cannot be written in the mapping's `format`"))
}

fn to_bool(value: &Value, reading: &Reading) -> Result<Value, Broken> {
    match value {
        Value::Bool(yes) => Ok(Value::Bool(*yes)),
        Value::Int(0) if reading.hint == Some(As::Boolean) => Ok(Value::Bool(false)),
        Value::Int(1) if reading.hint == Some(As::Boolean) => Ok(Value::Bool(true)),
        Value::Text(text) if reading.from_text => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Ok(Value::Bool(true)),
            "false" | "f" | "no" | "n" | "off" | "0" => Ok(Value::Bool(false)),
            _ => Err(Broken::new("wrong_type", "is text that is neither true nor false")),
        },
        other => Err(wrong(other, Type::Bool)),
    }
}

fn to_number(value: &Value, to: Type, reading: &Reading) -> Result<Value, Broken> {
    match (value, to) {
        (Value::Text(text), _) if reading.from_text => number::read(text, to),
        (Value::Bool(yes), Type::Int64) if reading.hint == Some(As::Boolean) => Ok(Value::Int(i64::from(*yes))),
        (Value::Int(_) | Value::Decimal(_) | Value::Float(_), Type::Int64) => number::to_int(value),
        (Value::Int(_) | Value::Decimal(_) | Value::Float(_), Type::Decimal { precision, scale }) => {
            number::to_decimal(value, precision, scale)
        }
        (Value::Int(_) | Value::Decimal(_) | Value::Float(_), _) => number::to_float(value),
        (other, _) => Err(wrong(other, to)),
    }
}

fn unread(misfit: TimeMisfit, wanted: &str) -> Broken {
    match misfit {
        TimeMisfit::Malformed => {
            Broken::new("wrong_type", format!("is text that is no {wanted} in ISO form; use `as: date` with `format:`"))
        }
        TimeMisfit::SubMicrosecond => {
            Broken::new("sub_microsecond", "has digits finer than a microsecond; use `transform: [truncate_us]`")
        }
    }
}

/// A date or time in text, by the mapping's format, else as ISO text.
fn read_time(text: &str, reading: &Reading) -> Result<Value, Broken> {
    let text = text.trim();
    if let Some(format) = &reading.format {
        return read_formatted(text, format);
    }
    if text.len() == 10 {
        return parse_date(text).map(Value::Date).map_err(|misfit| unread(misfit, "date"));
    }
    match parse_timestamp(text) {
        Ok(us) => Ok(Value::Timestamp(us)),
        Err(TimeMisfit::SubMicrosecond) => Err(unread(TimeMisfit::SubMicrosecond, "time")),
        Err(TimeMisfit::Malformed) => {
            parse_timestamptz(text).map(Value::TimestampTz).map_err(|misfit| unread(misfit, "date or time"))
        }
    }
}

fn read_formatted(text: &str, format: &str) -> Result<Value, Broken> {
    let not = || Broken::new("wrong_type", format!("is text that is not of the format {format}"));
    let read = strtime::parse(format, text).map_err(|_| not())?;
    if let Ok(at) = read.to_timestamp() {
        return exact(at.as_nanosecond()).map(|()| Value::TimestampTz(at.as_microsecond()));
    }
    if let Ok(at) = read.to_datetime() {
        exact(i128::from(at.subsec_nanosecond()))?;
        return Ok(Value::Timestamp(micros_of(at)));
    }
    read.to_date().map(|date| Value::Date(days_of(date))).map_err(|_| not())
}

fn exact(nanos: i128) -> Result<(), Broken> {
    if nanos % 1_000 == 0 { Ok(()) } else { Err(unread(TimeMisfit::SubMicrosecond, "time")) }
}

fn to_date(value: &Value, reading: &Reading) -> Result<Value, Broken> {
    let midnight = |us: i64| {
        let days = i32::try_from(us.div_euclid(DAY)).ok();
        match days {
            Some(days) if us.rem_euclid(DAY) == 0 => Ok(Value::Date(days)),
            _ => Err(Broken::new("precision", "holds a time of day and must be a date; use `transform: [date_only]`")),
        }
    };
    match value {
        Value::Date(days) => Ok(Value::Date(*days)),
        Value::Timestamp(us) => midnight(*us),
        Value::TimestampTz(us) => midnight(local(*us, &reading.zone)?),
        Value::Text(text) => to_date(&read_time(text, reading)?, reading),
        other => Err(wrong(other, Type::Date)),
    }
}

fn to_timestamp(value: &Value, reading: &Reading) -> Result<Value, Broken> {
    match value {
        Value::Timestamp(us) => Ok(Value::Timestamp(*us)),
        Value::Date(days) => Ok(Value::Timestamp(i64::from(*days) * DAY)),
        Value::TimestampTz(us) => local(*us, &reading.zone).map(Value::Timestamp),
        Value::Text(text) => to_timestamp(&read_time(text, reading)?, reading),
        other => Err(wrong(other, Type::Timestamp)),
    }
}

fn to_timestamptz(value: &Value, reading: &Reading) -> Result<Value, Broken> {
    match value {
        Value::TimestampTz(us) => Ok(Value::TimestampTz(*us)),
        Value::Timestamp(us) => instant(*us, &reading.zone).map(Value::TimestampTz),
        Value::Date(days) => instant(i64::from(*days) * DAY, &reading.zone).map(Value::TimestampTz),
        Value::Text(text) => to_timestamptz(&read_time(text, reading)?, reading),
        other => Err(wrong(other, Type::TimestampTz)),
    }
}

fn far() -> Broken {
    Broken::new("out_of_range", "is outside of the years that times can have")
}

/// The clock's reading at an instant in a zone.
pub(super) fn local(us: i64, zone: &TimeZone) -> Result<i64, Broken> {
    let at = jiff::Timestamp::from_microsecond(us).map_err(|_| far())?;
    Ok(micros_of(zone.to_datetime(at)))
}

/// The instant of a clock's reading in a zone. In a gap it moves by the gap's length, in a fold the first one counts.
pub(super) fn instant(us: i64, zone: &TimeZone) -> Result<i64, Broken> {
    let at = datetime_of(us).ok_or_else(far)?;
    zone.to_timestamp(at).map(|at| at.as_microsecond()).map_err(|_| far())
}

fn to_list(value: &Value, reading: &Reading) -> Result<Value, Broken> {
    match value {
        Value::List(items) => Ok(Value::List(items.clone())),
        Value::Json(text) if text.starts_with('[') => Ok(list_value(text)),
        Value::Text(text) if reading.hint == Some(As::Tags) => Ok(tags(text)),
        other => Err(wrong(other, Type::List)),
    }
}

/// Tags in text: a JSON list, or names between commas.
fn tags(text: &str) -> Value {
    let text = text.trim();
    if text.starts_with('[') && text.ends_with(']') {
        return list_value(text);
    }
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    Value::List(names.map(Value::text).collect())
}
