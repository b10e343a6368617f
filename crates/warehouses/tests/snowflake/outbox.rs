//! Streams: moved into an outbox by a statement that commits, read from there, deleted after delivery.

use std::sync::Arc;

use tidegate_model::ErrorKind;
use tidegate_model::change::{Action, Change, Outcome};
use tidegate_model::finding::Severity;
use tidegate_model::ports::{Drained, Need, Outbox, ReadAsk, ReadMode, Warehouse, WriteColumn};
use tidegate_model::record::{Fields, Key};
use tidegate_model::schema::{Relation, Source};
use tidegate_model::span::{Fence, OpId};
use tidegate_model::sync::WriteMode;
use tidegate_model::value::{Type, Value};
use tidegate_testkit::warehouse_suite::Lab;

use crate::lab::{Emulated, rows};

fn relation(name: &str) -> Relation {
    Relation(vec!["LAB".into(), "PUBLIC".into(), name.into()])
}

fn outbox() -> Outbox {
    Outbox { stream: relation("S"), sync: "companies".into() }
}

fn fence(epoch: i64) -> Fence {
    Fence { sync: "companies".into(), store: "ours".into(), epoch }
}

async fn drain(warehouse: &Arc<dyn Warehouse>) -> Drained {
    warehouse.drain(&outbox(), &fence(1)).await.expect("a move")
}

fn ask(mode: ReadMode, columns: &[&str]) -> ReadAsk {
    let columns = columns.iter().map(|name| (*name).to_owned()).collect();
    ReadAsk { source: Source::Relation(relation("S")), columns, mode, page_rows: 100, timezone: "UTC".into() }
}

async fn waiting(warehouse: &Arc<dyn Warehouse>, through: u64) -> Vec<String> {
    let mode = ReadMode::Outbox { key: "K".into(), outbox: outbox(), through };
    rows(warehouse.as_ref(), ask(mode, &["K", "V"])).await
}

async fn streamed() -> Emulated {
    let lab = Emulated::new().await;
    lab.exec("CREATE TABLE \"T\" (\"K\" VARCHAR, \"V\" NUMBER(12,0))").await;
    lab.exec("INSERT INTO \"T\" VALUES ('a', 1), ('b', 1), ('c', 1)").await;
    lab.exec("CREATE STREAM \"S\" ON TABLE \"T\"").await;
    lab
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_wait_in_the_outbox_net_per_key_until_they_are_trimmed() {
    let lab = streamed().await;
    let warehouse = lab.open(true);
    let empty = drain(&warehouse).await;
    assert_eq!((empty.moved, empty.through), (0, 0), "nothing has changed since the stream was made");
    lab.exec("UPDATE \"T\" SET \"V\" = 2 WHERE \"K\" = 'a'").await;
    lab.exec("UPDATE \"T\" SET \"K\" = 'bb' WHERE \"K\" = 'b'").await;
    lab.exec("INSERT INTO \"T\" VALUES ('d', 1), (NULL, 7), (NULL, 8)").await;
    let first = drain(&warehouse).await;
    assert_eq!(first.moved, 7, "two pairs, three new rows");
    assert_eq!(first.stream, empty.stream);
    let expected = ["NULL 7 false", "NULL 8 false", "a 2 false", "b 1 true", "bb 1 false", "d 1 false"];
    assert_eq!(waiting(&warehouse, first.through).await, expected);
    // It goes on while the first move is being delivered; both wait.
    lab.exec("DELETE FROM \"T\" WHERE \"K\" = 'a'").await;
    lab.exec("INSERT INTO \"T\" VALUES ('b', 9)").await;
    let second = drain(&warehouse).await;
    assert_eq!(second.moved, 2);
    assert!(second.through > first.through);
    assert_eq!(waiting(&warehouse, first.through).await, expected, "up to the first move");
    let expected = ["NULL 7 false", "NULL 8 false", "a 2 true", "b 9 false", "bb 1 false", "d 1 false"];
    assert_eq!(waiting(&warehouse, second.through).await, expected);
    warehouse.trim(&outbox(), first.through, &fence(1)).await.expect("trimmed");
    assert_eq!(waiting(&warehouse, second.through).await, ["a 2 true", "b 9 false"]);
    for _again in 0..2 {
        warehouse.trim(&outbox(), second.through, &fence(1)).await.expect("trimmed");
    }
    assert_eq!(drain(&warehouse).await.through, 0, "nothing waits");
    lab.exec("DELETE FROM \"T\" WHERE \"K\" = 'd'").await;
    let third = drain(&warehouse).await;
    assert!(third.through > second.through, "a number was given twice: {third:?} after {second:?}");
    assert_eq!(waiting(&warehouse, third.through).await, ["d 1 true"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_do_not_move_a_stream_and_show_what_it_is_on() {
    let lab = streamed().await;
    let warehouse = lab.open(false);
    let source = Source::Relation(relation("S"));
    assert!(!warehouse.changed(&source, "", "").await.expect("an answer"));
    lab.exec("DELETE FROM \"T\" WHERE \"K\" = 'a'").await;
    assert!(warehouse.changed(&source, "", "").await.expect("an answer"));
    let full = ReadMode::Full { key: "K".into(), after: None, at: None };
    assert_eq!(rows(warehouse.as_ref(), ask(full, &["K"])).await, ["b", "c"]);
    assert_eq!(warehouse.count(&source).await.expect("a count"), 2);
    lab.advance(90).await;
    let mark = warehouse.mark(&source).await.expect("a mark");
    let pinned = ReadMode::Full { key: "K".into(), after: None, at: Some(mark) };
    assert_eq!(rows(warehouse.as_ref(), ask(pinned, &["K"])).await, ["b", "c"]);
    let needs = [Need::Read { source: source.clone(), columns: vec!["K".into()] }, Need::Follow { source }];
    assert_eq!(warehouse.check(&needs).await, []);
    assert_eq!(lab.ask("SELECT COUNT(*) FROM \"S\"").await.as_deref(), Some("1"), "the stream was moved by a read");
    // Nothing is made by a connection that reads.
    let refused = warehouse.drain(&outbox(), &fence(1)).await.expect_err("access: read");
    assert_eq!(refused.kind, ErrorKind::Forbidden);
    assert_eq!(warehouse.trim(&outbox(), 1, &fence(1)).await.expect_err("access: read").kind, ErrorKind::Forbidden);
    let made = "SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'TIDEGATE'";
    assert_eq!(lab.ask(made).await.as_deref(), Some("0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_fails_leaves_the_stream_where_it_was() {
    let lab = streamed().await;
    let warehouse = lab.open(true);
    drain(&warehouse).await;
    lab.exec("UPDATE \"T\" SET \"V\" = 5 WHERE \"K\" = 'c'").await;
    // Another run has taken over: what this one moves is rolled back with its fence.
    lab.exec("UPDATE \"LAB\".\"TIDEGATE\".\"FENCE\" SET \"EPOCH\" = 7").await;
    let error = warehouse.drain(&outbox(), &fence(1)).await.expect_err("an old epoch");
    assert_eq!(error.kind, ErrorKind::LeaseLost, "{error:?}");
    let foreign = Fence { store: "theirs".into(), ..fence(9) };
    let error = warehouse.drain(&outbox(), &foreign).await.expect_err("another store");
    assert_eq!(error.kind, ErrorKind::ForeignStore);
    let moved = warehouse.drain(&outbox(), &fence(8)).await.expect("a move");
    assert_eq!(moved.moved, 2);
    assert_eq!(waiting(&warehouse, moved.through).await, ["c 5 false"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_the_source_gets_goes_into_the_outbox_too() {
    let lab = streamed().await;
    let warehouse = lab.open(true);
    lab.exec("UPDATE \"T\" SET \"V\" = 2 WHERE \"K\" = 'a'").await;
    let first = drain(&warehouse).await;
    lab.exec("ALTER TABLE \"T\" ADD COLUMN \"MORE\" VARCHAR").await;
    lab.exec("UPDATE \"T\" SET \"MORE\" = 'm' WHERE \"K\" = 'b'").await;
    let read = |through| ReadMode::Outbox { key: "K".into(), outbox: outbox(), through };
    // The outbox does not have it yet.
    assert_eq!(rows(warehouse.as_ref(), ask(read(first.through), &["K", "MORE"])).await, ["a NULL false"]);
    let second = drain(&warehouse).await;
    let found = rows(warehouse.as_ref(), ask(read(second.through), &["K", "V", "MORE"])).await;
    assert_eq!(found, ["a 2 NULL false", "b 1 m false"]);
    lab.exec("ALTER TABLE \"T\" DROP COLUMN \"MORE\"").await;
    lab.exec("DELETE FROM \"T\" WHERE \"K\" = 'c'").await;
    let third = drain(&warehouse).await;
    assert_eq!(waiting(&warehouse, third.through).await, ["a 2 false", "b 1 false", "c 1 true"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_stream_says_how_it_is_made_anew() {
    let lab = streamed().await;
    let warehouse = lab.open(true);
    let before = drain(&warehouse).await;
    lab.exec("UPDATE \"T\" SET \"V\" = 2 WHERE \"K\" = 'a'").await;
    lab.advance(15 * 86_400).await;
    let error = warehouse.drain(&outbox(), &fence(1)).await.expect_err("a stale stream");
    assert_eq!(error.kind, ErrorKind::HistoryGone, "{error:?}");
    let anew = "CREATE OR REPLACE STREAM \"LAB\".\"PUBLIC\".\"S\" COPY GRANTS ON TABLE \"LAB\".\"PUBLIC\".\"T\";";
    assert!(error.hint.as_deref().unwrap_or("").starts_with(anew), "{error:?}");
    let source = Source::Relation(relation("S"));
    // Who reads all of it each time does not need the stream.
    let full = Need::Read { source: source.clone(), columns: vec!["K".into()] };
    assert_eq!(warehouse.check(&[full]).await, []);
    let findings = warehouse.check(&[Need::Follow { source }]).await;
    assert_eq!(findings.iter().map(|finding| finding.fix.as_str()).collect::<Vec<_>>(), [anew]);
    lab.exec(anew.trim_end_matches(';')).await;
    let after = drain(&warehouse).await;
    assert_eq!(after.moved, 0);
    assert_ne!(after.stream, before.stream, "a new stream passes for the old one");
    // The table is made anew below it: lost at once, whatever the retention.
    lab.exec("CREATE OR REPLACE TABLE \"T\" (\"K\" VARCHAR, \"V\" NUMBER(12,0))").await;
    let error = warehouse.drain(&outbox(), &fence(1)).await.expect_err("a stream on a table that is gone");
    assert_eq!(error.kind, ErrorKind::HistoryGone, "{error:?}");
}

/// A stream that can lose updates is told, with what makes one that cannot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_only_stream_is_told_with_what_makes_it_whole() {
    let lab = streamed().await;
    lab.exec("CREATE OR REPLACE STREAM \"S\" ON TABLE \"T\" APPEND_ONLY = TRUE").await;
    let warehouse = lab.open(true);
    lab.exec("UPDATE \"T\" SET \"V\" = 2 WHERE \"K\" = 'a'; INSERT INTO \"T\" VALUES ('d', 1)").await;
    let moved = drain(&warehouse).await;
    assert_eq!(waiting(&warehouse, moved.through).await, ["d 1 false"], "what such a stream shows");
    let follow = || [Need::Follow { source: Source::Relation(relation("S")) }];
    let findings = warehouse.check(&follow()).await;
    let told = |finding: &tidegate_model::finding::Finding| (finding.finding.clone(), finding.severity);
    assert_eq!(findings.iter().map(told).collect::<Vec<_>>(), [("append_only_stream".to_owned(), Severity::Warning)]);
    lab.exec(findings[0].fix.trim_end_matches(';')).await;
    assert_eq!(warehouse.check(&follow()).await, []);
    lab.exec("UPDATE \"T\" SET \"V\" = 3 WHERE \"K\" = 'a'").await;
    assert_eq!(drain(&warehouse).await.moved, 2, "a pair");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_on_a_view_is_moved_like_any_other() {
    let lab = streamed().await;
    lab.exec("CREATE VIEW \"V\" AS SELECT \"K\", \"V\" FROM \"T\" WHERE \"V\" < 100").await;
    lab.exec("CREATE OR REPLACE STREAM \"S\" ON VIEW \"V\"").await;
    let warehouse = lab.open(true);
    lab.exec("UPDATE \"T\" SET \"V\" = 500 WHERE \"K\" = 'a'").await;
    lab.exec("UPDATE \"T\" SET \"V\" = 50 WHERE \"K\" = 'b'").await;
    let moved = drain(&warehouse).await;
    assert_eq!(waiting(&warehouse, moved.through).await, ["a 1 true", "b 50 false"]);
    let error = warehouse.drain(&Outbox { stream: relation("T"), sync: "x".into() }, &fence(1)).await;
    assert_eq!(error.expect_err("a table").kind, ErrorKind::Config);
}

/// What comes back from the platform goes to the table that the stream is on, and shows in the stream like any change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_written_to_the_table_below_a_stream_and_not_to_a_view_below_one() {
    let lab = streamed().await;
    let warehouse = lab.open(true);
    drain(&warehouse).await;
    let column = |name: &str, logical| WriteColumn { name: name.into(), logical, nulls: false, max_length: None };
    let need = |name: &str| Need::Write {
        relation: relation(name),
        key: Some("K".into()),
        columns: vec![column("V", Type::Decimal { precision: 12, scale: 0 })],
        mode: WriteMode::Upsert,
    };
    let critical = async |need| {
        let found = warehouse.check(&[need]).await.into_iter().filter(|finding| finding.severity == Severity::Critical);
        found.map(|finding| finding.finding).collect::<Vec<_>>()
    };
    assert_eq!(critical(need("S")).await, [""; 0]);
    let value = |n: i64| Fields::from_iter([("V".into(), Value::Int(n))]);
    let change = |key: &str, n| Change {
        key: Key::new(key),
        remote: None,
        action: Action::Update,
        fields: value(n),
        expect: Some(value(1)),
    };
    let batch = [change("a", 5), change("b", 6)];
    let write = |name: &'static str| {
        let (warehouse, batch) = (warehouse.clone(), batch.clone());
        async move { warehouse.write(&relation(name), "K", &batch, &OpId(name.into()), &fence(1)).await }
    };
    let outcomes = write("S").await.expect("a write");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied { .. })), "{outcomes:?}");
    let moved = drain(&warehouse).await;
    assert_eq!(waiting(&warehouse, moved.through).await, ["a 5 false", "b 6 false"]);
    lab.exec("CREATE VIEW \"V\" AS SELECT \"K\", \"V\" FROM \"T\"; CREATE STREAM \"SV\" ON VIEW \"V\"").await;
    let error = write("SV").await.expect_err("a stream on a view");
    assert_eq!(error.kind, ErrorKind::BadRequest, "{error:?}");
    assert_eq!(critical(need("SV")).await, ["not_a_table"]);
}
