//! Values that cannot be delivered: listed, held against the other side's edits, delivered once they are mended.

use tidegate_model::run::RunStatus;
use tidegate_model::schema::FieldSchema;
use tidegate_model::sync::Direction::{Both, ToPlatform};
use tidegate_model::sync::{ConflictRule, FieldSet, Nulls, OnMisfit};
use tidegate_model::value::{Type, Value};
use tidegate_testkit::sim::Knobs;

use crate::bench::{Bench, plain_fields, sync, text};

/// The platform's name takes five characters.
fn short(rule: ConflictRule, on_misfit: OnMisfit) -> Bench {
    let mut fields = plain_fields();
    fields[0] = FieldSchema { max_length: Some(5), ..FieldSchema::new("name", Type::Text) };
    let mut sync = sync(&[("name", Both), ("note", Both)]);
    sync.conflict = rule;
    let FieldSet::List(lines) = &mut sync.fields else { unreachable!() };
    lines[0].on_misfit = on_misfit;
    let mut bench = Bench::of(0, sync, Knobs::default(), fields, 2);
    bench.warehouse.insert(Some("a"), &[("name", text("0")), ("note", text("n"))]);
    bench.ok();
    bench.warehouse.set("a", "name", text("far too long"));
    bench
}

fn names(bench: &Bench) -> (Value, Value) {
    (bench.warehouse.get("a", "name").unwrap(), bench.platform.get("a", "name").unwrap())
}

#[test]
fn misfit_is_listed_until_it_is_mended() {
    let mut bench = short(ConflictRule::Warehouse, OnMisfit::RejectRecord);
    let run = bench.run();
    assert_eq!((run.status, run.books.to_platform.rejected), (RunStatus::Partial, 1));
    assert_eq!(bench.rejects(), ["a/name too_long"]);
    bench.run();
    assert_eq!(bench.rejects(), ["a/name too_long"]);
    bench.warehouse.set("a", "name", text("short"));
    bench.ok();
    assert_eq!(names(&bench), (text("short"), text("short")));
    assert!(bench.rejects().is_empty());
    bench.quiet();
}

#[test]
fn misfit_holds_against_an_edit_of_the_other_side_whatever_the_rule() {
    for rule in [ConflictRule::Warehouse, ConflictRule::Platform, ConflictRule::Hold] {
        for on_misfit in [OnMisfit::RejectRecord, OnMisfit::DropField] {
            let mut bench = short(rule, on_misfit);
            bench.run();
            bench.platform.set("a", "name", text("p"));
            bench.run();
            bench.run();
            assert_eq!(names(&bench), (text("far too long"), text("p")), "{rule:?} {on_misfit:?}");
            assert_eq!(bench.rejects(), ["a/name too_long"], "{rule:?} {on_misfit:?}");
            assert_eq!(bench.conflicts().len(), 1, "{:?}", bench.conflicts());
        }
    }
}

#[test]
fn misfit_that_is_mended_after_the_other_sides_edit_is_a_conflict() {
    let mut bench = short(ConflictRule::Warehouse, OnMisfit::RejectRecord);
    bench.run();
    bench.platform.set("a", "name", text("p"));
    bench.run();
    bench.warehouse.set("a", "name", text("w"));
    bench.ok();
    assert_eq!(names(&bench), (text("w"), text("w")));
    assert!(bench.rejects().is_empty());
    assert!(!bench.conflicts().iter().any(|line| line.contains("Open")), "{:?}", bench.conflicts());
    bench.quiet();
}

#[test]
fn dropped_field_lets_the_rest_of_the_record_go_on() {
    let mut bench = short(ConflictRule::Warehouse, OnMisfit::DropField);
    bench.warehouse.set("a", "note", text("other"));
    let run = bench.run();
    assert_eq!((run.status, run.books.to_platform.updated), (RunStatus::Partial, 1));
    assert_eq!(run.books.to_platform.dropped_fields, 1);
    assert_eq!(bench.platform.get("a", "note"), Some(text("other")));
    assert_eq!(bench.platform.get("a", "name"), Some(text("0")));
    assert_eq!(bench.rejects(), ["a/name too_long"]);
}

#[test]
fn field_that_the_platform_drops_keeps_its_image() {
    let mut bench = Bench::new(sync(&[("name", Both), ("note", Both)]));
    bench.warehouse.insert(Some("a"), &[("name", text("x")), ("note", text("n"))]);
    bench.ok();
    bench.warehouse.set("a", "note", text("drop-me"));
    bench.warehouse.set("a", "name", text("y"));
    let run = bench.run();
    assert_eq!((run.status, run.books.to_platform.dropped_fields), (RunStatus::Partial, 1));
    assert_eq!(bench.platform.get("a", "name"), Some(text("y")));
    assert_eq!(bench.rejects(), ["a/note dropped"]);
    // What was not taken is not an edit of the platform.
    bench.run();
    assert_eq!(bench.warehouse.get("a", "note"), Some(text("drop-me")));
    bench.warehouse.set("a", "note", text("fine"));
    bench.ok();
    assert_eq!(bench.platform.get("a", "note"), Some(text("fine")));
    assert!(bench.rejects().is_empty());
    bench.quiet();
}

#[test]
fn record_that_the_target_refuses_is_listed_and_tried_again() {
    for direction in [ToPlatform, Both] {
        let mut bench = Bench::new(sync(&[("name", direction), ("note", direction)]));
        bench.warehouse.insert(Some("a"), &[("name", text("refuse-me"))]);
        bench.warehouse.insert(Some("b"), &[("name", text("fine"))]);
        let run = bench.run();
        let counts = run.books.to_platform;
        assert_eq!((run.status, counts.rejected, counts.refused, counts.created), (RunStatus::Partial, 1, 1, 1));
        assert_eq!(bench.rejects(), ["a/name refused"]);
        assert_eq!(bench.run().books.to_platform.rejected, 1);
        assert_eq!(bench.rejects(), ["a/name refused"]);
        bench.warehouse.set("a", "name", text("mended"));
        bench.ok();
        assert_eq!(bench.platform.get("a", "name"), Some(text("mended")));
        assert!(bench.rejects().is_empty());
        bench.quiet();
    }
}

#[test]
fn null_under_skip_is_no_opinion() {
    let mut sync = sync(&[("name", Both), ("note", Both)]);
    let FieldSet::List(lines) = &mut sync.fields else { unreachable!() };
    lines[1].nulls = Nulls::Skip;
    let mut bench = Bench::new(sync);
    bench.warehouse.insert(Some("a"), &[("name", text("x")), ("note", text("n"))]);
    bench.ok();
    bench.warehouse.set("a", "note", Value::Null);
    bench.quiet();
    assert_eq!(bench.platform.get("a", "note"), Some(text("n")));
    bench.platform.set("a", "note", text("p"));
    bench.ok();
    assert_eq!(bench.warehouse.get("a", "note"), Some(text("p")));
    bench.quiet();
}
