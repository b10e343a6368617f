//! Cursors beside writers that have not committed.

use tidegate_model::cells::value_at;
use tidegate_model::ports::{ReadAsk, ReadMode, Warehouse};
use tidegate_model::schema::{Relation, Source};
use tidegate_model::span::CursorPoint;
use tidegate_testkit::warehouse_suite::Lab;

use crate::lab::Database;

fn events() -> Source {
    Source::Relation(Relation(vec!["events".into()]))
}

async fn bound(warehouse: &dyn Warehouse, column: &str) -> Option<String> {
    let found = warehouse.bound(&events(), column, "id").await.expect("a bound");
    found.and_then(|point| point.key).map(|key| key.as_str().to_owned())
}

async fn ids(warehouse: &dyn Warehouse, from: Option<CursorPoint>, to: CursorPoint) -> Vec<String> {
    let mode = ReadMode::Cursor { column: "id".into(), key: "id".into(), from, to };
    let ask = ReadAsk { source: events(), columns: vec!["id".into()], mode, page_rows: 100, timezone: "UTC".into() };
    let mut pages = warehouse.read(ask).await.expect("a read");
    let mut ids = Vec::new();
    while let Some(page) = pages.next().await.expect("a page") {
        ids.extend((0..page.len()).map(|row| value_at(&page.rows, 0, row).to_string()));
    }
    ids
}

/// A transaction took id 4 and is still open; 5 and 6 are committed. Reading to 6 would pass 4 for ever.
#[tokio::test]
async fn an_uncommitted_insert_is_not_skipped() {
    let lab = Database::new().await;
    lab.exec("CREATE TABLE events (id bigserial PRIMARY KEY, at timestamptz DEFAULT now())").await;
    lab.exec("INSERT INTO events DEFAULT VALUES; INSERT INTO events DEFAULT VALUES; INSERT INTO events DEFAULT VALUES")
        .await;
    let warehouse = lab.open(false);
    let writer = lab.other().await;
    lab.settle().await;
    writer.batch_execute("BEGIN; INSERT INTO events DEFAULT VALUES").await.unwrap();
    lab.exec("INSERT INTO events DEFAULT VALUES; INSERT INTO events DEFAULT VALUES").await;
    assert_eq!(bound(warehouse.as_ref(), "id").await.as_deref(), Some("3"));
    assert_eq!(bound(warehouse.as_ref(), "at").await.as_deref(), Some("3"));
    let first = warehouse.bound(&events(), "id", "id").await.unwrap().unwrap();
    assert_eq!(ids(warehouse.as_ref(), None, first.clone()).await, ["1", "2", "3"]);
    writer.batch_execute("COMMIT").await.unwrap();
    lab.settle().await;
    let second = warehouse.bound(&events(), "id", "id").await.unwrap().unwrap();
    assert_eq!(ids(warehouse.as_ref(), Some(first), second).await, ["4", "5", "6"]);
}

/// An idle reader holds nothing back, nor does a writer that rolls back.
#[tokio::test]
async fn readers_and_rollbacks_hold_nothing_back() {
    let lab = Database::new().await;
    lab.exec("CREATE TABLE events (id bigserial PRIMARY KEY)").await;
    lab.exec("INSERT INTO events DEFAULT VALUES; INSERT INTO events DEFAULT VALUES").await;
    let warehouse = lab.open(false);
    let (reader, writer) = (lab.other().await, lab.other().await);
    reader.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM events").await.unwrap();
    lab.exec("INSERT INTO events DEFAULT VALUES").await;
    lab.settle().await;
    assert_eq!(bound(warehouse.as_ref(), "id").await.as_deref(), Some("3"));
    writer.batch_execute("BEGIN; INSERT INTO events DEFAULT VALUES").await.unwrap();
    lab.exec("INSERT INTO events DEFAULT VALUES").await;
    assert_eq!(bound(warehouse.as_ref(), "id").await.as_deref(), Some("3"));
    writer.batch_execute("ROLLBACK").await.unwrap();
    lab.settle().await;
    assert_eq!(bound(warehouse.as_ref(), "id").await.as_deref(), Some("5"));
}

/// Updates of old rows count too, and everything ahead means nothing to read yet.
#[tokio::test]
async fn rows_touched_by_a_running_window_are_ahead() {
    let lab = Database::new().await;
    lab.exec("CREATE TABLE events (id bigint PRIMARY KEY, n int, \"tidegate at\" int)").await;
    let writer = lab.other().await;
    writer.batch_execute("CREATE TABLE other (x int); BEGIN; INSERT INTO other VALUES (1)").await.unwrap();
    lab.exec("INSERT INTO events VALUES (1, 1)").await;
    let warehouse = lab.open(false);
    assert_eq!(bound(warehouse.as_ref(), "id").await, None);
    writer.batch_execute("COMMIT").await.unwrap();
    lab.settle().await;
    assert_eq!(bound(warehouse.as_ref(), "id").await.as_deref(), Some("1"));
}

/// Infinite cursors can be followed nowhere: they come first, as misfits; views have no transaction numbers.
#[tokio::test]
async fn infinity_is_no_bound_and_views_are_read_to_their_end() {
    let lab = Database::new().await;
    lab.exec("CREATE TABLE t (id text, at timestamptz); CREATE VIEW events AS SELECT * FROM t").await;
    lab.exec("INSERT INTO t VALUES ('a', '2024-01-01Z'), ('b', 'infinity'), ('c', '-infinity'), ('d', NULL)").await;
    let warehouse = lab.open(false);
    let to = warehouse.bound(&events(), "at", "id").await.unwrap().unwrap();
    assert_eq!(to.key.as_ref().map(|key| key.as_str()), Some("a"));
    let mode = ReadMode::Cursor { column: "at".into(), key: "id".into(), from: None, to };
    let columns = vec!["id".into(), "at".into()];
    let ask = ReadAsk { source: events(), columns, mode, page_rows: 100, timezone: "UTC".into() };
    let page = warehouse.read(ask).await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(page.len(), 4);
    assert_eq!(value_at(&page.rows, 0, 3).to_string(), "a");
    assert_eq!(page.misfits.iter().filter(|misfit| misfit.rule == "not_finite").count(), 2);
}
