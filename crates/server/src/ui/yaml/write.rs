//! Values as YAML on one line.

use serde_json::Value as Json;

use super::tree::plain;

/// Keys in the order in which the project's own examples write them; others follow by name.
const ORDER: [&str; 9] =
    ["method", "connection", "relation", "model", "warehouse", "platform", "direction", "as", "transform"];

/// A value on one line, as it may stand in braces too.
pub(in crate::ui) fn inline(value: &Json) -> String {
    match value {
        Json::Object(map) if map.is_empty() => "{}".to_owned(),
        Json::Object(map) => {
            let mut sorted: Vec<_> = map.iter().collect();
            // A map of ours has lost its order: what people look for first comes first.
            sorted.sort_by_key(|(key, _)| ORDER.iter().position(|known| known == key).unwrap_or(ORDER.len()));
            let pairs = sorted.into_iter().map(|(key, value)| format!("{}: {}", text(key), inline(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Json::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        other => scalar(other),
    }
}

/// A text, number or switch.
fn scalar(value: &Json) -> String {
    match value {
        Json::String(value) => text(value),
        other => other.to_string(),
    }
}

/// A text: plain where it stays the same text wherever it stands, in quotes else.
fn text(value: &str) -> String {
    let first_fits = value.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '/');
    let rest_fits = value.chars().all(|c| c.is_alphanumeric() || "_-./ +()@".contains(c));
    let same = plain(value) == Json::String(value.to_owned());
    // What other readers of YAML 1.1 take for a switch is kept out of their way.
    let word = ["yes", "no", "on", "off", "y", "n"].iter().any(|word| word.eq_ignore_ascii_case(value));
    // `10m` is how people write a duration.
    let span =
        value.strip_suffix(['m', 'h', 'd']).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    if (first_fits || span) && rest_fits && same && !word && !value.ends_with(' ') {
        return value.to_owned();
    }
    // A JSON text is a YAML text in double quotes.
    Json::String(value.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_quoted_where_they_must() {
        for (value, written) in [
            (json!("name"), "name"),
            (json!("custom.Health score"), "custom.Health score"),
            (json!("true"), "\"true\""),
            (json!("12"), "\"12\""),
            (json!("10m"), "10m"),
            (json!("no"), "\"no\""),
            (json!("a: b"), "\"a: b\""),
            (json!("02:30"), "\"02:30\""),
            (json!("${PG_URL}"), "\"${PG_URL}\""),
            (json!("line\nbreak"), "\"line\\nbreak\""),
            (json!(""), "\"\""),
            (json!(5), "5"),
            (json!(true), "true"),
            (json!({ "a": [1, "x"], "b": {} }), "{ a: [1, x], b: {} }"),
            (json!({ "as": "url", "platform": "b", "warehouse": "a" }), "{ warehouse: a, platform: b, as: url }"),
        ] {
            assert_eq!(inline(&value), written);
        }
    }
}
