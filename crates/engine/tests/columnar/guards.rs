//! The reject guard of runs of columns: it judges what is new in a run.

use tidegate_engine::RunOptions;
use tidegate_model::run::{RunRecord, RunStatus};
use tidegate_model::sync::{Changes, Lookback, WriteMode};

use crate::bench::{Bench, EVENTS, REVENUE, events, revenue, usage};

/// Three hundred events, every third of a company that nobody has heard of.
async fn with_orphans() -> Bench {
    let bench = Bench::new(EVENTS).await;
    bench.companies(1, 3).await;
    bench.sql(&events(1, 300));
    bench.sql("UPDATE events SET company = 'c9' WHERE id % 3 = 0");
    bench
}

fn passed(run: &RunRecord) {
    assert_eq!(run.error, None);
    assert_eq!(run.status, RunStatus::Partial);
}

#[tokio::test]
async fn max_reject_pct_does_not_count_open_rejects_that_are_tried_again() {
    for lookback in [None, Some(Lookback::Count(0))] {
        let bench = with_orphans().await;
        let mut sync = usage();
        sync.cursor.as_mut().unwrap().lookback = lookback;
        assert_eq!(bench.run(&sync).await.books.to_platform.rejected, 100);
        for round in 0..3 {
            let from = 301 + round * 10;
            bench.sql(&events(from, from + 9));
            bench.sql(&format!("UPDATE events SET company = 'c9' WHERE id = {from}"));
            let run = bench.run(&sync).await;
            passed(&run);
            let counts = run.books.to_platform;
            let open = 101 + u64::try_from(round).unwrap();
            assert_eq!((counts.created, counts.rejected), (9, open), "{lookback:?} {counts:?}");
        }
        bench.companies(9, 9).await;
        let run = bench.run(&sync).await;
        assert_eq!((run.status, run.books.to_platform.created), (RunStatus::Succeeded, 103));
    }
}

#[tokio::test]
async fn max_reject_pct_stops_new_rejects_whatever_was_open() {
    let bench = with_orphans().await;
    bench.run(&usage()).await;
    bench.sql(&events(301, 370));
    bench.sql("UPDATE events SET weight = 'heavy' WHERE id > 300");
    for _ in 0..3 {
        // It stops at the same rows again: that they are listed does not make them old.
        let run = bench.run(&usage()).await;
        assert_eq!(run.error.as_ref().map(|error| error.code.as_str()), Some("guard"), "{:?}", run.books);
        assert!(run.books.to_platform.rejected < 370, "{:?}", run.books);
    }
    let forced = RunOptions { force_guards: vec!["max_reject_pct".into()], ..RunOptions::default() };
    passed(&bench.run_with(&usage(), forced).await);
    passed(&bench.run(&usage()).await);
}

#[tokio::test]
async fn max_reject_pct_of_complete_reads_does_not_count_what_was_rejected_before() {
    for write in [WriteMode::Upsert, WriteMode::Append, WriteMode::Replace] {
        let bench = Bench::new(REVENUE).await;
        bench.sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
             INSERT INTO revenue SELECT 'i' || i, 'c1', i, '2024-01-01T00:00:00' FROM n;
             UPDATE revenue SET amount = 'much' WHERE rowid <= 40;",
        );
        let sync = revenue(Changes::Full, write);
        for _ in 0..2 {
            let run = bench.run(&sync).await;
            passed(&run);
            assert_eq!(run.books.to_platform.rejected, 40, "{write:?}");
        }
        bench.sql("UPDATE revenue SET amount = 'more' WHERE rowid > 70");
        let run = bench.run(&sync).await;
        let expected = if write == WriteMode::Append { None } else { Some("guard") };
        assert_eq!(run.error.as_ref().map(|error| error.code.as_str()), expected, "{write:?} {:?}", run.books);
    }
}
