//! What keeps syncs from running by themselves, at run time.

use std::sync::Arc;

use tidegate_model::Error;
use tidegate_model::run::RunStatus;
use tidegate_model::schedule::Rule;

use super::rig::{Rig, START, State, every, minutes, sync};

async fn waits(rig: &Rig, reason: &str) {
    let text = rig.get("/metrics").await;
    let line = format!("tidegate_sync_waits{{sync=\"companies\",reason=\"{reason}\"}} 1\n");
    assert!(text.contains(&line), "{reason} in {text}");
}

#[tokio::test]
async fn switches_of_the_state_work_while_it_serves() {
    let switches = [
        ("paused:companies", "undo of 01J", "paused"),
        ("automation:companies", "off", "automation_off"),
        ("automation-connection:crm", "off", "connection_automation_off"),
    ];
    for (setting, value, reason) in switches {
        let rig = Rig::start(vec![every("companies", 1)]).await;
        rig.ticks(minutes(2)).await;
        let before = rig.count("companies", "start");
        assert!(before >= 2, "{before}");
        rig.state.set(setting, Some(value));
        rig.ticks(minutes(5)).await;
        assert_eq!(rig.count("companies", "start"), before, "{setting}");
        waits(&rig, reason).await;
        rig.state.set(setting, None);
        rig.ticks(minutes(1)).await;
        assert!(rig.count("companies", "start") > before, "{setting} taken back");
        rig.stop().await;
    }
}

#[tokio::test]
async fn switches_of_the_files_and_the_state_over_them() {
    let mut off = every("companies", 1);
    off.automation = false;
    off.connections[1].automation = false;
    let rig = Rig::start(vec![off.clone()]).await;
    rig.ticks(minutes(2)).await;
    assert_eq!(rig.count("companies", "start"), 0);
    waits(&rig, "connection_automation_off").await;
    rig.state.set("automation-connection:crm", Some("on"));
    rig.tick().await;
    waits(&rig, "automation_off").await;
    rig.state.set("automation:companies", Some("on"));
    rig.ticks(minutes(1)).await;
    assert!(rig.count("companies", "start") >= 1);
    rig.stop().await;

    off.connections[0].enabled = false;
    let rig = Rig::start(vec![off]).await;
    rig.state.set("automation-connection:crm", Some("on"));
    rig.state.set("automation:companies", Some("on"));
    rig.ticks(minutes(2)).await;
    assert_eq!(rig.count("companies", "start"), 0, "enabled: false stops every run, whatever the automation says");
    waits(&rig, "connection_off").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_two_way_sync_waits_for_its_first_full_run() {
    let mut two_way = every("companies", 1);
    two_way.two_way = true;
    let rig = Rig::start(vec![two_way]).await;
    rig.ticks(minutes(3)).await;
    assert_eq!(rig.count("companies", "start"), 0);
    waits(&rig, "needs_full_sync").await;
    rig.state.full_settled.lock().unwrap().insert("companies".to_owned());
    rig.ticks(minutes(1)).await;
    assert!(rig.count("companies", "start") >= 1);
    rig.stop().await;
}

#[tokio::test]
async fn a_project_that_cannot_be_read_leaves_the_last_good_one_at_work() {
    let rig = Rig::start(vec![every("companies", 1)]).await;
    *rig.runner.syncs.lock().unwrap() = Err(Error::config("syncs/companies.yaml line 3: no such key"));
    rig.ticks(minutes(3)).await;
    assert!(rig.count("companies", "start") >= 3);
    assert!(rig.get("/metrics").await.contains("\ntidegate_project_ok 0\n"));
    *rig.runner.syncs.lock().unwrap() = Ok(vec![every("others", 1)]);
    rig.ticks(minutes(1)).await;
    let before = rig.count("companies", "start");
    rig.ticks(minutes(3)).await;
    assert_eq!(rig.count("companies", "start"), before, "it left the project");
    assert!(rig.count("others", "start") >= 3);
    assert!(rig.get("/metrics").await.contains("\ntidegate_project_ok 1\n"));
    rig.stop().await;
}

#[tokio::test]
async fn a_schedule_that_was_changed_does_not_run_for_slots_before_the_change() {
    let state = Arc::new(State::default());
    // 00:00; it ran at once, as its interval asks for
    let rig = Rig::start_with(vec![every("companies", 60)], Arc::clone(&state), START, |_| {}).await;
    rig.quiet().await;
    rig.stop().await;
    // 12:00: changed to a time that has passed today
    let noon = START.plus_millis(minutes(12 * 60));
    let rig = Rig::start_with(
        vec![sync("companies", Rule::DailyAt { hour: 10, minute: 0 })],
        Arc::clone(&state),
        noon,
        |_| {},
    )
    .await;
    rig.ticks(minutes(10)).await;
    assert_eq!(rig.count("companies", "start"), 0);
    rig.stop().await;
    assert_eq!(state.runs.lock().unwrap().iter().filter(|run| run.status == RunStatus::Succeeded).count(), 1);
}
