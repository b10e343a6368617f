//! Between a sync's text and the form: what it says, and the text with what a person changed.

use serde_json::{Map, Value as Json, json};
use tidegate_model::{Error, Result};

use crate::ui::parts::{Settings, value_text};
use crate::ui::yaml::{self, Step};

/// Where each field of the form stands in the file.
const PLACES: [(&str, &[&str]); 10] = [
    ("w.connection", &["warehouse", "connection"]),
    ("w.relation", &["warehouse", "relation"]),
    ("w.query", &["warehouse", "query"]),
    ("p.connection", &["platform", "connection"]),
    ("p.model", &["platform", "model"]),
    ("k.warehouse", &["key", "warehouse"]),
    ("k.platform", &["key", "platform"]),
    ("direction", &["direction"]),
    ("changes", &["changes"]),
    ("write", &["write"]),
];
const CONFLICT: &str = "conflict";
const RULES: [&str; 3] = ["every", "daily_at", "cron"];
/// What a row of the form can change of a field.
const PARTS: [&str; 6] = ["warehouse", "value", "platform", "direction", "as", "transform"];

/// A form of which nothing is chosen yet.
pub(super) fn blank() -> Settings {
    let first = [("f.0.at", ""), ("s.kind", "every"), ("s.value", "1h")];
    first.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn at<'j>(json: &'j Json, path: &[&str]) -> Option<&'j Json> {
    path.iter().try_fold(json, |at, key| at.get(*key)).filter(|found| !found.is_null())
}

/// What the form shows of a file.
pub(super) fn settings_of(json: &Json) -> Settings {
    let mut out = Settings::new();
    let mut put = |name: String, value: &Json| drop(out.insert(name, value_text(value)));
    for (name, path) in PLACES.into_iter().chain([(CONFLICT, [CONFLICT].as_slice())]) {
        if let Some(value) = at(json, path) {
            put(name.to_owned(), value);
        }
    }
    for rule in RULES {
        if let Some(value) = at(json, &["schedule", rule]) {
            put("s.kind".to_owned(), &json!(rule));
            put("s.value".to_owned(), value);
        }
    }
    match json.get("fields") {
        Some(Json::Array(items)) => {
            for (row, item) in items.iter().enumerate() {
                put(format!("f.{row}.at"), &json!(row));
                for part in PARTS {
                    if let Some(value) = at(item, &[part]) {
                        put(format!("f.{row}.{part}"), &json!(part_text(value)));
                    }
                }
            }
        }
        Some(Json::String(all)) => put("fields".to_owned(), &json!(all)),
        _ => {}
    }
    out
}

/// Transforms stand in one box.
fn part_text(value: &Json) -> String {
    match value {
        Json::Array(items) => items.iter().map(value_text).collect::<Vec<_>>().join(", "),
        other => value_text(other),
    }
}

/// The rows of the form.
pub(super) fn rows(given: &Settings) -> Vec<usize> {
    let mut out: Vec<usize> =
        given.keys().filter_map(|name| name.strip_prefix("f.")?.strip_suffix(".at")?.parse().ok()).collect();
    out.sort_unstable();
    out
}

fn word<'g>(given: &'g Settings, name: &str) -> Option<&'g str> {
    given.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
}

fn part(given: &Settings, row: usize, part: &str) -> Option<Json> {
    let text = word(given, &format!("f.{row}.{part}"))?;
    if part != "transform" {
        return Some(Json::from(text));
    }
    Some(Json::Array(text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(Json::from).collect()))
}

fn schedule(given: &Settings) -> Option<(&str, &str)> {
    Some((word(given, "s.kind")?, word(given, "s.value")?))
}

fn steps<'p>(path: &[&'p str]) -> Vec<Step<'p>> {
    path.iter().map(|key| Step::Key(key)).collect()
}

/// The file with what a person changed; what is as it was stays byte by byte.
pub(super) fn edited(text: &str, given: &Settings) -> Result<String> {
    let old = yaml::to_json(text)?;
    let before = settings_of(&old);
    let mut out = text.to_owned();
    for (name, path) in PLACES.into_iter().chain([(CONFLICT, [CONFLICT].as_slice())]) {
        if word(given, name) != word(&before, name) && given.contains_key(name) {
            out = yaml::set(&out, &steps(path), word(given, name).map(Json::from).as_ref())?;
        }
    }
    out = with_schedule(&out, &before, given)?;
    if old.get("fields").is_some_and(Json::is_array) { with_rows(&out, &old, &before, given) } else { Ok(out) }
}

fn with_schedule(text: &str, before: &Settings, given: &Settings) -> Result<String> {
    let (was, is) = (schedule(before), schedule(given));
    let path = |rule| [Step::Key("schedule"), Step::Key(rule)];
    match (was, is) {
        _ if was == is || !given.contains_key("s.kind") => Ok(text.to_owned()),
        (Some((old, _)), Some((new, value))) if old == new => yaml::set(text, &path(new), Some(&json!(value))),
        // Its time zone stays.
        (Some((old, _)), Some((new, value))) => {
            yaml::set(&yaml::set(text, &path(new), Some(&json!(value)))?, &path(old), None)
        }
        (None, Some((new, value))) => yaml::set(text, &path(new), Some(&json!(value))),
        (_, None) => yaml::set(text, &[Step::Key("schedule")], None),
    }
}

fn with_rows(text: &str, old: &Json, before: &Settings, given: &Settings) -> Result<String> {
    let count = old.get("fields").and_then(Json::as_array).map_or(0, Vec::len);
    let mut out = text.to_owned();
    let mut kept = Vec::new();
    for row in rows(given) {
        let Some(item) =
            word(given, &format!("f.{row}.at")).and_then(|at| at.parse::<usize>().ok()).filter(|at| *at < count)
        else {
            continue;
        };
        kept.push(item);
        for name in PARTS {
            let (was, is) = (part(before, item, name), part(given, row, name));
            if was != is {
                // A list of one transform may stand as a word alone.
                out = yaml::set(&out, &[Step::Key("fields"), Step::Item(item), Step::Key(name)], is.as_ref())?;
            }
        }
    }
    let added: Vec<Json> = new_rows(given, count);
    for (number, field) in added.iter().enumerate() {
        out = yaml::set(&out, &[Step::Key("fields"), Step::Item(count + number)], Some(field))?;
    }
    for item in (0..count).rev().filter(|item| !kept.contains(item)) {
        out = yaml::set(&out, &[Step::Key("fields"), Step::Item(item)], None)?;
    }
    Ok(out)
}

/// Rows of the form that the file does not have yet. One in which nothing is chosen is none.
fn new_rows(given: &Settings, count: usize) -> Vec<Json> {
    let is_new = |row: &usize| {
        word(given, &format!("f.{row}.at")).and_then(|at| at.parse::<usize>().ok()).is_none_or(|at| at >= count)
    };
    let fields = rows(given).into_iter().filter(is_new).map(|row| {
        let parts = PARTS.into_iter().filter_map(|name| Some((name.to_owned(), part(given, row, name)?)));
        parts.collect::<Map<String, Json>>()
    });
    fields.filter(|field| field.contains_key("platform") || field.contains_key("warehouse")).map(Json::Object).collect()
}

/// The text of a new sync.
pub(super) fn made(given: &Settings) -> Result<String> {
    let needed = [
        ("_name", "a name"),
        ("w.connection", "a connection to a warehouse"),
        ("w.relation", "a table or view"),
        ("p.connection", "a connection to a platform"),
        ("p.model", "a model"),
        ("k.warehouse", "the column that names a record"),
    ];
    let missing: Vec<&str> =
        needed.into_iter().filter(|(name, _)| word(given, name).is_none()).map(|(_, what)| what).collect();
    if !missing.is_empty() {
        return Err(Error::config(format!("still to be chosen: {}", missing.join(", ")))
            .hint("choose them below; each choice shows what there is"));
    }
    let fields = new_rows(given, 0);
    if fields.is_empty() {
        return Err(Error::config("no field is mapped yet").hint("choose a column and a field below"));
    }
    let mut text = String::from("version: 1\n");
    for (name, path) in PLACES.into_iter().chain([(CONFLICT, [CONFLICT].as_slice())]) {
        if let Some(value) = word(given, name) {
            text = yaml::set(&text, &steps(path), Some(&Json::from(value)))?;
        }
    }
    text.push_str("fields:\n");
    for field in &fields {
        let line = format!("  - {}\n", yaml::inline(field));
        text.push_str(&line);
    }
    if let Some((rule, value)) = schedule(given) {
        text = yaml::set(&text, &[Step::Key("schedule"), Step::Key(rule)], Some(&json!(value)))?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: &str = "# Companies, both ways.
version: 1
warehouse: { connection: lake, relation: companies }
platform:  { connection: crm, model: company }
direction: both
key: { warehouse: company_id, platform: externalId }
fields:
  # who they are
  - { warehouse: name,    platform: name,    transform: [trim] }
  - { warehouse: phase,   platform: phase,   map: { trial: Trial } }   # as they say
  - { warehouse: arr,     platform: custom.ARR, direction: to_platform }
schedule: { every: 1h, timezone: Europe/Stockholm }
";

    fn form() -> Settings {
        settings_of(&yaml::to_json(SYNC).expect("reads"))
    }

    #[test]
    fn a_form_that_nobody_touched_changes_nothing() {
        assert_eq!(edited(SYNC, &form()).expect("edits"), SYNC);
    }

    #[test]
    fn rows_are_changed_added_and_removed_and_comments_stay() {
        let mut given = form();
        given.insert("f.1.transform".to_owned(), "trim, lower".to_owned());
        given.insert("s.kind".to_owned(), "daily_at".to_owned());
        given.insert("s.value".to_owned(), "05:30".to_owned());
        given.insert("conflict".to_owned(), "hold".to_owned());
        given.retain(|name, _| !name.starts_with("f.0."));
        for (name, value) in [("f.7.at", ""), ("f.7.warehouse", "site"), ("f.7.platform", "website"), ("f.7.as", "url")]
        {
            given.insert(name.to_owned(), value.to_owned());
        }
        let wanted = "# Companies, both ways.
version: 1
warehouse: { connection: lake, relation: companies }
platform:  { connection: crm, model: company }
direction: both
key: { warehouse: company_id, platform: externalId }
fields:
  # who they are
  - { warehouse: phase,   platform: phase,   map: { trial: Trial }, transform: [trim, lower] }   # as they say
  - { warehouse: arr,     platform: custom.ARR, direction: to_platform }
  - { warehouse: site, platform: website, as: url }
schedule: { timezone: Europe/Stockholm, daily_at: \"05:30\" }
conflict: hold
";
        assert_eq!(edited(SYNC, &given).expect("edits"), wanted);
    }

    #[test]
    fn a_new_sync_says_what_is_still_to_be_chosen() {
        let error = made(&blank()).expect_err("nothing is chosen");
        assert!(error.message.contains("a name") && error.message.contains("a model"), "{error}");
        let mut given = form();
        given.insert("_name".to_owned(), "companies".to_owned());
        given.retain(|name, _| !name.ends_with(".at"));
        for row in 0..3 {
            given.insert(format!("f.{row}.at"), String::new());
        }
        let text = made(&given).expect("made");
        assert!(text.starts_with("version: 1\nwarehouse: { connection: lake, relation: companies }\nplatform: { connection: crm, model: company }\n"), "{text}");
        assert!(text.contains("fields:\n  - { warehouse: name, platform: name, transform: [trim] }\n"), "{text}");
        assert!(text.ends_with("schedule: { every: 1h }\n"), "{text}");
    }
}
