//! State, hub and warehouse on Postgres: the same project, the same answers.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::bench::{Bench, COMPANIES, Done, rows, tidegate};

/// A database of the test's own; it goes with the value.
pub struct Database {
    name: String,
    pub url: String,
}

impl Database {
    pub fn new(name: &str) -> Self {
        let server = std::env::var("TIDEGATE_TEST_PG")
            .expect("TIDEGATE_TEST_PG names a Postgres server; `./test` starts one and sets it");
        let name = format!("tidegate_e2e_{name}_{}", std::process::id());
        let (base, _) = server.rsplit_once('/').expect("a URL with a database");
        let url = format!("{base}/{name}");
        psql(&server, &format!("CREATE DATABASE {name}"));
        Self { name, url }
    }

    /// Rows as text with `|` between cells.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        psql(&self.url, sql).lines().map(str::to_owned).collect()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Ok(server) = std::env::var("TIDEGATE_TEST_PG") {
            psql(&server, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        }
    }
}

fn psql(url: &str, sql: &str) -> String {
    let out = Command::new("psql").args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url, "-c", sql]).output();
    let out = out.expect("psql can be started");
    assert!(out.status.success(), "psql: {}\n{sql}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

/// A project with everything in one database, which PG_URL names, and three companies.
struct OnPostgres {
    bench: Bench,
    db: Database,
}

impl OnPostgres {
    fn new(name: &str) -> Self {
        let (bench, db) = (Bench::with_companies(), Database::new(name));
        bench.write("tidegate.yaml", "version: 1\nname: bench\nstate: \"${PG_URL}\"\n");
        bench.write("connections/lake.yaml", "version: 1\ntype: postgres\nurl: \"${PG_URL}\"\naccess: write\n");
        bench.write("connections/crm.yaml", "version: 1\ntype: hub\nurl: \"${PG_URL}\"\n");
        db.rows(
            "CREATE TABLE companies (company_id TEXT PRIMARY KEY, name TEXT, phase TEXT, arr NUMERIC(12,2));
             INSERT INTO companies VALUES ('C1','Åkerlund & Söner','trial',12.50), ('C2','Beta',NULL,NULL), ('C3','東京 Labs','live',0.10)",
        );
        Self { bench, db }
    }

    fn run(&self, args: &[&str]) -> Done {
        self.bench.command(args).env("PG_URL", &self.db.url).output().expect("started").into()
    }
}

// ---- the demo

/// What a run counted, without what no two runs share.
fn books(done: &Done) -> Vec<Value> {
    let mut all = done.json();
    for run in &mut all {
        for name in ["run", "requests", "warehouse_ms", "started_at", "duration_ms", "bytes_billed"] {
            run.as_object_mut().expect("an object").remove(name);
        }
        for side in ["to_platform", "to_warehouse"] {
            if let Some(counts) = run[side].as_object_mut() {
                counts.remove("requests");
            }
        }
    }
    all
}

/// Lines with these columns, sorted.
fn listed(done: &Done, columns: &[&str]) -> Vec<String> {
    let line = |line: &Value| columns.iter().map(|name| line[*name].to_string()).collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = done.json().iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn postgres_demo_has_the_same_books_conflicts_and_rejects_as_on_sqlite() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = Database::new("demo");
    let (files, server) = (dir.path().join("files"), dir.path().join("server"));
    let unset: Done =
        tidegate().env_remove("PG_URL").args(["demo", "--postgres"]).arg(&server).output().expect("started").into();
    unset.expect(2).says(&["PG_URL is not set", "hint: ", "export PG_URL="]);
    assert!(!server.exists(), "nothing is made before it is known where");

    let demo = |args: &[&str], dir: &std::path::Path| -> Done {
        tidegate().arg("demo").args(args).arg(dir).env("PG_URL", &db.url).output().expect("started").into()
    };
    let on_files = demo(&["--json"], &files).expect(0);
    let on_server = demo(&["--json", "--postgres"], &server).expect(0);
    assert_eq!(on_files.json().len(), 18, "nine syncs, twice");
    assert_eq!(books(&on_server), books(&on_files));
    assert!(!server.join("warehouse.db").exists() && !server.join(".tidegate/state.db").exists());

    let inside = |dir: &std::path::Path, args: &[&str]| -> Done {
        tidegate().current_dir(dir).args(args).env("PG_URL", &db.url).output().expect("started").into()
    };
    for (what, columns) in [
        ("conflicts", ["sync", "key", "field", "warehouse", "platform", "winner", "state"].as_slice()),
        ("rejects", ["sync", "key", "field", "rule", "reason"].as_slice()),
    ] {
        let there = listed(&inside(&server, &[what, "--json"]).expect(0), columns);
        assert_eq!(there, listed(&inside(&files, &[what, "--json"]).expect(0), columns), "{what}");
        assert!(there.len() >= 7, "{what}: {there:?}");
    }
    for (columns, table) in [
        ("company_id, name, phase, status, country, website, health", "companies"),
        ("user_id, email, first_name, last_name, position, company_id", "end_users"),
        ("company_id, name, score", "crm_scores"),
        ("company_id, name, country", "crm_customer_log"),
    ] {
        let cells: Vec<String> =
            columns.split(", ").map(|column| format!("coalesce(CAST({column} AS TEXT), '-')")).collect();
        let sql = format!("SELECT {} FROM {table}", cells.join(" || '|' || "));
        let (mut here, mut there) = (rows(&files.join("warehouse.db"), &sql), db.rows(&sql));
        here.sort();
        there.sort();
        assert!(here == there, "{table}: {:?}", here.iter().zip(&there).find(|(a, b)| a != b));
    }
    let records = |dir: &std::path::Path| -> BTreeMap<String, Value> {
        let list = inside(dir, &["hub", "list", "company", "--limit", "10000"]).expect(0).json();
        let clean = |mut record: Value| {
            for name in ["_id", "createdAt", "updatedAt"] {
                record.as_object_mut().expect("an object").remove(name);
            }
            (record["externalId"].to_string(), record)
        };
        list.into_iter().map(clean).collect()
    };
    assert_eq!(records(&server), records(&files));

    // Quiet: nothing to write but the table that is rewritten as a whole.
    for run in inside(&server, &["run", "--json"]).expect(3).json().iter().filter(|run| run["mode"] != "replace") {
        assert_eq!(run["created"].as_u64().unwrap() + run["updated"].as_u64().unwrap(), 0, "{run}");
    }
    let again = dir.path().join("again");
    demo(&["--postgres"], &again).expect(2).says(&["is not empty", "CREATE DATABASE"]);
    demo(&["--postgres"], &server).expect(2).says(&["the demo is in", "already"]);
}

// ---- undo, verify

#[test]
fn postgres_undo_puts_back_and_verify_finds_drift() {
    let it = OnPostgres::new("undo");
    it.run(&["run"]).expect(0);
    it.run(&["verify", "companies"]).expect(0);
    it.run(&["hub", "set", "company", "C1", "phase=from the crm"]).expect(0);
    it.run(&["hub", "set", "company", "C4", "name=Delta"]).expect(0);
    let run = it.run(&["run", "--json"]).expect(0).json()[0].clone();
    assert_eq!((&run["to_warehouse"]["updated"], &run["to_warehouse"]["created"]), (&1.into(), &1.into()), "{run}");
    let phase = "SELECT phase FROM companies WHERE company_id = 'C1'";
    assert_eq!(it.db.rows(phase), ["from the crm"]);

    // Somebody changes one of the two since: that one stays.
    it.db.rows("UPDATE companies SET name = 'Delta AB' WHERE company_id = 'C4'");
    let id = run["run"].as_str().expect("an id");
    let undone = it.run(&["undo", id, "--json"]);
    let lines = undone.json();
    let back = lines.iter().find(|line| line["key"] == "C1" && line["side"] == "warehouse").expect("a line of C1");
    assert_eq!(back["fields"]["phase"], serde_json::json!({"from": "from the crm", "to": "trial"}), "{lines:?}");
    assert_eq!(it.db.rows(phase), ["trial"]);
    assert!(lines.iter().any(|line| line["key"] == "C4" && line["action"] == "stale"), "{lines:?}");
    assert_eq!(it.db.rows("SELECT name FROM companies WHERE company_id = 'C4'"), ["Delta AB"]);
    it.run(&["resume", "companies"]).expect(0);

    // The CRM's value stands on the other side still: that is drift, told and mended.
    it.db.rows("UPDATE companies SET phase = 'by hand' WHERE company_id = 'C3'");
    let drift = it.run(&["verify", "companies", "--json"]).expect(3).json();
    let of = drift.iter().find(|line| line["key"] == "C3").expect("a line of C3");
    assert_eq!((&of["side"], &of["fields"]["phase"]["from"]), (&"warehouse".into(), &"by hand".into()), "{drift:?}");
    assert_eq!(of["fields"]["phase"]["to"], "live");
    it.run(&["verify", "companies", "--repair"]);
    assert_eq!(it.db.rows("SELECT phase FROM companies WHERE company_id = 'C3'"), ["live"]);
}

// ---- state backup, restore

#[test]
fn postgres_state_goes_into_a_file_and_back() {
    let it = OnPostgres::new("backup");
    it.bench.write("syncs/companies.yaml", &COMPANIES.replace("fields:", "conflict: hold\nfields:"));
    it.run(&["run"]).expect(0);
    it.run(&["state", "backup", "copy.db"]).expect(0);
    let mode = std::os::unix::fs::PermissionsExt::mode(&it.bench.path("copy.db").metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(!it.bench.path("copy.db-wal").exists(), "one file holds all of it");
    it.run(&["state", "backup", "copy.db"]).expect(2).says(&["is there already"]);

    // What happens after the copy: more runs, whose epochs the targets have seen.
    for phase in ["one", "two", "three"] {
        it.db.rows(&format!("UPDATE companies SET phase = '{phase}' WHERE company_id = 'C1'"));
        it.run(&["run"]).expect(0);
    }
    it.run(&["reset", "companies", "--yes"]).expect(0);
    it.run(&["state", "restore", "copy.db"]).expect(2).says(&["--yes"]);
    it.run(&["state", "restore", "copy.db", "--yes"]).expect(0);
    assert_eq!(it.run(&["runs", "--json"]).expect(0).json().len(), 1, "the runs since are no longer known");
    // Both sides moved on together: agreed, not a conflict; and the next write is not taken for an old run's.
    let run = &it.run(&["run", "--json"]).expect(0).json()[0];
    assert_eq!((&run["sent"], &run["conflicts"], &run["read"]), (&0.into(), &0.into(), &6.into()), "{run}");
    it.db.rows("UPDATE companies SET phase = 'four' WHERE company_id = 'C1'");
    assert_eq!(it.run(&["run", "--json"]).expect(0).json()[0]["updated"], 1);

    // The file is the state of a project on SQLite too, and its copy goes back to a server.
    let state = format!("sqlite:{}", it.bench.path("moved.db").display());
    let on_file = |args: &[&str]| -> Done {
        let mut command = it.bench.command(args);
        command.env("PG_URL", &it.db.url).env("TIDEGATE_STATE", &state).output().expect("started").into()
    };
    it.run(&["state", "backup", "newer.db"]).expect(0);
    on_file(&["state", "restore", "newer.db", "--yes"]).expect(0);
    let run = &on_file(&["run", "--json"]).expect(0).json()[0];
    assert_eq!((&run["sent"], &run["unchanged"]), (&0.into(), &6.into()), "{run}");
    it.db.rows("UPDATE companies SET phase = 'five' WHERE company_id = 'C1'");
    assert_eq!(on_file(&["run", "--json"]).expect(0).json()[0]["updated"], 1);
    on_file(&["state", "backup", "back.db"]).expect(0);
    it.run(&["state", "restore", "back.db", "--yes"]).expect(0);
    it.db.rows("UPDATE companies SET phase = 'six' WHERE company_id = 'C1'");
    assert_eq!(it.run(&["run", "--json"]).expect(0).json()[0]["updated"], 1);
    assert_eq!(it.db.rows("SELECT phase FROM hub_r_company WHERE \"externalId\" = 'C1'"), ["six"]);
    it.bench.write("nonsense.db", "this is no database, whatever its name says, and it is long enough to be looked at");
    it.run(&["state", "restore", "nonsense.db", "--yes"]).expect(2).says(&["is not a state of tidegate"]);
    it.run(&["state", "restore", "absent.db", "--yes"]).expect(2).says(&["there is no file"]);
    assert_eq!(it.run(&["run", "--json"]).expect(0).json()[0]["sent"], 0, "what was refused changed nothing");
}

// ---- forget

/// Tables of the state and of the hub in which a word stands, as text or as bytes.
fn tables_with(db: &Database, word: &str) -> Vec<String> {
    let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
    let tables = "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables
                  WHERE schemaname = 'tidegate' OR tablename LIKE 'hub\\_%' ORDER BY 1";
    let tables = db.rows(tables);
    assert!(tables.len() > 20, "{tables:?}");
    let holds = |table: &String| {
        let sql = format!("SELECT 1 FROM {table} t WHERE t::text LIKE '%{word}%' OR t::text LIKE '%{hex}%' LIMIT 1");
        !db.rows(&sql).is_empty()
    };
    tables.into_iter().filter(holds).collect()
}

#[test]
fn postgres_forget_leaves_no_row_of_state_or_hub() {
    const WORDS: [&str; 4] = ["K-geheim", "Zwischenzeiler AG", "Leuchtturm", "Hafen"];
    let it = OnPostgres::new("forget");
    it.bench.write("syncs/companies.yaml", &COMPANIES.replace("fields:", "conflict: hold\nfields:"));
    it.db.rows("INSERT INTO companies VALUES ('K-geheim', 'Zwischenzeiler AG', 'Leuchtturm', 1)");
    it.run(&["run"]).expect(0);
    it.db.rows("UPDATE companies SET phase = 'Zwischenzeiler AG' WHERE company_id = 'K-geheim'");
    it.run(&["run"]).expect(0);
    it.db.rows("UPDATE companies SET phase = 'Leuchtturm' WHERE company_id = 'K-geheim'");
    it.run(&["hub", "set", "company", "K-geheim", "phase=Hafen"]).expect(0);
    it.run(&["run"]).expect(0);
    for word in WORDS {
        assert!(!tables_with(&it.db, word).is_empty(), "the test would find nothing: {word}");
    }
    it.db.rows("DELETE FROM companies WHERE company_id = 'K-geheim'");
    it.run(&["forget", "K-geheim", "--model", "company", "--yes"]).expect(0);
    for _ in 0..2 {
        for word in WORDS {
            assert_eq!(tables_with(&it.db, word), Vec::<String>::new(), "{word}");
        }
        let run = &it.run(&["run", "--json"]).expect(0).json()[0];
        assert_eq!((&run["sent"], &run["read"]), (&0.into(), &6.into()), "{run}");
    }
}

// ---- the README

#[test]
fn postgres_the_five_minutes_of_the_readme_work_as_they_stand_there() {
    let readme = include_str!("../../../../README.md");
    let blocks: Vec<&str> = readme.split("```").skip(1).step_by(2).collect();
    let of = |kind: &str| -> Vec<&str> { blocks.iter().filter_map(|block| block.strip_prefix(kind)).collect() };
    let (yaml, shell) = (of("yaml\n"), of("sh\n"));
    let db = Database::new("readme");
    db.rows(
        "CREATE TABLE companies (company_id TEXT PRIMARY KEY, name TEXT, arr NUMERIC(12,2));
         INSERT INTO companies SELECT 'C' || lpad(i::text, 5, '0'), 'Company ' || i, i FROM generate_series(1, 60) i",
    );
    let dir = tempfile::tempdir().expect("a folder");
    let project = dir.path().join("acme");
    let run = |folder: &std::path::Path, line: &str| -> Done {
        let words = line.split('#').next().expect("a command").split_whitespace().skip(1);
        tidegate().args(words).current_dir(folder).env("PG_URL", &db.url).output().expect("started").into()
    };
    assert_eq!(shell[1].trim(), "tidegate init acme && cd acme");
    run(dir.path(), "tidegate init acme").expect(0);
    std::fs::write(project.join("connections/lake.yaml"), yaml[0]).expect("written");
    std::fs::write(project.join("syncs/companies.yaml"), yaml[1]).expect("written");
    run(&project, "tidegate discover lake").expect(0);
    run(&project, "tidegate discover crm company").expect(0);
    let lines: Vec<&str> = shell[2].lines().filter(|line| !line.starts_with("tidegate serve")).collect();
    assert!(lines.len() >= 5, "{lines:?}");
    for line in lines {
        let done = run(&project, line);
        assert_eq!(done.code, 0, "{line}\n{}{}", done.stdout, done.stderr);
    }
    let list = run(&project, "tidegate hub list company --limit 100").expect(0).json();
    assert_eq!((list.len(), &list[0]["custom"]["ARR"]), (60, &"1.00".into()));
}
