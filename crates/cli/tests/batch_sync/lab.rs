//! An account with a stream, a twin of Batch, and the job between them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use tidegate_twins::batch::Batch;
use tidegate_twins::{Knobs, Running, Start, start};
use tokio::runtime::Runtime;

use super::account::Account;
use super::bench::{Done, tidegate};
pub use super::knobs::{faults, quiet};

/// The project's key at Batch.
pub const PROJECT: &str = "project_lab";
/// The key of Batch's API, planted: it must be nowhere but in its table.
pub const KEY: &str = "planted-rest-key-41c7";
/// The container's token, planted: it must be nowhere but in its file.
pub const TOKEN: &str = "planted-spcs-token-9b2e";

/// What one run of a job did: the bodies that Batch was sent, the rows that the stream still shows, the exit code.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub sent: Vec<Json>,
    pub stream: u64,
    pub exit: i32,
}

/// The place of a job.
pub struct Lab {
    pub account: Account,
    pub twin: Running,
    dir: tempfile::TempDir,
    project: String,
    _runtime: Runtime,
}

impl Lab {
    /// A table of profiles with these columns, and a stream on it.
    pub fn new(columns: &str) -> Self {
        Self::of(columns, PROJECT, quiet())
    }

    /// The same with a project and knobs.
    pub fn of(columns: &str, project: &str, knobs: Knobs) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let twin = Arc::new(Batch::new(project, KEY));
        let twin = runtime.block_on(start(twin, Start { knobs, ..Start::default() })).expect("a twin");
        let account = Account::new();
        account.sql("CREATE SCHEMA LAB.JOB");
        account.sql("CREATE SCHEMA LAB.CRM");
        account.sql(&format!("CREATE TABLE LAB.CRM.PROFILES ({columns})"));
        account.sql("CREATE STREAM LAB.JOB.PROFILES_STREAM ON TABLE LAB.CRM.PROFILES");
        account.sql(
            "CREATE TABLE LAB.JOB.BATCH_API_CREDENTIALS (PROJECT_KEY VARCHAR NOT NULL, REST_API_KEY VARCHAR NOT NULL)",
        );
        let quoted = project.replace('\'', "''");
        account.sql(&format!("INSERT INTO LAB.JOB.BATCH_API_CREDENTIALS VALUES ('{quoted}', '{KEY}')"));
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("token"), TOKEN).expect("a token");
        Self { account, twin, dir, project: project.to_owned(), _runtime: runtime }
    }

    /// Adds or changes rows.
    pub fn sql(&self, sql: &str) {
        self.account.sql(sql);
    }

    pub fn token_file(&self) -> PathBuf {
        self.dir.path().join("token")
    }

    /// How to get into the account, as the environment of a container says it.
    pub fn parameters(&self) -> Json {
        let (host, port) = self.account.address();
        json!({ "protocol": "http", "host": host, "port": port, "token_file_path": self.token_file() })
    }

    /// The job, as the container starts it: no project, no configuration, a folder with nothing in it.
    pub fn command(&self, more: &[&str]) -> Command {
        let mut command = tidegate();
        command.current_dir(self.dir.path()).env_clear();
        command.args(["batch-sync", "--json", &format!("--project-key={}", self.project)]);
        command.args(["--source-stream=LAB.JOB.PROFILES_STREAM", "--id-column=CUSTOM_ID"]);
        command.arg(format!("--connection-parameters={}", self.parameters()));
        command.args(more);
        for (name, value) in [
            ("SNOWFLAKE_ACCOUNT", self.account.name()),
            ("SNOWFLAKE_DATABASE", "LAB"),
            ("SNOWFLAKE_SCHEMA", "JOB"),
            ("SNOWFLAKE_WAREHOUSE", "WH"),
            ("SNOWFLAKE_ROLE", "JOB_ROLE"),
            ("SNOWFLAKE_RUNNING_INSIDE_SPCS", "true"),
            ("TIDEGATE_BATCH_URL", &self.twin.url()),
        ] {
            command.env(name, value);
        }
        command
    }

    /// Runs it once. Whatever it prints, it prints no secret.
    #[track_caller]
    pub fn job(&self, more: &[&str]) -> Done {
        let done: Done = self.command(more).output().expect("started").into();
        for secret in [KEY, TOKEN] {
            assert!(!done.stdout.contains(secret) && !done.stderr.contains(secret), "{secret} is printed");
        }
        done
    }

    /// Runs it once, and tells what it did.
    #[track_caller]
    pub fn run(&self, more: &[&str]) -> Told {
        self.twin.forget_requests();
        let done = self.job(more);
        let told = Told { sent: self.sent(), stream: self.stream(), exit: done.code };
        assert!([0, 1, 2, 3].contains(&told.exit), "{}", done.stderr);
        if !done.stderr.is_empty() {
            println!("{}", done.stderr);
        }
        told
    }

    /// The bodies that the twin was sent.
    pub fn sent(&self) -> Vec<Json> {
        self.twin.requests().iter().map(tidegate_twins::Seen::json).collect()
    }

    /// Rows that the stream shows: none once its offset has moved past them. Looking does not move it.
    pub fn stream(&self) -> u64 {
        self.account.count("SELECT 1 FROM LAB.JOB.PROFILES_STREAM")
    }

    /// Rows that wait in the outbox.
    pub fn outbox(&self) -> u64 {
        self.account.count("SELECT 1 FROM LAB.JOB.\"TIDEGATE_OUTBOX_PROFILES_STREAM\"")
    }

    /// Attributes of a profile as the twin keeps them.
    pub fn profile(&self, id: &str) -> Json {
        let held = self.twin.holds(100_000).expect("what it holds").remove(0).newest;
        held.into_iter().find(|one| one["custom_id"] == id).map_or(Json::Null, |one| one["attributes"].clone())
    }

    /// How many profiles the twin holds.
    pub fn profiles(&self) -> i64 {
        self.twin.holds(1).expect("what it holds").remove(0).count
    }

    /// How many rejects there are of this key (`NULL`: of none), field and rule.
    pub fn rejects(&self, key: &str, field: &str, rule: &str) -> u64 {
        let same = |column: &str, value: &str| match value {
            "NULL" => format!("{column} IS NULL"),
            value => format!("{column} = '{value}'"),
        };
        self.account.count(&format!(
            "SELECT 1 FROM LAB.JOB.TIDEGATE_REJECTS WHERE {} AND {} AND RULE = '{rule}'",
            same("KEY", key),
            same("FIELD", field)
        ))
    }

    /// How many runs ended so.
    pub fn runs(&self, status: &str) -> u64 {
        self.account.count(&format!("SELECT 1 FROM LAB.JOB.TIDEGATE_RUNS WHERE STATUS = '{status}'"))
    }
}

/// An operation on a profile.
pub fn profile(id: &str, attributes: Json) -> Json {
    json!({ "identifiers": { "custom_id": id }, "attributes": attributes })
}

/// A body with its operations in the order of their ids: within a call their order says nothing.
pub fn by_id(mut body: Json) -> Json {
    if let Some(operations) = body.as_array_mut() {
        operations.sort_by_key(|one| one["identifiers"]["custom_id"].to_string());
    }
    body
}

/// What one call of so many operations would have been.
pub fn sizes(sent: &[Json]) -> Vec<usize> {
    sent.iter().map(|body| body.as_array().map_or(0, Vec::len)).collect()
}
