//! The JSON Schema and the parser know the same keys; the hashes move with what they stand for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;

use common::{acme, changed, kinds, project_of};
use serde_json::{Value as Json, json};
use tidegate_model::config::{config_hash, json_schema, load, shape_hash};

/// Every block of the schema below a definition: its path of keys, and the keys that it names.
fn blocks(schema: &Json, path: &[String], out: &mut Vec<(Vec<String>, BTreeSet<String>)>) {
    for variant in schema["anyOf"].as_array().into_iter().flatten() {
        blocks(variant, path, out);
    }
    if !schema["items"].is_null() {
        let below: Vec<String> = path.iter().cloned().chain(["[]".to_owned()]).collect();
        blocks(&schema["items"], &below, out);
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    out.push((path.to_vec(), properties.keys().cloned().collect()));
    for (key, below) in properties {
        let path: Vec<String> = path.iter().cloned().chain([key.clone()]).collect();
        blocks(below, &path, out);
    }
}

/// JSON is YAML: a document whose block at `path` is `block`.
fn document(path: &[String], block: Json) -> String {
    let wrap = |inner: Json, step: &String| if step == "[]" { json!([inner]) } else { json!({ (step): inner }) };
    path.iter().rev().fold(block, wrap).to_string()
}

fn file_of(definition: &str) -> &'static str {
    match definition {
        "project" => "tidegate.yaml",
        "connection" => "connections/crm.yaml",
        _ => "syncs/usage.yaml",
    }
}

/// The unknown keys that the parser complains of, of a file with this text.
fn unknown_keys(file: &str, text: String) -> BTreeSet<String> {
    let mut files = acme();
    files.iter_mut().find(|each| each.path == file).unwrap().text = text;
    let problems = load(&files, &kinds()).problems;
    let keys = problems.iter().filter_map(|p| p.message.strip_prefix("unknown key `")?.strip_suffix('`'));
    keys.map(str::to_owned).collect()
}

#[test]
fn the_parser_knows_every_key_of_the_schema_and_no_other() {
    let schema = json_schema(&kinds());
    let mut seen = 0;
    for definition in ["project", "connection", "sync"] {
        let mut found = Vec::new();
        blocks(&schema["$defs"][definition], &[], &mut found);
        for (path, keys) in found {
            let all: serde_json::Map<String, Json> = keys.iter().map(|key| (key.clone(), json!([[]]))).collect();
            let file = file_of(definition);
            let complained = unknown_keys(file, document(&path, Json::Object(all)));
            assert!(complained.is_disjoint(&keys), "{definition} {path:?}: {complained:?}");
            let odd = document(&path, json!({"zz_odd": 1}));
            let odd =
                if definition == "connection" && path.is_empty() { "{type: hub, zz_odd: 1}".to_owned() } else { odd };
            assert!(unknown_keys(file, odd).contains("zz_odd"), "{definition} {path:?} takes any key");
            seen += keys.len();
        }
    }
    assert!(seen > 100, "only {seen} keys were looked at");
}

#[test]
fn every_key_of_the_frozen_page_is_known() {
    let mut found = Vec::new();
    blocks(&json_schema(&kinds())["$defs"]["sync"], &[], &mut found);
    let all: BTreeSet<&str> = found.iter().flat_map(|(_, keys)| keys.iter().map(String::as_str)).collect();
    for key in [
        "version",
        "warehouse",
        "connection",
        "relation",
        "query",
        "platform",
        "model",
        "where",
        "field",
        "op",
        "value",
        "direction",
        "key",
        "changes",
        "write",
        "conflict",
        "updated_at",
        "deletes",
        "delete_conflict",
        "fields",
        "transform",
        "map",
        "nulls",
        "on_misfit",
        "as",
        "format",
        "empty",
        "schedule",
        "every",
        "daily_at",
        "cron",
        "timezone",
        "automation",
        "guards",
        "max_delete_pct",
        "max_clear_pct",
        "max_shrink_pct",
        "max_reject_pct",
        "max_change_pct",
        "after",
        "ledger",
        "settle_lag",
        "on_uncertain",
        "undo_days",
        "redact",
        "shared",
        "cursor",
        "column",
        "lookback",
        "batch_size",
        "link",
        "company",
        "enduser",
        "append",
    ] {
        assert!(all.contains(key), "{key}");
    }
}

#[test]
fn the_schema_has_words_types_and_help() {
    let schema = json_schema(&kinds());
    let sync = &schema["$defs"]["sync"]["properties"];
    assert_eq!(sync["write"]["enum"], json!(["upsert", "update", "insert", "append", "replace", "mirror"]));
    assert!(sync["write"]["description"].as_str().unwrap().contains("upsert if left out"));
    assert_eq!(schema["$defs"]["sync"]["additionalProperties"], false);
    let pattern = sync["key"]["properties"]["transform"]["items"]["pattern"].as_str().unwrap();
    let pattern = regex::Regex::new(pattern).unwrap();
    assert!(pattern.is_match("round:2") && pattern.is_match("trim") && !pattern.is_match("round"));
    let connection = &schema["$defs"]["connection"];
    assert_eq!(connection["properties"]["type"]["enum"], json!(["sqlite", "postgres", "hub", "planhat"]));
    let rule = &connection["allOf"][1];
    assert_eq!(rule["if"]["properties"]["type"]["const"], "postgres");
    assert_eq!(rule["then"]["properties"]["mode"]["$ref"], "#/$defs/postgres.Mode");
    assert_eq!(schema["$defs"]["postgres.Mode"]["enum"], json!(["fast", "safe"]));
    assert!(rule["then"]["propertyNames"]["enum"].as_array().unwrap().contains(&json!("quota")));
}

const COMPANIES: &str = "syncs/companies.yaml";

/// How the two hashes of `companies` move with a change: (configuration, shape).
fn moved(path: &str, from: &str, to: &str) -> (bool, bool) {
    let before = load(&acme(), &kinds()).into_result().unwrap();
    let after = load(&changed(path, from, to), &kinds()).into_result().unwrap();
    let differs = |hash: fn(&tidegate_model::config::Project, &str) -> String| {
        hash(&before, "companies") != hash(&after, "companies")
    };
    (differs(config_hash), differs(shape_hash))
}

#[test]
fn hashes_move_with_what_they_stand_for() {
    assert_eq!(moved(COMPANIES, "# CRM records", "# other words"), (false, false));
    assert_eq!(moved(COMPANIES, "{ every: 1h }", "{ every: 2h }"), (false, false));
    assert_eq!(moved(COMPANIES, "map: { trial: Onboarding }", "map: { trial: Live }"), (true, false));
    assert_eq!(moved(COMPANIES, "max_delete_pct: 5", "max_delete_pct: 6"), (true, false));
    assert_eq!(moved(COMPANIES, "warehouse: company_id", "warehouse: id"), (true, true));
    assert_eq!(moved(COMPANIES, "relation: companies", "relation: firms"), (true, true));
    assert_eq!(moved(COMPANIES, "model: company ", "model: project "), (true, true));
    assert_eq!(moved("connections/lake.yaml", "${PG_URL}", "${OTHER}"), (true, false));
    assert_eq!(moved("connections/crm.yaml", "share: 0.5", "share: 0.6"), (false, false));
    assert_eq!(moved("syncs/usage.yaml", "batch_size: 5000", "batch_size: 5"), (false, false));
}

#[test]
fn hashes_stay_the_same_from_version_to_version() {
    // These stand in people's stores: if one of them changes, every sync asks for a reset.
    let project = project_of("syncs/licenses.yaml", "version", "version");
    assert_eq!(shape_hash(&project, "licenses"), "00913685807e93b7c30421cacb98f810");
    assert_eq!(config_hash(&project, "licenses").len(), 32);
}
