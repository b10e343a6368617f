//! The sides of the benchmark of BigQuery's reading, each a process of its own (`bench/bigquery.py` runs them in turn):
//! our client, and a bare drain of the same streams: the query is run, a session is opened on its result, its messages
//! are received, and nobody looks at them. `TIDEGATE_TEST_BIGQUERY` names the emulator; its server is what both wait for.
//!
//! ```text
//! bigquery_read fill ROWS                     makes a table of so many rows; prints its dataset
//! bigquery_read bare DATASET ROWS             the drain
//! bigquery_read read DATASET ROWS PAUSE_MS    our client, with a pause over each page
//! bigquery_read sort DATASET ROWS             our client, sorted by key: one stream
//! bigquery_read drop DATASET                  removes the table
//! ```
//!
//! Each side prints `{"seconds": …, "streams": …}`: with the query, and from the opened session on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use google_cloud_bigquery::client::Read;
use google_cloud_bigquery::model::{DataFormat, ReadSession};
use serde_json::{Value, json};
use tidegate_model::ports::{ReadAsk, ReadMode, Warehouse};
use tidegate_model::schema::{Relation, Source};
use tidegate_warehouses::{OpenContext, open};

const COLUMNS: [&str; 6] = ["id", "name", "amount", "happened_at", "day", "paid"];
/// As many as the connector asks for.
const STREAMS: i32 = 4;

struct Emulator {
    http: reqwest::Client,
    rest: String,
    storage: String,
    dataset: String,
}

impl Emulator {
    async fn query(&self, sql: &str) -> Value {
        let url = format!("{}/bigquery/v2/projects/lab/queries", self.rest);
        let body = json!({
            "query": sql, "useLegacySql": false, "timeoutMs": 600_000, "maxResults": 0,
            "defaultDataset": { "projectId": "lab", "datasetId": self.dataset },
        });
        let reply = self.http.post(url).json(&body).send().await.expect("the emulator");
        let (status, text) = (reply.status(), reply.text().await.unwrap());
        assert!(status.is_success(), "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Runs the query and receives its result: rows, and when the session was open.
    async fn bare(&self, client: &Read) -> (u64, Instant) {
        let list = COLUMNS.map(|column| format!("`{column}` AS `{column}`")).join(", ");
        let told = self.query(&format!("SELECT {list} FROM `{}`.`t`", self.dataset)).await;
        let job = told["jobReference"]["jobId"].as_str().expect("a job");
        let url = format!("{}/bigquery/v2/projects/lab/jobs/{job}", self.rest);
        let job: Value = serde_json::from_str(&self.http.get(url).send().await.unwrap().text().await.unwrap()).unwrap();
        let table = &job["configuration"]["query"]["destinationTable"];
        let part = |name: &str| table[name].as_str().expect("a table");
        let wanted = ReadSession::new()
            .set_table(format!(
                "projects/{}/datasets/{}/tables/{}",
                part("projectId"),
                part("datasetId"),
                part("tableId")
            ))
            .set_data_format(DataFormat::Arrow);
        let ask = client.create_read_session().set_parent("projects/lab").set_read_session(wanted);
        let session = ask.set_max_stream_count(STREAMS).send().await.expect("a session");
        let opened = Instant::now();
        let drain = |name: String| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut messages = client.read_rows().set_read_stream(name).into_reader();
                let mut rows = 0;
                while let Some(message) = messages.next().await {
                    rows += message.expect("a message").row_count as u64;
                }
                rows
            })
        };
        let drains: Vec<_> = session.streams.iter().map(|stream| drain(stream.name.clone())).collect();
        let mut rows = 0;
        for drain in drains {
            rows += drain.await.unwrap();
        }
        (rows, opened)
    }
}

fn ask(dataset: &str, mode: ReadMode) -> ReadAsk {
    ReadAsk {
        source: Source::Relation(Relation(vec!["lab".into(), dataset.into(), "t".into()])),
        columns: COLUMNS.map(str::to_owned).to_vec(),
        mode,
        page_rows: tidegate_model::ports::PAGE_ROWS,
        timezone: "UTC".into(),
    }
}

/// Rows of a read, with a pause after each page; and when its streams were open.
async fn ours(warehouse: &dyn Warehouse, ask: ReadAsk, pause: Duration) -> (u64, Instant) {
    let mut pages = warehouse.read(ask).await.expect("a read");
    let opened = Instant::now();
    let mut rows = 0;
    while let Some(page) = pages.next().await.expect("a page") {
        rows += page.len() as u64;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    (rows, opened)
}

fn warehouse(emulator: &Emulator) -> Arc<dyn Warehouse> {
    let settings = json!({
        "project": "lab", "dataset": emulator.dataset, "endpoint": emulator.rest, "storage_endpoint": emulator.storage,
        "auth": { "method": "none" },
    });
    let context = OpenContext {
        project_dir: std::env::temp_dir(),
        access_write: false,
        work_schema: "TIDEGATE".into(),
        name: "lake".into(),
        vault: tidegate_net::oauth::in_memory(),
        targets: None,
    };
    open("bigquery", &settings, &context).unwrap()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let number = |at: usize| word(at).parse::<u64>().unwrap_or_else(|_| panic!("{words:?}: word {at} is no number"));
    let both = std::env::var("TIDEGATE_TEST_BIGQUERY").expect("TIDEGATE_TEST_BIGQUERY names an emulator");
    let (rest, storage) = both.split_once(' ').expect("two addresses");
    let http = tidegate_net::http::Http { read_timeout: Duration::from_secs(600), ..Default::default() };
    let dataset = if word(0) == "fill" { format!("bench_{}", std::process::id()) } else { word(1).to_owned() };
    let emulator = Emulator { http: http.client().unwrap(), rest: rest.into(), storage: storage.into(), dataset };
    let dataset = &emulator.dataset;
    match word(0) {
        "fill" => {
            emulator.query(&format!("CREATE SCHEMA `{dataset}`")).await;
            emulator
                .query(&format!(
                    "CREATE TABLE t AS SELECT n AS id, CONCAT('Customer number ', CAST(n AS STRING)) AS name, \
                     CAST(n AS NUMERIC) / 100 AS amount, TIMESTAMP_ADD(TIMESTAMP '2026-01-01 00:00:00+00', INTERVAL n SECOND) AS happened_at, \
                     DATE_ADD(DATE '2026-01-01', INTERVAL MOD(n, 365) DAY) AS day, MOD(n, 2) = 0 AS paid \
                     FROM UNNEST(GENERATE_ARRAY(1, {})) AS n",
                    number(1)
                ))
                .await;
            println!("{dataset}");
            return;
        }
        "drop" => {
            emulator.query(&format!("DROP SCHEMA `{dataset}` CASCADE")).await;
            return;
        }
        _ => {}
    }
    let client = Read::builder()
        .with_endpoint(emulator.storage.clone())
        .with_credentials(google_cloud_auth::credentials::anonymous::Builder::new().build())
        .build()
        .await
        .expect("a client");
    let warehouse = warehouse(&emulator);
    let begun = Instant::now();
    let (rows, opened) = match word(0) {
        "bare" => emulator.bare(&client).await,
        "read" => ours(warehouse.as_ref(), ask(dataset, ReadMode::Unordered), Duration::from_millis(number(3))).await,
        "sort" => {
            let mode = ReadMode::Full { key: "id".into(), after: None, at: None };
            ours(warehouse.as_ref(), ask(dataset, mode), Duration::ZERO).await
        }
        other => panic!("{other:?}: fill, bare, read, sort or drop"),
    };
    let (seconds, streams) = (begun.elapsed().as_secs_f64(), opened.elapsed().as_secs_f64());
    assert_eq!(rows, number(2), "rows");
    println!("{}", json!({ "seconds": seconds, "streams": streams }));
}
