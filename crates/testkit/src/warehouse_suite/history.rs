//! Change history: marks, windows between them, full reads pinned to one. Run by warehouses that keep one.

use std::collections::BTreeMap;

use tidegate_model::ErrorKind;
use tidegate_model::page::DELETED;
use tidegate_model::ports::{ReadMode, Warehouse};
use tidegate_model::value::{Type, Value};

use super::{Got, Lab, ask, full, read, source, table_sql};

/// What a window says of each key: its values, or that it left.
type Window = BTreeMap<String, Option<Vec<String>>>;

/// A lab whose tables can have a change history.
#[async_trait::async_trait]
pub trait HistoryLab: Lab {
    /// Turns the history of a table on. It may be read from some time after this on.
    async fn track(&self, table: &str);
    /// Waits, or puts the clock forward, until a new mark covers all that was committed so far.
    async fn pass_lag(&self);
}

async fn mark(lab: &dyn HistoryLab, warehouse: &dyn Warehouse) -> String {
    lab.pass_lag().await;
    warehouse.mark(&source(lab, "t")).await.expect("a mark")
}

async fn window_read(lab: &dyn HistoryLab, warehouse: &dyn Warehouse, from: &str, to: &str, columns: &[&str]) -> Got {
    let mode = ReadMode::Changes { key: "k".into(), from: from.into(), to: to.into(), added: false };
    read(warehouse, ask(source(lab, "t"), columns, mode)).await
}

/// A window, net per key: what is not deleted counts.
async fn window(lab: &dyn HistoryLab, warehouse: &dyn Warehouse, from: &str, to: &str) -> Window {
    let got = window_read(lab, warehouse, from, to, &["k", "v"]).await;
    let mut net = Window::new();
    for row in &got.rows {
        assert_eq!(row.len(), 3, "the columns asked for, and {DELETED}");
        let left = matches!(row[2], Value::Bool(true));
        assert!(left || matches!(row[2], Value::Bool(false)), "{:?} says neither", row[2]);
        let key = row[0].to_string();
        let old = net.get(&key).cloned();
        match (left, old) {
            (true, Some(Some(_))) => {}
            (true, _) => {
                net.insert(key, None);
            }
            (false, Some(Some(_))) => panic!("{key} shows twice"),
            (false, _) => {
                net.insert(key, Some(vec![row[1].to_string()]));
            }
        }
    }
    net
}

/// The rows asked for must show as they are; of others, which may show, nothing wrong may be said.
fn holds(window: &Window, changed: &[(&str, Option<&str>)], others: &[(&str, &str)]) {
    for (key, value) in changed {
        let expected = value.map(|value| vec![value.to_owned()]);
        assert_eq!(window.get(*key), Some(&expected), "{key} in {window:?}");
    }
    for (key, value) in window {
        if changed.iter().any(|(known, _)| known == key) {
            continue;
        }
        let stands = others.iter().find(|(known, _)| known == key).map(|(_, value)| vec![(*value).to_owned()]);
        assert_eq!(*value, stands, "{key} did not change: {window:?}");
    }
}

async fn tracked(lab: &dyn HistoryLab) -> String {
    let table = table_sql(lab, "t");
    let text = lab.native(Type::Text);
    lab.exec(&format!("CREATE TABLE {table} (k {text}, v {text})")).await;
    lab.track("t").await;
    lab.exec(&format!("INSERT INTO {table} VALUES ('a', '1'), ('b', '1'), ('c', '1'), ('d', '1')")).await;
    table
}

/// Inserts, updates, deletes, changed keys, and what came and went; one window after the other, each twice.
pub async fn windows_follow_one_another_and_show_each_change(lab: &dyn HistoryLab) {
    let table = tracked(lab).await;
    let warehouse = lab.open(false);
    let warehouse = warehouse.as_ref();
    assert!(warehouse.abilities().tracking);
    assert!(warehouse.describe(&source(lab, "t")).await.expect("a schema").change_tracking);
    let first = mark(lab, warehouse).await;
    for sql in [
        format!("INSERT INTO {table} VALUES ('e', '1'), ('f', '1')"),
        format!("UPDATE {table} SET v = '2' WHERE k = 'a'"),
        format!("UPDATE {table} SET v = '3' WHERE k = 'a'"),
        format!("DELETE FROM {table} WHERE k = 'b'"),
        format!("UPDATE {table} SET k = 'cc' WHERE k = 'c'"),
        format!("UPDATE {table} SET v = '2' WHERE k = 'e'"),
        format!("DELETE FROM {table} WHERE k = 'f'"),
    ] {
        lab.exec(&sql).await;
    }
    let second = mark(lab, warehouse).await;
    lab.exec(&format!("INSERT INTO {table} VALUES ('b', '9')")).await;
    lab.exec(&format!("DELETE FROM {table} WHERE k = 'a'")).await;
    let third = mark(lab, warehouse).await;
    for _again in 0..2 {
        let seen = window(lab, warehouse, &first, &second).await;
        let changed = [("a", Some("3")), ("b", None), ("c", None), ("cc", Some("1")), ("e", Some("2"))];
        holds(&seen, &changed, &[("d", "1")]);
        let seen = window(lab, warehouse, &second, &third).await;
        holds(&seen, &[("a", None), ("b", Some("9"))], &[("cc", "1"), ("d", "1"), ("e", "2")]);
    }
    // Over both at once, net.
    let seen = window(lab, warehouse, &first, &third).await;
    let changed = [("a", None), ("b", Some("9")), ("c", None), ("cc", Some("1")), ("e", Some("2"))];
    holds(&seen, &changed, &[("d", "1")]);
}

/// A key that moved to another row shows as the row that has it now.
pub async fn a_key_that_changed_hands_shows_its_new_row(lab: &dyn HistoryLab) {
    let table = tracked(lab).await;
    let warehouse = lab.open(false);
    let first = mark(lab, warehouse.as_ref()).await;
    lab.exec(&format!("UPDATE {table} SET k = 'x', v = '2' WHERE k = 'a'")).await;
    lab.exec(&format!("UPDATE {table} SET k = 'a', v = '3' WHERE k = 'b'")).await;
    let second = mark(lab, warehouse.as_ref()).await;
    let seen = window(lab, warehouse.as_ref(), &first, &second).await;
    holds(&seen, &[("a", Some("3")), ("b", None), ("x", Some("2"))], &[("c", "1"), ("d", "1")]);
}

/// Pinned to a mark, a full read shows the rows of then, in key order.
pub async fn a_pinned_full_read_shows_the_rows_of_then(lab: &dyn HistoryLab) {
    let table = tracked(lab).await;
    let warehouse = lab.open(false);
    if !warehouse.abilities().time_travel {
        return;
    }
    let then = mark(lab, warehouse.as_ref()).await;
    lab.exec(&format!("DELETE FROM {table} WHERE k = 'b'")).await;
    lab.exec(&format!("UPDATE {table} SET v = '2' WHERE k = 'c'")).await;
    let pinned = |after: Option<&str>| ReadMode::Full {
        key: "k".into(),
        after: after.map(tidegate_model::record::Key::new),
        at: Some(then.clone()),
    };
    let got = read(warehouse.as_ref(), ask(source(lab, "t"), &["k", "v"], pinned(None))).await;
    assert_eq!((got.column(0), got.column(1)), (strings(&["a", "b", "c", "d"]), strings(&["1", "1", "1", "1"])));
    let got = read(warehouse.as_ref(), ask(source(lab, "t"), &["k"], pinned(Some("b")))).await;
    assert_eq!(got.column(0), ["c", "d"]);
    let got = read(warehouse.as_ref(), ask(source(lab, "t"), &["k"], full("k"))).await;
    assert_eq!(got.column(0), ["a", "c", "d"]);
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The gate may be open for nothing; it is never closed to a change.
pub async fn the_gate_is_open_to_every_change(lab: &dyn HistoryLab) {
    let table = tracked(lab).await;
    let warehouse = lab.open(false);
    let mut since = mark(lab, warehouse.as_ref()).await;
    for n in 0..3 {
        lab.exec(&format!("UPDATE {table} SET v = 'n{n}' WHERE k = 'a'")).await;
        let to = mark(lab, warehouse.as_ref()).await;
        assert!(warehouse.changed(&source(lab, "t"), &since, &to).await.expect("an answer"), "change {n}");
        since = to;
    }
}

/// A column that is added while a window is open can be read in it, and is NULL in rows that did not get it.
pub async fn a_column_that_is_added_shows_in_open_windows(lab: &dyn HistoryLab) {
    let table = tracked(lab).await;
    let warehouse = lab.open(false);
    let first = mark(lab, warehouse.as_ref()).await;
    lab.exec(&format!("UPDATE {table} SET v = '2' WHERE k = 'a'")).await;
    lab.exec(&format!("ALTER TABLE {table} ADD COLUMN more {}", lab.native(Type::Int64))).await;
    lab.exec(&format!("UPDATE {table} SET more = 7 WHERE k = 'b'")).await;
    let second = mark(lab, warehouse.as_ref()).await;
    let seen = window(lab, warehouse.as_ref(), &first, &second).await;
    holds(&seen, &[("a", Some("2")), ("b", Some("1"))], &[("c", "1"), ("d", "1")]);
    let got = window_read(lab, warehouse.as_ref(), &first, &second, &["k", "more"]).await;
    let more = |key: &str| {
        let row = got.rows.iter().find(|row| row[0].to_string() == key && row[2] == Value::Bool(false));
        row.map(|row| row[1].clone())
    };
    assert_eq!((more("a"), more("b")), (Some(Value::Null), Some(Value::Int(7))));
}

/// A table that was made anew has no history from before: said as that, so that the engine reads it all.
pub async fn a_table_that_was_made_anew_has_lost_its_history(lab: &dyn HistoryLab) {
    let table = tracked(lab).await;
    let warehouse = lab.open(false);
    let first = mark(lab, warehouse.as_ref()).await;
    let text = lab.native(Type::Text);
    lab.exec(&format!("CREATE OR REPLACE TABLE {table} (k {text}, v {text})")).await;
    lab.track("t").await;
    lab.exec(&format!("INSERT INTO {table} VALUES ('z', '1')")).await;
    let second = mark(lab, warehouse.as_ref()).await;
    let mode = ReadMode::Changes { key: "k".into(), from: first, to: second.clone(), added: false };
    let outcome = match warehouse.read(ask(source(lab, "t"), &["k"], mode)).await {
        Ok(mut pages) => pages.next().await.map(|_| ()),
        Err(error) => Err(error),
    };
    let error = outcome.expect_err("a window into another table's history");
    assert_eq!(error.kind, ErrorKind::HistoryGone, "{error:?}");
    lab.exec(&format!("INSERT INTO {table} VALUES ('y', '1')")).await;
    let third = mark(lab, warehouse.as_ref()).await;
    holds(&window(lab, warehouse.as_ref(), &second, &third).await, &[("y", Some("1"))], &[("z", "1")]);
}

/// Without a history, a mark is refused with what turns it on.
pub async fn a_table_without_history_has_no_marks(lab: &dyn HistoryLab) {
    let table = table_sql(lab, "t");
    lab.exec(&format!("CREATE TABLE {table} (k {})", lab.native(Type::Text))).await;
    let warehouse = lab.open(false);
    assert!(!warehouse.describe(&source(lab, "t")).await.expect("a schema").change_tracking);
    let error = warehouse.mark(&source(lab, "t")).await.expect_err("no history");
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.hint.as_deref().unwrap_or("").contains("ALTER TABLE"), "{error:?}");
}

/// Values come out of a window as they come out of a full read, and names are quoted there too.
pub async fn a_window_reads_values_as_a_full_read_does(lab: &dyn HistoryLab) {
    let table = table_sql(lab, "t");
    let types = [
        ("k", Type::Text, "'k''1'"),
        ("the int", Type::Int64, "-9223372036854775807"),
        ("dec", Type::Decimal { precision: 12, scale: 2 }, "-1234567890.12"),
        ("float", Type::Float64, "0.1"),
        ("yes", Type::Bool, "TRUE"),
        ("day", Type::Date, "'2024-02-29'"),
        ("at", Type::Timestamp, "'2024-02-29 12:00:00.000001'"),
        ("zoned", Type::TimestampTz, "'2024-02-29 12:00:00.000001+02:00'"),
        ("nothing", Type::Text, "NULL"),
    ];
    let declared: Vec<String> =
        types.iter().map(|(name, logical, _)| format!("{} {}", super::quoted(name), lab.native(*logical))).collect();
    lab.exec(&format!("CREATE TABLE {table} ({})", declared.join(", "))).await;
    lab.track("t").await;
    let warehouse = lab.open(false);
    let first = mark(lab, warehouse.as_ref()).await;
    let values: Vec<&str> = types.iter().map(|(_, _, value)| *value).collect();
    lab.exec(&format!("INSERT INTO {table} VALUES ({})", values.join(", "))).await;
    let second = mark(lab, warehouse.as_ref()).await;
    let names: Vec<&str> = types.iter().map(|(name, _, _)| *name).collect();
    let whole = read(warehouse.as_ref(), ask(source(lab, "t"), &names, full("k"))).await;
    let mut changed = window_read(lab, warehouse.as_ref(), &first, &second, &names).await;
    assert_eq!(changed.rows.len(), 1);
    assert_eq!(changed.rows[0].pop(), Some(Value::Bool(false)));
    assert_eq!(changed, whole);
}

/// One test per case of change history; the expression makes a [`HistoryLab`] in an async context.
#[macro_export]
macro_rules! warehouse_history_suite {
    ($lab:expr) => {
        $crate::warehouse_suite_cases! { $lab =>
            windows_follow_one_another_and_show_each_change
            a_key_that_changed_hands_shows_its_new_row
            a_pinned_full_read_shows_the_rows_of_then
            the_gate_is_open_to_every_change
            a_column_that_is_added_shows_in_open_windows
            a_table_that_was_made_anew_has_lost_its_history
            a_table_without_history_has_no_marks
            a_window_reads_values_as_a_full_read_does
        }
    };
}
