//! Results: Arrow and JSON, inline and in parts; damaged, expired, short; and what each type looks like on the way.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int8Array, Int32Array, Int64Array,
    RecordBatch, StringArray, StructArray,
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field};
use serde_json::{Value as Json, json};
use tidegate_model::cells::value_at;
use tidegate_model::page::{Page, Pages};
use tidegate_model::value::{Decimal, Value};
use tidegate_model::{ErrorKind, Result};

use super::logged_in;
use super::stand_in::{Fault, Script, gzip};
use crate::snowflake::decode::Wanted;
use crate::snowflake::stream::pages;
use crate::snowflake::wire::{Session, Statement};

async fn read(session: &Session, sql: &str, page_rows: usize) -> Result<Pages> {
    let statement = Statement { sql, binds: &[], describe: false, seconds_max: 60, doing: "read t" };
    let answer = session.run(&statement).await?;
    let columns = answer.columns.iter().map(Wanted::of_row).collect();
    Ok(pages(answer, columns, page_rows, "read t"))
}

async fn all(session: &Session, sql: &str) -> Result<Vec<Page>> {
    let mut pages = read(session, sql, 7).await?;
    let mut found = Vec::new();
    while let Some(page) = pages.next().await? {
        found.push(page);
    }
    Ok(found)
}

fn ipc(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    // Several batches in a part, as the service sends them.
    let half = batch.num_rows() / 2;
    writer.write(&batch.slice(0, half)).unwrap();
    writer.write(&batch.slice(half, batch.num_rows() - half)).unwrap();
    writer.into_inner().unwrap()
}

fn numbers(from: i64, to: i64) -> Vec<u8> {
    let texts: Vec<String> = (from..to).map(|n| format!("row {n}")).collect();
    ipc(vec![
        ("N", Arc::new(Int64Array::from_iter_values(from..to))),
        ("T", Arc::new(StringArray::from_iter_values(texts))),
    ])
}

fn number_types() -> Json {
    json!([{ "name": "N", "type": "fixed", "precision": 19, "scale": 0 }, { "name": "T", "type": "text", "length": 20 }])
}

/// 10 rows inline, and parts of 50, of which every second one is packed.
fn parted(parts: i64) -> Script {
    let part = |at: i64| {
        let bytes = numbers(10 + at * 50, 60 + at * 50);
        (50, if at % 2 == 0 { gzip(&bytes) } else { bytes })
    };
    Script {
        rowtype: number_types(),
        arrow: true,
        inline: numbers(0, 10),
        parts: (0..parts).map(part).collect(),
        total: 10 + 50 * u64::try_from(parts).unwrap(),
        ..Script::default()
    }
}

/// All rows came, in order.
fn counted(pages: &[Page]) -> usize {
    let mut next = 0;
    for page in pages {
        assert!((1..=7).contains(&page.len()));
        for row in 0..page.len() {
            assert_eq!(value_at(&page.rows, 0, row), Value::Int(next));
            assert_eq!(value_at(&page.rows, 1, row), Value::text(format!("row {next}")));
            next += 1;
        }
    }
    usize::try_from(next).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_come_in_order_however_they_are_packed() {
    let (server, session) = logged_in().await;
    server.script("t", parted(9));
    assert_eq!(counted(&all(&session, "t").await.expect("rows")), 460);
    server.script("empty", Script { rowtype: number_types(), arrow: true, ..Script::default() });
    assert_eq!(all(&session, "empty").await.expect("no rows").len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_asked_for_again_when_storage_stumbles() {
    let (server, session) = logged_in().await;
    server.script("t", parted(5));
    server.fault("/parts", &[Fault::Status(503), Fault::Status(500), Fault::Status(429)]);
    assert_eq!(counted(&all(&session, "t").await.expect("rows")), 260);
    assert_eq!(server.calls("/parts").len(), 8);
    server.fault("/parts", &[Fault::Status(503); 40]);
    let error = all(&session, "t").await.expect_err("given up");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.to_string().contains("503") && error.to_string().contains("query 01b0-"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_addresses_are_renewed_in_the_middle_of_a_read() {
    let (server, session) = logged_in().await;
    server.script("t", parted(12));
    let mut pages = read(&session, "t", 7).await.expect("a read");
    let mut found = vec![pages.next().await.expect("a page").expect("rows")];
    server.expire_addresses();
    server.expire_sessions();
    while let Some(page) = pages.next().await.expect("a page") {
        found.push(page);
    }
    assert_eq!(counted(&found), 610);
    assert!(!server.calls("/queries/result").is_empty(), "nobody asked for new addresses");
    // Storage that refuses for good ends the read.
    server.fault("/parts", &[Fault::Status(403); 60]);
    let error = all(&session, "t").await.expect_err("given up");
    assert!(error.to_string().contains("403"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_were_promised_and_do_not_come_fail_the_read() {
    let (server, session) = logged_in().await;
    let damaged: [(&str, Script); 4] = [
        ("a part is short", {
            let mut s = parted(3);
            s.parts[1].1 = numbers(60, 109);
            s
        }),
        ("the whole is short", Script { total: 161, ..parted(3) }),
        ("a part is missing", {
            let mut s = parted(3);
            s.parts.pop();
            s
        }),
        ("a part is cut", {
            let mut s = parted(3);
            let cut = s.parts[0].1.len() - 40;
            s.parts[0].1.truncate(cut);
            s
        }),
    ];
    for (what, script) in damaged {
        server.script("t", script);
        let error = all(&session, "t").await.err().unwrap_or_else(|| panic!("{what}: taken as complete"));
        assert_eq!(error.kind, ErrorKind::Unavailable, "{what}: {error}");
        assert!(error.to_string().contains("query 01b0-"), "{what}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_results_come_in_parts_too() {
    let (server, session) = logged_in().await;
    let rows =
        |from: i64, to: i64| -> Vec<Json> { (from..to).map(|n| json!([n.to_string(), format!("row {n}")])).collect() };
    let bare = |rows: Vec<Json>| rows.iter().map(Json::to_string).collect::<Vec<_>>().join(",").into_bytes();
    server.script(
        "t",
        Script {
            rowtype: number_types(),
            rowset: json!(rows(0, 5)),
            parts: vec![(30, gzip(&bare(rows(5, 35)))), (9, bare(rows(35, 44)))],
            total: 44,
            ..Script::default()
        },
    );
    assert_eq!(counted(&all(&session, "t").await.expect("rows")), 44);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_consumer_makes_few_parts_come() {
    let (server, session) = logged_in().await;
    server.script("t", parted(40));
    let mut pages = read(&session, "t", 7).await.expect("a read");
    assert!(pages.next().await.expect("a page").is_some());
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    let asked = server.calls("/parts").len();
    assert!((1..=4).contains(&asked), "{asked} parts were fetched for one page");
    drop(pages);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(server.calls("/parts").len(), asked, "a dropped read goes on");
}

fn instants(cells: &[Option<(i64, i32)>], offset: Option<i32>) -> ArrayRef {
    let epoch = Int64Array::from_iter(cells.iter().map(|cell| cell.map(|cell| cell.0)));
    let fraction = Int32Array::from_iter(cells.iter().map(|cell| cell.map(|cell| cell.1)));
    let mut fields: Vec<(Arc<Field>, ArrayRef)> = vec![
        (Arc::new(Field::new("epoch", DataType::Int64, true)), Arc::new(epoch)),
        (Arc::new(Field::new("fraction", DataType::Int32, true)), Arc::new(fraction)),
    ];
    if let Some(minutes) = offset {
        let zones = Int32Array::from_value(minutes + 1440, cells.len());
        fields.push((Arc::new(Field::new("timezone", DataType::Int32, true)), Arc::new(zones)));
    }
    Arc::new(StructArray::from(fields))
}

/// First and last instant of the calendar, one before 1970, one with digits too fine, and NULL.
const TIMES: [Option<(i64, i32)>; 5] =
    [Some((-62_135_596_800, 0)), Some((253_402_300_799, 999_999_000)), Some((-1, 500_000_000)), Some((0, 1)), None];

#[tokio::test]
async fn arrow_of_every_type_is_exact_at_its_limits() {
    let (server, session) = logged_in().await;
    let most = 10_i128.pow(38) - 1;
    let wide = |cells: Vec<Option<i128>>, p, s| Decimal128Array::from(cells).with_precision_and_scale(p, s).unwrap();
    let columns: Vec<(&str, Json, ArrayRef)> = vec![
        (
            "SMALL",
            json!(["fixed", 5, 2]),
            Arc::new(Int8Array::from(vec![Some(-128), Some(127), None, Some(0), Some(5)])),
        ),
        ("BIG", json!(["fixed", 38, 0]), Arc::new(wide(vec![Some(-most), Some(most), None, Some(0), Some(1)], 38, 0))),
        (
            "WHOLE",
            json!(["fixed", 19, 0]),
            Arc::new(wide(vec![Some(i64::MIN.into()), Some(i64::MAX.into()), None, Some(most), Some(1)], 38, 0)),
        ),
        (
            "REAL",
            json!(["real", null, null]),
            Arc::new(Float64Array::from(vec![Some(f64::MAX), Some(5e-324), None, Some(f64::NAN), Some(-0.5)])),
        ),
        ("NTZ", json!(["timestamp_ntz", 0, 9]), instants(&TIMES, None)),
        ("TZ", json!(["timestamp_tz", 0, 9]), instants(&TIMES, Some(-570))),
        (
            "LTZ3",
            json!(["timestamp_ltz", 0, 3]),
            Arc::new(Int64Array::from(vec![Some(-1), Some(253_402_300_799_999), None, Some(0), Some(1)])),
        ),
        (
            "CLOCK",
            json!(["time", 0, 9]),
            Arc::new(Int64Array::from(vec![Some(0), Some(86_399_999_999_000), None, Some(1), Some(1_000)])),
        ),
        (
            "DAY",
            json!(["date", null, null]),
            Arc::new(Date32Array::from(vec![Some(-719_162), Some(2_932_896), None, Some(0), Some(1)])),
        ),
        (
            "YES",
            json!(["boolean", null, null]),
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, None, Some(true)])),
        ),
        (
            "BIN",
            json!(["binary", null, null]),
            Arc::new(BinaryArray::from(vec![Some(&[0_u8, 255][..]), Some(&[]), None, None, None])),
        ),
        (
            "DOC",
            json!(["variant", null, null]),
            Arc::new(StringArray::from(vec![
                Some("{ \"b\": 1.50,\n \"a\": null }"),
                Some("null"),
                None,
                Some("{"),
                Some("12345678901234567890123"),
            ])),
        ),
        (
            "TAGS",
            json!(["array", null, null]),
            Arc::new(StringArray::from(vec![Some("[\n  \"a\",\n  undefined\n]"), Some("[]"), None, None, None])),
        ),
    ];
    let types: Vec<Json> = columns
        .iter()
        .map(|(name, words, _)| json!({ "name": name, "type": words[0], "precision": words[1], "scale": words[2] }))
        .collect();
    let inline = ipc(columns.into_iter().map(|(name, _, array)| (name, array)).collect());
    server.script("t", Script { rowtype: json!(types), arrow: true, inline, total: 5, ..Script::default() });
    let found = all(&session, "t").await.expect("rows");
    let row = |row: usize| {
        let (page, row) = if row < 2 { (&found[0], row) } else { (&found[1], row - 2) };
        (0..13).map(|at| value_at(&page.rows, at, row)).collect::<Vec<_>>()
    };
    let number = |digits: &str| Value::Decimal(Decimal::parse(digits).unwrap());
    let (first, last) = (-62_135_596_800_000_000, 253_402_300_799_999_999);
    assert_eq!(
        row(0),
        [
            number("-1.28"),
            number(&format!("-{most}")),
            Value::Int(i64::MIN),
            Value::Float(f64::MAX),
            Value::Timestamp(first),
            Value::TimestampTz(first),
            Value::TimestampTz(-1_000),
            Value::Time(0),
            Value::Date(-719_162),
            Value::Bool(true),
            Value::Binary(vec![0, 255]),
            Value::Json(r#"{"a":null,"b":1.50}"#.into()),
            Value::List(vec![Value::text("a"), Value::Null]),
        ]
    );
    assert_eq!(
        row(1)[..9],
        [
            number("1.27"),
            number(&most.to_string()),
            Value::Int(i64::MAX),
            Value::Float(5e-324),
            Value::Timestamp(last),
            Value::TimestampTz(last),
            Value::TimestampTz(253_402_300_799_999_000),
            Value::Time(86_399_999_999),
            Value::Date(2_932_896),
        ]
    );
    assert_eq!((&row(1)[11], &row(1)[12]), (&Value::Json("null".into()), &Value::List(vec![])));
    assert_eq!(row(2)[..4], vec![Value::Null; 4]);
    assert_eq!((&row(2)[4], &row(2)[5]), (&Value::Timestamp(-500_000), &Value::TimestampTz(-500_000)));
    assert_eq!((&row(4)[4], &row(4)[11]), (&Value::Null, &Value::Json("12345678901234567890123".into())));
    let misfits: Vec<(usize, usize, &str)> = found[1].misfits.iter().map(|m| (m.row, m.column, m.rule)).collect();
    let want = [
        (1, 2, "out_of_range"),
        (1, 3, "not_finite"),
        (1, 4, "sub_microsecond"),
        (1, 5, "sub_microsecond"),
        (1, 7, "sub_microsecond"),
        (1, 11, "bad_json"),
    ];
    assert_eq!(misfits, want);
    assert_eq!(found[0].misfits, []);
}
