//! Forms made from the JSON Schema of settings, and what a person wrote into them.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::{Map, Value as Json};
use tidegate_model::{Error, Result};

/// What stands in a form, by the dotted path of each setting.
pub(in crate::ui) type Settings = BTreeMap<String, String>;

/// A setting as a form shows it.
enum Kind<'s> {
    Text,
    Secret,
    Bool,
    Number,
    Choice(Vec<&'s str>),
    /// Lists and open mappings, which have no form of their own.
    Json,
    /// One of several blocks, told apart by a word.
    Variants(&'s str, Vec<(&'s str, &'s Json)>),
    Block(&'s Json),
}

fn follow<'s>(root: &'s Json, schema: &'s Json) -> &'s Json {
    let target = schema.get("$ref").and_then(Json::as_str).and_then(|path| path.strip_prefix('#'));
    let below = target.and_then(|path| root.pointer(path)).unwrap_or(schema);
    // `Option` is written as "this or null".
    let several = below.get("anyOf").and_then(Json::as_array);
    let real: Vec<&Json> =
        several.into_iter().flatten().filter(|one| one.get("type") != Some(&Json::from("null"))).collect();
    match real.as_slice() {
        [only] => follow(root, only),
        _ => below,
    }
}

fn has_type(schema: &Json, name: &str) -> bool {
    match schema.get("type") {
        Some(Json::String(one)) => one == name,
        Some(Json::Array(many)) => many.iter().any(|one| one == name),
        _ => false,
    }
}

fn kind<'s>(root: &'s Json, name: &str, schema: &'s Json) -> Kind<'s> {
    let schema = follow(root, schema);
    if let Some(words) = schema.get("enum").and_then(Json::as_array) {
        return Kind::Choice(words.iter().filter_map(Json::as_str).collect());
    }
    if let Some(several) = schema.get("oneOf").and_then(Json::as_array) {
        let constants: Vec<&str> = several.iter().filter_map(|one| one.get("const")?.as_str()).collect();
        if constants.len() == several.len() {
            return Kind::Choice(constants);
        }
        let tagged: Vec<_> = several.iter().filter_map(|one| tag_of(root, one)).collect();
        if let (Some((tag, ..)), true) = (tagged.first(), tagged.len() == several.len()) {
            return Kind::Variants(tag, tagged.iter().map(|(_, word, one)| (*word, *one)).collect());
        }
    }
    if schema.get("properties").is_some() {
        return Kind::Block(schema);
    }
    if has_type(schema, "boolean") {
        return Kind::Bool;
    }
    if has_type(schema, "integer") || has_type(schema, "number") {
        return Kind::Number;
    }
    match has_type(schema, "string") {
        true if is_secret(name) => Kind::Secret,
        true => Kind::Text,
        false => Kind::Json,
    }
}

/// The property of a variant that only it has, and its word.
fn tag_of<'s>(root: &'s Json, variant: &'s Json) -> Option<(&'s str, &'s str, &'s Json)> {
    let variant = follow(root, variant);
    let properties = variant.get("properties")?.as_object()?;
    properties.iter().find_map(|(name, one)| Some((name.as_str(), one.get("const")?.as_str()?, variant)))
}

/// Whether a setting's name says that it is one nobody should read. The schema does not: to it a secret is a text.
pub(in crate::ui) fn is_secret(name: &str) -> bool {
    let word = name.rsplit('.').next().unwrap_or(name);
    let secret = ["password", "passphrase", "secret", "token", "private_key", "api_key", "project_key", "url", "key"];
    secret.iter().any(|end| word == *end || word.ends_with(&format!("_{end}")))
}

fn properties(schema: &Json) -> impl Iterator<Item = (&str, &Json)> {
    schema.get("properties").and_then(Json::as_object).into_iter().flatten().map(|(name, one)| (name.as_str(), one))
}

fn is_required(schema: &Json, name: &str) -> bool {
    schema.get("required").and_then(Json::as_array).is_some_and(|all| all.iter().any(|one| one == name))
}

fn joined(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// The fields of a form for settings of this schema. What people must give comes first.
pub(in crate::ui) fn fields(root: &Json, schema: &Json, prefix: &str, given: &Settings) -> Markup {
    let mut all: Vec<_> = properties(schema).filter(|(_, one)| one.get("const").is_none()).collect();
    all.sort_by_key(|(name, _)| !is_required(schema, name));
    html! { @for (name, one) in all { (field(root, one, &joined(prefix, name), is_required(schema, name), given)) } }
}

fn field(root: &Json, schema: &Json, path: &str, required: bool, given: &Settings) -> Markup {
    let name = path.rsplit('.').next().unwrap_or(path);
    let value = given.get(path).map_or("", String::as_str);
    let help = schema.get("description").or_else(|| follow(root, schema).get("description")).and_then(Json::as_str);
    match kind(root, name, schema) {
        Kind::Variants(tag, variants) => {
            let at = joined(path, tag);
            let chosen = given.get(&at).map_or("", String::as_str);
            let below = variants.iter().find(|(word, _)| *word == chosen);
            html! {
                fieldset {
                    legend { (name) }
                    @if let Some(help) = help { p.help.soft.small { (help) } }
                    div.field {
                        label for=(at) { (tag) }
                        select id=(at) name=(at) data-reloads="show" required[required] {
                            option value="" { "Choose…" }
                            @for (word, _) in &variants { option value=(word) selected[*word == chosen] { (word) } }
                        }
                        noscript { button name="step" value="show" { "Show its settings" } }
                    }
                    @if let Some((_, variant)) = below { (fields(root, variant, path, given)) }
                }
            }
        }
        Kind::Block(block) => html! { fieldset { legend { (name) } (fields(root, block, path, given)) } },
        leaf => html! {
            div.field {
                label for=(path) { (name) @if !required { span.soft.small { " (optional)" } } }
                (input(&leaf, schema, path, value, required))
                p.help id={ (path) "-help" } {
                    @if let Some(help) = help { (help) }
                    @if let Kind::Secret = leaf {
                        " By reference: " code { "secret:NAME" } " (kept encrypted, see Settings), " code { "${NAME}" } " (environment) or "
                        code { "${file:PATH}" } "."
                    }
                    @if let Kind::Json = leaf { " As JSON." }
                }
            }
        },
    }
}

fn input(kind: &Kind, schema: &Json, path: &str, value: &str, required: bool) -> Markup {
    let default = schema.get("default").filter(|value| !value.is_null()).map(super::value_text);
    let described = format!("{path}-help");
    match kind {
        Kind::Choice(words) => html! {
            select id=(path) name=(path) aria-describedby=(described) required[required] {
                option value="" { @if required { "Choose…" } @else { "As usual" } }
                @for word in words { option value=(word) selected[*word == value] { (word) } }
            }
        },
        Kind::Bool => html! {
            select id=(path) name=(path) aria-describedby=(described) {
                option value="" { "As usual" }
                @for word in ["true", "false"] { option value=(word) selected[word == value] { (if word == "true" { "yes" } else { "no" }) } }
            }
        },
        Kind::Number => html! {
            input id=(path) name=(path) type="number" step="any" value=(value) placeholder=[default] aria-describedby=(described) required[required];
        },
        Kind::Text | Kind::Secret | Kind::Json | Kind::Variants(..) | Kind::Block(_) => html! {
            input id=(path) name=(path) type="text" value=(value) placeholder=[default] aria-describedby=(described)
                autocomplete="off" spellcheck="false" required[required];
        },
    }
}

/// The settings as a form shows them, from JSON.
pub(in crate::ui) fn flat(json: &Json) -> Settings {
    let mut out = Settings::new();
    flatten(json, "", &mut out);
    out
}

fn flatten(json: &Json, prefix: &str, out: &mut Settings) {
    match json {
        Json::Object(map) => {
            // As a whole too: a mapping that has no fields of its own in the form is written as JSON.
            if !prefix.is_empty() {
                out.insert(prefix.to_owned(), json.to_string());
            }
            for (name, below) in map {
                flatten(below, &joined(prefix, name), out);
            }
        }
        Json::Null => {}
        other => drop(out.insert(prefix.to_owned(), super::value_text(other))),
    }
}

/// What the form says, typed by the schema: JSON with the settings that are given.
pub(in crate::ui) fn read(root: &Json, schema: &Json, prefix: &str, given: &Settings) -> Result<Map<String, Json>> {
    let mut out = Map::new();
    for (name, one) in properties(schema) {
        let path = joined(prefix, name);
        if let Some(word) = one.get("const") {
            out.insert(name.to_owned(), word.clone());
            continue;
        }
        if let Some(value) = read_one(root, one, name, &path, given)? {
            out.insert(name.to_owned(), value);
        }
    }
    Ok(out)
}

fn read_one(root: &Json, schema: &Json, name: &str, path: &str, given: &Settings) -> Result<Option<Json>> {
    let text = given.get(path).map(|text| text.trim()).filter(|text| !text.is_empty());
    let full = |map: Map<String, Json>| (!map.is_empty()).then_some(Json::Object(map));
    Ok(match (kind(root, name, schema), text) {
        (Kind::Variants(tag, variants), _) => {
            let chosen = given.get(&joined(path, tag));
            match variants.iter().find(|(word, _)| chosen.is_some_and(|chosen| chosen == word)) {
                Some((_, variant)) => full(read(root, variant, path, given)?),
                None => None,
            }
        }
        (Kind::Block(block), _) => full(read(root, block, path, given)?),
        (_, None) => None,
        // What a reference stands for has the right type when it is read.
        (Kind::Bool | Kind::Number, Some(text)) if text.starts_with("${") => Some(Json::from(text)),
        (Kind::Bool, Some(text)) => Some(Json::Bool(text == "true")),
        (Kind::Number, Some(text)) => {
            let number = serde_json::from_str::<serde_json::Number>(text);
            Some(Json::Number(
                number.map_err(|_| Error::config(format!("`{path}`: `{text}` is no number")).hint("write digits"))?,
            ))
        }
        (Kind::Json, Some(text)) if is_plain(text) && takes_text(root, schema) => Some(Json::from(text)),
        (Kind::Json, Some(text)) => Some(serde_json::from_str(text).map_err(|error| {
            Error::config(format!("`{path}` is no JSON: {error}"))
                .hint("write it as in [\"a\", \"b\"] or {\"name\": \"value\"}")
        })?),
        (Kind::Text | Kind::Secret | Kind::Choice(_), Some(text)) => Some(Json::from(text)),
    })
}

/// Whether a text is no JSON and not meant to be: an address, a word, a variable in `{{…}}`.
fn is_plain(text: &str) -> bool {
    text.starts_with("{{") || (!text.starts_with(['{', '[', '"']) && serde_json::from_str::<Json>(text).is_err())
}

/// Whether a setting that may be several things may be a text.
fn takes_text(root: &Json, schema: &Json) -> bool {
    let schema = follow(root, schema);
    match schema.get("anyOf").and_then(Json::as_array) {
        Some(several) => several.iter().any(|one| has_type(one, "string")),
        None => schema.get("type").is_none(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Json {
        json!({
            "type": "object",
            "properties": {
                "account": { "type": "string", "description": "Its <name>." },
                "port": { "type": ["integer", "null"] },
                "fast": { "type": "boolean", "default": true },
                "auth": { "$ref": "#/$defs/Auth" },
                "options": { "type": "object", "additionalProperties": { "type": "string" } }
            },
            "required": ["account", "auth"],
            "$defs": { "Auth": { "oneOf": [
                { "type": "object", "properties": { "method": { "const": "password" }, "password": { "type": "string" } }, "required": ["method", "password"] },
                { "type": "object", "properties": { "method": { "const": "none" } }, "required": ["method"] }
            ] } }
        })
    }

    fn given(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_setting_has_a_field_and_what_must_be_given_comes_first() {
        let schema = schema();
        let text = fields(&schema, &schema, "", &given(&[("auth.method", "password"), ("auth.password", "secret:pw")]))
            .into_string();
        let place = |name: &str| text.find(&format!("name=\"{name}\"")).unwrap_or_else(|| panic!("{name}: {text}"));
        assert!(place("account") < place("port") && place("auth.method") < place("port"));
        assert!(
            text.contains("Its &lt;name&gt;.") && text.contains("value=\"secret:pw\"") && text.contains("secret:NAME")
        );
        assert!(!fields(&schema, &schema, "", &given(&[])).into_string().contains("auth.password"), "chosen first");
    }

    #[test]
    fn what_may_be_a_text_or_json_is_read_as_what_it_looks_like() {
        let schema = json!({ "properties": {
            "url": { "anyOf": [{ "type": "string" }, { "type": "object", "properties": { "create": { "type": "string" } } }] },
            "body": true,
        } });
        let read_one = |text: &str, name: &str| {
            read(&schema, &schema, "", &given(&[(name, text)]))
                .map(|map| map[name].clone())
                .map_err(|error| error.message)
        };
        assert_eq!(read_one("https://x/{{key}}", "url"), Ok(json!("https://x/{{key}}")));
        assert_eq!(read_one("{\"create\": \"https://x\"}", "url"), Ok(json!({ "create": "https://x" })));
        assert_eq!(read_one("{{record}}", "body"), Ok(json!("{{record}}")));
        assert_eq!(read_one("{\"a\": \"{{key}}\"}", "body"), Ok(json!({ "a": "{{key}}" })));
        assert!(read_one("{\"a\": }", "body").is_err());
        let shown = flat(&json!({ "url": { "create": "https://x" } }));
        assert_eq!(
            shown.get("url").map(String::as_str),
            Some("{\"create\":\"https://x\"}"),
            "an object is shown as a whole"
        );
    }

    #[test]
    fn what_is_written_is_read_by_its_type() {
        let schema = schema();
        let written = given(&[
            ("account", " a "),
            ("port", "443"),
            ("fast", ""),
            ("auth.method", "password"),
            ("auth.password", "${PW}"),
            ("options", "{\"a\":\"b\"}"),
        ]);
        let read_back = Json::Object(read(&schema, &schema, "", &written).expect("fits"));
        assert_eq!(
            read_back,
            json!({ "account": "a", "port": 443, "auth": { "method": "password", "password": "${PW}" }, "options": { "a": "b" } })
        );
        let error = read(&schema, &schema, "", &given(&[("port", "x")])).expect_err("no number");
        assert!(error.message.contains("`port`"), "{error}");
        assert_eq!(flat(&read_back).get("auth.password").map(String::as_str), Some("${PW}"));
    }
}
