//! Records of a hundred kilobytes: how many are in memory at once is bounded by their bytes, not by their number alone.

use tidegate_model::schema::Abilities;
use tidegate_model::sync::Changes;
use tidegate_model::sync::Direction::ToPlatform;
use tidegate_testkit::sim::{Keeps, Knobs, all_abilities};

use crate::bench::{Bench, plain_fields, sync, text};

const RECORDS: u64 = 300;
const BYTES: u64 = 100_000;
/// What a batch may hold, with the record that was one too many.
const BATCH_BYTES: u64 = (8 << 20) + BYTES + 1_000;

fn bench(note: impl Fn(u64) -> String) -> Bench {
    let abilities = Abilities { max_batch: 5_000, ..all_abilities() };
    let knobs = Knobs { page_rows: 500, abilities, ..Knobs::default() };
    let bench = Bench::of(0, sync(&[("name", ToPlatform), ("note", ToPlatform)]), knobs, plain_fields(), 50);
    for at in 0..RECORDS {
        let cells = [("name", text(&format!("n{at}"))), ("note", text(&note(at)))];
        bench.warehouse.insert(Some(&format!("c{at:04}")), &cells);
    }
    bench
}

/// A long text that no other record has.
fn long(at: u64) -> String {
    format!("{at:08}").repeat(usize::try_from(BYTES / 8).unwrap())
}

#[test]
fn wide_records_go_in_smaller_batches_and_none_is_lost() {
    let mut bench = bench(long);
    let run = bench.run();
    assert_eq!((run.books.to_platform.created, run.books.to_platform.read), (RECORDS, RECORDS));
    let sizes: Vec<u64> = bench.platform.calls().iter().map(|call| call.records).collect();
    assert_eq!(sizes.iter().sum::<u64>(), RECORDS, "{sizes:?}");
    assert!(sizes.iter().all(|records| records * BYTES <= BATCH_BYTES), "{sizes:?}");
    assert!(sizes.len() as u64 <= RECORDS * BYTES / (8 << 20) + 1, "smaller than they need to be: {sizes:?}");
    // What was journalled in parts is what the ledger knows: nothing is left to be done.
    assert_eq!(bench.ok().to_platform.unchanged, RECORDS);
}

/// What a window shows is looked up by key, many keys at once; what is found goes on in parts.
#[test]
fn wide_records_that_a_history_shows_are_all_delivered() {
    let mut bench = bench(long);
    bench.sync.changes = Changes::Tracking;
    bench.warehouse.keep(Keeps { tracking: true, ..Keeps::default() });
    assert_eq!(bench.ok().to_platform.created, RECORDS);
    for at in 0..RECORDS {
        bench.warehouse.set(&format!("c{at:04}"), "note", text(&long(at + RECORDS)));
    }
    let counts = bench.ok().to_platform;
    assert_eq!((counts.read, counts.updated), (RECORDS, RECORDS));
    let sizes: Vec<u64> = bench.platform.calls().iter().map(|call| call.records).collect();
    assert_eq!(sizes.iter().sum::<u64>(), 2 * RECORDS, "{sizes:?}");
    assert!(sizes.iter().all(|records| records * BYTES <= BATCH_BYTES), "{sizes:?}");
    assert_eq!(bench.ok().to_platform.read, 0);
}

#[test]
fn narrow_records_go_as_many_at_once_as_the_platform_takes() {
    let mut bench = bench(|at| format!("note {at}"));
    assert_eq!(bench.run().books.to_platform.created, RECORDS);
    assert_eq!(bench.platform.calls().len(), 1);
}
