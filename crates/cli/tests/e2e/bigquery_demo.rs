//! The demo's nine syncs with BigQuery's emulator as their warehouse.

use serde_json::{Map, Value, json};

use super::demo_elsewhere::{House, tell};
use super::lake::{Lake, PROJECT};

impl House for Lake {
    fn connection(&self) -> String {
        Self::connection(self)
    }

    fn create(&self, table: &str, columns: &[(&str, &str)], tracked: bool) {
        let history = if tracked { " OPTIONS (enable_change_history = TRUE)" } else { "" };
        let columns: Vec<String> = columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        self.sql(&format!("CREATE TABLE {table} ({}){history}", columns.join(", ")));
    }

    fn fill(&self, table: &str, _columns: &[(&str, &str)], rows: &[Map<String, Value>]) {
        let lines: String = rows.iter().map(|row| format!("{}\n", Value::Object(row.clone()))).collect();
        let job = json!({ "configuration": { "load": {
            "destinationTable": { "projectId": PROJECT, "datasetId": self.dataset, "tableId": table },
            "sourceFormat": "NEWLINE_DELIMITED_JSON", "writeDisposition": "WRITE_APPEND",
        } } });
        let body = format!(
            "--part\r\ncontent-type: application/json\r\n\r\n{job}\r\n--part\r\ncontent-type: text/plain\r\n\r\n{lines}\r\n--part--\r\n"
        );
        let head = format!("POST /upload/bigquery/v2/projects/{PROJECT}/jobs?uploadType=multipart");
        let mut job = self.call(&head, "multipart/related; boundary=part", &body);
        while job["status"]["state"] != "DONE" {
            std::thread::sleep(std::time::Duration::from_millis(100));
            let id = job["jobReference"]["jobId"].as_str().expect("a name").to_owned();
            job = self.call(&format!("GET /bigquery/v2/projects/{PROJECT}/jobs/{id}"), "text/plain", "");
        }
        assert!(job["status"]["errorResult"].is_null(), "{job}");
    }

    fn sql(&self, sql: &str) -> Vec<String> {
        Self::sql(self, sql)
    }

    fn instant(&self, text: &str) -> String {
        format!("TIMESTAMP '{text}'")
    }

    /// The project's clock is ahead of its history.
    fn settle(&self) {}

    fn told(&self, run: &Value) {
        assert!(run["bytes_billed"].is_u64(), "{run}");
    }
}

#[test]
fn the_demos_syncs_run_on_bigquery_in_part_after_the_first_full_sync() {
    tell(&Lake::new("demo"));
}
