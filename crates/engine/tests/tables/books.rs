//! The worked example of the books.

use tidegate_model::run::Counts;
use tidegate_model::sync::Direction::{Both, ToPlatform};
use tidegate_model::value::Value;

use crate::bench::{Bench, sync, text};

#[test]
fn worked_example_has_its_exact_counts() {
    let mut bench = Bench::new(sync(&[("name", Both), ("size", ToPlatform)]));
    for id in ["A", "B", "C", "D", "E", "H", "I"] {
        bench.warehouse.insert(Some(id), &[("name", text("0")), ("size", Value::Int(1))]);
    }
    bench.ok();
    let (w, p) = (bench.warehouse.clone(), bench.platform.clone());
    w.set("A", "name", text("w"));
    p.set("B", "name", text("p"));
    w.set("C", "name", text("w"));
    p.set("C", "name", text("p"));
    w.set("D", "name", text("same"));
    p.set("D", "name", text("same"));
    w.insert(Some("F"), &[("name", text("new"))]);
    p.insert("G", &[("name", text("new"))]);
    w.delete("H");
    p.set("I", "size", Value::Int(2));
    let books = bench.ok();
    let expected = Counts {
        read: 8,
        created: 1,
        updated: 2,
        unchanged: 4,
        held: 1,
        sent: 3,
        acknowledged: 3,
        conflicts: 1,
        requests: 1,
        ..Counts::default()
    };
    assert_eq!(books.to_platform, expected);
    let expected = Counts {
        read: 8,
        created: 1,
        updated: 1,
        unchanged: 4,
        held: 2,
        sent: 2,
        acknowledged: 2,
        requests: 1,
        ..Counts::default()
    };
    assert_eq!(books.to_warehouse, expected);
}
