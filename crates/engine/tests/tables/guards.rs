//! Guards stop a run before it writes.

use tidegate_engine::RunOptions;
use tidegate_model::run::{RunRecord, RunStatus};
use tidegate_model::sync::Direction::{Both, ToPlatform};
use tidegate_model::sync::{Deletes, Sync, WriteMode};
use tidegate_model::value::Value;
use tidegate_testkit::sim::Knobs;

use crate::bench::{Bench, plain_fields, sync, text};

fn hundred(sync: Sync) -> Bench {
    let mut bench = Bench::of(0, sync, Knobs { page_rows: 50, ..Knobs::default() }, plain_fields(), 50);
    for id in 0..100 {
        bench.warehouse.insert(Some(&format!("k{id:03}")), &[("name", text("x")), ("note", text("n"))]);
    }
    assert_eq!(bench.ok().to_platform.created, 100);
    bench
}

fn mirror() -> Sync {
    let mut sync = sync(&[("name", ToPlatform), ("note", ToPlatform)]);
    sync.write = WriteMode::Mirror;
    sync
}

fn forced(bench: &mut Bench, guard: &str) -> RunRecord {
    let options = RunOptions { force_guards: vec![guard.to_owned()], ..RunOptions::default() };
    bench.try_run(&options).unwrap()
}

/// The run stops before it writes; what it did not do is counted; a forced run does it.
fn stops(bench: &mut Bench, guard: &str) -> RunRecord {
    let before = bench.world.writes();
    let run = bench.run();
    let error = run.error.clone().expect("a guard");
    assert_eq!((run.status, error.code.as_str()), (RunStatus::Failed, "guard"), "{error:?}");
    assert!(error.message.contains(guard), "{error:?}");
    assert!(run.books.balanced() && run.books.total().ahead > 0, "{:?}", run.books);
    assert_eq!(bench.world.writes(), before);
    let run = forced(bench, guard);
    assert!(run.error.is_none(), "{:?}", run.error);
    run
}

#[test]
fn max_delete_pct_stops_deletes_over_a_tenth() {
    let mut bench = hundred(mirror());
    (0..21).for_each(|id| bench.warehouse.delete(&format!("k{id:03}")));
    assert_eq!(stops(&mut bench, "max_delete_pct").books.to_platform.deleted, 21);
}

#[test]
fn max_delete_pct_lets_twenty_records_pass() {
    let mut bench = hundred(mirror());
    (0..20).for_each(|id| bench.warehouse.delete(&format!("k{id:03}")));
    assert_eq!(bench.ok().to_platform.deleted, 20);
}

#[test]
fn max_delete_pct_stops_two_way_deletes_too() {
    let mut sync = sync(&[("name", Both), ("note", Both)]);
    sync.deletes = Deletes::Propagate;
    let mut bench = hundred(sync);
    (0..30).for_each(|id| assert!(bench.platform.delete(&format!("k{id:03}"))));
    assert_eq!(stops(&mut bench, "max_delete_pct").books.to_warehouse.deleted, 30);
}

#[test]
fn max_clear_pct_stops_clears_over_a_tenth() {
    let mut bench = hundred(mirror());
    (0..21).for_each(|id| assert!(bench.warehouse.set(&format!("k{id:03}"), "note", Value::Null)));
    assert_eq!(stops(&mut bench, "max_clear_pct").books.to_platform.updated, 21);
}

#[test]
fn max_reject_pct_stops_rejects_that_are_known_before_the_first_call() {
    let mut fields = plain_fields();
    fields[0].max_length = Some(3);
    let mut bench = Bench::of(0, mirror(), Knobs { page_rows: 50, ..Knobs::default() }, fields, 50);
    for id in 0..100 {
        bench.warehouse.insert(Some(&format!("k{id:03}")), &[("name", text("x"))]);
    }
    bench.ok();
    (0..30).for_each(|id| assert!(bench.warehouse.set(&format!("k{id:03}"), "name", text("too long"))));
    let run = bench.run();
    assert_eq!((run.status, run.error.unwrap().code.as_str()), (RunStatus::Failed, "guard"));
    assert!(run.books.balanced());
    let run = forced(&mut bench, "max_reject_pct");
    assert_eq!((run.status, run.books.to_platform.rejected), (RunStatus::Partial, 30));
}

#[test]
fn max_reject_pct_stops_after_a_batch_of_refusals() {
    let mut sync = mirror();
    sync.batch_size = Some(30);
    let mut bench = hundred(sync);
    (0..100).for_each(|id| assert!(bench.warehouse.set(&format!("k{id:03}"), "name", text("refuse-me"))));
    let run = bench.run();
    assert_eq!((run.status, run.error.unwrap().code.as_str()), (RunStatus::Failed, "guard"));
    let counts = run.books.to_platform;
    assert!(run.books.balanced(), "{counts:?}");
    assert_eq!((counts.refused, counts.ahead), (30, 70));
}

#[test]
fn max_change_pct_is_off_unless_set() {
    let mut sync = mirror();
    let mut bench = hundred(sync.clone());
    (0..100).for_each(|id| assert!(bench.warehouse.set(&format!("k{id:03}"), "name", text("y"))));
    assert_eq!(bench.ok().to_platform.updated, 100);
    sync.guards.max_change_pct = Some(50.0);
    let mut bench = hundred(sync);
    (0..60).for_each(|id| assert!(bench.warehouse.set(&format!("k{id:03}"), "name", text("y"))));
    assert_eq!(stops(&mut bench, "max_change_pct").books.to_platform.updated, 60);
}

#[test]
fn empty_complete_read_never_deletes_by_itself() {
    let mut bench = Bench::new(mirror());
    for id in ["a", "b", "c"] {
        bench.warehouse.insert(Some(id), &[("name", text("x"))]);
    }
    bench.ok();
    ["a", "b", "c"].iter().for_each(|id| bench.warehouse.delete(id));
    assert_eq!(stops(&mut bench, "empty_read").books.to_platform.deleted, 3);
}

#[test]
fn first_run_checks_deletes_and_clears_only() {
    let mut fields = plain_fields();
    fields[0].max_length = Some(3);
    let mut sync = mirror();
    sync.guards.max_change_pct = Some(1.0);
    let mut bench = Bench::of(0, sync, Knobs { page_rows: 50, ..Knobs::default() }, fields, 50);
    for id in 0..100 {
        let name = if id < 60 { "too long" } else { "x" };
        bench.warehouse.insert(Some(&format!("k{id:03}")), &[("name", text(name))]);
    }
    let run = bench.run();
    assert_eq!((run.status, run.books.to_platform.created), (RunStatus::Partial, 40), "{:?}", run.error);
}

#[test]
fn rejects_that_were_listed_before_do_not_trip_again() {
    let mut fields = plain_fields();
    fields[0].max_length = Some(3);
    let mut bench = Bench::of(0, mirror(), Knobs { page_rows: 50, ..Knobs::default() }, fields, 50);
    for id in 0..100 {
        let name = if id < 60 { "too long" } else { "x" };
        bench.warehouse.insert(Some(&format!("k{id:03}")), &[("name", text(name))]);
    }
    // Rows without a key cannot be told apart.
    (0..30).for_each(|_| bench.warehouse.insert(None, &[("name", text("x"))]));
    assert_eq!(bench.run().status, RunStatus::Partial);
    let run = bench.run();
    assert_eq!((run.status, run.books.to_platform.rejected), (RunStatus::Partial, 90), "{:?}", run.error);
    // New ones do.
    (60..90).for_each(|id| assert!(bench.warehouse.set(&format!("k{id:03}"), "name", text("too long"))));
    assert_eq!(bench.run().error.expect("a guard").code, "guard");
}

#[test]
fn refusals_that_were_listed_before_do_not_trip_again() {
    let mut sync = mirror();
    sync.batch_size = Some(30);
    let mut bench = Bench::of(0, sync, Knobs { page_rows: 50, ..Knobs::default() }, plain_fields(), 50);
    for id in 0..100 {
        let name = if id < 40 { "refuse-me" } else { "x" };
        bench.warehouse.insert(Some(&format!("k{id:03}")), &[("name", text(name))]);
    }
    let run = bench.run();
    assert_eq!((run.status, run.books.to_platform.refused), (RunStatus::Partial, 40), "{:?}", run.error);
    let run = bench.run();
    assert_eq!((run.status, run.books.to_platform.refused), (RunStatus::Partial, 40), "{:?}", run.error);
    // A run that new refusals stop lists them; the next one has to stop at them again.
    (60..100).for_each(|id| assert!(bench.warehouse.set(&format!("k{id:03}"), "name", text("refuse-me"))));
    for _ in 0..2 {
        assert_eq!(bench.run().error.expect("a guard").code, "guard");
    }
    assert_eq!(forced(&mut bench, "max_reject_pct").books.to_platform.refused, 80);
    assert_eq!(bench.run().status, RunStatus::Partial);
}
