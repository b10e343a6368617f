//! SQLite's types are of cells, not of columns. A column's logical type comes from its declared type:
//!
//! | declared | logical |
//! | --- | --- |
//! | `BOOL…` | bool: 0, 1, `true`, `false` |
//! | a name with `INT` | int64 |
//! | `DECIMAL(p,s)`, `NUMERIC(p,s)`, `NUMBER`, `DEC`, `MONEY` | decimal; without `(p,s)` decimal(38,18) |
//! | `DECIMAL TEXT(p,s)` | decimal kept as text: every digit, where SQLite's own numbers keep 15 |
//! | `REAL`, `FLOAT`, `DOUBLE` | float64 |
//! | `CHAR(n)`, `VARCHAR(n)`, `TEXT`, `CLOB`, `STRING`, `UUID` | text |
//! | `DATE`, `TIME`, `DATETIME`/`TIMESTAMP`, `TIMESTAMPTZ`/`… WITH TIME ZONE` | date, time, timestamp, timestamptz, as ISO text |
//! | `BLOB`, `BINARY`, `VARBINARY`, `BYTEA` | binary |
//! | `JSON`, `JSONB`, `TEXT LIST` | json, list |
//!
//! A column without a declared type (an expression of a view or query, or a bare column), or of another name, takes
//! the type that its first 1,000 cells share: all integers int64, numbers float64, blobs binary, anything else text.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};
use tidegate_model::time::{
    TimeMisfit, datetime_of, micros_of, parse_date, parse_time, parse_timestamp, parse_timestamptz,
};
use tidegate_model::value::{Decimal, Type};

use crate::builder::{Fault, not_finite};
use crate::cell::{Cell, canonical_json};

/// The decimal of columns that do not say their digits: room for 64-bit numbers and for usual fractions.
pub(super) const OPEN_DECIMAL: Type = Type::Decimal { precision: 38, scale: 18 };

/// No zone is further from UTC than this.
const OFFSET_MINUTES_MAX: i64 = 18 * 60;

/// What SQLite does to a value that is stored in the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    Integer,
    Text,
    Blob,
    Real,
    Numeric,
}

/// How a column keeps its values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    pub(super) logical: Type,
    pub(super) affinity: Affinity,
    pub(super) max_length: Option<u32>,
}

/// SQLite's own rules, in its order.
pub(super) fn affinity(declared: &str) -> Affinity {
    let upper = declared.to_uppercase();
    let has = |part: &str| upper.contains(part);
    if has("INT") {
        Affinity::Integer
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Affinity::Text
    } else if has("BLOB") || upper.trim().is_empty() {
        Affinity::Blob
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

/// What a declared type says; `None` if it says nothing.
pub(super) fn stored(declared: &str) -> Option<Stored> {
    let affinity = affinity(declared);
    let (name, arguments) = split(declared);
    let words: Vec<&str> = name.split_whitespace().collect();
    let first = words.first().copied()?;
    let zoned = name.contains("WITH TIME ZONE") || name.contains("WITH LOCAL");
    let logical = match first {
        "BOOL" | "BOOLEAN" => Type::Bool,
        "DECIMAL" | "NUMERIC" | "NUMBER" | "DEC" | "MONEY" => decimal(&arguments),
        "TIMESTAMPTZ" | "DATETIMEOFFSET" => Type::TimestampTz,
        "TIMESTAMP" | "DATETIME" if zoned => Type::TimestampTz,
        "TIMESTAMP" | "DATETIME" | "DATETIME2" | "TIMESTAMPNTZ" | "TIMESTAMP_NTZ" => Type::Timestamp,
        "DATE" => Type::Date,
        "TIME" if !zoned => Type::Time,
        "JSON" | "JSONB" => Type::Json,
        "TEXT" if words.get(1) == Some(&"LIST") => Type::List,
        "BLOB" | "BINARY" | "VARBINARY" | "BYTEA" => Type::Binary,
        "UUID" | "STRING" => Type::Text,
        _ => match affinity {
            Affinity::Integer => Type::Int64,
            Affinity::Text => Type::Text,
            Affinity::Real => Type::Float64,
            Affinity::Blob | Affinity::Numeric => return None,
        },
    };
    let limited = logical == Type::Text && affinity == Affinity::Text;
    let max_length = arguments.first().filter(|_| limited).and_then(|n| u32::try_from(*n).ok());
    Some(Stored { logical, affinity, max_length })
}

/// Upper-case name without arguments, and the arguments: `varchar(20)` → `VARCHAR`, `[20]`.
fn split(declared: &str) -> (String, Vec<i64>) {
    let upper = declared.to_uppercase();
    let Some(open) = upper.find('(') else { return (upper.trim().to_owned(), Vec::new()) };
    let close = upper[open..].find(')').map_or(upper.len(), |at| open + at);
    let arguments = upper[open + 1..close].split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let tail = upper.get(close + 1..).unwrap_or("");
    (format!("{} {}", &upper[..open].trim(), tail.trim()).trim().to_owned(), arguments)
}

fn decimal(arguments: &[i64]) -> Type {
    let fit = |n: i64| u8::try_from(n).ok().filter(|n| *n <= 76);
    match arguments {
        [] => OPEN_DECIMAL,
        [p, rest @ ..] => {
            let scale = rest.first().copied().unwrap_or(0);
            match (fit(*p), fit(scale)) {
                (Some(precision @ 1..), Some(scale)) if scale <= precision => {
                    Type::Decimal { precision, scale: i8::try_from(scale).unwrap_or(0) }
                }
                _ => OPEN_DECIMAL,
            }
        }
    }
}

/// The type that cells of these storage classes share (as `typeof` names them), for columns that do not say.
pub(super) fn shared<'a>(classes: impl Iterator<Item = &'a str>) -> Type {
    let (mut integer, mut real, mut blob, mut text) = (false, false, false, false);
    for class in classes {
        match class {
            "integer" => integer = true,
            "real" => real = true,
            "blob" => blob = true,
            "null" => {}
            _ => text = true,
        }
    }
    match (text, blob, real, integer) {
        (false, false, true, _) => Type::Float64,
        (false, false, false, true) => Type::Int64,
        (false, true, false, false) => Type::Binary,
        _ => Type::Text,
    }
}

/// A cell in the form of its column, or why it does not fit.
pub(super) fn decode<'a>(raw: ValueRef<'a>, logical: Type, zone: &TimeZone) -> Result<Cell<'a>, Fault> {
    let wrong = |what: &str| Err(Fault::new("wrong_type", format!("the cell holds {what}, the column is {logical}")));
    match (logical, raw) {
        (_, ValueRef::Null) => Ok(Cell::Null),
        (Type::Bool, ValueRef::Integer(0)) => Ok(Cell::Bool(false)),
        (Type::Bool, ValueRef::Integer(1)) => Ok(Cell::Bool(true)),
        (Type::Bool, ValueRef::Text(text)) if text.eq_ignore_ascii_case(b"true") => Ok(Cell::Bool(true)),
        (Type::Bool, ValueRef::Text(text)) if text.eq_ignore_ascii_case(b"false") => Ok(Cell::Bool(false)),
        (Type::Int64, ValueRef::Integer(whole)) => Ok(Cell::Int(whole)),
        (Type::Decimal { .. }, ValueRef::Integer(whole)) => Ok(Cell::Decimal(Decimal::from_i128(whole.into(), 0))),
        (Type::Decimal { .. } | Type::Float64, ValueRef::Real(x)) if !x.is_finite() => Err(not_finite()),
        // Rust writes the shortest text that reads back as the same float: no arithmetic, no digits of the machine's.
        (Type::Decimal { .. }, ValueRef::Real(x)) => parse_decimal(&x.to_string()),
        (Type::Decimal { .. }, ValueRef::Text(text)) => parse_decimal(utf8(text)?),
        (Type::Float64, ValueRef::Real(x)) => Ok(Cell::Float(x)),
        (Type::Float64, ValueRef::Integer(whole)) if whole.unsigned_abs() <= 1 << 53 => Ok(Cell::Float(whole as f64)),
        (Type::Float64, ValueRef::Integer(_)) => {
            Err(Fault::new("out_of_range", "the whole number has more digits than a float64 keeps"))
        }
        (Type::Text, ValueRef::Text(text)) => Ok(Cell::Text(Cow::Borrowed(utf8(text)?))),
        (Type::Text, ValueRef::Integer(whole)) => Ok(Cell::Text(Cow::Owned(whole.to_string()))),
        (Type::Date, ValueRef::Text(text)) => {
            parse_date(utf8(text)?).map(Cell::Date).map_err(|why| bad_time(why, "date"))
        }
        (Type::Time, ValueRef::Text(text)) => {
            parse_time(utf8(text)?).map(Cell::Time).map_err(|why| bad_time(why, "time"))
        }
        (Type::Timestamp, ValueRef::Text(text)) => wall_clock(utf8(text)?, zone).map(Cell::Timestamp),
        (Type::TimestampTz, ValueRef::Text(text)) => instant(utf8(text)?, zone).map(Cell::TimestampTz),
        (Type::Binary, ValueRef::Blob(bytes)) => Ok(Cell::Binary(Cow::Borrowed(bytes))),
        (Type::Binary, ValueRef::Text(bytes)) => Ok(Cell::Binary(Cow::Borrowed(bytes))),
        (Type::Json, ValueRef::Text(text)) => parse_json(utf8(text)?).map(Cell::Json),
        (Type::Json, ValueRef::Integer(whole)) => Ok(Cell::Json(Cow::Owned(whole.to_string()))),
        (Type::Json, ValueRef::Real(x)) if x.is_finite() => Ok(Cell::Json(Cow::Owned(x.to_string()))),
        (Type::List, ValueRef::Text(text)) => match parse_json(utf8(text)?) {
            Ok(json) if json.starts_with('[') => Ok(Cell::List(json)),
            _ => Err(Fault::new("bad_json", "the cell is not a JSON list")),
        },
        (_, ValueRef::Integer(_)) => wrong("an integer"),
        (_, ValueRef::Real(_)) => wrong("a float"),
        (_, ValueRef::Text(_)) => wrong("text"),
        (_, ValueRef::Blob(_)) => wrong("bytes"),
    }
}

fn utf8(text: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(text).map_err(|_| Fault::new("bad_text", "the text is not UTF-8"))
}

fn parse_decimal(text: &str) -> Result<Cell<'static>, Fault> {
    match Decimal::parse(text.trim()) {
        Some(number) => Ok(Cell::Decimal(number)),
        None => Err(Fault::new("bad_number", "the text is not a decimal number of at most 76 digits")),
    }
}

fn parse_json(text: &str) -> Result<Cow<'_, str>, Fault> {
    canonical_json(text).map(Cow::Owned).ok_or_else(|| Fault::new("bad_json", "the text is not a JSON document"))
}

fn bad_time(why: TimeMisfit, what: &str) -> Fault {
    match why {
        TimeMisfit::Malformed => Fault::new("bad_date", format!("the text is not a {what} in ISO form")),
        TimeMisfit::SubMicrosecond => Fault::new("sub_microsecond", "the time has digits finer than a microsecond"),
    }
}

/// `YYYY-MM-DD HH:MM:SS[.f]`, the form of nearly every cell, without a general parser; anything else goes there.
fn clock(text: &str) -> Result<i64, TimeMisfit> {
    plain_clock(text.as_bytes()).map_or_else(|| parse_timestamp(text), Ok)
}

fn plain_clock(text: &[u8]) -> Option<i64> {
    if text.len() < 19 || text.len() > 26 || text[10] != b'T' && text[10] != b' ' {
        return None;
    }
    if [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')].iter().any(|(at, mark)| text[*at] != *mark) {
        return None;
    }
    let number = |digits: &[u8]| -> Option<i64> {
        digits.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
    };
    let days = plain_days(number(&text[..4])?, number(&text[5..7])?, number(&text[8..10])?)?;
    let (hour, minute, second) = (number(&text[11..13])?, number(&text[14..16])?, number(&text[17..19])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction = match &text[19..] {
        [] => 0,
        [b'.', digits @ ..] if !digits.is_empty() => number(digits)? * 10_i64.pow(6 - digits.len() as u32),
        _ => return None,
    };
    Some((days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000_000 + fraction)
}

/// Days since 1970-01-01, counted in years that begin in March so that the leap day is the last.
fn plain_days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if !(1..=longest).contains(&day) {
        return None;
    }
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400);
    Some(years * 365 + leap_days + (153 * months + 2) / 5 + day - 1 - 719_468)
}

/// An instant with `Z` or an offset. Read as a clock and moved by its offset, because the last day of the calendar, a
/// usual word for "never ends", is past the last instant that jiff knows.
fn with_offset(text: &str) -> Result<i64, TimeMisfit> {
    if let Some(moment) = text.strip_suffix(['Z', 'z']) {
        return if moment.len() > 10 { clock(moment) } else { Err(TimeMisfit::Malformed) };
    }
    let Some(at) = text.rfind(['+', '-']).filter(|at| *at > 10) else { return parse_timestamptz(text) };
    let digits: String = text[at + 1..].chars().filter(|c| *c != ':').collect();
    let minutes = match digits.len() {
        2 => digits.parse::<i64>().ok().map(|hours| hours * 60),
        4 => digits.parse::<i64>().ok().map(|both| both / 100 * 60 + both % 100),
        _ => None,
    };
    match minutes {
        Some(minutes) if minutes <= OFFSET_MINUTES_MAX => {
            let sign = if text.as_bytes()[at] == b'-' { -1 } else { 1 };
            Ok(clock(text[..at].trim_end())? - sign * minutes * 60_000_000)
        }
        _ => parse_timestamptz(text),
    }
}

/// Time without zone. Text that has a zone all the same (as ISO text from programs often has) is converted to the
/// clock of the sync's zone, in which times without zone are read.
fn wall_clock(text: &str, zone: &TimeZone) -> Result<i64, Fault> {
    match clock(text) {
        Ok(us) => Ok(us),
        Err(TimeMisfit::SubMicrosecond) => Err(bad_time(TimeMisfit::SubMicrosecond, "timestamp")),
        Err(TimeMisfit::Malformed) => {
            let us = with_offset(text).map_err(|why| bad_time(why, "timestamp"))?;
            let at = jiff::Timestamp::from_microsecond(us).map_err(|_| bad_time(TimeMisfit::Malformed, "timestamp"))?;
            Ok(micros_of(zone.to_datetime(at)))
        }
    }
}

/// An instant. Text without zone is read on the clock of the sync's zone.
fn instant(text: &str, zone: &TimeZone) -> Result<i64, Fault> {
    match with_offset(text) {
        Ok(us) => Ok(us),
        Err(TimeMisfit::SubMicrosecond) => Err(bad_time(TimeMisfit::SubMicrosecond, "timestamp")),
        Err(TimeMisfit::Malformed) => {
            let us = clock(text).map_err(|why| bad_time(why, "timestamp"))?;
            let malformed = || bad_time(TimeMisfit::Malformed, "timestamp");
            let at = datetime_of(us).ok_or_else(malformed)?;
            zone.to_timestamp(at).map(|at| at.as_microsecond()).map_err(|_| malformed())
        }
    }
}

/// A cell, already in the form of its column, as SQLite is to store it.
pub(super) fn encode<'a>(cell: &'a Cell<'a>, affinity: Affinity) -> ToSqlOutput<'a> {
    let owned = |value: SqlValue| ToSqlOutput::Owned(value);
    match cell {
        Cell::Null => owned(SqlValue::Null),
        Cell::Bool(b) => owned(SqlValue::Integer(i64::from(*b))),
        Cell::Int(whole) => owned(SqlValue::Integer(*whole)),
        Cell::Decimal(number) => encode_decimal(number, affinity),
        Cell::Float(x) => owned(SqlValue::Real(*x)),
        Cell::Text(text) | Cell::Json(text) | Cell::List(text) => {
            ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))
        }
        Cell::Binary(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        Cell::Date(_) | Cell::Time(_) | Cell::Timestamp(_) | Cell::TimestampTz(_) => {
            owned(SqlValue::Text(cell.clone().into_value().to_string()))
        }
    }
}

/// Whole numbers as integers; others as text, which a numeric column turns into a float of the same digits (at most
/// 15, see `Slot::digits_max`) and a text column keeps.
fn encode_decimal<'a>(number: &Decimal, affinity: Affinity) -> ToSqlOutput<'a> {
    let short = number.normalized();
    let whole = (short.scale() <= 0).then(|| short.unscaled().to_i128()).flatten().and_then(|n| i64::try_from(n).ok());
    ToSqlOutput::Owned(match whole {
        Some(whole) if affinity != Affinity::Text => SqlValue::Integer(whole),
        _ => SqlValue::Text(short.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_say_logical_types() {
        let logical = |declared: &str| stored(declared).map(|s| s.logical);
        for (declared, want) in [
            ("boolean", Type::Bool),
            ("UNSIGNED BIG INT", Type::Int64),
            ("decimal(12, 2)", Type::Decimal { precision: 12, scale: 2 }),
            ("NUMERIC(9)", Type::Decimal { precision: 9, scale: 0 }),
            ("numeric", OPEN_DECIMAL),
            ("DECIMAL TEXT(38,10)", Type::Decimal { precision: 38, scale: 10 }),
            ("double precision", Type::Float64),
            ("varchar(20)", Type::Text),
            ("DATE", Type::Date),
            ("time", Type::Time),
            ("DATETIME", Type::Timestamp),
            ("timestamp(6) with time zone", Type::TimestampTz),
            ("TIMESTAMPTZ", Type::TimestampTz),
            ("BLOB", Type::Binary),
            ("json", Type::Json),
            ("TEXT LIST", Type::List),
        ] {
            assert_eq!(logical(declared), Some(want), "{declared}");
        }
        assert_eq!(logical(""), None);
        assert_eq!(logical("NUM"), None);
        assert_eq!(stored("varchar(20)").expect("text").max_length, Some(20));
        assert_eq!(stored("DECIMAL TEXT(38,10)").expect("decimal").affinity, Affinity::Text);
    }

    #[test]
    fn times_with_and_without_zone_are_converted_never_relabelled() {
        let zone = TimeZone::get("Europe/Stockholm").expect("zone");
        let cell = |text: &str, logical| decode(ValueRef::Text(text.as_bytes()), logical, &zone).map(Cell::into_value);
        let text = |text: &str, logical| cell(text, logical).expect("fits").to_string();
        assert_eq!(text("2024-07-01T10:00:00Z", Type::Timestamp), "2024-07-01T12:00:00");
        assert_eq!(text("2024-07-01 10:00:00", Type::Timestamp), "2024-07-01T10:00:00");
        assert_eq!(text("2024-07-01 10:00:00", Type::TimestampTz), "2024-07-01T08:00:00Z");
        assert_eq!(text("2024-07-01 10:00:00+05:00", Type::TimestampTz), "2024-07-01T05:00:00Z");
        assert_eq!(text("2024-07-01 10:00:00.5-0330", Type::TimestampTz), "2024-07-01T13:30:00.5Z");
        assert_eq!(text("2024-07-01T10:00:00+02", Type::TimestampTz), "2024-07-01T08:00:00Z");
        assert_eq!(text("9999-12-31T23:59:59.999999Z", Type::TimestampTz), "9999-12-31T23:59:59.999999Z");
        assert_eq!(cell("2024-07-01Z", Type::TimestampTz).expect_err("no time").rule, "bad_date");
        assert_eq!(cell("2024-07-01T10:00:00.1234567", Type::Timestamp).expect_err("fine").rule, "sub_microsecond");
        assert_eq!(cell("2024-02-30", Type::Date).expect_err("no such day").rule, "bad_date");
    }

    #[test]
    fn the_short_way_reads_times_as_the_long_way_does() {
        for text in [
            "0001-01-01 00:00:00",
            "1900-02-28T23:59:59.9",
            "1969-12-31 23:59:59.999999",
            "1970-01-01T00:00:00",
            "2000-02-29 12:30:45.000001",
            "2024-02-29 00:00:00",
            "2100-03-01T06:07:08.25",
            "9999-12-31 23:59:59.999999",
        ] {
            assert!(plain_clock(text.as_bytes()).is_some(), "{text} took the long way");
            assert_eq!(plain_clock(text.as_bytes()), parse_timestamp(text).ok(), "{text}");
        }
        for text in [
            "1900-02-29 00:00:00",
            "2024-13-01 00:00:00",
            "2024-01-32 00:00:00",
            "2024-01-01 24:00:00",
            "2024-01-01 00:60:00",
            "2024-01-01 00:00:00.",
            "2024-01-01 00:00:0x",
            "2024-00-10 00:00:00",
        ] {
            assert_eq!(plain_clock(text.as_bytes()), None, "{text}");
            assert!(clock(text).is_err(), "{text}");
        }
    }

    #[test]
    fn floats_become_decimals_by_their_text() {
        let cell = decode(ValueRef::Real(0.1), OPEN_DECIMAL, &TimeZone::UTC).expect("fits");
        assert_eq!(cell.into_value().to_string(), "0.1");
        assert_eq!(
            decode(ValueRef::Real(f64::INFINITY), OPEN_DECIMAL, &TimeZone::UTC).expect_err("inf").rule,
            "not_finite"
        );
        let wrong = decode(ValueRef::Text(b"12"), Type::Int64, &TimeZone::UTC).expect_err("text");
        assert_eq!(wrong.rule, "wrong_type");
    }
}
