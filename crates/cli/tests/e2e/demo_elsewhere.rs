//! The demo's nine syncs with another warehouse than the demo's: everything once, then what changed, both ways.

use std::collections::BTreeMap;

use rusqlite::types::ValueRef;
use serde_json::{Map, Value, json};

use super::bench::{Bench, Done, rows, tidegate};

/// A warehouse that the story can be told on, seen as the owner of the data. Statements are in the words that all of
/// them know.
pub trait House {
    /// The connection's file.
    fn connection(&self) -> String;

    /// Makes a table; with a history of its changes where `tracked`.
    fn create(&self, table: &str, columns: &[(&str, &str)], tracked: bool);

    /// Puts rows into a table.
    fn fill(&self, table: &str, columns: &[(&str, &str)], rows: &[Map<String, Value>]);

    /// The first column of a statement's rows, as text.
    fn sql(&self, sql: &str) -> Vec<String>;

    /// An instant as an expression.
    fn instant(&self, text: &str) -> String;

    /// Waits until what was written is history.
    fn settle(&self);

    /// What each run has to say on this warehouse.
    fn told(&self, run: &Value);
}

/// The tables of the demo, in BigQuery's words, each with the rows that are taken of it: the people of the first companies
/// and some of the usage are enough, and emulators are not fast.
const TABLES: [(&str, &str, &str); 9] = [
    (
        "companies",
        "company_id STRING NOT NULL, name STRING, phase STRING, status STRING, country STRING, website STRING, arr NUMERIC(14,2), health INT64, updated_at TIMESTAMP",
        "TRUE",
    ),
    (
        "end_users",
        "user_id STRING NOT NULL, email STRING, first_name STRING, last_name STRING, position STRING, company_id STRING, last_seen TIMESTAMP, updated_at TIMESTAMP",
        "user_id <= 'U001000'",
    ),
    (
        "licenses",
        "license_id STRING, company_id STRING, product STRING, currency STRING, mrr NUMERIC(12,2), from_date STRING, to_date DATE",
        "TRUE",
    ),
    (
        "opportunities",
        "opportunity_id STRING, company_id STRING, title STRING, stage STRING, arr NUMERIC(14,2), close_date DATE, is_won BOOL",
        "TRUE",
    ),
    (
        "usage_events",
        "event_id INT64 NOT NULL, company_id STRING, email STRING, action STRING, weight INT64, happened_at TIMESTAMP",
        "event_id <= 5000",
    ),
    ("seats", "metric_id INT64 NOT NULL, company_id STRING, seats INT64, day DATE", "metric_id <= 2000"),
    (
        "revenue",
        "invoice_id STRING NOT NULL, company_id STRING, email STRING, amount NUMERIC(14,2), currency STRING, paid BOOL, updated_at TIMESTAMP",
        "invoice_id <= 'INV-001000'",
    ),
    ("crm_scores", "company_id STRING NOT NULL, name STRING, score INT64", "FALSE"),
    ("crm_customer_log", "company_id STRING NOT NULL, name STRING, country STRING", "FALSE"),
];

/// Columns and their types, the type with what stands behind it.
fn split(columns: &str) -> Vec<(&str, &str)> {
    columns.split(", ").map(|column| column.split_once(' ').expect("a name and a type")).collect()
}

/// The rows of a table of the demo's file.
fn taken(file: &std::path::Path, table: &str, columns: &[(&str, &str)], wanted: &str) -> Vec<Map<String, Value>> {
    let db = rusqlite::Connection::open(file).expect("opened");
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let mut statement = db.prepare(&format!("SELECT {} FROM {table} WHERE {wanted}", names.join(", "))).expect("SQL");
    let mut found = statement.query([]).expect("rows");
    let mut out = Vec::new();
    while let Some(row) = found.next().expect("a row") {
        let mut line = Map::new();
        for (at, (name, kind)) in columns.iter().enumerate() {
            let value = match row.get_ref(at).expect("a cell") {
                ValueRef::Null => continue,
                ValueRef::Integer(n) if *kind == "BOOL" => json!(n == 1),
                ValueRef::Integer(n) => json!(n),
                ValueRef::Real(x) => json!(x.to_string()),
                other => json!(other.as_str().expect("text")),
            };
            line.insert((*name).to_owned(), value);
        }
        out.push(line);
    }
    out
}

/// The demo's project with its warehouse elsewhere. Its rows are taken from the file that the demo itself makes.
fn project(house: &dyn House) -> Bench {
    let made = tempfile::tempdir().expect("a folder");
    let demo = made.path().join("demo");
    let done: Done = tidegate().arg("demo").arg(&demo).arg("--quiet").output().expect("started").into();
    done.expect(0);
    let bench = Bench::new();
    let read = |path: &std::path::Path| std::fs::read_to_string(path).expect("read");
    bench.write("tidegate.yaml", &read(&demo.join("tidegate.yaml")));
    bench.write("connections/crm.yaml", &read(&demo.join("connections/crm.yaml")));
    bench.write("connections/lake.yaml", &house.connection());
    for entry in std::fs::read_dir(demo.join("syncs")).expect("listed").map(Result::unwrap) {
        let name = entry.file_name().into_string().expect("a name");
        bench.write(&format!("syncs/{name}"), &read(&entry.path()));
    }
    for (table, columns, wanted) in TABLES {
        let columns = split(columns);
        house.create(table, &columns, !table.starts_with("crm_"));
        let rows = taken(&demo.join("warehouse.db"), table, &columns, wanted);
        if !rows.is_empty() {
            house.fill(table, &columns, &rows);
        }
    }
    bench
}

/// Runs all nine, whose rejects are part of the story; what each came to.
fn run(bench: &Bench, house: &dyn House) -> BTreeMap<String, Value> {
    house.settle();
    let done = bench.run(&["run", "--json"]).expect(3);
    let runs = done.json();
    assert_eq!(runs.len(), 9);
    for run in &runs {
        assert!(run["error"].is_null(), "{run}");
        house.told(run);
    }
    runs.into_iter().map(|run| (run["sync"].as_str().expect("a name").to_owned(), run)).collect()
}

fn modes(runs: &BTreeMap<String, Value>) -> Vec<(&str, &str)> {
    runs.iter().map(|(name, run)| (name.as_str(), run["mode"].as_str().expect("a mode"))).collect()
}

#[track_caller]
fn both_sides_agree(bench: &Bench, house: &dyn House) {
    let theirs = rows(
        &bench.path(".tidegate/hub.db"),
        "SELECT externalId || '|' || name || '|' || coalesce(phase, '') FROM hub_r_company WHERE deleted = 0 ORDER BY externalId",
    );
    let ours: Vec<String> = house
        .sql("SELECT CONCAT(company_id, '|', TRIM(name), '|', IFNULL(phase, '')) FROM companies ORDER BY company_id")
        .into_iter()
        .map(|line| line.replace("|trial", "|Trial"))
        .collect();
    let differing: Vec<_> = ours.iter().zip(&theirs).filter(|(a, b)| a != b).take(5).collect();
    assert_eq!((ours.len(), differing), (theirs.len(), Vec::new()));
}

/// Tells the story: each run is held against what it has to come to.
pub fn tell(house: &dyn House) {
    let bench = &project(house);
    let hub = bench.path(".tidegate/hub.db");
    let number = |sql: &str| rows(&hub, sql)[0].clone();
    bench.run(&["check"]).expect(0);
    let first = run(bench, house);
    let whole: Vec<&str> = modes(&first).into_iter().map(|(_, mode)| mode).collect();
    assert!(whole.iter().all(|mode| ["full", "replace", "cursor"].contains(mode)), "{whole:?}");
    both_sides_agree(bench, house);
    let known = "SELECT CAST(COUNT(*) AS STRING) FROM usage_events WHERE email IN (SELECT email FROM end_users WHERE company_id NOT LIKE 'GONE-%' OR company_id = 'GONE-3000')";
    assert_eq!(number("SELECT count(*) FROM hub_activity"), house.sql(known)[0]);
    assert_eq!(number("SELECT count(*) FROM hub_metric"), "2000");
    let customers = number("SELECT count(*) FROM hub_r_company WHERE status = 'customer' AND deleted = 0");
    for table in ["crm_scores", "crm_customer_log"] {
        assert_eq!(
            house.sql(&format!("SELECT CAST(COUNT(*) AS STRING) FROM {table}")),
            [customers.as_str()],
            "{table}"
        );
    }
    // The hub tells what was written to it; from then on both sides are known.
    house.settle();
    for sync in ["companies", "endusers"] {
        bench.run(&["run", sync, "--quiet"]);
    }

    house.sql("UPDATE companies SET name = CONCAT(name, ' Group') WHERE company_id BETWEEN 'C00001' AND 'C00020'");
    house.sql("UPDATE companies SET phase = 'Renewal' WHERE company_id IN ('C00101', 'C00102')");
    house.sql("UPDATE end_users SET position = 'Data Lead' WHERE user_id IN ('U000301', 'U000302')");
    let paid = house.instant("2026-05-01 09:00:00+00:00");
    house.sql(&format!("UPDATE revenue SET paid = TRUE, updated_at = {paid} WHERE invoice_id <= 'INV-000009'"));
    house.sql("INSERT INTO usage_events (event_id, company_id, email, action, weight, happened_at) SELECT event_id + 1000000, company_id, email, action, weight, happened_at FROM usage_events WHERE event_id <= 90");
    for (model, key, field) in [
        ("company", "C00031", "h=7"),
        ("company", "C00101", "phase=At risk"),
        ("enduser", "U000302", "position=Chief of Everything"),
        ("enduser", "U000303", "firstName=Renamed-in-the-CRM"),
        ("company", "CRM-77", "name=Born in the CRM Ltd"),
    ] {
        bench.run(&["hub", "set", model, key, field]).expect(0);
    }
    let second = run(bench, house);
    assert_eq!(
        modes(&second),
        [
            ("activities", "cursor"),
            ("companies", "tracking"),
            ("customer_log", "full"),
            ("endusers", "tracking"),
            ("licenses", "tracking"),
            ("metrics", "cursor"),
            ("opportunities", "tracking"),
            ("revenue", "cursor"),
            ("scores", "replace"),
        ]
    );
    let of = |sync: &str, side: &str, count: &str| second[sync][side][count].as_u64().expect("a count");
    assert_eq!(of("companies", "to_platform", "updated"), 22, "{}", second["companies"]);
    // Beside what changed only what was dropped before is looked at again.
    assert!(of("companies", "to_platform", "read") < 100, "{}", second["companies"]);
    assert_eq!((of("companies", "to_warehouse", "created"), of("companies", "to_warehouse", "updated")), (1, 1));
    assert_eq!((of("endusers", "to_platform", "updated"), of("endusers", "to_warehouse", "updated")), (1, 1));
    assert_eq!(second["endusers"]["conflicts"], 1, "{}", second["endusers"]);
    assert_eq!(of("revenue", "to_platform", "updated"), 9, "{}", second["revenue"]);
    assert_eq!(house.sql("SELECT CAST(health AS STRING) FROM companies WHERE company_id = 'C00031'"), ["7"]);
    assert_eq!(house.sql("SELECT name FROM companies WHERE company_id = 'CRM-77'"), ["Born in the CRM Ltd"]);
    assert_eq!(house.sql("SELECT phase FROM companies WHERE company_id = 'C00101'"), ["Renewal"], "the warehouse wins");
    assert_eq!(house.sql("SELECT first_name FROM end_users WHERE user_id = 'U000303'"), ["Renamed-in-the-CRM"]);
    assert_eq!(house.sql("SELECT position FROM end_users WHERE user_id = 'U000302'"), ["Data Lead"], "held");
    both_sides_agree(bench, house);
    // An echo would be written again.
    house.settle();
    for sync in ["companies", "endusers"] {
        let quiet = bench.run(&["run", sync, "--json"]).json().pop().expect("a run");
        assert_eq!(quiet["created"].as_u64().unwrap() + quiet["updated"].as_u64().unwrap(), 0, "{quiet}");
        assert!(quiet["error"].is_null(), "{quiet}");
    }
}
