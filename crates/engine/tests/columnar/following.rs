//! Datasets and usage by the warehouse's change history, and by a stream.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tidegate_engine::RunOptions;
use tidegate_model::cells::{PageBuilder, value_at};
use tidegate_model::change::{Change, Outcome};
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::finding::Finding;
use tidegate_model::page::{DELETED, Held, Page, Pages};
use tidegate_model::ports::{
    Drained, Entry, Load, Loaded, Need, Outbox, Place, ReadAsk, ReadMode, Warehouse, WarehouseAbilities,
};
use tidegate_model::record::Key;
use tidegate_model::run::RunStatus;
use tidegate_model::schema::{ModelName, Relation, RelationKind, RelationSchema, Source};
use tidegate_model::span::{CursorPoint, Fence, OpId};
use tidegate_model::sync::{Changes, CursorSpec, Sync, WriteMode};
use tidegate_model::time::Instant;
use tidegate_model::value::{Type, Value};

use crate::bench::{Bench, EVENTS, REVENUE, events, revenue, usage};

/// What happened to a key: `None` for a row without one; whether it left.
type Event = (Option<String>, bool);

/// A warehouse whose history the test writes down itself.
struct Followed {
    inner: Arc<dyn Warehouse>,
    stream: bool,
    log: Mutex<Vec<Event>>,
    /// How much of the log was moved, and how much of that was deleted again.
    outbox: Mutex<(usize, usize)>,
    gone: AtomicBool,
}

impl Followed {
    fn happened(&self, keys: &[&str]) {
        self.log.lock().unwrap().extend(keys.iter().map(|key| (Some((*key).to_owned()), false)));
    }

    fn event(&self, key: Option<&str>, left: bool) {
        self.log.lock().unwrap().push((key.map(str::to_owned), left));
    }

    fn waiting(&self) -> usize {
        let outbox = self.outbox.lock().unwrap();
        outbox.0 - outbox.1
    }

    async fn shown(&self, ask: &ReadAsk, from: usize, to: usize) -> Result<Pages> {
        let events = self.log.lock().unwrap()[from..to].to_vec();
        let schema = self.inner.describe(&ask.source).await?;
        let typed = ask.columns.iter().map(|name| (name.clone(), schema.column(name).unwrap().logical));
        let mut builder = PageBuilder::new(&typed.chain([(DELETED.to_owned(), Type::Bool)]).collect::<Vec<_>>());
        let (mut net, mut rows) = (BTreeMap::new(), 0);
        for (key, left) in events {
            match key {
                Some(key) => drop(net.insert(key, left)),
                None => {
                    ask.columns.iter().for_each(|_| builder.push(&Value::Null));
                    builder.push(&Value::Bool(left));
                    builder.end_row();
                    rows += 1;
                }
            }
        }
        let keys: Vec<Key> = net.keys().map(|key| Key::new(key.as_str())).collect();
        let there = self.inner.fetch(&ask.source, &ask.columns, &ask.columns[0], &keys, &ask.timezone).await?;
        for row in 0..there.len() {
            let key = value_at(&there.rows, 0, row);
            (0..ask.columns.len()).for_each(|column| builder.push(&value_at(&there.rows, column, row)));
            builder.push(&Value::Bool(net[&key.to_string()]));
            builder.end_row();
            rows += 1;
        }
        Ok(Box::new(if rows == 0 { Held(Default::default()) } else { Held::one(builder.take()?) }))
    }
}

#[async_trait]
impl Warehouse for Followed {
    fn abilities(&self) -> WarehouseAbilities {
        WarehouseAbilities { tracking: !self.stream, stream: self.stream, ..self.inner.abilities() }
    }
    async fn check(&self, needs: &[Need]) -> Vec<Finding> {
        self.inner.check(needs).await
    }
    async fn browse(&self, at: &Place) -> Result<Vec<Entry>> {
        self.inner.browse(at).await
    }
    async fn describe(&self, source: &Source) -> Result<RelationSchema> {
        let kind = if self.stream { RelationKind::Stream } else { RelationKind::Table };
        Ok(RelationSchema { kind, change_tracking: !self.stream, ..self.inner.describe(source).await? })
    }
    async fn now(&self) -> Result<Instant> {
        self.inner.now().await
    }
    async fn bound(&self, source: &Source, column: &str, key: &str) -> Result<Option<CursorPoint>> {
        self.inner.bound(source, column, key).await
    }
    async fn mark(&self, _source: &Source) -> Result<String> {
        Ok(self.log.lock().unwrap().len().to_string())
    }
    async fn changed(&self, _source: &Source, since: &str, to: &str) -> Result<bool> {
        Ok(since != to)
    }
    async fn drain(&self, _outbox: &Outbox, _fence: &Fence) -> Result<Drained> {
        let mut outbox = self.outbox.lock().unwrap();
        let moved = self.log.lock().unwrap().len() - outbox.0;
        outbox.0 += moved;
        let through = if outbox.0 == outbox.1 { 0 } else { outbox.0 as u64 };
        Ok(Drained { moved: moved as u64, through, stream: "the one".to_owned() })
    }
    async fn trim(&self, _outbox: &Outbox, through: u64, _fence: &Fence) -> Result<()> {
        let mut outbox = self.outbox.lock().unwrap();
        outbox.1 = outbox.1.max(usize::try_from(through).unwrap());
        Ok(())
    }
    async fn read(&self, ask: ReadAsk) -> Result<Pages> {
        match &ask.mode {
            ReadMode::Changes { .. } if self.gone.load(Ordering::SeqCst) => {
                Err(Error::new(ErrorKind::HistoryGone, "the history has expired"))
            }
            ReadMode::Changes { from, to, .. } => self.shown(&ask, from.parse().unwrap(), to.parse().unwrap()).await,
            ReadMode::Outbox { through, .. } => {
                let first = self.outbox.lock().unwrap().1;
                self.shown(&ask, first, usize::try_from(*through).unwrap()).await
            }
            _ => self.inner.read(ask).await,
        }
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
    async fn write(&self, to: &Relation, key: &str, batch: &[Change], op: &OpId, by: &Fence) -> Result<Vec<Outcome>> {
        self.inner.write(to, key, batch, op, by).await
    }
    async fn adopt(&self, fence: &Fence) -> Result<()> {
        self.inner.adopt(fence).await
    }
}

async fn followed(tables: &str, stream: bool) -> (Bench, Arc<Followed>) {
    let mut bench = Bench::new(tables).await;
    let inner = bench.warehouse.clone();
    let (log, outbox, gone) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
    let followed = Arc::new(Followed { inner, stream, log, outbox, gone });
    bench.warehouse = followed.clone();
    (bench, followed)
}

fn invoices(from: u32, to: u32) -> String {
    (from..=to).map(|n| format!("INSERT INTO revenue VALUES ('i{n}', 'c1', {n}.50, '2024-01-01T00:00:00');")).collect()
}

fn by(changes: Changes, write: WriteMode) -> Sync {
    let mut sync = revenue(changes, write);
    sync.cursor = None::<CursorSpec>;
    sync
}

async fn count(bench: &Bench, sync: &Sync) -> u64 {
    bench.platform.count(&ModelName(sync.model.0.clone()), &[]).await.unwrap()
}

#[tokio::test]
async fn a_dataset_is_merged_from_what_changed() {
    for (stream, changes, word) in [(false, Changes::Auto, "tracking"), (true, Changes::Auto, "stream")] {
        let (bench, followed) = followed(REVENUE, stream).await;
        bench.sql(&invoices(1, 30));
        let sync = by(changes, WriteMode::Upsert);
        let run = bench.run(&sync).await;
        assert_eq!((run.books.to_platform.created, run.mode.as_str()), (30, "full"), "{run:#?}");
        bench
            .sql("UPDATE revenue SET amount = 99 WHERE invoice_id = 'i3'; DELETE FROM revenue WHERE invoice_id = 'i4'");
        bench.sql(&invoices(31, 31));
        followed.happened(&["i3", "i31"]);
        followed.event(Some("i4"), true);
        let run = bench.run(&sync).await;
        let counts = run.books.to_platform;
        assert_eq!((counts.read, counts.created, counts.updated, run.mode.as_str()), (2, 1, 1, word), "{run:#?}");
        assert_eq!((count(&bench, &sync).await, followed.waiting()), (31, 0));
        assert_eq!(bench.run(&sync).await.books.to_platform.read, 0);
    }
}

#[tokio::test]
async fn usage_and_appended_datasets_take_each_row_once() {
    let (bench, followed) = followed(EVENTS, false).await;
    bench.companies(1, 1).await;
    bench.sql(&events(1, 25));
    let mut sync = usage();
    (sync.changes, sync.cursor) = (Changes::Tracking, None);
    assert_eq!(bench.run(&sync).await.books.to_platform.created, 25);
    bench.sql(&events(26, 28));
    // The window reaches back further than it has to.
    followed.happened(&["24", "25", "26", "27", "28"]);
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!((counts.read, counts.created, counts.unchanged), (5, 3, 2));

    let (bench, followed) = self::followed(REVENUE, true).await;
    bench.sql(&invoices(1, 10));
    let sync = by(Changes::Stream, WriteMode::Append);
    assert_eq!(bench.run(&sync).await.books.to_platform.created, 10);
    bench.sql(&invoices(11, 12));
    bench.sql("UPDATE revenue SET amount = 99 WHERE invoice_id = 'i3'");
    followed.happened(&["i3", "i11", "i12"]);
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!((counts.read, counts.created, counts.unchanged), (3, 2, 1));
}

#[tokio::test]
async fn keys_that_stand_twice_or_are_null_are_rejects_and_are_tried_again() {
    let (bench, followed) = followed(REVENUE, false).await;
    bench.sql(&invoices(1, 30));
    let sync = by(Changes::Tracking, WriteMode::Upsert);
    bench.run(&sync).await;
    bench.sql("INSERT INTO revenue SELECT * FROM revenue WHERE invoice_id = 'i7'");
    bench.sql("INSERT INTO revenue VALUES (NULL, 'c1', 1, NULL)");
    followed.happened(&["i7"]);
    followed.event(None, false);
    let run = bench.run(&sync).await;
    assert_eq!((run.books.to_platform.read, run.books.to_platform.rejected), (2, 2), "{run:#?}");
    let mut listed = bench.rejects(&sync).await;
    listed.sort();
    assert_eq!(listed, [(None, "null_key".to_owned()), (Some("i7".to_owned()), "duplicate_key".to_owned())]);
    // Mended, without that a window shows it.
    bench.sql("DELETE FROM revenue WHERE rowid = (SELECT max(rowid) FROM revenue WHERE invoice_id = 'i7')");
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!((counts.read, counts.rejected), (1, 0));
    assert_eq!(bench.rejects(&sync).await.len(), 1);
}

#[tokio::test]
async fn history_that_has_expired_is_one_full_read() {
    let (bench, followed) = followed(REVENUE, false).await;
    bench.sql(&invoices(1, 12));
    let sync = by(Changes::Tracking, WriteMode::Upsert);
    bench.run(&sync).await;
    bench.sql("UPDATE revenue SET amount = 99 WHERE invoice_id = 'i3'");
    followed.happened(&["i3"]);
    followed.gone.store(true, Ordering::SeqCst);
    let run = bench.run(&sync).await;
    assert_eq!((run.books.to_platform.read, run.books.to_platform.updated, run.mode.as_str()), (12, 1, "full"));
    followed.gone.store(false, Ordering::SeqCst);
    followed.happened(&["i4"]);
    assert_eq!(bench.run(&sync).await.books.to_platform.read, 1);
}

#[tokio::test]
async fn a_limit_leaves_the_rest_to_the_next_run() {
    let (bench, followed) = followed(REVENUE, true).await;
    bench.sql(&invoices(1, 5));
    let sync = by(Changes::Stream, WriteMode::Upsert);
    bench.run(&sync).await;
    bench.sql(&invoices(6, 9));
    followed.happened(&["i6", "i7", "i8", "i9"]);
    let options = RunOptions { limit: Some(2), ..RunOptions::default() };
    assert_eq!(bench.run_with(&sync, options).await.books.to_platform.created, 2);
    assert_eq!(followed.waiting(), 4);
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!((counts.created, counts.unchanged, followed.waiting()), (2, 2, 0));
}

#[tokio::test]
async fn a_stream_is_appended_once_wherever_it_dies() {
    let points = [
        "columnar.resumed",
        "history.drained",
        "columnar.span_opened",
        "columnar.intended",
        "columnar.loaded",
        "columnar.before_settle",
        "columnar.settled",
        "columnar.finished",
        "history.before_trim",
        "history.trimmed",
    ];
    let mut died = 0;
    for (point, after) in points.into_iter().flat_map(|point| [(point, 0), (point, 1), (point, 3)]) {
        let (bench, followed) = followed(REVENUE, true).await;
        bench.sql(&invoices(1, 20));
        let sync = by(Changes::Stream, WriteMode::Append);
        bench.run(&sync).await;
        bench.sql(&invoices(21, 40));
        let keys: Vec<String> = (21..=40).map(|n| format!("i{n}")).collect();
        followed.happened(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        died += u32::from(bench.killed(&sync, point, after).await);
        let run = bench.run(&sync).await;
        assert_eq!(run.status, RunStatus::Succeeded, "{point} {after}: {run:#?}");
        assert_eq!((count(&bench, &sync).await, followed.waiting()), (40, 0), "{point} {after}");
    }
    // Every point is met at least once; a run of one page meets most of them no second time.
    assert!(died >= 13, "{died}");
}

#[tokio::test]
async fn a_replace_does_not_follow_a_history() {
    let (bench, _followed) = followed(REVENUE, false).await;
    bench.sql(&invoices(1, 5));
    let run = bench.run(&by(Changes::Tracking, WriteMode::Replace)).await;
    assert_eq!(run.status, RunStatus::Failed);
    assert_eq!(bench.run(&by(Changes::Auto, WriteMode::Replace)).await.books.to_platform.created, 5);
}
