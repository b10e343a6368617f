//! `retry` of syncs that move columns.

use tidegate_engine::RunOptions;
use tidegate_model::error::Result;
use tidegate_model::record::Key;
use tidegate_model::run::{Counts, RunRecord, RunStatus};
use tidegate_model::sync::{Changes, Lookback, Sync, WriteMode};

use crate::bench::{Bench, EVENTS, REVENUE, SCORES, events, revenue, scores, usage};

async fn retry(bench: &Bench, sync: &Sync, key: Option<&str>) -> Result<RunRecord> {
    let key = key.map(Key::new);
    let run = bench.engine().retry(&bench.job(sync), key.as_ref(), &RunOptions::default()).await?;
    assert!(run.books.balanced(), "{run:#?}");
    assert_eq!(run.mode, "retry");
    Ok(run)
}

fn code(run: &RunRecord) -> Option<&str> {
    run.error.as_ref().map(|error| error.code.as_str())
}

async fn dataset(bench: &Bench) -> u64 {
    bench.platform.count(&tidegate_model::schema::ModelName("dataset:revenue".into()), &[]).await.unwrap()
}

async fn with_orphans(lookback: Option<Lookback>) -> (Bench, Sync) {
    let bench = Bench::new(EVENTS).await;
    bench.companies(1, 1).await;
    bench.sql(&events(1, 20));
    bench.sql("UPDATE events SET company = 'c9' WHERE id IN (3, 4)");
    let mut sync = usage();
    sync.cursor.as_mut().unwrap().lookback = lookback;
    assert_eq!(bench.run(&sync).await.books.to_platform.rejected, 2);
    (bench, sync)
}

#[tokio::test]
async fn retry_delivers_usage_rows_that_fit_now_and_moves_no_cursor() {
    for lookback in [None, Some(Lookback::Count(0))] {
        let (bench, sync) = with_orphans(lookback).await;
        let before = bench.memory.state("usage").await.unwrap().warehouse;
        let run = retry(&bench, &sync, None).await.unwrap();
        assert_eq!((run.status, run.books.to_platform.rejected), (RunStatus::Partial, 2));
        bench.sql(&events(21, 22));
        bench.companies(9, 9).await;
        let counts = retry(&bench, &sync, Some("4")).await.unwrap().books.to_platform;
        assert_eq!((counts.read, counts.created, counts.sent, counts.acknowledged), (1, 1, 1, 1));
        assert_eq!(bench.rejects(&sync).await, [(Some("3".into()), "unresolved_reference".into())]);
        let run = retry(&bench, &sync, None).await.unwrap();
        assert_eq!((run.status, run.books.to_platform.created), (RunStatus::Succeeded, 1));
        assert!(bench.rejects(&sync).await.is_empty());
        assert_eq!(bench.memory.state("usage").await.unwrap().warehouse, before);
        assert_eq!(retry(&bench, &sync, None).await.unwrap().books.to_platform, Counts::default());
        let counts = bench.run(&sync).await.books.to_platform;
        assert_eq!((counts.created, counts.sent), (2, 2), "{lookback:?} {counts:?}");
    }
}

#[tokio::test]
async fn retry_of_a_key_without_an_open_reject_says_so() {
    let (bench, sync) = with_orphans(None).await;
    let run = retry(&bench, &sync, Some("5")).await.unwrap();
    assert_eq!(code(&run), Some("config"));
    assert!(run.error.unwrap().message.contains("no open reject of key `5`"));
}

#[tokio::test]
async fn retry_closes_rejects_of_rows_that_are_gone() {
    let (bench, sync) = with_orphans(Some(Lookback::Count(0))).await;
    bench.sql("DELETE FROM events WHERE id = 3");
    retry(&bench, &sync, None).await.unwrap();
    assert_eq!(bench.rejects(&sync).await, [(Some("4".into()), "unresolved_reference".into())]);
    bench.sql("DELETE FROM events WHERE id = 4");
    assert_eq!(bench.run(&sync).await.status, RunStatus::Succeeded);
    assert!(bench.rejects(&sync).await.is_empty());
}

async fn with_misfits(changes: Changes, write: WriteMode) -> (Bench, Sync) {
    let bench = Bench::new(REVENUE).await;
    for n in 1..=20 {
        bench.sql(&format!("INSERT INTO revenue VALUES ('i{n}', 'c1', {n}, '2024-01-01T00:00:{n:02}')"));
    }
    bench.sql("UPDATE revenue SET amount = 'much' WHERE invoice_id IN ('i5', 'i6')");
    let sync = revenue(changes, write);
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!((counts.created, counts.rejected), (18, 2), "{changes:?} {write:?}");
    (bench, sync)
}

#[tokio::test]
async fn retry_of_datasets_delivers_once_whatever_reads_them_later() {
    let ways = [
        (Changes::Cursor, WriteMode::Append),
        (Changes::Cursor, WriteMode::Upsert),
        (Changes::Full, WriteMode::Upsert),
        (Changes::Full, WriteMode::Append),
    ];
    for (changes, write) in ways {
        let (bench, sync) = with_misfits(changes, write).await;
        bench.sql("UPDATE revenue SET amount = 5 WHERE invoice_id = 'i5'");
        let run = retry(&bench, &sync, None).await.unwrap();
        let counts = run.books.to_platform;
        assert_eq!((counts.read, counts.created, counts.rejected), (2, 1, 1), "{changes:?} {write:?}");
        assert_eq!(bench.rejects(&sync).await, [(Some("i6".into()), "bad_number".into())]);
        let counts = bench.run(&sync).await.books.to_platform;
        assert_eq!((counts.created, counts.updated, counts.rejected), (0, 0, 1), "{changes:?} {write:?} {counts:?}");
        assert_eq!(dataset(&bench).await, 19, "{changes:?} {write:?}");
    }
}

#[tokio::test]
async fn retry_leaves_a_row_that_moved_past_the_cursor_to_the_next_run() {
    let (bench, sync) = with_misfits(Changes::Cursor, WriteMode::Append).await;
    bench.sql("UPDATE revenue SET amount = 5, updated_at = '2024-01-01T02:00:00' WHERE invoice_id = 'i5'");
    bench.sql("UPDATE revenue SET amount = 6, updated_at = NULL WHERE invoice_id = 'i6'");
    let counts = retry(&bench, &sync, None).await.unwrap().books.to_platform;
    assert_eq!(counts, Counts { read: 1, rejected: 1, ..Counts::default() });
    assert_eq!(dataset(&bench).await, 18);
    assert_eq!(bench.run(&sync).await.books.to_platform.created, 1);
    let open = bench.rejects(&sync).await;
    assert!(open.iter().all(|(key, _)| key.as_deref() == Some("i6")), "{open:?}");
}

/// Wherever a retry dies, its row arrives once.
#[tokio::test]
async fn retry_is_exactly_once_wherever_it_dies() {
    for point in ["columnar.span_opened", "columnar.intended", "columnar.loaded", "columnar.before_settle"] {
        let (bench, mut sync) = with_misfits(Changes::Cursor, WriteMode::Append).await;
        // The window does not show the rows: each run tries them again by key.
        sync.cursor.as_mut().unwrap().lookback = Some(Lookback::Micros(0));
        bench.sql("UPDATE revenue SET amount = 5 WHERE invoice_id IN ('i5', 'i6')");
        assert!(bench.killed(&sync, point, 0).await, "{point}");
        let run = bench.run(&sync).await;
        assert_eq!(run.status, RunStatus::Succeeded, "{point}: {run:#?}");
        bench.run(&sync).await;
        assert_eq!(dataset(&bench).await, 20, "{point}");
        assert!(bench.rejects(&sync).await.is_empty(), "{point}");
    }
}

async fn long_names(write: WriteMode) -> (Bench, Sync) {
    let bench = Bench::new(SCORES).await;
    bench.sql("DROP TABLE scores; CREATE TABLE scores (company_id TEXT, name VARCHAR(9), score INTEGER)");
    bench.companies(1, 10).await;
    let sync = scores(write);
    assert_eq!(bench.run(&sync).await.books.to_warehouse.rejected, 1);
    (bench, sync)
}

#[tokio::test]
async fn retry_of_an_append_export_asks_the_platform_by_key() {
    let (bench, sync) = long_names(WriteMode::Append).await;
    assert_eq!(retry(&bench, &sync, None).await.unwrap().books.to_warehouse.rejected, 1);
    bench.sql("DROP TABLE scores; CREATE TABLE scores (company_id TEXT, name VARCHAR(20), score INTEGER)");
    let run = retry(&bench, &sync, None).await.unwrap();
    assert_eq!((run.status, run.books.to_warehouse.created), (RunStatus::Succeeded, 1));
    assert_eq!(bench.ask("SELECT company_id FROM scores"), ["c10"]);
    let counts = bench.run(&sync).await.books.to_warehouse;
    assert_eq!((counts.created, counts.unchanged), (0, 10));
}

#[tokio::test]
async fn retry_of_a_replace_says_what_to_do_instead() {
    let (bench, sync) = long_names(WriteMode::Replace).await;
    let run = retry(&bench, &sync, None).await.unwrap();
    assert_eq!(code(&run), Some("config"));
    let error = run.error.unwrap();
    assert!(error.message.contains("writes all rows in one go"), "{error:?}");
    assert!(error.hint.unwrap().contains("tidegate run scores"));
}
