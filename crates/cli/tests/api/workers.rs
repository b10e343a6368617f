//! Several processes on one state in Postgres: jobs are shared, the dead are taken over, nothing is done twice.

use std::time::{Duration, Instant};

use serde_json::json;

use super::bench::Bench;
use super::fleet::{Fleet, KEY};
use super::server::{PATIENCE, Server};

const SYNCS: usize = 4;
/// So many that each of four processes has looked for work before one of them is through with a sync.
const ROWS: usize = 6_000;
/// So large that no delivery is one for several workers.
const BATCH: usize = 200;
/// How long the silent keep what is theirs.
const LEASE: Duration = Duration::from_secs(60);

#[test]
fn four_processes_on_postgres_share_the_work_and_take_over_from_two_that_are_killed() {
    let fleet = Fleet::new("killed", SYNCS, ROWS, BATCH);
    fleet.run(&["check"]).expect(0);
    // Two die in the middle of their first run, between what was sent and what was settled.
    let mut dying = [fleet.worker(Some("deliver.intended:3")), fleet.worker(Some("store.answer.committed:4"))];
    let serve = Server::start(&mut fleet.command(&["--json", "serve", "--listen", "127.0.0.1:0", "--parallel", "1"]));
    let other = fleet.worker(None);
    // Asked for over the API while all four look for work.
    let queued = serve.post("/api/v1/connections/crm/full-sync", &json!({})).expect(200).json();
    assert_eq!(queued["items"].as_array().map(Vec::len), Some(SYNCS));
    let began = Instant::now();
    let names = dying.each_ref().map(|worker| format!("{}-%", worker.pid().as_raw_nonzero()));
    // Asking also buries them: a dead process that nobody waited for still counts as one that lives.
    while dying.iter_mut().map(Server::ended).filter(|ended| *ended).count() < 2 {
        assert!(began.elapsed() < PATIENCE, "both were to die at their failpoint");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    // Their jobs need not wait for a lease to run out: the others see that the processes are gone.
    let buried = Instant::now();
    let [one, two] = names;
    serve.until("the jobs of the dead to be free", |_| {
        let held = format!("SELECT count(*) FROM tidegate.jobs WHERE holder LIKE '{one}' OR holder LIKE '{two}'");
        (fleet.psql(&held) == "0").then_some(())
    });
    assert!(buried.elapsed() < LEASE / 2, "{:?}", buried.elapsed());
    serve.until("every sync to have ended", |serve| {
        let syncs = serve.get("/api/v1/syncs").expect(200).json();
        let done = |sync: &&serde_json::Value| sync["last_run"]["status"] == "succeeded" && sync["health"] == "healthy";
        let items = syncs["items"].as_array().expect("a list").clone();
        (items.iter().filter(done).count() == SYNCS).then_some(())
    });
    let list = fleet.run(&["hub", "list", "company"]).expect(0);
    assert_eq!(list.json().len(), SYNCS * ROWS, "each record once");
    assert_eq!(fleet.psql("SELECT count(*) FROM tidegate.jobs"), "0");
    let holders = fleet.psql("SELECT count(*) FROM tidegate.syncs WHERE holder IS NOT NULL");
    assert_eq!(holders, "0", "every lease was given back");
    assert_eq!(other.stop(), Some(143));
    assert_eq!(serve.stop(), Some(143));
}

#[test]
fn two_schedulers_on_postgres_run_a_slot_once() {
    let fleet = Fleet::new("schedulers", SYNCS, ROWS, BATCH);
    for number in 0..SYNCS {
        let path = format!("syncs/s{number}.yaml");
        let text = std::fs::read_to_string(fleet.bench.path(&path)).expect("read");
        fleet.bench.write(&path, &text.replace("automation: false\n", ""));
    }
    let serve = || Server::start(&mut fleet.command(&["--json", "serve", "--listen", "127.0.0.1:0"]));
    let (a, b) = (serve(), serve());
    a.until("every sync to have run", |a| {
        let syncs = a.get("/api/v1/syncs").expect(200).json();
        let items = syncs["items"].as_array().expect("a list").clone();
        items.iter().all(|sync| sync["last_run"]["finished_at"].is_string()).then_some(())
    });
    // A few looks of both later there is still one run of each: its slot is served.
    std::thread::sleep(std::time::Duration::from_secs(4));
    let runs = b.get("/api/v1/runs").expect(200).json();
    let mut syncs: Vec<&str> =
        runs["items"].as_array().expect("runs").iter().filter_map(|r| r["sync"].as_str()).collect();
    syncs.sort_unstable();
    assert_eq!(syncs, ["s0", "s1", "s2", "s3"]);
}

#[test]
fn a_worker_with_another_project_leaves_the_work_on_postgres_to_others() {
    let fleet = Fleet::new("other", SYNCS, ROWS, BATCH);
    let serve = Server::start(&mut fleet.command(&["--json", "serve", "--listen", "127.0.0.1:0", "--parallel", "1"]));
    // Its own copy of the project, in which the sync reads another column.
    let other = Bench::new();
    for path in ["tidegate.yaml", "connections/lake.yaml", "connections/crm.yaml", "syncs/s0.yaml"] {
        other.write(
            path,
            &std::fs::read_to_string(fleet.bench.path(path)).expect("read").replace("batch_size: 200", "batch_size: 7"),
        );
    }
    let mut command = other.command(&["--json", "work"]);
    let worker = Server::start(command.env("PG_URL", &fleet.url).env("TIDEGATE_KEY", KEY));
    assert_eq!(serve.stop(), Some(143));
    let done = fleet.run(&["run", "s0"]).expect(0);
    assert!(done.stdout.contains("succeeded"));
    fleet.psql(
        "INSERT INTO tidegate.jobs (sync, started_by, mode, due_at, config_hash) VALUES ('s0', 'manual', 'full', 0, 'another')",
    );
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(fleet.psql("SELECT holder IS NULL FROM tidegate.jobs"), "t", "left in the queue");
    assert_eq!(worker.stop(), Some(143));
    bench_refuses_workers_on_a_file();
}

fn bench_refuses_workers_on_a_file() {
    let bench = Bench::new();
    bench.run(&["work"]).expect(2).says(&["SQLite file", "Postgres"]);
}
