//! Everything that can be wrong with a project file, told with file, line, column and what would mend it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{acme, kinds, load_one, problems_of};
use tidegate_model::config::{Problem, SourceFile, load};

const COMPANIES: &str = "syncs/companies.yaml";

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_key_that_was_meant() {
    let problems = problems_of(COMPANIES, "platform:", "platfrom:");
    assert_eq!(problems, ["syncs/companies.yaml:4:1: unknown key `platfrom`; did you mean `platform`?"]);
}

/// (file, replace, by, what must be told)
type Row = (&'static str, &'static str, &'static str, &'static str);

fn all_are_told(rows: &[Row]) {
    for (file, from, to, told) in rows {
        let problems = problems_of(file, from, to);
        assert_eq!(problems.len(), 1, "{to}: {problems:#?}");
        let place = problems[0].strip_prefix(&format!("{file}:")).expect("the file first");
        assert!(place.starts_with(|c: char| c.is_ascii_digit()), "{}", problems[0]);
        assert!(problems[0].contains(told), "{to}\n  told:   {}\n  wanted: {told}", problems[0]);
    }
}

#[test]
fn unknown_keys_at_every_depth() {
    all_are_told(&[
        (COMPANIES, "nulls: skip", "nuls: skip", "16:90: unknown key `nuls`; did you mean `nulls`?"),
        (COMPANIES, "{ every: 1h }", "{ every: 1h, evry: 2h }", "did you mean `every`?"),
        (COMPANIES, "max_delete_pct", "max_delete_pc", "did you mean `max_delete_pct`?"),
        (COMPANIES, "automation: true", "zzz: true", "unknown key `zzz`; there are version, warehouse"),
        ("syncs/scores.yaml", "field: status", "feild: status", "did you mean `field`?"),
        ("tidegate.yaml", "rejects: 90d", "reject: 90d", "did you mean `rejects`?"),
        ("tidegate.yaml", "issuer:", "issuers:", "did you mean `issuer`?"),
        ("connections/lake.yaml", "work_schema:", "work_shema:", "did you mean `work_schema`?"),
        ("connections/lake.yaml", "url:", "ulr:", "did you mean `url`?"),
        ("connections/crm.yaml", "share: 0.5", "shard: 0.5", "did you mean `share`?"),
    ]);
}

#[test]
fn words_that_are_not_on_the_list() {
    all_are_told(&[
        (
            COMPANIES,
            "direction: both",
            "direction: botj",
            "one of to_platform, to_warehouse, both, found the text `botj`; did you mean `both`?",
        ),
        (COMPANIES, "changes: auto", "changes: automatic", "one of auto, full, tracking, stream, cursor"),
        (COMPANIES, "write: upsert", "write: Upsert", "did you mean `upsert`?"),
        (COMPANIES, "conflict: warehouse", "conflict: latest", "one of warehouse, platform, newest, hold"),
        (COMPANIES, "deletes: ignore", "deletes: propogate", "did you mean `propagate`?"),
        (COMPANIES, "nulls: skip", "nulls: ignore", "one of clear, skip"),
        (COMPANIES, "on_misfit: drop_field", "on_misfit: drop", "one of reject_record, drop_field"),
        (COMPANIES, "as: url", "as: uri", "did you mean `url`?"),
        ("syncs/scores.yaml", "op: \"=\"", "op: \"==\"", "did you mean `=`?"),
        ("connections/lake.yaml", "access: write", "access: rw", "one of read, write"),
        (
            "connections/lake.yaml",
            "type: postgres",
            "type: postgress",
            "there is no connection type `postgress`; did you mean `postgres`?",
        ),
        ("connections/lake.yaml", "type: postgres", "type: oracle", "there are sqlite, postgres, hub, planhat"),
    ]);
}

#[test]
fn numbers_durations_zones_and_schedules() {
    all_are_told(&[
        (COMPANIES, "{ every: 1h }", "{ every: 7m }", "do not divide a day; take `6m` or `8m`"),
        (COMPANIES, "{ every: 1h }", "{ every: 60 }", "expected a text, found the number 60; put quotes around it"),
        (COMPANIES, "{ every: 1h }", "{ daily_at: \"25:00\" }", "a time of day is HH:MM"),
        (COMPANIES, "{ every: 1h }", "{ cron: \"0 6 * *\" }", "five fields"),
        (COMPANIES, "{ every: 1h }", "{ cron: \"0 6 * * 9\" }", "not a cron expression"),
        (COMPANIES, "{ every: 1h }", "{ every: 1h, timezone: Europe/Stokholm }", "did you mean `Europe/Stockholm`?"),
        (
            COMPANIES,
            "{ every: 1h }",
            "{ every: 1h, daily_at: \"02:30\" }",
            "exactly one of every, daily_at, cron, it has more; keep one",
        ),
        (COMPANIES, "{ every: 1h }", "{ timezone: UTC }", "it has none of them; add one"),
        (
            COMPANIES,
            "max_delete_pct: 5",
            "max_delete_pct: 500",
            "a percentage from 0 to 100, or `off`, found the number 500",
        ),
        (COMPANIES, "max_delete_pct: 5", "max_delete_pct: none", "or `off`"),
        ("syncs/usage.yaml", "batch_size: 5000", "batch_size: 0", "a whole number from 1 to"),
        ("syncs/usage.yaml", "batch_size: 5000", "batch_size: 5k", "a whole number from 1 to"),
        ("syncs/usage.yaml", "lookback: 10000", "lookback: -1", "a duration such as `10m`, or a number of ids"),
        ("syncs/revenue.yaml", "lookback: 10m", "lookback: 10min", "a duration is a number with its unit"),
        ("tidegate.yaml", "runs: 90d", "runs: 90", "expected a text"),
        ("tidegate.yaml", "runs: 90d", "runs: 900000d", "longer than a hundred years"),
        ("tidegate.yaml", "Europe/Stockholm ", "Middle/Earth ", "there is no time zone `Middle/Earth`"),
        ("connections/crm.yaml", "share: 0.5", "share: 50", "a number from 0.001 to 1"),
    ]);
}

#[test]
fn wrong_types_and_missing_keys() {
    all_are_told(&[
        (COMPANIES, "after: [licenses]", "after: licenses", "`after` is a list, found the text `licenses`"),
        (
            COMPANIES,
            "key: { warehouse: company_id, platform: externalId }",
            "key: company_id",
            "key is a mapping, found the text `company_id`; its keys are warehouse",
        ),
        (COMPANIES, "automation: true", "automation: yes", "expected true or false, found the text `yes`"),
        (
            COMPANIES,
            "relation: companies }",
            "relation: 2024 }",
            "expected a text, found the number 2024; put quotes around it: \"2024\"",
        ),
        (COMPANIES, "relation: companies }", "relation: [a, b] }", "`relation` is a single value, found a list"),
        (COMPANIES, "relation: companies }", "relation: \"\" }", "expected a text that is not empty"),
        (COMPANIES, ", relation: companies }", " }", "exactly one of relation, query, it has none"),
        (COMPANIES, "relation: companies }", "relation: companies, query: select 1 }", "it has more"),
        (
            COMPANIES,
            "relation: companies }",
            "relation: \"${SCHEMA}.companies\" }",
            "references are read in connections",
        ),
        (
            COMPANIES,
            "key: { warehouse: company_id, platform: externalId }",
            "",
            "a sync needs the key `key`; add `key:`",
        ),
        (COMPANIES, "version: 1\n", "", "a sync needs the key `version`; add `version: 1`"),
        (COMPANIES, "version: 1\n", "version: 2\n", "this tidegate reads version 1"),
        (COMPANIES, "after: [licenses]", "after:", "`after` has no value"),
        (COMPANIES, "{ warehouse: name,   platform: name }", "{ warehouse: name }", "a field needs the key `platform`"),
        (COMPANIES, "{ warehouse: name,   platform: name }", "{ platform: name }", "exactly one of warehouse, value"),
        (
            COMPANIES,
            "{ value: tidegate, ",
            "{ value: tidegate, direction: both,",
            "a constant `value` has no column to flow to",
        ),
        (COMPANIES, "map: { trial: Onboarding }", "map: { trial: }", "`trial` is replaced by text, found nothing"),
        (COMPANIES, "map: { trial: Onboarding }", "map: [trial]", "a mapping of values to values"),
        (COMPANIES, "transform: [trim]", "transform: [trimm]", "did you mean `trim`?"),
        (COMPANIES, "transform: [trim]", "transform: trim", "`transform` is a list"),
        ("syncs/revenue.yaml", "fields: all ", "fields: some ", "`all` or a list"),
        ("syncs/revenue.yaml", "fields: all ", "fields: [] ", "`fields` is an empty list"),
        ("connections/lake.yaml", "url: \"${PG_URL}\"", "", "needs the key `url`"),
        (
            "connections/lake.yaml",
            "url: \"${PG_URL}\"",
            "url: 5",
            "`url`: expected string, found the number 5; put quotes",
        ),
        ("connections/lake.yaml", "access:", "pool: many\naccess:", "`pool`: expected integer"),
        (
            "connections/lake.yaml",
            "access:",
            "mode: fst\naccess:",
            "expected one of fast, safe, found the text `fst`; did you mean `fast`?",
        ),
        (
            "connections/lake.yaml",
            "access:",
            "auth: {token: 5}\naccess:",
            "`token`: expected string, found the number 5",
        ),
    ]);
}

#[test]
fn how_references_are_written() {
    let row = |to| ("connections/lake.yaml", "\"${PG_URL}\"", to);
    for (to, told) in [
        ("\"${PG_URL\"", "is not closed by `}`"),
        ("\"${}\"", "name of an environment variable"),
        ("\"${A B}\"", "name of an environment variable"),
        ("\"${file:../secret}\"", "inside the project"),
        ("\"${file:/etc/passwd}\"", "inside the project"),
        ("\"${file:keys/../../x}\"", "inside the project"),
        ("\"secret:\"", "followed by a name"),
    ] {
        let (file, from, to) = row(to);
        let problems = problems_of(file, from, to);
        assert!(problems.len() == 1 && problems[0].contains(told), "{to}: {problems:#?}");
    }
}

#[test]
fn malformed_yaml_has_its_line_and_column() {
    for (from, to) in
        [("key: {", "key: {{"), ("fields:", "fields: ]"), ("changes: auto", "changes: \"auto"), ("write:", "\twrite:")]
    {
        let problems = problems_of(COMPANIES, from, to);
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].contains("malformed YAML") && !problems[0].contains(":0:"), "{problems:#?}");
    }
}

#[test]
fn duplicated_keys_documents_tags_and_depth() {
    let twice = problems_of(COMPANIES, "changes: auto", "write: update");
    assert_eq!(twice, ["syncs/companies.yaml:8:1: key `write` stands twice, first in line 7"]);
    let two = problems_of(COMPANIES, "fields:", "---\nfields:");
    assert!(two.iter().any(|text| text.contains("a second document starts here")), "{two:#?}");
    let tag = problems_of(COMPANIES, "write: upsert", "write: !upsert x");
    assert!(tag.iter().any(|text| text.contains("means nothing here")), "{tag:#?}");
    let deep = load_one(&format!("version: {}1", "[".repeat(100))).problems;
    assert!(deep[0].message.contains("nested deeper than 32"), "{deep:#?}");
    let key = load_one("? [a, b]\n: 1\n").problems;
    assert!(key.iter().any(|problem| problem.message.contains("a key must be a plain word")), "{key:#?}");
    let alias = load_one("version: &a [*a]\n").problems;
    assert!(!alias.is_empty());
}

#[test]
fn a_tree_that_grows_by_aliases_stays_small() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..20 {
        let each = format!("*a{}, ", n - 1).repeat(10);
        text.push_str(&format!("a{n}: &a{n} [{each}]\n"));
    }
    let problems = load_one(&text).problems;
    assert!(problems.iter().any(|problem| problem.message.contains("holds more than")), "{problems:#?}");
}

#[test]
fn every_problem_of_every_file_is_told_at_once() {
    let mut files = acme();
    for file in &mut files {
        file.text = file.text.replace("version: 1", "version: 9").replace("direction:", "direktion:");
    }
    files.push(SourceFile { path: "syncs/broken.yaml".to_owned(), text: "a: [".to_owned() });
    files.push(SourceFile { path: "syncs/empty.yaml".to_owned(), text: "# nothing\n".to_owned() });
    let loaded = load(&files, &kinds());
    assert_eq!(loaded.project, None);
    let told = |what: &str| loaded.problems.iter().filter(|problem| problem.message.contains(what)).count();
    assert_eq!(told("this tidegate reads version 1"), 9);
    assert_eq!(told("unknown key `direktion`"), 9);
    assert_eq!((told("malformed YAML"), told("the file is empty")), (1, 1));
    let error = loaded.into_result().expect_err("problems").to_string();
    assert!(error.starts_with("20 problems in the project's files"), "{error}");
    assert!(error.contains("syncs/broken.yaml:"), "{error}");
}

#[test]
fn names_of_files_are_names_of_things() {
    for (path, told) in [
        ("syncs/x.yml", "must end with `.yaml`"),
        ("syncs/a b.yaml", "letters, digits"),
        ("connections/-x.yaml", "letters, digits"),
        ("syncs/deep/x.yaml", "letters, digits"),
        ("tidegate.yml", "must be `tidegate.yaml`"),
    ] {
        let mut files = acme();
        files.push(SourceFile { path: path.to_owned(), text: "version: 1".to_owned() });
        let problems: Vec<String> = load(&files, &kinds()).problems.iter().map(Problem::to_string).collect();
        assert!(problems.len() == 1 && problems[0].contains(told), "{path}: {problems:#?}");
    }
    let missing = load(&acme()[1..], &kinds()).problems;
    assert_eq!(missing[0].file, "tidegate.yaml");
    assert!(missing[0].message.contains("missing"), "{missing:#?}");
}
