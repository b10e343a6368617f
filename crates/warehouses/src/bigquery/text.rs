//! Cells as REST answers write them: each one a text.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tidegate_model::page::Page;
use tidegate_model::time::{TimeMisfit, parse_date, parse_time, parse_timestamp};
use tidegate_model::value::{Decimal, Type};
use tidegate_model::{Error, Result};

use super::decode::Wanted;
use crate::builder::{Fault, PageMaker, not_finite};
use crate::cell::{Cell, canonical_json};

/// The pages of some rows.
pub(super) fn pages(rows: &[Vec<Option<String>>], columns: &[Wanted], page_rows: usize) -> Result<Vec<Page>> {
    let mut maker = PageMaker::new(columns.iter().map(|column| (column.name.as_str(), column.logical)), page_rows);
    let mut pages = Vec::new();
    for row in rows {
        if row.len() != columns.len() {
            return Err(Error::internal(format!("a result of {} columns came with {}", columns.len(), row.len())));
        }
        for (at, (column, text)) in columns.iter().zip(row).enumerate() {
            maker.put(at, text.as_deref().map_or(Ok(Cell::Null), |text| cell(column.logical, text)));
        }
        if maker.end_row(0) {
            pages.push(maker.take()?);
        }
    }
    if !maker.is_empty() {
        pages.push(maker.take()?);
    }
    Ok(pages)
}

fn cell(logical: Type, text: &str) -> std::result::Result<Cell<'_>, Fault> {
    let wrong = |what: &str| Fault::new("wrong_type", format!("the cell holds no {what}"));
    let time = |misfit: TimeMisfit| match misfit {
        TimeMisfit::Malformed => wrong("time"),
        TimeMisfit::SubMicrosecond => Fault::new("sub_microsecond", "the time has digits finer than a microsecond"),
    };
    let document = || canonical_json(text).ok_or_else(|| Fault::new("bad_json", "the cell holds no JSON document"));
    match logical {
        Type::Int64 => text.parse().map(Cell::Int).map_err(|_| wrong("whole number of 64 bits")),
        Type::Decimal { .. } => Decimal::parse(text)
            .map(Cell::Decimal)
            .ok_or_else(|| Fault::new("out_of_range", "the number has more than 76 digits")),
        Type::Float64 => match text.parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(Cell::Float(x)),
            Ok(_) => Err(not_finite()),
            Err(_) => Err(wrong("number")),
        },
        Type::Text => Ok(Cell::Text(Cow::Borrowed(text))),
        Type::Bool => match text {
            "true" => Ok(Cell::Bool(true)),
            "false" => Ok(Cell::Bool(false)),
            _ => Err(wrong("bool")),
        },
        Type::Date => parse_date(text).map(Cell::Date).map_err(time),
        Type::Time => parse_time(text).map(Cell::Time).map_err(time),
        Type::Timestamp => parse_timestamp(text).map(Cell::Timestamp).map_err(time),
        // Asked for as microseconds: the other form is a float.
        Type::TimestampTz => text.parse().map(Cell::TimestampTz).map_err(|_| wrong("time")),
        Type::Binary => STANDARD.decode(text).map(|bytes| Cell::Binary(Cow::Owned(bytes))).map_err(|_| wrong("bytes")),
        Type::Json => document().map(|text| Cell::Json(Cow::Owned(text))),
        Type::List => document().map(|text| Cell::List(Cow::Owned(text))),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_model::cells::value_at;
    use tidegate_model::value::Value;

    use super::*;

    #[test]
    fn texts_become_what_they_are() {
        for (logical, text, value) in [
            (Type::Int64, "-9223372036854775808", Value::Int(i64::MIN)),
            (Type::Float64, "5e-324", Value::Float(5e-324)),
            (Type::TimestampTz, "253402300799999999", Value::TimestampTz(253_402_300_799_999_999)),
            (Type::Timestamp, "0001-01-01T00:00:00", Value::Timestamp(-62_135_596_800_000_000)),
            (Type::Time, "23:59:59.999999", Value::Time(86_399_999_999)),
            (Type::Date, "1969-12-31", Value::Date(-1)),
            (Type::Binary, "AP8=", Value::Binary(vec![0, 255])),
            (Type::List, "[\"a\", 1]", Value::List(vec![Value::text("a"), Value::Int(1)])),
        ] {
            assert_eq!(cell(logical, text).expect(text).into_value(), value);
        }
        let rule = |logical, text| cell(logical, text).expect_err("a misfit").rule;
        assert_eq!(rule(Type::Float64, "NaN"), "not_finite");
        assert_eq!(rule(Type::Json, "{"), "bad_json");
        assert_eq!(rule(Type::TimestampTz, "1.5E9"), "wrong_type");
    }

    #[test]
    fn rows_are_cut_into_pages() {
        let columns = [Wanted { name: "k".into(), logical: Type::Int64 }];
        let rows: Vec<Vec<Option<String>>> = (0..3).map(|n| vec![Some(n.to_string())]).collect();
        let pages = pages(&rows, &columns, 2).expect("pages");
        assert_eq!(pages.iter().map(Page::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(value_at(&pages[1].rows, 0, 0), Value::Int(2));
    }
}
