//! Exit codes, and where output goes.

use super::bench::{Bench, COMPANIES};

#[test]
fn a_clean_run_is_0_and_a_second_one_writes_nothing() {
    let bench = Bench::with_companies();
    let first = &bench.run(&["run", "--json"]).expect(0).json()[0];
    assert_eq!((&first["status"], &first["created"]), (&"succeeded".into(), &3.into()));
    let hub = bench.hub_rows("SELECT externalId, name, phase, c1 FROM hub_r_company ORDER BY externalId");
    assert_eq!(hub, ["C1|Åkerlund & Söner|trial|12.50", "C2|Beta|NULL|NULL", "C3|東京 Labs|live|0.10"]);
    let second = &bench.run(&["run", "--json"]).expect(0).json()[0];
    assert_eq!((&second["sent"], &second["unchanged"]), (&0.into(), &6.into()));
}

#[test]
fn rejects_are_3_and_the_other_rows_go_on() {
    let bench = Bench::with_companies();
    bench.lake("INSERT INTO companies VALUES ('C4', NULL, 'live', NULL)");
    bench.run(&["run"]).expect(3);
    assert_eq!(bench.hub_rows("SELECT count(*) FROM hub_r_company"), ["3"]);
    let rejects = bench.run(&["rejects", "--json"]).expect(0).json();
    assert_eq!(rejects.len(), 1);
    assert_eq!((&rejects[0]["key"], &rejects[0]["field"]), (&"C4".into(), &"name".into()));
    bench.lake("UPDATE companies SET name = 'Delta' WHERE company_id = 'C4'");
    bench.run(&["retry", "companies"]).expect(0);
    assert_eq!(bench.hub_rows("SELECT count(*) FROM hub_r_company"), ["4"]);
    assert_eq!(bench.run(&["rejects", "--json"]).expect(0).stdout, "");
}

#[test]
fn a_failure_is_1_and_of_several_syncs_the_worst_counts() {
    let bench = Bench::with_companies();
    bench.write(
        "syncs/lost.yaml",
        "version: 1\nwarehouse: { connection: lake, relation: nowhere }\nplatform: { connection: crm, model: user }\n\
         key: { warehouse: id, platform: externalId }\nfields:\n  - { warehouse: nick, platform: nickName }\n",
    );
    let done = bench.run(&["run", "--json"]).expect(1).says(&["nowhere"]);
    let lines = done.json();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let of = |sync: &str| lines.iter().find(|line| line["sync"] == sync).expect("a line").clone();
    assert_eq!(of("companies")["status"], "succeeded");
    assert_eq!(of("lost")["status"], "failed");
    assert_eq!(of("lost")["error"]["code"], "not_found");
}

#[test]
fn a_tripped_guard_is_1_with_its_code_and_can_be_forced() {
    let bench = Bench::with_companies();
    let many: Vec<String> = (10..110).map(|i| format!("('C{i}','n{i}','p',NULL)")).collect();
    bench.lake(&format!("INSERT INTO companies VALUES {}", many.join(",")));
    bench.write("syncs/companies.yaml", &COMPANIES.replace("fields:", "deletes: propagate\nfields:"));
    bench.run(&["run"]).expect(0);
    bench.lake("DELETE FROM companies WHERE company_id > 'C40'");
    let before = bench.hub_rows("SELECT count(*) FROM hub_r_company WHERE deleted = 0");
    let done = bench.run(&["run", "--json"]).expect(1);
    assert_eq!(done.json()[0]["error"]["code"], "guard");
    assert_eq!(bench.hub_rows("SELECT count(*) FROM hub_r_company WHERE deleted = 0"), before);
    bench.run(&["run", "--force-guard", "max_delete_pct"]).expect(0);
    let left = bench.lake_rows("SELECT count(*) FROM companies");
    assert_eq!(bench.hub_rows("SELECT count(*) FROM hub_r_company WHERE deleted = 0"), left);
}

#[test]
fn quiet_prints_errors_only() {
    let bench = Bench::with_companies();
    let done = bench.run(&["run", "--quiet"]).expect(0);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
    let done = bench.run(&["run", "nothing", "--quiet"]).expect(2);
    assert_eq!(done.stdout, "");
    assert!(done.stderr.starts_with("error: there is no sync `nothing`\n  hint: "), "{}", done.stderr);
}

#[test]
fn a_pipe_gets_no_colours_and_an_aligned_table() {
    let bench = Bench::with_companies();
    let done = bench.run(&["run"]).expect(0);
    assert!(!done.stdout.contains('\u{1b}') && !done.stderr.contains('\u{1b}'));
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(lines[0].find("status"), lines[1].find("succeeded"), "{}", done.stdout);
}

#[test]
fn a_switched_off_connection_is_not_touched() {
    let bench = Bench::with_companies();
    bench.run(&["run"]).expect(0);
    bench.write("connections/crm.yaml", "version: 1\ntype: hub\nurl: sqlite:.tidegate/hub.db\nenabled: false\n");
    bench.lake("UPDATE companies SET name = 'New' WHERE company_id = 'C1'");
    bench.run(&["run", "companies"]).expect(2).says(&["switched off", "enabled: true"]);
    bench.run(&["run"]).expect(2);
    bench.run(&["plan", "companies"]).expect(2);
    bench.run(&["hub", "set", "company", "C1", "name=X"]).expect(2);
    assert_eq!(bench.hub_rows("SELECT name FROM hub_r_company WHERE externalId = 'C1'"), ["Åkerlund & Söner"]);
}

#[test]
fn a_lease_that_is_held_elsewhere_is_1_with_its_code() {
    let bench = Bench::with_companies();
    bench.run(&["run"]).expect(0);
    let url = format!("sqlite:{}", bench.path(".tidegate/state.db").display());
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let state = tidegate_store::open(&url, &tidegate_store::OpenOptions::default()).await.expect("opened");
        let micros = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_micros();
        let now = tidegate_model::Instant(i64::try_from(micros).expect("a time"));
        state.claim("companies", "somebody", now).await.expect("claimed");
    });
    let done = bench.run(&["run", "--json"]).expect(1);
    assert_eq!(done.json()[0]["error"]["code"], "locked");
    assert_eq!(done.json()[0]["run"], serde_json::Value::Null);
}
