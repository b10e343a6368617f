//! Files that the hub's page gives away, read by somebody else's reader.

use std::process::Command;

use serde_json::{Value, json};

use super::bench::Bench;
use super::server::Server;

/// Rows of a Parquet file as DuckDB reads them.
fn read(bench: &Bench, file: &str) -> Value {
    query(bench, file, "*")
}

/// The same of what is selected of them.
fn query(bench: &Bench, file: &str, select: &str) -> Value {
    let python = std::env::var("TIDEGATE_TEST_DUCKDB").expect("TIDEGATE_TEST_DUCKDB, which `scripts/services` sets");
    let script = "import duckdb, json, sys; r = duckdb.sql(f\"select {sys.argv[2]} from '{sys.argv[1]}'\"); \
                  print(json.dumps({'types': [str(t) for t in r.types], 'names': r.columns, 'rows': r.fetchall()}))";
    let out = Command::new(python).args(["-c", script]).arg(bench.path(file)).arg(select).output().expect("started");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("JSON")
}

fn fetch(server: &Server, bench: &Bench, path: &str, file: &str) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--noproxy", "*", "--output"]).arg(bench.path(file));
    let done = curl.arg(format!("http://{}{path}", server.address)).status().expect("this test needs curl");
    assert!(done.success(), "{path}");
}

#[test]
fn the_hub_is_exported_as_parquet_that_others_read() {
    let bench = Bench::with_companies();
    bench.run(&["run", "companies"]).expect(0);
    let server = Server::serve(&bench);
    fetch(&server, &bench, "/api/v1/connections/crm/records.parquet?model=company", "company.parquet");
    let file = read(&bench, "company.parquet");
    let names: Vec<&str> = file["names"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
    let at = |name: &str| names.iter().position(|known| *known == name).unwrap_or_else(|| panic!("{name}: {names:?}"));
    let mut rows: Vec<Value> = file["rows"].as_array().expect("rows").clone();
    rows.sort_by_key(|row| row[at("externalId")].to_string());
    assert_eq!(rows.len(), 3);
    let of = |row: usize, name: &str| rows[row][at(name)].clone();
    assert_eq!((of(0, "name"), of(2, "name")), (json!("Åkerlund & Söner"), json!("東京 Labs")));
    assert_eq!((of(0, "custom.ARR"), of(1, "custom.ARR")), (json!("12.50"), Value::Null));
    // One that holds nothing is a file as well.
    fetch(&server, &bench, "/api/v1/connections/crm/records.parquet?model=ticket", "ticket.parquet");
    assert_eq!(read(&bench, "ticket.parquet")["rows"], json!([]));
}

/// Most memory that a process has had so far, in KB.
fn peak_kb(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid().as_raw_nonzero())).expect("it lives");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("KB")
}

#[test]
fn exports_hold_all_records_within_a_bounded_memory() {
    const EVENTS: u32 = 230_000;
    let bench = Bench::with_usage(EVENTS);
    bench.run(&["run"]).expect(0);
    let server = Server::serve(&bench);
    let path = |form: &str| format!("/api/v1/connections/crm/records.{form}?model=user_activity");
    server.get("/api/v1/connections/crm/records?model=user_activity&limit=1").expect(200);
    let before = peak_kb(&server);
    fetch(&server, &bench, &path("csv"), "all.csv");
    fetch(&server, &bench, &path("parquet"), "all.parquet");
    // As one list they were 300 MB and more.
    let grown = peak_kb(&server) - before;
    assert!(grown < 64 * 1024, "exporting took {grown} KB");

    let csv = std::fs::read_to_string(bench.path("all.csv")).expect("read");
    assert_eq!(csv.lines().count(), EVENTS as usize + 1, "and a heading");
    let file = query(&bench, "all.parquet", "count(*), count(action), min(action), max(action)");
    assert_eq!(file["rows"], json!([[EVENTS, EVENTS, "login", "login"]]));

    // What cannot be exported is refused, and not a file.
    let refused = server.get("/api/v1/connections/lake/records.csv?model=companies").expect(422).json();
    assert!(refused["error"]["hint"].as_str().is_some_and(|hint| hint.contains("embedded hub")), "{refused}");
}
