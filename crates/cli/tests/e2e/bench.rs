//! The workbench of the tests: a project in a folder of its own, and the binary to run on it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A project in a folder that goes away with it.
pub struct Bench {
    dir: tempfile::TempDir,
}

/// What a command did.
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
        }
    }
}

impl Done {
    /// Fails with all the output unless the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails unless stderr holds all of these.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "stderr does not say {word:?}:\n{}", self.stderr);
        }
        self
    }

    /// stdout as JSON lines; anything else there fails.
    #[track_caller]
    pub fn json(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// The keys of a JSON line in the order in which they are printed. Only the outer object is looked at.
pub fn keys(line: &str) -> Vec<String> {
    let (mut keys, mut depth, mut text) = (Vec::new(), 0, line.chars().peekable());
    while let Some(c) = text.next() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            '"' => {
                let mut word = String::new();
                while let Some(c) = text.next() {
                    match c {
                        '\\' => drop(text.next()),
                        '"' => break,
                        c => word.push(c),
                    }
                }
                if depth == 1 && text.peek() == Some(&':') {
                    keys.push(word);
                }
            }
            _ => {}
        }
    }
    keys
}

/// The binary, without anything of this process's environment that would change what it does.
pub fn tidegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    for name in ["TIDEGATE_STATE", "TIDEGATE_KEY", "TIDEGATE_FAILPOINT", "TIDEGATE_FAILPOINT_LOG", "TIDEGATE_LOG"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

pub const COMPANIES: &str = "\
version: 1
warehouse: { connection: lake, relation: companies }
platform:  { connection: crm, model: company }
direction: both
key: { warehouse: company_id, platform: externalId }
fields:
  - { warehouse: name,  platform: name }
  - { warehouse: phase, platform: phase }
  - { warehouse: arr,   platform: custom.ARR, direction: to_platform }
";

pub const USAGE: &str = "\
version: 1
warehouse: { connection: lake, relation: usage_events }
platform:  { connection: crm, model: user_activity }
direction: to_platform
key: { warehouse: event_id }
changes: cursor
cursor: { column: event_id, lookback: 10 }
write: append
fields:
  - { warehouse: company_id, platform: companyExternalId }
  - { warehouse: action,     platform: action }
  - { warehouse: at,         platform: date }
";

impl Bench {
    /// A project without syncs: a SQLite warehouse with a few companies, and a hub.
    pub fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().expect("a folder") };
        bench.write("tidegate.yaml", "version: 1\nname: bench\n");
        bench.write("connections/lake.yaml", "version: 1\ntype: sqlite\npath: warehouse.db\naccess: write\n");
        bench.write("connections/crm.yaml", "version: 1\ntype: hub\nurl: sqlite:.tidegate/hub.db\n");
        bench.lake(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE companies (company_id TEXT NOT NULL PRIMARY KEY, name TEXT, phase TEXT, arr DECIMAL(12,2));
             INSERT INTO companies VALUES ('C1','Åkerlund & Söner','trial','12.50'), ('C2','Beta',NULL,NULL),
                                          ('C3','東京 Labs','live','0.10');",
        );
        bench
    }

    /// The same with the two-way sync of companies.
    pub fn with_companies() -> Self {
        let bench = Self::new();
        bench.write("syncs/companies.yaml", COMPANIES);
        bench
    }

    /// The same with usage events too: so many, of the company C1.
    pub fn with_usage(events: u32) -> Self {
        let bench = Self::with_companies();
        bench.write("syncs/usage.yaml", USAGE);
        bench.lake(&format!(
            "CREATE TABLE usage_events (event_id INTEGER PRIMARY KEY, company_id TEXT, action TEXT, at TIMESTAMPTZ);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {events})
             INSERT INTO usage_events SELECT i, 'C1', 'login', '2026-01-01T00:00:00Z' FROM n;"
        ));
        bench
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    /// Runs SQL in the warehouse.
    pub fn lake(&self, sql: &str) {
        rusqlite::Connection::open(self.path("warehouse.db")).expect("opened").execute_batch(sql).expect("SQL");
    }

    /// Rows of the warehouse, as text with `|` between cells.
    pub fn lake_rows(&self, sql: &str) -> Vec<String> {
        rows(&self.path("warehouse.db"), sql)
    }

    /// Rows of the hub.
    pub fn hub_rows(&self, sql: &str) -> Vec<String> {
        rows(&self.path(".tidegate/hub.db"), sql)
    }

    /// The command, ready to start.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = tidegate();
        command.current_dir(self.root()).args(args);
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Done {
        self.command(args).output().expect("started").into()
    }
}

/// Rows of a database file, read by SQL of the test's own.
pub fn rows(path: &Path, sql: &str) -> Vec<String> {
    use rusqlite::types::ValueRef;
    let db = rusqlite::Connection::open(path).expect("opened");
    let mut statement = db.prepare(sql).expect("SQL");
    let columns = statement.column_count();
    let text = |value: ValueRef<'_>| match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(i) => i.to_string(),
        ValueRef::Real(x) => x.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(_) => "BLOB".to_owned(),
    };
    let line = |row: &rusqlite::Row<'_>| -> rusqlite::Result<String> {
        let cells: Result<Vec<String>, _> = (0..columns).map(|at| row.get_ref(at).map(text)).collect();
        Ok(cells?.join("|"))
    };
    statement.query_map([], line).expect("rows").map(|row| row.expect("a row")).collect()
}
