//! Keys that change on their way: a transform, or the form in which the platform keeps them.

use tidegate_model::sync::Direction::Both;
use tidegate_model::sync::{Changes, Deletes};
use tidegate_model::transform::Transform;
use tidegate_testkit::sim::{Keeps, drive};

use crate::bench::{Bench, sync, text};

fn lowered() -> Bench {
    let mut sync = sync(&[("name", Both)]);
    sync.key.transform = vec![Transform::Lower];
    let mut bench = Bench::new(sync);
    bench.warehouse.insert(Some("Ada"), &[("name", text("x"))]);
    bench.ok();
    assert_eq!(bench.platform.get("ada", "name"), Some(text("x")));
    bench
}

#[test]
fn an_edit_goes_back_to_the_row_it_came_from() {
    let mut bench = lowered();
    bench.platform.set("ada", "name", text("y"));
    bench.ok();
    assert_eq!(bench.warehouse.rows().len(), 1, "{:?}", bench.warehouse.rows());
    assert_eq!(bench.warehouse.get("Ada", "name"), Some(text("y")));
    bench.quiet();
}

#[test]
fn what_is_gone_at_the_platform_goes_from_the_row_it_came_from() {
    let mut bench = lowered();
    bench.sync.deletes = Deletes::Propagate;
    bench.warehouse.insert(Some("Bob"), &[("name", text("b"))]);
    bench.ok();
    bench.platform.delete("ada");
    let books = bench.ok();
    assert_eq!(books.to_warehouse.deleted, 1, "{books:?}");
    assert_eq!(bench.warehouse.rows().keys().collect::<Vec<_>>(), ["Bob"]);
    bench.quiet();
}

#[test]
fn an_undo_finds_the_row() {
    let mut bench = lowered();
    bench.platform.set("ada", "name", text("y"));
    bench.ok();
    let run = bench.runs.last().expect("a run").run.clone();
    let (engine, job) = (bench.engine(), bench.job());
    drive(&bench.world, engine.undo(&job, &run)).expect("undone");
    assert_eq!(bench.warehouse.get("Ada", "name"), Some(text("x")));
    assert_eq!(bench.warehouse.rows().len(), 1);
}

#[test]
fn new_records_stand_in_the_canonical_form() {
    let mut bench = lowered();
    bench.platform.insert("eve", &[("name", text("e"))]);
    bench.ok();
    assert_eq!(bench.warehouse.get("eve", "name"), Some(text("e")));
    bench.platform.set("eve", "name", text("f"));
    bench.platform.set("ada", "name", text("z"));
    bench.ok();
    assert_eq!(bench.warehouse.get("eve", "name"), Some(text("f")));
    assert_eq!(bench.warehouse.get("Ada", "name"), Some(text("z")));
    bench.quiet();
}

/// The key as it stands comes along with its row: writing needs no look at the table of its own, however many batches
/// there are.
#[test]
fn a_write_does_not_go_through_the_table_for_each_batch() {
    let mut bench = lowered();
    bench.sync.batch_size = Some(2);
    let keys: Vec<String> = (0..40).map(|n| format!("Key{n:02}")).collect();
    keys.iter().for_each(|key| bench.warehouse.insert(Some(key), &[("name", text("x"))]));
    bench.ok();
    for key in &keys {
        bench.platform.set(&key.to_lowercase(), "name", text("edited"));
    }
    let before = bench.warehouse.handed_out();
    let books = bench.ok();
    assert_eq!((books.to_warehouse.updated, books.to_warehouse.requests), (40, 20), "{books:?}");
    for key in &keys {
        assert_eq!(bench.warehouse.get(key, "name"), Some(text("edited")), "{key}");
    }
    assert_eq!(bench.warehouse.rows().len(), 41);
    assert_eq!(bench.warehouse.handed_out() - before, 41, "the table was read more than once");
    bench.quiet();
}

/// A look through the table that breaks off is begun again from its beginning: what it showed by then does not count.
#[test]
fn a_look_through_the_table_that_breaks_off_is_begun_again() {
    const ROWS: u64 = 120;
    let mut sync = sync(&[("name", Both)]);
    sync.key.transform = vec![Transform::Lower];
    sync.changes = Changes::Tracking;
    let mut bench = Bench::new(sync);
    bench.warehouse.keep(Keeps { tracking: true, time_travel: true, ..Keeps::default() });
    (0..ROWS).for_each(|n| bench.warehouse.insert(Some(&format!("Key{n:03}")), &[("name", text("x"))]));
    bench.ok();
    // The first and the last row of the table: one is found before the break, one after it.
    for key in ["key000", "key119"] {
        bench.platform.set(key, "name", text("edited"));
    }
    let before = bench.warehouse.handed_out();
    bench.warehouse.break_off(1);
    let books = bench.ok();
    assert_eq!((books.to_warehouse.updated, bench.warehouse.rows().len()), (2, 120), "{books:?}");
    for key in ["Key000", "Key119"] {
        assert_eq!(bench.warehouse.get(key, "name"), Some(text("edited")), "{key}");
    }
    assert_eq!(bench.warehouse.handed_out() - before, 2 * ROWS, "once broken off, once to its end");
    bench.quiet();
}
