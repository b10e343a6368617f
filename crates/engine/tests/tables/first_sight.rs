//! No image yet: a first run, a newly mapped field, a changed mapping.

use tidegate_model::sync::Direction::{Both, ToPlatform, ToWarehouse};
use tidegate_model::sync::{ConflictRule, FieldSet};
use tidegate_model::transform::Transform;
use tidegate_model::value::Value;

use crate::bench::{Bench, field, sync, text};

fn two(rule: ConflictRule, warehouse: Value, platform: Value) -> Bench {
    let mut sync = sync(&[("name", Both), ("note", Both)]);
    sync.conflict = rule;
    let bench = Bench::new(sync);
    bench.warehouse.insert(Some("a"), &[("name", warehouse), ("note", text("n"))]);
    bench.platform.insert("a", &[("name", platform), ("note", text("n"))]);
    bench
}

fn names(bench: &Bench) -> (Value, Value) {
    (bench.warehouse.get("a", "name").unwrap(), bench.platform.get("a", "name").unwrap())
}

#[test]
fn equal_values_are_linked_and_nothing_is_written() {
    let mut bench = two(ConflictRule::Hold, text("x"), text("x"));
    bench.quiet();
    bench.platform.set("a", "name", text("y"));
    bench.ok();
    assert_eq!(names(&bench), (text("y"), text("y")));
}

#[test]
fn one_empty_side_takes_the_others_value() {
    let mut bench = two(ConflictRule::Warehouse, Value::Null, text("p"));
    bench.ok();
    assert_eq!(names(&bench), (text("p"), text("p")));
    let mut bench = two(ConflictRule::Platform, text("w"), Value::Null);
    bench.ok();
    assert_eq!(names(&bench), (text("w"), text("w")));
    bench.quiet();
}

#[test]
fn one_empty_side_of_a_one_way_field_keeps_to_the_direction() {
    let mut bench = Bench::new(sync(&[("name", ToPlatform), ("note", ToWarehouse)]));
    bench.warehouse.insert(Some("a"), &[("note", text("w"))]);
    bench.platform.insert("a", &[("name", text("p"))]);
    bench.quiet();
    assert_eq!(names(&bench), (Value::Null, text("p")));
    assert_eq!(bench.platform.get("a", "note"), Some(Value::Null));
    bench.warehouse.set("a", "name", text("w"));
    bench.ok();
    assert_eq!(names(&bench), (text("w"), text("w")));
}

#[test]
fn both_set_and_different_is_a_conflict() {
    for (rule, winner) in [(ConflictRule::Warehouse, "w"), (ConflictRule::Platform, "p")] {
        let mut bench = two(rule, text("w"), text("p"));
        bench.ok();
        assert_eq!(names(&bench), (text(winner), text(winner)));
        assert_eq!(bench.conflicts().len(), 1);
        bench.quiet();
    }
    let mut bench = two(ConflictRule::Hold, text("w"), text("p"));
    bench.ok();
    assert_eq!(names(&bench), (text("w"), text("p")));
    assert_eq!(bench.conflicts(), ["a/name Open - -"]);
}

#[test]
fn newly_mapped_field_backfills_itself_alone() {
    let mut bench = Bench::new(sync(&[("name", Both), ("size", ToPlatform)]));
    bench.warehouse.insert(Some("a"), &[("name", text("x")), ("note", text("old")), ("size", Value::Int(1))]);
    bench.ok();
    bench.platform.set("a", "size", Value::Int(7));
    bench.ok();
    let FieldSet::List(fields) = &mut bench.sync.fields else { unreachable!() };
    fields.push(field("note", Both));
    assert_eq!(bench.ok().to_platform.updated, 1);
    assert_eq!(bench.platform.get("a", "note"), Some(text("old")));
    // The drift of another field is still drift.
    assert_eq!(bench.platform.get("a", "size"), Some(Value::Int(7)));
    let before = bench.world.writes();
    bench.ok();
    assert_eq!(bench.world.writes(), before);
}

#[test]
fn newly_mapped_empty_column_clears_nothing() {
    let mut bench = Bench::new(sync(&[("name", ToPlatform)]));
    bench.warehouse.insert(Some("a"), &[("name", text("x"))]);
    bench.ok();
    bench.platform.set("a", "note", text("by hand"));
    let FieldSet::List(fields) = &mut bench.sync.fields else { unreachable!() };
    fields.push(field("note", ToPlatform));
    bench.ok();
    assert_eq!(bench.platform.get("a", "note"), Some(text("by hand")));
    bench.quiet();
}

#[test]
fn changed_mapping_links_its_field_again_and_nothing_counts_as_edited() {
    let mut bench = two(ConflictRule::Hold, text("x"), text("x"));
    bench.ok();
    let FieldSet::List(fields) = &mut bench.sync.fields else { unreachable!() };
    fields[0].map.insert("yes".to_owned(), "ja".to_owned());
    bench.quiet();
    assert!(bench.conflicts().is_empty());
    bench.platform.set("a", "name", text("ja"));
    bench.ok();
    assert_eq!(names(&bench), (text("yes"), text("ja")));
}

#[test]
fn changed_transform_of_a_one_way_field_writes_its_new_form() {
    let mut bench = Bench::new(sync(&[("name", ToPlatform), ("note", Both)]));
    bench.warehouse.insert(Some("a"), &[("name", text("x"))]);
    bench.ok();
    let FieldSet::List(fields) = &mut bench.sync.fields else { unreachable!() };
    fields[0].transform = vec![Transform::Upper];
    bench.ok();
    assert_eq!(names(&bench), (text("x"), text("X")));
    bench.quiet();
}
