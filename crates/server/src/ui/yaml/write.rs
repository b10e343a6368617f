//! Values as YAML on one line.

use serde_json::Value as Json;

use super::tree::plain;

/// A value on one line, as it may stand in braces too.
pub(super) fn inline(value: &Json) -> String {
    match value {
        Json::Object(map) if map.is_empty() => "{}".to_owned(),
        Json::Object(map) => {
            let pairs = map.iter().map(|(key, value)| format!("{}: {}", text(key), inline(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Json::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        other => scalar(other),
    }
}

/// A text, number or switch.
pub(in crate::ui) fn scalar(value: &Json) -> String {
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
    if first_fits && rest_fits && same && !word && !value.ends_with(' ') {
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
            (json!("no"), "\"no\""),
            (json!("a: b"), "\"a: b\""),
            (json!("02:30"), "\"02:30\""),
            (json!("${PG_URL}"), "\"${PG_URL}\""),
            (json!("line\nbreak"), "\"line\\nbreak\""),
            (json!(""), "\"\""),
            (json!(5), "5"),
            (json!(true), "true"),
            (json!({ "a": [1, "x"], "b": {} }), "{ a: [1, x], b: {} }"),
        ] {
            assert_eq!(inline(&value), written);
        }
    }
}
