//! A project whose warehouse is BigQuery's emulator: both ways, in part after the first full sync, appends, replaces.

use std::io::{Read, Write};

use serde_json::{Value, json};

use super::bench::{Bench, Done, USAGE};

/// A project of the emulator, whose clock is ahead of its history, and a folder that syncs it.
struct OnBigQuery {
    bench: Bench,
    host: String,
    dataset: String,
}

/// The project whose clock is ahead of its history.
const PROJECT: &str = "ahead";

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
        let both = std::env::var("TIDEGATE_TEST_BIGQUERY")
            .expect("TIDEGATE_TEST_BIGQUERY names an emulator; `./test` starts one and sets it");
        let (rest, storage) = both.split_once(' ').expect("two addresses");
        let dataset = format!("e2e_{what}_{}", std::process::id());
        let bench = Bench::new();
        bench.write(
            "connections/lake.yaml",
            &format!(
                "version: 1\ntype: bigquery\nproject: {PROJECT}\ndataset: {dataset}\nendpoint: {rest}\nstorage_endpoint: {storage}\n\
                 auth: {{ method: none }}\naccess: write\nwork_schema: {dataset}_TIDEGATE\n"
            ),
        );
        let host = rest.trim_start_matches("http://").to_owned();
        let lake = Self { bench, host, dataset };
        lake.post("datasets", &json!({ "datasetReference": { "projectId": PROJECT, "datasetId": lake.dataset } }));
        lake
    }

    fn post(&self, what: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut line = std::net::TcpStream::connect(&self.host).expect("the emulator");
        write!(
            line,
            "POST /bigquery/v2/projects/{}/{what} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            PROJECT,
            self.host,
            body.len()
        )
        .expect("sent");
        let mut answer = String::new();
        line.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(head.contains(" 200 "), "{head}\n{body}");
        serde_json::from_str(body).expect("JSON")
    }

    /// The first column of a statement's rows.
    fn sql(&self, sql: &str) -> Vec<String> {
        let dataset = json!({ "projectId": PROJECT, "datasetId": self.dataset });
        let answer = self.post(
            "queries",
            &json!({ "query": sql, "useLegacySql": false, "timeoutMs": 60_000, "defaultDataset": dataset }),
        );
        let rows = answer["rows"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| row["f"][0]["v"].as_str().unwrap_or("NULL").to_owned()).collect()
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
