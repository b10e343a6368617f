//! A million rows out of BigQuery, against a bare drain of the same streams in the same run: the query is run, a session
//! is opened on its result, its messages are received, and nobody looks at them. Then a slow consumer, and what it costs
//! in memory. `TIDEGATE_TEST_BIGQUERY` names the emulator (`scripts/services`); its server is the bottleneck of both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use google_cloud_bigquery::client::Read;
use google_cloud_bigquery::model::{DataFormat, ReadSession};
use serde_json::{Value, json};
use tidegate_model::ports::{ReadAsk, ReadMode, Warehouse};
use tidegate_model::schema::{Relation, Source};
use tidegate_warehouses::{OpenContext, open};

const ROUNDS: usize = 3;
const COLUMNS: [&str; 6] = ["id", "name", "amount", "happened_at", "day", "paid"];
/// As many as the connector asks for.
const STREAMS: i32 = 4;
const RATIO_LEAST: f64 = 0.7;
const MEMORY_MOST_MB: u64 = 150;

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

    /// Runs the query and receives its result: rows, bytes, and the time of the streams alone.
    async fn bare(&self, client: &Read) -> (u64, u64, Duration) {
        let list = COLUMNS.map(|column| format!("`{column}` AS `{column}`")).join(", ");
        let told = self.query(&format!("SELECT {list} FROM `{}`.`t`", self.dataset)).await;
        let job = told["jobReference"]["jobId"].as_str().expect("a job");
        let url = format!("{}/bigquery/v2/projects/lab/jobs/{job}", self.rest);
        let job: Value = serde_json::from_str(&self.http.get(url).send().await.unwrap().text().await.unwrap()).unwrap();
        let table = &job["configuration"]["query"]["destinationTable"];
        let part = |name: &str| table[name].as_str().expect("a table");
        let begun = Instant::now();
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
        let drain = |name: String| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut messages = client.read_rows().set_read_stream(name).into_reader();
                let (mut rows, mut bytes) = (0, 0);
                while let Some(message) = messages.next().await {
                    let message = message.expect("a message");
                    rows += message.row_count as u64;
                    bytes += message.arrow_record_batch().map_or(0, |batch| batch.serialized_record_batch.len() as u64);
                }
                (rows, bytes)
            })
        };
        let drains: Vec<_> = session.streams.iter().map(|stream| drain(stream.name.clone())).collect();
        let (mut rows, mut bytes) = (0, 0);
        for drain in drains {
            let (more, size) = drain.await.unwrap();
            (rows, bytes) = (rows + more, bytes + size);
        }
        (rows, bytes, begun.elapsed())
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

/// Rows of a read, with a pause after each page; the time from the first page to the last alone.
async fn ours(warehouse: &dyn Warehouse, ask: ReadAsk, pause: Duration) -> (u64, Duration) {
    let mut pages = warehouse.read(ask).await.expect("a read");
    let begun = Instant::now();
    let mut rows = 0;
    while let Some(page) = pages.next().await.expect("a page") {
        rows += page.len() as u64;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    (rows, begun.elapsed())
}

/// The most memory that this process has had.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let rows: u64 = std::env::var("ROWS").ok().map_or(1_000_000, |rows| rows.parse().expect("ROWS is a number"));
    let both = std::env::var("TIDEGATE_TEST_BIGQUERY").expect("TIDEGATE_TEST_BIGQUERY names an emulator");
    let (rest, storage) = both.split_once(' ').expect("two addresses");
    let http = tidegate_net::http::Http { read_timeout: Duration::from_secs(600), ..Default::default() };
    let dataset = format!("bench_{}", std::process::id());
    let emulator =
        Emulator { http: http.client().unwrap(), rest: rest.into(), storage: storage.into(), dataset: dataset.clone() };
    emulator.query(&format!("CREATE SCHEMA `{dataset}`")).await;
    emulator
        .query(&format!(
            "CREATE TABLE t AS SELECT n AS id, CONCAT('Customer number ', CAST(n AS STRING)) AS name, \
             CAST(n AS NUMERIC) / 100 AS amount, TIMESTAMP_ADD(TIMESTAMP '2026-01-01 00:00:00+00', INTERVAL n SECOND) AS happened_at, \
             DATE_ADD(DATE '2026-01-01', INTERVAL MOD(n, 365) DAY) AS day, MOD(n, 2) = 0 AS paid \
             FROM UNNEST(GENERATE_ARRAY(1, {rows})) AS n"
        ))
        .await;
    let settings = json!({
        "project": "lab", "dataset": dataset, "endpoint": rest, "storage_endpoint": storage, "auth": { "method": "none" },
    });
    let context = OpenContext {
        project_dir: std::env::temp_dir(),
        access_write: false,
        work_schema: "TIDEGATE".into(),
        name: "lake".into(),
        vault: tidegate_net::oauth::in_memory(),
    };
    let warehouse: Arc<dyn Warehouse> = open("bigquery", &settings, &context).unwrap();

    // First, so that nothing else has stretched the process: 20 ms a page are some minutes of a real consumer's work.
    let before = peak_mb();
    let (slow, took) = ours(warehouse.as_ref(), ask(&dataset, ReadMode::Unordered), Duration::from_millis(20)).await;
    assert_eq!(slow, rows);
    let peak = peak_mb();
    println!("slow consumer: {rows} rows in {:.1} s, peak {peak} MB ({before} MB before)", took.as_secs_f64());

    let client = Read::builder()
        .with_endpoint(emulator.storage.clone())
        .with_credentials(google_cloud_auth::credentials::anonymous::Builder::new().build())
        .build()
        .await
        .expect("a client");
    let (mut bare, mut tidegate, mut ordered) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let (drained, bytes, streams) = emulator.bare(&client).await;
        assert_eq!(drained, rows);
        let whole = begun.elapsed();
        bare.push(rows as f64 / whole.as_secs_f64());
        println!(
            "bare drain: {:.2} s with its query, {:.2} s without, {} MB",
            whole.as_secs_f64(),
            streams.as_secs_f64(),
            bytes >> 20
        );
        let begun = Instant::now();
        let (read, _) = ours(warehouse.as_ref(), ask(&dataset, ReadMode::Unordered), Duration::ZERO).await;
        assert_eq!(read, rows);
        tidegate.push(rows as f64 / begun.elapsed().as_secs_f64());
        println!("tidegate: {:.2} s with its query", begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let mode = ReadMode::Full { key: "id".into(), after: None, at: None };
        let (read, _) = ours(warehouse.as_ref(), ask(&dataset, mode), Duration::ZERO).await;
        assert_eq!(read, rows);
        ordered.push(rows as f64 / begun.elapsed().as_secs_f64());
        println!("tidegate, sorted by key (one stream): {:.2} s with its query", begun.elapsed().as_secs_f64());
    }
    let (bare, tidegate, ordered) = (median(bare), median(tidegate), median(ordered));
    let ratio = tidegate / bare;
    println!("bare {bare:.0} rows/s, tidegate {tidegate:.0}, sorted {ordered:.0}; tidegate / bare = {ratio:.2}");
    let mut over = Vec::new();
    if ratio < RATIO_LEAST {
        over.push(format!("OVER: {ratio:.2} is below {RATIO_LEAST}"));
    }
    if peak > MEMORY_MOST_MB {
        over.push(format!("OVER: {peak} MB is above {MEMORY_MOST_MB}"));
    }
    over.iter().for_each(|line| println!("{line}"));
    std::process::exit(i32::from(!over.is_empty()));
}
