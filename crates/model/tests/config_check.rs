//! Every refusal of semantics.md §8 that the files alone decide, each by a test that names its row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{acme, changed, kinds, project_of};
use tidegate_model::config::{Found, Project, SourceFile, check, load};

const COMPANIES: &str = "syncs/companies.yaml";
const USAGE: &str = "syncs/usage.yaml";
const SCORES: &str = "syncs/scores.yaml";

/// `rule severity place: why; fix`
fn said(found: &Found) -> String {
    format!("{} {:?} {}", found.finding.finding, found.finding.severity, found.problem())
}

fn findings(project: &Project) -> Vec<String> {
    check(project).iter().map(said).collect()
}

/// After one change exactly one finding, which starts and goes on like this.
fn refused(path: &str, from: &str, to: &str, start: &str, within: &str) {
    let found = findings(&project_of(path, from, to));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with(start) && found[0].contains(within), "{}\n  wanted {start} … {within}", found[0]);
}

/// The examples and one more sync, about which the findings are.
fn with(text: &str) -> Vec<String> {
    let mut files = acme();
    files.push(SourceFile { path: "syncs/more.yaml".to_owned(), text: text.to_owned() });
    let project = load(&files, &kinds()).into_result().expect("well formed");
    check(&project).iter().filter(|found| found.sync.as_deref() == Some("more")).map(said).collect()
}

#[test]
fn check_passes_the_examples() {
    assert_eq!(findings(&load(&acme(), &kinds()).into_result().unwrap()), [""; 0]);
}

const MORE: &str = "version: 1\nwarehouse: { connection: lake, relation: others }\n\
                    platform: { connection: crm, model: company }\ndirection: to_platform\n\
                    key: { warehouse: id, platform: externalId }\nfields:\n  - { warehouse: a, platform: name }\n";

#[test]
fn check_refuses_two_syncs_that_write_the_same_field_of_a_model() {
    let found = with(MORE);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0]
            .starts_with("written_twice Critical syncs/more.yaml:6:1: `name` of `company`: also written by companies")
    );
    assert!(found[0].contains("shared: true"), "{found:#?}");
}

#[test]
fn check_refuses_two_syncs_that_write_the_same_column_of_a_table() {
    let text = MORE
        .replace("others", "crm_scores")
        .replace("to_platform", "to_warehouse")
        .replace("{ warehouse: a, platform: name }", "{ warehouse: score, platform: x }");
    let found = with(&text);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("`score` of `crm_scores`: also written by scores"), "{found:#?}");
}

#[test]
fn check_refuses_a_dataset_of_all_fields_beside_one_that_lists_them() {
    let text = MORE.replace("model: company", "model: \"dataset:revenue\"");
    assert!(with(&text)[0].contains("its fields of `dataset:revenue`: also written by revenue"), "{:#?}", with(&text));
}

#[test]
fn check_allows_shared_fields_if_both_syncs_say_so() {
    let one = format!("{MORE}shared: true\n");
    assert_eq!(with(&one).len(), 1, "the other did not agree");
    let mut files = changed(COMPANIES, "automation: true", "shared: true");
    files.push(SourceFile { path: "syncs/more.yaml".to_owned(), text: one });
    assert_eq!(findings(&load(&files, &kinds()).into_result().unwrap()), [""; 0]);
}

#[test]
fn check_allows_two_syncs_on_one_model_with_different_fields() {
    assert_eq!(with(&MORE.replace("platform: name", "platform: custom.other")), [""; 0]);
}

#[test]
fn check_refuses_access_read_with_a_sync_that_writes_there() {
    let found = findings(&project_of("connections/lake.yaml", "access: write\n", "access: read\n"));
    assert_eq!(found.len(), 2, "companies and scores: {found:#?}");
    assert!(found.iter().all(|text| text.starts_with("read_only_access Critical") && text.contains("access: write")));
    assert!(found[0].contains("syncs/companies.yaml:5:1: this sync writes to `lake`"), "{found:#?}");
}

#[test]
fn check_refuses_a_stream_that_serves_two_syncs() {
    let stream = MORE.replace("fields:", "changes: stream\nfields:").replace("name }", "website }");
    let mut files = acme();
    for name in ["more", "other"] {
        let text = if name == "more" { stream.clone() } else { stream.replace("changes: stream", "changes: auto") };
        let text = text.replace("website", if name == "more" { "phone" } else { "city" });
        files.push(SourceFile { path: format!("syncs/{name}.yaml"), text });
    }
    let found = findings(&load(&files, &kinds()).into_result().unwrap());
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("stream_shared Critical syncs/more.yaml:2:"), "{found:#?}");
    assert!(found[0].contains("read by other too"), "{found:#?}");
}

#[test]
fn check_refuses_a_stream_of_a_query() {
    let text = MORE.replace("relation: others", "query: select 1").replace("fields:", "changes: stream\nfields:");
    let found = with(&text.replace("platform: name", "platform: phone"));
    assert!(found.iter().any(|found| found.starts_with("stream_of_a_query Critical")), "{found:#?}");
}

#[test]
fn check_refuses_access_read_with_a_stream() {
    let mut files = changed("connections/lake.yaml", "access: write\n", "");
    files.retain(|file| file.path != COMPANIES && file.path != SCORES);
    let usage = files.iter_mut().find(|file| file.path == USAGE).unwrap();
    usage.text =
        usage.text.replace("changes: cursor\ncursor: { column: event_id, lookback: 10000 }", "changes: stream");
    let found = findings(&load(&files, &kinds()).into_result().unwrap());
    assert!(found.len() == 1 && found[0].starts_with("stream_needs_write Critical syncs/usage.yaml:7:1"), "{found:#?}");
}

#[test]
fn check_refuses_mirror_with_cursor() {
    refused(
        USAGE,
        "write: append",
        "write: mirror",
        "mirror_with_cursor Critical syncs/usage.yaml:9:1",
        "changes: full",
    );
}

#[test]
fn check_refuses_propagate_with_cursor() {
    let start = "propagate_with_cursor Critical syncs/usage.yaml:10:1";
    refused(USAGE, "batch_size: 5000", "deletes: propagate", start, "a cursor cannot");
}

#[test]
fn check_refuses_two_way_with_append() {
    refused(COMPANIES, "write: upsert", "write: append", "two_way_append Critical", "cannot `write: append`");
}

#[test]
fn check_refuses_two_way_with_replace() {
    refused(COMPANIES, "write: upsert", "write: replace", "two_way_replace Critical", "cannot `write: replace`");
}

#[test]
fn check_refuses_two_way_with_mirror() {
    refused(COMPANIES, "write: upsert", "write: mirror", "two_way_mirror Critical", "cannot `write: mirror`");
}

#[test]
fn check_refuses_two_way_with_a_query() {
    refused(COMPANIES, "relation: companies }", "query: select 1 }", "two_way_query Critical", "name a table");
}

#[test]
fn check_refuses_a_query_as_target() {
    refused(SCORES, "relation: crm_scores }", "query: select 1 }", "query_as_target Critical", "cannot be written to");
}

#[test]
fn check_refuses_all_fields_both_ways_or_to_the_warehouse() {
    let revenue = "syncs/revenue.yaml";
    refused(revenue, "direction: to_platform", "direction: both", "two_way_all Critical", "list the fields");
    let mut files = changed(revenue, "direction: to_platform", "direction: to_warehouse");
    files.iter_mut().for_each(|file| {
        file.text = file.text.replace("changes: cursor\ncursor: { column: updated_at, lookback: 10m }\n", "")
    });
    let found = findings(&load(&files, &kinds()).into_result().unwrap());
    assert!(found.len() == 1 && found[0].starts_with("all_to_warehouse Critical"), "{found:#?}");
}

#[test]
fn check_refuses_newest_without_updated_at() {
    let line = "updated_at: { warehouse: updated_at, platform: updatedAt }";
    let both = |rule: &str, times: &str| {
        let mut files = changed(COMPANIES, "conflict: warehouse", rule);
        files.iter_mut().for_each(|file| file.text = file.text.replace(line, times));
        findings(&load(&files, &kinds()).into_result().unwrap())
    };
    assert_eq!(both("conflict: newest", line), [""; 0]);
    let found = both("conflict: newest", "");
    assert!(found[0].starts_with("newest_without_updated_at Critical syncs/companies.yaml:9:1"), "{found:#?}");
    assert!(found[0].contains("lacks warehouse and platform"), "{found:#?}");
    assert!(both("conflict: newest", "updated_at: { warehouse: t }")[0].contains("lacks platform"));
    let mut files = changed(COMPANIES, "platform: name }", "platform: name, conflict: newest }");
    files.iter_mut().for_each(|file| file.text = file.text.replace(line, ""));
    let found = findings(&load(&files, &kinds()).into_result().unwrap());
    assert!(found.len() == 1 && found[0].contains("syncs/companies.yaml:13:"), "{found:#?}");
}

#[test]
fn check_refuses_a_map_that_is_not_one_to_one_both_ways() {
    let name = "{ warehouse: name,   platform: name }";
    let of = |map: &str| name.replace(" }", &format!(", map: {{ {map} }} }}"));
    let start = "map_not_one_to_one Critical syncs/companies.yaml:13:";
    refused(COMPANIES, name, &of("a: x, b: x"), start, "has `x` for two values");
    assert_eq!(findings(&project_of(COMPANIES, name, &of("a: x, b: y"))), [""; 0]);
    let one_way =
        of("a: x, b: x").replace(" }", ", direction: to_platform }").replacen(", direction: to_platform", "", 1);
    assert_eq!(findings(&project_of(COMPANIES, name, &one_way)), [""; 0]);
}

#[test]
fn check_refuses_a_transform_that_is_no_identity_both_ways() {
    let name = "{ warehouse: name,   platform: name }";
    let of = |transform: &str| name.replace(" }", &format!(", transform: [\"{transform}\"] }}"));
    for transform in ["to_text", "prefix:x", "hash_sha256", "collapse_spaces", "date_only", "split:;"] {
        let start = "transform_not_identity Critical syncs/companies.yaml:13:";
        refused(COMPANIES, name, &of(transform), start, "cannot be undone on the way back");
    }
    for transform in ["trim", "lower", "upper", "round:2", "null_if_empty", "truncate_us"] {
        assert_eq!(
            findings(&project_of(COMPANIES, name, &of(transform))),
            [""; 0],
            "depends on the field: {transform}"
        );
    }
}

#[test]
fn check_warns_of_an_assigned_key_and_refuses_it_but_for_update() {
    let from = "platform: externalId }";
    let start = "assigned_key Critical syncs/companies.yaml:6:";
    refused(COMPANIES, from, "platform: _id }", start, "write: update");
    let mut files = changed(COMPANIES, from, "platform: _id }");
    files.iter_mut().for_each(|file| file.text = file.text.replace("write: upsert ", "write: update "));
    files.retain(|file| file.path != "syncs/revenue.yaml");
    let found = findings(&load(&files, &kinds()).into_result().unwrap());
    assert!(found.len() == 1 && found[0].starts_with("assigned_key Warning"), "{found:#?}");
}

#[test]
fn check_refuses_cursor_without_a_cursor_block() {
    let block = "cursor: { column: event_id, lookback: 10000 }\n";
    refused(USAGE, block, "", "cursor_without_column Critical syncs/usage.yaml:7:1", "cursor: { column");
    refused(USAGE, "changes: cursor", "changes: full", "cursor_unused Warning", "no effect");
}

#[test]
fn check_refuses_an_unknown_connection() {
    let start = "unknown_connection Critical syncs/usage.yaml:3:14: there is no connection `lakes`";
    refused(USAGE, "connection: lake", "connection: lakes", start, "did you mean `lake`?");
}

#[test]
fn check_refuses_a_connection_of_the_other_side() {
    let found = findings(&project_of(USAGE, "connection: lake", "connection: crm"));
    assert!(found[0].starts_with("wrong_side Critical syncs/usage.yaml:3:14"), "{found:#?}");
    assert!(found[0].contains("the connection `crm` is a platform, not a warehouse"), "{found:#?}");
    let start = "wrong_side Critical syncs/usage.yaml:4:14";
    refused(USAGE, "connection: crm", "connection: lake", start, "is a warehouse, not a platform");
}

#[test]
fn check_refuses_a_connection_type_that_this_build_lacks() {
    let found = findings(&project_of("connections/crm.yaml", "type: hub", "type: planhat"));
    assert!(
        found.len() == 1 && found[0].starts_with("not_in_this_build Critical connections/crm.yaml:2:1"),
        "{found:#?}"
    );
}

#[test]
fn check_refuses_after_an_unknown_sync() {
    let start = "unknown_sync Critical syncs/companies.yaml:22:9";
    refused(COMPANIES, "after: [licenses]", "after: [license]", start, "did you mean `licenses`?");
}

#[test]
fn check_refuses_after_in_a_circle() {
    let found = findings(&project_of("syncs/licenses.yaml", "direction:", "after: [companies]\ndirection:"));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("after_circle Critical syncs/companies.yaml:22:1"), "{found:#?}");
    assert!(found[0].contains("companies after licenses after companies"), "{found:#?}");
    refused(COMPANIES, "after: [licenses]", "after: [companies]", "after_circle", "companies after companies");
}

#[test]
fn check_refuses_a_field_or_column_mapped_twice() {
    let name = "  - { warehouse: name,   platform: name }\n";
    let twice = format!("{name}  - {{ warehouse: other, platform: name }}\n");
    refused(COMPANIES, name, &twice, "mapped_twice Critical syncs/companies.yaml:14:", "first in line 13");
    let column = format!("{name}  - {{ warehouse: name, platform: other }}\n");
    refused(COMPANIES, name, &column, "column_twice Critical syncs/companies.yaml:14:", "two fields write the column");
    let one_way = format!("{name}  - {{ warehouse: name, platform: other, direction: to_platform }}\n");
    assert_eq!(findings(&project_of(COMPANIES, name, &one_way)), [""; 0]);
}

#[test]
fn check_refuses_redact_of_what_is_not_mapped() {
    let row = |name: &str| format!("redact: [{name}]\nautomation: true");
    let start = "unknown_redact Critical syncs/companies.yaml:20:";
    refused(COMPANIES, "automation: true", &row("nam"), start, "did you mean `name`?");
    refused(COMPANIES, "automation: true", &row("arr"), start, "the platform's name: `custom.ARR`");
    assert_eq!(findings(&project_of(COMPANIES, "automation: true", &row("name"))), [""; 0]);
}

#[test]
fn check_refuses_versions_without_append_and_warns_of_unused_changes() {
    refused(COMPANIES, "automation: true", "append: versions", "versions_without_append Critical", "write: append");
    refused(
        SCORES,
        "write: replace",
        "changes: tracking\nwrite: replace",
        "changes_unused Warning",
        "only writes there",
    );
}
