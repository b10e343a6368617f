//! Pages and lists with a lot in the state: 200 syncs, 100,000 runs, log lines and rejects.

use std::time::{Duration, Instant};

use super::bench::Bench;
use super::server::Server;

const SYNCS: usize = 200;
const ROWS: usize = 100_000;
/// A second is what is promised of a release build on a machine of its own; this one is neither.
const BOUND: Duration = Duration::from_secs(4);

fn project() -> Bench {
    let bench = Bench::new();
    for number in 0..SYNCS {
        bench.write(
            &format!("syncs/s{number:03}.yaml"),
            "version: 1\nwarehouse: { connection: lake, relation: companies }\n\
             platform: { connection: crm, model: company }\nshared: true\ndirection: to_platform\n\
             key: { warehouse: company_id, platform: externalId }\nschedule: { every: 1d }\nautomation: false\n\
             fields:\n  - { warehouse: name, platform: name }\n",
        );
    }
    bench
}

/// One real run, many times over.
fn fill(bench: &Bench) {
    bench.run(&["run", "s000"]).expect(0);
    let state = rusqlite::Connection::open(bench.path(".tidegate/state.db")).expect("opened");
    let numbers = format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})");
    let of = format!("printf('s%03d', n.i % {SYNCS})");
    state
        .execute_batch(&format!(
            "BEGIN;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {SYNCS} - 1)
             INSERT INTO syncs (name, epoch, seen_at, expires_at) SELECT printf('s%03d', i), 1, 0, 0 FROM n;
             {numbers} INSERT INTO runs (run, sync, started_at, finished_at, record, books, writes, cancel, status)
             SELECT printf('01R%022d', n.i), {of}, r.started_at - n.i * 1000000, r.finished_at - n.i * 1000000,
                    json_set(r.record, '$.run', printf('01R%022d', n.i), '$.sync', {of},
                             '$.status', iif(n.i % 7 = 0, 'failed', 'succeeded'),
                             '$.started_at', r.started_at - n.i * 1000000, '$.finished_at', r.finished_at - n.i * 1000000),
                    r.books, 0, 0, iif(n.i % 7 = 0, 'failed', 'succeeded')
             FROM n, (SELECT * FROM runs LIMIT 1) r;
             {numbers} INSERT INTO logs (run, at, line) SELECT printf('01R%022d', n.i), n.i, 'a line' FROM n;
             {numbers} INSERT INTO rejects (sync, key, side, field, rule, reason, run, at)
             SELECT s.id, 'K' || n.i, 'platform', 'name', 'type', 'it does not fit', '01R', n.i
             FROM n JOIN syncs s ON s.name = {of};
             COMMIT"
        ))
        .expect("filled");
}

/// Every list and page, and what of it must be there.
const ASKED: [(&str, &str); 20] = [
    ("/", "200"),
    ("/runs", "succeeded"),
    ("/runs?status=failed", "failed"),
    ("/runs?status=unbalanced", "No runs here"),
    ("/runs?sync=s150", "s150"),
    ("/logs", "a line"),
    ("/logs?sync=s150", "a line"),
    ("/rejects", "It does not fit"),
    ("/rejects?sync=s150", "It does not fit"),
    ("/conflicts", "<h1"),
    ("/connections", "crm"),
    ("/connections/crm", "<h1"),
    ("/syncs/s150", "s150"),
    ("/settings", "<h1"),
    ("/hub", "<h1"),
    ("/api/v1/syncs", "\"s199\""),
    ("/api/v1/runs?limit=500", "\"next\":\""),
    ("/api/v1/runs?status=unbalanced", "[]"),
    ("/api/v1/logs?limit=500", "\"next\":\""),
    ("/api/v1/rejects?limit=500&sync=s199", "\"next\":\""),
];

#[test]
fn pages_and_lists_answer_at_once_with_a_hundred_thousand_runs_and_rejects() {
    let bench = project();
    fill(&bench);
    let server = Server::serve(&bench);
    server.until("the first look at all syncs", |server| {
        let syncs = server.get("/api/v1/syncs").expect(200).json();
        syncs["items"][SYNCS - 1]["waits"].is_string().then_some(())
    });
    let mut slow = Vec::new();
    let ask = |path: &str| {
        let began = Instant::now();
        (server.get(path).expect(200).body, began.elapsed())
    };
    for (path, holds) in ASKED {
        let (body, took) = ask(path);
        assert!(body.contains(holds), "{path} does not hold {holds:?}");
        println!("{:>6} ms  {path}", took.as_millis());
        if took > BOUND {
            slow.push((path.to_owned(), took));
        }
    }
    // The last page of a list costs what the first does.
    let mark: String = format!("[0,{}]", i64::MAX).bytes().map(|byte| format!("{byte:02x}")).collect();
    let key: String = "[\"s199\",\"K99\",\"\",\"\"]".bytes().map(|byte| format!("{byte:02x}")).collect();
    for path in [format!("/api/v1/runs?after={mark}"), format!("/api/v1/rejects?after={key}")] {
        let (_, took) = ask(&path);
        println!("{:>6} ms  {path}", took.as_millis());
        if took > BOUND {
            slow.push((path, took));
        }
    }
    assert!(slow.is_empty(), "{slow:?}");
    assert_eq!(server.stop(), Some(143));
}
