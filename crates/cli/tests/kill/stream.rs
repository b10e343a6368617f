//! A stream on Snowflake's stand-in: killed anywhere around its outbox, no change is lost, and none is written twice.

use std::collections::BTreeSet;
use std::process::Command;

use crate::account::{Account, PASSWORD};
use crate::project;
use crate::world::{failpoints_in_source, later};

const SYNC: &str = "\
version: 1
warehouse: { connection: lake, relation: CHANGES }
platform:  { connection: crm, model: company }
key: { warehouse: COMPANY_ID, platform: externalId }
fields:
  - { warehouse: NAME,  platform: name }
  - { warehouse: PHASE, platform: phase }
";

/// A project on an account of its own, after its first run, with changes that wait in the stream.
struct Streamed {
    dir: tempfile::TempDir,
    account: Account,
}

impl Streamed {
    fn new() -> Self {
        let (dir, account) = (tempfile::tempdir().unwrap(), Account::new());
        project::write(dir.path(), &[("connections/lake.yaml", &account.connection()), ("syncs/companies.yaml", SYNC)]);
        account.sql("CREATE TABLE COMPANIES (COMPANY_ID VARCHAR, NAME VARCHAR, PHASE VARCHAR)");
        account.sql("CREATE STREAM CHANGES ON TABLE COMPANIES");
        account
            .sql("INSERT INTO COMPANIES SELECT 'C' || SEQ4(), 'Company', 'live' FROM TABLE(GENERATOR(ROWCOUNT => 30))");
        let world = Self { dir, account };
        project::ended(world.command(), &[0]);
        world.account.sql("UPDATE COMPANIES SET NAME = 'Changed' WHERE COMPANY_ID < 'C2'");
        world.account.sql("INSERT INTO COMPANIES VALUES ('N1', 'New', 'live')");
        world.account.sql("DELETE FROM COMPANIES WHERE COMPANY_ID = 'C29'");
        world
    }

    fn command(&self) -> Command {
        let mut command = project::command(self.dir.path(), &["run", "companies", "--json"]);
        command.env(PASSWORD.0, PASSWORD.1);
        command
    }

    /// Somebody changes a row after the crash; then the restart, and one more run as the schedule would make it.
    fn settle_down(&self) {
        self.account.sql("UPDATE COMPANIES SET PHASE = 'After the crash' WHERE COMPANY_ID = 'C25'");
        for _ in 0..2 {
            let mut command = self.command();
            later(&mut command);
            project::ended(command, &[0]);
        }
    }

    /// What stands at the hub, with how often each record was written, and what still waits.
    fn end(&self) -> (Vec<String>, u64) {
        let hub = rusqlite::Connection::open(self.dir.path().join("hub.db")).unwrap();
        let mut rows = project::companies(self.dir.path());
        // Each write takes the next of the hub's change numbers: a second one would show.
        let last: i64 = hub.query_row("SELECT MAX(seq) FROM hub_r_company", [], |row| row.get(0)).unwrap();
        rows.push(format!("{last} writes"));
        (rows, self.account.count("SELECT 1 FROM \"TIDEGATE\".\"OUTBOX_companies\""))
    }
}

#[test]
fn killed_anywhere_around_the_outbox_no_change_is_lost_and_none_is_written_twice() {
    let calm = Streamed::new();
    let hits = project::counted(project::logged(calm.command(), calm.dir.path()));
    calm.settle_down();
    let expected = calm.end();
    assert_eq!(expected.1, 0, "what was delivered is still in the outbox");
    // What the store and the hub do at each of their steps the other scenarios try; here it is what stands around the
    // stream, the outbox and the settlement.
    let around =
        |name: &&String| ["snowflake.", "history.", "records.", "deliver."].iter().any(|at| name.starts_with(at));
    let mut tried = BTreeSet::new();
    for name in hits.keys().filter(around) {
        for time in 1..=hits[name] {
            let point = format!("{name}:{time}");
            let world = Streamed::new();
            project::killed(world.command(), &point);
            world.settle_down();
            assert_eq!(world.end(), expected, "killed at {point}, the end differs");
            tried.insert(name.clone());
        }
    }
    let own = failpoints_in_source()
        .into_iter()
        .filter(|name| ["snowflake.", "history."].iter().any(|at| name.starts_with(at)));
    let missed: Vec<String> = own.filter(|name| !tried.contains(name)).collect();
    assert!(missed.is_empty(), "these failpoints were never hit: {missed:?}");
}
