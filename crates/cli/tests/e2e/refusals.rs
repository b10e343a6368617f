//! Every refusal of `check` that this build can meet: `check` tells it as critical, `run` refuses with the same words, and
//! nothing is written.

use super::bench::{Bench, COMPANIES, USAGE};

/// Both refuse, with these words; neither side is touched.
#[track_caller]
fn refused(bench: &Bench, sync: &str, words: &[&str]) {
    let before = bench.lake_rows("SELECT * FROM companies ORDER BY 1");
    let found = bench.run(&["check", sync, "--json"]).expect(1).json();
    let critical: Vec<String> =
        found.iter().filter(|line| line["severity"] == "critical").map(ToString::to_string).collect();
    for word in words {
        assert!(critical.iter().any(|line| line.contains(word)), "no critical finding says {word:?}: {found:?}");
    }
    for args in [&["run", sync][..], &["run", sync, "--full"], &["plan", sync]] {
        let done = bench.run(args).says(&["error: ", "hint: "]).says(words);
        assert!([1, 2].contains(&done.code), "{args:?}: {}", done.code);
    }
    assert_eq!(bench.lake_rows("SELECT * FROM companies ORDER BY 1"), before);
    let hub = bench.path(".tidegate/hub.db");
    if hub.exists() && !bench.hub_rows("SELECT 1 FROM sqlite_master WHERE name = 'hub_r_company'").is_empty() {
        assert_eq!(bench.hub_rows("SELECT count(*) FROM hub_r_company"), ["0"]);
        assert_eq!(bench.hub_rows("SELECT count(*) FROM hub_activity"), ["0"]);
    }
}

/// The sync of companies with settings added, one way if they say so.
fn with(settings: &str) -> Bench {
    let bench = Bench::new();
    let named = settings.contains("direction:");
    let sync = if named { COMPANIES.replace("direction: both\n", "") } else { COMPANIES.to_owned() };
    bench.write("syncs/companies.yaml", &sync.replace("fields:", &format!("{settings}fields:")));
    bench
}

#[test]
fn two_syncs_that_write_the_same_field_unless_shared() {
    let bench = Bench::with_companies();
    bench.write("syncs/again.yaml", COMPANIES);
    refused(&bench, "companies", &["shared", "name"]);
    let shared = COMPANIES.replace("fields:", "shared: true\nfields:");
    bench.write("syncs/again.yaml", &shared);
    bench.write("syncs/companies.yaml", &shared);
    bench.run(&["run"]).expect(0);
}

#[test]
fn read_access_with_anything_that_writes() {
    for direction in ["both", "to_warehouse"] {
        let bench = with(&format!("direction: {direction}\n"));
        bench.write("connections/lake.yaml", "version: 1\ntype: sqlite\npath: warehouse.db\naccess: read\n");
        refused(&bench, "companies", &["access: write"]);
    }
}

#[test]
fn read_access_with_a_stream_and_histories_that_a_warehouse_lacks() {
    let bench = with("direction: to_platform\nchanges: stream\n");
    bench.write("connections/lake.yaml", "version: 1\ntype: sqlite\npath: warehouse.db\naccess: read\n");
    refused(&bench, "companies", &["stream"]);
    refused(&with("direction: to_platform\nchanges: tracking\n"), "companies", &["tracking"]);
}

#[test]
fn mirror_or_propagate_with_a_cursor() {
    for mode in ["write: mirror", "deletes: propagate"] {
        let bench = with(&format!("direction: to_platform\nchanges: cursor\ncursor: {{ column: arr }}\n{mode}\n"));
        refused(&bench, "companies", &["cursor"]);
    }
}

#[test]
fn mirror_or_propagate_on_a_target_without_delete() {
    for mode in ["write: mirror", "deletes: propagate"] {
        let bench = Bench::with_usage(3);
        bench.write("syncs/usage.yaml", &USAGE.replace("write: append", mode));
        refused(&bench, "usage", &["usage"]);
    }
}

#[test]
fn two_way_with_a_model_that_cannot_be_read_as_records() {
    let bench = Bench::with_usage(3);
    bench.write("syncs/usage.yaml", &USAGE.replace("direction: to_platform", "direction: both"));
    refused(&bench, "usage", &["usage"]);
}

#[test]
fn two_way_with_a_view() {
    let bench = Bench::with_companies();
    bench.lake("ALTER TABLE companies RENAME TO t; CREATE VIEW companies AS SELECT * FROM t;");
    refused(&bench, "companies", &["view"]);
}

#[test]
fn two_way_with_a_query() {
    let bench = Bench::new();
    let query = COMPANIES.replace("relation: companies", "query: \"SELECT * FROM companies\"");
    bench.write("syncs/companies.yaml", &query);
    refused(&bench, "companies", &["query"]);
}

#[test]
fn two_way_with_append_replace_or_mirror() {
    for mode in ["append", "replace", "mirror"] {
        refused(&with(&format!("write: {mode}\n")), "companies", &[mode]);
    }
}

#[test]
fn newest_without_updated_at_for_the_sync_and_for_a_field() {
    refused(&with("conflict: newest\n"), "companies", &["updated_at"]);
    let bench = Bench::new();
    bench.write("syncs/companies.yaml", &COMPANIES.replace("platform: phase }", "platform: phase, conflict: newest }"));
    refused(&bench, "companies", &["updated_at"]);
}

#[test]
fn a_batch_size_over_the_connectors_limit() {
    refused(&with("batch_size: 1000000\n"), "companies", &["batch_size"]);
}

#[test]
fn a_map_that_is_not_one_to_one_and_a_transform_that_is_no_identity_on_a_both_field() {
    let bench = Bench::new();
    let both = |field: &str| COMPANIES.replace("platform: phase }", &format!("platform: phase, {field} }}"));
    bench.write("syncs/companies.yaml", &both("map: { trial: Start, live: Start }"));
    refused(&bench, "companies", &["phase"]);
    bench.write("syncs/companies.yaml", &both("transform: [upper]"));
    refused(&bench, "companies", &["phase"]);
}

#[test]
fn a_changed_key_is_refused_until_reset_which_says_how_many_entries_it_drops() {
    let bench = Bench::with_companies();
    bench.run(&["run"]).expect(0);
    bench.lake("ALTER TABLE companies ADD COLUMN other_id TEXT; UPDATE companies SET other_id = 'X' || company_id;");
    bench.write("syncs/companies.yaml", &COMPANIES.replace("warehouse: company_id", "warehouse: other_id"));
    let done = bench.run(&["run"]).says(&["error: ", "hint: ", "tidegate reset companies"]);
    assert!([1, 2].contains(&done.code), "{}", done.code);
    assert_eq!(bench.hub_rows("SELECT count(*) FROM hub_r_company"), ["3"]);
    bench.run(&["reset", "companies"]).expect(2).says(&["3 linked records"]);
}

#[test]
fn a_locked_file_of_the_state_and_of_the_hub() {
    let bench = Bench::with_companies();
    bench.run(&["run"]).expect(0);
    bench.lake("UPDATE companies SET phase = 'next' WHERE company_id = 'C1'");
    for file in [".tidegate/state.db", ".tidegate/hub.db"] {
        let holder = rusqlite::Connection::open(bench.path(file)).expect("opened");
        holder.execute_batch("BEGIN IMMEDIATE").expect("locked");
        let done = bench.run(&["run"]).expect(1).says(&["error: ", "hint: ", file.rsplit('/').next().expect("a name")]);
        assert!(done.stderr.contains("locked"), "{}", done.stderr);
        holder.execute_batch("ROLLBACK").expect("unlocked");
        assert_eq!(bench.hub_rows("SELECT phase FROM hub_r_company WHERE externalId = 'C1'"), ["trial"]);
    }
    let began = std::time::Instant::now();
    let done = bench.run(&["run"]);
    assert!(began.elapsed().as_secs() < 60);
    assert!([0, 1].contains(&done.code), "{}", done.stderr);
}
