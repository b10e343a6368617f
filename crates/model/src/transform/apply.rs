//! What each transform does to a value.

use jiff::tz::TimeZone;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::path::Step as PathStep;
use super::{Step, Transform, TransformMisfit, numbers, times};
use crate::config::canonical_json;
use crate::value::{Text, Value};

type Done = Result<Value, TransformMisfit>;

pub(super) fn step(step: &Step, value: Value, zone: &TimeZone) -> Done {
    if value.is_null() {
        return Ok(value);
    }
    match step {
        Step::Plain(transform) => plain(transform, value, zone),
        Step::Path(path) => json_path(path, &value),
        Step::Regex(regex) => {
            let text = canonical("regex_extract", value)?;
            let found = regex.captures(&text).and_then(|captures| captures.get(1).or_else(|| captures.get(0)));
            Ok(found.map_or(Value::Null, |found| Value::text(found.as_str())))
        }
    }
}

fn plain(transform: &Transform, value: Value, zone: &TimeZone) -> Done {
    match transform {
        Transform::Trim => Ok(texts(value, &|text| match text.trim() {
            same if same.len() == text.len() => text,
            trimmed => trimmed.into(),
        })),
        Transform::Lower => Ok(texts(value, &|text| text.to_lowercase().into())),
        Transform::Upper => Ok(texts(value, &|text| text.to_uppercase().into())),
        Transform::CollapseSpaces => Ok(texts(value, &|text| collapse_spaces(&text).into())),
        Transform::NullIfEmpty => Ok(if value.is_empty() { Value::Null } else { value }),
        Transform::ToText => match value {
            Value::Text(_) => Ok(value),
            Value::Float(x) if !x.is_finite() => Err(numbers::not_finite()),
            other => Ok(Value::text(other.to_string())),
        },
        Transform::ToNumber => numbers::to_number(value),
        Transform::ToBoolean => to_boolean(value),
        Transform::Round(digits) => numbers::round(value, *digits),
        Transform::Truncate(most) => match value {
            Value::Text(text) => Ok(Value::Text(truncate(text, *most))),
            other => Err(wrong_type("truncate", "text", &other)),
        },
        Transform::TruncateUs => times::truncate_us(value),
        Transform::DateOnly => times::day(&value, zone).map(Value::Date),
        Transform::EpochDays => times::day(&value, zone).map(|days| Value::Int(i64::from(days))),
        Transform::EpochSeconds => times::instant(&value, zone).map(|us| Value::Int(us.div_euclid(1_000_000))),
        Transform::EpochMillis => times::instant(&value, zone).map(|us| Value::Int(us.div_euclid(1_000))),
        Transform::Split(separator) => split(value, separator),
        Transform::Join(separator) => join(value, separator),
        Transform::Prefix(prefix) => Ok(Value::text(format!("{prefix}{}", canonical("prefix", value)?))),
        Transform::HashSha256 => {
            let digest = Sha256::digest(value.to_string().as_bytes());
            Ok(Value::Text(digest.iter().map(|byte| format!("{byte:02x}")).collect()))
        }
        Transform::JsonPath(_) | Transform::RegexExtract(_) => {
            Err(TransformMisfit::new("wrong_type", "the transform was not compiled"))
        }
    }
}

pub(super) fn wrong_type(transform: &str, takes: &str, found: &Value) -> TransformMisfit {
    TransformMisfit::new("wrong_type", format!("`{transform}` takes {takes}, found {}", found.type_name()))
}

/// Text and the texts of a list; everything else stays as it is.
fn texts(value: Value, change: &dyn Fn(Text) -> Text) -> Value {
    match value {
        Value::Text(text) => Value::Text(change(text)),
        Value::List(items) => Value::List(items.into_iter().map(|item| texts(item, change)).collect()),
        other => other,
    }
}

/// The canonical text of a single value.
fn canonical(transform: &str, value: Value) -> Result<String, TransformMisfit> {
    match value {
        Value::Text(text) => Ok(text.to_string()),
        Value::List(_) | Value::Json(_) | Value::Binary(_) => Err(wrong_type(transform, "a single value", &value)),
        Value::Float(x) if !x.is_finite() => Err(numbers::not_finite()),
        other => Ok(other.to_string()),
    }
}

fn collapse_spaces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = false;
    for c in text.chars() {
        let space = c.is_whitespace();
        if !space {
            out.push(c);
        } else if !before {
            out.push(' ');
        }
        before = space;
    }
    out
}

fn truncate(text: Text, most: u32) -> Text {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let end = text.char_indices().nth(most).map(|(end, _)| end);
    end.map_or(text.clone(), |end| text[..end].into())
}

fn to_boolean(value: Value) -> Done {
    let wrong = || {
        TransformMisfit::new("not_a_boolean", "`to_boolean` reads true/false, t/f, yes/no, y/n, on/off and 1/0 only")
    };
    match value {
        Value::Bool(_) => Ok(value),
        Value::Int(_) | Value::Decimal(_) | Value::Text(_) => {
            let text = match &value {
                Value::Decimal(number) => number.normalized().to_string(),
                other => other.to_string(),
            };
            match text.trim().to_ascii_lowercase().as_str() {
                "true" | "t" | "yes" | "y" | "on" | "1" => Ok(Value::Bool(true)),
                "false" | "f" | "no" | "n" | "off" | "0" => Ok(Value::Bool(false)),
                _ => Err(wrong()),
            }
        }
        _ => Err(wrong()),
    }
}

fn split(value: Value, separator: &str) -> Done {
    match value {
        Value::Text(text) if text.is_empty() => Ok(Value::List(Vec::new())),
        Value::Text(text) => Ok(Value::List(text.split(separator).map(Value::text).collect())),
        Value::List(_) => Ok(value),
        other => Err(wrong_type("split", "text", &other)),
    }
}

fn join(value: Value, separator: &str) -> Done {
    let items = match &value {
        Value::List(items) => items.clone(),
        Value::Json(text) => match serde_json::from_str(text) {
            Ok(Json::Array(items)) => items.iter().map(of_json).collect(),
            _ => return Err(wrong_type("join", "a list", &value)),
        },
        _ => return Err(wrong_type("join", "a list", &value)),
    };
    let texts: Vec<String> = items.iter().filter(|item| !item.is_null()).map(Value::to_string).collect();
    Ok(Value::text(texts.join(separator)))
}

fn json_path(path: &[PathStep], value: &Value) -> Done {
    let (Value::Json(text) | Value::Text(text)) = value else { return Err(wrong_type("json_path", "JSON", value)) };
    let document: Json =
        serde_json::from_str(text).map_err(|_| TransformMisfit::new("not_json", "the value is not a JSON document"))?;
    let found = path.iter().try_fold(&document, |at, step| match step {
        PathStep::Key(key) => at.get(key),
        PathStep::Index(index) => at.get(index),
    });
    Ok(found.map_or(Value::Null, of_json))
}

/// Lists of single values are lists, other lists and objects stay JSON.
fn of_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::String(text) => Value::text(text.as_str()),
        Json::Number(number) => {
            let text = number.to_string();
            numbers::parse(&text).unwrap_or_else(|| Value::text(text))
        }
        Json::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            Value::List(items.iter().map(of_json).collect())
        }
        Json::Array(_) | Json::Object(_) => Value::Json(canonical_json(json).into()),
    }
}
