//! Runs that fall over by a fault of ours, inside a `serve` that lives on: they end as failed, and the next one begins.

use serde_json::json;

use super::bench::Bench;
use super::server::Server;

fn serve(bench: &Bench, point: &str) -> Server {
    let mut command = bench.command(&["--json", "serve", "--listen", "127.0.0.1:0"]);
    Server::start(command.env("TIDEGATE_FAILPOINT", format!("panic@{point}")))
}

#[test]
fn a_run_that_panics_in_serve_ends_as_failed_and_the_next_one_goes_on() {
    // With nothing settled yet, in the middle of a batch, and between two transactions of the state.
    for point in ["records.resumed", "deliver.intended", "deliver.sent_platform", "deliver.before_settle"] {
        let bench = Bench::with_companies();
        let server = serve(&bench, point);
        server.post("/api/v1/syncs/companies/run", &json!({})).expect(200);
        let run = server.run_ended("companies", 0);
        assert_eq!((&run["status"], &run["error"]["code"]), (&json!("failed"), &json!("internal")), "{point}: {run}");
        let (said, next) = (&run["error"]["message"], &run["error"]["hint"]);
        assert!(said.as_str().is_some_and(|text| text.contains("fault of tidegate's own")), "{point}: {run}");
        assert!(next.as_str().is_some_and(|text| text.contains("the next run goes on")), "{point}: {run}");
        assert!(!run.to_string().contains("failpoint"), "what a panic says may hold values of rows: {run}");

        // Another process finds the sync free.
        bench.run(&["run", "companies"]).expect(0);
        server.post("/api/v1/syncs/companies/run", &json!({})).expect(200);
        let again = server.run_ended("companies", 2);
        assert_eq!((&again["status"], &again["unchanged"]), (&json!("succeeded"), &json!(6)), "{point}: {again}");
        let names = bench.hub_rows("SELECT count(*) FROM hub_r_company");
        assert_eq!(names, ["3"], "{point}");
        let metrics = server.get("/metrics").expect(200).body;
        assert!(!metrics.contains("tidegate_runs_not_begun_total{"), "{point}: it has a record: {metrics}");
        assert_eq!(server.stop(), Some(143), "{point}");
    }
}

#[test]
fn changes_and_undos_that_panic_in_serve_end_as_failed_too() {
    let bench = Bench::with_companies();
    let run = bench.run(&["run", "companies", "--json"]).expect(0).json()[0]["run"].as_str().expect("an id").to_owned();
    let server = serve(&bench, "deliver.intended");
    let undone = server.post(&format!("/api/v1/runs/{run}/undo"), &json!({}));
    let listed = server.run_ended("companies", 1);
    assert_eq!((&listed["status"], &listed["mode"]), (&json!("failed"), &json!("undo")), "{undone:?} {listed}");
    bench.run(&["run", "companies"]).expect(0);
    assert_eq!(server.stop(), Some(143));
}
