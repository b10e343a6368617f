//! A null sink, and what posting to it costs without an engine: `post_speed sink` listens and answers every call at once;
//! `post_speed post planhat|batch|http RECORDS FIELDS URL` serialises companies of that many fields and posts them, as many
//! in a call as the platform takes. `bench/null_sink.py` holds runs of tidegate against it, and asks the sink (`GET /bytes`)
//! whether both sent the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Requests in flight where each record is one: as many as tidegate has.
const PARALLEL: usize = 8;

/// Calls of a platform: method, path, records of a call.
fn calls(kind: &str) -> (&'static str, &'static str, usize) {
    match kind {
        "planhat" => ("PUT", "/companies", 5_000),
        "batch" => ("POST", "/2.11/profiles/mass-update", 5_000),
        "http" => ("PUT", "/contacts", 1),
        other => panic!("{other} is none of planhat, batch, http"),
    }
}

/// Bytes of bodies that were received since somebody asked.
static RECEIVED: AtomicUsize = AtomicUsize::new(0);

/// A column of a company after its key, as `bench/null_sink.py` makes it; whether Planhat has the field of its own.
fn column(at: usize, n: usize, kind: &str) -> (&'static str, bool, Value) {
    // Planhat's times have milliseconds, and Batch's days are times.
    let millis = if kind == "planhat" { ".000" } else { "" };
    let midnight = if kind == "batch" { "T00:00:00Z" } else { "" };
    match at {
        0 => ("name", true, json!(format!("Company number {n}"))),
        1 => ("phase", true, json!(if n.is_multiple_of(3) { "Trial" } else { "Live" })),
        2 => ("country", true, json!("SE")),
        3 => ("web", true, json!(format!("https://www.company-{n}.example"))),
        4 => ("arr", false, json!((n % 99_991) as f64 + 0.25)),
        5 => ("seats", false, json!(n % 500)),
        6 => ("health", false, json!(n % 100)),
        7 => ("since", false, json!(format!("20{:02}-0{}-1{}{midnight}", n % 24 + 1, n % 9 + 1, n % 9))),
        8 => ("seen", false, json!(format!("2024-01-0{}T10:00:0{}{millis}Z", n % 9 + 1, n % 10))),
        _ => ("active", false, json!(n % 2 == 1)),
    }
}

/// The first so many columns.
fn columns(kind: &str, n: usize, fields: usize) -> impl Iterator<Item = (&'static str, bool, Value)> {
    (0..fields).map(move |at| column(at, n, kind))
}

fn record(kind: &str, n: usize, fields: usize) -> Value {
    let key = format!("c{n:08}");
    let mut record = Map::new();
    match kind {
        "planhat" => {
            let mut custom = Map::new();
            record.insert("externalId".to_owned(), json!(key));
            for (name, own, value) in columns(kind, n, fields) {
                let into = if own { &mut record } else { &mut custom };
                into.insert(name.to_owned(), value);
            }
            if !custom.is_empty() {
                record.insert("custom".to_owned(), Value::Object(custom));
            }
        }
        "batch" => {
            let attributes = columns(kind, n, fields).map(|(name, _, value)| (typed(name), value));
            let attributes: Map<String, Value> = attributes.collect();
            return json!({ "identifiers": { "custom_id": key }, "attributes": attributes });
        }
        _ => record.extend(columns(kind, n, fields).map(|(name, _, value)| (name.to_owned(), value))),
    }
    Value::Object(record)
}

/// The name under which Batch types an attribute.
fn typed(name: &str) -> String {
    match name {
        "since" | "seen" => format!("date({name})"),
        _ => name.to_owned(),
    }
}

async fn post(kind: &str, records: usize, fields: usize, url: &str) {
    let (method, path, size) = calls(kind);
    let client = tidegate_platforms::rest::client(None).unwrap();
    let (client, method) = (&client, &reqwest::Method::from_bytes(method.as_bytes()).unwrap());
    let start = Instant::now();
    let one = |from: usize| async move {
        let to = (from + size).min(records);
        let body = match size {
            1 => serde_json::to_vec(&record(kind, from, fields)),
            _ => serde_json::to_vec(&(from..to).map(|n| record(kind, n, fields)).collect::<Vec<_>>()),
        };
        let target = if size == 1 { format!("{url}{path}/c{from:08}") } else { format!("{url}{path}") };
        let answer =
            client.request(method.clone(), target).bearer_auth("token").body(body.unwrap()).send().await.unwrap();
        assert!(answer.status().is_success());
        answer.bytes().await.unwrap();
    };
    let parallel = if size == 1 { PARALLEL } else { 1 };
    stream::iter((0..records).step_by(size)).map(one).buffer_unordered(parallel).collect::<Vec<()>>().await;
    println!("{}", start.elapsed().as_secs_f64());
}

/// Reads requests to their end and answers what their sender takes for a success.
async fn serve(mut socket: TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut buffer: Vec<u8> = Vec::with_capacity(64 << 10);
    loop {
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if socket.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok())
            .unwrap_or(0);
        while buffer.len() < head + length {
            if socket.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let body = &buffer[head..head + length];
        RECEIVED.fetch_add(length, Ordering::Relaxed);
        let (status, answer) = if text.starts_with("get /bytes") {
            (200, RECEIVED.swap(0, Ordering::Relaxed).to_string())
        } else if text.starts_with("get /customfields") {
            (200, own_fields())
        } else if text.starts_with("get ") {
            (200, "[]".to_owned())
        } else if text.contains(" /companies") {
            let count = body.windows(13).filter(|part| *part == b"\"externalId\":").count();
            (200, format!("{{\"created\":{count},\"updated\":0,\"nonupdates\":0}}"))
        } else if text.contains("/profiles/") {
            (202, "{\"code\":\"SUCCESS\"}".to_owned())
        } else {
            (200, "{}".to_owned())
        };
        let reply = format!(
            "HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        socket.write_all(reply.as_bytes()).await?;
        buffer.drain(..head + length);
    }
}

/// The fields that Planhat does not have of its own.
fn own_fields() -> String {
    let kinds = ["number", "number", "number", "day", "date", "checkbox"];
    let own = columns("planhat", 0, 10).filter(|(_, own, _)| !own).zip(kinds);
    json!(own.map(|((name, ..), kind)| json!({ "parent": "company", "name": name, "type": kind })).collect::<Vec<_>>())
        .to_string()
}

async fn sink() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        tokio::spawn(serve(socket));
    }
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["sink"] => sink().await,
        ["post", kind, records, fields, url] => {
            post(kind, records.parse().unwrap(), fields.parse().unwrap(), url).await;
        }
        _ => panic!("post_speed sink | post_speed post planhat|batch|http RECORDS FIELDS URL"),
    }
}
