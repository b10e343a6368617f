//! What the planner decides, with a clock in hand.

use tidegate_engine::plan::due::{BACK_OFF_MS_MAX, Entry, Switches, back_off_ms, due, failures_in_a_row};
use tidegate_model::Instant;
use tidegate_model::run::RunStatus;
use tidegate_model::schedule::Schedule;

use super::{at, daily, every, slots};

const LONG_AGO: Instant = Instant(0);

fn entry(sync: &str, schedule: Schedule) -> Entry {
    Entry {
        sync: sync.to_owned(),
        schedule: Some(schedule),
        known_since: LONG_AGO,
        last_started: None,
        last_finished: None,
        consecutive_failures: 0,
        switches: Switches::ON,
        two_way: false,
        full_settled: false,
        running: false,
        queued: false,
    }
}

fn ran(mut entry: Entry, started: Instant, seconds: i64) -> Entry {
    entry.last_started = Some(started);
    entry.last_finished = Some(started.plus_millis(seconds * 1_000));
    entry
}

/// `due` as an instant, or why not; and what is next.
fn say(entry: &Entry, now: Instant) -> (Result<Instant, &'static str>, Option<Instant>) {
    let decision = due(std::slice::from_ref(entry), &[], now).remove(0);
    let said = match (decision.due, decision.why_not) {
        (Some(slot), None) => Ok(slot),
        (None, Some(reason)) => Err(reason.code()),
        other => panic!("due and why not at once, or neither: {other:?}"),
    };
    (said, decision.next)
}

#[test]
fn each_switch_keeps_a_sync_from_running_and_says_so() {
    let now = at("2026-05-01T12:00:00Z");
    let ready = ran(entry("companies", daily(6, 0, "UTC")), at("2026-04-30T06:00:00Z"), 5);
    assert_eq!(say(&ready, now), (Ok(at("2026-05-01T06:00:00Z")), Some(at("2026-05-02T06:00:00Z"))));
    type Edit = fn(&mut Entry);
    let cases: [(&str, Edit); 8] = [
        ("no_schedule", |entry| entry.schedule = None),
        ("bad_schedule", |entry| entry.schedule = Some(daily(6, 0, "Nowhere/Land"))),
        ("connection_off", |entry| entry.switches.connections_enabled = false),
        ("connection_automation_off", |entry| entry.switches.connections_automation = false),
        ("automation_off", |entry| entry.switches.sync_automation = false),
        ("paused", |entry| entry.switches.paused = true),
        ("needs_full_sync", |entry| entry.two_way = true),
        ("connection_off", |entry| {
            entry.switches = Switches {
                connections_enabled: false,
                connections_automation: false,
                sync_automation: false,
                paused: true,
            };
        }),
    ];
    for (code, change) in cases {
        let mut entry = ready.clone();
        change(&mut entry);
        assert_eq!(say(&entry, now), (Err(code), None));
    }
    let mut two_way = ready;
    two_way.two_way = true;
    two_way.full_settled = true;
    assert!(say(&two_way, now).0.is_ok(), "a two-way sync runs by itself once a full sync has been settled");
}

#[test]
fn only_a_connection_that_is_off_stops_a_run_by_hand() {
    let off = Switches { connections_enabled: false, ..Switches::ON };
    assert_eq!(off.against_any_run().map(|reason| reason.code()), Some("connection_off"));
    let quiet = Switches { connections_automation: false, sync_automation: false, paused: true, ..Switches::ON };
    assert!(quiet.against_any_run().is_none());
}

#[test]
fn a_sync_never_overlaps_itself() {
    let now = at("2026-05-01T12:00:00Z");
    for (running, queued, code) in [(true, false, "running"), (false, true, "queued"), (true, true, "running")] {
        let mut busy = ran(entry("companies", every(5, "UTC")), at("2026-05-01T09:00:00Z"), 5);
        busy.running = running;
        busy.queued = queued;
        let (said, next) = say(&busy, now);
        assert_eq!(said, Err(code));
        assert!(next.is_some_and(|next| next > now));
    }
}

#[test]
fn missed_runs_become_one_run() {
    let mut sync = ran(entry("companies", daily(6, 0, "UTC")), at("2026-05-01T06:00:00Z"), 5);
    // five days down
    let now = at("2026-05-06T11:00:00Z");
    assert_eq!(say(&sync, now), (Ok(at("2026-05-02T06:00:00Z")), Some(at("2026-05-07T06:00:00Z"))));
    sync = ran(sync, now, 60);
    assert_eq!(say(&sync, at("2026-05-06T11:02:00Z")), (Err("not_yet"), Some(at("2026-05-07T06:00:00Z"))));
}

#[test]
fn a_run_by_hand_counts() {
    let sync = ran(entry("companies", daily(6, 0, "UTC")), at("2026-05-01T05:59:00Z"), 600);
    assert!(say(&sync, at("2026-05-01T06:10:00Z")).0.is_ok(), "one that began before the slot does not serve it");
    let sync = ran(sync, at("2026-05-01T06:01:00Z"), 600);
    assert_eq!(say(&sync, at("2026-05-01T06:12:00Z")), (Err("not_yet"), Some(at("2026-05-02T06:00:00Z"))));
}

#[test]
fn a_sync_that_never_ran_starts_at_once_if_it_has_an_interval_else_at_its_time() {
    let since = at("2026-05-01T10:00:00Z");
    let mut interval = entry("companies", every(60, "UTC"));
    interval.known_since = since;
    assert_eq!(say(&interval, since).0, Ok(since));
    let mut nightly = entry("companies", daily(6, 0, "UTC"));
    nightly.known_since = since;
    assert_eq!(say(&nightly, since), (Err("not_yet"), Some(at("2026-05-02T06:00:00Z"))));
    // down over its first time: missed, not forgotten
    assert_eq!(say(&nightly, at("2026-05-02T09:00:00Z")).0, Ok(at("2026-05-02T06:00:00Z")));
}

#[test]
fn slots_before_the_schedule_was_changed_were_not_missed() {
    let mut sync = ran(entry("companies", daily(12, 0, "UTC")), at("2026-05-01T06:00:00Z"), 5);
    sync.known_since = at("2026-05-01T14:00:00Z");
    assert_eq!(say(&sync, at("2026-05-01T14:00:10Z")), (Err("not_yet"), Some(at("2026-05-02T12:00:00Z"))));
}

#[test]
fn a_failing_sync_backs_off_up_to_a_cap() {
    assert_eq!((0..5).map(back_off_ms).collect::<Vec<_>>(), [0, 60_000, 120_000, 240_000, 480_000]);
    assert_eq!(
        (back_off_ms(9), back_off_ms(10), back_off_ms(u32::MAX)),
        (15_360_000, BACK_OFF_MS_MAX, BACK_OFF_MS_MAX)
    );

    let started = at("2026-05-01T12:00:00Z");
    let finished = started.plus_millis(5_000);
    let mut sync = ran(entry("companies", every(1, "UTC")), started, 5);
    sync.consecutive_failures = 5;
    let until = finished.plus_millis(16 * 60_000);
    assert_eq!(say(&sync, started.plus_millis(5 * 60_000)), (Err("backing_off"), Some(until)));
    assert_eq!(say(&sync, finished), (Err("not_yet"), Some(until)));
    assert!(say(&sync, until).0.is_ok());
    let decision = due(&[sync], &[], started.plus_millis(5 * 60_000)).remove(0);
    let text = decision.why_not.expect("a reason").to_string();
    assert_eq!(text, "failed or not begun 5 times in a row; it is tried again at 2026-05-01T12:16:05Z");
}

#[test]
fn backing_off_never_runs_a_sync_sooner_than_its_schedule() {
    let mut nightly = ran(entry("companies", daily(6, 0, "UTC")), at("2026-05-01T06:00:00Z"), 5);
    nightly.consecutive_failures = 1;
    assert_eq!(say(&nightly, at("2026-05-01T08:00:00Z")), (Err("not_yet"), Some(at("2026-05-02T06:00:00Z"))));
}

#[test]
fn failures_in_a_row_are_counted_from_the_newest_run() {
    use RunStatus::{Cancelled, Failed, Partial, Queued, Running, Succeeded, Unbalanced};
    for (runs, expected) in [
        (vec![], 0),
        (vec![Succeeded, Failed], 0),
        (vec![Partial, Failed], 0),
        (vec![Failed, Unbalanced, Succeeded, Failed], 2),
        (vec![Queued, Running, Failed, Cancelled, Failed, Partial], 2),
    ] {
        assert_eq!(failures_in_a_row(runs.clone()), expected, "{runs:?}");
    }
}

#[test]
fn a_clock_set_back_runs_no_slot_twice_and_stops_no_sync() {
    let schedule = every(5, "UTC");
    let slot = slots(&schedule, "companies", at("2026-05-01T12:00:00Z"), at("2026-05-01T12:05:00Z"))[0];
    let sync = ran(entry("companies", schedule), slot.plus_millis(200), 1);
    // corrected by a second, so that the slot that was served lies ahead again
    assert_eq!(say(&sync, slot.plus_millis(-800)), (Err("not_yet"), Some(slot.plus_millis(300_000))));
    assert_eq!(say(&sync, slot).0, Err("not_yet"));
    assert!(say(&sync, slot.plus_millis(300_000)).0.is_ok());
    // the clock was a year ahead while it ran: it does not wait for a year
    let now = at("2025-05-01T12:01:00Z");
    let (said, next) = say(&sync, now);
    assert_eq!(said, Ok(now));
    assert!(next.is_some_and(|next| next > now && next <= now.plus_millis(300_000)));
    let sync = ran(sync, now, 1);
    assert_eq!(say(&sync, now.plus_millis(2_000)).0, Err("not_yet"));
}

#[test]
fn a_failure_recorded_by_a_clock_ahead_waits_no_longer_than_its_cap() {
    let now = at("2026-05-01T12:00:00Z");
    let mut sync = ran(entry("companies", every(5, "UTC")), at("2026-05-01T11:00:00Z"), 86_400 * 300);
    sync.consecutive_failures = 50;
    let (said, next) = say(&sync, now);
    assert_eq!(said, Err("backing_off"));
    assert_eq!(next, Some(now.plus_millis(BACK_OFF_MS_MAX)));
}

#[test]
fn decisions_come_in_the_order_of_references() {
    let now = at("2026-05-01T12:00:00Z");
    let entries = ["a_people", "b_companies", "d_new", "c_new"].map(|name| entry(name, every(5, "UTC")));
    let order = ["b_companies".to_owned(), "a_people".to_owned()];
    let names: Vec<String> = due(&entries, &order, now).into_iter().map(|decision| decision.sync).collect();
    assert_eq!(names, ["b_companies", "a_people", "c_new", "d_new"]);
}

/// A scheduler that ticks over the days around both changes of the clock: each slot is served once, by the first tick.
#[test]
fn ticking_through_the_changes_of_the_clock_serves_each_slot_once() {
    let changes = [
        ("Europe/Stockholm", ["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"]),
        ("America/Sao_Paulo", ["2018-02-18T02:00:00Z", "2018-11-04T03:00:00Z"]),
        ("Australia/Sydney", ["2026-04-04T16:00:00Z", "2026-10-03T16:00:00Z"]),
        ("Australia/Lord_Howe", ["2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"]),
    ];
    for (zone, change) in changes.iter().flat_map(|(zone, changes)| changes.map(|change| (zone, at(change)))) {
        for schedule in [daily(2, 30, zone), every(60, zone), super::cron("*/10 1-3 * * *", zone)] {
            let (from, to) = (change.plus_millis(-2 * 86_400_000), change.plus_millis(2 * 86_400_000));
            let expected = slots(&schedule, "companies", from, to);
            let mut sync = ran(entry("companies", schedule), Instant(from.0 - 1), 0);
            let mut served = Vec::new();
            let mut now = from;
            while now < to {
                if let (Ok(slot), _) = say(&sync, now) {
                    served.push(slot);
                    sync = ran(sync, now, 7);
                }
                now = now.plus_millis(97_000);
            }
            assert_eq!(served, expected, "{zone} at {change}");
        }
    }
}
