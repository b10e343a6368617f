//! A large one-way upsert on Postgres, delivered by several processes.

use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use super::fleet::Fleet;
use super::server::{PATIENCE, Server};
use super::stalled::stands_still;

const ROWS: usize = 6_000;
/// So small that the delivery is large.
const BATCH: usize = 50;

#[track_caller]
fn until(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Every record once, the books balanced, nothing left behind.
fn whole(fleet: &Fleet) {
    assert_eq!(fleet.run(&["hub", "list", "company"]).expect(0).json().len(), ROWS);
    let left = ["shards", "planned", "intents", "open_spans", "jobs"];
    for table in left {
        assert_eq!(fleet.psql(&format!("SELECT count(*) FROM tidegate.{table}")), "0", "{table}");
    }
    assert_eq!(fleet.psql("SELECT count(*) FROM tidegate.ledger"), ROWS.to_string());
    let quiet = fleet.run(&["--json", "run", "s0", "--full"]).expect(0).json().remove(0);
    assert_eq!((&quiet["unchanged"], &quiet["sent"]), (&ROWS.into(), &0.into()), "{quiet}");
}

/// Who delivered parts, by the run's log.
fn hands(fleet: &Fleet) -> usize {
    let sql = "SELECT count(DISTINCT split_part(line, ' by ', 2)) FROM tidegate.logs WHERE line LIKE 'part % is delivered by %'";
    fleet.psql(sql).parse().expect("a number")
}

fn ended_by_signal(worker: &mut Server) {
    let began = Instant::now();
    while !worker.ended() {
        assert!(began.elapsed() < PATIENCE, "it was to die at its failpoint");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_large_delivery_on_postgres_is_shared_and_goes_on_when_a_helper_is_killed() {
    let fleet = Fleet::new("shared", 1, ROWS, BATCH);
    // The process that planned it stands still: all is done by others.
    let lead = fleet.worker(Some("stop@shards.offered"));
    fleet.ask("s0");
    until("the plan", || stands_still(lead.pid()));
    assert_eq!(fleet.psql("SELECT count(*), count(DISTINCT shard) FROM tidegate.planned").split('|').nth(1), Some("8"));
    let mut dying = fleet.worker(Some("shards.taken:5"));
    ended_by_signal(&mut dying);
    let others = [fleet.worker(None), fleet.worker(None)];
    until("all parts to have ended", || fleet.psql("SELECT count(*) FROM tidegate.shards WHERE ended = 0") == "0");
    assert_eq!(fleet.psql("SELECT count(*) FROM tidegate.intents WHERE settled = 0"), "0", "all is settled");
    kill_process(lead.pid(), Signal::CONT).expect("sent");
    until("the end of the run", || fleet.psql("SELECT count(*) FROM tidegate.jobs") == "0");
    let run = fleet.run(&["--json", "runs"]).expect(0).json().remove(0);
    assert_eq!(
        (&run["status"], &run["created"], &run["sent"]),
        (&"succeeded".into(), &ROWS.into(), &ROWS.into()),
        "{run}"
    );
    assert!(run["requests"].as_u64().is_some_and(|calls| calls >= (ROWS / BATCH) as u64), "{run}");
    assert!(hands(&fleet) >= 2, "{}", hands(&fleet));
    whole(&fleet);
    for worker in others {
        assert_eq!(worker.stop(), Some(143));
    }
    assert_eq!(lead.stop(), Some(143));
}

#[test]
fn a_large_delivery_on_postgres_is_resumed_when_the_one_that_planned_it_is_killed() {
    let fleet = Fleet::new("shared_lead", 1, ROWS, BATCH);
    let mut lead = fleet.worker(Some("shards.taken:3"));
    fleet.ask("s0");
    ended_by_signal(&mut lead);
    let others = [fleet.worker(None), fleet.worker(None)];
    until("the end of the run", || fleet.psql("SELECT count(*) FROM tidegate.jobs") == "0");
    let runs = fleet.run(&["--json", "runs"]).expect(0).json();
    let of = |at: usize| runs[at]["status"].as_str().unwrap_or_default().to_owned();
    assert_eq!((runs.len(), of(0), of(1)), (2, "succeeded".to_owned(), "failed".to_owned()), "{runs:?}");
    whole(&fleet);
    for worker in others {
        assert_eq!(worker.stop(), Some(143));
    }
}

#[test]
fn a_shared_delivery_on_postgres_that_is_cancelled_counts_the_rest_as_ahead() {
    let fleet = Fleet::new("shared_cancel", 1, ROWS, BATCH);
    let lead = fleet.worker(Some("stop@shards.offered"));
    fleet.ask("s0");
    until("the plan", || stands_still(lead.pid()));
    fleet.psql("UPDATE tidegate.runs SET cancel = 1");
    // It wakes, delivers what it has in hand, and lets go.
    kill_process(lead.pid(), Signal::CONT).expect("sent");
    until("the end of the run", || fleet.psql("SELECT count(*) FROM tidegate.jobs") == "0");
    let run = fleet.run(&["--json", "runs"]).expect(0).json().remove(0);
    let of = |name: &str| run[name].as_u64().unwrap_or(0);
    assert_eq!((run["status"].as_str(), of("created") + of("ahead")), (Some("cancelled"), ROWS as u64), "{run}");
    assert!(of("ahead") > 0, "{run}");
    assert_eq!(fleet.psql("SELECT count(*) FROM tidegate.planned"), "0");
    fleet.run(&["run", "s0"]).expect(0);
    whole(&fleet);
    assert_eq!(lead.stop(), Some(143));
}

/// So many that a part of them has fewer than the twenty rejects that no guard minds, and all of them have too many.
const JUDGED: usize = 400;

/// A delivery of which three of ten records are refused, in parts.
fn refusing(name: &str) -> Fleet {
    let fleet = Fleet::new(name, 1, JUDGED, 5);
    let path = fleet.bench.path("syncs/s0.yaml");
    let text = std::fs::read_to_string(path).expect("a sync");
    let both = "fields:\n  - { warehouse: src, platform: sourceId }\n";
    fleet.bench.write("syncs/s0.yaml", &text.replace("fields:\n", both));
    fleet.psql("ALTER TABLE t0 ADD COLUMN src TEXT");
    fleet.run(&["run", "s0"]).expect(0);
    fleet.psql("UPDATE t0 SET name = name || 'x', src = CASE WHEN substr(id, 4)::int % 10 < 3 THEN 'taken' END");
    fleet
}

#[test]
fn a_shared_delivery_on_postgres_is_judged_as_a_whole() {
    let fleet = refusing("shared_judged");
    let worker = fleet.worker(None);
    fleet.ask("s0");
    until("the end of the run", || fleet.psql("SELECT count(*) FROM tidegate.jobs") == "0");
    let run = fleet.run(&["--json", "runs"]).expect(0).json().remove(0);
    let of = |name: &str| run[name].as_u64().unwrap_or(0);
    assert!(run["status"] == "failed" && run.to_string().contains("max_reject_pct"), "{run}");
    assert!(of("rejected") < 60 && of("ahead") > 200, "it stops once twenty are refused, in whatever parts: {run}");
    assert_eq!(worker.stop(), Some(143));
}

#[test]
fn a_shared_delivery_on_postgres_passes_by_what_the_run_was_told_to() {
    let fleet = refusing("shared_forced");
    // All is delivered by one that did not plan it.
    let lead = fleet.worker(Some("stop@shards.offered"));
    fleet.psql(
        "INSERT INTO tidegate.jobs (sync, started_by, mode, due_at, ask)
         VALUES ('s0', 'manual', 'changes', 0, '{\"force_guards\":[\"max_reject_pct\"]}')",
    );
    until("the plan", || stands_still(lead.pid()));
    let helper = fleet.worker(None);
    until("all parts to have ended", || fleet.psql("SELECT count(*) FROM tidegate.shards WHERE ended = 0") == "0");
    kill_process(lead.pid(), Signal::CONT).expect("sent");
    until("the end of the run", || fleet.psql("SELECT count(*) FROM tidegate.jobs") == "0");
    let run = fleet.run(&["--json", "runs"]).expect(0).json().remove(0);
    assert_eq!((run["status"].as_str(), run["sent"].as_u64()), (Some("partial"), Some(JUDGED as u64)), "{run}");
    assert!(run["rejected"].as_u64() > Some(100), "{run}");
    assert_eq!(helper.stop(), Some(143));
    assert_eq!(lead.stop(), Some(143));
}
