//! A project to break, and what comes of it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;
use tidegate_model::config::{KindInfo, Loaded, Problem, Project, Side, SourceFile, load};

/// The types that the examples use.
pub fn kinds() -> Vec<KindInfo> {
    let kind = |name: &str, side, available, schema| KindInfo { name: name.to_owned(), side, available, schema };
    let path = json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]});
    let url = json!({
        "type": "object", "required": ["url"], "additionalProperties": false,
        "properties": {
            "url": {"type": "string"}, "pool": {"type": "integer"}, "mode": {"$ref": "#/$defs/Mode"},
            "auth": {"anyOf": [{"$ref": "#/$defs/Auth"}, {"type": "null"}]}
        },
        "$defs": {
            "Mode": {"type": "string", "enum": ["fast", "safe"]},
            "Auth": {"type": "object", "properties": {"token": {"type": "string"}}}
        }
    });
    vec![
        kind("sqlite", Side::Warehouse, true, path),
        kind("postgres", Side::Warehouse, true, url.clone()),
        kind("hub", Side::Platform, true, url),
        kind("planhat", Side::Platform, false, json!({})),
    ]
}

fn fixture(path: &str) -> SourceFile {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/acme/");
    #[allow(clippy::disallowed_methods)]
    let text = std::fs::read_to_string(format!("{folder}{path}")).expect(path);
    SourceFile { path: path.to_owned(), text }
}

/// The examples of the frozen page.
pub fn acme() -> Vec<SourceFile> {
    [
        "tidegate.yaml",
        "connections/crm.yaml",
        "connections/lake.yaml",
        "syncs/companies.yaml",
        "syncs/revenue.yaml",
        "syncs/scores.yaml",
        "syncs/seats.yaml",
        "syncs/usage.yaml",
        "syncs/licenses.yaml",
    ]
    .into_iter()
    .map(fixture)
    .collect()
}

/// The examples, with one file's text changed in one place.
pub fn changed(path: &str, from: &str, to: &str) -> Vec<SourceFile> {
    let mut files = acme();
    let file = files.iter_mut().find(|file| file.path == path).expect(path);
    assert!(file.text.contains(from), "{path} does not hold {from:?}");
    file.text = file.text.replacen(from, to, 1);
    files
}

/// The problems after one change.
pub fn problems_of(path: &str, from: &str, to: &str) -> Vec<String> {
    load(&changed(path, from, to), &kinds()).problems.iter().map(Problem::to_string).collect()
}

/// The project after one change.
pub fn project_of(path: &str, from: &str, to: &str) -> Project {
    load(&changed(path, from, to), &kinds()).into_result().expect("a project without problems")
}

/// What comes of a `tidegate.yaml` alone.
pub fn load_one(text: &str) -> Loaded {
    load(&[SourceFile { path: "tidegate.yaml".to_owned(), text: text.to_owned() }], &kinds())
}
