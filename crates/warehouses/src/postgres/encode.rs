//! Cells, already in the form of their column, into Postgres's binary form.

use arrow_buffer::i256;
use bytes::{BufMut, BytesMut};
use tidegate_model::value::Decimal;

use super::decode::{EPOCH_DAYS, EPOCH_US};
use super::types::Wire;
use crate::builder::Fault;
use crate::cell::Cell;

const TEXT_OID: u32 = 25;

/// A value without its length; nothing for NULL.
pub(super) fn body(wire: Wire, cell: &Cell<'_>, out: &mut BytesMut) -> Result<(), Fault> {
    match (wire, cell) {
        (Wire::Bool, Cell::Bool(b)) => out.put_u8(u8::from(*b)),
        (Wire::Int2, Cell::Int(n)) => out.put_i16(i16::try_from(*n).map_err(|_| misplaced(cell))?),
        (Wire::Int4, Cell::Int(n)) => out.put_i32(i32::try_from(*n).map_err(|_| misplaced(cell))?),
        (Wire::Int8, Cell::Int(n)) => out.put_i64(*n),
        (Wire::Float4, Cell::Float(x)) => out.put_f32(*x as f32),
        (Wire::Float8, Cell::Float(x)) => out.put_f64(*x),
        (Wire::Numeric, Cell::Decimal(number)) => numeric(number, out),
        (Wire::Text | Wire::Padded, Cell::Text(text)) => out.put_slice(text.as_bytes()),
        (Wire::Uuid, Cell::Text(text)) => uuid(text, out),
        (Wire::Date, Cell::Date(days)) => out.put_i32(days.saturating_sub(EPOCH_DAYS)),
        (Wire::Time, Cell::Time(us)) => out.put_i64(*us),
        (Wire::Timestamp, Cell::Timestamp(us)) | (Wire::TimestampTz, Cell::TimestampTz(us)) => {
            out.put_i64(us.saturating_sub(EPOCH_US));
        }
        (Wire::Bytes, Cell::Binary(bytes)) => out.put_slice(bytes),
        (Wire::Json, Cell::Json(text)) => out.put_slice(text.as_bytes()),
        (Wire::Jsonb, Cell::Json(text)) => {
            out.put_u8(1); // the version of the form
            out.put_slice(text.as_bytes());
        }
        (Wire::Texts, Cell::List(text)) => texts(text, out)?,
        (_, cell) => return Err(misplaced(cell)),
    }
    Ok(())
}

/// A value with its length before it, as COPY takes it.
pub(super) fn field(wire: Wire, cell: &Cell<'_>, out: &mut BytesMut) -> Result<(), Fault> {
    if *cell == Cell::Null {
        out.put_i32(-1);
        return Ok(());
    }
    let start = out.len();
    out.put_i32(0);
    body(wire, cell, out)?;
    let length = i32::try_from(out.len() - start - 4)
        .map_err(|_| Fault::new("too_long", "the value has more than two gigabytes"))?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn misplaced(cell: &Cell<'_>) -> Fault {
    Fault::new("wrong_type", format!("the column does not take {}", cell.type_name()))
}

fn uuid(text: &str, out: &mut BytesMut) {
    let digits: Vec<u8> = text.bytes().filter_map(|b| char::from(b).to_digit(16)).map(|d| d as u8).collect();
    digits.chunks_exact(2).for_each(|pair| out.put_u8(pair[0] << 4 | pair[1]));
}

fn texts(json: &str, out: &mut BytesMut) -> Result<(), Fault> {
    let items: Vec<serde_json::Value> =
        serde_json::from_str(json).map_err(|_| Fault::new("bad_json", "the text is not a JSON list"))?;
    let length = i32::try_from(items.len()).map_err(|_| Fault::new("too_long", "the list is too long"))?;
    out.put_i32(i32::from(length > 0)); // dimensions
    out.put_i32(i32::from(items.iter().any(serde_json::Value::is_null)));
    out.put_u32(TEXT_OID);
    if length > 0 {
        out.put_i32(length);
        out.put_i32(1); // the first index
    }
    for item in items {
        let text = match item {
            serde_json::Value::Null => {
                out.put_i32(-1);
                continue;
            }
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        if text.contains('\0') {
            return Err(Fault::new("bad_text", "the database does not store the character NUL"));
        }
        out.put_i32(i32::try_from(text.len()).map_err(|_| Fault::new("too_long", "a text of the list is too long"))?);
        out.put_slice(text.as_bytes());
    }
    Ok(())
}

/// Groups of four digits around the point. Up to 34 digits in machine words, more by their text.
fn numeric(number: &Decimal, out: &mut BytesMut) {
    let number = if number.scale() < 0 { number.normalized() } else { *number };
    let scale = u16::from(number.scale().max(0).unsigned_abs());
    let pad = (4 - scale % 4) % 4;
    let negative = number.unscaled() < i256::ZERO;
    let small =
        number.unscaled().to_i128().map(i128::unsigned_abs).and_then(|n| n.checked_mul(10_u128.pow(pad.into())));
    let mut groups: Vec<i16> = Vec::with_capacity(20); // the last one first
    match small {
        Some(mut rest) => {
            while rest > 0 {
                groups.push((rest % 10_000) as i16);
                rest /= 10_000;
            }
        }
        None => {
            let digits = format!("{}{}", number.unscaled().to_string().trim_start_matches('-'), "0".repeat(pad.into()));
            for chunk in digits.as_bytes().rchunks(4) {
                groups.push(chunk.iter().fold(0, |sum, digit| sum * 10 + i16::from(digit - b'0')));
            }
        }
    }
    let below = i16::try_from((scale + pad) / 4).unwrap_or(0);
    let weight = i16::try_from(groups.len()).unwrap_or(0) - 1 - below;
    let zeros = groups.iter().take_while(|group| **group == 0).count();
    let kept = &groups[zeros..];
    out.put_i16(i16::try_from(kept.len()).unwrap_or(0));
    out.put_i16(if kept.is_empty() { 0 } else { weight });
    out.put_u16(if negative { 0x4000 } else { 0 });
    out.put_u16(scale);
    kept.iter().rev().for_each(|group| out.put_i16(*group));
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Decimal256Type;
    use tidegate_model::value::Type;

    use super::*;
    use crate::builder::PageMaker;

    #[test]
    fn numbers_go_out_and_come_back() {
        for text in [
            "0",
            "1",
            "-1",
            "0.1",
            "10000",
            "-0.0001",
            "12345.6789",
            "99999999999999999999999999999999999999",
            "0.00000000000000000000000000000000000001",
            "-123456789012345678901234567890.12345678",
        ] {
            let number = Decimal::parse(text).expect("number");
            for scale in [38, number.scale()] {
                let number = number.rescale(scale).expect("fits");
                let mut out = BytesMut::new();
                body(Wire::Numeric, &Cell::Decimal(number), &mut out).expect("encoded");
                let logical = Type::Decimal { precision: 76, scale: 38 };
                let mut maker = PageMaker::new([("n", logical)].into_iter(), 1);
                super::super::decode::cell(Wire::Numeric, Some(&out), &mut maker, 0);
                maker.end_row(0);
                let page = maker.take().expect("page");
                assert_eq!(page.misfits, [], "{text}");
                let array = page.rows.column(0).as_primitive::<Decimal256Type>();
                assert!(!array.is_null(0));
                assert_eq!(Decimal::new(array.value(0), 38), number, "{text} at {scale}");
            }
        }
    }
}
