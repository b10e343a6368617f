//! Templates: texts and JSON with `{{variables}}` in them, read when the connection is opened. What a variable holds is
//! never read as a template, and never pasted: JSON is written value by value, addresses are encoded part by part.

use serde_json::Value as Json;
use tidegate_model::{Error, Result};

/// What stands for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Var {
    /// The record's key.
    Key,
    /// The target's own id of the record.
    Id,
    /// `create`, `update` or `delete`.
    Action,
    /// The model that the sync names.
    Model,
    /// The same for every try at the same write, and for no other.
    IdempotencyKey,
    /// All mapped fields, as an object.
    Record,
    /// One of the mapped fields.
    Field(String),
    /// The fields that change, as an object.
    Changed,
    /// A field, if it changes.
    ChangedField(String),
    /// The records of a batch, each by the template of a record.
    Records,
    /// Where the next page of a list begins, as the last one said.
    Cursor,
    /// Records to skip.
    Offset,
    /// The number of the page.
    Page,
    /// Records of a page.
    Limit,
}

/// Where a template stands decides what can be known there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// One record is written.
    Record,
    /// Several records are written at once.
    Batch,
    /// A list is read.
    List,
    /// One record is read.
    One,
}

const RECORD: [&str; 9] =
    ["key", "id", "action", "model", "idempotency_key", "record", "record.FIELD", "changed", "changed.FIELD"];
const BATCH: [&str; 4] = ["records", "action", "model", "idempotency_key"];
const LIST: [&str; 5] = ["cursor", "offset", "page", "limit", "model"];
const ONE: [&str; 3] = ["key", "id", "model"];

impl Scope {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Record => &RECORD,
            Self::Batch => &BATCH,
            Self::List => &LIST,
            Self::One => &ONE,
        }
    }
}

impl Var {
    fn named(name: &str, scope: Scope) -> Option<Self> {
        let field = |prefix: &str| name.strip_prefix(prefix).map(str::trim).filter(|field| !field.is_empty());
        let (word, var) = match name {
            "key" => ("key", Self::Key),
            "id" => ("id", Self::Id),
            "action" => ("action", Self::Action),
            "model" => ("model", Self::Model),
            "idempotency_key" => ("idempotency_key", Self::IdempotencyKey),
            "record" => ("record", Self::Record),
            "changed" => ("changed", Self::Changed),
            "records" => ("records", Self::Records),
            "cursor" => ("cursor", Self::Cursor),
            "offset" => ("offset", Self::Offset),
            "page" => ("page", Self::Page),
            "limit" => ("limit", Self::Limit),
            _ => match (field("record."), field("changed.")) {
                (Some(field), _) => ("record.FIELD", Self::Field(field.to_owned())),
                (_, Some(field)) => ("changed.FIELD", Self::ChangedField(field.to_owned())),
                _ => return None,
            },
        };
        scope.names().contains(&word).then_some(var)
    }

    /// Whether the whole record has to be known for it.
    pub(super) fn whole(&self) -> bool {
        matches!(self, Self::Record | Self::Field(_))
    }
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it is.
    Text(String),
    /// A variable's.
    Var(Var),
}

/// A text with variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text(pub(super) Vec<Piece>);

impl Text {
    /// Reads one. `place` is the path of its key.
    pub(super) fn read(text: &str, scope: Scope, place: &str) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            if at > 0 {
                pieces.push(Piece::Text(rest[..at].to_owned()));
            }
            let Some(end) = rest[at..].find("}}") else {
                return Err(Error::config(format!("{place}: `{{{{` is not closed by `}}}}`"))
                    .hint("write a variable as {{key}} or {{record.email}}"));
            };
            let name = rest[at + 2..at + end].trim();
            pieces.push(Piece::Var(Var::named(name, scope).ok_or_else(|| unknown(name, scope, place))?));
            rest = &rest[at + end + 2..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// Its variables.
    pub(super) fn vars(&self) -> impl Iterator<Item = &Var> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Var(var) => Some(var),
            Piece::Text(_) => None,
        })
    }
}

fn unknown(name: &str, scope: Scope, place: &str) -> Error {
    let names = scope.names();
    let near =
        names.iter().filter(|known| strsim::damerau_levenshtein(known, name) <= 2).min_by_key(|known| known.len());
    let elsewhere =
        [Scope::Record, Scope::Batch, Scope::List, Scope::One].iter().any(|other| Var::named(name, *other).is_some());
    let hint = match near {
        Some(near) => format!("did you mean {{{{{near}}}}}?"),
        None if elsewhere => format!("it is not known here; known are {}", names.join(", ")),
        None if scope == Scope::Record => {
            format!("a mapped field is {{{{record.{name}}}}}; known are {}", names.join(", "))
        }
        None => format!("known are {}", names.join(", ")),
    };
    Error::config(format!("{place}: the variable {{{{{name}}}}} is unknown")).hint(hint)
}

/// JSON with variables in its texts.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    /// JSON without variables, written out.
    Fixed(Vec<u8>),
    /// Members: the name written out as JSON, and the value.
    Object(Vec<(Vec<u8>, Tree)>),
    /// Items.
    Array(Vec<Tree>),
    /// A variable alone: its value in its own type.
    Value(Var),
    /// A text with variables in it.
    Text(Text),
}

fn fixed(json: &Json) -> Tree {
    Tree::Fixed(json.to_string().into_bytes())
}

impl Tree {
    /// Reads one. `place` is the path of its key.
    pub(super) fn read(json: &Json, scope: Scope, place: &str) -> Result<Self> {
        Ok(match json {
            Json::String(text) => match Text::read(text, scope, place)? {
                Text(pieces) => match pieces.as_slice() {
                    [Piece::Var(var)] => Self::Value(var.clone()),
                    pieces if pieces.iter().all(|piece| matches!(piece, Piece::Text(_))) => fixed(json),
                    _ => Self::Text(Text(pieces)),
                },
            },
            Json::Array(items) => {
                let items = items.iter().enumerate();
                Self::Array(
                    items
                        .map(|(at, item)| Self::read(item, scope, &format!("{place}[{at}]")))
                        .collect::<Result<_>>()?,
                )
            }
            Json::Object(members) => {
                let mut out = Vec::with_capacity(members.len());
                for (name, value) in members {
                    let at = format!("{place}.{name}");
                    if name.contains("{{") {
                        return Err(Error::config(format!("{at}: a name cannot hold a variable"))
                            .hint("write the name out; {{record}} sends all mapped fields under their own names"));
                    }
                    out.push((Json::from(name.as_str()).to_string().into_bytes(), Self::read(value, scope, &at)?));
                }
                Self::Object(out)
            }
            other => fixed(other),
        })
    }

    /// Adds the variables within, with where each stands.
    pub(super) fn vars<'t>(&'t self, out: &mut Vec<&'t Var>) {
        match self {
            Self::Fixed(_) => {}
            Self::Object(members) => members.iter().for_each(|(_, value)| value.vars(out)),
            Self::Array(items) => items.iter().for_each(|item| item.vars(out)),
            Self::Value(var) => out.push(var),
            Self::Text(text) => out.extend(text.vars()),
        }
    }
}

/// An address with variables: path and query, each part encoded by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Scheme, host and path.
    pub(super) path: Text,
    /// Parameters: those that hold a variable without a value are left out.
    pub(super) query: Vec<Text>,
    /// As it was written, for messages: it may hold no secret, which its connection's headers do.
    pub(super) host: String,
}

impl Address {
    /// Reads one.
    pub(super) fn read(text: &str, scope: Scope, place: &str) -> Result<Self> {
        let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
        let wrong = |why: &str| {
            Error::config(format!("{place}: {why}")).hint("write it as https://api.example.com/v1/contacts/{{key}}")
        };
        let literal = &path[..path.find("{{").unwrap_or(path.len())];
        let url = reqwest::Url::parse(literal).map_err(|_| wrong("this is no address"))?;
        let rest = literal.split_once("://").map(|(_, rest)| rest);
        let complete = path == literal || rest.is_some_and(|rest| rest.contains('/'));
        if !matches!(url.scheme(), "http" | "https") || !complete {
            return Err(wrong("an address begins with http(s) and a host that is written out, without variables"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                wrong("an address must not hold a login").hint("write it as auth: {method: basic, user, password}")
            );
        }
        if text.contains('#') {
            return Err(wrong("an address cannot have a part after #"));
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let parts = query.into_iter().flat_map(|query| query.split('&')).filter(|part| !part.is_empty());
        let query = parts.map(|part| Text::read(part, scope, place)).collect::<Result<_>>()?;
        Ok(Self { path: Text::read(path, scope, place)?, query, host })
    }

    /// Its variables.
    pub(super) fn vars(&self) -> impl Iterator<Item = &Var> {
        self.path.vars().chain(self.query.iter().flat_map(Text::vars))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_variables_are_told_with_their_place_and_what_was_meant() {
        let told = |json: Json, scope| Tree::read(&json, scope, "body").expect_err("unknown");
        let error = told(json!({ "a": [{ "b": "x {{kye}}" }] }), Scope::Record);
        assert!(error.message.starts_with("body.a[0].b: the variable {{kye}}"), "{error}");
        assert_eq!(error.hint.as_deref(), Some("did you mean {{key}}?"));
        let error = told(json!("{{email}}"), Scope::Record);
        assert!(error.hint.is_some_and(|hint| hint.contains("{{record.email}}")));
        let error = told(json!("{{record.email}}"), Scope::Batch);
        assert!(error.hint.is_some_and(|hint| hint.contains("not known here")));
        assert!(told(json!({ "{{key}}": 1 }), Scope::Record).message.contains("a name cannot hold a variable"));
        assert!(told(json!("{{key"), Scope::Record).message.contains("not closed"));
    }

    #[test]
    fn the_host_of_an_address_is_written_out() {
        for bad in [
            "{{key}}",
            "https://{{key}}.example.com/",
            "https://example.com{{key}}",
            "ftp://x/",
            "/x",
            "https://me:pw@x/",
            "https://x/#{{key}}",
        ] {
            let error = Address::read(bad, Scope::Record, "url").expect_err(bad);
            assert!(error.message.starts_with("url: ") && !error.message.contains("pw"), "{bad}: {error}");
        }
        let good = Address::read("https://x.example/{{model}}/{{key}}?a=1&b={{id}}", Scope::Record, "url")
            .expect("an address");
        assert_eq!((good.host.as_str(), good.query.len(), good.vars().count()), ("x.example", 2, 3));
    }
}
