//! Snowflake as the warehouse, on the stand-in that `scripts/services` starts: changes only, after the first run.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::account::{Account, PASSWORD};
use super::bench::{Bench, COMPANIES};

/// A project whose warehouse is an account of its own, with so many companies.
fn bench(account: &Account, companies: u32, sync: &str) -> Bench {
    let bench = Bench::new();
    bench.write("connections/lake.yaml", &account.connection());
    bench.write("syncs/companies.yaml", sync);
    account.sql(
        "CREATE TABLE \"companies\" (\"company_id\" VARCHAR(40), \"name\" VARCHAR, \"phase\" VARCHAR, \"arr\" NUMBER(12,2))",
    );
    account.sql(&format!(
        "INSERT INTO \"companies\" SELECT 'C' || SEQ4(), 'Company ' || SEQ4(), 'live', 10.5 FROM TABLE(GENERATOR(ROWCOUNT => {companies}))"
    ));
    bench
}

fn run(bench: &Bench) -> (Value, String) {
    let out = bench.command(&["run", "companies", "--json"]).env(PASSWORD.0, PASSWORD.1).output().expect("started");
    let done = super::bench::Done::from(out).expect(0);
    let told = done.json().remove(0);
    let log = bench.run(&["logs", told["run"].as_str().expect("an id")]).expect(0).stdout;
    (told, log)
}

/// Puts the account's clock forward.
fn advance(account: &Account, seconds: u32) {
    account.sql(&format!("CALL STAND_IN$ADVANCE({seconds})"));
}

fn counts(told: &Value, side: &str) -> [u64; 4] {
    ["read", "created", "updated", "deleted"].map(|name| told[side][name].as_u64().expect("a number"))
}

/// Both ways over the change history. The account's clock is put past the lag before each run.
#[test]
fn of_a_hundred_thousand_rows_one_that_changed_is_read() {
    let account = Account::new();
    let bench = bench(&account, 100_000, COMPANIES);
    account.sql("ALTER TABLE \"companies\" SET CHANGE_TRACKING = TRUE");
    advance(&account, 90);
    let (first, _) = run(&bench);
    assert_eq!((&first["mode"], counts(&first, "to_platform")), (&"full".into(), [100_000, 100_000, 0, 0]));
    // The hub tells what was written to it; from then on the images are known.
    let (second, _) = run(&bench);
    assert_eq!((&second["mode"], second["updated"].as_u64()), (&"tracking".into(), Some(0)));
    account.sql("UPDATE \"companies\" SET \"name\" = 'Renamed' WHERE \"company_id\" = 'C777'");
    advance(&account, 90);
    let (third, _) = run(&bench);
    assert_eq!((&third["mode"], counts(&third, "to_platform")), (&"tracking".into(), [1, 0, 1, 0]), "{third}");
    assert_eq!(bench.hub_rows("SELECT name FROM hub_r_company WHERE externalId = 'C777'"), ["Renamed"]);
    // And the other way; what tidegate wrote there does not come back as an edit.
    bench.run(&["hub", "set", "company", "C5", "phase=Edited"]).expect(0);
    let (fourth, _) = run(&bench);
    assert_eq!(counts(&fourth, "to_warehouse")[2], 1, "{fourth}");
    assert_eq!(account.count("SELECT 1 FROM \"companies\" WHERE \"company_id\" = 'C5' AND \"phase\" = 'Edited'"), 1);
    advance(&account, 90);
    let (fifth, _) = run(&bench);
    assert_eq!((fifth["updated"].as_u64(), fifth["status"].as_str()), (Some(0), Some("succeeded")), "{fifth}");
    // Nothing happens for half an hour: the gate spares the query.
    advance(&account, 900);
    run(&bench);
    advance(&account, 900);
    let (idle, log) = run(&bench);
    assert_eq!(idle["read"], 0, "{idle}");
    assert!(log.contains("nothing changed since the last run"), "{log}");
    account.sql("DELETE FROM \"companies\" WHERE \"company_id\" = 'C9'");
    advance(&account, 90);
    let (gone, _) = run(&bench);
    assert_eq!(counts(&gone, "to_platform")[0], 1, "{gone}");
}

#[test]
fn history_that_is_gone_is_answered_with_one_full_read() {
    let account = Account::new();
    let bench = bench(&account, 50, COMPANIES);
    account.sql("ALTER TABLE \"companies\" SET CHANGE_TRACKING = TRUE");
    advance(&account, 90);
    run(&bench);
    run(&bench);
    account.sql("UPDATE \"companies\" SET \"name\" = 'Too late' WHERE \"company_id\" = 'C7'");
    advance(&account, 2 * 86_400);
    let (expired, log) = run(&bench);
    assert_eq!((expired["to_platform"]["updated"].as_u64(), counts(&expired, "to_platform")[0]), (Some(1), 50));
    assert!(log.contains("history"), "{log}");
    // Made anew, as dbt does, with a column more.
    account.sql(
        "CREATE OR REPLACE TABLE \"companies\" AS SELECT \"company_id\", \"name\", \"phase\", \"arr\", 1 AS \"more\" FROM \"companies\" WHERE \"company_id\" <> 'C8'",
    );
    account.sql("ALTER TABLE \"companies\" SET CHANGE_TRACKING = TRUE");
    account.sql("UPDATE \"companies\" SET \"name\" = 'Made anew' WHERE \"company_id\" = 'C3'");
    advance(&account, 90);
    let (anew, _) = run(&bench);
    assert_eq!(anew["to_platform"]["updated"].as_u64(), Some(1), "{anew}");
    account.sql("UPDATE \"companies\" SET \"name\" = 'And on' WHERE \"company_id\" = 'C4'");
    advance(&account, 90);
    let (on, _) = run(&bench);
    // The one that changed, and the one that the hub tells of because the run before wrote it.
    assert_eq!((on["mode"].as_str(), counts(&on, "to_platform")), (Some("tracking"), [2, 0, 1, 0]), "{on}");
    assert_eq!(
        bench.hub_rows("SELECT count(*) FROM hub_r_company WHERE name IN ('Too late', 'Made anew', 'And on')"),
        ["3"]
    );
}

/// Who stops a run does not leave its statement to the warehouse, which would bill for an hour of it.
#[test]
fn a_run_that_is_stopped_aborts_its_statement_and_ends_its_sessions() {
    let account = Account::new();
    let bench = bench(&account, 50, COMPANIES);
    let sessions = "CALL STAND_IN$SESSIONS()";
    run(&bench);
    assert_eq!(account.count(sessions), 0, "sessions of a run that is over");
    account.sql("CALL STAND_IN$FAULT('hangs', 1)");
    let mut command = bench.command(&["run", "companies", "--full", "--json"]);
    command.env(PASSWORD.0, PASSWORD.1).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("started");
    let begun = Instant::now();
    while account.count("CALL STAND_IN$HANGING()") == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "no statement hangs");
        std::thread::sleep(Duration::from_millis(20));
    }
    let stopped = Instant::now();
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("sent");
    let done: super::bench::Done = child.wait_with_output().expect("ended").into();
    assert_eq!(done.code, 130, "{} {}", done.stdout, done.stderr);
    assert!(stopped.elapsed() < Duration::from_secs(8), "it was ended by force");
    assert_eq!(account.count("CALL STAND_IN$ABORTED()"), 1);
    assert_eq!(account.count(sessions), 0);
}

const STREAM: &str = "\
version: 1
warehouse: { connection: lake, relation: changes }
platform:  { connection: crm, model: company }
direction: to_platform
key: { warehouse: company_id, platform: externalId }
fields:
  - { warehouse: name,  platform: name }
  - { warehouse: phase, platform: phase }
";

#[test]
fn a_stream_is_moved_delivered_and_said_when_it_goes_stale() {
    let account = Account::new();
    let bench = bench(&account, 50, STREAM);
    account.sql("CREATE STREAM \"changes\" ON TABLE \"companies\"");
    let (first, _) = run(&bench);
    assert_eq!((first["mode"].as_str(), counts(&first, "to_platform")), (Some("full"), [50, 50, 0, 0]));
    account.sql("UPDATE \"companies\" SET \"name\" = 'Renamed' WHERE \"company_id\" = 'C7'");
    account.sql("ALTER TABLE \"companies\" ADD COLUMN \"more\" VARCHAR");
    account.sql("INSERT INTO \"companies\" VALUES ('N1', 'New', 'live', 1, 'm')");
    let (second, log) = run(&bench);
    assert_eq!((second["mode"].as_str(), counts(&second, "to_platform")), (Some("stream"), [2, 1, 1, 0]), "{log}");
    assert_eq!(account.count("SELECT 1 FROM \"TIDEGATE\".\"OUTBOX_companies\""), 0, "what was delivered waits on");
    account.sql("UPDATE \"companies\" SET \"name\" = 'While it went stale' WHERE \"company_id\" = 'C8'");
    advance(&account, 15 * 86_400);
    let (stale, log) = run(&bench);
    assert_eq!(counts(&stale, "to_platform"), [51, 0, 1, 0], "{log}");
    assert!(log.contains("is stale") && log.contains("CREATE OR REPLACE STREAM"), "{log}");
    account.sql("CREATE OR REPLACE STREAM \"changes\" ON TABLE \"companies\"");
    let (anew, log) = run(&bench);
    assert_eq!(counts(&anew, "to_platform")[0], 51, "{log}");
    account.sql("UPDATE \"companies\" SET \"name\" = 'And on' WHERE \"company_id\" = 'C9'");
    let (on, log) = run(&bench);
    assert_eq!((on["mode"].as_str(), counts(&on, "to_platform")), (Some("stream"), [1, 0, 1, 0]), "{log}");
}

/// Both ways over a stream: what the platform changes goes to the table that the stream is on, and what was written there
/// comes back through the stream as nothing new.
#[test]
fn a_stream_serves_both_ways() {
    let account = Account::new();
    let bench = bench(&account, 50, &COMPANIES.replace("relation: companies", "relation: changes"));
    account.sql("CREATE STREAM \"changes\" ON TABLE \"companies\"");
    let (first, _) = run(&bench);
    assert_eq!((first["mode"].as_str(), counts(&first, "to_platform")), (Some("full"), [50, 50, 0, 0]));
    run(&bench);
    // The same record on both sides, in fields of their own; and one on each side alone.
    account.sql("UPDATE \"companies\" SET \"name\" = 'Renamed' WHERE \"company_id\" IN ('C7', 'C8')");
    bench.run(&["hub", "set", "company", "C7", "phase=Edited"]).expect(0);
    bench.run(&["hub", "set", "company", "C5", "phase=Edited"]).expect(0);
    let (second, log) = run(&bench);
    assert_eq!((second["mode"].as_str(), counts(&second, "to_platform")[2]), (Some("stream"), 2), "{second} {log}");
    assert_eq!(counts(&second, "to_warehouse")[2], 2, "{second}");
    let edited = "SELECT 1 FROM \"companies\" WHERE \"phase\" = 'Edited' AND \"company_id\" IN ('C5', 'C7')";
    assert_eq!(account.count(edited), 2);
    assert_eq!(account.count("SELECT 1 FROM \"companies\" WHERE \"company_id\" = 'C7' AND \"name\" = 'Renamed'"), 1);
    assert_eq!(bench.hub_rows("SELECT count(*) FROM hub_r_company WHERE name = 'Renamed'"), ["2"]);
    for echo in 0..2 {
        let (quiet, log) = run(&bench);
        assert_eq!(
            (quiet["updated"].as_u64(), quiet["status"].as_str()),
            (Some(0), Some("succeeded")),
            "{echo}: {quiet} {log}"
        );
    }
    assert_eq!(account.count("SELECT 1 FROM \"TIDEGATE\".\"OUTBOX_companies\""), 0, "what was delivered waits on");
}
