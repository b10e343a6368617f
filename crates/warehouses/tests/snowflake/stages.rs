//! Large loads through a stage, on the storage of each cloud, sealed and not.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::json;
use tidegate_model::cells::{PageBuilder, value_at};
use tidegate_model::page::{Held, Page};
use tidegate_model::ports::{Load, LoadMode, Loaded, ReadAsk, ReadMode, Warehouse};
use tidegate_model::schema::Source;
use tidegate_model::span::{Fence, OpId};
use tidegate_model::sync::DatasetLink;
use tidegate_model::value::{Decimal, Type, Value};
use tidegate_model::{ErrorKind, Result};
use tidegate_testkit::warehouse_suite::Lab;

use crate::lab::Emulated;

/// A megabyte is bound; the rest of three goes through the stage.
const ROWS: i64 = 3_000;

const COLUMNS: &[(&str, Type)] = &[
    ("k", Type::Int64),
    ("t", Type::Text),
    ("n", Type::Decimal { precision: 38, scale: 10 }),
    ("f", Type::Float64),
    ("b", Type::Bool),
    ("d", Type::Date),
    ("ts", Type::Timestamp),
    ("tz", Type::TimestampTz),
    ("bin", Type::Binary),
    ("j", Type::Json),
];

async fn lab(cloud: &str, sealed: bool) -> Emulated {
    let lab = Emulated::on(cloud).await;
    let columns: Vec<String> =
        COLUMNS.iter().map(|(name, logical)| format!("\"{name}\" {}", lab.native(*logical))).collect();
    lab.exec(&format!("CREATE TABLE \"LAB\".\"PUBLIC\".\"t\" ({})", columns.join(", "))).await;
    lab.exec("CREATE SCHEMA \"LAB\".\"TIDEGATE\"").await;
    let kind = if sealed { "" } else { " ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')" };
    lab.run(&format!("CREATE STAGE \"LAB\".\"TIDEGATE\".\"LOADS\"{kind}")).await;
    lab
}

fn staged(lab: &Emulated) -> Arc<dyn Warehouse> {
    lab.open_with(true, json!({ "stage": "LOADS" }))
}

/// What a row is made of; every ninth has NULLs, some have what CSV could trip over.
fn row(k: i64, mark: &str) -> Vec<Value> {
    if k % 9 == 0 {
        let mut nulls = vec![Value::Null; COLUMNS.len()];
        nulls[0] = Value::Int(k);
        return nulls;
    }
    let odd = ["", "\"", "\\N", "a,b\nc\r\n", "NULL", "'å 東", "\\", "\u{1}"][usize::try_from(k % 8).unwrap()];
    vec![
        Value::Int(k),
        Value::text(format!("{odd}{}", if k % 2 == 0 { mark.repeat(90) } else { String::new() })),
        Value::Decimal(Decimal::parse("-9999999999999999999999999999.9999999999").unwrap()),
        Value::Float(if k % 2 == 0 { f64::MAX } else { 5e-324 }),
        Value::Bool(k % 2 == 0),
        Value::Date(-719_162),
        Value::Timestamp(253_402_300_799_999_999),
        Value::TimestampTz(-1),
        Value::Binary(vec![0, 255, u8::try_from(k % 256).unwrap()]),
        Value::Json(format!("{{\"a\":[{k},null,\"\\\"\"]}}").into()),
    ]
}

fn pages(keys: impl Iterator<Item = i64>, mark: &str) -> Box<Held> {
    let columns: Vec<(String, Type)> = COLUMNS.iter().map(|(name, logical)| ((*name).to_owned(), *logical)).collect();
    let mut builder = PageBuilder::new(&columns);
    let mut pages = VecDeque::new();
    for k in keys {
        row(k, mark).iter().for_each(|value| builder.push(value));
        builder.end_row();
        if builder.rows() == 700 {
            pages.push_back(builder.take().unwrap());
        }
    }
    pages.extend((builder.rows() > 0).then(|| builder.take().unwrap()));
    Box::new(Held(pages))
}

async fn load(
    warehouse: &Arc<dyn Warehouse>,
    lab: &Emulated,
    mode: LoadMode,
    op: &str,
    pages: Box<Held>,
) -> Result<Loaded> {
    let load = Load {
        mode,
        key: Some("k".into()),
        op: OpId(op.into()),
        fence: Fence { sync: "s".into(), store: "ours".into(), epoch: 1 },
        link: DatasetLink::default(),
    };
    warehouse.load(&lab.relation("t"), &load, pages).await
}

async fn all(lab: &Emulated) -> Vec<Vec<Value>> {
    let ask = ReadAsk {
        source: Source::Relation(lab.relation("t")),
        columns: COLUMNS.iter().map(|(name, _)| (*name).to_owned()).collect(),
        mode: ReadMode::Full { key: "k".into(), after: None, at: None },
        page_rows: 1_000,
        timezone: "UTC".into(),
    };
    let mut read = lab.open(false).read(ask).await.expect("a read");
    let mut rows = Vec::new();
    while let Some(page) = read.next().await.expect("a page") {
        let cells = |page: &Page, row| (0..COLUMNS.len()).map(|at| value_at(&page.rows, at, row)).collect();
        assert!(page.misfits.is_empty(), "{:?}", page.misfits);
        rows.extend((0..page.len()).map(|row| cells(&page, row)));
    }
    rows.sort_by_key(|row: &Vec<Value>| match row[0] {
        Value::Int(k) => k,
        _ => i64::MIN,
    });
    rows
}

/// No file and no table stays behind.
async fn swept(lab: &Emulated) {
    let left = lab.run("LIST '@\"LAB\".\"TIDEGATE\".\"LOADS\"'").await;
    assert_eq!(left["data"]["total"], 0, "{left}");
    let ours = "SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'TIDEGATE'";
    assert_eq!(lab.ask(ours).await.as_deref(), Some("2"), "a temporary table stays");
}

async fn every_mode(cloud: &str, sealed: bool) {
    let lab = lab(cloud, sealed).await;
    let warehouse = staged(&lab);
    let loaded = load(&warehouse, &lab, LoadMode::Append, "s/1", pages(0..ROWS, "one ")).await.expect("an append");
    assert_eq!((loaded.created, loaded.rejected.len(), loaded.replayed), (3_000, 0, false));
    assert_eq!(all(&lab).await, (0..ROWS).map(|k| row(k, "one ")).collect::<Vec<_>>());
    let again = load(&warehouse, &lab, LoadMode::Append, "s/1", pages(0..ROWS, "one ")).await.expect("told");
    assert!(again.replayed && again.created == 3_000);
    // Half of them as they were, half changed, some new.
    let merged: Vec<i64> = (ROWS / 2..ROWS + 500).collect();
    let loaded =
        load(&warehouse, &lab, LoadMode::Merge, "s/2", pages(merged.into_iter(), "two ")).await.expect("a merge");
    assert_eq!((loaded.created, loaded.updated + loaded.unchanged), (500, 1_500));
    let rows = all(&lab).await;
    let expected = |k: i64| row(k, if k < ROWS / 2 { "one " } else { "two " });
    assert_eq!(rows, (0..ROWS + 500).map(expected).collect::<Vec<_>>());
    let replace = LoadMode::Replace { max_shrink_pct: None };
    let loaded = load(&warehouse, &lab, replace, "s/3", pages(5..ROWS, "three ")).await.expect("a replace");
    assert_eq!((loaded.created, loaded.cleared), (2_995, 3_500));
    assert_eq!(all(&lab).await, (5..ROWS).map(|k| row(k, "three ")).collect::<Vec<_>>());
    swept(&lab).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_amazon_sealed() {
    every_mode("s3", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_amazon_as_they_are() {
    every_mode("s3", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_azure_sealed() {
    every_mode("azure", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_google_sealed() {
    every_mode("gcs", true).await;
}

/// fakesnow gives presigned addresses away, as Google's storage does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_google_as_they_are_by_fakesnows_addresses() {
    let lab = lab("gcs", false).await;
    let options = "AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = GZIP OVERWRITE = TRUE";
    let put = format!("PUT 'file:///x/1.csv.gz' '@\"LAB\".\"TIDEGATE\".\"LOADS\"/x/' {options}");
    let info = lab.run(&put).await["data"]["stageInfo"].take();
    let address = info["presignedUrl"].as_str().expect("an address");
    assert!(info["locationType"] == "GCS" && address.ends_with("/fs_bucket/LAB/TIDEGATE/LOADS/x/1.csv.gz"), "{info}");
    every_mode("gcs", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_have_expired_are_asked_for_anew_and_wrong_ones_are_told() {
    for cloud in ["s3", "azure", "gcs"] {
        let lab = lab(cloud, true).await;
        let warehouse = staged(&lab);
        lab.run("CALL STAND_IN$EXPIRED_KEYS(1)").await;
        let loaded = load(&warehouse, &lab, LoadMode::Append, "s/1", pages(0..ROWS, "one ")).await;
        assert_eq!(loaded.unwrap_or_else(|error| panic!("{cloud}: {error}")).created, 3_000);
        lab.run("CALL STAND_IN$EXPIRED_KEYS(9)").await;
        let error = load(&warehouse, &lab, LoadMode::Append, "s/2", pages(0..ROWS, "two ")).await.expect_err("refused");
        assert_eq!(error.kind, ErrorKind::Unauthorized, "{cloud}: {error}");
        assert!(error.hint.is_some_and(|hint| hint.contains("stage")));
        assert_eq!(all(&lab).await.len(), 3_000, "{cloud}: rows of a load that failed");
        swept(&lab).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stage_that_is_not_there_is_told_and_small_loads_do_not_need_it() {
    let lab = lab("s3", true).await;
    let warehouse = lab.open_with(true, json!({ "stage": "NOBODYS" }));
    assert_eq!(load(&warehouse, &lab, LoadMode::Append, "s/1", pages(0..10, "")).await.expect("bound").created, 10);
    let error = load(&warehouse, &lab, LoadMode::Append, "s/2", pages(0..ROWS, "one ")).await.expect_err("no stage");
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.to_string().contains("load LAB.PUBLIC.t"), "{error}");
    assert_eq!(all(&lab).await.len(), 10);
}

/// Several files' worth of what does not pack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_of_several_files_comes_over_whole() {
    let lab = lab("azure", true).await;
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut noise = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        format!("{seed:016x}")
    };
    let columns = [("k".to_owned(), Type::Int64), ("t".to_owned(), Type::Text)];
    let mut builder = PageBuilder::new(&columns);
    let mut pages = VecDeque::new();
    for k in 0..800 {
        builder.push(&Value::Int(k));
        builder.push(&Value::text((0..6_000).map(|_| noise()).collect::<String>()));
        builder.end_row();
        if builder.rows() == 50 {
            pages.push_back(builder.take().unwrap());
        }
    }
    let loaded = load(&staged(&lab), &lab, LoadMode::Append, "s/1", Box::new(Held(pages))).await.expect("an append");
    assert_eq!(loaded.created, 800);
    let told = lab.ask("SELECT COUNT(DISTINCT \"k\") || ' ' || SUM(LENGTH(\"t\")) FROM \"LAB\".\"PUBLIC\".\"t\"").await;
    assert_eq!(told.as_deref().map(|told| told.trim_end_matches(".0")), Some("800 76800000"));
    swept(&lab).await;
}
