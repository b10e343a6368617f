//! BigQuery's emulator as the warehouse: killed before a job is sent and after it committed, the next run finds out by
//! the job's name or the span row, and nothing is written twice.

use std::process::Command;

use crate::lake::Lake;
use crate::project;
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
        project::write(
            dir.path(),
            &[
                ("connections/lake.yaml", &lake.connection()),
                ("syncs/companies.yaml", COMPANIES),
                ("syncs/log.yaml", LOG),
                ("syncs/scores.yaml", SCORES),
            ],
        );
        lake.sql("CREATE TABLE companies (company_id STRING, name STRING, phase STRING) OPTIONS (enable_change_history = TRUE)");
        lake.sql("CREATE TABLE company_log (company_id STRING, name STRING)");
        lake.sql("CREATE TABLE scores (company_id STRING, name STRING)");
        lake.sql("INSERT INTO scores VALUES ('old', 'from before')");
        lake.sql("INSERT INTO companies SELECT CONCAT('C', CAST(n AS STRING)), 'Company', 'live' FROM UNNEST(GENERATE_ARRAY(10, 39)) AS n");
        let world = Self { dir, lake };
        world.run("companies");
        world.lake.sql("UPDATE companies SET name = 'Changed' WHERE company_id < 'C13'");
        for n in 20..31 {
            world.set(&format!("C{n}"), "phase=Edited");
        }
        world.set("NEW", "name=Made in the CRM");
        world
    }

    fn command(&self, sync: &str) -> Command {
        project::command(self.dir.path(), &["run", sync, "--json"])
    }

    fn run(&self, sync: &str) {
        project::ended(self.command(sync), &[0]);
    }

    fn set(&self, key: &str, field: &str) {
        project::ended(project::command(self.dir.path(), &["hub", "set", "company", key, field]), &[0]);
    }

    /// What stands on both sides.
    fn end(&self, sync: &str) -> Vec<String> {
        let table = ["companies", "company_log", "scores"]
            [["companies", "log", "scores"].iter().position(|name| *name == sync).unwrap()];
        let mut rows = self.lake.sql(&format!("SELECT TO_JSON_STRING(t) FROM {table} AS t"));
        rows.sort();
        rows.extend(project::companies(self.dir.path()));
        rows
    }
}

/// Kills the run of a sync at the first times that it comes by each point of BigQuery's.
fn killed_everywhere(sync: &str, times_most: u64) -> Vec<String> {
    let calm = World::new();
    let hits = project::counted(project::logged(calm.command(sync), calm.dir.path()));
    calm.run(sync);
    let expected = calm.end(sync);
    let own: Vec<(&String, &u64)> = hits.iter().filter(|(name, _)| name.starts_with("bigquery.")).collect();
    for (name, times) in &own {
        for time in 1..=times_most.min(**times) {
            let point = format!("{name}:{time}");
            let world = World::new();
            project::killed(world.command(sync), &point);
            world.run(sync);
            world.run(sync);
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
