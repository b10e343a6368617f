//! How changes are found: `full`, `cursor`, `auto`.

use tidegate_engine::RunOptions;
use tidegate_model::ports::{Settlement, flags};
use tidegate_model::record::Key;
use tidegate_model::run::RunStatus;
use tidegate_model::sync::Direction::{Both, ToPlatform, ToWarehouse};
use tidegate_model::sync::{Changes, CursorSpec, Deletes, Lookback, Sync, WriteMode};
use tidegate_model::value::Value;
use tidegate_testkit::sim::{Faults, Knobs, all_abilities};

use crate::bench::{Bench, sync, text};

fn cursor() -> Sync {
    let mut sync = sync(&[("name", ToPlatform)]);
    sync.changes = Changes::Cursor;
    sync.cursor = Some(CursorSpec { column: "seq".to_owned(), lookback: Some(Lookback::Count(0)) });
    sync
}

fn fill(bench: &Bench, ids: &[&str]) {
    ids.iter().for_each(|id| bench.warehouse.insert(Some(id), &[("name", text(id))]));
}

#[test]
fn full_reads_everything_and_compares_with_the_ledger() {
    let mut sync = sync(&[("name", ToPlatform)]);
    sync.changes = Changes::Full;
    let mut bench = Bench::new(sync);
    fill(&bench, &["a", "b", "c"]);
    bench.ok();
    bench.warehouse.set("b", "name", text("new"));
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.updated, counts.unchanged), (3, 1, 2));
    assert_eq!(bench.runs[1].mode, "full");
}

#[test]
fn auto_is_full_where_there_is_neither_a_stream_nor_tracking() {
    let mut bench = Bench::new(sync(&[("name", ToPlatform)]));
    fill(&bench, &["a", "b"]);
    bench.ok();
    assert_eq!(bench.ok().to_platform.read, 2);
    assert_eq!(bench.runs[1].mode, "full");
}

#[test]
fn cursor_reads_only_what_is_after_the_last_row() {
    let mut bench = Bench::new(cursor());
    fill(&bench, &["a", "b", "c"]);
    assert_eq!(bench.ok().to_platform.created, 3);
    bench.warehouse.set("a", "name", text("new"));
    fill(&bench, &["d"]);
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.created, counts.updated), (2, 1, 1));
    assert_eq!(bench.runs[1].mode, "cursor");
    bench.quiet();
    assert_eq!(bench.platform.rows().len(), 4);
}

#[test]
fn cursor_misses_deletes_and_a_full_run_finds_them() {
    let mut sync = cursor();
    sync.write = WriteMode::Mirror;
    let mut bench = Bench::new(sync);
    fill(&bench, &["a", "b"]);
    bench.ok();
    bench.warehouse.delete("a");
    bench.ok();
    assert_eq!(bench.platform.rows().len(), 2);
    let full = RunOptions { full: true, ..RunOptions::default() };
    assert_eq!(bench.try_run(&full).unwrap().books.to_platform.deleted, 1);
    assert_eq!(bench.platform.rows().len(), 1);
}

#[test]
fn cursor_values_that_are_null_are_not_lost() {
    let mut sync = cursor();
    sync.cursor = Some(CursorSpec { column: "size".to_owned(), lookback: Some(Lookback::Count(0)) });
    let mut bench = Bench::new(sync);
    bench.warehouse.insert(Some("a"), &[("name", text("a")), ("size", Value::Int(1))]);
    bench.ok();
    bench.warehouse.insert(Some("n"), &[("name", text("n")), ("size", Value::Null)]);
    let run = bench.run();
    assert!(run.books.balanced());
    let listed = bench.rejects();
    let delivered = bench.platform.rows().contains_key("n");
    assert!(delivered || listed.iter().any(|reject| reject.starts_with("n/")), "{listed:?}");
}

#[test]
fn cursor_with_a_maximum_below_it_stops_the_run() {
    let mut sync = cursor();
    sync.cursor = Some(CursorSpec { column: "size".to_owned(), lookback: Some(Lookback::Count(5)) });
    let mut bench = Bench::new(sync);
    bench.warehouse.insert(Some("a"), &[("name", text("a")), ("size", Value::Int(100))]);
    bench.ok();
    bench.warehouse.set("a", "size", Value::Int(10));
    let run = bench.run();
    assert_eq!((run.status, run.error.unwrap().code.as_str()), (RunStatus::Failed, "data"));
}

#[test]
fn cursor_re_reads_its_margin_and_delivers_nothing_twice() {
    let mut sync = cursor();
    sync.cursor = Some(CursorSpec { column: "size".to_owned(), lookback: Some(Lookback::Count(10)) });
    let mut bench = Bench::new(sync);
    bench.warehouse.insert(Some("a"), &[("name", text("a")), ("size", Value::Int(100))]);
    bench.ok();
    // Committed late: its number is below where the last run stood.
    bench.warehouse.insert(Some("late"), &[("name", text("late")), ("size", Value::Int(95))]);
    assert_eq!(bench.ok().to_platform.created, 1);
    bench.quiet();
}

#[test]
fn cursor_two_way_reads_the_platform_by_its_changes() {
    let mut sync = sync(&[("name", Both)]);
    sync.changes = Changes::Cursor;
    sync.cursor = Some(CursorSpec { column: "seq".to_owned(), lookback: Some(Lookback::Count(0)) });
    let mut bench = Bench::new(sync);
    fill(&bench, &["a", "b"]);
    bench.ok();
    bench.platform.set("a", "name", text("p"));
    bench.warehouse.set("b", "name", text("w"));
    let books = bench.ok();
    assert_eq!((books.to_platform.updated, books.to_warehouse.updated), (1, 1));
    assert_eq!(bench.warehouse.get("a", "name"), Some(text("p")));
    bench.quiet();
}

#[test]
fn platform_without_changes_is_read_as_a_whole() {
    let abilities = tidegate_model::schema::Abilities { changes: false, ordered: false, ..all_abilities() };
    let mut bench = Bench::with(sync(&[("name", ToWarehouse)]), Knobs { abilities, ..Knobs::default() });
    bench.platform.insert("b", &[("name", text("b"))]);
    bench.platform.insert("a", &[("name", text("a"))]);
    assert_eq!(bench.ok().to_warehouse.created, 2);
    bench.platform.set("b", "name", text("new"));
    let counts = bench.ok().to_warehouse;
    assert_eq!((counts.read, counts.updated), (2, 1));
    bench.quiet();
}

#[test]
fn limited_read_concludes_nothing_from_what_is_missing() {
    let mut sync = sync(&[("name", ToPlatform)]);
    sync.write = WriteMode::Mirror;
    let mut bench = Bench::new(sync);
    fill(&bench, &["a", "b", "c"]);
    bench.ok();
    bench.warehouse.delete("b");
    let limited = RunOptions { limit: Some(1), ..RunOptions::default() };
    assert_eq!(bench.try_run(&limited).unwrap().books.to_platform.deleted, 0);
    assert_eq!(bench.platform.rows().len(), 3);
    assert_eq!(bench.ok().to_platform.deleted, 1);
}

#[test]
fn failing_read_deletes_nothing() {
    let mut sync = sync(&[("name", Both)]);
    sync.deletes = Deletes::Propagate;
    let mut bench = Bench::new(sync);
    fill(&bench, &["a", "b", "c"]);
    bench.ok();
    bench.warehouse.delete("b");
    bench.world.set_faults(Faults { unauthorized: 300, ..Faults::default() });
    let mut failed = 0;
    for _ in 0..8 {
        let run = bench.run();
        assert!(run.books.balanced());
        failed += u32::from(run.status == RunStatus::Failed);
        let deleted: u64 = bench.runs.iter().map(|run| run.books.to_platform.deleted).sum();
        assert!(deleted <= 1 && bench.warehouse.rows().len() == 2);
        assert!(bench.platform.rows().contains_key("a") && bench.platform.rows().contains_key("c"));
    }
    assert!(failed > 0);
}

#[test]
fn keys_that_are_null_empty_or_doubled_are_rejects_and_never_gone() {
    let mut sync = sync(&[("name", ToPlatform)]);
    sync.write = WriteMode::Mirror;
    let mut bench = Bench::new(sync);
    fill(&bench, &["a", "b"]);
    bench.ok();
    bench.warehouse.insert(None, &[("name", text("none"))]);
    bench.warehouse.insert(Some(""), &[("name", text("empty"))]);
    bench.warehouse.insert(Some("b"), &[("name", text("second b"))]);
    let run = bench.run();
    assert_eq!(run.status, RunStatus::Partial);
    assert_eq!((run.books.to_platform.rejected, run.books.to_platform.deleted), (3, 0));
    assert_eq!(bench.platform.get("b", "name"), Some(text("b")));
    let listed = bench.rejects();
    assert!(listed.iter().any(|reject| reject == "b/- duplicate_key"), "{listed:?}");
}

/// Records that are to be looked at again have shown their change already: reads of changes do not bring them up.
#[test]
fn cursor_and_platform_changes_look_again_at_records_that_were_left_open() {
    let mut sync = sync(&[("name", Both)]);
    sync.changes = Changes::Cursor;
    sync.cursor = Some(CursorSpec { column: "seq".to_owned(), lookback: Some(Lookback::Count(0)) });
    let mut bench = Bench::new(sync);
    fill(&bench, &["a", "b", "c"]);
    bench.ok();
    bench.quiet();
    let mut record = bench.ask(bench.state.entries("companies", &[Key::new("b")])).remove(0).expect("an entry");
    record.entry.flags |= flags::LOOK;
    let (name, now) = ("companies", tidegate_model::Instant(i64::MAX / 4));
    let lease = bench.ask(bench.state.claim(name, "somebody", now));
    let run = bench.runs.last().expect("a run").run.clone();
    let settlement = Settlement { run, entries: vec![record], ..Settlement::default() };
    bench.ask(bench.state.settle(&lease, &settlement));
    bench.ask(bench.state.release(&lease));
    let books = bench.ok();
    assert_eq!(bench.runs.last().map(|run| run.mode.as_str()), Some("changes"));
    assert_eq!((books.to_platform.read, books.to_platform.unchanged), (1, 1));
    assert_eq!(bench.flags("b"), Some(0));
}
