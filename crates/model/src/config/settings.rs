//! Holds a connection's own settings against the JSON Schema of its type: unknown and missing keys, wrong types and
//! words, with the line. Deeper rules (patterns, combinations) are the connector's own, when it is opened.

use serde_json::Value as Json;

use super::problem::{Problems, choice_hint, did_you_mean};
use super::reference;
use super::shape::Block;
use super::yaml::{Data, Node, Scalar, short};

/// Checks how references are written, below every key that `own` names.
pub(super) fn check_references(root: &Node, own: &dyn Fn(&str) -> bool, problems: &mut Problems) {
    for entry in root.entries().iter().filter(|entry| own(&entry.key)) {
        check_texts(&entry.value, &entry.key, problems);
    }
}

fn check_texts(node: &Node, key: &str, problems: &mut Problems) {
    match &node.data {
        Data::List(items) => items.iter().for_each(|item| check_texts(item, key, problems)),
        Data::Map(entries) => entries.iter().for_each(|entry| check_texts(&entry.value, &entry.key, problems)),
        Data::Scalar { text, .. } => {
            if let Err(why) = reference::check(text) {
                problems.add(node.at, format!("`{}`: {why}", short(key)));
            }
        }
    }
}

/// Checks the settings beside the keys of `common`.
pub(super) fn check(root: &Node, schema: &Json, common: &Block, problems: &mut Problems) {
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else { return };
    let checker = Checker { root: schema };
    let own = |key: &str| common.key(key).is_none();
    let mut meant: Vec<&str> = Vec::new();
    let names = || properties.keys().map(String::as_str).chain(common.keys.iter().map(|key| key.name));
    for entry in root.entries().iter().filter(|entry| own(&entry.key)) {
        match properties.get(&entry.key) {
            Some(inner) if entry.value.is_null() && !checker.takes(inner, "null") => {
                problems.add_hint(entry.at, format!("`{}` has no value", entry.key), "give it one or take the key out");
            }
            Some(inner) => checker.value(&entry.value, &entry.key, inner, problems),
            None if schema.get("additionalProperties") == Some(&Json::Bool(true)) => {}
            None => {
                meant.extend(did_you_mean(&entry.key, names()));
                let hint = choice_hint(&entry.key, names());
                problems.add_hint(entry.at, format!("unknown key `{}`", short(&entry.key)), hint);
            }
        }
    }
    checker.missing(root, "a connection of this type", schema, &meant, problems);
}

struct Checker<'s> {
    root: &'s Json,
}

impl<'s> Checker<'s> {
    /// Follows `$ref` within the schema.
    fn follow(&self, schema: &'s Json) -> &'s Json {
        let target = schema.get("$ref").and_then(Json::as_str).and_then(|path| path.strip_prefix('#'));
        target.and_then(|path| self.root.pointer(path)).unwrap_or(schema)
    }
    fn types(&self, schema: &'s Json) -> Vec<&'s str> {
        match self.follow(schema).get("type") {
            Some(Json::String(one)) => vec![one.as_str()],
            Some(Json::Array(many)) => many.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        }
    }
    fn takes(&self, schema: &'s Json, name: &str) -> bool {
        let schema = self.follow(schema);
        let types = self.types(schema);
        let any = |key: &str| schema.get(key).and_then(Json::as_array);
        match any("anyOf").or_else(|| any("oneOf")) {
            Some(variants) => variants.iter().any(|variant| self.takes(variant, name)),
            None => types.is_empty() || types.contains(&name),
        }
    }
    /// Of several variants the only one that takes this type, if there is only one.
    fn variant(&self, schema: &'s Json, name: &str) -> &'s Json {
        let any = |key: &str| schema.get(key).and_then(Json::as_array);
        let mut fits =
            any("anyOf").or_else(|| any("oneOf")).into_iter().flatten().filter(|each| self.takes(each, name));
        match (fits.next(), fits.next()) {
            (Some(only), None) => self.follow(only),
            _ => schema,
        }
    }
    /// Required keys that are neither there nor `meant` by a misspelt one.
    fn missing(&self, node: &Node, what: &str, schema: &'s Json, meant: &[&str], problems: &mut Problems) {
        let required = self.follow(schema).get("required").and_then(Json::as_array);
        let lacks = |name: &&str| node.get(name).is_none() && !meant.contains(name);
        for name in required.into_iter().flatten().filter_map(Json::as_str).filter(lacks) {
            problems.add_hint(node.at, format!("{what} needs the key `{name}`"), format!("add `{name}:`"));
        }
    }
    fn value(&self, node: &Node, key: &str, schema: &'s Json, problems: &mut Problems) {
        let schema = self.follow(schema);
        let found = match (&node.data, node.scalar()) {
            (Data::List(_), _) => "array",
            (Data::Map(_), _) => "object",
            (_, Some(Scalar::Bool(_))) => "boolean",
            (_, Some(Scalar::Number(text))) if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') => "integer",
            (_, Some(Scalar::Number(_))) => "number",
            (_, Some(Scalar::Text(_))) => "string",
            (_, Some(Scalar::Null) | None) => "null",
        };
        // What a reference will hold is not known yet.
        if node.raw().is_some_and(reference::has_reference) {
            return;
        }
        if !(self.takes(schema, found) || found == "integer" && self.takes(schema, "number")) {
            let expected = self.types(schema).join(" or ");
            let expected = if expected.is_empty() { "something else" } else { &expected };
            let hint =
                (self.takes(schema, "string") && node.raw().is_some()).then(|| "put quotes around it".to_owned());
            problems.push(node.at, format!("`{key}`: expected {expected}, found {}", node.describe()), hint);
            return;
        }
        let schema = self.variant(schema, found);
        if let Some(words) = schema.get("enum").and_then(Json::as_array)
            && let Some(text) = node.raw()
        {
            let words: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
            if !words.is_empty() && !words.contains(&text) {
                let message = format!("`{key}`: expected one of {}, found {}", words.join(", "), node.describe());
                problems.add_hint(node.at, message, choice_hint(text, words.iter().copied()));
            }
        }
        self.below(node, key, schema, problems);
    }
    fn below(&self, node: &Node, key: &str, schema: &'s Json, problems: &mut Problems) {
        if let Some(items) = schema.get("items") {
            node.items().iter().for_each(|item| self.value(item, key, items, problems));
        }
        let Some(properties) = schema.get("properties").and_then(Json::as_object) else { return };
        let mut meant = Vec::new();
        for entry in node.entries() {
            match properties.get(&entry.key) {
                Some(inner) => self.value(&entry.value, &entry.key, inner, problems),
                None if schema.get("additionalProperties") == Some(&Json::Bool(false)) => {
                    let names = properties.keys().map(String::as_str);
                    meant.extend(did_you_mean(&entry.key, names.clone()));
                    let hint = choice_hint(&entry.key, names);
                    problems.add_hint(entry.at, format!("unknown key `{}`", short(&entry.key)), hint);
                }
                None => {}
            }
        }
        self.missing(node, &format!("`{key}`"), schema, &meant, problems);
    }
}
