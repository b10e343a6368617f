//! Two tasks that overlap, and tasks that are killed.

use std::process::Stdio;

use serde_json::Value as Json;
use tidegate_twins::Knobs;

use super::bench::Done;
use super::lab::{Lab, quiet};

/// How often each id was sent.
fn times(sent: &[Json]) -> Vec<usize> {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for one in sent.iter().flat_map(|body| body.as_array().cloned().unwrap_or_default()) {
        *counts.entry(one["identifiers"]["custom_id"].to_string()).or_default() += 1;
    }
    counts.into_values().collect()
}

#[test]
fn two_tasks_at_once_deliver_once() {
    let lab = Lab::of("CUSTOM_ID VARCHAR, PLAN VARCHAR", "project_lab", Knobs { latency_ms: 400, ..quiet() });
    lab.sql("INSERT INTO LAB.CRM.PROFILES SELECT 'P' || SEQ4(), 'pro' FROM TABLE(GENERATOR(ROWCOUNT => 1000))");
    let start = || lab.command(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let tasks = [start(), start(), start()];
    let done: Vec<Done> = tasks.into_iter().map(|task| task.wait_with_output().expect("ended").into()).collect();
    let mut codes: Vec<i32> = done.iter().map(|one| one.code).collect();
    codes.sort_unstable();
    let told = done.iter().map(|one| one.stderr.as_str()).collect::<Vec<_>>().join("\n");
    // One delivers; the others say that they did not. One that came when the first was through finds nothing to do.
    assert!(codes[0] == 0 && codes.iter().all(|code| [0, 1].contains(code)), "{codes:?}\n{told}");
    assert!(codes.iter().all(|code| *code == 0) || told.contains("another task delivers"), "{told}");
    let times = times(&lab.sent());
    assert_eq!((times.len(), times.iter().max(), lab.stream()), (1_000, Some(&1), 0), "{told}");
    assert_eq!(lab.outbox(), 0);
}

#[test]
fn a_task_that_was_killed_loses_nothing_and_holds_nobody_up_for_long() {
    for (point, sent) in [("batch_sync.moved", 0), ("batch_sync.batch", 1), ("batch_sync.delivered", 1)] {
        let lab = Lab::new("CUSTOM_ID VARCHAR, PLAN VARCHAR");
        lab.sql("INSERT INTO LAB.CRM.PROFILES VALUES ('A', 'pro'), ('B', 'free')");
        let killed = lab.command(&[]).env("TIDEGATE_FAILPOINT", point).output().expect("started");
        assert_eq!(killed.status.code(), None, "{point}: killed");
        assert_eq!((lab.sent().len(), lab.stream(), lab.outbox()), (sent, 0, 2), "{point}");
        // Its lease stands until it runs out.
        let early = lab.job(&[]).expect(1).says(&["another task delivers from PROFILES_STREAM", "nothing is lost"]);
        assert_eq!(early.json()[0]["status"], "failed", "{point}");
        lab.sql("CALL STAND_IN$ADVANCE(121)");
        let after = lab.run(&[]);
        assert_eq!((after.sent.len(), after.exit, lab.outbox(), lab.profiles()), (1, 0, 0, 2), "{point}");
    }
}

#[test]
fn a_task_that_is_told_to_stop_says_so_and_the_next_one_goes_on() {
    let lab = Lab::of("CUSTOM_ID VARCHAR, PLAN VARCHAR", "project_lab", Knobs { latency_ms: 700, ..quiet() });
    lab.sql("INSERT INTO LAB.CRM.PROFILES SELECT 'P' || SEQ4(), 'pro' FROM TABLE(GENERATOR(ROWCOUNT => 900))");
    let task = lab.command(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    while lab.twin.requests().is_empty() {
        std::thread::yield_now();
    }
    let killed = std::process::Command::new("kill").args(["-TERM", &task.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    let done: Done = task.wait_with_output().expect("ended").into();
    assert_eq!((done.code, lab.runs("cancelled"), lab.outbox()), (143, 1, 900), "{}", done.stderr);
    lab.twin.turn(quiet());
    let next = lab.run(&[]);
    assert_eq!((next.exit, lab.profiles(), lab.outbox()), (0, 900, 0), "the lease was given back");
}
