//! A project whose warehouse is BigQuery's emulator: both ways, in part after the first full sync, appends, replaces.

use serde_json::{Value, json};

use super::bench::{Bench, Done, USAGE};
use super::lake::Lake;

/// A folder that syncs a dataset.
struct OnBigQuery {
    bench: Bench,
    lake: Lake,
}

const COMPANIES: &str = "\
version: 1
warehouse: { connection: lake, relation: companies }
platform:  { connection: crm, model: company }
direction: both
key: { warehouse: company_id, platform: externalId }
fields:
  - { warehouse: name,   platform: name }
  - { warehouse: phase,  platform: phase }
  - { warehouse: arr,    platform: custom.ARR, direction: to_platform }
";

const SCORES: &str = "\
version: 1
warehouse: { connection: lake, relation: crm_scores }
platform:  { connection: crm, model: company }
direction: to_warehouse
key: { warehouse: company_id, platform: externalId }
write: replace
fields:
  - { warehouse: name, platform: name }
";

const REVENUE: &str = "\
version: 1
warehouse: { connection: lake, relation: revenue }
platform:  { connection: crm, model: \"dataset:revenue\" }
direction: to_platform
key: { warehouse: invoice_id }
changes: cursor
cursor: { column: updated_at, lookback: 10m }
write: upsert
fields: all
";

impl OnBigQuery {
    fn new(what: &str) -> Self {
        let (bench, lake) = (Bench::new(), Lake::new(what));
        bench.write("connections/lake.yaml", &lake.connection());
        Self { bench, lake }
    }

    fn sql(&self, sql: &str) -> Vec<String> {
        self.lake.sql(sql)
    }

    fn run(&self, args: &[&str]) -> Done {
        self.bench.command(args).output().expect("started").into()
    }

    /// What a run of one sync counted.
    fn counts(&self, args: &[&str]) -> Value {
        let done = self.run(args).expect(0);
        done.json().pop().expect("a run")
    }
}

#[test]
fn bigquery_is_kept_in_step_both_ways_in_part_after_the_first_sync() {
    let lake = OnBigQuery::new("both");
    lake.sql(
        "CREATE TABLE companies (company_id STRING NOT NULL, name STRING, phase STRING, arr NUMERIC(12, 2)) \
         OPTIONS (enable_change_history = TRUE)",
    );
    lake.sql(
        "INSERT INTO companies VALUES ('C1', 'Åkerlund & Söner', 'trial', 12.50), ('C2', 'Beta', NULL, NULL), ('C3', '東京 Labs', 'live', 0.10)",
    );
    lake.bench.write("syncs/companies.yaml", COMPANIES);
    lake.run(&["check"]).expect(0);
    let first = lake.counts(&["run", "companies", "--json"]);
    assert_eq!((&first["mode"], &first["created"]), (&json!("full"), &json!(3)), "{first}");
    assert!(first["bytes_billed"].is_u64(), "{first}");
    let quiet = lake.counts(&["run", "companies", "--json"]);
    assert_eq!(
        (&quiet["created"], &quiet["updated"], &quiet["conflicts"]),
        (&json!(0), &json!(0), &json!(0)),
        "{quiet}"
    );
    lake.sql("UPDATE companies SET name = 'Beta AB' WHERE company_id = 'C2'");
    lake.sql("INSERT INTO companies VALUES ('C4', 'Delta', NULL, 7)");
    lake.run(&["hub", "set", "company", "C3", "phase=Churned"]).expect(0);
    let part = lake.counts(&["run", "companies", "--json"]);
    assert_ne!(part["mode"], "full", "{part}");
    assert_eq!((&part["to_platform"]["created"], &part["to_platform"]["updated"]), (&json!(1), &json!(1)), "{part}");
    assert_eq!(part["to_warehouse"]["updated"], 1, "{part}");
    assert_eq!(lake.sql("SELECT phase FROM companies WHERE company_id = 'C3'"), ["Churned"]);
    let after = lake.counts(&["run", "companies", "--json"]);
    assert_eq!((&after["created"], &after["updated"]), (&json!(0), &json!(0)), "an echo: {after}");
    let full = lake.counts(&["run", "companies", "--full", "--json"]);
    assert_eq!((&full["created"], &full["updated"], &full["rejected"]), (&json!(0), &json!(0), &json!(0)), "{full}");
}

#[test]
fn bigquery_gives_usage_and_takes_a_table() {
    let lake = OnBigQuery::new("usage");
    lake.sql("CREATE TABLE companies (company_id STRING NOT NULL, name STRING, phase STRING, arr NUMERIC(12, 2))");
    lake.sql("INSERT INTO companies VALUES ('C1', 'Acme', NULL, 1), ('C2', 'Beta', NULL, 2)");
    lake.sql("CREATE TABLE usage_events (event_id INT64, company_id STRING, action STRING, at TIMESTAMP)");
    lake.sql("INSERT INTO usage_events VALUES (1, 'C1', 'login', TIMESTAMP '2026-01-01 00:00:00+00'), (2, 'C2', 'login', TIMESTAMP '2026-01-02 00:00:00+00')");
    lake.sql("CREATE TABLE crm_scores (company_id STRING, name STRING)");
    lake.sql("INSERT INTO crm_scores VALUES ('old', 'gone')");
    lake.bench.write("syncs/companies.yaml", COMPANIES);
    lake.bench.write("syncs/usage.yaml", USAGE);
    lake.bench.write("syncs/scores.yaml", SCORES);
    lake.run(&["run", "--json"]).expect(0);
    assert_eq!(
        lake.sql("SELECT CONCAT(company_id, ' ', name) FROM crm_scores ORDER BY company_id"),
        ["C1 Acme", "C2 Beta"]
    );
    lake.sql("INSERT INTO usage_events VALUES (3, 'C1', 'logout', TIMESTAMP '2026-01-03 00:00:00+00')");
    assert_eq!(lake.counts(&["run", "usage", "--json"])["created"], 1);
    assert_eq!(lake.run(&["hub", "list", "user_activity", "--json"]).expect(0).json().len(), 3);
}

/// Each table that a query names is 10 MB to the emulator, as BigQuery's least charge is.
const TABLE: u64 = 10 << 20;

#[test]
fn bigquery_says_its_price_before_and_after_and_keeps_below_the_guard() {
    let lake = OnBigQuery::new("price");
    lake.sql("CREATE TABLE companies (company_id STRING, name STRING, phase STRING, arr NUMERIC(12, 2))");
    lake.sql("INSERT INTO companies VALUES ('C1', 'Acme', NULL, 1)");
    lake.bench.write("syncs/companies.yaml", &COMPANIES.replace("direction: both", "direction: to_platform"));
    let plan = lake.run(&["plan", "companies", "--json"]).expect(0).json().pop().expect("a summary");
    let summary = &plan["summary"];
    assert_eq!(summary["bytes_to_read"], TABLE, "{plan}");
    // The plan reads too; to describe a table is one query more.
    assert_eq!(summary["bytes_billed"], TABLE, "{plan}");
    let told = lake.run(&["plan", "companies"]).expect(0).stdout;
    assert!(told.contains("the run's read of the warehouse is billed 10.0 MB, this plan was 10.0 MB"), "{told}");
    let run = lake.counts(&["run", "companies", "--json"]);
    assert_eq!(run["bytes_billed"], TABLE, "{run}");
    let log = lake.run(&["logs", run["run"].as_str().expect("an id")]).expect(0).stdout;
    assert!(log.contains("the warehouse billed 10.0 MB"), "{log}");
    let file = format!("{}maximum_bytes_billed: 1000000\n", lake.lake.connection());
    lake.bench.write("connections/lake.yaml", &file);
    let check = lake.run(&["check"]);
    assert!(check.stdout.contains("over_budget") && check.stdout.contains("maximum_bytes_billed"), "{}", check.stdout);
    let refused = lake.run(&["run", "companies", "--json"]);
    assert_ne!(refused.code, 0);
    let line = refused.json().pop().expect("a run");
    assert_eq!((&line["error"]["code"], &line["bytes_billed"]), (&json!("guard"), &json!(0)), "{line}");
}

/// What a plan says that a run's reads will be billed is what the run is billed, however the changes are found.
#[test]
fn bigquery_foretells_what_a_run_is_billed() {
    let lake = OnBigQuery::new("foretold");
    let costs = |sync: &str, tables: u64, least: bool| {
        let plan = lake.run(&["plan", sync, "--json"]).expect(0).json().pop().expect("a summary");
        let summary = &plan["summary"];
        assert_eq!(summary["bytes_to_read"], tables * TABLE, "{plan}");
        assert_eq!(summary["bytes_least"].as_bool().unwrap_or(false), least, "{plan}");
        let run = lake.counts(&["run", sync, "--json"]);
        assert_eq!(run["bytes_billed"], tables * TABLE, "{run}");
        (plan, run)
    };
    lake.sql(
        "CREATE TABLE companies (company_id STRING, name STRING, phase STRING, arr NUMERIC(12, 2)) OPTIONS (enable_change_history = TRUE)",
    );
    lake.sql("INSERT INTO companies VALUES ('C1', 'Acme', NULL, 1), ('C2', 'Beta', NULL, 2)");
    lake.sql("CREATE TABLE usage_events (event_id INT64, company_id STRING, action STRING, at TIMESTAMP)");
    lake.sql("INSERT INTO usage_events VALUES (1, 'C1', 'login', TIMESTAMP '2026-01-01 00:00:00+00')");
    lake.sql("CREATE TABLE revenue (invoice_id STRING, amount NUMERIC(14, 2), updated_at TIMESTAMP)");
    lake.sql("INSERT INTO revenue VALUES ('I1', 1.25, TIMESTAMP '2026-01-01 00:00:00+00')");
    lake.bench.write("syncs/companies.yaml", &COMPANIES.replace("direction: both", "direction: to_platform"));
    let tracking =
        USAGE.replace("changes: cursor\ncursor: { column: event_id, lookback: 10 }\n", "changes: tracking\n");
    lake.bench.write("syncs/usage.yaml", &tracking);
    lake.bench.write("syncs/revenue.yaml", REVENUE);

    costs("companies", 1, false);
    let (idle, _) = costs("companies", 0, false);
    assert!(idle["summary"]["based_on"].as_str().is_some_and(|text| text.contains("nothing changed")), "{idle}");
    lake.sql("UPDATE companies SET name = 'Beta AB' WHERE company_id = 'C2'");
    // The window, and the rows of its keys as they stand.
    let (plan, run) = costs("companies", 2, false);
    assert_eq!((&plan["summary"]["updated"], &run["updated"]), (&json!(1), &json!(1)), "{run}");

    costs("usage", 1, false);
    lake.sql("INSERT INTO usage_events VALUES (2, 'C2', 'login', TIMESTAMP '2026-01-02 00:00:00+00')");
    let (plan, run) = costs("usage", 2, true);
    assert_eq!((&plan["summary"]["whole_columns"], &run["created"]), (&json!(true), &json!(1)), "{run}");
    let told = lake.run(&["plan", "usage"]).expect(0).stdout;
    assert!(told.contains("which rows are new only the run finds") && told.contains("is billed 0.0 MB"), "{told}");
    lake.run(&["plan", "usage", "--out", "plan.json"]).says(&["no change to keep", "--out"]);

    // The greatest cursor, the keys (which may stand twice), the rows; later the rows of the window's keys, too.
    costs("revenue", 3, false);
    lake.sql("INSERT INTO revenue VALUES ('I2', 2.5, TIMESTAMP '2026-02-01 00:00:00+00')");
    let (_, run) = costs("revenue", 4, true);
    assert_eq!(run["created"], 1, "{run}");
}

/// NUMERIC(P) is a usage key as INT64 is; without `(P)` it has decimal places, and is refused with what to do.
#[test]
fn bigquery_keys_of_usage_are_whole_numbers() {
    let lake = OnBigQuery::new("keys");
    lake.sql("CREATE TABLE usage_events (event_id NUMERIC(29), company_id STRING, action STRING, at TIMESTAMP)");
    for key in ["7", "99999999999999999999", "100000000000000000000"] {
        lake.sql(&format!(
            "INSERT INTO usage_events VALUES (NUMERIC '{key}', 'C1', 'login', TIMESTAMP '2026-01-01 00:00:00+00')"
        ));
    }
    lake.bench.write("syncs/usage.yaml", USAGE);
    lake.run(&["check", "usage"]).expect(0);
    lake.run(&["hub", "set", "company", "C1", "name=Acme"]).expect(0);
    let run = lake.counts(&["run", "usage", "--json"]);
    assert_eq!((&run["read"], &run["created"]), (&json!(3), &json!(3)), "{run}");
    let again = lake.counts(&["run", "usage", "--json"]);
    assert_eq!((&again["created"], &again["rejected"]), (&json!(0), &json!(0)), "{again}");
    lake.sql("CREATE OR REPLACE TABLE usage_events (event_id NUMERIC, company_id STRING, action STRING, at TIMESTAMP)");
    let check = lake.run(&["check", "usage"]);
    assert_eq!(check.code, 1, "{}", check.stdout);
    for text in ["usage_key_not_numeric", "is NUMERIC, and keys of usage are whole numbers", "without decimal places"] {
        assert!(check.stdout.contains(text), "no {text} in {}", check.stdout);
    }
}

/// Rows that are only added need no history: APPENDS tells which came.
#[test]
fn bigquery_gives_what_was_added_to_a_table_without_a_history() {
    let lake = OnBigQuery::new("appends");
    lake.sql("CREATE TABLE companies (company_id STRING NOT NULL, name STRING, phase STRING, arr NUMERIC(12, 2))");
    lake.sql("INSERT INTO companies VALUES ('C1', 'Acme', NULL, 1)");
    lake.sql("CREATE TABLE usage_events (event_id INT64, company_id STRING, action STRING, at TIMESTAMP)");
    let insert = |from: u32, to: u32| {
        lake.sql(&format!(
            "INSERT INTO usage_events SELECT n, 'C1', 'login', TIMESTAMP '2026-01-01 00:00:00+00' FROM UNNEST(GENERATE_ARRAY({from}, {to})) AS n"
        ))
    };
    insert(100, 119);
    lake.bench.write("syncs/companies.yaml", COMPANIES);
    let usage = USAGE.replace("changes: cursor\ncursor: { column: event_id, lookback: 10 }\n", "changes: tracking\n");
    lake.bench.write("syncs/usage.yaml", &usage);
    let check = lake.run(&["check"]).expect(0);
    assert!(!check.stdout.contains("tracking_is_off"), "{}", check.stdout);
    lake.run(&["run", "companies"]).expect(0);
    let first = lake.counts(&["run", "usage", "--json"]);
    assert_eq!((&first["mode"], &first["created"]), (&json!("full"), &json!(20)), "{first}");
    insert(200, 204);
    // What was changed is no new row.
    lake.sql("UPDATE usage_events SET action = 'logout' WHERE event_id = 100");
    let second = lake.counts(&["run", "usage", "--json"]);
    assert_eq!(
        (&second["mode"], &second["read"], &second["created"]),
        (&json!("tracking"), &json!(5), &json!(5)),
        "{second}"
    );
    let idle = lake.counts(&["run", "usage", "--json"]);
    assert_eq!((&idle["read"], &idle["created"]), (&json!(0), &json!(0)), "{idle}");
    assert_eq!(lake.run(&["hub", "list", "user_activity", "--json"]).expect(0).json().len(), 25);
}
