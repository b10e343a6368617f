//! More processes do more: eight syncs to a twin that takes its time, on Postgres.

use std::sync::Arc;

use tidegate_twins::planhat::{Planhat, TENANT};
use tidegate_twins::{Knobs, Limits, Start, start};

use super::fleet::Fleet;
use super::server::Server;

const SYNCS: usize = 8;
/// Calls of each sync, at 50 ms.
const CALLS: usize = 40;
const LATENCY_MS: u64 = 50;

/// Eight syncs of usage events: Planhat permits any number of calls for these.
fn project(name: &str, twin: &str) -> Fleet {
    let fleet = Fleet::empty(name);
    fleet.bench.write(
        "connections/crm.yaml",
        &format!("version: 1\ntype: planhat\ntoken: sandbox\ntenant: {TENANT}\nurl: {twin}\nanalytics_url: {twin}\n"),
    );
    for number in 0..SYNCS {
        fleet.psql(&format!(
            "CREATE TABLE u{number} (event_id BIGINT PRIMARY KEY, email TEXT, action TEXT, at TIMESTAMPTZ);
             INSERT INTO u{number} SELECT i, 'a' || i || '@x.com', 'login', '2026-01-01T00:00:00Z'
             FROM generate_series(1, {}) i",
            CALLS * 10
        ));
        fleet.bench.write(
            &format!("syncs/u{number}.yaml"),
            &format!(
                "version: 1\nwarehouse: {{ connection: lake, relation: public.u{number} }}\n\
                 platform: {{ connection: crm, model: user_activity }}\nshared: true\ndirection: to_platform\n\
                 key: {{ warehouse: event_id }}\nchanges: cursor\ncursor: {{ column: event_id, lookback: 10 }}\n\
                 write: append\nbatch_size: 10\nfields:\n  - {{ warehouse: email, platform: email }}\n\
                 \x20 - {{ warehouse: action, platform: action }}\n  - {{ warehouse: at, platform: date }}\n"
            ),
        );
    }
    fleet
}

/// Milliseconds from the first beginning to the last end, with so many processes that do one run at a time.
fn took_ms(processes: usize, twin: &str) -> i64 {
    let fleet = project(&format!("crew{processes}"), twin);
    fleet.run(&["check"]).expect(0);
    let crew: Vec<Server> = (0..processes).map(|_| fleet.worker(None)).collect();
    for worker in &crew {
        worker.until("it to be ready", |worker| (worker.get("/readyz").code == 200).then_some(()));
    }
    (0..SYNCS).for_each(|number| fleet.ask(&format!("u{number}")));
    crew[0].until("all to be done", |_| (fleet.psql("SELECT count(*) FROM tidegate.jobs") == "0").then_some(()));
    let bad = fleet.psql("SELECT record FROM tidegate.runs WHERE status <> 'succeeded'");
    assert_eq!(bad, "", "not all succeeded");
    let took = fleet.psql("SELECT (max(finished_at) - min(started_at)) / 1000 FROM tidegate.runs");
    took.parse().expect("a number")
}

#[test]
fn four_processes_on_postgres_do_eight_syncs_in_less_than_half_the_time_of_one() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let knobs = Knobs { limits: Limits::Off, latency_ms: LATENCY_MS, ..Knobs::default() };
    let twin = Arc::new(Planhat::new("sandbox", TENANT));
    let twin = runtime.block_on(start(twin, Start { knobs, ..Start::default() })).expect("a twin");
    let (one, four) = (took_ms(1, &twin.url()), took_ms(4, &twin.url()));
    let sent = twin.requests().iter().filter(|seen| seen.method == "POST").count();
    assert!(sent >= 2 * SYNCS * CALLS, "{sent} calls: each waits {LATENCY_MS} ms");
    println!("one process {one} ms, four {four} ms");
    // Generous: other tests run beside it. `bench/run crew` measures, and wants 3x.
    assert!(four * 2 < one, "one process took {one} ms, four {four} ms");
}
