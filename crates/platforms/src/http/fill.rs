//! Filling templates in: JSON written value by value, addresses part by part. Pure.

use std::borrow::Cow;
use std::io::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::HeaderValue;
use serde_json::to_writer;
use sha2::{Digest, Sha256};
use tidegate_model::change::{Action, Change, FieldReject};
use tidegate_model::record::Fields;
use tidegate_model::span::OpId;
use tidegate_model::value::Value;
use tidegate_model::{Error, Result};

use super::template::{Address, Piece, Text, Tree, Var};

/// What an address takes as it is: the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What variables hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Filling<'a> {
    pub(super) model: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) id: Option<&'a str>,
    pub(super) action: Option<&'a str>,
    /// The operation and the keys that it writes: what an idempotency key is made of.
    pub(super) write: Option<(&'a OpId, &'a str)>,
    pub(super) fields: Option<&'a Fields>,
    /// The records of a batch, written out.
    pub(super) records: Option<&'a [u8]>,
    pub(super) cursor: Option<&'a str>,
    pub(super) offset: Option<u64>,
    pub(super) page: Option<u64>,
    pub(super) limit: Option<u64>,
}

/// The word for an action.
pub(super) fn word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Delete => "delete",
    }
}

/// A name for a write that is the same whenever the same write is tried again. The engine names a part
/// of a batch behind a `+`.
pub(super) fn idempotency(op: &OpId, key: &str) -> String {
    let base = op.0.split('+').next().unwrap_or_default();
    let mark = Sha256::digest(format!("{base}\n{key}"));
    let digits = mark.iter().take(16).flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

impl<'a> Filling<'a> {
    /// Of one record.
    pub(super) fn of(model: &'a str, change: &'a Change, op: &'a OpId) -> Self {
        Self {
            model,
            key: Some(change.key.as_str()),
            id: change.remote.as_ref().map(|remote| remote.as_str()),
            action: Some(word(change.action)),
            write: Some((op, change.key.as_str())),
            fields: Some(&change.fields),
            ..Self::default()
        }
    }

    /// A variable's text; `None` if it has no value here.
    fn text(&self, var: &Var) -> Option<Cow<'a, str>> {
        let number = |number: Option<u64>| number.map(|n| Cow::Owned(n.to_string()));
        match var {
            Var::Key => self.key.map(Cow::Borrowed),
            Var::Id => self.id.map(Cow::Borrowed),
            Var::Action => self.action.map(Cow::Borrowed),
            Var::Model => Some(Cow::Borrowed(self.model)),
            Var::IdempotencyKey => self.write.map(|(op, keys)| Cow::Owned(idempotency(op, keys))),
            Var::Field(name) | Var::ChangedField(name) => self.fields?.get(name).map(|value| match value {
                Value::Text(text) => Cow::Borrowed(text.as_str()),
                other => Cow::Owned(other.to_string()),
            }),
            Var::Cursor => self.cursor.map(Cow::Borrowed),
            Var::Offset => number(self.offset),
            Var::Page => number(self.page),
            Var::Limit => number(self.limit),
            Var::Record | Var::Changed | Var::Records => {
                let mut out = Vec::new();
                let there = self.value(var, &mut out).unwrap_or(false);
                String::from_utf8(out).ok().filter(|_| there).map(Cow::Owned)
            }
        }
    }

    /// A text; `None` if a variable of it has no value here.
    pub(super) fn plain(&self, text: &Text) -> Option<String> {
        let mut out = String::new();
        for piece in &text.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Var(var) => out.push_str(&self.text(var)?),
            }
        }
        Some(out)
    }

    /// A header's value.
    pub(super) fn header(&self, name: &str, text: &Text) -> Result<Option<HeaderValue>, FieldReject> {
        let Some(text) = self.plain(text) else { return Ok(None) };
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            FieldReject::record(
                "header",
                format!("the header {name} cannot carry this record's value: it takes ASCII on one line"),
            )
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// An address.
    pub(super) fn address(&self, address: &Address) -> Result<String, FieldReject> {
        let mut out = String::new();
        for piece in &address.path.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Var(var) => {
                    let text = self.text(var).filter(|text| !text.is_empty()).ok_or_else(|| missing(var))?;
                    // These would climb out of the path, encoded or not.
                    if text == "." || text == ".." {
                        return Err(FieldReject::record("address", "an address cannot carry a part that is only dots"));
                    }
                    out.extend(utf8_percent_encode(&text, ENCODED));
                }
            }
        }
        let mut before = '?';
        for part in &address.query {
            let start = out.len();
            out.push(before);
            let whole = part.0.iter().all(|piece| match piece {
                Piece::Text(text) => {
                    out.push_str(text);
                    true
                }
                Piece::Var(var) => self.text(var).map(|text| out.extend(utf8_percent_encode(&text, ENCODED))).is_some(),
            });
            if whole {
                before = '&';
            } else {
                out.truncate(start);
            }
        }
        Ok(out)
    }

    /// Writes a tree; false if it holds a variable without a value, and nothing was written.
    pub(super) fn tree(&self, tree: &Tree, out: &mut Vec<u8>) -> Result<bool> {
        let start = out.len();
        let there = match tree {
            Tree::Fixed(bytes) => {
                out.extend_from_slice(bytes);
                true
            }
            Tree::Object(members) => {
                out.push(b'{');
                let first = out.len();
                for (name, value) in members {
                    let start = out.len();
                    if start > first {
                        out.push(b',');
                    }
                    out.extend_from_slice(name);
                    out.push(b':');
                    if !self.tree(value, out)? {
                        out.truncate(start);
                    }
                }
                out.push(b'}');
                true
            }
            Tree::Array(items) => {
                out.push(b'[');
                let first = out.len();
                for item in items {
                    let start = out.len();
                    if start > first {
                        out.push(b',');
                    }
                    if !self.tree(item, out)? {
                        out.truncate(start);
                    }
                }
                out.push(b']');
                true
            }
            Tree::Value(var) => self.value(var, out)?,
            Tree::Text(text) => match self.plain(text) {
                Some(text) => string(&text, out).map(|()| true)?,
                None => false,
            },
        };
        if !there {
            out.truncate(start);
        }
        Ok(there)
    }

    fn value(&self, var: &Var, out: &mut Vec<u8>) -> Result<bool> {
        match var {
            Var::Record | Var::Changed => match self.fields {
                Some(fields) => object(fields, out).map(|()| true),
                None => Ok(false),
            },
            Var::Records => Ok(self.records.map(|records| out.extend_from_slice(records)).is_some()),
            Var::Field(name) | Var::ChangedField(name) => match self.fields.and_then(|fields| fields.get(name)) {
                Some(value) => json(value, out).map(|()| true),
                None => Ok(false),
            },
            Var::Offset | Var::Page | Var::Limit => {
                Ok(self.text(var).map(|digits| out.extend_from_slice(digits.as_bytes())).is_some())
            }
            _ => match self.text(var) {
                Some(text) => string(&text, out).map(|()| true),
                None => Ok(false),
            },
        }
    }
}

fn missing(var: &Var) -> FieldReject {
    match var {
        Var::Id => FieldReject::record(
            "no_id",
            "the address needs the target's own id, which is not known of this record; does `success.id` say where its answers have it?",
        ),
        Var::Field(name) | Var::ChangedField(name) => {
            FieldReject::field(name.as_str(), "required", format!("the address needs {name}, which has no value"))
        }
        _ => FieldReject::record("address", "a variable of the address has no value"),
    }
}

fn object(fields: &Fields, out: &mut Vec<u8>) -> Result<()> {
    out.push(b'{');
    for (at, (name, value)) in fields.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        string(name, out)?;
        out.push(b':');
        json(value, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// A value as JSON: numbers keep their digits, times are ISO texts, bytes are hexadecimal.
fn json(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
        Value::Int(number) => write!(out, "{number}").map_err(unwritten)?,
        Value::Decimal(number) => write!(out, "{number}").map_err(unwritten)?,
        Value::Float(number) if number.is_finite() => to_writer(&mut *out, number).map_err(unwritten)?,
        Value::Float(_) => out.extend_from_slice(b"null"),
        Value::Json(text) => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(_) => out.extend_from_slice(text.as_bytes()),
            Err(_) => string(text, out)?,
        },
        Value::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                json(item, out)?;
            }
            out.push(b']');
        }
        Value::Text(text) => string(text, out)?,
        other => string(&other.to_string(), out)?,
    }
    Ok(())
}

fn string(text: &str, out: &mut Vec<u8>) -> Result<()> {
    to_writer(out, text).map_err(unwritten)
}

fn unwritten(error: impl std::fmt::Display) -> Error {
    Error::internal("a request cannot be written").cause(error)
}

#[cfg(test)]
mod tests {
    use super::super::template::Scope;
    use super::*;
    use serde_json::{Value as Json, json};
    use tidegate_model::value::Decimal;

    fn fields() -> Fields {
        let pairs = [
            ("name", Value::text("Ann \"{{key}}\" \\ \n Ö")),
            ("arr", Value::Decimal(Decimal::parse("1200.00").expect("digits"))),
            ("seats", Value::Int(7)),
            ("gone", Value::Null),
            ("tags", Value::List(vec![Value::text("a"), Value::text("b")])),
            ("since", Value::Date(20_512)),
            ("doc", Value::Json("{\"a\":1.50}".into())),
        ];
        pairs.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }

    fn filled(body: &Json) -> String {
        let fields = fields();
        let filling = Filling { model: "m", key: Some("a/b ?&"), fields: Some(&fields), ..Filling::default() };
        let tree = Tree::read(body, Scope::Record, "body").expect("a template");
        let mut out = Vec::new();
        assert!(filling.tree(&tree, &mut out).expect("written"));
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn values_keep_their_type_and_are_never_pasted() {
        let body = json!({
            "id": "{{key}}", "n": "{{record.arr}}", "seats": "{{record.seats}}", "none": "{{record.gone}}", "absent": "{{changed.nobody}}",
            "in": "Dear {{record.name}}!", "in_absent": "x{{record.nobody}}", "tags": "{{record.tags}}", "day": "{{record.since}}", "doc": "{{record.doc}}",
            "fixed": [1, "{{record.nobody}}", "b"],
        });
        let text = filled(&body);
        assert!(text.contains("\"n\":1200.00") && text.contains("\"doc\":{\"a\":1.50}"), "{text}");
        let read: Json = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read["in"], "Dear Ann \"{{key}}\" \\ \n Ö!", "what a value holds is no template");
        assert_eq!((&read["seats"], &read["none"], &read["day"]), (&json!(7), &Json::Null, &json!("2026-02-28")));
        assert_eq!((&read["tags"], &read["fixed"]), (&json!(["a", "b"]), &json!([1, "b"])));
        assert!(read.get("absent").is_none() && read.get("in_absent").is_none(), "{text}");
        let all: Json = serde_json::from_str(&filled(&json!("{{record}}"))).expect("JSON");
        assert_eq!(all.as_object().map(serde_json::Map::len), Some(7));
    }

    #[test]
    fn addresses_are_encoded_part_by_part() {
        let address = |text: &str| Address::read(text, Scope::Record, "url").expect("an address");
        let fill = |text: &str, key: &'static str| {
            Filling { model: "m", key: Some(key), ..Filling::default() }.address(&address(text))
        };
        assert_eq!(
            fill("https://x/{{model}}/{{key}}", "a/b ?&#ü").expect("filled"),
            "https://x/m/a%2Fb%20%3F%26%23%C3%BC"
        );
        assert_eq!(fill("https://x/y?a=1&id={{id}}&k={{key}}", "&=").expect("filled"), "https://x/y?a=1&k=%26%3D");
        assert_eq!(fill("https://x/{{key}}", "..").expect_err("climbs").rule, "address");
        assert_eq!(fill("https://x/{{id}}", "k").expect_err("no id").rule, "no_id");
    }

    #[test]
    fn the_idempotency_key_is_that_of_the_write() {
        let of = |op: &str, key: &str| idempotency(&OpId(op.to_owned()), key);
        assert_eq!(of("r/3/p", "a"), of("r/3/p+2", "a"));
        assert!(of("r/3/p", "a") != of("r/4/p", "a") && of("r/3/p", "a") != of("r/3/p", "b"));
        assert_eq!(of("r/3/p", "a").len(), 32);
    }
}
