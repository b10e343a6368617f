//! A worker that stood still while its work was given to another, and wakes: it writes nothing. On Postgres, with real
//! processes and signals.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tidegate_twins::planhat::{Planhat, TENANT};
use tidegate_twins::{Knobs, Limits, Running, Start, start};
use tokio::runtime::Runtime;

use super::fleet::Fleet;
use super::server::{PATIENCE, Server};

/// A worker asks again whether a sync is still its own once it has been silent for so long.
const SILENCE: Duration = Duration::from_secs(11);

pub fn stands_still(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).expect("it lives");
    stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with('T'))
}

/// A worker that stands still in the middle of a run of `s0`, between the intents of a batch and its request.
fn stalled(fleet: &Fleet) -> (Server, Instant) {
    let worker = fleet.worker(Some("stop@deliver.intended:3"));
    fleet.ask("s0");
    let began = Instant::now();
    while !stands_still(worker.pid()) {
        assert!(began.elapsed() < PATIENCE, "it was to stand still at its failpoint");
        std::thread::sleep(Duration::from_millis(50));
    }
    (worker, Instant::now())
}

/// As others see it some minutes later: its lease has run out, and its job is free.
fn forgotten(fleet: &Fleet) {
    fleet.psql("UPDATE tidegate.syncs SET expires_at = 0, seen_at = 0; UPDATE tidegate.jobs SET beat_at = 0");
}

/// Lets it go on, and waits until it has noticed that the sync is no longer its own.
fn wakes(worker: &Server) {
    kill_process(worker.pid(), Signal::CONT).expect("sent");
    worker.until("the worker to notice", |worker| {
        let metrics = worker.get("/metrics").expect(200).body;
        metrics.contains("tidegate_runs_not_begun_total{sync=\"s0\",code=\"lease_lost\"} 1").then_some(())
    });
}

/// Everything that a late write would change.
fn dump(fleet: &Fleet) -> String {
    let state = "SELECT string_agg(x::text, E'\\n' ORDER BY x::text) FROM";
    let tables = ["tidegate.ledger", "tidegate.runs", "tidegate.history", "tidegate.open_spans", "tidegate.intents"];
    tables.map(|table| fleet.psql(&format!("{state} {table} x"))).join("\n")
}

#[test]
fn a_worker_that_wakes_after_a_takeover_on_postgres_writes_nothing_to_a_hub() {
    let fleet = Fleet::new("stalled", 1, 500, 50);
    let (worker, _) = stalled(&fleet);
    forgotten(&fleet);
    let other = fleet.worker(None);
    other.until("the other to have done the job", |_| {
        (fleet.psql("SELECT count(*) FROM tidegate.jobs") == "0").then_some(())
    });
    assert_eq!(other.stop(), Some(143));
    assert_eq!(fleet.run(&["hub", "list", "company"]).expect(0).json().len(), 500);
    fleet.psql("UPDATE t0 SET name = 'newer'");
    fleet.run(&["run", "s0"]).expect(0);
    let hub = || fleet.run(&["hub", "list", "company"]).expect(0).stdout;
    let (before, held) = (dump(&fleet), hub());
    wakes(&worker);
    assert_eq!(hub(), held, "what it had in hand would have put the old names back");
    assert_eq!(dump(&fleet), before);
    assert_eq!(worker.stop(), Some(143));
}

fn twin(runtime: &Runtime) -> Running {
    let twin = Arc::new(Planhat::new("sandbox", TENANT));
    let knobs = Knobs { limits: Limits::Off, ..Knobs::default() };
    runtime.block_on(start(twin, Start { knobs, ..Start::default() })).expect("a twin")
}

#[test]
fn a_worker_that_wakes_after_a_takeover_on_postgres_sends_nothing_to_an_api() {
    let runtime = Runtime::new().expect("a runtime");
    let (fleet, twin) = (Fleet::new("stalled_api", 1, 300, 50), twin(&runtime));
    let url = twin.url();
    fleet.bench.write("connections/crm.yaml", &format!("version: 1\ntype: planhat\ntoken: sandbox\nurl: {url}\n"));
    let (worker, since) = stalled(&fleet);
    forgotten(&fleet);
    fleet.run(&["run", "s0"]).expect(0);
    fleet.psql("UPDATE t0 SET name = 'newer'");
    fleet.run(&["run", "s0"]).expect(0);
    // No fence stands before an API: what protects it is that the worker asks before it sends.
    std::thread::sleep(SILENCE.saturating_sub(since.elapsed()));
    let sent = || twin.requests().iter().filter(|seen| seen.method != "GET").count();
    let (before, had) = (dump(&fleet), sent());
    wakes(&worker);
    assert_eq!(sent(), had, "an old batch was sent");
    assert_eq!(dump(&fleet), before);
    assert_eq!(worker.stop(), Some(143));
}
