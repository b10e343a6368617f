//! Datasets.

use tidegate_model::run::RunStatus;
use tidegate_model::sync::{Changes, WriteMode};

use crate::bench::{Bench, REVENUE, revenue};

fn invoices(from: u32, to: u32, minute: u32) -> String {
    (from..=to)
        .map(|n| format!("INSERT INTO revenue VALUES ('i{n}', 'c1', {n}.50, '2024-01-01T00:{minute:02}:00');"))
        .collect()
}

async fn with_invoices(to: u32) -> Bench {
    let bench = Bench::new(REVENUE).await;
    bench.sql(&invoices(1, to, 0));
    bench
}

async fn count(bench: &Bench) -> u64 {
    bench.platform.count(&tidegate_model::schema::ModelName("dataset:revenue".into()), &[]).await.unwrap()
}

#[tokio::test]
async fn a_cursor_brings_new_and_changed_rows_once() {
    let bench = with_invoices(20).await;
    let sync = revenue(Changes::Cursor, WriteMode::Upsert);
    let run = bench.run(&sync).await;
    assert_eq!(run.status, RunStatus::Succeeded, "{run:#?}");
    assert_eq!((run.books.to_platform.read, run.books.to_platform.created), (20, 20));
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!((counts.read, counts.unchanged, counts.sent), (20, 20, 0));
    bench.sql("UPDATE revenue SET amount = 99, updated_at = '2024-01-01T01:00:00' WHERE invoice_id = 'i3'");
    bench.sql("UPDATE revenue SET amount = 98 WHERE invoice_id = 'i4'");
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!((counts.updated, counts.sent, counts.unchanged), (2, 2, 18));
    assert_eq!(count(&bench).await, 20);
}

#[tokio::test]
async fn a_full_read_upserts_and_finds_nothing_changed_the_next_time() {
    let bench = with_invoices(20).await;
    let sync = revenue(Changes::Full, WriteMode::Upsert);
    assert_eq!(bench.run(&sync).await.books.to_platform.created, 20);
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!((counts.read, counts.confirmed, counts.unchanged), (20, 20, 20));
    assert_eq!(count(&bench).await, 20);
}

#[tokio::test]
async fn a_duplicate_key_rejects_all_of_its_rows() {
    let bench = with_invoices(20).await;
    // Keys go by bytes: i14 ends the first page of seven.
    bench.sql("INSERT INTO revenue SELECT * FROM revenue WHERE invoice_id IN ('i15', 'i16', 'i2');");
    for write in [WriteMode::Upsert, WriteMode::Append, WriteMode::Replace] {
        let mut sync = revenue(Changes::Full, write);
        sync.name = format!("revenue-{write:?}");
        sync.model = tidegate_model::schema::ModelName(format!("dataset:{write:?}"));
        let counts = bench.run(&sync).await.books.to_platform;
        assert_eq!((counts.read, counts.created, counts.rejected), (20, 17, 3), "{write:?}");
        let rejects = bench.rejects(&sync).await;
        let expected = ["i15", "i16", "i2"].map(|key| (Some(key.to_owned()), "duplicate_key".to_owned()));
        assert_eq!(rejects, expected, "{write:?}");
    }
    bench.sql("DELETE FROM revenue WHERE rowid > 20");
    let mut sync = revenue(Changes::Full, WriteMode::Upsert);
    sync.name = "revenue-Upsert".into();
    sync.model = tidegate_model::schema::ModelName("dataset:Upsert".into());
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!((counts.created, counts.rejected), (3, 0));
    assert!(bench.rejects(&sync).await.is_empty());
}

#[tokio::test]
async fn append_with_full_brings_each_key_once() {
    let bench = with_invoices(20).await;
    let sync = revenue(Changes::Full, WriteMode::Append);
    assert_eq!(bench.run(&sync).await.books.to_platform.created, 20);
    bench.sql(&invoices(21, 25, 1));
    bench.sql("UPDATE revenue SET amount = 1 WHERE invoice_id = 'i1'");
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!((counts.read, counts.created, counts.unchanged), (25, 5, 20));
    assert_eq!(count(&bench).await, 25);
}

#[tokio::test]
async fn append_by_cursor_is_exactly_once_wherever_it_dies() {
    for point in ["columnar.span_opened", "columnar.loaded", "columnar.before_settle", "columnar.settled"] {
        let bench = with_invoices(20).await;
        let sync = revenue(Changes::Cursor, WriteMode::Append);
        assert!(bench.killed(&sync, point, 1).await, "{point}");
        // Late: inside the window of the span that was open.
        bench.sql("INSERT INTO revenue VALUES ('i100', 'c1', 1, '2024-01-01T00:00:00')");
        let run = bench.run(&sync).await;
        assert_eq!(run.status, RunStatus::Succeeded, "{point}: {run:#?}");
        bench.run(&sync).await;
        assert_eq!(count(&bench).await, 21, "{point}");
        let table = bench.ask_platform("SELECT 'hub_d' || number FROM hub_dataset");
        let column = bench.ask_platform("SELECT col FROM hub_field WHERE name = 'invoice_id'");
        let keys = bench.ask_platform(&format!("SELECT count(DISTINCT {}) FROM {}", column[0], table[0]));
        assert_eq!(keys, ["21"], "{point}");
    }
}

#[tokio::test]
async fn replace_swaps_all_rows_and_guards_against_shrinking() {
    let bench = with_invoices(50).await;
    let sync = revenue(Changes::Full, WriteMode::Replace);
    let books = bench.run(&sync).await.books;
    assert_eq!((books.to_platform.created, books.to_platform.deleted, books.replaced.created), (50, 0, 50));
    bench.sql("DELETE FROM revenue WHERE invoice_id <> 'i1'");
    let run = bench.run(&sync).await;
    assert_eq!(run.error.as_ref().map(|error| error.code.as_str()), Some("guard"), "{run:#?}");
    assert_eq!(count(&bench).await, 50);
    let forced = tidegate_engine::RunOptions { force_guards: vec!["max_shrink_pct".into()], ..Default::default() };
    let books = bench.run_with(&sync, forced).await.books;
    assert_eq!((books.to_platform.created, books.to_platform.deleted), (1, 50));
    assert_eq!(count(&bench).await, 1);
    let limited = tidegate_engine::RunOptions { limit: Some(1), ..Default::default() };
    assert_eq!(bench.run_with(&sync, limited).await.error.unwrap().code, "config");
}
