//! Cells of SQLite: their types are their own.

use tidegate_model::cells::PageBuilder;
use tidegate_model::cells::value_at;
use tidegate_model::page::{Held, Page};
use tidegate_model::ports::{Load, LoadMode, ReadAsk, ReadMode, Warehouse};
use tidegate_model::schema::{Relation, Source};
use tidegate_model::span::{Fence, OpId};
use tidegate_model::sync::DatasetLink;
use tidegate_model::value::{Decimal, Type, Value};
use tidegate_testkit::warehouse_suite::Lab;

use super::File;

async fn read(warehouse: &dyn Warehouse, source: Source, columns: &[&str], mode: ReadMode, timezone: &str) -> Page {
    let columns = columns.iter().map(|name| (*name).to_owned()).collect();
    let ask = ReadAsk { source, columns, mode, page_rows: 1_000, timezone: timezone.into() };
    warehouse.read(ask).await.expect("a read").next().await.expect("a page").expect("rows")
}

fn table(name: &str) -> Source {
    Source::Relation(Relation(vec![name.into()]))
}

fn full(key: &str) -> ReadMode {
    ReadMode::Full { key: key.into(), after: None, at: None }
}

fn texts(page: &Page, column: usize) -> Vec<String> {
    (0..page.len()).map(|row| value_at(&page.rows, column, row).to_string()).collect()
}

#[tokio::test]
async fn cells_of_another_type_are_misfits() {
    let file = File::new();
    file.exec(
        "CREATE TABLE t (k INTEGER PRIMARY KEY, i INTEGER, r REAL, d DECIMAL(5,2), b BOOLEAN, day DATE, at DATETIME, tz TIMESTAMPTZ, x TEXT, j JSON); \
         INSERT INTO t VALUES (1, 'abc', 'abc', 'abc', 2, '2024-02-30', 'yesterday', '2024-01-01T00:00:00.1234567Z', x'ff', '{'); \
         INSERT INTO t VALUES (2, 1.5, 9e999, 1234.5, 'maybe', 20240101, 1704067200, '10:00', CAST(x'ff' AS TEXT), 'x'); \
         INSERT INTO t VALUES (3, 7, 3, 1.255, 'TRUE', '2024-02-29', '2024-01-01T10:00:00+02:00', '2024-01-01', 7, '7'); \
         INSERT INTO t VALUES (4, 7.0, 0.1, 0.1, 1, NULL, '2024-01-01', '2024-01-01 10:00', 'é', '[1.50]')",
    )
    .await;
    let columns = ["i", "r", "d", "b", "day", "at", "tz", "x", "j"];
    let page = read(file.open(false).as_ref(), table("t"), &columns, full("k"), "Europe/Stockholm").await;
    let rules: Vec<(usize, &str, &str)> = page.misfits.iter().map(|m| (m.row, columns[m.column], m.rule)).collect();
    let wrong = |row, column| (row, column, "wrong_type");
    assert_eq!(
        rules,
        [
            wrong(0, "i"),
            wrong(0, "r"),
            (0, "d", "bad_number"),
            wrong(0, "b"),
            (0, "day", "bad_date"),
            (0, "at", "bad_date"),
            (0, "tz", "sub_microsecond"),
            wrong(0, "x"),
            (0, "j", "bad_json"),
            wrong(1, "i"),
            (1, "r", "not_finite"),
            (1, "d", "out_of_range"),
            wrong(1, "b"),
            wrong(1, "day"),
            wrong(1, "at"),
            (1, "tz", "bad_date"),
            (1, "x", "bad_text"),
            (1, "j", "bad_json"),
            (2, "d", "out_of_range"),
        ]
    );
    assert!(page.misfits.iter().all(|misfit| !misfit.reason.contains("abc") && !misfit.reason.contains("1.255")));
    let row =
        |row: usize| -> Vec<String> { (0..columns.len()).map(|c| value_at(&page.rows, c, row).to_string()).collect() };
    assert_eq!(row(2), ["7", "3", "", "true", "2024-02-29", "2024-01-01T09:00:00", "2023-12-31T23:00:00Z", "7", "7"]);
    assert_eq!(row(3), ["7", "0.1", "0.10", "true", "", "2024-01-01T00:00:00", "2024-01-01T09:00:00Z", "é", "[1.50]"]);
}

#[tokio::test]
async fn columns_without_a_type_take_that_of_their_cells() {
    let file = File::new();
    file.exec(
        "CREATE TABLE t (k TEXT, n INTEGER, bare); INSERT INTO t VALUES ('a', 1, 1), ('b', 2, 2.5), ('c', NULL, NULL)",
    )
    .await;
    let query = Source::Query("SELECT k, n, n * 2 AS twice, n / 2.0 AS half, k || '!' AS loud, bare, NULL AS no_value, count(*) OVER () AS many FROM t".into());
    let schema = file.open(false).describe(&query).await.expect("a schema");
    let types: Vec<Type> = schema.columns.iter().map(|column| column.logical).collect();
    use Type::{Float64, Int64, Text};
    assert_eq!(types, [Text, Int64, Int64, Float64, Text, Float64, Text, Int64]);
    let page = read(file.open(false).as_ref(), query, &["many", "loud"], full("k"), "UTC").await;
    assert_eq!(
        (texts(&page, 0), texts(&page, 1)),
        (vec!["3".into(), "3".into(), "3".into()], vec!["a!".into(), "b!".into(), "c!".into()])
    );
}

#[tokio::test]
async fn keys_sort_by_bytes_whatever_the_columns_collation_says() {
    let file = File::new();
    file.exec("CREATE TABLE t (k TEXT COLLATE NOCASE); CREATE INDEX i ON t (k); INSERT INTO t VALUES ('b'), ('A'), ('a'), ('B'), (NULL), (x'00'), ('')").await;
    file.exec("CREATE TABLE bare (k); INSERT INTO bare VALUES ('b'), (10), (9), (NULL), (x'00'), ('1'), (1.5)").await;
    let page = read(file.open(false).as_ref(), table("t"), &["k"], full("k"), "UTC").await;
    assert_eq!(texts(&page, 0), ["", "", "", "A", "B", "a", "b"]);
    assert_eq!(page.misfits.len(), 1); // the blob, first beside the NULL
    assert!(page.misfits[0].row < 2);
    let after = ReadMode::Full { key: "k".into(), after: Some(tidegate_model::record::Key::new("B")), at: None };
    assert_eq!(texts(&read(file.open(false).as_ref(), table("t"), &["k"], after, "UTC").await, 0), ["a", "b"]);
    let page = read(file.open(false).as_ref(), table("bare"), &["k"], full("k"), "UTC").await;
    assert_eq!(texts(&page, 0)[3..], ["1", "10", "9", "b"]);
    let keys = [tidegate_model::record::Key::new("A"), tidegate_model::record::Key::new("c")];
    let found = file.open(false).fetch(&table("t"), &["k".into()], "k", &keys, "UTC").await.expect("a page");
    assert_eq!(texts(&found, 0), ["A"]);
}

#[tokio::test]
async fn time_cursors_compare_times_not_texts() {
    let file = File::new();
    file.exec(
        "CREATE TABLE t (k TEXT PRIMARY KEY, at TIMESTAMP); INSERT INTO t VALUES ('a', '2024-01-01T10:00:00'), ('b', '2024-01-01 11:00:00'), \
         ('c', '2024-01-01T10:30:00Z'), ('d', 'not a time'), ('e', '2024-01-01 12:00:00+02:00')",
    )
    .await;
    let warehouse = file.open(false);
    let to = warehouse.bound(&table("t"), "at", "k").await.expect("a bound").expect("rows");
    assert_eq!(to.key.as_ref().map(|key| key.as_str()), Some("b"));
    for zone in ["UTC", "America/New_York", "Asia/Tokyo"] {
        let mode = ReadMode::Cursor { column: "at".into(), key: "k".into(), from: None, to: to.clone() };
        let page = read(warehouse.as_ref(), table("t"), &["k", "at"], mode, zone).await;
        assert_eq!(texts(&page, 0), ["d", "a", "e", "c", "b"], "{zone}");
        assert_eq!(page.misfits[0].rule, "bad_date");
    }
    let mode = ReadMode::Cursor { column: "at".into(), key: "k".into(), from: Some(to.clone()), to };
    assert_eq!(texts(&read(warehouse.as_ref(), table("t"), &["k"], mode, "UTC").await, 0), ["d"]);
}

#[tokio::test]
async fn decimals_that_sqlite_would_round_are_refused() {
    let file = File::new();
    file.exec("CREATE TABLE t (k INTEGER PRIMARY KEY, d DECIMAL(38,10))").await;
    let numbers = [
        "12345678901234.5",
        "0.1",
        "1234567890123456789",
        "1234567890.12345678",
        "12345678901234567890123",
        "-99999.9999999999",
    ];
    let mut builder = PageBuilder::new(&[("d".to_owned(), Type::Decimal { precision: 38, scale: 10 })]);
    for number in numbers {
        builder.push(&Value::Decimal(Decimal::parse(number).unwrap()));
        builder.end_row();
    }
    let load = Load {
        mode: LoadMode::Append,
        key: None,
        op: OpId("1".into()),
        fence: Fence { sync: "s".into(), store: "ours".into(), epoch: 1 },
        link: DatasetLink::default(),
    };
    let pages = Box::new(Held::one(builder.take().unwrap()));
    let loaded = file.open(true).load(&Relation(vec!["t".into()]), &load, pages).await.expect("a load");
    let rejected: Vec<(u64, &str)> = loaded.rejected.iter().map(|(row, why)| (*row, why.rule.as_str())).collect();
    assert_eq!(rejected, [(3, "loses_digits"), (4, "loses_digits")]);
    let page = read(file.open(false).as_ref(), table("t"), &["d"], ReadMode::Unordered, "UTC").await;
    let kept: Vec<Value> = (0..page.len()).map(|row| value_at(&page.rows, 0, row)).collect();
    let want: Vec<Value> = [0, 1, 2, 5].map(|at: usize| Value::Decimal(Decimal::parse(numbers[at]).unwrap())).to_vec();
    assert_eq!(kept, want);
}
