//! The JSON Schema of project files, for editors: made from the tables that the parser reads by.

use serde_json::{Map, Value as Json, json};

use super::connection::{KindInfo, Side};
use super::shape::{Block, CONNECTION, PROJECT, SYNC, Shape};

/// One document: `#/$defs/project`, `#/$defs/connection` and `#/$defs/sync` are the three kinds of files.
pub fn json_schema(kinds: &[KindInfo]) -> Json {
    let mut defs = Map::new();
    defs.insert("project".to_owned(), block(&PROJECT, true));
    defs.insert("connection".to_owned(), connection(kinds));
    defs.insert("sync".to_owned(), block(&SYNC, true));
    defs.extend(defs_of_kinds(kinds));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tidegate project files, version 1",
        "anyOf": [
            { "$ref": "#/$defs/project" },
            { "$ref": "#/$defs/connection" },
            { "$ref": "#/$defs/sync" }
        ],
        "$defs": defs
    })
}

fn block(block: &Block, closed: bool) -> Json {
    let properties: Map<String, Json> = block
        .keys
        .iter()
        .map(|key| {
            let mut inner = shape(key.shape);
            if let Some(map) = inner.as_object_mut() {
                map.insert("description".to_owned(), json!(key.doc));
            }
            (key.name.to_owned(), inner)
        })
        .collect();
    let required: Vec<&str> = block.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut out = json!({ "type": "object", "properties": properties });
    let Some(map) = out.as_object_mut() else { return out };
    if closed {
        map.insert("additionalProperties".to_owned(), json!(false));
    }
    if !required.is_empty() {
        map.insert("required".to_owned(), json!(required));
    }
    if let [group] = block.one_of {
        let each: Vec<Json> = group.iter().map(|name| json!({ "required": [name] })).collect();
        map.insert("oneOf".to_owned(), json!(each));
    }
    out
}

const DURATION: &str = "^[0-9]+ ?(ms|s|m|h|d|w)$";

fn shape(shape: Shape) -> Json {
    match shape {
        Shape::Version => json!({ "const": 1 }),
        Shape::Text | Shape::Reference | Shape::Zone => json!({ "type": "string", "minLength": 1 }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Count(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Number(least, most) => json!({ "type": "number", "minimum": least, "maximum": most }),
        Shape::Percent => {
            json!({ "anyOf": [{ "type": "number", "minimum": 0, "maximum": 100 }, { "const": "off" }] })
        }
        Shape::Duration => json!({ "type": "string", "pattern": DURATION }),
        Shape::Lookback => {
            json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": DURATION }] })
        }
        Shape::Every => json!({ "type": "string", "pattern": "^[0-9]+ ?(m|h|d)$" }),
        Shape::DailyAt => json!({ "type": "string", "pattern": "^([01]?[0-9]|2[0-3]):[0-5][0-9]$" }),
        Shape::Cron => json!({ "type": "string", "pattern": "^\\s*(\\S+\\s+){4}\\S+\\s*$" }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Transform => json!({ "type": "string", "pattern": transforms() }),
        Shape::Table => {
            json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } })
        }
        Shape::Block(inner) => block(inner, true),
        Shape::List(item) => json!({ "type": "array", "items": self::shape(*item) }),
        Shape::Or(word, other) => json!({ "anyOf": [{ "const": word }, self::shape(*other)] }),
    }
}

/// `^(trim|lower|round:.+|…)$`
fn transforms() -> String {
    let each = crate::transform::names().map(|name| match crate::transform::takes_argument(name) {
        true => format!("{name}:.+"),
        false => name.to_owned(),
    });
    format!("^({})$", each.collect::<Vec<_>>().join("|"))
}

/// The common keys, and per type its own: settings of another type are refused.
fn connection(kinds: &[KindInfo]) -> Json {
    let mut out = block(&CONNECTION, false);
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name.as_str()).collect();
    if let Some(kind) = out.pointer_mut("/properties/type").and_then(Json::as_object_mut) {
        kind.remove("type");
        kind.remove("minLength");
        kind.insert("enum".to_owned(), json!(names));
    }
    let rules: Vec<Json> = kinds.iter().map(rule).collect();
    if let Some(map) = out.as_object_mut() {
        map.insert("allOf".to_owned(), Json::Array(rules));
    }
    out
}

/// The definitions that a type's schema brings along, under names of its own.
fn defs_of_kinds(kinds: &[KindInfo]) -> impl Iterator<Item = (String, Json)> + '_ {
    kinds.iter().flat_map(|kind| {
        let own = kind.schema.get("$defs").and_then(Json::as_object);
        own.into_iter().flatten().map(move |(name, schema)| {
            let mut schema = schema.clone();
            rename_refs(&mut schema, &kind.name);
            (format!("{}.{name}", kind.name), schema)
        })
    })
}

fn rename_refs(schema: &mut Json, kind: &str) {
    match schema {
        Json::Array(items) => items.iter_mut().for_each(|item| rename_refs(item, kind)),
        Json::Object(map) => {
            for (key, value) in map {
                match value {
                    Json::String(target) if key == "$ref" => {
                        *target = target.replacen("#/$defs/", &format!("#/$defs/{kind}."), 1);
                    }
                    below => rename_refs(below, kind),
                }
            }
        }
        _ => {}
    }
}

fn rule(kind: &KindInfo) -> Json {
    let mut schema = kind.schema.clone();
    rename_refs(&mut schema, &kind.name);
    let mut then = schema.as_object().cloned().unwrap_or_default();
    // The type's own schema closes its own keys alone; here the common ones stand beside them.
    then.remove("additionalProperties");
    then.remove("$schema");
    then.remove("$defs");
    let condition = |name: &str| json!({ "properties": { "type": { "const": name } }, "required": ["type"] });
    if let Some(own) = then.get("properties").and_then(Json::as_object) {
        let common = CONNECTION.keys.iter().map(|key| key.name.to_owned());
        let known: Vec<String> = own.keys().cloned().chain(common).collect();
        then.insert("propertyNames".to_owned(), json!({ "enum": known }));
    }
    let note = match kind.side {
        Side::Warehouse => "a warehouse",
        Side::Platform => "a platform",
    };
    let note = if kind.available { note.to_owned() } else { format!("{note}, not in this build yet") };
    json!({ "$comment": format!("{}: {note}", kind.name), "if": condition(&kind.name), "then": then })
}
