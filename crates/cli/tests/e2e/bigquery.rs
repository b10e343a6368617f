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
    let file = format!("{}maximum_bytes_billed: 1000000\n", lake.lake.connection());
    lake.bench.write("connections/lake.yaml", &file);
    let check = lake.run(&["check"]);
    assert!(check.stdout.contains("over_budget") && check.stdout.contains("maximum_bytes_billed"), "{}", check.stdout);
    let refused = lake.run(&["run", "companies", "--json"]);
    assert_ne!(refused.code, 0);
    let line = refused.json().pop().expect("a run");
    assert_eq!((&line["error"]["code"], &line["bytes_billed"]), (&json!("guard"), &json!(0)), "{line}");
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
