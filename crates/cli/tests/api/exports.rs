//! Files that the hub's page gives away, read by somebody else's reader.

use std::process::Command;

use serde_json::{Value, json};

use super::bench::Bench;
use super::server::Server;

/// Rows of a Parquet file as DuckDB reads them.
fn read(bench: &Bench, file: &str) -> Value {
    let python = std::env::var("TIDEGATE_TEST_DUCKDB").expect("TIDEGATE_TEST_DUCKDB, which `scripts/services` sets");
    let script = "import duckdb, json, sys; r = duckdb.sql(f\"select * from '{sys.argv[1]}'\"); \
                  print(json.dumps({'types': [str(t) for t in r.types], 'names': r.columns, 'rows': r.fetchall()}))";
    let out = Command::new(python).args(["-c", script]).arg(bench.path(file)).output().expect("started");
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
