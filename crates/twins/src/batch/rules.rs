//! What Batch takes of an operation, and under which name and type it keeps it.

use serde_json::{Map, Value as Json};

/// What becomes of an attribute.
pub(super) enum Taken {
    /// It is kept under this name, with its type in front.
    Set(String, Json),
    /// Everything under these names goes.
    Gone(Vec<String>),
    /// Items join and leave a list.
    Part(String, Vec<Json>, Vec<Json>),
}

const TYPES: [&str; 7] = ["string", "integer", "float", "boolean", "date", "url", "array"];
const TEXT_MAX: usize = 300;
const URL_MAX: usize = 2_048;
const ITEMS_MAX: usize = 25;
const ID_MAX: usize = 512;

/// Whom an operation is about.
pub(super) fn identifier(operation: &Json) -> Result<String, String> {
    let identifiers = operation.get("identifiers").and_then(Json::as_object).ok_or("identifiers are missing")?;
    let mut known = identifiers.iter().filter(|(name, _)| ["custom_id", "installation"].contains(&name.as_str()));
    let (Some((name, value)), None) = (known.next(), known.next()) else {
        return Err("identifiers hold exactly one of custom_id and installation".to_owned());
    };
    match value.as_str() {
        Some(id) if !id.is_empty() && id.chars().count() <= ID_MAX => {
            Ok(if name == "custom_id" { id.to_owned() } else { format!("installation:{id}") })
        }
        _ => Err(format!("{name} is a text of 1 to {ID_MAX} characters")),
    }
}

fn typed(name: &str) -> (Option<&'static str>, &str) {
    for (open, kind) in [("date(", "date"), ("url(", "url")] {
        if let Some(bare) = name.strip_prefix(open).and_then(|rest| rest.strip_suffix(')')) {
            return (Some(kind), bare);
        }
    }
    (None, name)
}

/// An attribute's name without its type.
pub(super) fn bare(name: &str) -> &str {
    typed(name).1
}

/// One attribute.
pub(super) fn attribute(name: &str, value: &Json, null_key: &str) -> Result<Taken, String> {
    if name.starts_with('$') {
        return native(name, value);
    }
    let (kind, bare) = typed(name);
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if bare.is_empty() || bare.len() > 30 || !bare.chars().all(fits) {
        return Err("the name of an attribute has 1 to 30 of a-z, 0-9 and _".to_owned());
    }
    match (kind, value) {
        (kind, Json::Null) => Ok(Taken::Gone(gone(kind, bare, null_key))),
        (Some("date"), Json::String(text)) => match date(text) {
            true => Ok(Taken::Set(format!("date:{bare}"), value.clone())),
            false => Err("a date is written as YYYY-MM-DDTHH:MM:SSZ".to_owned()),
        },
        (Some(_), Json::String(text)) => match text.chars().count() <= URL_MAX && text.contains("://") {
            true => Ok(Taken::Set(format!("url:{bare}"), value.clone())),
            false => Err("an address has a scheme and at most 2048 characters".to_owned()),
        },
        (Some(kind), _) => Err(format!("a {kind} is a text")),
        (None, Json::String(text)) => match (1..=TEXT_MAX).contains(&text.chars().count()) {
            true => Ok(Taken::Set(format!("string:{bare}"), value.clone())),
            false => Err("a text has 1 to 300 characters".to_owned()),
        },
        (None, Json::Bool(_)) => Ok(Taken::Set(format!("boolean:{bare}"), value.clone())),
        (None, Json::Number(number)) => {
            let whole = !number.to_string().contains(['.', 'e', 'E']);
            Ok(Taken::Set(format!("{}:{bare}", if whole { "integer" } else { "float" }), value.clone()))
        }
        (None, Json::Array(_) | Json::Object(_)) => list(format!("array:{bare}"), value, |_| true),
    }
}

/// What null deletes.
fn gone(kind: Option<&str>, bare: &str, null_key: &str) -> Vec<String> {
    let all = || TYPES.iter().map(|kind| format!("{kind}:{bare}")).collect();
    match (null_key, kind) {
        // Typed names delete what was written under them; plain ones what has no typed name.
        ("typed", Some(kind)) => vec![format!("{kind}:{bare}")],
        ("typed", None) => {
            TYPES.iter().filter(|kind| !["date", "url"].contains(kind)).map(|kind| format!("{kind}:{bare}")).collect()
        }
        ("plain", Some(_)) => Vec::new(),
        _ => all(),
    }
}

fn native(name: &str, value: &Json) -> Result<Taken, String> {
    if value.is_null() {
        return Ok(Taken::Gone(vec![name.to_owned()]));
    }
    let text = value.as_str().unwrap_or_default();
    let letters = |count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_alphabetic());
    let good = match name {
        "$email_address" => text.len() <= 128 && text.split_once('@').is_some_and(|(_, host)| host.contains('.')),
        "$email_marketing" | "$sms_marketing" => ["subscribed", "unsubscribed"].contains(&text),
        "$phone_number" => text
            .strip_prefix('+')
            .is_some_and(|rest| (1..=15).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_digit())),
        "$language" | "$region" => letters(2),
        "$timezone" => jiff::tz::TimeZone::get(text).is_ok(),
        "$topic_preferences" => {
            let topic = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            return list(name.to_owned(), value, topic);
        }
        _ => return Err("there is no such native attribute".to_owned()),
    };
    if good { Ok(Taken::Set(name.to_owned(), value.clone())) } else { Err(format!("the value {text} is not valid")) }
}

fn date(text: &str) -> bool {
    text.len() == 20 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

fn items(value: &Json, fits: impl Fn(&str) -> bool) -> Result<Vec<Json>, String> {
    let items = value.as_array().ok_or("a list is an array")?;
    let good =
        |item: &Json| item.as_str().is_some_and(|text| (1..=TEXT_MAX).contains(&text.chars().count()) && fits(text));
    if items.len() > ITEMS_MAX {
        return Err("a list has at most 25 items".to_owned());
    }
    if items.iter().all(good) { Ok(items.clone()) } else { Err("an item of the list is not valid".to_owned()) }
}

fn list(name: String, value: &Json, fits: impl Fn(&str) -> bool) -> Result<Taken, String> {
    let Some(halves) = value.as_object() else { return Ok(Taken::Set(name, Json::Array(items(value, fits)?))) };
    if halves.is_empty() || halves.keys().any(|half| half != "$add" && half != "$remove") {
        return Err("a part of a list holds $add, $remove or both".to_owned());
    }
    let half = |which: &str| halves.get(which).map_or(Ok(Vec::new()), |value| items(value, &fits));
    Ok(Taken::Part(name, half("$add")?, half("$remove")?))
}

/// Items join and leave the list that is kept.
pub(super) fn merge(kept: &mut Map<String, Json>, name: String, add: Vec<Json>, remove: &[Json]) {
    let list = kept.entry(name).or_insert_with(|| Json::Array(Vec::new()));
    let Some(list) = list.as_array_mut() else { return };
    for item in add {
        if !list.contains(&item) {
            list.push(item);
        }
    }
    list.retain(|item| !remove.contains(item));
}
