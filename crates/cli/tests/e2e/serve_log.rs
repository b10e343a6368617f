//! The log of `serve`: JSON lines, each with its time, level and message, and those of a run with sync and run.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bench::Bench;

const PATIENCE: Duration = Duration::from_secs(60);

/// Serves until a line satisfies, then ends it with SIGTERM; all lines.
fn serve_until(bench: &Bench, args: &[&str], enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let mut serve = bench
        .command(&["serve", "--listen", "127.0.0.1:0"])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let began = Instant::now();
    let (mut lines, mut asked) = (Vec::new(), false);
    for line in BufReader::new(serve.stderr.take().expect("its log")).lines() {
        let line = line.expect("text");
        lines.push(serde_json::from_str(&line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}")));
        assert!(began.elapsed() < PATIENCE, "{lines:?}");
        if !asked && enough(&lines) {
            let pid = rustix::process::Pid::from_raw(i32::try_from(serve.id()).expect("a pid")).expect("a pid");
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("sent");
            asked = true;
        }
    }
    assert_eq!(serve.wait().expect("ended").code(), Some(143), "{lines:?}");
    lines
}

#[test]
fn every_line_is_json_with_time_level_and_message_and_runs_say_which() {
    let bench = Bench::with_usage(50);
    bench.run(&["run", "companies"]).expect(0);
    for sync in ["companies", "usage"] {
        let text = std::fs::read_to_string(bench.path(&format!("syncs/{sync}.yaml"))).expect("a file");
        bench.write(&format!("syncs/{sync}.yaml"), &format!("{text}schedule: {{ every: 1m }}\n"));
    }
    // One that cannot run: its failure is told in the same form.
    bench.write(
        "syncs/lost.yaml",
        "version: 1\nwarehouse: { connection: lake, relation: nowhere }\nplatform: { connection: crm, model: user }\n\
         key: { warehouse: id, platform: externalId }\nfields:\n  - { warehouse: nick, platform: nickName }\nschedule: { every: 1m }\n",
    );
    let ended = |lines: &[Value], sync: &str| {
        lines.iter().find(|line| line["sync"] == sync && line["status"].is_string()).cloned()
    };
    let lines = serve_until(&bench, &[], |lines| {
        ended(lines, "usage").is_some() && lines.iter().any(|line| line["sync"] == "lost" && line["level"] == "error")
    });
    for line in &lines {
        let time = line["time"].as_str().unwrap_or_else(|| panic!("no time: {line}"));
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{line}");
        assert!(["error", "warn", "info"].contains(&line["level"].as_str().unwrap_or_default()), "{line}");
        assert!(line["message"].as_str().is_some_and(|message| !message.is_empty()), "{line}");
    }
    let usage = ended(&lines, "usage").expect("a line");
    assert_eq!((&usage["status"], &usage["created"]), (&"succeeded".into(), &50.into()), "{usage}");
    let run = usage["run"].as_str().expect("its run");
    assert_eq!(bench.run(&["runs", "usage", "--json"]).expect(0).json()[0]["run"], run);
    let lost = lines.iter().find(|line| line["sync"] == "lost" && line["level"] == "error").expect("a line");
    assert!(lost["message"].as_str().expect("text").contains("nowhere") && lost["hint"].is_string(), "{lost}");
}

#[test]
fn quiet_leaves_out_what_goes_well() {
    let bench = Bench::with_companies();
    let sync = std::fs::read_to_string(bench.path("syncs/companies.yaml")).expect("a file");
    bench.write(
        "syncs/companies.yaml",
        &format!(
            "{}schedule: {{ every: 1m }}\n",
            sync.replace("companies }", "nowhere }").replace("both", "to_platform")
        ),
    );
    let lines = serve_until(&bench, &["--quiet"], |lines| !lines.is_empty());
    assert!(lines.iter().all(|line| line["level"] != "info"), "{lines:?}");
}
