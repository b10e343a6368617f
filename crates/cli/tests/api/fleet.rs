//! Several processes on one state in Postgres.

use std::process::Command;

use super::bench::{Bench, Done};
use super::server::Server;

/// A key of secrets, as workers of one state share it.
pub const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Runs SQL, in Postgres.
#[track_caller]
pub fn psql(url: &str, sql: &str) -> String {
    let out = Command::new("psql").args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url, "-c", sql]).output();
    let out = out.expect("psql can be started");
    assert!(out.status.success(), "psql: {}\n{sql}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

/// A project on a database of its own, and processes at it.
pub struct Fleet {
    pub bench: Bench,
    database: String,
    pub url: String,
}

impl Fleet {
    /// Without syncs; warehouse, hub and state are one database.
    pub fn empty(name: &str) -> Self {
        let server = std::env::var("TIDEGATE_TEST_PG").expect("TIDEGATE_TEST_PG names a Postgres; `./test` starts one");
        let database = format!("tidegate_fleet_{name}_{}", std::process::id());
        let url = format!("{}/{database}", server.rsplit_once('/').expect("a URL").0);
        psql(&server, &format!("CREATE DATABASE {database}"));
        let bench = Bench::new();
        bench.write("tidegate.yaml", "version: 1\nname: fleet\nstate: \"${PG_URL}\"\n");
        bench.write("connections/lake.yaml", "version: 1\ntype: postgres\nurl: \"${PG_URL}\"\n");
        bench.write("connections/crm.yaml", "version: 1\ntype: hub\nurl: \"${PG_URL}\"\n");
        Self { bench, database, url }
    }

    /// With syncs `s0`, `s1`, …, of one table each into one model.
    pub fn new(name: &str, syncs: usize, rows: usize, batch: usize) -> Self {
        let fleet = Self::empty(name);
        (0..syncs).for_each(|number| fleet.add(number, rows, batch));
        fleet
    }

    fn add(&self, number: usize, rows: usize, batch: usize) {
        self.psql(&format!(
            "CREATE TABLE t{number} (id TEXT PRIMARY KEY, name TEXT);
             INSERT INTO t{number} SELECT 'S{number}K' || i, 'n' || i FROM generate_series(1, {rows}) i"
        ));
        self.bench.write(
            &format!("syncs/s{number}.yaml"),
            &format!(
                "version: 1\nwarehouse: {{ connection: lake, relation: public.t{number} }}\n\
                 platform: {{ connection: crm, model: company }}\nshared: true\ndirection: to_platform\n\
                 key: {{ warehouse: id, platform: externalId }}\nbatch_size: {batch}\nfields:\n\
                 \x20 - {{ warehouse: name, platform: name }}\nschedule: {{ every: 1d }}\nautomation: false\n"
            ),
        );
    }

    /// Runs SQL in the database.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> String {
        psql(&self.url, sql).trim().to_owned()
    }
    /// The binary on the project.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bench.command(args);
        command.env("PG_URL", &self.url).env("TIDEGATE_KEY", KEY);
        command
    }
    /// Runs it to its end.
    pub fn run(&self, args: &[&str]) -> Done {
        self.command(args).output().expect("started").into()
    }
    /// A `work` process that does one run at a time.
    pub fn worker(&self, failpoint: Option<&str>) -> Server {
        let mut command = self.command(&["--json", "work", "--parallel", "1"]);
        if let Some(point) = failpoint {
            command.env("TIDEGATE_FAILPOINT", point);
        }
        Server::start(&mut command)
    }
    /// Puts a run of a sync into the queue.
    pub fn ask(&self, sync: &str) {
        self.psql(&format!(
            "INSERT INTO tidegate.jobs (sync, started_by, mode, due_at) VALUES ('{sync}', 'manual', 'changes', 0)"
        ));
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Ok(server) = std::env::var("TIDEGATE_TEST_PG") {
            psql(&server, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database));
        }
    }
}
