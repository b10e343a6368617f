//! Several processes on one state in Postgres: jobs are shared, the dead are taken over, nothing is done twice.

use std::process::Command;
use std::time::Instant;

use serde_json::json;

use super::bench::{Bench, Done};
use super::server::{PATIENCE, Server};

/// A key of secrets, as workers of one state share it.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SYNCS: usize = 4;
/// So many that each of four processes has looked for work before one of them is through with a sync.
const ROWS: usize = 6_000;

fn psql(url: &str, sql: &str) -> String {
    let out = Command::new("psql").args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url, "-c", sql]).output();
    let out = out.expect("psql can be started");
    assert!(out.status.success(), "psql: {}\n{sql}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

struct Fleet {
    bench: Bench,
    database: String,
    url: String,
}

impl Fleet {
    /// Syncs of one table each into a dataset each, all in one database.
    fn new(name: &str) -> Self {
        let server = std::env::var("TIDEGATE_TEST_PG").expect("TIDEGATE_TEST_PG names a Postgres; `./test` starts one");
        let database = format!("tidegate_fleet_{name}_{}", std::process::id());
        let url = format!("{}/{database}", server.rsplit_once('/').expect("a URL").0);
        psql(&server, &format!("CREATE DATABASE {database}"));
        let bench = Bench::new();
        bench.write("tidegate.yaml", "version: 1\nname: fleet\nstate: \"${PG_URL}\"\n");
        bench.write("connections/lake.yaml", "version: 1\ntype: postgres\nurl: \"${PG_URL}\"\n");
        bench.write("connections/crm.yaml", "version: 1\ntype: hub\nurl: \"${PG_URL}\"\n");
        for number in 0..SYNCS {
            psql(
                &url,
                &format!(
                    "CREATE TABLE t{number} (id TEXT PRIMARY KEY, name TEXT);
                     INSERT INTO t{number} SELECT 'S{number}K' || i, 'n' || i FROM generate_series(1, {ROWS}) i"
                ),
            );
            bench.write(
                &format!("syncs/s{number}.yaml"),
                &format!(
                    "version: 1\nwarehouse: {{ connection: lake, relation: public.t{number} }}\n\
                     platform: {{ connection: crm, model: company }}\nshared: true\ndirection: to_platform\n\
                     key: {{ warehouse: id, platform: externalId }}\nbatch_size: 50\nfields:\n\
                     \x20 - {{ warehouse: name, platform: name }}\nschedule: {{ every: 1d }}\nautomation: false\n"
                ),
            );
        }
        Self { bench, database, url }
    }
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bench.command(args);
        command.env("PG_URL", &self.url).env("TIDEGATE_KEY", KEY);
        command
    }
    fn run(&self, args: &[&str]) -> Done {
        self.command(args).output().expect("started").into()
    }
    fn worker(&self, failpoint: Option<&str>) -> Server {
        let mut command = self.command(&["--json", "work", "--parallel", "1"]);
        if let Some(point) = failpoint {
            command.env("TIDEGATE_FAILPOINT", point);
        }
        Server::start(&mut command)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Ok(server) = std::env::var("TIDEGATE_TEST_PG") {
            psql(&server, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database));
        }
    }
}

#[test]
fn four_processes_on_postgres_share_the_work_and_take_over_from_two_that_are_killed() {
    let fleet = Fleet::new("killed");
    fleet.run(&["check"]).expect(0);
    // Two die in the middle of their first run, between what was sent and what was settled.
    let mut dying = [fleet.worker(Some("deliver.intended:3")), fleet.worker(Some("store.answer.committed:4"))];
    let serve = Server::start(&mut fleet.command(&["--json", "serve", "--listen", "127.0.0.1:0", "--parallel", "1"]));
    let other = fleet.worker(None);
    // Asked for over the API while all four look for work.
    let queued = serve.post("/api/v1/connections/crm/full-sync", &json!({})).expect(200).json();
    assert_eq!(queued["items"].as_array().map(Vec::len), Some(SYNCS));
    let began = Instant::now();
    // Asking also buries them: a dead process that nobody waited for still counts as one that lives.
    while dying.iter_mut().map(Server::ended).filter(|ended| *ended).count() < 2 {
        assert!(began.elapsed() < PATIENCE, "both were to die at their failpoint");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    serve.until("every sync to have ended", |serve| {
        let syncs = serve.get("/api/v1/syncs").expect(200).json();
        let done = |sync: &&serde_json::Value| sync["last_run"]["status"] == "succeeded" && sync["health"] == "healthy";
        let items = syncs["items"].as_array().expect("a list").clone();
        (items.iter().filter(done).count() == SYNCS).then_some(())
    });
    let list = fleet.run(&["hub", "list", "company"]).expect(0);
    assert_eq!(list.json().len(), SYNCS * ROWS, "each record once");
    assert_eq!(psql(&fleet.url, "SELECT count(*) FROM tidegate.jobs").trim(), "0");
    let holders = psql(&fleet.url, "SELECT count(*) FROM tidegate.syncs WHERE holder IS NOT NULL");
    assert_eq!(holders.trim(), "0", "every lease was given back");
    assert_eq!(other.stop(), Some(143));
    assert_eq!(serve.stop(), Some(143));
}

#[test]
fn two_schedulers_on_postgres_run_a_slot_once() {
    let fleet = Fleet::new("schedulers");
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
    let fleet = Fleet::new("other");
    let serve = Server::start(&mut fleet.command(&["--json", "serve", "--listen", "127.0.0.1:0", "--parallel", "1"]));
    // Its own copy of the project, in which the sync reads another column.
    let other = Bench::new();
    for path in ["tidegate.yaml", "connections/lake.yaml", "connections/crm.yaml", "syncs/s0.yaml"] {
        other.write(
            path,
            &std::fs::read_to_string(fleet.bench.path(path)).expect("read").replace("batch_size: 50", "batch_size: 7"),
        );
    }
    let mut command = other.command(&["--json", "work"]);
    let worker = Server::start(command.env("PG_URL", &fleet.url).env("TIDEGATE_KEY", KEY));
    assert_eq!(serve.stop(), Some(143));
    let done = fleet.run(&["run", "s0"]).expect(0);
    assert!(done.stdout.contains("succeeded"));
    psql(
        &fleet.url,
        "INSERT INTO tidegate.jobs (sync, started_by, mode, due_at, config_hash) VALUES ('s0', 'manual', 'full', 0, 'another')",
    );
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(psql(&fleet.url, "SELECT holder IS NULL FROM tidegate.jobs").trim(), "t", "left in the queue");
    assert_eq!(worker.stop(), Some(143));
    bench_refuses_workers_on_a_file();
}

fn bench_refuses_workers_on_a_file() {
    let bench = Bench::new();
    bench.run(&["work"]).expect(2).says(&["SQLite file", "Postgres"]);
}
