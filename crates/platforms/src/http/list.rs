//! What a connection says of reading, checked and ready.

use reqwest::Method;
use serde_json::Value as Json;
use tidegate_model::cells::json_value;
use tidegate_model::schema::FieldSchema;
use tidegate_model::time;
use tidegate_model::value::{Decimal, Type, Value};
use tidegate_model::{Error, Result};

use super::config::{FieldSpec, Next, Paging};
use super::plan::{allowed, pointer};
use super::template::{Address, Scope, Tree, Var};

/// Records of a page if nobody says otherwise.
const SIZE: u32 = 100;
/// Most records of a page.
const SIZE_MAX: u32 = 10_000;

/// A field that can be read.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) logical: Type,
    pub(super) at: String,
}

/// How records are read.
#[derive(Debug)]
pub(super) struct List {
    pub(super) address: Address,
    pub(super) method: Method,
    pub(super) body: Option<Tree>,
    pub(super) items: String,
    pub(super) key: String,
    pub(super) id: Option<String>,
    pub(super) updated_at: Option<String>,
    pub(super) fields: Vec<Field>,
    pub(super) size: u32,
    pub(super) next: Option<Next>,
    pub(super) one: Option<(Address, String)>,
}

/// Reads the word for a type.
fn logical(word: &str, place: &str) -> Result<Type> {
    let plain = word.trim().to_ascii_lowercase();
    let simple = match plain.as_str() {
        "bool" => Some(Type::Bool),
        "int64" => Some(Type::Int64),
        "float64" => Some(Type::Float64),
        "text" => Some(Type::Text),
        "date" => Some(Type::Date),
        "time" => Some(Type::Time),
        "timestamp" => Some(Type::Timestamp),
        "timestamptz" => Some(Type::TimestampTz),
        "json" => Some(Type::Json),
        "list" => Some(Type::List),
        _ => None,
    };
    let decimal = || {
        let (precision, scale) = plain.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
        let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
        ((1..=76).contains(&precision) && (0..=38).contains(&scale)).then_some(Type::Decimal { precision, scale })
    };
    simple.or_else(decimal).ok_or_else(|| {
        Error::config(format!("{place}: {word:?} is no type"))
            .hint("types are bool, int64, decimal(18,2), float64, text, date, time, timestamp, timestamptz, json, list")
    })
}

/// `a~b/c` as a part of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl List {
    pub(super) fn of(paging: &Paging, private: &[String]) -> Result<Self> {
        allowed(&paging.url, private, "paging.url")?;
        let address = Address::read(&paging.url, Scope::List, "paging.url")?;
        let method = match paging.method.as_deref().map(str::to_ascii_uppercase).as_deref() {
            None | Some("GET") => Method::GET,
            Some("POST") => Method::POST,
            Some(other) => {
                return Err(Error::config(format!("paging.method: {other:?} does not read")).hint("write GET or POST"));
            }
        };
        if method == Method::GET && paging.body.is_some() {
            return Err(Error::config("paging.body: a GET has no body").hint("set method: POST, or take the body out"));
        }
        let body = paging.body.as_ref().map(|body| Tree::read(body, Scope::List, "paging.body")).transpose()?;
        for (place, at) in
            [("paging.items", &paging.items), ("paging.key", &paging.key), ("paging.one_at", &paging.one_at)]
        {
            pointer(at, place)?;
        }
        for (place, at) in [("paging.id", &paging.id), ("paging.updated_at", &paging.updated_at)] {
            at.iter().try_for_each(|at| pointer(at, place))?;
        }
        let mut fields = Vec::with_capacity(paging.fields.len());
        for (name, spec) in &paging.fields {
            let place = format!("paging.fields.{name}");
            let (at, word) = match spec {
                FieldSpec::Type(word) => (format!("/{}", escaped(name)), word),
                FieldSpec::At { at, logical } => (at.clone(), logical),
            };
            pointer(&at, &place)?;
            if name == super::KEY {
                return Err(
                    Error::config(format!("{place}: `{name}` is the key, which paging.key places")).hint("take it out")
                );
            }
            fields.push(Field { name: name.clone(), logical: logical(word, &place)?, at });
        }
        let size = paging.size.unwrap_or(SIZE);
        if size == 0 || size > SIZE_MAX {
            return Err(Error::config(format!("paging.size: {size} is not between 1 and {SIZE_MAX}")));
        }
        let one = paging.one.as_ref().map(|one| {
            allowed(one, private, "paging.one")?;
            Ok::<_, Error>((Address::read(one, Scope::One, "paging.one")?, paging.one_at.clone()))
        });
        let list = Self {
            address,
            method,
            body,
            items: paging.items.clone(),
            key: paging.key.clone(),
            id: paging.id.clone(),
            updated_at: paging.updated_at.clone(),
            fields,
            size,
            next: paging.next.clone(),
            one: one.transpose()?,
        };
        list.carries_its_next()?;
        Ok(list)
    }

    /// A list whose next page is not asked for would be read for ever, or never past its first page.
    fn carries_its_next(&self) -> Result<()> {
        let (var, name) = match &self.next {
            Some(Next::Cursor { at }) => {
                pointer(at, "paging.next.at")?;
                (Var::Cursor, "cursor")
            }
            Some(Next::Offset {}) => (Var::Offset, "offset"),
            Some(Next::Page { .. }) => (Var::Page, "page"),
            Some(Next::Link { at }) => return at.iter().try_for_each(|at| pointer(at, "paging.next.at")),
            None => return Ok(()),
        };
        if self.vars().contains(&&var) {
            return Ok(());
        }
        Err(Error::config(format!(
            "paging.next goes by {name}, and neither paging.url nor paging.body carries {{{{{name}}}}}"
        ))
        .hint(format!("write it where the endpoint expects it, as in https://…?{name}={{{{{name}}}}}")))
    }

    fn vars(&self) -> Vec<&Var> {
        let mut vars: Vec<&Var> = self.address.vars().collect();
        if let Some(body) = &self.body {
            body.vars(&mut vars);
        }
        vars.extend(self.one.iter().flat_map(|(address, _)| address.vars()));
        vars
    }

    /// Whether the model's name goes into a request.
    pub(super) fn names_model(&self) -> bool {
        self.vars().contains(&&Var::Model)
    }

    /// The fields as a model has them.
    pub(super) fn schema(&self) -> impl Iterator<Item = FieldSchema> {
        self.fields.iter().map(|field| FieldSchema::new(field.name.as_str(), field.logical))
    }

    /// A field by name.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// A value as the endpoint shows it. What is not of the field's type is handed out as it is: the page says that it misfits.
pub(super) fn decode(logical: Type, json: Option<&Json>) -> Value {
    let json = json.unwrap_or(&Json::Null);
    let raw = || match json {
        Json::String(text) => Value::text(text.as_str()),
        other => json_value(other.clone()),
    };
    let exact = |text: &str| Decimal::parse(text);
    match (logical, json) {
        (_, Json::Null) => Value::Null,
        (Type::Text, Json::Number(number)) => Value::text(number.to_string()),
        (Type::Int64, Json::Number(number)) => {
            let whole = exact(&number.to_string()).and_then(|number| number.rescale(0));
            whole.and_then(|whole| whole.to_string().parse().ok()).map_or_else(raw, Value::Int)
        }
        (Type::Int64, Json::String(text)) => text.parse().map_or_else(|_| raw(), Value::Int),
        (Type::Decimal { .. }, Json::Number(number)) => exact(&number.to_string()).map_or_else(raw, Value::Decimal),
        (Type::Decimal { .. }, Json::String(text)) => exact(text).map_or_else(raw, Value::Decimal),
        (Type::Float64, Json::Number(number)) => number.as_f64().map_or_else(raw, Value::Float),
        (Type::Date, Json::String(text)) => time::parse_date(text).map_or_else(|_| raw(), Value::Date),
        (Type::Time, Json::String(text)) => time::parse_time(text).map_or_else(|_| raw(), Value::Time),
        (Type::Timestamp, Json::String(text)) => time::parse_timestamp(text).map_or_else(|_| raw(), Value::Timestamp),
        (Type::TimestampTz, Json::String(text)) => instant(text).map_or_else(raw, Value::TimestampTz),
        (Type::List, Json::Array(items)) => Value::List(items.iter().map(|item| json_value(item.clone())).collect()),
        (Type::Json, other) => Value::Json(other.to_string().into()),
        _ => raw(),
    }
}

/// The instant of an ISO text.
pub(super) fn instant(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(|time| time.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_are_read_and_values_keep_their_digits() {
        assert_eq!(logical("decimal(18, 2)", "p").expect("a type"), Type::Decimal { precision: 18, scale: 2 });
        assert!(logical("varchar", "paging.fields.x").expect_err("none").message.starts_with("paging.fields.x"));
        let big: Json = serde_json::from_str("1234567890123456789012.50").expect("a number");
        let decimal = Type::Decimal { precision: 38, scale: 2 };
        assert_eq!(decode(decimal, Some(&big)).to_string(), "1234567890123456789012.50");
        assert_eq!(decode(Type::Int64, Some(&json!("7"))), Value::Int(7));
        assert_eq!(decode(Type::Int64, Some(&json!("x"))), Value::text("x"), "a misfit, told by the page");
        assert_eq!(decode(Type::Date, Some(&json!("2024-10-04"))), Value::Date(20_000));
        assert_eq!(decode(Type::Text, None), Value::Null);
    }
}
