//! The table of fields of two-way syncs.

use tidegate_engine::RunOptions;
use tidegate_model::ports::Choice;
use tidegate_model::record::Key;
use tidegate_model::run::RunStatus;
use tidegate_model::sync::Direction::{Both, ToPlatform, ToWarehouse};
use tidegate_model::sync::{ConflictRule, Direction, UpdatedAt};
use tidegate_model::value::Value;

use crate::bench::{Bench, sync, text};

/// One linked record `a` with name "0" on both sides.
fn linked(rule: ConflictRule) -> Bench {
    let mut sync = sync(&[("name", Both), ("note", Both), ("size", ToPlatform), ("score", ToWarehouse)]);
    sync.conflict = rule;
    if rule == ConflictRule::Newest {
        sync.updated_at = UpdatedAt { warehouse: Some("changed_at".to_owned()), platform: None };
    }
    let mut bench = Bench::new(sync);
    bench.warehouse.insert(Some("a"), &[("name", text("0")), ("note", text("n")), ("size", Value::Int(1))]);
    bench.ok();
    bench.world.pass(60_000);
    bench
}

fn both(bench: &Bench, column: &str) -> (Value, Value) {
    (bench.warehouse.get("a", column).unwrap(), bench.platform.get("a", column).unwrap())
}

#[test]
fn same_and_same_does_nothing() {
    let mut bench = linked(ConflictRule::Warehouse);
    bench.quiet();
}

#[test]
fn changed_and_same_goes_to_the_platform() {
    let mut bench = linked(ConflictRule::Platform);
    bench.warehouse.set("a", "name", text("w"));
    assert_eq!(bench.ok().to_platform.updated, 1);
    assert_eq!(both(&bench, "name"), (text("w"), text("w")));
    bench.quiet();
}

#[test]
fn same_and_changed_goes_to_the_warehouse() {
    let mut bench = linked(ConflictRule::Warehouse);
    bench.platform.set("a", "name", text("p"));
    assert_eq!(bench.ok().to_warehouse.updated, 1);
    assert_eq!(both(&bench, "name"), (text("p"), text("p")));
    bench.quiet();
}

#[test]
fn changed_and_changed_equal_agree_and_write_nothing() {
    let mut bench = linked(ConflictRule::Hold);
    bench.warehouse.set("a", "name", text("x"));
    bench.platform.set("a", "name", text("x"));
    bench.quiet();
    assert!(bench.conflicts().is_empty());
    // The agreement is remembered: a later edit of one side is an edit of that side alone.
    bench.platform.set("a", "name", text("y"));
    assert_eq!(bench.ok().to_warehouse.updated, 1);
    assert_eq!(both(&bench, "name"), (text("y"), text("y")));
}

fn clash(rule: ConflictRule) -> Bench {
    let mut bench = linked(rule);
    bench.warehouse.set("a", "name", text("w"));
    bench.platform.set("a", "name", text("p"));
    bench.platform.set("a", "note", text("p's note"));
    assert_eq!(bench.run().status, RunStatus::Succeeded);
    // Other fields of the record go on.
    assert_eq!(both(&bench, "note"), (text("p's note"), text("p's note")));
    bench
}

#[test]
fn conflict_warehouse_is_won_by_the_warehouse() {
    let mut bench = clash(ConflictRule::Warehouse);
    assert_eq!(both(&bench, "name"), (text("w"), text("w")));
    assert_eq!(bench.conflicts(), ["a/name Decided Warehouse -"]);
    assert_eq!(bench.runs[1].books.total().conflicts, 1);
    bench.quiet();
}

#[test]
fn conflict_platform_is_won_by_the_platform() {
    let mut bench = clash(ConflictRule::Platform);
    assert_eq!(both(&bench, "name"), (text("p"), text("p")));
    assert_eq!(bench.conflicts(), ["a/name Decided Platform -"]);
    bench.quiet();
}

#[test]
fn conflict_hold_writes_neither_side_until_it_is_resolved() {
    let mut bench = clash(ConflictRule::Hold);
    assert_eq!(both(&bench, "name"), (text("w"), text("p")));
    assert_eq!(bench.conflicts(), ["a/name Open - -"]);
    let counts = bench.ok();
    assert_eq!((counts.to_platform.held, counts.to_warehouse.held), (1, 1));
    assert_eq!(both(&bench, "name"), (text("w"), text("p")));
}

fn chosen(choice: Choice) -> Bench {
    let mut bench = clash(ConflictRule::Hold);
    assert!(bench.ask(bench.state.choose("companies", &Key::new("a"), Some("name"), &choice)));
    bench.ok();
    bench.quiet();
    assert!(!bench.conflicts().iter().any(|line| line.contains("Open") || line.contains("Chosen")));
    bench
}

#[test]
fn hold_and_choose_warehouse_writes_the_warehouses_value() {
    let bench = chosen(Choice::Warehouse);
    assert_eq!(both(&bench, "name"), (text("w"), text("w")));
}

#[test]
fn hold_and_choose_platform_writes_the_platforms_value() {
    let bench = chosen(Choice::Platform);
    assert_eq!(both(&bench, "name"), (text("p"), text("p")));
}

#[test]
fn hold_and_choose_a_value_writes_it_on_both_sides() {
    let bench = chosen(Choice::Value("third".to_owned()));
    assert_eq!(both(&bench, "name"), (text("third"), text("third")));
}

#[test]
fn hold_is_over_when_both_sides_come_to_agree() {
    let mut bench = clash(ConflictRule::Hold);
    bench.platform.set("a", "name", text("w"));
    bench.quiet();
    assert!(bench.conflicts().is_empty(), "{:?}", bench.conflicts());
}

#[test]
fn conflict_newest_takes_the_record_that_changed_last() {
    for (first, winner) in [("warehouse", "p"), ("platform", "w")] {
        let mut bench = linked(ConflictRule::Newest);
        for side in if first == "warehouse" { ["w", "p"] } else { ["p", "w"] } {
            bench.world.pass(1_000);
            match side {
                "w" => assert!(bench.warehouse.set("a", "name", text("w"))),
                _ => assert!(bench.platform.set("a", "name", text("p"))),
            }
        }
        bench.ok();
        assert_eq!(both(&bench, "name"), (text(winner), text(winner)));
        bench.quiet();
    }
}

#[test]
fn conflict_newest_with_a_tie_takes_the_warehouse() {
    let mut bench = linked(ConflictRule::Newest);
    bench.warehouse.set("a", "name", text("w"));
    bench.platform.set("a", "name", text("p"));
    bench.ok();
    assert_eq!(both(&bench, "name"), (text("w"), text("w")));
}

#[test]
fn conflict_newest_with_a_missing_time_takes_the_warehouse() {
    let mut bench = linked(ConflictRule::Newest);
    bench.warehouse.set("a", "name", text("w"));
    bench.warehouse.set("a", "changed_at", Value::Null);
    bench.world.pass(5_000);
    bench.platform.set("a", "name", text("p"));
    // The table's own clock fills the column with each change; a person empties it.
    bench.sync.updated_at.warehouse = Some("never".to_owned());
    let run = bench.run();
    assert_eq!(run.error.map(|error| error.code), Some("schema_changed".to_owned()));
    assert_eq!(both(&bench, "name"), (text("w"), text("p")));
    bench.sync.updated_at = UpdatedAt::default();
    bench.ok();
    assert_eq!(both(&bench, "name"), (text("w"), text("w")));
}

#[test]
fn one_way_fields_have_no_conflicts_and_their_drift_is_held() {
    let mut bench = linked(ConflictRule::Platform);
    bench.platform.set("a", "size", Value::Int(9));
    let run = bench.run();
    assert_eq!((run.status, run.books.to_warehouse.held), (RunStatus::Succeeded, 1));
    assert_eq!(bench.conflicts(), ["a/size Open - drift"]);
    assert_eq!(both(&bench, "size"), (Value::Int(1), Value::Int(9)));
    // The source side wins at its next change.
    bench.warehouse.set("a", "size", Value::Int(2));
    bench.ok();
    assert_eq!(both(&bench, "size"), (Value::Int(2), Value::Int(2)));
    assert!(bench.conflicts().is_empty(), "{:?}", bench.conflicts());
    bench.quiet();
}

#[test]
fn drift_of_a_to_warehouse_field_is_held_too() {
    let mut bench = linked(ConflictRule::Warehouse);
    bench.warehouse.set("a", "score", crate::bench::number("4"));
    assert_eq!(bench.ok().to_platform.held, 1);
    assert_eq!(bench.conflicts(), ["a/score Open - drift"]);
    bench.platform.set("a", "score", crate::bench::number("5"));
    bench.ok();
    assert_eq!(both(&bench, "score"), (crate::bench::number("5"), crate::bench::number("5")));
    bench.quiet();
}

#[test]
fn run_of_one_direction_leaves_the_other_for_later() {
    let mut bench = linked(ConflictRule::Warehouse);
    bench.warehouse.set("a", "name", text("w"));
    bench.platform.set("a", "note", text("p"));
    let one = RunOptions { direction: Some(Direction::ToPlatform), ..RunOptions::default() };
    let run = bench.try_run(&one).unwrap();
    assert!(run.books.balanced() && run.error.is_none());
    assert_eq!(both(&bench, "name"), (text("w"), text("w")));
    assert_eq!(both(&bench, "note"), (text("n"), text("p")));
    bench.ok();
    assert_eq!(both(&bench, "note"), (text("p"), text("p")));
    bench.quiet();
}
