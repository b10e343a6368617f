//! The shortest runs that show anything.

use tidegate_model::sync::Direction::{Both, ToPlatform};
use tidegate_model::value::Value;

use crate::bench::{Bench, number, sync, text};

#[test]
fn one_way_upsert_creates_updates_and_is_quiet() {
    let mut bench = Bench::new(sync(&[("name", ToPlatform), ("score", ToPlatform)]));
    for id in ["a", "b", "c"] {
        bench.warehouse.insert(Some(id), &[("name", text(&format!("name {id}"))), ("score", number("1.5"))]);
    }
    assert_eq!(bench.ok().to_platform.created, 3);
    assert_eq!(bench.platform.get("b", "score"), Some(number("1.5")));
    bench.quiet();
    bench.warehouse.set("b", "name", text("other"));
    bench.warehouse.set("c", "score", Value::Null);
    let books = bench.ok().to_platform;
    assert_eq!((books.read, books.updated, books.unchanged), (3, 2, 1));
    assert_eq!(bench.platform.get("b", "name"), Some(text("other")));
    assert_eq!(bench.platform.get("c", "score"), Some(Value::Null));
    bench.quiet();
}

#[test]
fn two_way_moves_edits_both_ways_and_is_quiet() {
    let mut bench = Bench::new(sync(&[("name", Both), ("note", Both)]));
    bench.warehouse.insert(Some("w"), &[("name", text("from w"))]);
    bench.platform.insert("p", &[("name", text("from p"))]);
    let books = bench.ok();
    assert_eq!((books.to_platform.created, books.to_warehouse.created), (1, 1));
    bench.quiet();
    bench.warehouse.set("p", "name", text("edited in w"));
    bench.platform.set("w", "note", text("edited on p"));
    let books = bench.ok();
    assert_eq!((books.to_platform.updated, books.to_warehouse.updated), (1, 1));
    assert_eq!(bench.platform.get("p", "name"), Some(text("edited in w")));
    assert_eq!(bench.warehouse.get("w", "note"), Some(text("edited on p")));
    bench.quiet();
}

/// The same seed gives the same run, to the byte: the state's ids, times and counts.
#[test]
fn a_simulation_repeats_itself() {
    let once = || {
        let mut bench = Bench::new(sync(&[("name", Both)]));
        bench.warehouse.insert(Some("a"), &[("name", text("x"))]);
        bench.ok();
        bench.warehouse.set("a", "name", text("y"));
        bench.ok();
        bench.runs
    };
    assert_eq!(once(), once());
}
