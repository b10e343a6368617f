//! How fast a large Snowflake result is read, for `bench/run snowflake_read snowflake_slow`. One binary, three
//! processes, so that the memory of each is its own:
//!
//! - `serve FILE ROWS`: a mock of the session protocol. Every login is let in, every query answers ROWS rows in gzip
//!   chunks of Arrow, each behind an address of its own; there are as many different chunks as a million rows need, and
//!   after that the same bytes are served again. Writes its port to FILE.
//! - `memory ROWS THREADS`: the floor. The same chunks, held in memory, are inflated and decoded into Arrow batches, and
//!   nothing else is done.
//! - `read PORT ROWS THREADS [SLEEP_MS]`: our client, through the port that the engine uses. Pages are counted and let
//!   go; with SLEEP_MS the consumer sleeps that long over each.
//!
//! The last two print one JSON object.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation)]

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Float64Array, Int8Array, Int32Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field};
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_model::ports::{ReadAsk, ReadMode};
use tidegate_model::schema::Source;
use tidegate_warehouses::{OpenContext, in_memory, open};

/// Rows of a chunk: some 4 MB once inflated, about what the service makes of rows this wide.
const CHUNK_ROWS: usize = 50_000;
/// Batches of a chunk: the service sends several.
const BATCH_ROWS: usize = 12_500;
/// Different chunks: a million rows.
const CHUNKS: usize = 20;
/// Rows of a page, as the engine asks for them.
const PAGE_ROWS: usize = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<usize>().ok());
    match (arguments.first().map(String::as_str), number(1), number(2), number(3)) {
        (Some("serve"), _, Some(rows), _) => runtime(2).block_on(serve(&arguments[1], rows)),
        (Some("memory"), Some(rows), Some(threads), _) => from_memory(rows, threads),
        (Some("read"), Some(port), Some(rows), Some(threads)) => {
            let sleep = Duration::from_millis(number(4).unwrap_or(0) as u64);
            runtime(threads).block_on(read(port, rows, sleep));
        }
        _ => {
            eprintln!("use: snowflake_read serve FILE ROWS | memory ROWS THREADS | read PORT ROWS THREADS [SLEEP_MS]");
            std::process::exit(2);
        }
    }
}

/// So many threads for what waits, and as many for what works.
fn runtime(threads: usize) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).max_blocking_threads(threads).enable_all().build().unwrap()
}

/// Columns as the service describes them.
fn rowtype() -> Value {
    json!([
        { "name": "EVENT_ID", "type": "fixed", "precision": 19, "scale": 0, "nullable": false },
        { "name": "COMPANY_ID", "type": "text", "length": 40, "nullable": true },
        { "name": "EMAIL", "type": "text", "length": 200, "nullable": true },
        { "name": "ACTION", "type": "text", "length": 40, "nullable": true },
        { "name": "WEIGHT", "type": "fixed", "precision": 3, "scale": 0, "nullable": true },
        { "name": "AMOUNT", "type": "fixed", "precision": 12, "scale": 2, "nullable": true },
        { "name": "SCORE", "type": "real", "nullable": true },
        { "name": "HAPPENED_AT", "type": "timestamp_ntz", "precision": 0, "scale": 9, "nullable": true },
    ])
}

/// Rows as the service sends them: scaled integers as small as they fit, times as seconds with nanoseconds beside.
fn batch(from: usize) -> RecordBatch {
    let mix = |row: usize| (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
    let rows = || from..from + BATCH_ROWS;
    let texts = |text: &dyn Fn(u64) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter(rows().map(|row| (row % 97 != 0).then(|| text(mix(row))))))
    };
    let actions = ["login", "export", "invite", "report", "share", "comment"];
    let epoch = Int64Array::from_iter(rows().map(|row| Some(1_700_000_000 + (mix(row) % 40_000_000) as i64)));
    let fraction = Int32Array::from_iter(rows().map(|row| Some((mix(row) % 1_000_000) as i32 * 1_000)));
    let times: Vec<(Arc<Field>, ArrayRef)> = vec![
        (Arc::new(Field::new("epoch", DataType::Int64, true)), Arc::new(epoch)),
        (Arc::new(Field::new("fraction", DataType::Int32, true)), Arc::new(fraction)),
    ];
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("EVENT_ID", Arc::new(Int64Array::from_iter_values(rows().map(|row| row as i64))), false),
        ("COMPANY_ID", texts(&|n| format!("c{:06}", n % 40_000)), true),
        ("EMAIL", texts(&|n| format!("person{}@company{}.example", n % 900_000, n % 40_000)), true),
        ("ACTION", texts(&|n| actions[(n % 6) as usize].to_owned()), true),
        ("WEIGHT", Arc::new(Int8Array::from_iter(rows().map(|row| Some((mix(row) % 100) as i8)))), true),
        ("AMOUNT", Arc::new(Int32Array::from_iter(rows().map(|row| Some((mix(row) % 9_000_000) as i32)))), true),
        ("SCORE", Arc::new(Float64Array::from_iter(rows().map(|row| Some(mix(row) as f64 / 1e6)))), true),
        ("HAPPENED_AT", Arc::new(StructArray::from(times)), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Chunk of this number: packed, and its size once inflated.
fn chunk(at: usize) -> (Bytes, usize) {
    let first = at * CHUNK_ROWS;
    let mut writer = StreamWriter::try_new(Vec::new(), &batch(first).schema()).unwrap();
    for from in (first..first + CHUNK_ROWS).step_by(BATCH_ROWS) {
        writer.write(&batch(from)).unwrap();
    }
    let plain = writer.into_inner().unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    packed.write_all(&plain).unwrap();
    (Bytes::from(packed.finish().unwrap()), plain.len())
}

fn chunks() -> Vec<(Bytes, usize)> {
    let made = std::thread::scope(|scope| {
        let half = |odd: usize| move || (odd..CHUNKS).step_by(2).map(|at| (at, chunk(at))).collect::<Vec<_>>();
        let other = scope.spawn(half(1));
        let mut made = half(0)();
        made.extend(other.join().unwrap());
        made
    });
    let mut made = made;
    made.sort_by_key(|(at, _)| *at);
    made.into_iter().map(|(_, chunk)| chunk).collect()
}

/// How many chunks so many rows are.
fn chunks_of(rows: usize) -> usize {
    assert!(rows > 0 && rows.is_multiple_of(CHUNK_ROWS), "rows come in chunks of {CHUNK_ROWS}");
    rows / CHUNK_ROWS
}

// The mock.

struct Served {
    base: String,
    rows: usize,
    chunks: Vec<(Bytes, usize)>,
}

async fn serve(file: &str, rows: usize) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = Arc::new(Served { base: format!("http://127.0.0.1:{port}"), rows, chunks: chunks() });
    let fine = || async { Json(json!({ "success": true })) };
    let router = Router::new()
        .route("/session/v1/login-request", post(login))
        .route("/session", post(fine))
        .route("/session/heartbeat", post(fine))
        .route("/queries/v1/query-request", post(query))
        .route("/queries/v1/abort-request", post(fine))
        .route("/chunks/{at}", get(served_chunk))
        .with_state(served);
    std::fs::write(file, port.to_string()).unwrap();
    axum::serve(listener, router).await.unwrap();
}

async fn login() -> Json<Value> {
    let data =
        json!({ "token": "session", "masterToken": "master", "masterValidityInSeconds": 14_400, "sessionInfo": {} });
    Json(json!({ "data": data, "success": true }))
}

/// Only the columns where no more is asked for, else all rows, none of them along with the answer.
async fn query(State(served): State<Arc<Served>>, Json(body): Json<Value>) -> Json<Value> {
    let shape = body["describeOnly"] == json!(true);
    let count = if shape { 0 } else { chunks_of(served.rows) };
    let address = |at: usize| {
        let (packed, plain) = &served.chunks[at % CHUNKS];
        json!({ "url": format!("{}/chunks/{at}", served.base), "rowCount": CHUNK_ROWS,
            "uncompressedSize": plain, "compressedSize": packed.len() })
    };
    Json(json!({ "success": true, "data": {
        "queryId": "01bench", "queryResultFormat": "arrow", "rowsetBase64": "", "rowtype": rowtype(),
        "total": count * CHUNK_ROWS, "chunks": (0..count).map(address).collect::<Vec<_>>(),
    } }))
}

async fn served_chunk(State(served): State<Arc<Served>>, Path(at): Path<usize>) -> Bytes {
    served.chunks[at % CHUNKS].0.clone()
}

// The floor.

fn from_memory(rows: usize, threads: usize) {
    let (chunks, count) = (chunks(), chunks_of(rows));
    let next = AtomicUsize::new(0);
    let found = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return;
                    }
                    let (packed, plain) = &chunks[at % CHUNKS];
                    found.fetch_add(decoded(packed, *plain), Ordering::Relaxed);
                }
            });
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(found.into_inner(), rows);
    let packed: usize = (0..count).map(|at| chunks[at % CHUNKS].0.len()).sum();
    let plain: usize = (0..count).map(|at| chunks[at % CHUNKS].1).sum();
    println!("{}", json!({ "seconds": seconds, "rows": rows, "packed_mb": packed >> 20, "plain_mb": plain >> 20 }));
}

/// Inflates a chunk and decodes it; the number of its rows.
fn decoded(packed: &Bytes, plain: usize) -> usize {
    // Straight into the room set aside, as the client does it.
    let (mut bytes, mut member) = (Vec::with_capacity(plain + 1), flate2::Decompress::new_gzip(15));
    let status = member.decompress_vec(packed, &mut bytes, flate2::FlushDecompress::None).unwrap();
    assert!(status == flate2::Status::StreamEnd && bytes.len() == plain);
    let (mut buffer, mut decoder, mut rows) = (Buffer::from_vec(bytes), StreamDecoder::new(), 0);
    while !buffer.is_empty() {
        rows += decoder.decode(&mut buffer).unwrap().map_or(0, |batch| std::hint::black_box(batch).num_rows());
    }
    decoder.finish().unwrap();
    rows
}

// Our client.

async fn read(port: usize, rows: usize, sleep: Duration) {
    let context = OpenContext {
        project_dir: std::env::temp_dir(),
        access_write: false,
        work_schema: "TIDEGATE".into(),
        name: "lake".into(),
        vault: in_memory(),
        targets: None,
    };
    let settings = json!({
        "account": "bench", "user": "tidegate", "host": "127.0.0.1", "port": port, "protocol": "http",
        "auth": { "method": "password", "password": "any" },
    });
    let warehouse = open("snowflake", &settings, &context).unwrap();
    let names =
        rowtype().as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap().to_owned()).collect();
    let ask = ReadAsk {
        source: Source::Query("SELECT * FROM EVENTS".into()),
        columns: names,
        mode: ReadMode::Unordered,
        page_rows: PAGE_ROWS,
        timezone: "UTC".into(),
    };
    let begun = Instant::now();
    let mut pages = warehouse.read(ask).await.expect("a read");
    let mut found = 0;
    while let Some(page) = pages.next().await.expect("a page") {
        assert!(page.misfits.is_empty());
        found += std::hint::black_box(&page).len();
        if !sleep.is_zero() {
            tokio::time::sleep(sleep).await;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(found, rows, "rows that were asked for");
    println!("{}", json!({ "seconds": seconds, "rows": found }));
}
