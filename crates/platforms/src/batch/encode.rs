//! Changes as Batch takes them: an array of operations, written out by hand, so that a number keeps its digits and an
//! attribute its type from one call to the next.

use std::io::Write;

use serde_json::to_writer;
use tidegate_model::change::{Change, FieldReject};
use tidegate_model::ports::WriteAsk;
use tidegate_model::time::{date_text, timestamp_text};
use tidegate_model::value::{Type, Value};
use tidegate_model::{Error, Result};

use super::config::NullKey;
use super::model::{ADD, REMOVE, attribute};
use crate::pieces::in_pieces;

const SECOND: i64 = 1_000_000;
/// 0001-01-01 and 9999-12-31 in days since 1970: years of four digits.
const DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;
const DAY: i64 = 86_400 * SECOND;

/// How the fields of a sync are written.
pub struct Encoder<'a> {
    ask: &'a WriteAsk,
    null_key: NullKey,
}

/// A call's body, and what was left out of it.
pub struct Body {
    /// The JSON array.
    pub bytes: Vec<u8>,
    /// For each operation, which change it carries.
    pub sent: Vec<usize>,
    /// For each change, what of it cannot be written.
    pub refused: Vec<Vec<FieldReject>>,
}

/// The name under which Batch types an attribute.
enum Named<'a> {
    Plain(&'a str),
    Date(&'a str),
    Url(&'a str),
}

impl<'a> Encoder<'a> {
    /// For one call.
    pub fn new(ask: &'a WriteAsk, null_key: NullKey) -> Self {
        Self { ask, null_key }
    }

    fn type_of(&self, field: &str) -> Option<Type> {
        self.ask.new_fields.iter().find(|(name, _)| name == field).map(|(_, logical)| *logical)
    }

    fn named<'f>(&self, field: &'f str, value: &Value) -> Named<'f> {
        let name = attribute(field);
        if value.is_null() && self.null_key == NullKey::Plain {
            return Named::Plain(name);
        }
        match self.type_of(field) {
            Some(Type::Date | Type::TimestampTz | Type::Timestamp) => Named::Date(name),
            Some(_) if self.ask.addresses.iter().any(|other| other == field) => Named::Url(name),
            _ => Named::Plain(name),
        }
    }

    /// The body of a call.
    pub fn body(&self, batch: &[Change]) -> Result<Body> {
        let mut body = Body { bytes: vec![b'['], sent: (0..batch.len()).collect(), refused: Vec::new() };
        body.refused.reserve(batch.len());
        for piece in in_pieces(batch, |_, part| self.operations(part)) {
            let (bytes, refused) = piece?;
            if !body.refused.is_empty() {
                body.bytes.push(b',');
            }
            body.bytes.extend_from_slice(&bytes);
            body.refused.extend(refused);
        }
        body.bytes.push(b']');
        Ok(body)
    }

    /// The operations of some changes with commas between them, and what of each cannot be written.
    fn operations(&self, changes: &[Change]) -> Result<(Vec<u8>, Vec<Vec<FieldReject>>)> {
        let (mut bytes, mut refused) = (Vec::with_capacity(changes.len() * 192), Vec::with_capacity(changes.len()));
        for change in changes {
            if !refused.is_empty() {
                bytes.push(b',');
            }
            refused.push(self.operation(change, &mut bytes)?);
        }
        Ok((bytes, refused))
    }

    fn operation(&self, change: &Change, out: &mut Vec<u8>) -> Result<Vec<FieldReject>> {
        out.extend_from_slice(b"{\"identifiers\":{\"custom_id\":");
        string(change.key.as_str(), out)?;
        out.extend_from_slice(b"},\"attributes\":{");
        let mut refused = Vec::new();
        let mut first = true;
        let mut parts: Vec<&str> = Vec::new();
        for (field, value) in change.fields.iter() {
            let bare = attribute(field);
            if field.ends_with(ADD) || field.ends_with(REMOVE) {
                // Both halves of a list are one object, written at the first of them.
                if parts.contains(&bare) {
                    continue;
                }
                parts.push(bare);
                let halves = halves(change, bare);
                if !halves.is_empty() {
                    name(&Named::Plain(bare), &mut first, out)?;
                    partial(&halves, out)?;
                }
                continue;
            }
            match self.checked(field, value) {
                Err(reject) => refused.push(reject),
                Ok(()) => {
                    name(&self.named(field, value), &mut first, out)?;
                    self.value(field, value, out)?;
                }
            }
        }
        out.extend_from_slice(b"}}");
        Ok(refused)
    }

    /// What the rules of the schema cannot say.
    fn checked(&self, field: &str, value: &Value) -> Result<(), FieldReject> {
        let years = |days: i64| match DAYS.contains(&days) {
            true => Ok(()),
            false => Err(FieldReject::field(field, "out_of_range", "is outside of the years 1 to 9999")),
        };
        match value {
            Value::Date(days) => years(i64::from(*days)),
            Value::Timestamp(us) | Value::TimestampTz(us) => years(us.div_euclid(DAY)),
            Value::Float(number) if !number.is_finite() => {
                Err(FieldReject::field(field, "not_finite", "is not a finite number"))
            }
            Value::Json(_) | Value::Binary(_) | Value::Time(_) => {
                Err(FieldReject::field(field, "wrong_type", "is of a type that Batch does not know"))
            }
            _ => Ok(()),
        }
    }

    fn value(&self, field: &str, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        match value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Bool(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
            Value::Int(number) => text(out, format_args!("{number}"))?,
            // The point says that it is no integer: an attribute does not change its type with its value.
            Value::Decimal(number) => match self.type_of(field) {
                Some(Type::Decimal { scale, .. }) if scale > 0 => match number.rescale(scale) {
                    Some(same) => text(out, format_args!("{same}"))?,
                    None => text(out, format_args!("{number}"))?,
                },
                _ => text(out, format_args!("{}", number.normalized()))?,
            },
            Value::Float(number) => to_writer(&mut *out, number).map_err(unwritten)?,
            Value::Date(days) => text(out, format_args!("\"{}T00:00:00Z\"", date_text(*days)))?,
            Value::Timestamp(us) | Value::TimestampTz(us) => {
                let whole = us.div_euclid(SECOND) * SECOND;
                text(out, format_args!("\"{}Z\"", timestamp_text(whole)))?;
            }
            Value::List(items) => list(items, out)?,
            Value::Text(words) | Value::Json(words) => string(words, out)?,
            Value::Binary(_) | Value::Time(_) => out.extend_from_slice(b"null"),
        }
        Ok(())
    }
}

/// What joins and leaves a list; empty where there is nothing of either.
fn halves<'c>(change: &'c Change, bare: &str) -> Vec<(&'static str, &'c [Value])> {
    let mut halves = Vec::new();
    for (field, value) in change.fields.iter().filter(|(field, _)| attribute(field) == bare) {
        let half = if field.ends_with(ADD) { "$add" } else { "$remove" };
        if let Value::List(items) = value
            && !items.is_empty()
        {
            halves.push((half, items.as_slice()));
        }
    }
    halves
}

fn partial(halves: &[(&str, &[Value])], out: &mut Vec<u8>) -> Result<()> {
    out.push(b'{');
    for (at, (half, items)) in halves.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        string(half, out)?;
        out.push(b':');
        list(items, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn list(items: &[Value], out: &mut Vec<u8>) -> Result<()> {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        string(&item.to_string(), out)?;
    }
    out.push(b']');
    Ok(())
}

fn name(named: &Named<'_>, first: &mut bool, out: &mut Vec<u8>) -> Result<()> {
    if !std::mem::replace(first, false) {
        out.push(b',');
    }
    match named {
        Named::Plain(name) => string(name, out)?,
        Named::Date(name) => text(out, format_args!("\"date({name})\""))?,
        Named::Url(name) => text(out, format_args!("\"url({name})\""))?,
    }
    out.push(b':');
    Ok(())
}

fn string(words: &str, out: &mut Vec<u8>) -> Result<()> {
    to_writer(out, words).map_err(unwritten)
}

fn text(out: &mut Vec<u8>, words: std::fmt::Arguments<'_>) -> Result<()> {
    out.write_fmt(words).map_err(unwritten)
}

fn unwritten(error: impl std::fmt::Display) -> Error {
    Error::internal("a call to Batch cannot be written").cause(error)
}
