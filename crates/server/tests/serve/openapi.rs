//! The OpenAPI document, as it was agreed on: others build on it.

use std::path::Path;

/// `TIDEGATE_BLESS=1` takes what is served for what was agreed on. A call or a field that goes is a break.
#[test]
fn the_document_is_the_one_that_was_agreed_on() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let served = tidegate_server::openapi_document();
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        let text = serde_json::to_string_pretty(&served).expect("text");
        std::fs::write(&path, text + "\n").expect("written");
    }
    let agreed = std::fs::read_to_string(&path).expect("docs/openapi.json");
    let agreed: serde_json::Value = serde_json::from_str(&agreed).expect("JSON");
    assert!(agreed == served, "docs/openapi.json is not what is served; look at the difference, then TIDEGATE_BLESS=1");
}

#[test]
fn every_call_has_a_name_of_its_own_a_scope_and_an_answer() {
    let document = tidegate_server::openapi_document();
    let mut names = std::collections::BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let name = operation["operationId"].as_str().expect("a name");
            assert!(names.insert(name.to_owned()), "{method} {path}: {name} is taken");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
            assert!(operation["responses"]["200"]["content"].is_object(), "{name}");
            let told: Vec<&str> =
                operation["parameters"].as_array().into_iter().flatten().filter_map(|p| p["name"].as_str()).collect();
            for part in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                assert!(told.contains(&part), "{name}: {part} is in its path only");
            }
        }
    }
    assert!(names.len() > 45, "{}", names.len());
    let text = document.to_string();
    for target in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = target.split('"').next().expect("a name");
        assert!(document["components"]["schemas"][name].is_object(), "{name} is named and not there");
    }
}
