//! Days and instants of times, in the sync's zone where a time has none.

use jiff::tz::TimeZone;

use super::TransformMisfit;
use super::apply::wrong_type;
use crate::time::{
    TimeMisfit, date_of, datetime_of, days_of, parse_date, parse_time, parse_timestamp, parse_timestamptz,
};
use crate::value::Value;

fn not_a_time() -> TransformMisfit {
    TransformMisfit::new("not_a_time", "the value is not a date or time such as 2024-05-31 or 2024-05-31T08:00:00Z")
}

/// A text as the date or time that it names.
fn read(text: &str) -> Result<Value, TransformMisfit> {
    let found = parse_date(text).map(Value::Date).or_else(|_| parse_timestamp(text).map(Value::Timestamp));
    let found = found.or_else(|why| match why {
        TimeMisfit::SubMicrosecond => Err(why),
        TimeMisfit::Malformed => parse_timestamptz(text).map(Value::TimestampTz),
    });
    found.map_err(|why| match why {
        TimeMisfit::Malformed => not_a_time(),
        TimeMisfit::SubMicrosecond => TransformMisfit::new(
            "sub_microsecond",
            "the time is finer than a microsecond; `truncate_us` before it cuts the digits",
        ),
    })
}

/// The calendar day.
pub(super) fn day(value: &Value, zone: &TimeZone) -> Result<i32, TransformMisfit> {
    match value {
        Value::Date(days) => Ok(*days),
        Value::Timestamp(us) => datetime_of(*us).map(|at| days_of(at.date())).ok_or_else(not_a_time),
        Value::TimestampTz(us) => {
            let at = jiff::Timestamp::from_microsecond(*us).map_err(|_| not_a_time())?;
            Ok(days_of(zone.to_datetime(at).date()))
        }
        Value::Text(text) => day(&read(text.trim())?, zone),
        other => Err(wrong_type("date", "a date or time", other)),
    }
}

/// Microseconds since the epoch; a day is its first instant in the zone.
pub(super) fn instant(value: &Value, zone: &TimeZone) -> Result<i64, TransformMisfit> {
    let civil = match value {
        Value::TimestampTz(us) => return Ok(*us),
        Value::Text(text) => return instant(&read(text.trim())?, zone),
        Value::Date(days) => date_of(*days).map(|date| date.at(0, 0, 0, 0)),
        Value::Timestamp(us) => datetime_of(*us),
        other => return Err(wrong_type("epoch", "a date or time", other)),
    };
    let at = zone.to_ambiguous_timestamp(civil.ok_or_else(not_a_time)?).compatible();
    at.map(jiff::Timestamp::as_microsecond).map_err(|_| not_a_time())
}

/// Cuts the digits of a text that are finer than a microsecond. Other values carry microseconds already.
pub(super) fn truncate_us(value: Value) -> Result<Value, TransformMisfit> {
    let Value::Text(text) = value else {
        return match value {
            Value::Date(_) | Value::Time(_) | Value::Timestamp(_) | Value::TimestampTz(_) => Ok(value),
            other => Err(wrong_type("truncate_us", "a time", &other)),
        };
    };
    let text = match text.find('.') {
        Some(point) => {
            let fraction = text[point + 1..].bytes().take_while(u8::is_ascii_digit).count();
            format!("{}{}", &text[..point + 1 + fraction.min(6)], &text[point + 1 + fraction..]).into()
        }
        None => text,
    };
    if read(text.trim()).is_ok() || parse_time(text.trim()).is_ok() { Ok(Value::Text(text)) } else { Err(not_a_time()) }
}
