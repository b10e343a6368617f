//! What only BigQuery has: arrays, structs, places on the earth.

use tidegate_model::cells::value_at;
use tidegate_model::page::Held;
use tidegate_model::ports::{Entry, Load, LoadMode, Place, ReadAsk, ReadMode, Warehouse};
use tidegate_model::schema::Source;
use tidegate_model::span::{Fence, OpId};
use tidegate_model::value::{Type, Value};
use tidegate_testkit::warehouse_suite::Lab;

use super::super::lab::Emulated;

async fn rows(warehouse: &dyn Warehouse, lab: &Emulated, columns: &[&str]) -> Vec<Vec<Value>> {
    let ask = ReadAsk {
        source: Source::Relation(lab.relation("t")),
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        mode: ReadMode::Full { key: "k".into(), after: None, at: None },
        page_rows: 2,
        timezone: "UTC".into(),
    };
    let mut pages = warehouse.read(ask).await.expect("a read");
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await.expect("a page") {
        assert!(page.misfits.is_empty(), "{:?}", page.misfits);
        rows.extend((0..page.len()).map(|row| (0..columns.len()).map(|at| value_at(&page.rows, at, row)).collect()));
    }
    rows
}

/// Projects, datasets, relations, with what they are; nested and repeated columns with what they are read as.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogue_tells_views_partitions_and_nested_columns() {
    let lab = Emulated::new().await;
    lab.run(
        "CREATE TABLE days (k STRING, at TIMESTAMP, who STRUCT<name STRING>, tags ARRAY<STRING>) PARTITION BY DATE(at)",
    )
    .await;
    lab.run("CREATE VIEW seen AS SELECT k FROM days").await;
    let warehouse = lab.open(false);
    let names = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>();
    let projects = names(warehouse.browse(&Place(vec![])).await.expect("projects"));
    assert!(projects.contains(&lab.project), "{projects:?}");
    let datasets = names(warehouse.browse(&Place(vec![lab.project.clone()])).await.expect("datasets"));
    assert!(datasets.contains(&lab.dataset), "{datasets:?}");
    let place = Place(vec![lab.project.clone(), lab.dataset.clone()]);
    let mut found: Vec<(String, String, Option<String>)> = warehouse
        .browse(&place)
        .await
        .expect("relations")
        .into_iter()
        .map(|entry| (entry.name, entry.kind, entry.note))
        .collect();
    found.sort();
    let note = |text: &str| Some(text.to_owned());
    let one = |name: &str, kind: &str, note| (name.to_owned(), kind.to_owned(), note);
    assert_eq!(found, [one("days", "table", note("partitioned by DAY")), one("seen", "view", None),]);
    let described = warehouse.describe(&Source::Relation(lab.relation("days"))).await.expect("a schema");
    let types: Vec<Type> = described.columns.iter().map(|column| column.logical).collect();
    assert_eq!(types, [Type::Text, Type::TimestampTz, Type::Json, Type::List]);
    assert!(described.columns[2].native.contains("STRUCT"), "{described:?}");
}

/// What is nested is read as JSON, written from JSON, and equal to itself when it is written again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nested_values_go_both_ways() {
    for lab in [Emulated::new().await, Emulated::by_rest().await] {
        lab.run(
            "CREATE TABLE t (k STRING, tags ARRAY<STRING>, sums ARRAY<NUMERIC>, at STRUCT<x INT64, ys ARRAY<STRUCT<z STRING>>>, place GEOGRAPHY, span INTERVAL, big BIGNUMERIC)",
        )
        .await;
        lab.run("INSERT INTO t (k, tags, at, place, span) VALUES ('a', ['x', ''], STRUCT(1, [STRUCT('q')]), ST_GEOGPOINT(1, 2), INTERVAL 1 DAY)").await;
        let warehouse = lab.open(true);
        let described = warehouse.describe(&Source::Relation(lab.relation("t"))).await.expect("a schema");
        let types: Vec<Type> = described.columns.iter().map(|column| column.logical).collect();
        let big = Type::Decimal { precision: 76, scale: 38 };
        assert_eq!(types, [Type::Text, Type::List, Type::List, Type::Json, Type::Text, Type::Text, big]);
        let nested = Value::Json(r#"{"x":1,"ys":[{"z":"q"}]}"#.into());
        let list = |items: &[&str]| Value::List(items.iter().map(|item| Value::text(*item)).collect());
        let got = rows(warehouse.as_ref(), &lab, &["tags", "sums", "at", "place"]).await;
        assert_eq!(got, [[list(&["x", ""]), list(&[]), nested.clone(), Value::text("POINT(1 2)")]]);
        let columns = [
            ("k".to_owned(), Type::Text),
            ("tags".to_owned(), Type::List),
            ("at".to_owned(), Type::Json),
            ("place".to_owned(), Type::Text),
            ("big".to_owned(), big),
        ];
        let number = |text: &str| Value::Decimal(tidegate_model::value::Decimal::parse(text).expect("a number"));
        let mut builder = tidegate_model::cells::PageBuilder::new(&columns);
        for row in [
            [Value::text("a"), list(&["x", ""]), nested.clone(), Value::text("POINT(1 2)"), Value::Null],
            [
                Value::text("b"),
                Value::Null,
                Value::Null,
                Value::Null,
                number("-12345678901234567890.000000000000000001"),
            ],
            [Value::text("c"), Value::List(vec![Value::text("x"), Value::Null]), Value::Null, Value::Null, Value::Null],
        ] {
            row.iter().for_each(|value| builder.push(value));
            builder.end_row();
        }
        let load = Load {
            mode: LoadMode::Merge,
            key: Some("k".into()),
            op: OpId("nested".into()),
            fence: Fence { sync: "s".into(), store: "ours".into(), epoch: 1 },
            link: Default::default(),
        };
        let pages = Box::new(Held::one(builder.take().expect("a page")));
        let loaded = warehouse.load(&lab.relation("t"), &load, pages).await.expect("a load");
        assert_eq!((loaded.created, loaded.updated, loaded.unchanged), (1, 0, 1));
        assert_eq!(
            loaded.rejected.iter().map(|(row, why)| (*row, why.rule.as_str())).collect::<Vec<_>>(),
            [(2, "null_element")]
        );
        let got = rows(warehouse.as_ref(), &lab, &["tags", "at", "big"]).await;
        let digits = number("-12345678901234567890.000000000000000001");
        assert_eq!(got, [[list(&["x", ""]), nested, Value::Null], [list(&[]), Value::Null, digits]]);
    }
}

/// The ends of what BigQuery's types hold, written, read by both ways, and equal to themselves when written again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ends_of_each_range_go_both_ways() {
    let number = |text: &str| Value::Decimal(tidegate_model::value::Decimal::parse(text).expect("a number"));
    // From the first microsecond of year 1 to the last of year 9999.
    let (first, last) = (-62_135_596_800_000_000, 253_402_300_799_999_999);
    let (first_day, last_day) = (-719_162, 2_932_896);
    let numeric = "99999999999999999999999999999.999999999";
    let columns = [
        ("k".to_owned(), Type::Text),
        ("amount".to_owned(), Type::Decimal { precision: 38, scale: 9 }),
        ("at".to_owned(), Type::TimestampTz),
        ("local".to_owned(), Type::Timestamp),
        ("day".to_owned(), Type::Date),
        ("doc".to_owned(), Type::Json),
        ("place".to_owned(), Type::Text),
    ];
    let row = |key: &str, sign: &str, us: i64, day: i32, doc: &str, place: &str| {
        let (doc, place) = (Value::Json(doc.into()), Value::text(place));
        let amount = number(&format!("{sign}{numeric}"));
        vec![Value::text(key), amount, Value::TimestampTz(us), Value::Timestamp(us), Value::Date(day), doc, place]
    };
    let rows_given = [
        row("a", "", last, last_day, r#"{"a":[1,null,"\u0001åß"]}"#, "POINT(-180 90)"),
        row("b", "-", first, first_day, "null", "POINT(0 -90)"),
    ];
    for lab in [Emulated::new().await, Emulated::by_rest().await] {
        lab.run("CREATE TABLE t (k STRING, amount NUMERIC, at TIMESTAMP, local DATETIME, day DATE, doc JSON, place GEOGRAPHY)").await;
        let warehouse = lab.open(true);
        let load = |op: &str, mode: LoadMode| {
            let mut builder = tidegate_model::cells::PageBuilder::new(&columns);
            for row in &rows_given {
                row.iter().for_each(|value| builder.push(value));
                builder.end_row();
            }
            let fence = Fence { sync: "s".into(), store: "ours".into(), epoch: 1 };
            let load = Load { mode, key: Some("k".into()), op: OpId(op.into()), fence, link: Default::default() };
            (load, Box::new(Held::one(builder.take().expect("a page"))))
        };
        let (first, pages) = load("first", LoadMode::Append);
        let loaded = warehouse.load(&lab.relation("t"), &first, pages).await.expect("a load");
        assert_eq!((loaded.created, loaded.rejected.len()), (2, 0), "{:?}", loaded.rejected);
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(rows(warehouse.as_ref(), &lab, &names).await, rows_given);
        let (again, pages) = load("again", LoadMode::Merge);
        let loaded = warehouse.load(&lab.relation("t"), &again, pages).await.expect("a merge");
        assert_eq!((loaded.created, loaded.updated, loaded.unchanged), (0, 0, 2), "equal values are written again");
    }
}
