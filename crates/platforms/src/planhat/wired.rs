//! Values in the form that Planhat takes, as long as possible still those of the change: nothing is copied that can be
//! written as it stands.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::{Number, Value as Json};
use tidegate_model::value::{Decimal, Value};

/// A value in its form for Planhat.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wired<'v> {
    Null,
    Bool(bool),
    Whole(i64),
    Exact(Decimal),
    Float(f64),
    Text(Cow<'v, str>),
    List(&'v [Value]),
    Json(Json),
}

impl Wired<'_> {
    /// A text that is no one else's.
    pub(super) fn own(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Null | Self::Json(Json::Null) => true,
            Self::Text(text) => text.is_empty(),
            Self::Json(json) => json == "",
            _ => false,
        }
    }

    /// Writes it as JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
            Self::Whole(number) => write!(out, "{number}")?,
            Self::Exact(number) => out.extend_from_slice(number.text(&mut [0; Decimal::ROOM]).as_bytes()),
            Self::Float(number) => serde_json::to_writer(out, number)?,
            Self::Text(text) => serde_json::to_writer(out, text)?,
            Self::List(items) => list(items, out)?,
            Self::Json(json) => serde_json::to_writer(out, json)?,
        }
        Ok(())
    }

    /// As a tree of JSON.
    pub(super) fn into_json(self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(yes) => Json::Bool(yes),
            Self::Whole(number) => Json::Number(number.into()),
            // The text of a decimal number is always one of JSON.
            Self::Exact(number) => serde_json::from_str(&number.to_string()).unwrap_or(Json::Null),
            Self::Float(number) => Number::from_f64(number).map_or(Json::Null, Json::Number),
            Self::Text(text) => Json::String(text.into_owned()),
            Self::List(items) => Json::Array(items.iter().map(Value::to_json).collect()),
            Self::Json(json) => json,
        }
    }

    /// Adds the texts within.
    pub(super) fn texts<'t>(&'t self, out: &mut Vec<Cow<'t, str>>) {
        match self {
            Self::Text(text) => out.push(Cow::Borrowed(text)),
            Self::List(items) => items.iter().for_each(|item| owned(&item.to_json(), out)),
            Self::Json(json) => texts(json, out),
            Self::Null | Self::Bool(_) | Self::Whole(_) | Self::Exact(_) | Self::Float(_) => {}
        }
    }
}

fn list(items: &[Value], out: &mut Vec<u8>) -> io::Result<()> {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match item {
            Value::Text(text) => serde_json::to_writer(&mut *out, text)?,
            other => serde_json::to_writer(&mut *out, &other.to_json())?,
        }
    }
    out.push(b']');
    Ok(())
}

/// Adds the texts within JSON.
pub(super) fn texts<'j>(json: &'j Json, out: &mut Vec<Cow<'j, str>>) {
    match json {
        Json::String(text) => out.push(Cow::Borrowed(text)),
        Json::Array(items) => items.iter().for_each(|item| texts(item, out)),
        Json::Object(object) => object.values().for_each(|value| texts(value, out)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

fn owned(json: &Json, out: &mut Vec<Cow<'_, str>>) {
    let mut found = Vec::new();
    texts(json, &mut found);
    out.extend(found.into_iter().map(|text| Cow::Owned(text.into_owned())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_the_tree_says() {
        let list = [Value::text("a\"ü\u{1}"), Value::Int(3), Value::Decimal(Decimal::parse("1.50").expect("n"))];
        let number = |text| Wired::Exact(Decimal::parse(text).expect("a number"));
        let all = [
            Wired::Null,
            Wired::Bool(true),
            Wired::Whole(i64::MIN),
            number("-12.5"),
            number("100000000000000000000"),
            number("0.000000001"),
            Wired::Float(1e300),
            Wired::Float(-0.1),
            Wired::Text(Cow::Borrowed("a \"quoted\" \\ \u{7f}\u{8}\n ☃")),
            Wired::List(&list),
            Wired::Json(serde_json::json!({ "b": [1, null], "a": "x" })),
        ];
        for wired in all {
            let mut out = Vec::new();
            wired.write(&mut out).expect("written");
            assert_eq!(String::from_utf8(out).expect("text"), wired.clone().into_json().to_string(), "{wired:?}");
        }
    }
}
