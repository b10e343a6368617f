//! Postgres's own types.

use tidegate_model::change::{Action, Change, Outcome};
use tidegate_model::ports::Warehouse;
use tidegate_model::record::{Fields, Key};
use tidegate_model::schema::{Relation, Source};
use tidegate_model::span::{Fence, OpId};
use tidegate_model::value::{Type, Value};
use tidegate_testkit::warehouse_suite::Lab;

use crate::lab::{Database, read_all};

async fn describe(warehouse: &dyn Warehouse, table: &str) -> Vec<(String, Type)> {
    let source = Source::Relation(Relation(vec!["public".into(), table.into()]));
    let schema = warehouse.describe(&source).await.expect("a schema");
    schema.columns.into_iter().map(|column| (column.name, column.logical)).collect()
}

/// Every type that people keep in tables is read as something, and what does not fit is a misfit.
#[tokio::test]
async fn native_types_are_read_without_loss() {
    let lab = Database::new().await;
    lab.exec(
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN email AS varchar(20) CHECK (VALUE LIKE '%@%'); \
         CREATE TABLE t (k int PRIMARY KEY, i2 int2, i4 int4, n numeric, neg numeric(5,-2), f4 float4, c char(5), u uuid, m mood, \
         e email, iv interval, ip inet, a int[], tz timestamptz, d date, f float8, j jsonb, tm time, dd numeric(12,2)[])",
    )
    .await;
    lab.exec(
        "INSERT INTO t VALUES (1, -32768, 2147483647, 18446744073709551615.5, 1234567, 0.1, 'ab', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', \
         'ok', 'a@b', '1 day 02:00', '10.0.0.1/8', '{1,2,NULL}', '2024-01-01 12:00+02', '0044-03-15 BC', 1.5, '{\"b\": 1.50, \"a\": []}', '23:59:59.999999', '{1.50}'), \
         (2, NULL, NULL, 'NaN', NULL, 'Infinity', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'infinity', '-infinity', 'NaN', NULL, '24:00', NULL), \
         (3, NULL, NULL, 0.1234567890123456789, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '5000000-01-01', NULL, NULL, NULL, NULL)",
    )
    .await;
    let warehouse = lab.open(false);
    let columns = ["i2", "i4", "n", "neg", "f4", "c", "u", "m", "e", "iv", "ip", "a", "tz", "d", "f", "j", "tm", "dd"];
    let (rows, misfits) = read_all(warehouse.as_ref(), "t", "k", &columns).await;
    let want = [
        "-32768",
        "2147483647",
        "18446744073709551615.500000000000000000",
        "1234600",
        "0.1",
        "ab",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "ok",
        "a@b",
        "1 day 02:00:00",
        "10.0.0.1/8",
        "[1,2,null]",
        "2024-01-01T10:00:00Z",
        "-000043-03-15",
        "1.5",
        r#"{"a":[],"b":1.50}"#,
        "23:59:59.999999",
    ];
    assert_eq!(rows[0][..want.len()], want);
    assert!(rows[1].iter().chain(&rows[2]).all(|cell| cell == "NULL"), "{rows:?}");
    let rules: Vec<(usize, &str, &str)> =
        misfits.iter().map(|(row, column, rule)| (*row, columns[*column], *rule)).collect();
    assert_eq!(
        rules,
        [
            (1, "n", "not_finite"),
            (1, "f4", "not_finite"),
            (1, "tz", "not_finite"),
            (1, "d", "not_finite"),
            (1, "f", "not_finite"),
            (1, "tm", "out_of_range"),
            (2, "n", "out_of_range"),
            (2, "d", "out_of_range"),
        ]
    );
    let types: Vec<Type> = describe(warehouse.as_ref(), "t").await.into_iter().map(|(_, logical)| logical).collect();
    assert_eq!(types[3..5], [Type::Decimal { precision: 38, scale: 18 }, Type::Decimal { precision: 7, scale: 0 }]);
    assert_eq!((types[7], types[8], types[12]), (Type::Text, Type::Text, Type::List));
}

fn update(key: &str, field: &str, value: Value) -> Change {
    let mut fields = Fields::new();
    fields.set(field, value);
    Change { key: Key::new(key), remote: None, action: Action::Update, fields, expect: None }
}

/// Native types are written in their own form, and what they cannot hold is a reject.
#[tokio::test]
async fn native_types_are_written_or_refused() {
    let lab = Database::new().await;
    lab.exec(
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%'); \
         CREATE TABLE t (k uuid PRIMARY KEY, i2 int2, f4 float4, c char(5), m mood, e email, at timestamp(0), iv interval, \
         always int GENERATED ALWAYS AS IDENTITY, doubled int GENERATED ALWAYS AS (i2 * 2) STORED, j jsonb); \
         INSERT INTO t (k) VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')",
    )
    .await;
    let key = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    let text = Value::text;
    let cases = [
        ("i2", Value::Int(32_767), "applied"),
        ("i2", Value::Int(32_768), "out_of_range"),
        ("f4", Value::Float(0.1), "applied"),
        ("f4", Value::Float(0.1), "unchanged"),
        ("f4", Value::Float(0.123_456_789), "loses_digits"),
        ("c", text("ab"), "applied"),
        ("c", text("ab   "), "unchanged"),
        ("c", text("abcdef"), "too_long"),
        ("m", text("ok"), "applied"),
        ("m", text("great"), "wrong_type"),
        ("e", text("a@b"), "applied"),
        ("e", text("nobody"), "check"),
        ("e", text("a@\0b"), "bad_text"),
        ("at", Value::Timestamp(1_000_000), "applied"),
        ("at", Value::Timestamp(1_500_000), "loses_digits"),
        ("j", Value::Json("{\"b\":1,\"a\":2}".into()), "applied"),
        ("j", Value::Json("{\"a\":2,\"b\":1}".into()), "unchanged"),
        ("j", Value::Json("{".into()), "bad_json"),
    ];
    let warehouse = lab.open(true);
    let fence = Fence { sync: "s".into(), store: "ours".into(), epoch: 1 };
    for (at, (field, value, want)) in cases.into_iter().enumerate() {
        let batch = [update(key, field, value)];
        let relation = Relation(vec!["t".into()]);
        let outcomes = warehouse.write(&relation, "k", &batch, &OpId(format!("{at}")), &fence).await.expect("a write");
        let said = match &outcomes[0] {
            Outcome::Applied { .. } => "applied",
            Outcome::Unchanged { .. } => "unchanged",
            Outcome::Rejected(why) => why.rule.as_str(),
            other => panic!("{other:?}"),
        };
        assert_eq!(said, want, "case {at}: {field}");
    }
    assert_eq!(
        lab.ask("SELECT concat_ws('|', i2, f4, c, m, e, at, j, doubled) FROM t").await.as_deref(),
        Some("32767|0.1|ab   |ok|a@b|1970-01-01 00:00:01|{\"a\": 2, \"b\": 1}|65534")
    );
}
