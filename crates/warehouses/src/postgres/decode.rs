//! Postgres's binary form straight into Arrow builders.

use arrow_buffer::i256;
use tidegate_model::value::Decimal;

use super::types::Wire;
use crate::builder::{Col, Fault, not_finite, too_many_digits};
use crate::cell::{Cell, canonical_json};

/// Days from 1970-01-01 to 2000-01-01, where Postgres begins to count.
pub(super) const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub(super) const EPOCH_US: i64 = EPOCH_DAYS as i64 * DAY_US;
const DAY_US: i64 = 86_400_000_000;
/// The years that we can write down: -9999 to 9999.
const DAYS: std::ops::RangeInclusive<i32> = -4_371_587..=2_932_896;

/// Reads numbers of fixed width; short input is a bug of ours or of the server's.
fn fixed<const N: usize>(raw: &[u8]) -> Result<[u8; N], Fault> {
    raw.try_into().map_err(|_| Fault::new("wrong_type", "the server sent a value of another size"))
}

/// Appends one value that is not NULL. On a fault nothing is appended.
pub(super) fn push(wire: Wire, raw: &[u8], col: &mut Col) -> Result<(), Fault> {
    match (wire, &mut *col) {
        (Wire::Bool, Col::Bool(b)) => b.append_value(raw.first().is_some_and(|byte| *byte != 0)),
        (Wire::Int2, Col::Int(b)) => b.append_value(i16::from_be_bytes(fixed(raw)?).into()),
        (Wire::Int4, Col::Int(b)) => b.append_value(i32::from_be_bytes(fixed(raw)?).into()),
        (Wire::Int8, Col::Int(b)) => b.append_value(i64::from_be_bytes(fixed(raw)?)),
        (Wire::Float8, Col::Float(b)) => b.append_value(finite(f64::from_be_bytes(fixed(raw)?))?),
        (Wire::Float4, Col::Float(b)) => {
            let x = f32::from_be_bytes(fixed(raw)?);
            finite(x.into())?;
            b.append_value(x.to_string().parse().map_err(|_| not_finite())?);
        }
        (Wire::Numeric, Col::Decimal128(b, precision, scale)) => {
            let unscaled = numeric(raw, *precision, *scale)?.to_i128();
            b.append_value(unscaled.ok_or_else(|| too_many_digits(*precision, *scale))?);
        }
        (Wire::Numeric, Col::Decimal256(b, precision, scale)) => b.append_value(numeric(raw, *precision, *scale)?),
        (Wire::Text | Wire::Padded | Wire::Printed, Col::Text(b)) => b.append_value(utf8(raw)?),
        (Wire::Uuid, Col::Text(b)) => b.append_value(uuid(&fixed(raw)?)),
        (Wire::Date, Col::Date(b)) => b.append_value(date(i32::from_be_bytes(fixed(raw)?))?),
        (Wire::Time, Col::Time(b)) => match i64::from_be_bytes(fixed(raw)?) {
            us if us < DAY_US => b.append_value(us),
            _ => return Err(Fault::new("out_of_range", "24:00:00 is no time of a day")),
        },
        (Wire::Timestamp | Wire::TimestampTz, Col::Timestamp(b)) => {
            b.append_value(timestamp(i64::from_be_bytes(fixed(raw)?))?);
        }
        (Wire::Bytes, Col::Binary(b)) => b.append_value(raw),
        (Wire::Json | Wire::Texts | Wire::Array, Col::Text(b)) => b.append_value(json(raw)?),
        (Wire::Jsonb, Col::Text(b)) => b.append_value(json(raw.get(1..).unwrap_or_default())?),
        _ => return Err(Fault::new("wrong_type", "the server sent a value of another type")),
    }
    Ok(())
}

fn finite(x: f64) -> Result<f64, Fault> {
    if x.is_finite() { Ok(x) } else { Err(not_finite()) }
}

fn utf8(raw: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(raw).map_err(|_| Fault::new("bad_text", "the text is not UTF-8"))
}

fn json(raw: &[u8]) -> Result<String, Fault> {
    canonical_json(utf8(raw)?).ok_or_else(|| Fault::new("bad_json", "the document is nested too deep"))
}

fn uuid(bytes: &[u8; 16]) -> String {
    let mut out = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            out.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
        }
    }
    out
}

fn date(days: i32) -> Result<i32, Fault> {
    if days == i32::MAX || days == i32::MIN {
        return Err(Fault::new("not_finite", "the date is infinity"));
    }
    match days.checked_add(EPOCH_DAYS).filter(|days| DAYS.contains(days)) {
        Some(days) => Ok(days),
        None => Err(Fault::new("out_of_range", "the year is not between -9999 and 9999")),
    }
}

fn timestamp(us: i64) -> Result<i64, Fault> {
    if us == i64::MAX || us == i64::MIN {
        return Err(Fault::new("not_finite", "the time is infinity"));
    }
    let in_range = |us: &i64| i32::try_from(us.div_euclid(DAY_US)).is_ok_and(|days| DAYS.contains(&days));
    match us.checked_add(EPOCH_US).filter(in_range) {
        Some(us) => Ok(us),
        None => Err(Fault::new("out_of_range", "the year is not between -9999 and 9999")),
    }
}

/// Digits in groups of four with the weight of the first: the unscaled number at our scale, no digit lost.
fn numeric(raw: &[u8], precision: u8, scale: i8) -> Result<i256, Fault> {
    let word = |at: usize| raw.get(at * 2..at * 2 + 2).map(|pair| i16::from_be_bytes([pair[0], pair[1]]));
    let (Some(groups), Some(weight), Some(sign)) = (word(0), word(1), word(2)) else {
        return Err(Fault::new("wrong_type", "the server sent a number that ends early"));
    };
    let negative = match sign {
        0 => false,
        0x4000 => true,
        _ => return Err(not_finite()), // NaN and the infinities
    };
    let groups = usize::try_from(groups).unwrap_or(0);
    let digits = (0..groups).map(|at| word(4 + at).unwrap_or(0));
    // Power of ten of the last group, in units of our scale.
    let last = 4 * (i32::from(weight) - groups as i32 + 1) + i32::from(scale);
    // Nine groups are 36 digits: with what a scale of ours adds they fit 128 bits, which is the usual case.
    let fits = groups <= 8 && (-3..=4).contains(&last);
    let unscaled = if fits {
        let mut sum: i128 = 0;
        for group in digits {
            sum = sum * 10_000 + i128::from(group);
        }
        let shift = 10_i128.pow(last.unsigned_abs());
        if last >= 0 {
            Some(i256::from_i128(sum * shift))
        } else {
            (sum % shift == 0).then(|| i256::from_i128(sum / shift))
        }
    } else {
        // Zeros of the last group must not count as digits: 76 of ours may come as 20 groups.
        let text: String = digits.map(|group| format!("{group:04}")).collect();
        let short = text.trim_end_matches('0');
        let exponent = last - i32::from(scale) + (text.len() - short.len()) as i32;
        match short.trim_start_matches('0') {
            "" => Some(i256::ZERO),
            short => Decimal::parse(&format!("{short}e{exponent}"))
                .and_then(|number| number.rescale(scale))
                .map(|number| number.unscaled()),
        }
    };
    let too_many = || too_many_digits(precision, scale);
    let unscaled = unscaled.ok_or_else(too_many)?;
    if !within(unscaled, precision) {
        return Err(too_many());
    }
    Ok(if negative { unscaled.wrapping_neg() } else { unscaled })
}

/// Whether a number that is not negative has at most so many digits.
fn within(unscaled: i256, precision: u8) -> bool {
    match unscaled.to_i128() {
        Some(small) if precision <= 38 => small < 10_i128.pow(precision.into()),
        Some(_) => true,
        None => unscaled.to_string().len() <= usize::from(precision),
    }
}

/// One value as a cell of its own, for reads of single rows.
pub(super) fn cell(wire: Wire, raw: Option<&[u8]>, maker: &mut crate::builder::PageMaker, column: usize) {
    let pushed = match (raw, maker.col(column)) {
        (None, _) => {
            maker.put(column, Ok(Cell::Null));
            return;
        }
        (Some(raw), Some(col)) => push(wire, raw, col),
        (Some(_), None) => return,
    };
    if let Err(fault) = pushed {
        maker.put(column, Err(fault));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(weight: i16, sign: u16, digits: &[i16]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend((digits.len() as i16).to_be_bytes());
        out.extend(weight.to_be_bytes());
        out.extend(sign.to_be_bytes());
        out.extend(0_i16.to_be_bytes());
        digits.iter().for_each(|digit| out.extend(digit.to_be_bytes()));
        out
    }

    #[test]
    fn numerics_keep_every_digit() {
        let number =
            |raw: Vec<u8>, precision, scale| numeric(&raw, precision, scale).map(|n| n.to_string()).map_err(|f| f.rule);
        assert_eq!(number(raw(0, 0, &[12, 3400]), 10, 2), Ok("1234".into())); // 12.34
        assert_eq!(number(raw(0, 0x4000, &[12, 3450]), 10, 3), Ok("-12345".into()));
        assert_eq!(number(raw(0, 0, &[12, 3450]), 10, 2), Err("out_of_range")); // 12.345 at two digits
        assert_eq!(number(raw(1, 0, &[12]), 10, 2), Ok("12000000".into())); // 120000
        assert_eq!(number(raw(0, 0, &[]), 10, 2), Ok("0".into()));
        assert_eq!(number(raw(-2, 0, &[1]), 10, 8), Ok("1".into())); // 0.00000001
        assert_eq!(number(raw(0, 0, &[1234]), 3, 0), Err("out_of_range"));
        assert_eq!(number(raw(0, 0xC000, &[]), 3, 0), Err("not_finite"));
        assert_eq!(number(raw(9, 0, &[1; 10]), 76, 10), Ok(format!("{}10000000000", "1000".repeat(9))));
    }

    #[test]
    fn uuids_are_written_as_postgres_writes_them() {
        let bytes: [u8; 16] = std::array::from_fn(|at| at as u8 * 17);
        assert_eq!(uuid(&bytes), "00112233-4455-6677-8899-aabbccddeeff");
    }
}
