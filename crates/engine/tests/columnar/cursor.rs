//! Usage by cursor.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tidegate_engine::RunOptions;
use tidegate_model::change::{Change, Outcome};
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::finding::Finding;
use tidegate_model::page::{Page, PageStream, Pages};
use tidegate_model::ports::{Entry, Load, Loaded, Need, Place, ReadAsk, Warehouse, WarehouseAbilities};
use tidegate_model::record::Key;
use tidegate_model::run::{Counts, RunStatus};
use tidegate_model::schema::{Relation, RelationSchema, Source};
use tidegate_model::span::{CursorPoint, Fence, OpId};
use tidegate_model::time::Instant;

use crate::bench::{Bench, EVENTS, events, usage};

/// A warehouse whose next read breaks off after so many pages.
struct Breaking {
    inner: Arc<dyn Warehouse>,
    pages: Mutex<Option<usize>>,
}

struct Broken(Pages, usize);

#[async_trait]
impl PageStream for Broken {
    async fn next(&mut self) -> Result<Option<Page>> {
        if self.1 == 0 {
            return Err(Error::new(ErrorKind::Unavailable, "the session is gone"));
        }
        self.1 -= 1;
        self.0.next().await
    }
}

#[async_trait]
impl Warehouse for Breaking {
    fn abilities(&self) -> WarehouseAbilities {
        self.inner.abilities()
    }
    async fn check(&self, needs: &[Need]) -> Vec<Finding> {
        self.inner.check(needs).await
    }
    async fn browse(&self, at: &Place) -> Result<Vec<Entry>> {
        self.inner.browse(at).await
    }
    async fn describe(&self, source: &Source) -> Result<RelationSchema> {
        self.inner.describe(source).await
    }
    async fn now(&self) -> Result<Instant> {
        self.inner.now().await
    }
    async fn bound(&self, source: &Source, column: &str, key: &str) -> Result<Option<CursorPoint>> {
        self.inner.bound(source, column, key).await
    }
    async fn read(&self, ask: ReadAsk) -> Result<Pages> {
        let pages = self.inner.read(ask).await?;
        Ok(match self.pages.lock().unwrap().take() {
            Some(left) => Box::new(Broken(pages, left)),
            None => pages,
        })
    }
    async fn fetch(&self, source: &Source, columns: &[String], key: &str, keys: &[Key], zone: &str) -> Result<Page> {
        self.inner.fetch(source, columns, key, keys, zone).await
    }
    async fn count(&self, source: &Source) -> Result<u64> {
        self.inner.count(source).await
    }
    async fn load(&self, relation: &Relation, load: &Load, pages: Pages) -> Result<Loaded> {
        self.inner.load(relation, load, pages).await
    }
    async fn write(
        &self,
        relation: &Relation,
        key: &str,
        batch: &[Change],
        op: &OpId,
        fence: &Fence,
    ) -> Result<Vec<Outcome>> {
        self.inner.write(relation, key, batch, op, fence).await
    }
    async fn adopt(&self, fence: &Fence) -> Result<()> {
        self.inner.adopt(fence).await
    }
}

/// Wherever the session is lost, the rest is read, and every row is counted once.
#[tokio::test]
async fn a_warehouse_session_that_is_lost_is_begun_again_where_it_stood() {
    for pages in 0..6 {
        let mut bench = with_events(45).await;
        bench.sql("INSERT INTO events VALUES (20, 'c1', 'open', 1, NULL), (NULL, 'c1', 'open', 1, NULL)");
        bench.sql("UPDATE events SET weight = 'heavy' WHERE id = 5");
        let (inner, pages) = (bench.warehouse.clone(), Mutex::new(Some(pages)));
        bench.warehouse = Arc::new(Breaking { inner, pages });
        let run = bench.run(&usage()).await;
        assert_eq!(run.status, RunStatus::Partial, "{run:#?}");
        let counts = run.books.to_platform;
        assert_eq!((counts.read, counts.created, counts.rejected), (46, 43, 3), "{counts:?}");
        assert_eq!(stored(&bench), 43);
    }
}

async fn with_events(to: i64) -> Bench {
    let bench = Bench::new(EVENTS).await;
    bench.companies(1, 3).await;
    bench.sql(&events(1, to));
    bench
}

fn stored(bench: &Bench) -> usize {
    bench.ask_platform("SELECT key FROM hub_activity WHERE sync > 0").len()
}

#[tokio::test]
async fn the_first_run_brings_everything_and_the_second_nothing() {
    let bench = with_events(95).await;
    let run = bench.run(&usage()).await;
    assert_eq!(run.status, RunStatus::Succeeded, "{run:#?}");
    let expected = Counts { read: 95, created: 95, sent: 95, acknowledged: 95, requests: 10, ..Counts::default() };
    assert_eq!(run.books.to_platform, expected);
    assert_eq!(stored(&bench), 95);
    let run = bench.run(&usage()).await;
    assert_eq!(run.books.to_platform, Counts { read: 95, unchanged: 95, ..Counts::default() });
    bench.sql(&events(96, 100));
    let run = bench.run(&usage()).await;
    assert_eq!((run.books.to_platform.created, run.books.to_platform.sent), (5, 5));
    assert_eq!(stored(&bench), 100);
    assert_eq!(run.mode, "cursor");
}

#[tokio::test]
async fn rows_that_commit_late_are_found_inside_the_margin_and_delivered_once() {
    let bench = with_events(20).await;
    bench.sql("DELETE FROM events WHERE id IN (3, 17)");
    assert_eq!(bench.run(&usage()).await.books.to_platform.created, 18);
    bench.sql(&(events(3, 3) + &events(17, 17) + &events(21, 22)));
    let counts = bench.run(&usage()).await.books.to_platform;
    assert_eq!((counts.read, counts.created, counts.unchanged, counts.sent), (22, 4, 18, 4));
    let counts = bench.run(&usage()).await.books.to_platform;
    assert_eq!((counts.read, counts.unchanged, counts.sent), (22, 22, 0));
    assert_eq!(stored(&bench), 22);
}

#[tokio::test]
async fn the_margin_is_as_wide_as_it_says() {
    let bench = with_events(20).await;
    let mut sync = usage();
    sync.cursor.as_mut().unwrap().lookback = Some(tidegate_model::sync::Lookback::Count(5));
    bench.run(&sync).await;
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!((counts.read, counts.unchanged), (5, 5));
    sync.cursor.as_mut().unwrap().lookback = Some(tidegate_model::sync::Lookback::Count(0));
    assert_eq!(bench.run(&sync).await.books.to_platform, Counts::default());
}

#[tokio::test]
async fn rows_without_a_usable_key_or_cursor_are_rejects() {
    let bench = with_events(5).await;
    bench.sql("INSERT INTO events VALUES (NULL, 'c1', 'open', 1, NULL), (6, 'c1', 'open', 1, NULL), (6, 'c2', 'open', 1, NULL)");
    let run = bench.run(&usage()).await;
    assert_eq!(run.status, RunStatus::Partial);
    let counts = run.books.to_platform;
    // The two rows of key 6 are one reject.
    assert_eq!((counts.read, counts.created, counts.rejected), (7, 5, 2));
    let mut rejects = bench.rejects(&usage()).await;
    rejects.sort();
    assert_eq!(rejects, [(None, "null_cursor".into()), (Some("6".into()), "duplicate_key".into())]);
}

#[tokio::test]
async fn a_row_whose_parent_comes_later_is_delivered_by_a_later_run() {
    let bench = with_events(3).await;
    bench.sql("UPDATE events SET company = 'c9' WHERE id = 2");
    let mut sync = usage();
    sync.cursor.as_mut().unwrap().lookback = Some(tidegate_model::sync::Lookback::Count(0));
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!((counts.created, counts.rejected, counts.refused), (2, 1, 1));
    assert_eq!(bench.rejects(&sync).await, [(Some("2".into()), "unresolved_reference".into())]);
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!((counts.read, counts.rejected), (1, 1));
    bench.companies(9, 9).await;
    let run = bench.run(&sync).await;
    assert_eq!((run.books.to_platform.read, run.books.to_platform.created), (1, 1));
    assert_eq!(run.status, RunStatus::Succeeded);
    assert!(bench.rejects(&sync).await.is_empty());
    assert_eq!(stored(&bench), 3);
}

#[tokio::test]
async fn a_maximum_below_the_cursor_stops_the_run() {
    let bench = with_events(20_000).await;
    let mut sync = usage();
    sync.batch_size = None;
    bench.run(&sync).await;
    bench.sql("DELETE FROM events WHERE id > 100");
    let run = bench.run(&sync).await;
    assert_eq!(run.status, RunStatus::Failed);
    let error = run.error.unwrap();
    assert_eq!(error.code, "data");
    assert!(error.hint.unwrap().contains("reset"));
}

#[tokio::test]
async fn a_limit_stops_early_and_the_next_run_goes_on() {
    let bench = with_events(30).await;
    let options = RunOptions { limit: Some(12), ..RunOptions::default() };
    let run = bench.run_with(&usage(), options).await;
    assert_eq!((run.books.to_platform.read, run.books.to_platform.created), (12, 12));
    let counts = bench.run(&usage()).await.books.to_platform;
    assert_eq!((counts.created, counts.unchanged), (18, 12));
}

#[tokio::test]
async fn too_many_rejects_stop_a_later_run_and_the_rest_is_ahead() {
    let bench = with_events(30).await;
    bench.run(&usage()).await;
    bench.sql(&events(31, 100));
    bench.sql("UPDATE events SET weight = 'heavy' WHERE id > 30");
    let run = bench.run(&usage()).await;
    assert_eq!(run.status, RunStatus::Failed);
    assert_eq!(run.error.unwrap().code, "guard");
    assert!(run.books.to_platform.read < 100, "{:?}", run.books);
}

#[tokio::test]
async fn a_full_run_sends_every_row_again_and_the_target_has_them() {
    let bench = with_events(25).await;
    bench.run(&usage()).await;
    let options = RunOptions { full: true, ..RunOptions::default() };
    let counts = bench.run_with(&usage(), options).await.books.to_platform;
    assert_eq!((counts.read, counts.sent, counts.confirmed), (25, 25, 25));
    assert_eq!(stored(&bench), 25);
}

/// Wherever the process dies, the end is that of an undisturbed run, nothing is lost, nothing there twice.
#[tokio::test]
async fn killed_at_every_step_it_ends_as_if_undisturbed() {
    let points = [
        "columnar.resumed",
        "columnar.span_opened",
        "columnar.intended",
        "columnar.cursor_load",
        "columnar.loaded",
        "columnar.before_settle",
        "columnar.settled",
    ];
    for point in points {
        for after in [0, 2] {
            let bench = with_events(45).await;
            let died = bench.killed(&usage(), point, after).await;
            assert!(died || (point == "columnar.resumed" && after > 0), "{point} {after}");
            bench.sql(&events(46, 50));
            let run = bench.run(&usage()).await;
            assert_eq!(run.status, RunStatus::Succeeded, "{point} {after}: {run:#?}");
            assert_eq!(stored(&bench), 50, "{point} {after}");
            let rollup = bench.ask_platform("SELECT sum(events) FROM hub_rollup WHERE series = 1 AND model = 1");
            assert_eq!(rollup, ["50"], "{point} {after}");
            let counts = bench.run(&usage()).await.books.to_platform;
            assert_eq!((counts.read, counts.unchanged, counts.sent), (50, 50, 0), "{point} {after}");
            assert!(bench.memory.open_spans("usage").await.unwrap().is_empty());
        }
    }
}

/// What a cursor has passed is known by its reject alone: none may be left out, however many a page has.
#[tokio::test]
async fn every_reject_of_a_large_page_is_kept_and_delivered_once_it_fits() {
    let bench = with_events(12_000).await;
    bench.sql("UPDATE events SET weight = 'heavy' WHERE id <= 11000");
    let mut sync = usage();
    sync.batch_size = None;
    sync.cursor.as_mut().unwrap().lookback = Some(tidegate_model::sync::Lookback::Count(0));
    assert_eq!(bench.run(&sync).await.books.to_platform.rejected, 11_000);
    bench.sql("UPDATE events SET weight = 1");
    let run = bench.run(&sync).await;
    assert_eq!((run.status, run.books.to_platform.created), (RunStatus::Succeeded, 11_000));
    assert_eq!(stored(&bench), 12_000);
}
