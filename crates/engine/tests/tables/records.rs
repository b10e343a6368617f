//! The table of records of two-way syncs.

use tidegate_model::ports::flags;
use tidegate_model::sync::Direction::{Both, ToPlatform, ToWarehouse};
use tidegate_model::sync::{DeleteConflict, Deletes, WriteMode};
use tidegate_model::value::Value;

use crate::bench::{Bench, sync, text};

/// One linked record `a` and a quiet one.
fn linked(deletes: Deletes, edit: DeleteConflict) -> Bench {
    let mut sync = sync(&[("name", Both), ("note", Both), ("size", ToPlatform), ("score", ToWarehouse)]);
    (sync.deletes, sync.delete_conflict) = (deletes, edit);
    let mut bench = Bench::new(sync);
    for id in ["a", "quiet"] {
        bench.warehouse.insert(Some(id), &[("name", text("0")), ("note", text("n")), ("size", Value::Int(5))]);
    }
    bench.ok();
    bench.platform.set("a", "score", crate::bench::number("2"));
    bench.ok();
    bench
}

fn there(bench: &Bench) -> (bool, bool) {
    (bench.warehouse.rows().contains_key("a"), bench.platform.rows().contains_key("a"))
}

#[test]
fn new_on_one_side_is_created_on_the_other() {
    let mut bench = linked(Deletes::Ignore, DeleteConflict::Edit);
    bench.warehouse.insert(Some("w"), &[("name", text("w"))]);
    bench.platform.insert("p", &[("name", text("p"))]);
    let books = bench.ok();
    assert_eq!((books.to_platform.created, books.to_warehouse.created), (1, 1));
    bench.quiet();
}

#[test]
fn new_where_the_direction_allows_no_creation_is_held() {
    let mut sync = sync(&[("name", Both)]);
    sync.write = WriteMode::Update;
    let mut bench = Bench::new(sync);
    bench.warehouse.insert(Some("w"), &[("name", text("w"))]);
    bench.platform.insert("p", &[("name", text("p"))]);
    let books = bench.ok();
    assert_eq!((books.to_platform.held, books.to_warehouse.held), (1, 1));
    assert_eq!((bench.warehouse.rows().len(), bench.platform.rows().len()), (1, 1));
}

#[test]
fn gone_in_the_warehouse_ignored_marks_the_link_and_writes_nothing() {
    let mut bench = linked(Deletes::Ignore, DeleteConflict::Edit);
    bench.warehouse.delete("a");
    bench.platform.set("a", "name", text("edited meanwhile"));
    let before = bench.world.writes();
    let books = bench.ok();
    assert_eq!((books.to_platform.held, books.to_warehouse.held), (1, 1));
    assert_eq!(bench.flags("a"), Some(flags::GONE_WAREHOUSE));
    bench.ok();
    assert_eq!((bench.world.writes(), there(&bench)), (before, (false, true)));
}

#[test]
fn gone_on_the_platform_ignored_marks_the_link_and_writes_nothing() {
    let mut bench = linked(Deletes::Ignore, DeleteConflict::Edit);
    bench.platform.delete("a");
    let before = bench.world.writes();
    assert_eq!(bench.ok().to_warehouse.held, 1);
    assert_eq!(bench.flags("a"), Some(flags::GONE_PLATFORM));
    bench.warehouse.set("a", "name", text("edited"));
    bench.ok();
    assert_eq!((bench.world.writes(), there(&bench)), (before, (true, false)));
}

#[test]
fn gone_with_the_other_side_unedited_propagates() {
    let mut bench = linked(Deletes::Propagate, DeleteConflict::Edit);
    bench.warehouse.delete("a");
    assert_eq!(bench.ok().to_platform.deleted, 1);
    assert_eq!((there(&bench), bench.flags("a")), ((false, false), None));
    bench.quiet();
    let mut bench = linked(Deletes::Propagate, DeleteConflict::Edit);
    bench.platform.delete("a");
    assert_eq!(bench.ok().to_warehouse.deleted, 1);
    assert_eq!((there(&bench), bench.flags("a")), ((false, false), None));
    bench.quiet();
}

#[test]
fn gone_in_the_warehouse_with_the_platform_edited_is_made_again_from_the_edit_and_the_ledger() {
    let mut bench = linked(Deletes::Propagate, DeleteConflict::Edit);
    bench.warehouse.delete("a");
    bench.platform.set("a", "name", text("edited"));
    assert_eq!(bench.ok().to_warehouse.created, 1);
    assert_eq!(bench.warehouse.get("a", "name"), Some(text("edited")));
    assert_eq!(bench.warehouse.get("a", "note"), Some(text("n")));
    // What only the warehouse told is in the ledger.
    assert_eq!(bench.warehouse.get("a", "size"), Some(Value::Int(5)));
    assert_eq!(bench.conflicts(), ["a/- Decided Platform delete"]);
    bench.quiet();
    assert_eq!(bench.platform.get("a", "size"), Some(Value::Int(5)));
}

#[test]
fn gone_on_the_platform_with_the_warehouse_edited_is_made_again_from_the_edit_and_the_ledger() {
    let mut bench = linked(Deletes::Propagate, DeleteConflict::Edit);
    bench.platform.delete("a");
    bench.warehouse.set("a", "name", text("edited"));
    assert_eq!(bench.ok().to_platform.created, 1);
    assert_eq!(bench.platform.get("a", "name"), Some(text("edited")));
    assert_eq!(bench.platform.get("a", "score"), Some(crate::bench::number("2")));
    assert_eq!(bench.conflicts(), ["a/- Decided Warehouse delete"]);
    bench.quiet();
    assert_eq!(bench.warehouse.get("a", "score"), Some(crate::bench::number("2")));
}

#[test]
fn what_a_record_that_is_made_again_would_not_take_is_not_emptied_at_its_source() {
    let mut bench = linked(Deletes::Propagate, DeleteConflict::Edit);
    bench.platform.set("a", "note", text("drop-me"));
    bench.ok();
    bench.warehouse.set("a", "size", Value::Null);
    bench.ok();
    bench.platform.delete("a");
    bench.warehouse.set("a", "name", text("edited"));
    assert_eq!(bench.run().books.to_platform.created, 1);
    assert_eq!(bench.rejects(), ["a/note dropped"]);
    bench.run();
    bench.run();
    assert_eq!(bench.warehouse.get("a", "note"), Some(text("drop-me")));
    assert_eq!(bench.rejects(), ["a/note dropped"]);
    // Mended at its source, it goes there.
    bench.warehouse.set("a", "note", text("mended"));
    bench.ok();
    assert_eq!(bench.platform.get("a", "note"), Some(text("mended")));
    assert!(bench.rejects().is_empty());
    bench.quiet();
}

#[test]
fn gone_with_the_other_side_edited_is_deleted_where_deletes_win() {
    let mut bench = linked(Deletes::Propagate, DeleteConflict::Delete);
    bench.warehouse.delete("a");
    bench.platform.set("a", "name", text("edited"));
    assert_eq!(bench.ok().to_platform.deleted, 1);
    assert_eq!(there(&bench), (false, false));
    assert_eq!(bench.conflicts(), ["a/- Decided Warehouse delete"]);
    bench.quiet();
}

#[test]
fn returned_is_linked_again_as_in_a_first_run() {
    let mut bench = linked(Deletes::Ignore, DeleteConflict::Edit);
    bench.warehouse.delete("a");
    bench.ok();
    bench.warehouse.insert(Some("a"), &[("name", text("again")), ("note", text("n"))]);
    bench.ok();
    // Both set and different, without images: the sync's rule decides.
    assert_eq!(bench.platform.get("a", "name"), Some(text("again")));
    assert_eq!(bench.flags("a"), Some(0));
    bench.quiet();
}

#[test]
fn returned_on_the_platform_is_linked_again() {
    let mut bench = linked(Deletes::Ignore, DeleteConflict::Edit);
    bench.platform.delete("a");
    bench.ok();
    bench.platform.insert("a", &[("note", text("new note"))]);
    bench.ok();
    assert_eq!(bench.platform.get("a", "name"), Some(text("0")));
    assert_eq!(bench.flags("a"), Some(0));
    bench.quiet();
}

#[test]
fn gone_on_both_removes_the_entry() {
    for deletes in [Deletes::Ignore, Deletes::Propagate] {
        let mut bench = linked(deletes, DeleteConflict::Edit);
        bench.warehouse.delete("a");
        bench.platform.delete("a");
        bench.quiet();
        assert_eq!(bench.flags("a"), None);
        bench.quiet();
    }
}

#[test]
fn rekeyed_on_the_platform_is_held_and_neither_deleted_nor_created() {
    let mut bench = linked(Deletes::Propagate, DeleteConflict::Edit);
    bench.platform.rekey("a", "b");
    let before = bench.world.writes();
    bench.ok();
    bench.ok();
    assert_eq!(bench.world.writes(), before);
    assert_eq!(there(&bench), (true, false));
    assert!(bench.conflicts().iter().any(|line| line.ends_with("rekeyed")), "{:?}", bench.conflicts());
    bench.platform.rekey("b", "a");
    bench.quiet();
    assert!(bench.conflicts().is_empty(), "{:?}", bench.conflicts());
}

#[test]
fn a_record_made_anew_under_another_id_while_its_row_is_gone_stays_held() {
    let mut bench = linked(Deletes::Ignore, DeleteConflict::Edit);
    bench.warehouse.delete("a");
    bench.platform.delete("a");
    bench.platform.insert("a", &[("name", text("anew"))]);
    bench.ok();
    // The next runs look it up by its link, which leads nowhere; its key does.
    for _ in 0..2 {
        bench.world.pass(60_000);
        bench.ok();
        assert_eq!(bench.flags("a"), Some(flags::GONE_WAREHOUSE));
    }
}
