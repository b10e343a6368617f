//! Cells as JSON results write them: each one a text.

use std::borrow::Cow;

use tidegate_model::value::{Decimal, Type};

use super::decode::{Wanted, canonical_document};
use super::types::Kind;
use crate::builder::{Fault, PageMaker, not_finite};
use crate::cell::Cell;

/// Puts a cell into the row in hand.
pub(super) fn put(maker: &mut PageMaker, at: usize, column: &Wanted, text: Option<&str>) {
    maker.put(at, text.map_or(Ok(Cell::Null), |text| cell(column, text)));
}

fn cell<'a>(column: &Wanted, text: &'a str) -> Result<Cell<'a>, Fault> {
    let wrong = |what: &str| Fault::new("wrong_type", format!("the cell holds no {what}"));
    match (column.logical, column.kind) {
        (Type::Int64, _) => match text.parse() {
            Ok(whole) => Ok(Cell::Int(whole)),
            Err(_) => Err(Fault::new("out_of_range", "the number does not fit 64 bits")),
        },
        (Type::Decimal { .. }, _) => Decimal::parse(text).map(Cell::Decimal).ok_or_else(|| wrong("number")),
        (Type::Float64, _) => match text.parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(Cell::Float(x)),
            Ok(_) => Err(not_finite()),
            Err(_) => Err(wrong("number")),
        },
        (Type::Text, _) => Ok(Cell::Text(Cow::Borrowed(text))),
        (Type::Bool, _) => match text {
            "1" | "true" | "TRUE" => Ok(Cell::Bool(true)),
            "0" | "false" | "FALSE" => Ok(Cell::Bool(false)),
            _ => Err(wrong("bool")),
        },
        (Type::Date, _) => text.parse().map(Cell::Date).map_err(|_| wrong("day")),
        (Type::Time, _) => micros(text).map(Cell::Time),
        (Type::Timestamp, _) => micros(text).map(Cell::Timestamp),
        // The offset stands behind the seconds, and says only how they are shown.
        (Type::TimestampTz, _) => micros(text.split(' ').next().unwrap_or(text)).map(Cell::TimestampTz),
        (Type::Binary, _) => bytes(text).map(|bytes| Cell::Binary(Cow::Owned(bytes))).ok_or_else(|| wrong("bytes")),
        (Type::Json | Type::List, kind) => match canonical_document(text) {
            Some(text) if kind == Kind::Array => Ok(Cell::List(Cow::Owned(text))),
            Some(text) => Ok(Cell::Json(Cow::Owned(text))),
            None => Err(Fault::new("bad_json", "the cell holds no JSON document")),
        },
    }
}

/// `-1.500000000` seconds are 1.5 seconds before.
fn micros(text: &str) -> Result<i64, Fault> {
    let wrong = || Fault::new("wrong_type", "the cell holds no time");
    let seconds = Decimal::parse(text).ok_or_else(wrong)?;
    let micros = Decimal::new(seconds.unscaled(), seconds.scale() - 6);
    let Some(whole) = micros.rescale(0) else {
        return Err(Fault::new("sub_microsecond", "the time has digits finer than a microsecond"));
    };
    let far = || Fault::new("out_of_range", "the time is too far away for microseconds of 64 bits");
    whole.unscaled().to_i128().and_then(|us| i64::try_from(us).ok()).ok_or_else(far)
}

/// Bytes of their hexadecimal digits.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: Kind) -> Wanted {
        Wanted { name: "c".into(), logical: kind.logical(), kind, scale: 9 }
    }

    fn rule(kind: Kind, text: &str) -> &'static str {
        cell(&column(kind), text).expect_err("a misfit").rule
    }

    #[test]
    fn every_form_is_read_exactly() {
        let fixed = Kind::Fixed { precision: 38, scale: 10 };
        let digits = "-9999999999999999999999999999.9999999999";
        let read = |kind, text: &'static str| cell(&column(kind), text).expect("a cell");
        assert_eq!(read(fixed, digits), Cell::Decimal(Decimal::parse(digits).expect("a number")));
        assert_eq!(read(Kind::Bool, "1"), Cell::Bool(true));
        assert_eq!(read(Kind::Date, "-719162"), Cell::Date(-719_162));
        assert_eq!(read(Kind::Ntz, "-1.500000000"), Cell::Timestamp(-1_500_000));
        assert_eq!(read(Kind::Ntz, "253402300799.999999000"), Cell::Timestamp(253_402_300_799_999_999));
        assert_eq!(read(Kind::Zoned, "1704190272.123456000 1560"), Cell::TimestampTz(1_704_190_272_123_456));
        assert_eq!(read(Kind::Time, "86399.999999000"), Cell::Time(86_399_999_999));
        assert_eq!(read(Kind::Binary, "00ffA1"), Cell::Binary(Cow::Owned(vec![0, 255, 161])));
        assert_eq!(
            read(Kind::Array, "[\n  1,\n  undefined,\n  \"undefined\"\n]"),
            Cell::List(Cow::Owned(r#"[1,null,"undefined"]"#.into()))
        );
    }

    #[test]
    fn what_does_not_fit_is_told() {
        assert_eq!(rule(Kind::Fixed { precision: 19, scale: 0 }, "9223372036854775808"), "out_of_range");
        assert_eq!(rule(Kind::Real, "NaN"), "not_finite");
        assert_eq!(rule(Kind::Real, "-inf"), "not_finite");
        assert_eq!(rule(Kind::Ntz, "1.000000001"), "sub_microsecond");
        assert_eq!(rule(Kind::Variant, "{"), "bad_json");
        assert_eq!(rule(Kind::Binary, "0"), "wrong_type");
    }
}
