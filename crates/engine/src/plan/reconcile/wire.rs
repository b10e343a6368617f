//! Verdicts as bytes, for the spool of a detection and the journal of intents. A first load writes each of its records
//! twice this way, so what repeats is left out: names stand as numbers of a table, a value that is sent as it was read
//! stands once, and so do the fields of a change that only carries its writes.

use serde::{Deserialize, Serialize};
use tidegate_model::change::Action;
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::Print;
use tidegate_model::record::{FieldName, Fields, Key, RemoteId};
use tidegate_model::value::{Decimal, Value};

use super::{Asked, Class, FieldWrite, TargetPlan, Verdict, Writes};
use crate::plan::append::append;
use crate::plan::images::Detail;

/// The names and the ids of fields that packed verdicts refer to by number. A number once given stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Names {
    names: Vec<FieldName>,
    ids: Vec<u64>,
    /// Bytes of an earlier version: ids stand in them as they are.
    #[serde(skip)]
    earlier: bool,
}

/// The number of an entry, made if it is not there. The search begins where the last one of the same record was found: they
/// come in order.
fn number<T: PartialEq + Clone>(table: &mut Vec<T>, entry: &T, from: &mut usize) -> u64 {
    let (before, after) = table.split_at((*from).min(table.len()));
    let later = after.iter().position(|known| known == entry).map(|at| before.len() + at);
    let at = later.or_else(|| before.iter().position(|known| known == entry)).unwrap_or_else(|| {
        table.push(entry.clone());
        table.len() - 1
    });
    *from = at + 1;
    at as u64
}

fn numbered<T>(table: &[T], number: u64) -> Result<&T> {
    let at = usize::try_from(number).unwrap_or(usize::MAX);
    table.get(at).ok_or_else(|| Error::internal("a packed change refers to a field that is not there"))
}

impl Names {
    /// A table that begins with these names and ids.
    pub fn of<'n>(names: impl Iterator<Item = &'n FieldName>, ids: impl Iterator<Item = u64>) -> Self {
        let mut table = Self::default();
        for name in names {
            number(&mut table.names, name, &mut 0);
        }
        for id in ids {
            number(&mut table.ids, &id, &mut 0);
        }
        table
    }

    /// The table of a journal that an earlier version of tidegate wrote.
    pub fn of_earlier(names: Vec<FieldName>) -> Self {
        Self { names, ids: Vec::new(), earlier: true }
    }
}

type PackedFields = Vec<(u64, Value)>;

/// A write as earlier versions packed it: its parts in the order of their bytes.
#[derive(Deserialize)]
struct EarlierWrite {
    id: u64,
    name: u64,
    /// Where it is there, it stands for `name`.
    renamed: Option<u64>,
    /// `None`: the same as `sent`.
    source: Option<Box<Value>>,
    sent: Value,
    before: Option<Box<Value>>,
    streak: u8,
}

/// What a write has besides what each has; what is not told is not in the bytes.
const OWN_SOURCE: u8 = 1;
const BEFORE: u8 = 2;
const AGAIN: u8 = 4;

fn put<T: Serialize + ?Sized>(part: &T, into: &mut Vec<u8>) -> Result<()> {
    append(part, into).map_err(|error| Error::internal("pack a planned change").cause(error))
}

fn take<'b, T: Deserialize<'b>>(bytes: &mut &'b [u8]) -> Result<T> {
    let (part, rest) =
        postcard::take_from_bytes(bytes).map_err(|error| Error::internal("unpack a planned change").cause(error))?;
    *bytes = rest;
    Ok(part)
}

fn short() -> Error {
    Error::internal("unpack a planned change: the bytes end early")
}

fn take_byte(bytes: &mut &[u8]) -> Result<u8> {
    let (byte, rest) = bytes.split_first().ok_or_else(short)?;
    *bytes = rest;
    Ok(*byte)
}

/// Takes these bytes if they come next.
fn taken(bytes: &mut &[u8], these: &[u8]) -> bool {
    let rest = bytes.strip_prefix(these);
    *bytes = rest.unwrap_or(bytes);
    rest.is_some()
}

fn take_print(bytes: &mut &[u8]) -> Result<Print> {
    let (print, rest) = bytes.split_first_chunk().ok_or_else(short)?;
    *bytes = rest;
    Ok(*print)
}

/// No field, and no time of a write on either side: the detail of a new record.
const NO_DETAIL: [u8; 3] = [0; 3];
/// No reject, no direction that is over, no conflict.
const NO_FINDINGS: [u8; 3] = [0; 3];

/// Numbers of the kinds of values that are read and written here: their places in [`Value`].
const NULL: u8 = 0;
const BOOL: u8 = 1;
const DECIMAL: u8 = 3;
const TEXT: u8 = 5;

/// Appends a value as serde would. What nearly all fields hold is written here: a first load packs and unpacks each of its
/// values, and the way through serde takes twice as long.
fn put_value(value: &Value, into: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Null => into.push(NULL),
        Value::Bool(bit) => into.extend([BOOL, u8::from(*bit)]),
        Value::Text(text) => {
            into.push(TEXT);
            put_text(text, into);
        }
        Value::Decimal(number) => {
            into.push(DECIMAL);
            put_text(&number.text(&mut [0; Decimal::ROOM]), into);
        }
        other => put(other, into)?,
    }
    Ok(())
}

fn put_text(text: &str, into: &mut Vec<u8>) {
    put_number(text.len() as u64, into);
    into.extend_from_slice(text.as_bytes());
}

/// The other way round.
fn take_value(bytes: &mut &[u8]) -> Result<Value> {
    match bytes {
        [NULL, rest @ ..] => {
            *bytes = rest;
            Ok(Value::Null)
        }
        [BOOL, bit @ (0 | 1), rest @ ..] => {
            let bit = *bit == 1;
            *bytes = rest;
            Ok(Value::Bool(bit))
        }
        [TEXT, rest @ ..] => {
            *bytes = rest;
            take_text(bytes).map(Value::text)
        }
        [DECIMAL, rest @ ..] => {
            *bytes = rest;
            let digits = take_text(bytes)?;
            let number = Decimal::parse(digits).ok_or_else(|| Error::internal("unpack a number that is none"))?;
            Ok(Value::Decimal(number))
        }
        _ => take(bytes),
    }
}

fn take_text<'b>(bytes: &mut &'b [u8]) -> Result<&'b str> {
    let length = usize::try_from(take_number(bytes)?).unwrap_or(usize::MAX);
    let (text, rest) = bytes.split_at_checked(length).ok_or_else(short)?;
    *bytes = rest;
    std::str::from_utf8(text).map_err(|error| Error::internal("unpack a text that is none").cause(error))
}

/// Appends a number: seven bits a byte, the lowest first, as postcard does.
fn put_number(number: u64, into: &mut Vec<u8>) {
    let mut rest = number;
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            into.push(low);
            return;
        }
        into.push(low | 0x80);
    }
}

fn take_number(bytes: &mut &[u8]) -> Result<u64> {
    match bytes {
        [small @ 0..=0x7f, rest @ ..] => {
            let number = u64::from(*small);
            *bytes = rest;
            Ok(number)
        }
        _ => take(bytes),
    }
}

/// Appends a verdict to a buffer.
///
/// # Errors
/// A value that cannot be written.
pub fn pack(verdict: &Verdict, names: &mut Names, into: &mut Vec<u8>) -> Result<()> {
    let bits = [verdict.open, verdict.remove, verdict.keep, verdict.was_open];
    let bits = bits.into_iter().enumerate().fold(0_u8, |all, (at, bit)| all | (u8::from(bit) << at));
    put_text(verdict.key.as_str(), into);
    put(&verdict.remote, into)?;
    into.push(verdict.flags);
    // As they are, which is how they would be written byte by byte.
    [verdict.prints.0, verdict.prints.1].iter().for_each(|print| into.extend_from_slice(print));
    match verdict.detail == Detail::default() {
        true => into.extend(NO_DETAIL),
        false => put(&verdict.detail, into)?,
    }
    into.push(bits);
    pack_plan(&verdict.to_platform, names, into)?;
    pack_plan(&verdict.to_warehouse, names, into)?;
    if verdict.rejects.is_empty() && verdict.over.is_empty() && verdict.conflicts.is_empty() {
        into.extend(NO_FINDINGS);
        return Ok(());
    }
    put(&(&verdict.rejects, &verdict.over, &verdict.conflicts), into)
}

fn pack_plan(plan: &TargetPlan, names: &mut Names, into: &mut Vec<u8>) -> Result<()> {
    put(&(plan.class, plan.change.is_some()), into)?;
    if let Some(asked) = &plan.change {
        put(&(&asked.remote, asked.action), into)?;
        pack_fields(asked.fields.as_ref(), names, into)?;
        pack_fields(asked.expect.as_ref(), names, into)?;
    }
    put(&plan.writes.len(), into)?;
    let (mut name_from, mut id_from) = (0, 0);
    for write in plan.writes.iter() {
        let (source, before, again) = (write.own_source(), write.before(), write.streak() != 1);
        let bit = |there: bool, bit: u8| if there { bit } else { 0 };
        into.push(bit(source.is_some(), OWN_SOURCE) | bit(before.is_some(), BEFORE) | bit(again, AGAIN));
        put_number(number(&mut names.names, write.name, &mut name_from), into);
        put_number(number(&mut names.ids, &write.id(), &mut id_from), into);
        put_value(write.sent, into)?;
        [source, before].into_iter().flatten().try_for_each(|value| put_value(value, into))?;
        if again {
            into.push(write.streak());
        }
    }
    put(&plan.dropped, into)
}

fn pack_fields(fields: Option<&Fields>, names: &mut Names, into: &mut Vec<u8>) -> Result<()> {
    let mut from = 0;
    let fields: Option<Vec<(u64, &Value)>> = fields
        .map(|fields| fields.iter().map(|(name, value)| (number(&mut names.names, name, &mut from), value)).collect());
    put(&fields, into)
}

/// Whether one value can stand for the other: equal, and written alike.
pub(super) fn identical(a: &Value, b: &Value) -> bool {
    match (a, b) {
        // 1.50 and 1.5 are equal and not alike; so are 0 and -0.
        (Value::Decimal(x), Value::Decimal(y)) => x.scale() == y.scale() && x == y,
        (Value::Float(x), Value::Float(y)) => x.to_bits() == y.to_bits(),
        (Value::List(x), Value::List(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| identical(x, y)),
        _ => a == b,
    }
}

/// Takes a verdict from the front of some bytes, which go on behind it.
///
/// # Errors
/// The bytes are no verdict's.
pub fn unpack(bytes: &mut &[u8], names: &Names) -> Result<Verdict> {
    let (key, remote, flags) = (Key::new(take_text(bytes)?), take(bytes)?, take_byte(bytes)?);
    let prints = (take_print(bytes)?, take_print(bytes)?);
    let detail = if taken(bytes, &NO_DETAIL) { Detail::default() } else { take(bytes)? };
    let bits = take_byte(bytes)?;
    let to_platform = unpack_plan(bytes, names)?;
    let to_warehouse = unpack_plan(bytes, names)?;
    let none = taken(bytes, &NO_FINDINGS);
    let (rejects, over, conflicts) = if none { Default::default() } else { take(bytes)? };
    let bit = |at: u8| bits & (1 << at) != 0;
    let (open, remove, keep, was_open) = (bit(0), bit(1), bit(2), bit(3));
    Ok(Verdict {
        key,
        remote,
        flags,
        prints,
        detail,
        open,
        remove,
        keep,
        to_platform,
        to_warehouse,
        rejects,
        over,
        conflicts,
        was_open,
    })
}

fn unpack_plan(bytes: &mut &[u8], names: &Names) -> Result<TargetPlan> {
    let (class, asked) = take::<(Class, bool)>(bytes)?;
    let change = match asked {
        false => None,
        true => {
            let (remote, action) = take::<(Option<RemoteId>, Action)>(bytes)?;
            let (fields, expect) = (unpack_fields(bytes, names)?, unpack_fields(bytes, names)?);
            Some(Asked { remote, action, fields, expect })
        }
    };
    let count = take::<usize>(bytes)?;
    // A write takes more than a byte: a damaged count asks for no more room than there are bytes.
    let mut writes = Writes::with_capacity(count.min(bytes.len()));
    for _ in 0..count {
        writes.push(if names.earlier { unpack_earlier(bytes, names)? } else { unpack_write(bytes, names)? });
    }
    Ok(TargetPlan { class, change, writes, dropped: take(bytes)? })
}

fn unpack_write(bytes: &mut &[u8], names: &Names) -> Result<FieldWrite> {
    let bits = take_byte(bytes)?;
    let there = |bit: u8| bits & bit != 0;
    let (name, id) = (take_number(bytes)?, take_number(bytes)?);
    let (name, id) = (numbered(&names.names, name)?.clone(), *numbered(&names.ids, id)?);
    let sent = take_value(bytes)?;
    let source = if there(OWN_SOURCE) { Some(Box::new(take_value(bytes)?)) } else { None };
    let before = if there(BEFORE) { Some(Box::new(take_value(bytes)?)) } else { None };
    let streak = if there(AGAIN) { take_byte(bytes)? } else { 1 };
    Ok(FieldWrite { id, name, source, sent, before, streak })
}

fn unpack_earlier(bytes: &mut &[u8], names: &Names) -> Result<FieldWrite> {
    let EarlierWrite { id, name, renamed, source, sent, before, streak } = take(bytes)?;
    let name = numbered(&names.names, renamed.unwrap_or(name))?.clone();
    Ok(FieldWrite { id, name, source, sent, before, streak })
}

fn unpack_fields(bytes: &mut &[u8], names: &Names) -> Result<Option<Fields>> {
    let Some(fields) = take::<Option<PackedFields>>(bytes)? else { return Ok(None) };
    let named = fields.into_iter().map(|(number, value)| Ok((numbered(&names.names, number)?.clone(), value)));
    named.collect::<Result<Fields>>().map(Some)
}

#[cfg(test)]
mod tests {
    use tidegate_model::cells::list_value;

    use super::*;

    fn values() -> Vec<Value> {
        let number = |text: &str| Value::Decimal(Decimal::parse(text).expect("a number"));
        let long = "twenty-four bytes or more, and as many as need two to be told. ".repeat(5);
        vec![
            Value::Null,
            Value::Bool(true),
            Value::Bool(false),
            Value::Int(-7),
            number("-0.50"),
            number("12345678901234567890123456789012345678901234567890"),
            Value::Float(-0.0),
            Value::text(""),
            Value::text("süß"),
            Value::text(long),
            Value::Date(-1),
            Value::Time(1),
            Value::Timestamp(2),
            Value::TimestampTz(3),
            Value::Binary(vec![0, 255]),
            Value::Json("{}".into()),
            list_value("[1,\"a\"]"),
        ]
    }

    #[test]
    fn values_are_written_and_read_as_serde_does() {
        for value in values() {
            let mut bytes = Vec::new();
            put_value(&value, &mut bytes).expect("written");
            assert_eq!(bytes, postcard::to_allocvec(&value).expect("written"), "{value:?}");
            for end in 0..bytes.len() {
                assert!(take_value(&mut &bytes[..end]).is_err(), "{end} bytes of {value:?}");
            }
            bytes.push(77);
            let mut rest = bytes.as_slice();
            let read = take_value(&mut rest).expect("read");
            assert!(identical(&read, &value) && rest == [77], "{read:?} of {value:?}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for bytes in [&[99][..], &[BOOL, 2], &[TEXT, 1, 0xff], &[DECIMAL, 1, b'x'], &[TEXT, 0xff, 0xff, 0xff, 0xff]] {
            assert!(take_value(&mut &*bytes).is_err(), "{bytes:?}");
        }
        for number in [0, 127, 128, 300, u64::MAX] {
            let mut bytes = Vec::new();
            put_number(number, &mut bytes);
            assert_eq!(take_number(&mut bytes.as_slice()).expect("read"), number);
        }
    }
}
