//! Values: what goes in comes out, or is refused.

use tidegate_model::ports::LoadMode;
use tidegate_model::value::{Type, Value};

use super::{Lab, full, load, number, pages, quoted, rows, source, table_sql, text};

/// Days and microseconds at the ends of the calendar.
const FIRST_DAY: i32 = -719_162; // 0001-01-01
const LAST_DAY: i32 = 2_932_896; // 9999-12-31
const DAY_US: i64 = 86_400_000_000;

fn types(lab: &dyn Lab) -> Vec<(&'static str, Type)> {
    all_types().into_iter().filter(|(_, logical)| lab.keeps(*logical)).collect()
}

fn limits(lab: &dyn Lab) -> Vec<Vec<Value>> {
    let kept: Vec<bool> = all_types().iter().map(|(_, logical)| lab.keeps(*logical)).collect();
    let keep =
        |row: Vec<Value>| row.into_iter().zip(&kept).filter(|(_, kept)| **kept).map(|(value, _)| value).collect();
    all_limits().into_iter().map(keep).collect()
}

fn all_types() -> Vec<(&'static str, Type)> {
    vec![
        ("k", Type::Text),
        ("b", Type::Bool),
        ("i", Type::Int64),
        ("money", Type::Decimal { precision: 12, scale: 2 }),
        ("d38", Type::Decimal { precision: 38, scale: 10 }),
        ("d76", Type::Decimal { precision: 76, scale: 38 }),
        ("f", Type::Float64),
        ("t", Type::Text),
        ("day", Type::Date),
        ("clock", Type::Time),
        ("at", Type::Timestamp),
        ("tz", Type::TimestampTz),
        ("bin", Type::Binary),
        ("doc", Type::Json),
        ("tags", Type::List),
    ]
}

fn all_limits() -> Vec<Vec<Value>> {
    let nines = |whole: usize, fraction: usize| number(&format!("{}.{}", "9".repeat(whole), "9".repeat(fraction)));
    let minus = |whole: usize, fraction: usize| number(&format!("-{}.{}", "9".repeat(whole), "9".repeat(fraction)));
    let tiny = |fraction: usize| number(&format!("0.{}1", "0".repeat(fraction - 1)));
    let list = |items: &[&str]| Value::List(items.iter().map(|item| text(item)).collect());
    let last_us = i64::from(LAST_DAY) * DAY_US + DAY_US - 1;
    let first_us = i64::from(FIRST_DAY) * DAY_US;
    let everything = Value::Binary((0..=255).collect());
    vec![
        vec![
            text("1 least"),
            Value::Bool(false),
            Value::Int(i64::MIN),
            minus(10, 2),
            minus(28, 10),
            minus(38, 38),
            Value::Float(f64::MIN),
            text(""),
            Value::Date(FIRST_DAY),
            Value::Time(0),
            Value::Timestamp(first_us),
            Value::TimestampTz(first_us),
            Value::Binary(vec![]),
            Value::Json("null".into()),
            list(&[]),
        ],
        vec![
            text("2 most"),
            Value::Bool(true),
            Value::Int(i64::MAX),
            nines(10, 2),
            nines(28, 10),
            nines(38, 38),
            Value::Float(f64::MAX),
            text("\u{10FFFF}😀 'x' \"y\" \\ %s $1 ?1 \t\r\n;--"),
            Value::Date(LAST_DAY),
            Value::Time(DAY_US - 1),
            Value::Timestamp(last_us),
            Value::TimestampTz(last_us),
            everything,
            Value::Json(r#"{"a":[1,2.50,{"b":null}],"å":"\"x\""}"#.into()),
            list(&["a,b", "\"q\"", "", "å"]),
        ],
        vec![
            text("3 small"),
            Value::Null,
            Value::Int(0),
            tiny(2),
            tiny(10),
            tiny(38),
            Value::Float(5e-324),
            text(&"long ".repeat(30_000)),
            Value::Date(-1),
            Value::Time(1),
            Value::Timestamp(-1),
            Value::TimestampTz(-1),
            Value::Binary(vec![0]),
            Value::Json("\"x\"".into()),
            list(&["one"]),
        ],
        std::iter::once(text("4 null")).chain(std::iter::repeat_n(Value::Null, 14)).collect(),
    ]
}

async fn make(lab: &dyn Lab) {
    let columns: Vec<String> =
        types(lab).iter().skip(1).map(|(name, logical)| format!("{} {}", quoted(name), lab.native(*logical))).collect();
    let key = lab.native(Type::Text);
    lab.exec(&format!("CREATE TABLE {} (k {key} PRIMARY KEY, {})", table_sql(lab, "t"), columns.join(", "))).await;
}

/// Every logical type, loaded, read, described, and written again without a change.
pub async fn every_type_comes_back_at_its_limits(lab: &dyn Lab) {
    make(lab).await;
    let warehouse = lab.open(true);
    let loaded =
        warehouse.load(&lab.relation("t"), &load(LoadMode::Append, None, "o1"), pages(&types(lab), &limits(lab))).await;
    let loaded = loaded.expect("a load");
    assert_eq!((loaded.created, &loaded.rejected), (4, &vec![]));
    let columns: Vec<&str> = types(lab).iter().map(|(name, _)| *name).collect();
    let got = super::read(warehouse.as_ref(), super::ask(source(lab, "t"), &columns, full("k"))).await;
    assert_eq!(got.misfits, []);
    for (row, want) in got.rows.iter().zip(limits(lab)) {
        for ((value, want), (name, _)) in row.iter().zip(&want).zip(types(lab)) {
            let want = match want {
                Value::Json(json) => Value::Json(lab.document(json).into()),
                want => want.clone(),
            };
            assert_eq!(value, &want, "column {name} of row {}", row[0]);
        }
    }
    let schema = warehouse.describe(&source(lab, "t")).await.expect("a schema");
    let described: Vec<(&str, Type)> = schema.columns.iter().map(|c| (c.name.as_str(), c.logical)).collect();
    assert_eq!(described, types(lab));
    let merge = load(LoadMode::Merge, Some("k"), "o2");
    let again = warehouse.load(&lab.relation("t"), &merge, pages(&types(lab), &limits(lab))).await.expect("a merge");
    assert_eq!((again.created, again.updated, again.unchanged), (0, 0, 4), "equal values are written again");
}

/// Length, precision, range, NULL and type: refused with the rule, and the rest of the load goes on.
pub async fn values_that_do_not_fit_are_rejects_never_cut(lab: &dyn Lab) {
    let int = lab.native(Type::Int64);
    let money = lab.native(Type::Decimal { precision: 6, scale: 2 });
    lab.exec(&format!(
        "CREATE TABLE {} (k {} PRIMARY KEY, short VARCHAR(3), n {int} NOT NULL, m {money})",
        table_sql(lab, "t"),
        lab.native(Type::Text)
    ))
    .await;
    let columns = [
        ("k", Type::Text),
        ("short", Type::Text),
        ("n", Type::Decimal { precision: 38, scale: 4 }),
        ("m", Type::Decimal { precision: 38, scale: 4 }),
    ];
    let row = |key: &str, short: Value, n: Value, m: Value| vec![text(key), short, n, m];
    let given = [
        row("a", text("åäö"), number("7"), number("1234.5")),
        row("b", text("åäöx"), number("7"), Value::Null),
        row("c", Value::Null, number("7.5"), Value::Null),
        row("d", Value::Null, Value::Null, Value::Null),
        row("e", Value::Null, number("1"), number("12345")),
        row("f", Value::Null, number("1"), number("0.125")),
        row("g", Value::Null, number("9223372036854775808"), Value::Null),
        row("h", Value::Null, number("-9223372036854775808"), number("-9999.99")),
    ];
    let loaded =
        lab.open(true).load(&lab.relation("t"), &load(LoadMode::Append, None, "o"), pages(&columns, &given)).await;
    let loaded = loaded.expect("a load");
    let rejected: Vec<(u64, &str, Option<&str>)> =
        loaded.rejected.iter().map(|(row, why)| (*row, why.rule.as_str(), why.field.as_deref())).collect();
    let want = [
        (1, "too_long", Some("short")),
        (2, "out_of_range", Some("n")),
        (3, "not_null", Some("n")),
        (4, "out_of_range", Some("m")),
        (5, "out_of_range", Some("m")),
        (6, "out_of_range", Some("n")),
    ];
    assert_eq!(rejected, want);
    for (_, why) in &loaded.rejected {
        assert!(!why.reason.contains("12345") && !why.reason.contains("åäöx"), "a value in {why:?}");
    }
    let kept = rows(lab, "t", "k", &["k", "n", "m"]).await;
    assert_eq!(
        kept,
        [vec![text("a"), Value::Int(7), number("1234.5")], vec![text("h"), Value::Int(i64::MIN), number("-9999.99")],]
    );
}
