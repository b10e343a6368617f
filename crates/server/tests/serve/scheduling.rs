//! When runs start, and that they do not start together when they must not.
#![allow(clippy::cast_precision_loss)]

use std::sync::Arc;

use tidegate_engine::plan::due::{back_off_ms, next_after};
use tidegate_model::error::ErrorKind;
use tidegate_model::run::{Books, RunStatus};
use tidegate_model::schedule::Rule;
use tidegate_model::schema::ModelName;
use tidegate_server::Clock;

use super::rig::{Act, Rig, START, State, TICK_MS, every, minutes, record, sync};

#[tokio::test]
async fn an_interval_is_kept_to_the_tick() {
    let rig = Rig::start(vec![every("companies", 5)]).await;
    rig.ticks(minutes(60)).await;
    let schedule = every("companies", 5).schedule.expect("one");
    let mut expected = vec![0.0];
    let mut slot = START;
    loop {
        slot = next_after(&schedule, "companies", slot).expect("a slot");
        let ticks = (slot.millis_since(START) as f64 / TICK_MS as f64).ceil();
        if ticks > 720.0 {
            break;
        }
        expected.push(ticks / 12.0);
    }
    assert_eq!(expected.len(), 13, "the first at once, then one in each five minutes");
    assert_eq!(rig.starts("companies"), expected);
    rig.stop().await;
}

#[tokio::test]
async fn a_restart_after_days_makes_one_run_of_the_missed_ones() {
    let state = Arc::new(State::default());
    let last = START.plus_millis(-minutes(4 * 24 * 60));
    state.runs.lock().unwrap().push(record("nightly", RunStatus::Succeeded, last, last, Books::default()));
    let nightly = sync("nightly", Rule::DailyAt { hour: 6, minute: 0 });
    let rig = Rig::start_with(vec![nightly.clone()], Arc::clone(&state), last, |_| {}).await;
    rig.quiet().await;
    assert_eq!(rig.count("nightly", "start"), 0, "it had run just before");
    rig.stop().await;

    let rig = Rig::start_with(vec![nightly], state, START, |_| {}).await;
    rig.ticks(minutes(30)).await;
    assert_eq!(rig.starts("nightly"), [0.0]);
    rig.stop().await;
}

#[tokio::test]
async fn a_sync_never_overlaps_itself_and_what_it_missed_is_one_run() {
    let rig = Rig::start_with(vec![every("companies", 1)], Arc::default(), START, |runner| {
        runner.acts.lock().unwrap().insert("companies".to_owned(), Act::Hold);
    })
    .await;
    rig.until("companies", "start", 1).await;
    rig.ticks(minutes(10)).await;
    assert_eq!(rig.count("companies", "start"), 1, "ten slots passed while it was at work");
    rig.let_go("companies");
    rig.until("companies", "succeeded", 1).await;
    rig.hold_again("companies");
    rig.tick().await;
    rig.until("companies", "start", 2).await;
    rig.ticks(minutes(3)).await;
    assert_eq!(rig.count("companies", "start"), 2);
    rig.stop().await;
}

#[tokio::test]
async fn two_runs_at_once_and_the_third_waits() {
    let names = ["a", "b", "c"];
    let rig = Rig::start_with(names.map(|name| every(name, 60)).to_vec(), Arc::default(), START, |runner| {
        runner.acts.lock().unwrap().extend(names.map(|name| (name.to_owned(), Act::Hold)));
    })
    .await;
    rig.until("a", "start", 1).await;
    rig.until("b", "start", 1).await;
    rig.ticks(minutes(1)).await;
    assert_eq!(rig.count("c", "start"), 0);
    assert!(rig.get("/metrics").await.contains("\ntidegate_queue_length 1\n"));
    rig.let_go("b");
    // at once, without another tick
    rig.until("c", "start", 1).await;
    rig.stop().await;
}

#[tokio::test]
async fn children_wait_for_their_parents() {
    let mut people = every("a_people", 60);
    people.order.model = ModelName("enduser".to_owned());
    people.order.references = vec![ModelName("company".to_owned())];
    let mut companies = every("companies", 60);
    companies.order.model = ModelName("company".to_owned());
    let rig = Rig::start_with(vec![people, companies], Arc::default(), START, |runner| {
        runner.acts.lock().unwrap().insert("companies".to_owned(), Act::Hold);
    })
    .await;
    rig.until("companies", "start", 1).await;
    rig.ticks(minutes(2)).await;
    assert_eq!(rig.count("a_people", "start"), 0, "there is room for it, but its parent is at work");
    rig.let_go("companies");
    rig.until("a_people", "start", 1).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_failing_sync_backs_off_and_one_that_recovers_keeps_its_time_again() {
    let rig = Rig::start_with(vec![every("companies", 1)], Arc::default(), START, |runner| {
        runner.acts.lock().unwrap().insert("companies".to_owned(), Act::End(RunStatus::Failed));
    })
    .await;
    rig.quiet().await;
    rig.ticks(minutes(65)).await;
    let starts = rig.starts("companies");
    assert_eq!(starts.len(), 7, "{starts:?}");
    for (number, pair) in starts.windows(2).enumerate() {
        let waited = (pair[1] - pair[0]) * 60_000.0;
        let least = back_off_ms(u32::try_from(number + 1).expect("few")) as f64;
        assert!(waited >= least && waited <= least + 70_000.0, "wait {number}: {waited} ms, at least {least}");
    }
    let text = rig.get("/metrics").await;
    assert!(text.contains("tidegate_failures_in_a_row{sync=\"companies\"} 7\n"), "{text}");
    assert!(text.contains("tidegate_sync_waits{sync=\"companies\",reason=\"backing_off\"} 1\n"), "{text}");

    rig.act("companies", Act::End(RunStatus::Partial));
    rig.ticks(minutes(70)).await;
    let after = rig.starts("companies").split_off(8);
    assert!(!after.is_empty(), "it was tried again within its back-off");
    assert!(after.windows(2).all(|pair| pair[1] - pair[0] < 1.2), "{after:?}");
    rig.stop().await;
}

#[tokio::test]
async fn a_run_that_cannot_begin_is_tried_again_and_its_slot_is_not_served() {
    let rig = Rig::start_with(vec![every("companies", 720)], Arc::default(), START, |runner| {
        runner.acts.lock().unwrap().insert("companies".to_owned(), Act::Refuse(ErrorKind::Locked));
    })
    .await;
    rig.quiet().await;
    rig.ticks(minutes(5)).await;
    let tries = rig.count("companies", "start");
    assert_eq!(tries, 6, "held elsewhere: looked at again each minute");
    rig.act("companies", Act::End(RunStatus::Succeeded));
    rig.ticks(minutes(3)).await;
    assert_eq!(rig.count("companies", "succeeded"), 1);
    let text = rig.get("/metrics").await;
    assert!(text.contains("tidegate_runs_not_begun_total{sync=\"companies\",code=\"locked\"} 6\n"), "{text}");
    rig.stop().await;
}

#[tokio::test]
async fn a_panic_in_a_run_stops_neither_the_scheduler_nor_the_sync() {
    let rig = Rig::start_with(vec![every("companies", 1), every("others", 1)], Arc::default(), START, |runner| {
        runner.acts.lock().unwrap().insert("companies".to_owned(), Act::Panic);
    })
    .await;
    rig.quiet().await;
    assert_eq!(rig.count("companies", "start"), 1);
    rig.act("companies", Act::End(RunStatus::Succeeded));
    rig.ticks(minutes(3)).await;
    assert!(rig.count("companies", "succeeded") >= 1, "{:?}", rig.diary());
    assert!(rig.count("others", "succeeded") >= 3);
    rig.stop().await;
}

/// Also where the scheduler has just looked at the sync's runs: several syncs, so that some fall between two looks.
#[tokio::test]
async fn a_run_by_hand_just_before_the_tick_counts() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let rig = Rig::start(names.map(|name| every(name, 60)).to_vec()).await;
    rig.quiet().await;
    let mut by_hand: Vec<_> = names
        .iter()
        .map(|name| (next_after(&every(name, 60).schedule.expect("one"), name, START).expect("a slot"), *name))
        .collect();
    by_hand.sort();
    for (slot, name) in by_hand {
        rig.ticks((slot.millis_since(rig.clock.now()) - 1) / TICK_MS * TICK_MS).await;
        // after the slot, but before the tick that would serve it
        let at = slot.plus_millis(1);
        rig.state.runs.lock().unwrap().push(record(name, RunStatus::Succeeded, at, at, Books::default()));
    }
    rig.ticks(minutes(1)).await;
    for name in names {
        assert_eq!(rig.starts(name), [0.0], "{name}");
    }
    rig.stop().await;
}
