//! Reads after a cursor.

use tidegate_model::ports::{ReadMode, Warehouse};
use tidegate_model::span::CursorPoint;
use tidegate_model::value::{Type, Value};

use super::{Got, Lab, ask, read, source, table_sql};

async fn window(warehouse: &dyn Warehouse, lab: &dyn Lab, from: Option<CursorPoint>, to: &CursorPoint) -> Got {
    let mode = ReadMode::Cursor { column: "c".into(), key: "k".into(), from, to: to.clone() };
    read(warehouse, ask(source(lab, "t"), &["k", "c"], mode)).await
}

async fn bound(warehouse: &dyn Warehouse, lab: &dyn Lab) -> CursorPoint {
    lab.settle().await;
    warehouse.bound(&source(lab, "t"), "c", "k").await.expect("a bound").expect("rows")
}

/// Two windows in a row, with ties at their edge: every row once, rows without a cursor first each time.
pub async fn cursor_reads_hand_out_every_row_once(lab: &dyn Lab) {
    let table = table_sql(lab, "t");
    lab.exec(&format!("CREATE TABLE {table} (k {}, c {})", lab.native(Type::Text), lab.native(Type::Int64))).await;
    lab.exec(&format!(
        "INSERT INTO {table} VALUES ('z', 1), ('b', 3), ('B', 3), ('é', 3), ('n', NULL), ('a', 2), (NULL, 2)"
    ))
    .await;
    let warehouse = lab.open(false);
    let first = bound(warehouse.as_ref(), lab).await;
    assert_eq!(first.value, Value::Int(3));
    assert_eq!(first.key.as_ref().map(|key| key.as_str()), Some("é"));
    let got = window(warehouse.as_ref(), lab, None, &first).await;
    assert_eq!(got.column(0), ["n", "z", "NULL", "a", "B", "b", "é"]);
    // One more with the same cursor, and one beyond.
    lab.exec(&format!("INSERT INTO {table} VALUES ('ö', 3), ('a', 4)")).await;
    let again = window(warehouse.as_ref(), lab, None, &first).await;
    assert_eq!(again.rows, got.rows, "rows past the bound came along");
    let second = bound(warehouse.as_ref(), lab).await;
    assert_eq!(window(warehouse.as_ref(), lab, Some(first.clone()), &second).await.column(0), ["n", "ö", "a"]);
    assert_eq!(window(warehouse.as_ref(), lab, Some(second.clone()), &second).await.column(0), ["n"]);
    // Without a key a point stands after all rows of its value.
    let whole = CursorPoint { value: Value::Int(3), key: None };
    assert_eq!(window(warehouse.as_ref(), lab, Some(whole.clone()), &second).await.column(0), ["n", "a"]);
    assert_eq!(window(warehouse.as_ref(), lab, None, &whole).await.rows.len(), 8);
}

/// Dates, times and decimals are compared as what they are.
pub async fn cursors_of_times_and_numbers_follow_their_own_order(lab: &dyn Lab) {
    let cases: [(Type, [&str; 3]); 6] = [
        (Type::Timestamp, ["'2024-01-01 09:00:00'", "'2024-01-01 10:00:00'", "'2024-01-01 10:00:00.5'"]),
        (
            Type::TimestampTz,
            ["'2024-01-01 11:00:00+02:00'", "'2024-01-01 10:00:00+00:00'", "'2024-01-01 10:00:00.000001+00:00'"],
        ),
        (Type::Date, ["'1969-12-31'", "'2024-02-29'", "'2024-03-01'"]),
        (Type::Decimal { precision: 12, scale: 2 }, ["-1.5", "9.25", "10"]),
        (Type::Float64, ["-1e300", "0.1", "1e10"]),
        (Type::Int64, ["-5", "9", "10"]),
    ];
    for (logical, values) in cases {
        let table = table_sql(lab, "t");
        lab.exec(&format!("CREATE TABLE {table} (k {}, c {})", lab.native(Type::Text), lab.native(logical))).await;
        let warehouse = lab.open(false);
        lab.exec(&format!("INSERT INTO {table} VALUES ('b', {}), ('c', {})", values[1], values[0])).await;
        let first = bound(warehouse.as_ref(), lab).await;
        assert_eq!(window(warehouse.as_ref(), lab, None, &first).await.column(0), ["c", "b"], "{logical}");
        lab.exec(&format!("INSERT INTO {table} VALUES ('a', {})", values[2])).await;
        let second = bound(warehouse.as_ref(), lab).await;
        assert_eq!(window(warehouse.as_ref(), lab, Some(first), &second).await.column(0), ["a"], "{logical}");
        lab.exec(&format!("DROP TABLE {table}")).await;
    }
}

/// No rows, or only rows without a cursor: nowhere to go.
pub async fn an_empty_relation_has_no_bound(lab: &dyn Lab) {
    let table = table_sql(lab, "t");
    lab.exec(&format!("CREATE TABLE {table} (k {}, c {})", lab.native(Type::Text), lab.native(Type::TimestampTz)))
        .await;
    let warehouse = lab.open(false);
    assert_eq!(warehouse.bound(&source(lab, "t"), "c", "k").await.expect("a bound"), None);
    lab.exec(&format!("INSERT INTO {table} VALUES ('a', NULL)")).await;
    assert_eq!(warehouse.bound(&source(lab, "t"), "c", "k").await.expect("a bound"), None);
}
