//! How changes are written: `upsert`, `update`, `insert`, `mirror`.

use tidegate_model::sync::Direction::{ToPlatform, ToWarehouse};
use tidegate_model::sync::{Deletes, LedgerKind, Sync, WriteMode};
use tidegate_testkit::sim::{Knobs, all_abilities, drive};

use crate::bench::{Bench, sync, text};

fn of(write: WriteMode) -> Sync {
    let mut sync = sync(&[("name", ToPlatform)]);
    sync.write = write;
    sync
}

fn fill(bench: &Bench, ids: &[&str]) {
    ids.iter().for_each(|id| bench.warehouse.insert(Some(id), &[("name", text(id))]));
}

#[test]
fn upsert_creates_what_is_new_and_updates_what_is_there() {
    let mut bench = Bench::new(of(WriteMode::Upsert));
    bench.platform.insert("a", &[("name", text("before"))]);
    fill(&bench, &["a", "b"]);
    let counts = bench.ok().to_platform;
    assert_eq!((counts.created, counts.updated), (1, 1));
    assert_eq!(bench.platform.get("a", "name"), Some(text("a")));
    bench.quiet();
}

#[test]
fn a_platform_that_takes_whole_records_is_sent_what_did_not_change_too() {
    for whole in [true, false] {
        let abilities = tidegate_model::schema::Abilities { whole, ..all_abilities() };
        let fields = sync(&[("name", ToPlatform), ("note", ToPlatform)]);
        let mut bench = Bench::with(fields, Knobs { abilities, ..Knobs::default() });
        bench.warehouse.insert(Some("a"), &[("name", text("n")), ("note", text("kept"))]);
        bench.ok();
        // As a PUT does that takes the record's place: what is not sent again is gone.
        bench.platform.set("a", "note", text("lost"));
        bench.warehouse.set("a", "name", text("new"));
        bench.ok();
        assert_eq!(bench.platform.get("a", "note"), Some(text(if whole { "kept" } else { "lost" })));
        bench.quiet();
    }
}

#[test]
fn upsert_creates_again_what_somebody_removed_from_the_platform() {
    let mut bench = Bench::new(of(WriteMode::Upsert));
    fill(&bench, &["a"]);
    bench.ok();
    bench.platform.delete("a");
    bench.warehouse.set("a", "name", text("new"));
    bench.ok();
    bench.ok();
    assert_eq!(bench.platform.get("a", "name"), Some(text("new")));
    bench.quiet();
}

#[test]
fn upsert_ignores_what_left_the_source() {
    let mut bench = Bench::new(of(WriteMode::Upsert));
    fill(&bench, &["a", "b"]);
    bench.ok();
    bench.warehouse.delete("a");
    let counts = bench.ok().to_platform;
    assert_eq!((counts.held, counts.unchanged, counts.deleted), (1, 1, 0));
    bench.warehouse.insert(Some("a"), &[("name", text("back"))]);
    bench.ok();
    assert_eq!(bench.platform.get("a", "name"), Some(text("back")));
    bench.quiet();
}

#[test]
fn update_writes_only_existing_records() {
    let mut bench = Bench::new(of(WriteMode::Update));
    bench.platform.insert("a", &[("name", text("before"))]);
    fill(&bench, &["a", "b"]);
    let run = bench.run();
    assert!(run.books.balanced(), "{run:?}");
    assert_eq!((run.books.to_platform.updated, run.books.to_platform.created), (1, 0));
    assert_eq!(bench.platform.rows().len(), 1);
    assert_eq!(bench.platform.get("a", "name"), Some(text("a")));
    // The other one is written as soon as it is there.
    bench.platform.insert("b", &[("name", text("made by hand"))]);
    bench.ok();
    assert_eq!(bench.platform.get("b", "name"), Some(text("b")));
}

#[test]
fn insert_writes_only_new_records() {
    let mut bench = Bench::new(of(WriteMode::Insert));
    bench.platform.insert("a", &[("name", text("before"))]);
    fill(&bench, &["a", "b"]);
    let counts = bench.ok().to_platform;
    assert_eq!((counts.created, counts.updated, counts.unchanged), (1, 0, 1));
    assert_eq!(bench.platform.get("a", "name"), Some(text("before")));
    bench.warehouse.set("b", "name", text("later"));
    assert_eq!(bench.ok().to_platform.updated, 0);
    assert_eq!(bench.platform.get("b", "name"), Some(text("b")));
    bench.quiet();
}

#[test]
fn mirror_removes_what_left_the_source_and_only_what_it_linked() {
    let mut bench = Bench::new(of(WriteMode::Mirror));
    bench.platform.insert("other", &[("name", text("not ours"))]);
    fill(&bench, &["a", "b"]);
    bench.ok();
    bench.warehouse.delete("a");
    let counts = bench.ok().to_platform;
    assert_eq!((counts.deleted, counts.unchanged), (1, 1));
    assert_eq!(bench.platform.rows().keys().collect::<Vec<_>>(), ["b", "other"]);
    bench.quiet();
}

#[test]
fn mirror_to_the_warehouse_does_the_same() {
    let mut sync = sync(&[("name", ToWarehouse)]);
    sync.write = WriteMode::Mirror;
    let mut bench = Bench::new(sync);
    bench.warehouse.insert(Some("other"), &[("name", text("not ours"))]);
    bench.platform.insert("a", &[("name", text("a"))]);
    bench.platform.insert("b", &[("name", text("b"))]);
    bench.ok();
    bench.platform.delete("a");
    assert_eq!(bench.ok().to_warehouse.deleted, 1);
    assert_eq!(bench.warehouse.rows().keys().collect::<Vec<_>>(), ["b", "other"]);
    bench.quiet();
}

#[test]
fn propagated_deletes_of_a_one_way_sync_remove_too() {
    let mut sync = of(WriteMode::Upsert);
    sync.deletes = Deletes::Propagate;
    let mut bench = Bench::new(sync);
    fill(&bench, &["a", "b"]);
    bench.ok();
    bench.warehouse.delete("b");
    assert_eq!(bench.ok().to_platform.deleted, 1);
    bench.quiet();
}

#[test]
fn mirror_forgets_what_an_undo_removed_once_the_source_lacks_it_too() {
    let mut bench = Bench::new(Sync { ledger: LedgerKind::Values, ..of(WriteMode::Mirror) });
    fill(&bench, &["a"]);
    let run = bench.run().run;
    let undone = drive(&bench.world, bench.engine().undo(&bench.job(), &run)).unwrap();
    assert_eq!(undone.run.books.to_platform.deleted, 1);
    bench.quiet();
    bench.warehouse.delete("a");
    fill(&bench, &["b"]);
    bench.ok();
    assert_eq!(bench.flags("a"), None, "nobody has it any more, so nothing is left to delete");
    bench.quiet();
}
