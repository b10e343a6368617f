//! A dataset of its own on the emulator of BigQuery, in the project whose clock is ahead of its history: what was just
//! written is history already.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

/// The project whose clock is ahead of its history.
pub const PROJECT: &str = "ahead";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A dataset, seen as its owner.
pub struct Lake {
    pub rest: String,
    pub storage: String,
    pub dataset: String,
}

impl Lake {
    pub fn new(what: &str) -> Self {
        let both = std::env::var("TIDEGATE_TEST_BIGQUERY")
            .expect("TIDEGATE_TEST_BIGQUERY names an emulator; `./test` starts one and sets it");
        let (rest, storage) = both.split_once(' ').expect("two addresses");
        let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let dataset = format!("{what}_{}_{at}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let lake = Self { rest: rest.to_owned(), storage: storage.to_owned(), dataset };
        lake.post("datasets", &json!({ "datasetReference": { "projectId": PROJECT, "datasetId": lake.dataset } }));
        lake
    }

    /// The connection's file.
    pub fn connection(&self) -> String {
        let Self { rest, storage, dataset } = self;
        format!(
            "version: 1\ntype: bigquery\nproject: {PROJECT}\ndataset: {dataset}\nendpoint: {rest}\nstorage_endpoint: {storage}\n\
             auth: {{ method: none }}\naccess: write\nwork_schema: {dataset}_TIDEGATE\n"
        )
    }

    /// One call: what it answers.
    pub fn call(&self, head: &str, kind: &str, body: &str) -> Value {
        let answer = self.answer(head, kind, body).expect("an answer of the emulator");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(head.contains(" 200 "), "{head}\n{body}");
        serde_json::from_str(body).expect("JSON")
    }

    fn answer(&self, head: &str, kind: &str, body: &str) -> std::io::Result<String> {
        let host = self.rest.trim_start_matches("http://");
        let mut line = TcpStream::connect(host)?;
        write!(
            line,
            "{head} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        )?;
        line.write_all(body.as_bytes())?;
        let mut answer = String::new();
        line.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn post(&self, what: &str, body: &Value) -> Value {
        self.call(&format!("POST /bigquery/v2/projects/{PROJECT}/{what}"), "application/json", &body.to_string())
    }

    /// The first column of a statement's rows.
    pub fn sql(&self, sql: &str) -> Vec<String> {
        let dataset = json!({ "projectId": PROJECT, "datasetId": self.dataset });
        let answer = self.post(
            "queries",
            &json!({ "query": sql, "useLegacySql": false, "timeoutMs": 60_000, "defaultDataset": dataset }),
        );
        let rows = answer["rows"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| row["f"][0]["v"].as_str().unwrap_or("NULL").to_owned()).collect()
    }
}

impl Drop for Lake {
    /// The emulator looks through all tables for each statement: what a test leaves behind makes those that follow slower.
    fn drop(&mut self) {
        for dataset in [self.dataset.clone(), format!("{}_TIDEGATE", self.dataset)] {
            let path = format!("/bigquery/v2/projects/{PROJECT}/datasets/{dataset}?deleteContents=true");
            let answer = self.answer(&format!("DELETE {path}"), "application/json", "").unwrap_or_default();
            // The second is not always there, and a test that fails says why by itself.
            let gone = answer.contains(" 204 ") || answer.contains(" 404 ");
            assert!(gone || std::thread::panicking(), "{path} could not be dropped: {answer}");
        }
    }
}
