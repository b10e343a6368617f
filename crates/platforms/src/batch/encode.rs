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
use crate::names::{names, place};
use crate::room::room;

const SECOND: i64 = 1_000_000;
/// 0001-01-01 and 9999-12-31 in days since 1970: years of four digits.
const DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;
const DAY: i64 = 86_400 * SECOND;

/// How the fields of a call are written.
pub struct Encoder<'a> {
    fields: Vec<Field<'a>>,
}

/// A call's body, and what was left out of it.
pub struct Body {
    /// The JSON array: an operation for each change.
    pub bytes: Vec<u8>,
    /// What of a change cannot be written, with the change's place.
    pub refused: Vec<(usize, FieldReject)>,
}

/// How a field is written: looked up once a call.
struct Field<'a> {
    name: &'a str,
    /// The attribute's own name.
    bare: &'a str,
    /// It joins a list or leaves it.
    half: bool,
    logical: Option<Type>,
    /// The name under which Batch types the attribute, as it is written, with the colon; and the one under which it is
    /// deleted.
    named: Vec<u8>,
    nulled: Vec<u8>,
}

impl<'a> Field<'a> {
    fn new(ask: &WriteAsk, null_key: NullKey, name: &'a str) -> Self {
        let bare = attribute(name);
        let logical = ask.new_fields.iter().find(|(other, _)| other == name).map(|(_, logical)| *logical);
        let quoted = |shown: &str| format!("{}:", serde_json::Value::from(shown)).into_bytes();
        // The names of typed attributes are checked before: they have nothing that JSON would write otherwise.
        let named = match logical {
            Some(Type::Date | Type::TimestampTz | Type::Timestamp) => quoted(&format!("date({bare})")),
            Some(_) if ask.addresses.iter().any(|other| other == name) => quoted(&format!("url({bare})")),
            _ => quoted(bare),
        };
        let nulled = if null_key == NullKey::Plain { quoted(bare) } else { named.clone() };
        Self { name, bare, half: name.ends_with(ADD) || name.ends_with(REMOVE), logical, named, nulled }
    }
}

impl<'a> Encoder<'a> {
    /// For one call.
    pub fn new(ask: &WriteAsk, null_key: NullKey, batch: &'a [Change]) -> Self {
        Self { fields: names(batch.iter()).into_iter().map(|name| Field::new(ask, null_key, name)).collect() }
    }

    /// The body of a call.
    pub fn body(&self, batch: &[Change]) -> Result<Body> {
        let mut body = Body { bytes: vec![b'['], refused: Vec::new() };
        for (at, change) in batch.iter().enumerate() {
            if at > 0 {
                body.bytes.push(b',');
            }
            self.operation(at, change, &mut body)?;
            room(&mut body.bytes, at + 1, batch.len());
        }
        body.bytes.push(b']');
        Ok(body)
    }

    fn operation(&self, at: usize, change: &Change, body: &mut Body) -> Result<()> {
        let out = &mut body.bytes;
        out.extend_from_slice(b"{\"identifiers\":{\"custom_id\":");
        string(change.key.as_str(), out)?;
        out.extend_from_slice(b"},\"attributes\":{");
        let (start, mut next) = (out.len(), 0);
        let mut parts: Vec<&str> = Vec::new();
        for (name, value) in change.fields.iter() {
            let found = place(self.fields.len(), next, |at| self.fields[at].name, name);
            let Some(place) = found else { return Err(unwritten("a field that none of its changes has")) };
            next = place + 1;
            let field = &self.fields[place];
            if field.half {
                // Both halves of a list are one object, written at the first of them.
                if parts.contains(&field.bare) {
                    continue;
                }
                parts.push(field.bare);
                let halves = halves(change, field.bare);
                if !halves.is_empty() {
                    separate(start, out);
                    string(field.bare, out)?;
                    out.push(b':');
                    partial(&halves, out)?;
                }
                continue;
            }
            match checked(field.name, value) {
                Err(reject) => body.refused.push((at, reject)),
                Ok(()) => {
                    separate(start, out);
                    out.extend_from_slice(if value.is_null() { &field.nulled } else { &field.named });
                    written(field.logical, value, out)?;
                }
            }
        }
        out.extend_from_slice(b"}}");
        Ok(())
    }
}

/// What the rules of the schema cannot say.
fn checked(field: &str, value: &Value) -> Result<(), FieldReject> {
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

/// Writes a value of a field of this type.
fn written(logical: Option<Type>, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
        Value::Int(number) => text(out, format_args!("{number}"))?,
        // The point says that it is no integer: an attribute does not change its type with its value.
        Value::Decimal(number) => match logical {
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

/// A comma, unless it is the first attribute.
fn separate(start: usize, out: &mut Vec<u8>) {
    if out.len() > start {
        out.push(b',');
    }
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
