//! `rehearse` and `sandbox`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use tidegate_twins::Knobs;

use super::bench::tidegate;
use super::lab::{ENDUSERS, Lab, quiet};

#[test]
fn a_rehearsal_writes_nothing_of_ours_and_does_what_the_run_then_does() {
    let lab = Lab::new(quiet());
    lab.bench.lake(
        "CREATE TABLE people (person_id TEXT NOT NULL PRIMARY KEY, email TEXT, company_id TEXT, title TEXT);
         INSERT INTO people VALUES ('P1', 'a@x.com', 'C1', 'CEO'), ('P2', 'b@x.com', 'C2', NULL);",
    );
    lab.bench.write("syncs/people.yaml", ENDUSERS);
    lab.run(&["run"]).expect(0);
    lab.bench.lake(
        "UPDATE companies SET phase = 'live' WHERE company_id = 'C1'; INSERT INTO companies VALUES ('C9','Nine',NULL,NULL);
         UPDATE people SET title = 'CTO' WHERE person_id = 'P1'; INSERT INTO people VALUES ('P3', 'c@x.com', 'C3', NULL);",
    );
    let before = lab.twin.requests().iter().filter(|seen| seen.method != "GET").count();
    for (sync, held) in [("companies", 3), ("people", 2)] {
        let lines = lab.run(&["rehearse", sync, "--json"]).expect(0).json();
        assert_eq!((&lines[0]["created"], &lines[0]["updated"]), (&1.into(), &1.into()), "{sync}: {lines:?}");
        assert_eq!(
            (&lines[1]["not_filled"], lines[1]["filled"].as_u64() >= Some(held)),
            (&0.into(), true),
            "{lines:?}"
        );
    }
    assert_eq!(
        lab.twin.requests().iter().filter(|seen| seen.method != "GET").count(),
        before,
        "the tenant was not written"
    );
    assert_eq!(lab.held("company")["C1"]["phase"], "trial");
    let real = lab.run(&["run", "--json"]).expect(0).json();
    assert!(real.iter().all(|run| run["created"] == 1 && run["updated"] == 1), "{real:?}");
    lab.no_secret();
}

#[test]
fn what_cannot_be_rehearsed_is_refused() {
    let lab = Lab::new(quiet());
    lab.bench.write("connections/crm.yaml", "version: 1\ntype: hub\n");
    lab.run(&["rehearse", "companies"]).expect(2).says(&["no twin of `type: hub`", "tidegate plan"]);
}

#[test]
fn rehearsed_faults_show_and_change_nothing() {
    let lab = Lab::new(quiet());
    let knobs = Knobs { reject_pct: 100.0, ..quiet() };
    lab.bench.write("knobs.json", &serde_json::to_string(&knobs).expect("JSON"));
    let knobs = lab.bench.path("knobs.json");
    let lines =
        lab.run(&["rehearse", "companies", "--json", "--knobs", knobs.to_str().expect("a path")]).expect(3).json();
    assert_eq!(lines[0]["rejected"], 3, "{lines:?}");
    assert!(lab.run(&["rejects", "--json"]).json().is_empty(), "the state is as it was");
    lab.bench.write("knobs.json", "{\"lots\": 1}");
    lab.run(&["rehearse", "companies", "--knobs", knobs.to_str().expect("a path")]).expect(2).says(&["holds no knobs"]);
}

fn serves(args: &[&str], words: &[&str], place: (&str, &str)) {
    let mut command: Command = tidegate();
    command.arg("sandbox").args(args).args(["--listen", "127.0.0.1:0", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("started");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("stdout")).read_line(&mut line).expect("a line");
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line[place.0], place.1);
    let url = line["listen"].as_str().expect("an address").trim_start_matches("http://").to_owned();
    let mut stream = std::net::TcpStream::connect(&url).expect("it listens");
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("sent");
    let mut page = String::new();
    std::io::Read::read_to_string(&mut stream, &mut page).expect("a page");
    assert!(words.iter().all(|word| page.contains(word)), "{page}");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    assert_eq!(child.wait().expect("ended").code(), Some(143));
}

#[test]
fn a_sandbox_serves_until_it_is_told_to_end() {
    let tenant = "00000000-0000-4000-8000-000000000000";
    serves(&["planhat"], &["Twin of Planhat", "What it does not know"], ("tenant", tenant));
    serves(&["batch"], &["Twin of Batch", "null_key"], ("project_key", "project_sandbox"));
    serves(&["batch", "--project-key", "project_mine"], &["project_mine"], ("project_key", "project_mine"));
    let taken = tidegate().args(["sandbox", "batch", "--tenant", "x"]).output().expect("started");
    assert_eq!(taken.status.code(), Some(2));
}
