//! BigQuery's emulator as the warehouse: killed before a job is sent and after it committed, the next run finds out by
//! the job's name or the span row, and nothing is written twice.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};

use crate::lake::Lake;
use crate::world::failpoints_in_source;

const COMPANIES: &str = "\
version: 1
warehouse: { connection: lake, relation: companies }
platform:  { connection: crm, model: company }
direction: both
key: { warehouse: company_id, platform: externalId }
batch_size: 10
fields:
  - { warehouse: name,  platform: name }
  - { warehouse: phase, platform: phase }
";

const LOG: &str = "\
version: 1
warehouse: { connection: lake, relation: company_log }
platform:  { connection: crm, model: company }
direction: to_warehouse
key: { warehouse: company_id, platform: externalId }
write: append
batch_size: 20
fields:
  - { warehouse: name, platform: name }
";

const SCORES: &str = "\
version: 1
warehouse: { connection: lake, relation: scores }
platform:  { connection: crm, model: company }
direction: to_warehouse
key: { warehouse: company_id, platform: externalId }
write: replace
fields:
  - { warehouse: name, platform: name }
";

/// A project on a dataset of its own, after its first run, with edits on both sides that wait.
struct World {
    dir: tempfile::TempDir,
    lake: Lake,
}

impl World {
    fn new() -> Self {
        let (dir, lake) = (tempfile::tempdir().unwrap(), Lake::new("kill"));
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("tidegate.yaml", "version: 1\nname: kill\nstate: sqlite:.tidegate/state.db\n");
        write("connections/lake.yaml", &lake.connection());
        write("connections/crm.yaml", "version: 1\ntype: hub\nurl: sqlite:hub.db\n");
        for (name, text) in [("companies", COMPANIES), ("log", LOG), ("scores", SCORES)] {
            write(&format!("syncs/{name}.yaml"), text);
        }
        lake.sql("CREATE TABLE companies (company_id STRING, name STRING, phase STRING) OPTIONS (enable_change_history = TRUE)");
        lake.sql("CREATE TABLE company_log (company_id STRING, name STRING)");
        lake.sql("CREATE TABLE scores (company_id STRING, name STRING)");
        lake.sql("INSERT INTO scores VALUES ('old', 'from before')");
        lake.sql("INSERT INTO companies SELECT CONCAT('C', CAST(n AS STRING)), 'Company', 'live' FROM UNNEST(GENERATE_ARRAY(10, 39)) AS n");
        let world = Self { dir, lake };
        world.run("companies", |_| {}, Some(0));
        world.lake.sql("UPDATE companies SET name = 'Changed' WHERE company_id < 'C13'");
        for n in 20..31 {
            world.tidegate(&["hub", "set", "company", &format!("C{n}"), "phase=Edited"], |_| {}, Some(0));
        }
        world.tidegate(&["hub", "set", "company", "NEW", "name=Made in the CRM"], |_| {}, Some(0));
        world
    }

    fn tidegate(&self, args: &[&str], more: impl FnOnce(&mut Command), code: Option<i32>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("--project").arg(self.dir.path()).args(args);
        command.env_remove("TIDEGATE_FAILPOINT").env_remove("TIDEGATE_FAILPOINT_LOG").env_remove("TIDEGATE_STATE");
        more(&mut command);
        let out = command.output().unwrap();
        let told = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(code.is_none() || out.status.code() == code, "{command:?}: {told}");
        out
    }

    fn run(&self, sync: &str, more: impl FnOnce(&mut Command), code: Option<i32>) -> Output {
        self.tidegate(&["run", sync, "--json"], more, code)
    }

    /// The run that is disturbed; the points that it comes by.
    fn logged(&self, sync: &str) -> BTreeMap<String, u64> {
        let log = self.dir.path().join("hits.log");
        let logs = |command: &mut Command| {
            command.env("TIDEGATE_FAILPOINT_LOG", &log);
        };
        self.run(sync, logs, Some(0));
        let mut hits = BTreeMap::new();
        for name in fs::read_to_string(&log).unwrap().lines() {
            *hits.entry(name.to_owned()).or_default() += 1;
        }
        fs::remove_file(&log).unwrap();
        hits
    }

    /// What stands on both sides.
    fn end(&self, sync: &str) -> Vec<String> {
        let table = ["companies", "company_log", "scores"]
            [["companies", "log", "scores"].iter().position(|name| *name == sync).unwrap()];
        let mut rows = self.lake.sql(&format!("SELECT TO_JSON_STRING(t) FROM {table} AS t"));
        rows.sort();
        let hub = rusqlite::Connection::open(self.dir.path().join("hub.db")).unwrap();
        let mut query = hub.prepare("SELECT externalId, name, phase FROM hub_r_company ORDER BY externalId").unwrap();
        let text = |row: &rusqlite::Row<'_>, at| row.get::<_, Option<String>>(at).map(Option::unwrap_or_default);
        let records = query.query_map([], |row| Ok(format!("{}|{}|{}", text(row, 0)?, text(row, 1)?, text(row, 2)?)));
        rows.extend(records.unwrap().map(Result::unwrap));
        rows
    }
}

/// Kills the run of a sync at the first times that it comes by each point of BigQuery's.
fn killed_everywhere(sync: &str, times_most: u64) -> Vec<String> {
    use std::os::unix::process::ExitStatusExt;
    let calm = World::new();
    let hits = calm.logged(sync);
    calm.run(sync, |_| {}, Some(0));
    let expected = calm.end(sync);
    let own: Vec<(&String, &u64)> = hits.iter().filter(|(name, _)| name.starts_with("bigquery.")).collect();
    for (name, times) in &own {
        for time in 1..=times_most.min(**times) {
            let point = format!("{name}:{time}");
            let world = World::new();
            let dies = |command: &mut Command| {
                command.env("TIDEGATE_FAILPOINT", &point);
            };
            let killed = world.run(sync, dies, None);
            let told = String::from_utf8_lossy(&killed.stderr);
            assert_eq!(killed.status.signal(), Some(9), "not killed at {point}: {told}");
            world.run(sync, |_| {}, Some(0));
            world.run(sync, |_| {}, Some(0));
            assert_eq!(world.end(sync), expected, "{sync} killed at {point}: the end differs");
            let twice =
                format!("SELECT op FROM `{}_TIDEGATE`.span GROUP BY op HAVING COUNT(*) > 1", world.lake.dataset);
            assert_eq!(world.lake.sql(&twice), Vec::<String>::new(), "{sync} killed at {point}: committed twice");
        }
    }
    own.into_iter().map(|(name, _)| name.clone()).collect()
}

#[test]
fn killed_around_a_job_of_bigquery_nothing_is_written_twice() {
    let mut tried = killed_everywhere("companies", 2);
    tried.extend(killed_everywhere("log", 1));
    tried.extend(killed_everywhere("scores", 1));
    let own = failpoints_in_source().into_iter().filter(|name| name.starts_with("bigquery."));
    let missed: Vec<String> = own.filter(|name| !tried.contains(name)).collect();
    assert!(missed.is_empty(), "these failpoints were never hit: {missed:?}");
}
