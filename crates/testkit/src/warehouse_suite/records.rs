//! Writes of single records.

use tidegate_model::change::{Action, Change, Outcome};
use tidegate_model::span::OpId;
use tidegate_model::value::{Type, Value};
use tidegate_model::{ErrorKind, Result};

use super::{Lab, change, check, fence, number, rows, said, table_sql, text};

async fn make(lab: &dyn Lab) {
    let (t, money, doc) =
        (lab.native(Type::Text), lab.native(Type::Decimal { precision: 10, scale: 2 }), lab.native(Type::Json));
    let tz = lab.native(Type::TimestampTz);
    lab.exec(&format!(
        "CREATE TABLE {} (id {t} PRIMARY KEY, name {t} NOT NULL, arr {money}{}, doc {doc}, \"at\" {tz}, short VARCHAR(3))",
        table_sql(lab, "t"),
        check(lab, "arr < 1000")
    ))
    .await;
}

async fn write(lab: &dyn Lab, op: &str, batch: &[Change]) -> Result<Vec<Outcome>> {
    lab.open(true).write(&lab.relation("t"), "id", batch, &OpId(op.into()), &fence(1)).await
}

async fn says(lab: &dyn Lab, op: &str, batch: &[Change]) -> Vec<String> {
    let outcomes = write(lab, op, batch).await.expect("a write");
    assert_eq!(outcomes.len(), batch.len());
    outcomes.iter().map(said).collect()
}

/// Creates, upserts, updates and deletes; what is there already is unchanged under the column's own form.
pub async fn records_are_created_updated_and_deleted(lab: &dyn Lab) {
    make(lab).await;
    let acme = |arr: &str| [("name", text("Acme")), ("arr", number(arr))];
    let doc = |json: &str| {
        [("name", text("Acme")), ("doc", Value::Json(json.into())), ("at", Value::TimestampTz(1_704_067_200_123_456))]
    };
    let batch = [
        change(Action::Create, "a", &acme("1.50"), None),
        change(Action::Create, "å", &doc(r#"{"b":1,"a":[2]}"#), Some(&[])),
        change(Action::Create, "c", &[("name", text("C"))], None),
    ];
    assert_eq!(says(lab, "1", &batch).await, ["created", "created", "created"]);
    let batch = [
        change(Action::Create, "a", &acme("1.5"), None),
        change(Action::Update, "å", &doc(r#"{ "a":[2], "b":1 }"#), None),
        change(Action::Create, "c", &acme("7"), None),
        change(Action::Update, "a", &[("arr", Value::Int(2))], None),
        change(Action::Update, "gone", &[("arr", Value::Int(2))], None),
    ];
    assert_eq!(says(lab, "2", &batch).await, ["unchanged", "unchanged", "updated", "updated", "missed"]);
    let batch = [
        change(Action::Delete, "c", &[], Some(&[("arr", number("7.00"))])),
        change(Action::Delete, "c", &[], None),
        change(Action::Update, "å", &[("doc", Value::Null), ("arr", number("-0.01"))], None),
    ];
    assert_eq!(says(lab, "3", &batch).await, ["deleted", "unchanged", "updated"]);
    let got = rows(lab, "t", "id", &["id", "name", "arr", "doc"]).await;
    assert_eq!(
        got,
        [
            vec![text("a"), text("Acme"), number("2"), Value::Null],
            vec![text("å"), text("Acme"), number("-0.01"), Value::Null],
        ]
    );
}

/// A write whose before-image no longer holds writes nothing and tells what stands there.
pub async fn conditional_writes_miss_when_the_row_moved(lab: &dyn Lab) {
    make(lab).await;
    let table = table_sql(lab, "t");
    lab.exec(&format!(
        "INSERT INTO {table} (id, name, arr) VALUES ('a', 'Acme', 1.5), ('b', 'Bee', NULL), ('d', 'Dee', 4)"
    ))
    .await;
    let batch = [
        change(Action::Update, "a", &[("name", text("New"))], Some(&[("name", text("Old")), ("arr", number("1.50"))])),
        change(Action::Update, "b", &[("arr", number("3"))], Some(&[("arr", Value::Null)])),
        change(Action::Create, "a", &[("name", text("Mine"))], Some(&[])),
        change(Action::Delete, "d", &[], Some(&[("arr", number("5"))])),
        change(Action::Update, "zz", &[("arr", number("3"))], Some(&[("arr", Value::Null)])),
        change(Action::Update, "d", &[("name", text("Dee"))], Some(&[("name", text("Old"))])),
    ];
    let outcomes = write(lab, "1", &batch).await.expect("a write");
    let words: Vec<String> = outcomes.iter().map(said).collect();
    assert_eq!(words, ["missed", "updated", "missed", "missed", "missed", "unchanged"]);
    let now = |at: usize| match &outcomes[at] {
        Outcome::Missed { now, .. } => now.clone(),
        other => panic!("{other:?}"),
    };
    let a = now(0).expect("there");
    assert_eq!((a.get("name"), a.get("arr")), (Some(&text("Acme")), Some(&number("1.5"))));
    assert_eq!(now(2).expect("there").get("name"), Some(&text("Acme")));
    assert_eq!(now(3).expect("there").get("arr"), Some(&number("4")));
    assert_eq!(now(4), None);
    let got = rows(lab, "t", "id", &["id", "name", "arr"]).await;
    assert_eq!(got[0], [text("a"), text("Acme"), number("1.5")]);
    assert_eq!(got[1], [text("b"), text("Bee"), number("3")]);
    assert_eq!(got.len(), 3);
}

/// The same operation again: the same outcomes, and an edit made meanwhile stays.
pub async fn a_replayed_write_tells_the_first_outcomes(lab: &dyn Lab) {
    make(lab).await;
    let table = table_sql(lab, "t");
    lab.exec(&format!("INSERT INTO {table} (id, name) VALUES ('b', 'Bee'), ('c', 'Cee')")).await;
    let batch = [
        change(Action::Create, "a", &[("name", text("Acme"))], None),
        change(Action::Update, "b", &[("name", text("New"))], Some(&[("name", text("Bee"))])),
        change(Action::Update, "c", &[("name", text("New"))], Some(&[("name", text("Other"))])),
        change(Action::Create, "x", &[("name", Value::Null)], None),
    ];
    let first = says(lab, "op", &batch).await;
    assert_eq!(first, ["created", "updated", "missed", "not_null"]);
    lab.exec(&format!("UPDATE {table} SET name = 'edited by a person' WHERE id = 'b'")).await;
    assert_eq!(says(lab, "op", &batch).await, first);
    let got = rows(lab, "t", "id", &["name"]).await;
    assert_eq!(got, [vec![text("Acme")], vec![text("edited by a person")], vec![text("Cee")]]);
    let older = lab.open(true).write(&lab.relation("t"), "id", &batch, &OpId("op".into()), &fence(0)).await;
    assert_eq!(older.expect_err("older").kind, ErrorKind::LeaseLost);
}

/// One bad record does not take the others with it, and nothing of it is written.
pub async fn a_bad_record_is_rejected_alone(lab: &dyn Lab) {
    make(lab).await;
    let table = table_sql(lab, "t");
    if lab.enforces() {
        lab.exec(&format!("CREATE UNIQUE INDEX one_name ON {table} (name)")).await;
    }
    let named = |name: &str| ("name", text(name));
    let batch = [
        change(Action::Create, "a", &[named("A")], None),
        change(Action::Create, "b", &[named("B"), ("arr", number("5000"))], None),
        change(Action::Create, "c", &[named("A")], None),
        change(Action::Create, "d", &[("arr", number("1"))], None),
        change(Action::Create, "e", &[named("E"), ("short", text("long"))], None),
        change(Action::Create, "f", &[named("F"), ("arr", number("0.125"))], None),
        change(Action::Update, "a", &[("arr", number("5000"))], None),
        change(Action::Update, "a", &[("nowhere", text("x"))], None),
        change(Action::Create, "g", &[named("G"), ("short", Value::Bool(true))], None),
        change(Action::Create, "h", &[named("H"), ("short", text("åäö"))], None),
    ];
    // What only the database can know is left out where it knows nothing.
    let known = |at: &usize| lab.enforces() || ![1, 2, 6].contains(at);
    let batch: Vec<Change> = (0..batch.len()).filter(known).map(|at| batch[at].clone()).collect();
    let outcomes = write(lab, "1", &batch).await.expect("a write");
    let words: Vec<String> = outcomes.iter().map(said).collect();
    let want = [
        "created",
        "check",
        "unique",
        "not_null",
        "too_long",
        "out_of_range",
        "check",
        "missing_column",
        "wrong_type",
        "created",
    ];
    let want: Vec<&str> = (0..want.len()).filter(known).map(|at| want[at]).collect();
    assert_eq!(words, want);
    for outcome in &outcomes {
        if let Outcome::Rejected(why) = outcome {
            assert!(!why.reason.contains("5000") && !why.reason.contains("long\""), "a value in {why:?}");
        }
    }
    let got = rows(lab, "t", "id", &["id", "arr"]).await;
    assert_eq!(got, [vec![text("a"), Value::Null], vec![text("h"), Value::Null]]);
}

/// A key that names two rows names none.
pub async fn keys_that_are_there_twice_are_rejected(lab: &dyn Lab) {
    let (t, int) = (lab.native(Type::Text), lab.native(Type::Int64));
    let table = table_sql(lab, "t");
    lab.exec(&format!("CREATE TABLE {table} (id {int}, name {t})")).await;
    lab.exec(&format!("INSERT INTO {table} VALUES (7, 'x'), (7, 'y'), (8, 'z')")).await;
    let batch = [
        change(Action::Update, "7", &[("name", text("n"))], None),
        change(Action::Delete, "7", &[], None),
        change(Action::Update, "8", &[("name", text("n"))], Some(&[("name", text("z"))])),
        change(Action::Create, "9", &[("name", text("new"))], None),
    ];
    assert_eq!(says(lab, "1", &batch).await, ["duplicate_key", "duplicate_key", "updated", "created"]);
    assert_eq!(lab.ask(&format!("SELECT count(*) FROM {table} WHERE id = 7")).await.as_deref(), Some("2"));
    assert_eq!(lab.ask(&format!("SELECT name FROM {table} WHERE id = 9")).await.as_deref(), Some("new"));
}
