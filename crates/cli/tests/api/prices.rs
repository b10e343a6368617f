//! What a run will be billed, in the plans of the API and of the pages.

use serde_json::{Value, json};

use super::bench::{Bench, COMPANIES, USAGE};
use super::lake::Lake;
use super::server::Server;

/// Each table that a query names is 10 MB to the emulator, as BigQuery's least charge is.
const TABLE: u64 = 10 << 20;

const REVENUE: &str = "\
version: 1
warehouse: { connection: lake, relation: revenue }
platform:  { connection: crm, model: \"dataset:revenue\" }
direction: to_platform
key: { warehouse: invoice_id }
changes: full
write: upsert
fields: all
";

#[track_caller]
fn costs(plan: &Value, read: u64, plan_itself: u64) {
    assert_eq!((&plan["bytes_to_read"], &plan["bytes_billed"]), (&json!(read), &json!(plan_itself)), "{plan}");
    let told = format!("billed {}.0 MB, this plan was {}.0 MB", read >> 20, plan_itself >> 20);
    assert!(plan["cost"].as_str().is_some_and(|cost| cost.contains(&told)), "{plan}");
}

#[test]
fn plans_on_bigquery_have_their_price_in_the_api_and_on_their_pages() {
    let (bench, lake) = (Bench::new(), Lake::new("prices"));
    bench.write("connections/lake.yaml", &lake.connection());
    lake.sql("CREATE TABLE companies (company_id STRING, name STRING, phase STRING, arr NUMERIC(12, 2))");
    lake.sql("INSERT INTO companies VALUES ('C1', 'Acme', NULL, 1)");
    lake.sql("CREATE TABLE usage_events (event_id INT64, company_id STRING, action STRING, at TIMESTAMP)");
    lake.sql("INSERT INTO usage_events VALUES (1, 'C1', 'login', TIMESTAMP '2026-01-01 00:00:00+00')");
    bench.write("syncs/companies.yaml", &COMPANIES.replace("direction: both", "direction: to_platform"));
    bench.write("syncs/usage.yaml", USAGE);
    let server = Server::serve(&bench);
    let plan = |path: &str, body: &Value| server.post(&format!("/api/v1/syncs/{path}"), body).expect(200).json();

    let companies = plan("companies/plan", &json!({}));
    costs(&companies, TABLE, TABLE);
    assert_eq!((&companies["whole_columns"], &companies["total"]), (&json!(false), &json!(1)), "{companies}");
    assert_eq!(companies["based_on"], "a full read of the warehouse");
    let page = server.get("/syncs/companies/plan").expect(200).body;
    assert!(page.contains("read of the warehouse is billed 10.0 MB, this plan was 10.0 MB."), "{page}");

    // Usage is never read for its plan, but for the greatest cursor, which the run asks for too.
    let usage = plan("usage/plan", &json!({}));
    costs(&usage, 2 * TABLE, TABLE);
    assert_eq!((&usage["whole_columns"], &usage["bytes_least"]), (&json!(true), &json!(false)), "{usage}");
    let page = server.get("/syncs/usage/plan").expect(200).body;
    for text in ["Whole columns are moved", "it would be a full read of the warehouse", "billed 20.0 MB"] {
        assert!(page.contains(text), "no {text} in {page}");
    }
    let unsaved = USAGE.replace("changes: cursor\ncursor: { column: event_id, lookback: 10 }\n", "changes: full\n");
    costs(&plan("usage/file/plan", &json!({ "text": unsaved })), TABLE, 0);

    // And so it is.
    server.post("/api/v1/syncs/companies/run", &json!({})).expect(200);
    let run = server.run_ended("companies", 0);
    assert_eq!(run["bytes_billed"], TABLE, "{run}");
    let page = server.get(&format!("/runs/{}", run["run"].as_str().expect("an id"))).expect(200).body;
    assert!(page.contains("bytes billed"), "{page}");
    server.post("/api/v1/syncs/usage/run", &json!({})).expect(200);
    assert_eq!(server.run_ended("usage", 0)["bytes_billed"], 2 * TABLE);
}

/// Two syncs at once on one connection: each is told what it was billed itself.
#[test]
fn runs_at_the_same_time_on_bigquery_are_each_told_what_they_were_billed() {
    let (bench, lake) = (Bench::new(), Lake::new("meters"));
    bench.write("connections/lake.yaml", &lake.connection());
    lake.sql("CREATE TABLE companies (company_id STRING, name STRING, phase STRING, arr NUMERIC(12, 2))");
    lake.sql("INSERT INTO companies VALUES ('C1', 'Acme', NULL, 1)");
    lake.sql("CREATE TABLE revenue (invoice_id STRING, amount NUMERIC(12, 2))");
    lake.sql("INSERT INTO revenue VALUES ('R1', 12.50)");
    bench.write("syncs/companies.yaml", &COMPANIES.replace("direction: both", "direction: to_platform"));
    bench.write("syncs/revenue.yaml", REVENUE);
    let server = Server::serve(&bench);
    let mut together = 0;
    for round in 0..20 {
        for sync in ["companies", "revenue"] {
            server.post(&format!("/api/v1/syncs/{sync}/run"), &json!({ "full": true })).expect(200);
        }
        let runs = ["companies", "revenue"].map(|sync| server.run_ended(sync, round));
        for run in &runs {
            assert_eq!(run["bytes_billed"], TABLE, "{runs:?}");
        }
        let at = |run: &Value, what: &str| run[what].as_str().expect("a time").to_owned();
        let [one, other] = &runs;
        let apart =
            at(one, "finished_at") <= at(other, "started_at") || at(other, "finished_at") <= at(one, "started_at");
        together += usize::from(!apart);
        if together == 3 {
            return;
        }
    }
    panic!("the two did not run at the same time");
}
