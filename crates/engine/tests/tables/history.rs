//! How changes are found by the warehouse's own history: `tracking`, and `auto` where it is on.

use tidegate_engine::RunOptions;
use tidegate_model::ports::flags;
use tidegate_model::run::RunStatus;
use tidegate_model::span::Position;
use tidegate_model::sync::Direction::{Both, ToPlatform};
use tidegate_model::sync::{Changes, Deletes, Sync, WriteMode};
use tidegate_testkit::sim::{Faults, Keeps};

use crate::bench::{Bench, sync, text};

fn one_way(changes: Changes) -> Sync {
    let mut sync = sync(&[("name", ToPlatform)]);
    sync.changes = changes;
    sync
}

fn tracked(sync: Sync, ids: &[&str]) -> Bench {
    let bench = Bench::new(sync);
    bench.warehouse.keep(Keeps { tracking: true, time_travel: true, ..Keeps::default() });
    fill(&bench, ids);
    bench
}

fn fill(bench: &Bench, ids: &[&str]) {
    ids.iter().for_each(|id| bench.warehouse.insert(Some(id), &[("name", text(id))]));
}

fn mode(bench: &Bench) -> &str {
    bench.runs.last().map_or("", |run| run.mode.as_str())
}

fn stands(bench: &Bench) -> Option<Position> {
    bench.ask(bench.state.state("companies")).warehouse
}

#[test]
fn tracking_reads_one_change_of_many_rows_and_nothing_of_none() {
    let ids: Vec<String> = (0..500).map(|n| format!("k{n:03}")).collect();
    let mut bench = tracked(one_way(Changes::Tracking), &ids.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((bench.ok().to_platform.created, mode(&bench)), (500, "full"));
    let (handed, stood) = (bench.warehouse.handed_out(), stands(&bench));
    assert_eq!(handed, 500);
    bench.warehouse.set("k250", "name", text("new"));
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.updated, counts.unchanged), (1, 1, 0));
    assert_eq!((mode(&bench), bench.warehouse.handed_out() - handed), ("tracking", 1));
    assert_eq!(bench.platform.get("k250", "name"), Some(text("new")));
    let moved = stands(&bench);
    assert_ne!(moved, stood);
    assert_eq!(bench.ok().to_platform.read, 0);
    assert_eq!((mode(&bench), bench.warehouse.handed_out() - handed), ("tracking", 1));
    assert!(bench.log().contains("nothing changed"), "{}", bench.log());
    assert_ne!(stands(&bench), moved, "the position moves with the warehouse's clock");
}

#[test]
fn auto_is_tracking_where_it_is_on() {
    let mut bench = tracked(one_way(Changes::Auto), &["a", "b"]);
    bench.ok();
    bench.warehouse.set("a", "name", text("new"));
    assert_eq!((bench.ok().to_platform.read, mode(&bench)), (1, "tracking"));
    bench.warehouse.keep(Keeps::default());
    assert_eq!((bench.ok().to_platform.read, mode(&bench)), (2, "full"));
}

#[test]
fn tracking_without_a_history_is_refused() {
    let mut bench = Bench::new(one_way(Changes::Tracking));
    let run = bench.run();
    assert_eq!((run.status, run.error.unwrap().code.as_str()), (RunStatus::Failed, "config"));
}

#[test]
fn tracking_shows_what_is_gone_and_what_returned() {
    let mut sync = one_way(Changes::Tracking);
    sync.write = WriteMode::Mirror;
    let mut bench = tracked(sync, &["a", "b", "c"]);
    bench.ok();
    bench.warehouse.delete("a");
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.deleted), (1, 1));
    assert!(!bench.platform.rows().contains_key("a"));
    fill(&bench, &["a"]);
    assert_eq!(bench.ok().to_platform.created, 1);
    // Gone and back within one window: it is there.
    bench.warehouse.delete("b");
    fill(&bench, &["b"]);
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.deleted), (1, 0));
    // Come and gone within one window: neither side ever had it.
    bench.warehouse.keep(Keeps { tracking: true, shows_passing: true, ..Keeps::default() });
    fill(&bench, &["d"]);
    bench.warehouse.delete("d");
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.created, counts.deleted), (0, 0, 0));
    assert_eq!(bench.platform.rows().len(), 3);
}

#[test]
fn tracking_that_shows_a_record_gone_marks_it_where_deletes_are_ignored() {
    let mut bench = tracked(one_way(Changes::Tracking), &["a", "b"]);
    bench.ok();
    bench.warehouse.delete("a");
    assert_eq!(bench.ok().to_platform.held, 1);
    assert_eq!(bench.flags("a"), Some(flags::GONE_WAREHOUSE));
    bench.quiet();
    fill(&bench, &["a"]);
    bench.ok();
    assert_eq!(bench.flags("a"), Some(0));
}

/// Between a window's end and the look at the table a row may come back: it is not deleted for the while it was gone.
#[test]
fn tracking_looks_again_before_it_takes_a_row_for_gone() {
    let mut sync = one_way(Changes::Tracking);
    sync.write = WriteMode::Mirror;
    let mut bench = tracked(sync, &["a", "b"]);
    bench.warehouse.keep(Keeps { tracking: true, lag: 60_000_000, ..Keeps::default() });
    bench.world.pass(120_000);
    bench.ok();
    bench.warehouse.delete("a");
    bench.world.pass(61_000);
    fill(&bench, &["a"]);
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.deleted), (1, 0));
    bench.world.pass(120_000);
    bench.quiet();
    assert_eq!(bench.platform.rows().len(), 2);
}

#[test]
fn tracking_takes_a_changed_key_for_one_gone_and_one_new() {
    let mut sync = one_way(Changes::Tracking);
    sync.write = WriteMode::Mirror;
    let mut bench = tracked(sync, &["a", "b"]);
    bench.ok();
    bench.warehouse.rename("a", "z");
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.created, counts.deleted), (2, 1, 1));
    assert_eq!(bench.platform.rows().keys().cloned().collect::<Vec<_>>(), ["b", "z"]);
}

#[test]
fn tracking_finds_that_a_changed_key_stands_twice_in_the_table() {
    let mut bench = tracked(one_way(Changes::Tracking), &["a", "b"]);
    bench.ok();
    bench.warehouse.insert(Some("b"), &[("name", text("second b"))]);
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.rejected, counts.updated), (1, 1, 0));
    assert_eq!(bench.rejects(), ["b/- duplicate_key"]);
    assert_eq!(bench.platform.get("b", "name"), Some(text("b")));
    // With the same values as the first: still two.
    bench.warehouse.insert(Some("a"), &[("name", text("a"))]);
    bench.ok();
    assert_eq!(bench.rejects().len(), 2);
    bench.warehouse.delete("b");
    fill(&bench, &["b"]);
    bench.ok();
    assert_eq!(bench.rejects(), ["a/- duplicate_key"]);
}

#[test]
fn tracking_rejects_keys_that_are_null_or_empty() {
    let mut bench = tracked(one_way(Changes::Tracking), &["a"]);
    bench.ok();
    bench.warehouse.insert(None, &[("name", text("none"))]);
    bench.warehouse.insert(Some(""), &[("name", text("empty"))]);
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.rejected), (2, 2));
    // What has no key is listed once.
    assert_eq!(bench.rejects().len(), 1);
}

/// What is edited while the first read is under way is in the first window, whether the read is pinned or not.
#[test]
fn tracking_hands_the_first_read_over_to_the_first_window() {
    for time_travel in [true, false] {
        let mut bench = tracked(one_way(Changes::Tracking), &["a", "b", "c"]);
        bench.warehouse.keep(Keeps { tracking: true, time_travel, ..Keeps::default() });
        let (warehouse, mut first) = (bench.warehouse.clone(), true);
        bench.world.before_write(Some(Box::new(move || {
            if std::mem::take(&mut first) {
                warehouse.set("a", "name", text("edited meanwhile"));
                warehouse.insert(Some("d"), &[("name", text("new meanwhile"))]);
            }
        })));
        assert_eq!(bench.ok().to_platform.created, 3);
        bench.world.before_write(None);
        let counts = bench.ok().to_platform;
        assert_eq!((counts.created, counts.updated), (1, 1), "time travel: {time_travel}");
        bench.quiet();
    }
}

#[test]
fn tracking_overlaps_where_its_edges_are_not_exact() {
    let mut bench = tracked(one_way(Changes::Tracking), &["a", "b"]);
    bench.warehouse.keep(Keeps { tracking: true, overlap: 1_000_000_000, gate: false, ..Keeps::default() });
    bench.ok();
    bench.warehouse.set("a", "name", text("new"));
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.updated, counts.unchanged), (2, 1, 1));
    bench.quiet();
}

#[test]
fn tracking_answers_expired_history_with_one_full_read() {
    let mut bench = tracked(one_way(Changes::Tracking), &["a", "b", "c"]);
    bench.ok();
    bench.warehouse.set("a", "name", text("new"));
    bench.warehouse.expire();
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.updated, counts.unchanged, mode(&bench)), (3, 1, 2, "full"));
    assert!(bench.log().contains("everything is read instead"), "{}", bench.log());
    bench.warehouse.set("b", "name", text("new"));
    assert_eq!((bench.ok().to_platform.read, mode(&bench)), (1, "tracking"));
}

#[test]
fn tracking_reads_everything_with_full_and_goes_on_from_there() {
    let mut bench = tracked(one_way(Changes::Tracking), &["a", "b"]);
    bench.ok();
    let full = RunOptions { full: true, ..RunOptions::default() };
    assert_eq!(bench.try_run(&full).unwrap().books.to_platform.read, 2);
    assert_eq!(mode(&bench), "full");
    bench.warehouse.set("b", "name", text("new"));
    assert_eq!((bench.ok().to_platform.read, mode(&bench)), (1, "tracking"));
}

#[test]
fn tracking_with_a_limit_or_one_direction_does_not_move_on() {
    let mut sync = one_way(Changes::Tracking);
    sync.write = WriteMode::Mirror;
    let mut bench = tracked(sync, &["a", "b", "c"]);
    bench.ok();
    let stood = stands(&bench);
    bench.warehouse.set("a", "name", text("new"));
    bench.warehouse.delete("b");
    // The history says of a record that it is gone: that is no conclusion from a read which the limit cut short.
    for (limit, deleted) in [(1, 0), (10, 1)] {
        let limited = RunOptions { limit: Some(limit), ..RunOptions::default() };
        assert_eq!(bench.try_run(&limited).unwrap().books.to_platform.deleted, deleted);
        assert_eq!(stands(&bench), stood);
    }
    let direction = RunOptions { direction: Some(ToPlatform), ..RunOptions::default() };
    bench.try_run(&direction).unwrap();
    assert_eq!(stands(&bench), stood);
    bench.ok();
    assert_ne!(stands(&bench), stood);
    assert_eq!(bench.platform.rows().len(), 2);
}

#[test]
fn tracking_takes_open_rejects_along() {
    let mut bench = tracked(one_way(Changes::Tracking), &["a", "b"]);
    bench.warehouse.set("a", "name", text("refuse-me"));
    assert_eq!(bench.ok().to_platform.rejected, 1);
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.rejected, mode(&bench)), (1, 1, "tracking"));
    bench.warehouse.set("a", "name", text("good"));
    assert_eq!(bench.ok().to_platform.created, 1);
    assert!(bench.rejects().is_empty());
    bench.quiet();
}

#[test]
fn tracking_two_way_reads_changes_of_both_sides_and_no_echo() {
    let mut sync = sync(&[("name", Both)]);
    (sync.changes, sync.deletes) = (Changes::Tracking, Deletes::Propagate);
    let mut bench = tracked(sync, &["a", "b", "c"]);
    bench.ok();
    bench.quiet();
    bench.platform.set("a", "name", text("p"));
    bench.warehouse.set("b", "name", text("w"));
    let books = bench.ok();
    assert_eq!((books.to_platform.updated, books.to_warehouse.updated, mode(&bench)), (1, 1, "tracking"));
    assert_eq!(books.to_platform.read, 2);
    assert_eq!(bench.warehouse.get("a", "name"), Some(text("p")));
    // The window shows what we wrote ourselves.
    bench.quiet();
    bench.quiet();
    bench.warehouse.delete("c");
    assert_eq!(bench.ok().to_platform.deleted, 1);
}

/// A row that we made, and that left before a window's end came by: no window ever shows it.
#[test]
fn tracking_misses_no_row_of_ours_that_left_before_a_window_showed_it() {
    for runs_between in [0, 1] {
        let mut sync = sync(&[("name", Both)]);
        (sync.changes, sync.deletes) = (Changes::Tracking, Deletes::Propagate);
        let mut bench = tracked(sync, &["a"]);
        bench.warehouse.keep(Keeps { tracking: true, time_travel: true, lag: 60_000_000, ..Keeps::default() });
        bench.world.pass(120_000);
        bench.ok();
        bench.platform.insert("p", &[("name", text("from the platform"))]);
        assert_eq!(bench.ok().to_warehouse.created, 1);
        assert_eq!(bench.flags("p"), Some(flags::AHEAD));
        for _ in 0..runs_between {
            bench.quiet();
            assert_eq!(bench.flags("p"), Some(flags::AHEAD));
        }
        bench.warehouse.delete("p");
        bench.world.pass(120_000);
        assert_eq!(bench.ok().to_platform.deleted, 1, "{runs_between} runs between");
        assert_eq!(bench.platform.rows().keys().cloned().collect::<Vec<_>>(), ["a"]);
    }
}

#[test]
fn tracking_is_done_with_a_row_of_ours_once_a_window_showed_it() {
    let mut sync = sync(&[("name", Both)]);
    sync.changes = Changes::Tracking;
    let mut bench = tracked(sync, &["a"]);
    bench.ok();
    bench.platform.insert("p", &[("name", text("from the platform"))]);
    bench.ok();
    bench.quiet();
    assert_eq!(bench.flags("p"), Some(0));
    bench.quiet();
    assert_eq!(bench.runs.last().unwrap().books.to_platform.read, 0);
}

#[test]
fn failing_window_deletes_nothing_and_does_not_move_on() {
    let mut sync = one_way(Changes::Tracking);
    sync.write = WriteMode::Mirror;
    let mut bench = tracked(sync, &["a", "b", "c"]);
    bench.ok();
    let stood = stands(&bench);
    bench.warehouse.delete("b");
    bench.world.set_faults(Faults { unauthorized: 1_000, ..Faults::default() });
    assert_eq!(bench.run().status, RunStatus::Failed);
    assert_eq!((stands(&bench), bench.platform.rows().len()), (stood, 3));
    bench.world.set_faults(Faults::default());
    assert_eq!(bench.ok().to_platform.deleted, 1);
}

/// Keys that change on their way cannot be looked up one by one: what the gate lets through is read as a whole.
#[test]
fn tracking_reads_everything_that_changed_where_keys_are_transformed() {
    let mut sync = one_way(Changes::Tracking);
    sync.key.transform = vec![tidegate_model::transform::Transform::Lower];
    let mut bench = tracked(sync, &["A", "B"]);
    bench.ok();
    assert_eq!(bench.ok().to_platform.read, 0);
    bench.warehouse.set("A", "name", text("new"));
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.updated, mode(&bench)), (2, 1, "full"));
    bench.warehouse.insert(Some("a"), &[("name", text("twin"))]);
    bench.ok();
    assert_eq!(bench.rejects(), ["a/- duplicate_key"]);
}

/// Begun anew each time, a read of so many pages would never come to its end; a key that stands there twice stays a reject.
#[test]
fn a_pinned_first_read_goes_on_where_it_broke_off() {
    let ids: Vec<String> = (0..60).map(|n| format!("k{n:02}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut bench = tracked(one_way(Changes::Tracking), &ids);
    bench.warehouse.keep(Keeps { tracking: true, time_travel: true, ..Keeps::default() });
    for copy in ["k07", "k30", "k30"] {
        bench.warehouse.insert(Some(copy), &[("name", text("copy"))]);
    }
    bench.world.set_faults(Faults { unavailable: 250, ..Faults::default() });
    let counts = bench.ok().to_platform;
    // Books count records: a key with copies is one.
    assert_eq!((counts.read, counts.created, counts.rejected), (60, 58, 2));
    assert_eq!(bench.rejects(), ["k07/- duplicate_key", "k30/- duplicate_key"]);
    // Each time it goes on, the rest is handed out: less than if all of it had been, each time.
    assert!(bench.warehouse.handed_out() > 63, "nothing broke off");
}
