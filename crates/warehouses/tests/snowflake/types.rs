//! Values at the limits of Snowflake's own types: as the account's owner writes them, and by each way of writing of ours.
//! What the suite has for all warehouses (dates, whole numbers, texts) is not said again.

use std::sync::Arc;

use serde_json::json;
use tidegate_model::cells::{PageBuilder, value_at};
use tidegate_model::change::{Action, Change, Outcome};
use tidegate_model::page::{Held, Page};
use tidegate_model::ports::{Load, LoadMode, ReadAsk, ReadMode, Warehouse};
use tidegate_model::record::{Fields, Key};
use tidegate_model::schema::Source;
use tidegate_model::span::{Fence, OpId};
use tidegate_model::value::{Decimal, Type, Value};
use tidegate_testkit::warehouse_suite::Lab;

use crate::lab::Emulated;

const NINES: &str = "99999999999999999999999999999999999999"; // 38

const TABLE: &str = "CREATE TABLE \"LAB\".\"PUBLIC\".\"t\" (\"k\" VARCHAR, \"big\" NUMBER(38,0), \"fine\" NUMBER(38,37), \
    \"money\" NUMBER(12,2), \"f\" FLOAT, \"yes\" BOOLEAN, \"clock\" TIME(9), \"at\" TIMESTAMP_NTZ(9), \"zoned\" TIMESTAMP_TZ(9), \
    \"bin\" BINARY, \"doc\" VARIANT, \"thing\" OBJECT, \"t\" VARCHAR)";

const COLUMNS: [(&str, Type); 13] = [
    ("k", Type::Text),
    ("big", Type::Decimal { precision: 38, scale: 0 }),
    ("fine", Type::Decimal { precision: 38, scale: 37 }),
    ("money", Type::Decimal { precision: 12, scale: 2 }),
    ("f", Type::Float64),
    ("yes", Type::Bool),
    ("clock", Type::Time),
    ("at", Type::Timestamp),
    ("zoned", Type::TimestampTz),
    ("bin", Type::Binary),
    ("doc", Type::Json),
    ("thing", Type::Json),
    ("t", Type::Text),
];

async fn made() -> Emulated {
    let lab = Emulated::new().await;
    lab.run(TABLE).await;
    lab
}

fn number(digits: &str) -> Value {
    Value::Decimal(Decimal::parse(digits).unwrap())
}

async fn pages(lab: &Emulated, columns: &[&str]) -> Vec<Page> {
    let ask = ReadAsk {
        source: Source::Relation(lab.relation("t")),
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        mode: ReadMode::Full { key: "k".into(), after: None, at: None },
        page_rows: 100,
        timezone: "UTC".into(),
    };
    let mut read = lab.open(false).read(ask).await.expect("a read");
    let mut pages = Vec::new();
    while let Some(page) = read.next().await.expect("a page") {
        pages.push(page);
    }
    pages
}

async fn rows(lab: &Emulated, columns: &[&str]) -> Vec<Vec<Value>> {
    let pages = pages(lab, columns).await;
    assert!(pages.iter().all(|page| page.misfits.is_empty()), "{:?}", pages[0].misfits);
    let cells = |page: &Page, row| (0..columns.len()).map(|at| value_at(&page.rows, at, row)).collect();
    pages.iter().flat_map(|page| (0..page.len()).map(|row| cells(page, row)).collect::<Vec<_>>()).collect()
}

/// Offsets are converted, an empty text is not NULL, a document keeps its NULLs; what we cannot hold is a misfit that
/// says so, and never another value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_owner_wrote_is_read_exactly_or_said_to_be_a_misfit() {
    let lab = made().await;
    for (columns, values) in [
        ("\"k\", \"zoned\"", "'a', '2024-02-29 23:59:59.999999+05:30'"),
        ("\"k\", \"zoned\"", "'b', '0001-01-01 00:00:00-11:00'"),
        ("\"k\", \"zoned\"", "'c', '9999-12-31 12:59:59.999999+14:00'"),
        ("\"k\", \"t\"", "'d', ''"),
        ("\"k\", \"t\"", "'e', NULL"),
    ] {
        lab.run(&format!("INSERT INTO \"t\" ({columns}) SELECT {values}")).await;
    }
    // In UTC: 2024-02-29 18:29:59.999999, 0001-01-01 11:00:00, 9999-12-30 22:59:59.999999.
    let zoned = [1_709_231_399_999_999, -62_135_557_200_000_000, 253_402_210_799_999_999].map(Value::TimestampTz);
    let [first, second, third] = zoned;
    let nothing = Value::Null;
    assert_eq!(
        rows(&lab, &["zoned", "t"]).await,
        [
            [first, nothing.clone()],
            [second, nothing.clone()],
            [third, nothing.clone()],
            [nothing.clone(), Value::text("")],
            [nothing.clone(), nothing.clone()],
        ]
    );
    lab.run("DELETE FROM \"t\"").await;
    for (k, column, value) in [
        ("a", "f", "CAST('NaN' AS FLOAT)"),
        ("b", "f", "CAST('inf' AS FLOAT)"),
        ("c", "f", "CAST('-inf' AS FLOAT)"),
        ("d", "f", "CAST(-0.0 AS FLOAT)"),
        ("e", "doc", "PARSE_JSON('{\"b\": [null, \"\", 1e2], \"a\": {}}')"),
    ] {
        lab.run(&format!("INSERT INTO \"t\" (\"k\", \"{column}\") SELECT '{k}', {value}")).await;
    }
    let pages = pages(&lab, &["f", "doc"]).await;
    let misfits: Vec<(usize, usize, &str)> = pages[0].misfits.iter().map(|m| (m.row, m.column, m.rule)).collect();
    assert_eq!(misfits, [(0, 0, "not_finite"), (1, 0, "not_finite"), (2, 0, "not_finite")]);
    assert_eq!((0..3).map(|row| value_at(&pages[0].rows, 0, row)).collect::<Vec<_>>(), vec![Value::Null; 3]);
    assert!(matches!(value_at(&pages[0].rows, 0, 3), Value::Float(zero) if zero == 0.0));
    let Value::Json(document) = value_at(&pages[0].rows, 1, 4) else { panic!("no document") };
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["b"][2].as_f64(), Some(100.0));
    assert_eq!((&document["b"][0], &document["b"][1], &document["a"]), (&json!(null), &json!(""), &json!({})));
}

/// The limits, one row each: least, most, smallest, nothing.
fn limits() -> Vec<Vec<Value>> {
    let fine = |sign: &str| number(&format!("{sign}9.{}", "9".repeat(37)));
    let (first, last) = (-62_135_596_800_000_000, 253_402_300_799_999_999);
    let long = "å\u{10FFFF}\"\\\n".repeat(20_000);
    let row = |k: &str, rest: [Value; 12]| std::iter::once(Value::text(k)).chain(rest).collect();
    vec![
        row(
            "least",
            [
                number(&format!("-{NINES}")),
                fine("-"),
                number("-9999999999.99"),
                Value::Float(f64::MIN),
                Value::Bool(false),
                Value::Time(0),
                Value::Timestamp(first),
                Value::TimestampTz(first),
                Value::Binary(vec![]),
                Value::Json("null".into()),
                Value::Json("{}".into()),
                Value::text(""),
            ],
        ),
        row(
            "most",
            [
                number(NINES),
                fine(""),
                number("9999999999.99"),
                Value::Float(f64::MAX),
                Value::Bool(true),
                Value::Time(86_399_999_999),
                Value::Timestamp(last),
                Value::TimestampTz(last),
                Value::Binary((0..=255).collect()),
                Value::Json(r#"{"a":[1,null,{"b":"\"å"}],"n":12345678901234567}"#.into()),
                Value::Json(r#"{"x":{"y":[]}}"#.into()),
                Value::text(long),
            ],
        ),
        row(
            "small",
            [
                number("0"),
                number(&format!("0.{}1", "0".repeat(36))),
                number("-0.01"),
                Value::Float(5e-324),
                Value::Null,
                Value::Time(1),
                Value::Timestamp(-1),
                Value::TimestampTz(-1),
                Value::Binary(vec![0]),
                Value::Json("\"\"".into()),
                Value::Json(r#"{"":""}"#.into()),
                Value::text(" "),
            ],
        ),
        row("void", std::array::from_fn(|_| Value::Null)),
    ]
}

fn page(rows: &[Vec<Value>]) -> Page {
    let columns: Vec<(String, Type)> = COLUMNS.iter().map(|(name, logical)| ((*name).to_owned(), *logical)).collect();
    let mut builder = PageBuilder::new(&columns);
    for row in rows {
        row.iter().for_each(|value| builder.push(value));
        builder.end_row();
    }
    builder.take().unwrap()
}

fn fence() -> Fence {
    Fence { sync: "s".into(), store: "ours".into(), epoch: 1 }
}

async fn append(lab: &Emulated, warehouse: &Arc<dyn Warehouse>, pages: Vec<Page>) -> u64 {
    let (op, fence) = (OpId("op".into()), fence());
    let load = Load { mode: LoadMode::Append, key: Some("k".into()), op, fence, link: Default::default() };
    let loaded = warehouse.load(&lab.relation("t"), &load, Box::new(Held(pages.into()))).await.expect("a load");
    assert_eq!(loaded.rejected, []);
    loaded.created
}

/// What was written stands there, and what was not is not: to us, and to the account's own functions.
async fn stands(lab: &Emulated) {
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    assert_eq!(rows(lab, &names).await, limits());
    let one = |expression: &'static str, k: &'static str| async move {
        lab.ask(&format!("SELECT {expression} FROM \"t\" WHERE \"k\" = '{k}'")).await
    };
    assert_eq!(one("TO_VARCHAR(\"big\")", "most").await.as_deref(), Some(NINES));
    assert_eq!(one("LENGTH(\"t\")", "most").await.as_deref(), Some("100000"));
    assert_eq!(one("LENGTH(\"t\")", "least").await.as_deref(), Some("0"), "an empty text became NULL");
    assert_eq!(one("LENGTH(\"t\")", "void").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_go_in_by_bound_rows_and_come_back() {
    let lab = made().await;
    assert_eq!(append(&lab, &lab.open(true), vec![page(&limits())]).await, 4);
    stands(&lab).await;
}

/// More than a megabyte before them, so that they are in the files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_go_in_by_the_stage_and_come_back() {
    let lab = made().await;
    lab.run("CREATE SCHEMA \"LAB\".\"TIDEGATE\"").await;
    lab.run("CREATE STAGE \"LAB\".\"TIDEGATE\".\"LOADS\"").await;
    let filler = |n: usize| {
        let mut row = vec![Value::Null; COLUMNS.len()];
        (row[0], row[12]) = (Value::text(format!("filler {n}")), Value::text("x".repeat(100_000)));
        row
    };
    let before: Vec<Vec<Value>> = (0..20).map(filler).collect();
    let warehouse = lab.open_with(true, json!({ "stage": "LOADS" }));
    assert_eq!(append(&lab, &warehouse, vec![page(&before), page(&limits())]).await, 24);
    lab.run("DELETE FROM \"t\" WHERE \"k\" LIKE 'filler%'").await;
    stands(&lab).await;
}

/// One by one, each under a condition; then each is found equal to itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_go_in_as_records_and_come_back() {
    let lab = made().await;
    let warehouse = lab.open(true);
    let fields = |row: &[Value]| -> Fields {
        COLUMNS.iter().zip(row).skip(1).map(|((name, _), value)| ((*name).into(), value.clone())).collect()
    };
    let change = |action, row: &Vec<Value>, expect: Option<Fields>| Change {
        key: Key::new(row[0].to_string()),
        remote: None,
        action,
        fields: fields(row),
        expect,
    };
    let creates: Vec<Change> = limits().iter().map(|row| change(Action::Create, row, None)).collect();
    let relation = lab.relation("t");
    let outcomes = warehouse.write(&relation, "k", &creates, &OpId("1".into()), &fence()).await.expect("a write");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied { .. })), "{outcomes:?}");
    stands(&lab).await;
    let same: Vec<Change> = limits().iter().map(|row| change(Action::Update, row, Some(fields(row)))).collect();
    let outcomes = warehouse.write(&relation, "k", &same, &OpId("2".into()), &fence()).await.expect("a write");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Unchanged { .. })), "{outcomes:?}");
}
