//! Projects, switches, secrets, state.

use std::io::Write;
use std::process::Stdio;

use super::bench::{Bench, Done, tidegate};

fn with_input(bench: &Bench, args: &[&str], input: &str) -> Done {
    let mut child = bench
        .command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    child.stdin.take().unwrap().write_all(input.as_bytes()).expect("written");
    child.wait_with_output().expect("ended").into()
}

#[test]
fn init_makes_a_project_that_is_well_formed_and_refuses_a_second_time() {
    for template in ["sqlite-hub", "postgres-hub"] {
        let dir = tempfile::tempdir().expect("a folder");
        let project = dir.path().join("acme-crm");
        let init = || tidegate().arg("init").arg(&project).args(["--template", template]).output().expect("started");
        let done: Done = init().into();
        done.expect(0).says(&["made the project acme-crm"]);
        let read = std::fs::read_to_string(project.join("tidegate.yaml")).expect("a file");
        assert!(read.contains("name: acme-crm"));
        let state = format!("sqlite:{}", project.join("state.db").display());
        let check = tidegate().arg("--project").arg(&project).args(["runs"]).env("STATE_URL", state).output();
        let done: Done = check.expect("started").into();
        done.expect(0);
        let again: Done = init().into();
        again.expect(2).says(&["is a project already"]);
    }
}

#[test]
fn secrets_are_read_from_a_pipe_and_never_shown() {
    let bench = Bench::with_companies();
    let word = "sqlite:.tidegate/hidden-hub.db";
    let done = with_input(&bench, &["secrets", "set", "hub_url"], &format!("{word}\n")).expect(0);
    assert!(!done.stdout.contains(word) && !done.stderr.contains(word));
    let listed = bench.run(&["secrets", "list", "--json"]).expect(0);
    assert!(!listed.stdout.contains(word));
    assert_eq!(listed.json()[0]["secret"], "hub_url");
    bench.write("connections/crm.yaml", "version: 1\ntype: hub\nurl: secret:hub_url\n");
    bench.run(&["run"]).expect(0);
    assert!(bench.path(".tidegate/hidden-hub.db").exists(), "the connection's line is the secret");
    bench.run(&["secrets", "rotate"]).expect(0);
    bench.run(&["run"]).expect(0);
    let state = std::fs::read(bench.path(".tidegate/state.db")).expect("read");
    assert!(!state.windows(word.len()).any(|window| window == word.as_bytes()), "it stands in clear in the state");
    bench.run(&["secrets", "rm", "hub_url"]).expect(0).says(&["crm still names secret:hub_url"]);
    bench.run(&["secrets", "rm", "hub_url"]).expect(2);
    with_input(&bench, &["secrets", "set", "x"], "").expect(2).says(&["the secret is empty"]);
}

#[test]
fn files_with_data_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::with_companies();
    bench.run(&["run"]).expect(0);
    for file in [".tidegate/state.db", ".tidegate/hub.db"] {
        let mode = bench.path(file).metadata().expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}: {mode:o}");
    }
    assert_eq!(bench.path(".tidegate").metadata().expect("a folder").permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_backup_brings_the_ledger_back() {
    let bench = Bench::with_companies();
    bench.run(&["run"]).expect(0);
    bench.run(&["state", "backup", "copy.db"]).expect(0);
    bench.run(&["state", "backup", "copy.db"]).expect(2).says(&["is there already"]);
    bench.run(&["reset", "companies", "--yes"]).expect(0);
    bench.run(&["state", "restore", "copy.db"]).expect(2).says(&["--yes"]);
    bench.run(&["state", "restore", "copy.db", "--yes"]).expect(0);
    let run = &bench.run(&["run", "--json"]).expect(0).json()[0];
    assert_eq!((&run["sent"], &run["unchanged"]), (&0.into(), &6.into()));
    // Runs since the copy do not make those after the restore look overtaken.
    for phase in ["one", "two", "three"] {
        bench.lake(&format!("UPDATE companies SET phase = '{phase}' WHERE company_id = 'C1'"));
        bench.run(&["run"]).expect(0);
    }
    bench.run(&["state", "restore", "copy.db", "--yes"]).expect(0);
    bench.lake("UPDATE companies SET phase = 'four' WHERE company_id = 'C1'");
    bench.run(&["run"]).expect(0);
    assert_eq!(bench.hub_rows("SELECT phase FROM hub_r_company WHERE externalId = 'C1'"), ["four"]);
    bench.run(&["state", "restore", "absent.db", "--yes"]).expect(2).says(&["there is no file"]);
    bench.write("nonsense.db", "this is no database, whatever its name says, and it is long enough to be looked at");
    bench.run(&["state", "restore", "nonsense.db", "--yes"]).expect(2);
    bench.run(&["state", "migrate"]).expect(0);
}

/// States keep the size of their pages, and older versions made smaller ones.
#[test]
fn a_backup_goes_over_a_state_with_pages_of_another_size() {
    let bench = Bench::with_companies();
    bench.run(&["run"]).expect(0);
    let state = bench.path(".tidegate/state.db");
    let bytes = || -> i64 {
        let db = rusqlite::Connection::open(&state).expect("a state");
        db.query_row("SELECT count(*) FROM runs", [], |_| Ok(())).expect("its runs");
        db.query_row("PRAGMA page_size", [], |row| row.get(0)).expect("a size")
    };
    let made = bytes();
    for size in [4_096, made] {
        bench.run(&["state", "backup", &format!("copy-{size}.db")]).expect(0);
        let db = rusqlite::Connection::open(&state).expect("a state");
        let sql = format!("PRAGMA journal_mode = DELETE; PRAGMA page_size = {size}; VACUUM; PRAGMA journal_mode = WAL");
        db.execute_batch(&sql).expect("another size");
        drop(db);
        assert_eq!(bytes(), size);
        bench.run(&["reset", "companies", "--yes"]).expect(0);
        bench.run(&["state", "restore", &format!("copy-{size}.db"), "--yes"]).expect(0);
        assert_eq!(bytes(), size, "the state keeps its own");
        let run = &bench.run(&["run", "--json"]).expect(0).json()[0];
        assert_eq!((&run["sent"], &run["unchanged"]), (&0.into(), &6.into()));
    }
    assert_ne!(made, 4_096, "else nothing was tested");
}

#[test]
fn pause_resume_reset_and_forget() {
    let bench = Bench::with_usage(30);
    bench.run(&["run"]).expect(0);
    assert_eq!(bench.run(&["pause", "companies", "--json"]).expect(0).json()[0]["paused"], true);
    bench.run(&["run", "companies"]).expect(0);
    assert_eq!(bench.run(&["resume", "companies", "--json"]).expect(0).json()[0]["paused"], false);
    assert_eq!(bench.run(&["reset", "companies", "--yes", "--json"]).expect(0).json()[0]["dropped"], 3);
    bench.run(&["reset", "usage", "--cursor", "soon", "--yes"]).expect(2).says(&["--cursor 250000"]);
    bench.run(&["reset", "usage", "--cursor", "20", "--yes"]).expect(0);
    bench.run(&["run"]).expect(0);
    assert_eq!(bench.hub_rows("SELECT count(*) FROM hub_activity"), ["30"]);
    bench.run(&["forget", "C1", "--model", "company"]).expect(2).says(&["--yes"]);
    bench.lake("DELETE FROM companies WHERE company_id = 'C1'");
    let gone = &bench.run(&["forget", "C1", "--model", "company", "--yes", "--json"]).expect(0).json()[0];
    assert!(gone["state"].as_u64().unwrap() > 0 && gone["hub"].as_u64().unwrap() > 0, "{gone}");
    assert_eq!(bench.hub_rows("SELECT count(*) FROM hub_r_company WHERE externalId = 'C1'"), ["0"]);
}
