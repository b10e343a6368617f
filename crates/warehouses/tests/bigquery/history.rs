//! The change history: windows, their ends, and full reads pinned to an instant.

use std::collections::BTreeMap;

use tidegate_model::ErrorKind;
use tidegate_model::cells::value_at;
use tidegate_model::page::DELETED;
use tidegate_model::ports::{ReadAsk, ReadMode, Warehouse};
use tidegate_model::schema::Source;
use tidegate_model::value::Value;
use tidegate_testkit::warehouse_suite::Lab;

use super::super::lab::Emulated;

fn source(lab: &Emulated) -> Source {
    Source::Relation(lab.relation("t"))
}

async fn read(warehouse: &dyn Warehouse, lab: &Emulated, mode: ReadMode) -> Vec<Vec<Value>> {
    let ask = ReadAsk {
        source: source(lab),
        columns: vec!["v".into(), "k".into()],
        mode,
        page_rows: 2,
        timezone: "UTC".into(),
    };
    let mut pages = warehouse.read(ask).await.expect("a read");
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await.expect("a page") {
        let width = page.rows.num_columns();
        if width == 3 {
            assert_eq!(page.rows.schema_ref().field(2).name(), DELETED);
        }
        rows.extend((0..page.len()).map(|row| (0..width).map(|at| value_at(&page.rows, at, row)).collect()));
    }
    rows
}

/// What a window shows of each key: its value, or that it is gone.
async fn window(warehouse: &dyn Warehouse, lab: &Emulated, from: &str, to: &str) -> BTreeMap<String, String> {
    let mode = ReadMode::Changes { key: "k".into(), from: from.into(), to: to.into(), added: false };
    let rows = read(warehouse, lab, mode).await;
    let told = rows.iter().map(|row| {
        let value = if row[2] == Value::Bool(true) { "gone".to_owned() } else { row[0].to_string() };
        (row[1].to_string(), value)
    });
    let told: BTreeMap<String, String> = told.collect();
    assert_eq!(told.len(), rows.len(), "a key twice: {rows:?}");
    told
}

async fn tracked(lab: &Emulated) {
    lab.run("CREATE TABLE t (k STRING, v INT64) OPTIONS (enable_change_history = TRUE)").await;
    lab.run("INSERT INTO t VALUES ('a', 1), ('b', 2), ('c', 3)").await;
}

fn says(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A pinned full read, then windows that join without a gap, netted per key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_read_and_its_windows_miss_nothing() {
    let lab = Emulated::ahead().await;
    tracked(&lab).await;
    let warehouse = lab.open(false);
    let schema = warehouse.describe(&source(&lab)).await.expect("a schema");
    assert!(schema.change_tracking && schema.history_days == Some(7));
    let first = warehouse.mark(&source(&lab)).await.expect("a mark");
    assert!(!warehouse.changed(&source(&lab), &first, &first).await.expect("told"), "nothing was changed since");
    lab.run("UPDATE t SET v = 20 WHERE k = 'b'").await;
    let full = ReadMode::Full { key: "k".into(), after: None, at: Some(first.clone()) };
    let keys: Vec<String> = read(warehouse.as_ref(), &lab, full).await.iter().map(|row| row[0].to_string()).collect();
    assert_eq!(keys, ["1", "2", "3"], "as it stood at the mark");
    assert!(warehouse.changed(&source(&lab), &first, &first).await.expect("told"));
    lab.run("DELETE FROM t WHERE k = 'c'").await;
    lab.run("INSERT INTO t VALUES ('d', 4), ('e', 5)").await;
    lab.run("UPDATE t SET v = 40 WHERE k = 'd'").await;
    lab.run("DELETE FROM t WHERE k = 'e'").await;
    let second = warehouse.mark(&source(&lab)).await.expect("a mark");
    assert!(second > first);
    let want = says(&[("b", "20"), ("c", "gone"), ("d", "40"), ("e", "gone")]);
    assert_eq!(window(warehouse.as_ref(), &lab, &first, &second).await, want);
    assert_eq!(window(warehouse.as_ref(), &lab, &first, &second).await, want, "reading it again gives the same");
    lab.run("INSERT INTO t VALUES ('c', 33)").await;
    let third = warehouse.mark(&source(&lab)).await.expect("a mark");
    assert_eq!(window(warehouse.as_ref(), &lab, &second, &third).await, says(&[("c", "33")]));
    assert_eq!(window(warehouse.as_ref(), &lab, &third, &third).await, says(&[]));
}

/// What has no history says so; one that was made anew has lost it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_is_not_there_is_told() {
    let lab = Emulated::ahead().await;
    tracked(&lab).await;
    let warehouse = lab.open(false);
    let before = warehouse.mark(&source(&lab)).await.expect("a mark");
    lab.run("CREATE OR REPLACE TABLE t (k STRING, v INT64)").await;
    assert!(!warehouse.describe(&source(&lab)).await.expect("a schema").change_tracking);
    let after = warehouse.mark(&source(&lab)).await.expect("a mark");
    let ask = |from: &str| ReadAsk {
        source: source(&lab),
        columns: vec!["k".into()],
        mode: ReadMode::Changes { key: "k".into(), from: from.into(), to: after.clone(), added: false },
        page_rows: 2,
        timezone: "UTC".into(),
    };
    let kind = |outcome: tidegate_model::Result<tidegate_model::page::Pages>| outcome.err().map(|error| error.kind);
    assert_eq!(kind(warehouse.read(ask(&before)).await), Some(ErrorKind::HistoryGone));
    assert_eq!(kind(warehouse.read(ask(&after)).await), Some(ErrorKind::BadRequest), "history is off");
    lab.run("CREATE VIEW w AS SELECT * FROM t").await;
    let view = Source::Relation(lab.relation("w"));
    assert_eq!(warehouse.mark(&view).await.expect_err("a view").kind, ErrorKind::Config);
    assert!(warehouse.changed(&view, &before, &after).await.expect("told"), "of a view nobody knows");
}

/// Without the clock that runs ahead: what was just written is no history yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_ten_minutes_are_no_history_yet() {
    let lab = Emulated::new().await;
    tracked(&lab).await;
    let warehouse = lab.open(false);
    // A table that is younger than ten minutes begins as it was made.
    let mark = warehouse.mark(&source(&lab)).await.expect("a mark");
    let mode = ReadMode::Changes { key: "k".into(), from: mark.clone(), to: mark, added: false };
    let ask = ReadAsk { source: source(&lab), columns: vec!["k".into()], mode, page_rows: 2, timezone: "UTC".into() };
    let error = warehouse.read(ask).await.err().expect("too early");
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error:?}");
    assert!(error.hint.is_some_and(|hint| hint.contains("minutes")));
}

/// APPENDS: what came, without the option, and nothing of what was changed or left; the same twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_came_show_without_a_history() {
    let lab = Emulated::ahead().await;
    lab.run("CREATE TABLE t (k STRING, v INT64)").await;
    lab.run("INSERT INTO t VALUES ('a', 1), ('b', 2)").await;
    let warehouse = lab.open(false);
    let schema = warehouse.describe(&source(&lab)).await.expect("a schema");
    assert!(!schema.change_tracking && schema.appends);
    let first = warehouse.mark(&source(&lab)).await.expect("a mark");
    lab.run("INSERT INTO t VALUES ('c', 3)").await;
    lab.run("UPDATE t SET v = 10 WHERE k = 'a'").await;
    lab.run("DELETE FROM t WHERE k = 'b'").await;
    lab.run("INSERT INTO t VALUES ('d', 4), ('d', 5)").await;
    let second = warehouse.mark(&source(&lab)).await.expect("a mark");
    let added =
        |from: &str, to: &str| ReadMode::Changes { key: "k".into(), from: from.into(), to: to.into(), added: true };
    for _ in 0..2 {
        let mut rows: Vec<String> = read(warehouse.as_ref(), &lab, added(&first, &second))
            .await
            .iter()
            .map(|row| format!("{}{}{}", row[1], row[0], row[2] == Value::Bool(true)))
            .collect();
        rows.sort();
        assert_eq!(rows, ["c3false", "d4false", "d5false"]);
    }
    assert!(read(warehouse.as_ref(), &lab, added(&second, &second)).await.is_empty());
    lab.run("CREATE VIEW w AS SELECT * FROM t").await;
    let view = Source::Relation(lab.relation("w"));
    assert!(!warehouse.describe(&view).await.expect("a schema").appends);
}
