//! Bad input: each with a clear message that says what to do, and nothing written.

use super::bench::{Bench, COMPANIES, Done, USAGE};

/// Nothing was written to the hub.
#[track_caller]
fn untouched(bench: &Bench) {
    let hub = bench.path(".tidegate/hub.db");
    if hub.exists() && !bench.hub_rows("SELECT 1 FROM sqlite_master WHERE name = 'hub_r_company'").is_empty() {
        assert_eq!(bench.hub_rows("SELECT count(*) FROM hub_r_company"), ["0"]);
    }
}

#[track_caller]
fn refused(bench: &Bench, code: i32, words: &[&str]) -> Done {
    let done = bench.run(&["run"]).expect(code).says(words).says(&["error: ", "hint: "]);
    untouched(bench);
    done
}

#[test]
fn malformed_yaml() {
    let bench = Bench::with_companies();
    bench.write("syncs/companies.yaml", "version: 1\nwarehouse: { connection: lake\n");
    bench.run(&["run"]).expect(2).says(&["error: syncs/companies.yaml:"]);
    untouched(&bench);
}

#[test]
fn all_problems_of_all_files_at_once_with_line_and_did_you_mean() {
    let bench = Bench::with_companies();
    bench.write("syncs/companies.yaml", &COMPANIES.replace("direction: both", "direktion: both"));
    bench.write("connections/crm.yaml", "version: 1\ntype: hob\nurl: sqlite:x.db\n");
    refused(
        &bench,
        2,
        &["syncs/companies.yaml:4:1: unknown key `direktion`", "did you mean `direction`?", "connections/crm.yaml:2:"],
    );
}

#[test]
fn an_unknown_connection() {
    let bench = Bench::with_companies();
    bench.write("syncs/companies.yaml", &COMPANIES.replace("connection: lake", "connection: lakes"));
    refused(&bench, 2, &["lakes", "lake"]);
}

#[test]
fn a_missing_column() {
    let bench = Bench::with_companies();
    bench.write("syncs/companies.yaml", &COMPANIES.replace("warehouse: phase", "warehouse: fase"));
    let done = bench.run(&["run"]).says(&["fase", "phase", "hint: "]);
    assert!([1, 2].contains(&done.code), "{}", done.code);
    untouched(&bench);
}

#[test]
fn a_key_of_a_wrong_type() {
    let bench = Bench::new();
    bench.lake("CREATE TABLE t (id DOUBLE, name TEXT); INSERT INTO t VALUES (1.5, 'x');");
    let sync =
        COMPANIES.replace("relation: companies", "relation: t").replace("direction: both", "direction: to_platform");
    let sync = sync.replace("warehouse: company_id", "warehouse: id");
    let lines = sync.lines().filter(|line| !line.contains("phase") && !line.contains("arr"));
    bench.write("syncs/t.yaml", &(lines.collect::<Vec<_>>().join("\n") + "\n"));
    let done = bench.run(&["run"]).says(&["id", "to_text", "hint: "]);
    assert!([1, 2].contains(&done.code), "{}", done.code);
    untouched(&bench);
}

#[test]
fn duplicate_and_null_keys_are_rejects_of_their_rows_alone() {
    let bench = Bench::new();
    bench.lake(
        "DROP TABLE companies; CREATE TABLE companies (company_id TEXT, name TEXT, phase TEXT, arr DECIMAL(12,2));
         INSERT INTO companies VALUES ('A','a',NULL,NULL), ('A','b',NULL,NULL), (NULL,'c',NULL,NULL), ('D','d',NULL,NULL);",
    );
    bench.write("syncs/companies.yaml", &COMPANIES.replace("direction: both", "direction: to_platform"));
    bench.run(&["run"]).expect(3);
    assert_eq!(bench.hub_rows("SELECT externalId, name FROM hub_r_company"), ["D|d"]);
    let rejects = bench.run(&["rejects", "--json"]).expect(0).json();
    let mut rules: Vec<&str> = rejects.iter().filter_map(|reject| reject["rule"].as_str()).collect();
    rules.sort_unstable();
    assert_eq!(rules, ["duplicate_key", "null_key"]);
}

#[test]
fn a_usage_key_that_is_text() {
    let bench = Bench::with_usage(3);
    bench.lake("DROP TABLE usage_events; CREATE TABLE usage_events (event_id TEXT, company_id TEXT, action TEXT, at TIMESTAMPTZ);
                INSERT INTO usage_events VALUES ('e1','C1','login','2026-01-01T00:00:00Z');");
    let done = bench.run(&["run", "usage"]).says(&["event_id", "hint: "]);
    assert!([1, 2].contains(&done.code), "{}", done.code);
    untouched(&bench);
}

#[test]
fn a_usage_key_that_went_down() {
    let bench = Bench::with_usage(50);
    bench.run(&["run"]).expect(0);
    bench.lake("DELETE FROM usage_events WHERE event_id > 5");
    bench.run(&["run", "usage"]).expect(1).says(&["usage", "hint: "]);
    assert_eq!(bench.hub_rows("SELECT count(*) FROM hub_activity"), ["50"]);
}

#[test]
fn a_usage_key_over_32_characters() {
    let bench = Bench::with_usage(3);
    bench.lake(
        "DROP TABLE usage_events; CREATE TABLE usage_events (event_id DECIMAL(38,0), company_id TEXT, action TEXT, at TIMESTAMPTZ);
         INSERT INTO usage_events VALUES ('123456789012345678901234567890123456','C1','login','2026-01-01T00:00:00Z');",
    );
    bench.write("syncs/usage.yaml", USAGE);
    bench.run(&["run", "usage"]).expect(3);
    assert_eq!(bench.hub_rows("SELECT count(*) FROM hub_activity"), ["0"]);
    let reject = &bench.run(&["rejects", "usage", "--json"]).expect(0).json()[0];
    let reason = reject["reason"].as_str().expect("a reason");
    assert!(reason.contains("32"), "{reject}");
}

#[test]
fn a_view_as_target() {
    let bench = Bench::new();
    bench.lake("ALTER TABLE companies RENAME TO t; CREATE VIEW companies AS SELECT * FROM t;");
    bench.write("syncs/companies.yaml", COMPANIES);
    let done = bench.run(&["run"]).says(&["view", "hint: "]);
    assert!([1, 2].contains(&done.code), "{}", done.code);
    untouched(&bench);
}

#[test]
fn a_target_with_wrong_column_types_tells_the_statement_that_mends_it() {
    let bench = Bench::new();
    bench.lake("DROP TABLE companies; CREATE TABLE companies (company_id TEXT NOT NULL PRIMARY KEY, name INTEGER);");
    let lines = COMPANIES.lines().filter(|line| !line.contains("phase") && !line.contains("arr"));
    let sync = lines.collect::<Vec<_>>().join("\n").replace("direction: both", "direction: to_warehouse") + "\n";
    bench.write("syncs/companies.yaml", &sync);
    let found = bench.run(&["check", "--json"]).expect(1).json();
    assert!(
        found.iter().any(|line| line["severity"] == "critical" && line["why"].as_str().unwrap().contains("name")),
        "{found:?}"
    );
    let fix =
        found.iter().find_map(|line| line["fix"].as_str().filter(|fix| fix.contains("ALTER TABLE \"companies\"")));
    assert!(fix.is_some_and(|fix| fix.contains("\"name\" VARCHAR(1000)")), "{found:?}");
    bench.run(&["hub", "set", "company", "K1", "name=Kilo"]).expect(0);
    bench.run(&["run"]).expect(1).says(&["name", "hint: ", "ALTER TABLE"]);
    assert_eq!(bench.lake_rows("SELECT count(*) FROM companies"), ["0"]);

    // What it says works, also for a column and a table that are not there.
    bench.lake(fix.and_then(|fix| fix.lines().find(|line| line.contains("ALTER TABLE"))).expect("a statement"));
    bench.run(&["run"]).expect(0);
    assert_eq!(bench.lake_rows("SELECT company_id, name FROM companies"), ["K1|Kilo"]);
    for (breakage, statement) in
        [("ALTER TABLE companies DROP COLUMN name", "ALTER TABLE"), ("DROP TABLE companies", "CREATE TABLE")]
    {
        bench.lake(breakage);
        let done = bench.run(&["run"]).expect(1).says(&["hint: ", statement]);
        bench.lake(done.stderr.lines().find(|line| line.starts_with(statement)).expect("a statement of its own line"));
        bench.run(&["check"]).expect(0);
    }
}

#[test]
fn read_access_with_a_sync_that_writes() {
    let bench = Bench::with_companies();
    bench.write("connections/lake.yaml", "version: 1\ntype: sqlite\npath: warehouse.db\n");
    refused(&bench, 2, &["access: write"]);
}

#[test]
fn two_syncs_that_write_the_same_field() {
    let bench = Bench::with_companies();
    bench.write("syncs/again.yaml", COMPANIES);
    refused(&bench, 2, &["shared"]);
}

#[test]
fn newest_without_updated_at() {
    let bench = Bench::with_companies();
    bench.write("syncs/companies.yaml", &COMPANIES.replace("direction: both", "direction: both\nconflict: newest"));
    refused(&bench, 2, &["updated_at"]);
}

#[test]
fn a_locked_database_file() {
    let bench = Bench::with_companies();
    bench.run(&["run"]).expect(0);
    bench.run(&["hub", "set", "company", "C1", "phase=new"]).expect(0);
    bench.write(
        "connections/lake.yaml",
        "version: 1\ntype: sqlite\npath: warehouse.db\naccess: write\nbusy_timeout_ms: 100\n",
    );
    let holder = rusqlite::Connection::open(bench.path("warehouse.db")).expect("opened");
    holder.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    let done = bench.run(&["run", "--json"]).expect(1).says(&["warehouse.db", "hint: "]);
    assert_eq!(done.json()[0]["error"]["code"], "locked");
    holder.execute_batch("ROLLBACK").expect("unlocked");
    bench.run(&["run"]).expect(0);
    assert_eq!(bench.lake_rows("SELECT phase FROM companies WHERE company_id = 'C1'"), ["new"]);
}

#[test]
fn a_missing_environment_variable_and_a_missing_secret() {
    let bench = Bench::with_companies();
    bench.write("connections/crm.yaml", "version: 1\ntype: hub\nurl: \"${TIDEGATE_TEST_ABSENT}\"\n");
    refused(&bench, 2, &["connections/crm.yaml:3:", "TIDEGATE_TEST_ABSENT is not set", "export"]);
    bench.write("connections/crm.yaml", "version: 1\ntype: hub\nurl: secret:hub_url\n");
    refused(&bench, 2, &["there is no secret `hub_url`", "tidegate secrets set hub_url"]);
}

#[test]
fn names_and_options_that_are_wrong() {
    let bench = Bench::with_companies();
    bench.run(&["run", "companeis"]).expect(2).says(&["there is no sync `companeis`", "did you mean `companies`?"]);
    bench.run(&["run", "--force-guard", "everything"]).expect(2).says(&["max_delete_pct"]);
    bench.run(&["run", "--direction", "sideways"]).expect(2).says(&["to_platform"]);
    bench.run(&["frobnicate"]).expect(2);
    bench.run(&["undo", "01XXXX"]).expect(1).says(&["there is no run", "tidegate runs"]);
    bench.run(&["apply", "nowhere.json"]).expect(2).says(&["tidegate plan"]);
    bench.run(&["reset", "companies"]).expect(2).says(&["--yes"]);
}
