//! What tidegate wrote must not come back.

use tidegate_model::schema::{FieldSchema, NormalForm};
use tidegate_model::sync::Direction::{Both, ToPlatform};
use tidegate_model::sync::{DeleteConflict, Deletes};
use tidegate_model::value::{Type, Value};
use tidegate_testkit::sim::{Faults, Knobs};

use crate::bench::{Bench, plain_fields, sync, text};

const LAG_MS: i64 = 16 * 60 * 1_000;

fn trimming() -> Vec<FieldSchema> {
    let mut fields = plain_fields();
    fields[0].normal = NormalForm { trim: true, empty_is_null: true, ..NormalForm::default() };
    fields
}

#[test]
fn normalised_values_do_not_come_back() {
    for tells_stored in [true, false] {
        let knobs = Knobs { tells_stored, ..Knobs::default() };
        let mut bench = Bench::of(0, sync(&[("name", Both)]), knobs, trimming(), 2);
        bench.warehouse.insert(Some("a"), &[("name", text("  x  "))]);
        bench.ok();
        assert_eq!(bench.platform.get("a", "name"), Some(text("x")));
        bench.quiet();
        assert_eq!(bench.warehouse.get("a", "name"), Some(text("  x  ")));
        bench.platform.set("a", "name", text("y"));
        bench.ok();
        assert_eq!(bench.warehouse.get("a", "name"), Some(text("y")));
        bench.quiet();
    }
}

#[test]
fn undeclared_normalisation_comes_to_rest() {
    for tells_stored in [true, false] {
        let knobs = Knobs { tells_stored, collapses: true, ..Knobs::default() };
        let mut bench = Bench::with(sync(&[("name", Both)]), knobs);
        bench.warehouse.insert(Some("a"), &[("name", text("x  y"))]);
        bench.ok();
        bench.ok();
        bench.ok();
        bench.quiet();
        assert_eq!(bench.platform.get("a", "name"), Some(text("x y")));
    }
}

#[test]
fn stale_read_is_left_alone_and_read_again() {
    let mut bench = Bench::new(sync(&[("name", Both)]));
    bench.warehouse.insert(Some("a"), &[("name", text("old"))]);
    bench.ok();
    bench.world.set_faults(Faults { stale: 1_000, ..Faults::default() });
    bench.warehouse.set("a", "name", text("new"));
    bench.ok();
    bench.quiet();
    bench.quiet();
    assert_eq!(bench.warehouse.get("a", "name"), Some(text("new")));
    bench.world.pass(200_000);
    bench.quiet();
    assert_eq!(bench.flags("a"), Some(0));
    assert_eq!(bench.platform.get("a", "name"), Some(text("new")));
}

#[test]
fn edit_back_to_the_old_value_is_an_edit_if_its_time_is_newer() {
    let mut bench = Bench::new(sync(&[("name", Both)]));
    bench.warehouse.insert(Some("a"), &[("name", text("old"))]);
    bench.ok();
    bench.warehouse.set("a", "name", text("new"));
    bench.ok();
    bench.world.pass(10_000);
    bench.platform.set("a", "name", text("old"));
    bench.ok();
    assert_eq!(bench.warehouse.get("a", "name"), Some(text("old")));
    bench.quiet();
}

#[test]
fn edit_back_to_what_we_once_wrote_is_an_edit() {
    let mut bench = Bench::new(sync(&[("name", Both)]));
    bench.warehouse.insert(Some("a"), &[("name", text("x"))]);
    bench.ok();
    // Written to the warehouse, and edited there before a run has read it back.
    bench.platform.set("a", "name", text("ours"));
    bench.ok();
    for name in ["theirs", "ours"] {
        bench.warehouse.set("a", "name", text(name));
        bench.ok();
        assert_eq!(bench.platform.get("a", "name"), Some(text(name)));
    }
    // The same the other way.
    bench.warehouse.set("a", "name", text("again ours"));
    bench.ok();
    for name in ["theirs", "again ours"] {
        bench.world.pass(LAG_MS);
        bench.platform.set("a", "name", text(name));
        bench.ok();
        assert_eq!(bench.warehouse.get("a", "name"), Some(text(name)));
    }
    bench.quiet();
}

#[test]
fn clear_that_the_platform_ignores_is_a_reject() {
    ignored_clear(false);
}

#[test]
fn clear_that_the_platform_answers_with_the_old_value_is_a_reject() {
    ignored_clear(true);
}

fn ignored_clear(tells_stored: bool) {
    let knobs = Knobs { ignores_clears: true, tells_stored, ..Knobs::default() };
    let mut bench = Bench::with(sync(&[("name", Both), ("note", Both)]), knobs);
    bench.warehouse.insert(Some("a"), &[("name", text("x")), ("note", text("n"))]);
    bench.ok();
    bench.warehouse.set("a", "note", Value::Null);
    bench.ok();
    bench.world.pass(LAG_MS);
    bench.run();
    assert_eq!(bench.rejects(), ["a/note cannot_clear"]);
    assert_eq!(bench.warehouse.get("a", "note"), Some(Value::Null));
    // It stays listed, and the rest of the record goes on.
    bench.warehouse.set("a", "name", text("y"));
    bench.run();
    assert_eq!(bench.platform.get("a", "name"), Some(text("y")));
    assert_eq!(bench.rejects(), ["a/note cannot_clear"]);
    // Cleared by hand: over.
    bench.platform.set("a", "note", Value::Null);
    bench.ok();
    assert!(bench.rejects().is_empty());
    bench.quiet();
}

#[test]
fn row_that_goes_while_reads_of_the_platform_are_old_does_not_come_back_with_the_old_value() {
    let mut sync = sync(&[("name", Both), ("note", Both)]);
    (sync.deletes, sync.delete_conflict) = (Deletes::Propagate, DeleteConflict::Edit);
    let mut bench = Bench::new(sync);
    bench.warehouse.insert(Some("a"), &[("name", text("old")), ("note", text("n"))]);
    bench.ok();
    bench.world.pass(LAG_MS);
    bench.warehouse.set("a", "name", text("new"));
    bench.platform.set("a", "note", text("edited"));
    bench.world.set_faults(Faults { stale: 1_000, ..Faults::default() });
    let warehouse = bench.warehouse.clone();
    bench.world.before_write(Some(Box::new(move || warehouse.delete("a"))));
    bench.ok();
    assert_eq!(bench.platform.get("a", "name"), Some(text("new")));
    bench.world.before_write(None);
    bench.world.set_faults(Faults::default());
    bench.world.pass(LAG_MS);
    bench.ok();
    assert_eq!(bench.warehouse.get("a", "name"), Some(text("new")));
    assert_eq!(bench.warehouse.get("a", "note"), Some(text("edited")));
    bench.quiet();
}

#[test]
fn field_written_again_and_again_without_an_edit_is_held_as_oscillating() {
    let mut bench = Bench::new(sync(&[("name", Both), ("note", ToPlatform)]));
    bench.warehouse.insert(Some("a"), &[("name", text("LOUD"))]);
    let mut held = false;
    for _ in 0..12 {
        bench.ok();
        bench.world.pass(LAG_MS);
        held |= bench.conflicts().iter().any(|line| line.ends_with("oscillating"));
        // Two robots: one side likes it loud, the other does not.
        if bench.warehouse.get("a", "name") != Some(text("LOUD")) {
            bench.warehouse.set("a", "name", text("LOUD"));
        }
        if bench.platform.get("a", "name") != Some(text("loud")) {
            bench.platform.set("a", "name", text("loud"));
        }
    }
    assert!(held, "{:?}", bench.conflicts());
    let before = bench.world.writes();
    bench.ok();
    assert_eq!(bench.world.writes(), before);
}

#[test]
fn numbers_that_differ_in_form_only_are_equal() {
    let mut fields = plain_fields();
    fields[2] = FieldSchema::new("score", Type::Decimal { precision: 10, scale: 2 });
    fields[2].normal = NormalForm { scale: Some(2), ..NormalForm::default() };
    let mut bench = Bench::of(0, sync(&[("score", Both)]), Knobs::default(), fields, 2);
    bench.warehouse.insert(Some("a"), &[("score", crate::bench::number("1.5"))]);
    bench.platform.insert("a", &[("score", crate::bench::number("1.50"))]);
    bench.quiet();
    bench.quiet();
}

#[test]
fn quiet_run_after_a_quiet_run_writes_nothing() {
    let mut bench = Bench::new(sync(&[("name", Both), ("size", ToPlatform)]));
    for id in 0..7 {
        bench.warehouse.insert(Some(&format!("k{id}")), &[("name", text("x")), ("size", Value::Int(id))]);
    }
    bench.ok();
    bench.quiet();
    bench.quiet();
    assert!(bench.runs[2].books.to_platform.unchanged == 7 || bench.runs[2].books.to_platform.read == 0);
}
