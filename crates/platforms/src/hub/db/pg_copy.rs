//! Rows of a grid as binary COPY: the fastest way in where none of the rows is there yet.

use std::pin::pin;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tidegate_model::{Error, Result};
use tokio_postgres::{Client, Statement};

use super::Target;
use crate::hub::cell::{CellRef, Grid, Kind};

/// Bytes of one message: enough to amortise it, few beside a page.
const MESSAGE_BYTES: usize = 256 << 10;
/// Mark, flags and the length of an extension that nobody uses.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What ends the rows.
const TRAILER: i16 = -1;
/// Decimal digits that `numeric` keeps in one group.
const GROUP: usize = 4;

/// What can go wrong: our own encoding, or the server.
pub enum Failed {
    /// The rows cannot be encoded.
    Ours(Error),
    /// The server refused them.
    Theirs(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Failed::Theirs(error)
    }
}

/// Sends rows, each followed by the number `last` if there is one; how many the server took.
pub async fn send(
    client: &Client,
    statement: &Statement,
    columns: &[Target],
    last: Option<i64>,
    rows: &dyn Grid,
) -> std::result::Result<u64, Failed> {
    let mut sink = pin!(client.copy_in::<_, Bytes>(statement).await?);
    let width = columns.len() + usize::from(last.is_some());
    let width = i16::try_from(width).map_err(|_| Failed::Ours(Error::internal("a table has too many columns")))?;
    let mut out = BytesMut::with_capacity(MESSAGE_BYTES + (16 << 10));
    out.put_slice(HEADER);
    for row in 0..rows.rows() {
        out.put_i16(width);
        for (at, column) in columns.iter().enumerate() {
            cell(column.kind, rows.cell(at, row), &mut out).map_err(Failed::Ours)?;
        }
        if let Some(number) = last {
            out.put_i32(8);
            out.put_i64(number);
        }
        if out.len() >= MESSAGE_BYTES {
            sink.as_mut().send(out.split().freeze()).await?;
        }
    }
    out.put_i16(TRAILER);
    sink.as_mut().send(out.freeze()).await?;
    Ok(sink.as_mut().finish().await?)
}

fn cell(kind: Kind, cell: CellRef<'_>, out: &mut BytesMut) -> Result<()> {
    match (kind, cell) {
        (_, CellRef::Null) => out.put_i32(-1),
        (Kind::Int, CellRef::Int(n)) => {
            out.put_i32(8);
            out.put_i64(n);
        }
        (Kind::Real, CellRef::Real(x)) => {
            out.put_i32(8);
            out.put_f64(x);
        }
        (Kind::Text, CellRef::Text(text)) => bytes(text.as_bytes(), out)?,
        (Kind::Blob, CellRef::Blob(raw)) => bytes(raw, out)?,
        (Kind::Dec, CellRef::Text(digits)) => numeric(digits, out)?,
        _ => return Err(Error::internal("a cell is not of its column's kind")),
    }
    Ok(())
}

fn bytes(raw: &[u8], out: &mut BytesMut) -> Result<()> {
    let length = i32::try_from(raw.len());
    out.put_i32(length.map_err(|_| Error::internal("a cell is larger than Postgres takes in one value"))?);
    out.put_slice(raw);
    Ok(())
}

/// Digits as `numeric` in binary: how many groups of four, the power of the first, sign, digits after the point, groups.
fn numeric(text: &str, out: &mut BytesMut) -> Result<()> {
    let odd = || Error::internal("an exact number is not written in digits");
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(odd());
    }
    let scale = i16::try_from(fraction.len()).map_err(|_| odd())?;
    let start = out.len();
    out.put_slice(&[0; 12]); // length and head, written last
    let body = out.len();
    let value = |group: &[u8]| group.iter().fold(0, |sum: i16, digit| sum * 10 + i16::from(digit - b'0'));
    let first = whole.len() % GROUP;
    let mut weight = i16::try_from(whole.len().div_ceil(GROUP)).map_err(|_| odd())? - 1;
    let mut put = |group: i16| {
        // Zeros before the first digit only move its power.
        if group == 0 && out.len() == body { weight -= 1 } else { out.put_i16(group) }
    };
    let (head, rest) = whole.as_bytes().split_at(first);
    if !head.is_empty() {
        put(value(head));
    }
    rest.chunks(GROUP).for_each(|group| put(value(group)));
    for group in fraction.as_bytes().chunks(GROUP) {
        let missing = u32::try_from(GROUP - group.len()).unwrap_or(0);
        put(value(group) * 10_i16.pow(missing));
    }
    while out.len() > body && out[out.len() - 2..] == [0, 0] {
        out.truncate(out.len() - 2);
    }
    let groups = i16::try_from((out.len() - body) / 2).map_err(|_| odd())?;
    let sign: u16 = if groups > 0 && text.starts_with('-') { 0x4000 } else { 0 };
    let length = i32::try_from(out.len() - start - 4).map_err(|_| odd())?;
    let mut head = &mut out[start..body];
    head.put_i32(length);
    head.put_i16(groups);
    head.put_i16(if groups == 0 { 0 } else { weight });
    head.put_u16(sign);
    head.put_i16(scale);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> Vec<i16> {
        let mut out = BytesMut::new();
        numeric(text, &mut out).unwrap_or_else(|error| panic!("{text}: {error}"));
        let words: Vec<i16> = out[4..].chunks(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect();
        assert_eq!(out[..4], ((out.len() - 4) as i32).to_be_bytes());
        words
    }

    #[test]
    fn exact_numbers_become_groups_of_four_digits() {
        // groups, weight, sign, scale, then the groups; as numeric_send writes them.
        assert_eq!(encoded("0"), [0, 0, 0, 0]);
        assert_eq!(encoded("-0.00"), [0, 0, 0, 2]);
        assert_eq!(encoded("1"), [1, 0, 0, 0, 1]);
        assert_eq!(encoded("12345"), [2, 1, 0, 0, 1, 2345]);
        assert_eq!(encoded("120000"), [1, 1, 0, 0, 12]);
        assert_eq!(encoded("-12.5"), [2, 0, 0x4000, 1, 12, 5000]);
        assert_eq!(encoded("0.00001234"), [1, -2, 0, 8, 1234]);
        assert_eq!(encoded("00012.340"), [2, 0, 0, 3, 12, 3400]);
        assert_eq!(encoded("100000000.000000001"), [6, 2, 0, 9, 1, 0, 0, 0, 0, 1000]);
    }

    #[test]
    fn what_is_not_digits_is_refused() {
        for text in ["", "-", ".5", "1e5", "NaN", "1.2.3", "+1"] {
            assert!(numeric(text, &mut BytesMut::new()).is_err(), "{text}");
        }
    }
}
