//! The frame of the twins, with a twin that counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rusqlite::{Connection, Transaction};
use serde_json::json;
use tidegate_twins::{
    About, Call, Chance, Fault, Knobs, Limits, Rates, Reply, Running, Shelf, Start, Step, Twin, Weight, start,
};

struct Counter;

impl Twin for Counter {
    fn about(&self) -> About {
        About { platform: "Counter", connect: vec!["PUT anything".into()], unsure: vec!["whether <it> counts"] }
    }
    fn prepare(&self, db: &Connection) -> rusqlite::Result<()> {
        db.execute_batch("CREATE TABLE IF NOT EXISTS twin_counts(path TEXT)")
    }
    fn weight(&self, _: &Call) -> Option<Weight> {
        let rates = Rates { requests_per_second: Some(5), ..Rates::default() };
        Some(Weight { class: "all", rates, records: 1 })
    }
    fn too_many(&self) -> Reply {
        Reply::text(429, "too many")
    }
    fn answer(&self, db: &Transaction<'_>, call: &Call, _: &Knobs, _: &mut Chance) -> rusqlite::Result<Reply> {
        db.execute("INSERT INTO twin_counts VALUES (?1)", [&call.path])?;
        let count: i64 = db.query_row("SELECT count(*) FROM twin_counts", [], |row| row.get(0))?;
        Ok(Reply::json(200, &json!({ "count": count })))
    }
    fn shelves(&self, db: &Connection, _: u32) -> rusqlite::Result<Vec<Shelf>> {
        let count: i64 = db.query_row("SELECT count(*) FROM twin_counts", [], |row| row.get(0))?;
        Ok(vec![Shelf { name: "paths".into(), count, newest: vec![json!("<x>")] }])
    }
}

async fn twin(knobs: Knobs) -> Running {
    start(Arc::new(Counter), Start { knobs, ..Start::default() }).await.unwrap()
}

/// What comes back on a fresh connection, all of it.
async fn ask(twin: &Running, method: &str, path: &str, body: &str) -> String {
    let address = twin.address();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut back = Vec::new();
        let _ = stream.read_to_end(&mut back);
        String::from_utf8_lossy(&back).into_owned()
    })
    .await
    .unwrap()
}

fn off() -> Knobs {
    Knobs { limits: Limits::Off, ..Knobs::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_did_the_work_and_a_dropped_request_did_not() {
    let script = vec![Step::next("PUT", "/a", Fault::Lost), Step::next("PUT", "/b", Fault::Dropped)];
    let twin = twin(Knobs { script, ..off() }).await;
    assert_eq!(ask(&twin, "PUT", "/a", "{}").await, "", "no byte of an answer");
    assert_eq!(ask(&twin, "PUT", "/b", "{}").await, "");
    assert!(ask(&twin, "PUT", "/b", "{}").await.ends_with(r#"{"count":2}"#));
    let seen = twin.requests();
    assert_eq!(seen.iter().map(|one| (one.status, one.done)).collect::<Vec<_>>(), [(0, true), (0, false), (200, true)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_cut_slowed_and_replaced() {
    let script = vec![
        Step::next("", "/cut", Fault::Cut),
        Step::next("", "/slow", Fault::Slow),
        Step::next("", "/instead", Fault::Instead(500, "{}".into())),
        Step::next("", "/busy", Fault::Status(429)),
    ];
    let twin = twin(Knobs { script, slow_ms: 80, retry_after_s: Some(7), ..off() }).await;
    let cut = ask(&twin, "GET", "/cut", "").await;
    assert!(cut.contains("{\"cou") && !cut.contains("\"count\":1}"), "{cut}");
    let begun = std::time::Instant::now();
    assert!(ask(&twin, "GET", "/slow", "").await.contains("chunked"));
    assert!(begun.elapsed().as_millis() >= 80);
    assert!(ask(&twin, "GET", "/instead", "").await.starts_with("HTTP/1.1 500"));
    let busy = ask(&twin, "GET", "/busy", "").await;
    assert!(busy.starts_with("HTTP/1.1 429") && busy.contains("retry-after: 7"), "{busy}");
    assert!(ask(&twin, "GET", "/x", "").await.ends_with(r#"{"count":4}"#), "cut, slow, instead and this one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platforms_own_limits_are_kept_unless_turned_off() {
    let twin = twin(Knobs::default()).await;
    let mut refused = 0;
    for _ in 0..8 {
        refused += usize::from(ask(&twin, "GET", "/x", "").await.starts_with("HTTP/1.1 429"));
    }
    assert_eq!(refused, 3);
    assert_eq!(twin.requests()[7].fault.as_deref(), Some("limit: calls in a second"));
    twin.turn(off());
    assert!(ask(&twin, "GET", "/x", "").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chance_follows_its_seed() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let twin = twin(Knobs { seed, lost_pct: 30.0, storm_pct: 10.0, ..off() }).await;
        for _ in 0..40 {
            ask(&twin, "GET", "/x", "").await;
        }
        runs.push(twin.requests().iter().map(|one| one.status).collect::<Vec<_>>());
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    assert!([0, 200, 429].iter().all(|status| runs[0].contains(status)), "{:?}", runs[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_and_the_console_show_what_there_is() {
    let twin = twin(off()).await;
    ask(&twin, "PUT", "/some%20path?q=1", r#"{"a":"</pre>"}"#).await;
    let page = ask(&twin, "GET", "/", "").await;
    assert!(page.contains("Twin of Counter") && page.contains("/some%20path?q=1"), "{page}");
    assert!(
        page.contains("whether &lt;it&gt; counts") && page.contains("&lt;/pre&gt;"),
        "what is shown is text: {page}"
    );
    assert!(page.contains("light dark") && !page.contains("http://") && !page.contains("https://"), "{page}");
    let log = ask(&twin, "GET", "/_twin/requests", "").await;
    assert!(log.contains(r#""body":{"a":"</pre>"}"#), "{log}");
    assert!(ask(&twin, "PUT", "/_twin/knobs", r#"{"lost_pct": 100}"#).await.contains("\"lost_pct\":100"));
    assert!(ask(&twin, "PUT", "/_twin/knobs", r#"{"lots": 100}"#).await.starts_with("HTTP/1.1 400"));
    assert_eq!(ask(&twin, "PUT", "/x", "").await, "");
    assert_eq!(twin.holds(1).unwrap()[0].count, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_holds_survives_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = Some(folder.path().join("twin.db"));
    for count in 1..=2 {
        let twin =
            start(Arc::new(Counter), Start { file: file.clone(), knobs: off(), ..Start::default() }).await.unwrap();
        ask(&twin, "PUT", "/x", "").await;
        assert_eq!(twin.holds(1).unwrap()[0].count, count);
    }
}
