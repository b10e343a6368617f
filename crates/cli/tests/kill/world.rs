//! A small project with its data on one backend, the binary to run on it, and what can be compared afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use crate::project;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    Sqlite,
    Postgres,
}

pub struct World {
    backend: Backend,
    dir: PathBuf,
    /// Databases on the Postgres server: lake, hub, state.
    databases: Option<[String; 3]>,
    owner: bool,
}

const COMPANIES: u32 = 60;
const EVENTS: u32 = 300;

fn server() -> String {
    std::env::var("TIDEGATE_TEST_PG")
        .expect("TIDEGATE_TEST_PG names a Postgres server; `./test` starts one and sets it")
}

fn url(database: &str) -> String {
    let server = server();
    let (base, _) = server.rsplit_once('/').expect("a URL with a database");
    format!("{base}/{database}")
}

fn psql(database_url: &str, sql: &str) -> String {
    psql_each(database_url, &[sql.to_owned()])
}

/// Statements of which each is a transaction. Starting psql takes longer than most of them do.
fn psql_each(database_url: &str, statements: &[String]) -> String {
    let mut command = Command::new("psql");
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", database_url]);
    for sql in statements {
        command.args(["-c", sql]);
    }
    let out = command.output().expect("psql can be started");
    assert!(out.status.success(), "psql: {}\n{statements:?}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

/// Makes databases, each from a template if one is given, in the place of what may be left of an earlier test.
fn create<'a>(databases: impl Iterator<Item = (&'a String, Option<&'a String>)>) {
    let from =
        |template: Option<&String>| template.map_or_else(String::new, |template| format!(" TEMPLATE {template}"));
    let one = |(database, template)| [dropped(database), format!("CREATE DATABASE {database}{}", from(template))];
    psql_each(&server(), &databases.flat_map(one).collect::<Vec<_>>());
}

fn dropped(database: &String) -> String {
    format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")
}

impl World {
    pub fn new(backend: Backend, name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("tidegate-kill-{}-{backend:?}-{name}", std::process::id()));
        let _gone = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("connections")).unwrap();
        fs::create_dir_all(dir.join("syncs")).unwrap();
        let databases = (backend == Backend::Postgres).then(|| databases(name, "base"));
        let world = Self { backend, dir, databases, owner: true };
        if let Some(databases) = &world.databases {
            create(databases.iter().map(|database| (database, None)));
        }
        world.write_connections();
        for (file, text) in SYNCS {
            fs::write(world.dir.join("syncs").join(file), text).unwrap();
        }
        world.fill();
        world
    }

    fn write_connections(&self) {
        let (lake, hub, state) = match &self.databases {
            None => (
                "type: sqlite\npath: lake.db".to_owned(),
                "sqlite:hub.db".to_owned(),
                "sqlite:.tidegate/state.db".to_owned(),
            ),
            Some([lake, hub, state]) => (format!("type: postgres\nurl: {}", url(lake)), url(hub), url(state)),
        };
        let write = |file: &str, text: String| fs::write(self.dir.join(file), text).unwrap();
        write("tidegate.yaml", format!("version: 1\nname: kill\nstate: {state}\n"));
        write("connections/lake.yaml", format!("version: 1\n{lake}\naccess: write\n"));
        write("connections/crm.yaml", format!("version: 1\ntype: hub\nurl: {hub}\n"));
    }

    fn fill(&self) {
        let arr = if self.backend == Backend::Sqlite { "DECIMAL(12,2)" } else { "numeric(12,2)" };
        self.sql(&format!("CREATE TABLE companies (company_id VARCHAR(40) PRIMARY KEY, name TEXT, phase TEXT, arr {arr}, health BIGINT)"));
        self.sql("CREATE TABLE usage_events (event_id BIGINT PRIMARY KEY, company_id TEXT, action TEXT, happened_at TIMESTAMP)");
        self.sql("CREATE TABLE scores (company_id VARCHAR(40) PRIMARY KEY, name TEXT)");
        self.sql("CREATE TABLE company_log (company_id VARCHAR(40), name TEXT)");
        self.sql("INSERT INTO scores VALUES ('old', 'from before')");
        let rows: Vec<String> = (0..COMPANIES).map(|n| format!("('C{n:03}', 'Company {n}', 'Live', {n}.50)")).collect();
        self.sql(&format!("INSERT INTO companies (company_id, name, phase, arr) VALUES {}", rows.join(", ")));
        let rows: Vec<String> = (1..=EVENTS)
            .map(|n| format!("({n}, 'C{:03}', 'login', '2024-05-{:02} 10:00:00')", n % COMPANIES, n % 28 + 1))
            .collect();
        self.sql(&format!("INSERT INTO usage_events VALUES {}", rows.join(", ")));
        self.until_no_older_transaction();
    }

    /// Rows are left for later runs as long as a transaction runs on the server that is older than they are. Tests share a
    /// server, and some of them keep one open for a minute.
    fn until_no_older_transaction(&self) {
        let Some([lake, ..]) = &self.databases else { return };
        let own = psql(&url(lake), "SELECT pg_current_xact_id()");
        let wait = format!(
            "DO $$ BEGIN WHILE pg_snapshot_xmin(pg_current_snapshot()) <= '{}'::xid8 LOOP \
               IF clock_timestamp() > transaction_timestamp() + interval '3 minutes' THEN \
                 RAISE 'a transaction older than the rows of the test does not end'; END IF; \
               PERFORM pg_sleep(0.05); END LOOP; END $$",
            own.trim()
        );
        psql(&url(lake), &wait);
    }

    /// Runs SQL in the warehouse.
    pub fn sql(&self, sql: &str) -> String {
        match &self.databases {
            Some([lake, ..]) => psql(&url(lake), sql),
            None => {
                let lake = rusqlite::Connection::open(self.dir.join("lake.db")).unwrap();
                lake.busy_timeout(Duration::from_secs(10)).unwrap();
                lake.execute_batch(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
                String::new()
            }
        }
    }

    /// The rows of a warehouse table as sorted text.
    fn rows(&self, table: &str, columns: &str) -> Vec<String> {
        let sql = format!("SELECT {columns} FROM {table}");
        let mut rows: Vec<String> = match &self.databases {
            Some([lake, ..]) => psql(&url(lake), &sql).lines().map(str::to_owned).collect(),
            None => {
                let lake = rusqlite::Connection::open(self.dir.join("lake.db")).unwrap();
                let mut query = lake.prepare(&sql).unwrap();
                let width = query.column_count();
                let rows = query.query_map([], |row| {
                    let cells: Vec<String> = (0..width).map(|at| format!("{:?}", row.get_ref(at).unwrap())).collect();
                    Ok(cells.join("|"))
                });
                rows.unwrap().map(Result::unwrap).collect()
            }
        };
        rows.sort();
        rows
    }

    /// A copy of everything: files, or databases made from these as templates.
    pub fn copy(&self, name: &str) -> Self {
        let dir = self.dir.with_file_name(format!("{}-{name}", self.dir.file_name().unwrap().to_string_lossy()));
        let _gone = fs::remove_dir_all(&dir);
        copy_dir(&self.dir, &dir);
        let databases = self.databases.as_ref().map(|from| {
            let short =
                format!("{:x}", name.bytes().fold(5381_u64, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte)));
            let made = from.clone().map(|database| format!("{database}_{short}"));
            create(made.iter().zip(from.iter().map(Some)));
            made
        });
        let copy = Self { backend: self.backend, dir, databases, owner: true };
        copy.write_connections();
        copy
    }

    fn command(&self, arguments: &[&str]) -> Command {
        project::command(&self.dir, arguments)
    }

    pub fn run(&self, sync: &str, codes: &[i32]) {
        project::ended(self.command(&["run", sync, "--json"]), codes);
    }

    pub fn hub_set(&self, key: &str, field: &str) {
        project::ended(self.command(&["hub", "set", "company", key, field]), &[0]);
    }

    /// Runs undisturbed and returns the failpoints in the order in which they were hit.
    pub fn run_logged(&self, sync: &str) -> Vec<String> {
        project::logged(self.command(&["run", sync, "--json"]), &self.dir)
    }

    /// Runs and is killed at a point.
    pub fn run_killed(&self, sync: &str, point: &str) {
        project::killed(self.command(&["run", sync, "--json"]), point);
    }

    /// The restart, after the dead run's lease is over, and one more run as the schedule would make it.
    pub fn settle_down(&self, sync: &str) {
        for _ in 0..2 {
            let mut command = self.command(&["run", sync, "--json"]);
            later(&mut command);
            project::ended(command, &[0]);
        }
    }

    /// No run's books are off.
    pub fn assert_balanced(&self, point: &str) {
        let out = project::ended(self.command(&["runs", "--json"]), &[0]);
        let told = String::from_utf8(out.stdout).unwrap();
        assert!(!told.contains("\"unbalanced\""), "killed at {point}: {told}");
    }

    /// Everything that a person would compare, without ids and times.
    pub fn dump(&self) -> BTreeMap<String, Vec<String>> {
        let mut dump = BTreeMap::new();
        for model in ["company", "user_activity", "dataset:events"] {
            let out = project::ended(self.command(&["hub", "list", model, "--json"]), &[0]);
            let lines = String::from_utf8(out.stdout).unwrap();
            let mut records: Vec<String> = lines.lines().map(without_ids).collect();
            records.sort();
            dump.insert(model.to_owned(), records);
        }
        dump.insert("companies".to_owned(), self.rows("companies", "company_id, name, phase, arr, health"));
        dump.insert("scores".to_owned(), self.rows("scores", "company_id, name"));
        dump.insert("company_log".to_owned(), self.rows("company_log", "company_id, name"));
        dump
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !self.owner || std::thread::panicking() {
            return;
        }
        let _gone = fs::remove_dir_all(&self.dir);
        if let Some(databases) = &self.databases {
            psql_each(&server(), &databases.iter().map(dropped).collect::<Vec<_>>());
        }
    }
}

fn databases(name: &str, part: &str) -> [String; 3] {
    let id = std::process::id();
    ["lake", "hub", "state"].map(|kind| format!("tgk_{id}_{name}_{part}_{kind}"))
}

/// Lets a command live three minutes later: the lease of a killed run has ended by then.
pub fn later(command: &mut Command) {
    let library =
        ["/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"];
    let library = library.into_iter().find(|path| Path::new(path).exists());
    command.env("LD_PRELOAD", library.expect("libfaketime is installed (`./test` installs it)"));
    command.env("FAKETIME", "+3m").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

fn without_ids(line: &str) -> String {
    let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
    if let Some(object) = record.as_object_mut() {
        for name in ["_id", "createdAt", "updatedAt", "companyId", "enduserId", "entityId"] {
            object.remove(name);
        }
    }
    record.to_string()
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

static HITS: Mutex<BTreeMap<Backend, BTreeSet<String>>> = Mutex::new(BTreeMap::new());

pub fn record_hits(backend: Backend, hits: &BTreeSet<String>) {
    HITS.lock().unwrap().entry(backend).or_default().extend(hits.iter().cloned());
}

pub fn recorded_hits(backend: Backend) -> BTreeSet<String> {
    HITS.lock().unwrap().get(&backend).cloned().unwrap_or_default()
}

/// The names of all failpoints in the source of the crates.
pub fn failpoints_in_source() -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(crates).unwrap().map(Result::unwrap) {
        let is_product = entry.file_name() != "testkit";
        if is_product {
            collect(&entry.path().join("src"), &mut names);
        }
    }
    names
}

fn collect(dir: &Path, names: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), names);
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        for call in ["failpoint(\"", "hit(\""] {
            for (at, _) in text.match_indices(call) {
                let rest = &text[at + call.len()..];
                if let Some(end) = rest.find('"').filter(|end| rest[..*end].contains('.')) {
                    names.insert(rest[..end].to_owned());
                }
            }
        }
    }
}

/// Points that these scenarios do not pass on SQLite, with the reason.
pub fn passed_elsewhere() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("resume.batch", "passed by the restarts"),
        ("resume.closed", "passed by the restarts"),
        ("columnar.span_resumed", "passed by the restarts"),
        ("columnar.retried", "passed by `retry`, which these scenarios do not ask for"),
        ("postgres.before_commit", "passed on Postgres, whose test looks for it"),
        ("postgres.after_commit", "passed on Postgres, whose test looks for it"),
        ("bigquery.before_job", "passed by the scenarios on BigQuery's emulator, whose test looks for it"),
        ("bigquery.after_job", "passed by the scenarios on BigQuery's emulator, whose test looks for it"),
        ("shards.offered", "passed where several processes share a delivery (api/shared.rs), not by one alone"),
        ("shards.taken", "passed where several processes share a delivery (api/shared.rs), not by one alone"),
        ("batch_sync.moved", "passed by the container job (batch_sync/overlap.rs), which is no sync of a project"),
        ("batch_sync.batch", "passed by the container job (batch_sync/overlap.rs), which is no sync of a project"),
        ("batch_sync.delivered", "passed by the container job (batch_sync/overlap.rs), which is no sync of a project"),
        ("history.drained", "passed by the scenario of a stream, whose test looks for it"),
        ("history.before_trim", "passed by the scenario of a stream, whose test looks for it"),
        ("history.trimmed", "passed by the scenario of a stream, whose test looks for it"),
        ("snowflake.before_move", "passed by the scenario of a stream, whose test looks for it"),
        ("snowflake.after_move", "passed by the scenario of a stream, whose test looks for it"),
        ("snowflake.before_commit", "passed by the scenario of a stream, whose test looks for it"),
        ("snowflake.after_commit", "passed by the scenario of a stream, whose test looks for it"),
    ])
}

const SYNCS: [(&str, &str); 5] = [
    (
        "companies.yaml",
        "version: 1
warehouse: { connection: lake, relation: companies }
platform: { connection: crm, model: company }
direction: both
key: { warehouse: company_id, platform: externalId }
batch_size: 25
fields:
  - { warehouse: name, platform: name }
  - { warehouse: phase, platform: phase }
  - { warehouse: arr, platform: custom.ARR, direction: to_platform }
  - { warehouse: health, platform: custom.Health, direction: to_warehouse, as: number }
",
    ),
    (
        "usage.yaml",
        "version: 1
warehouse: { connection: lake, relation: usage_events }
platform: { connection: crm, model: user_activity }
direction: to_platform
key: { warehouse: event_id }
changes: cursor
cursor: { column: event_id, lookback: 50 }
write: append
batch_size: 100
fields:
  - { warehouse: company_id, platform: companyExternalId }
  - { warehouse: action, platform: action }
  - { warehouse: happened_at, platform: date }
",
    ),
    (
        "revenue.yaml",
        "version: 1
warehouse: { connection: lake, relation: usage_events }
platform: { connection: crm, model: \"dataset:events\" }
direction: to_platform
key: { warehouse: event_id }
changes: cursor
cursor: { column: event_id, lookback: 50 }
write: upsert
batch_size: 100
fields: all
",
    ),
    (
        "log.yaml",
        "version: 1
warehouse: { connection: lake, relation: company_log }
platform: { connection: crm, model: company }
direction: to_warehouse
key: { warehouse: company_id, platform: externalId }
write: append
batch_size: 25
fields:
  - { warehouse: name, platform: name }
",
    ),
    (
        "scores.yaml",
        "version: 1
warehouse: { connection: lake, relation: scores }
platform: { connection: crm, model: company }
direction: to_warehouse
key: { warehouse: company_id, platform: externalId }
write: replace
fields:
  - { warehouse: name, platform: name }
",
    ),
];
