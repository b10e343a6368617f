//! The file: not there, no database, locked; and how connections are opened.

use tidegate_model::ErrorKind;
use tidegate_model::change::{Action, Change};
use tidegate_model::ports::Need;
use tidegate_model::record::{Fields, Key};
use tidegate_model::schema::{Relation, Source};
use tidegate_model::span::{Fence, OpId};
use tidegate_model::sync::WriteMode;
use tidegate_testkit::warehouse_suite::Lab;
use tidegate_warehouses::{kinds, open};

use super::File;

fn t() -> Relation {
    Relation(vec!["t".into()])
}

fn create(key: &str) -> Change {
    Change { key: Key::new(key), remote: None, action: Action::Create, fields: Fields::new(), expect: None }
}

fn fence() -> Fence {
    Fence { sync: "s".into(), store: "ours".into(), epoch: 1 }
}

#[tokio::test]
async fn a_missing_file_is_an_error_and_is_not_made() {
    let file = File::new();
    for write in [false, true] {
        let warehouse = open("sqlite", &serde_json::json!({ "path": "nowhere.db" }), &file.context(write)).unwrap();
        let error = warehouse.count(&Source::Relation(t())).await.expect_err("no file");
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert!(error.hint.is_some() && error.message.contains("nowhere.db"), "{error:?}");
        if write {
            let written = warehouse.write(&t(), "k", &[create("a")], &OpId("1".into()), &fence()).await;
            assert_eq!(written.expect_err("no file").kind, ErrorKind::NotFound);
        }
        assert_eq!(warehouse.check(&[Need::Connect]).await[0].finding, "not_found");
    }
    assert!(!file.folder.path().join("nowhere.db").exists());
}

#[tokio::test]
async fn a_file_that_is_no_database_says_so() {
    let file = File::new();
    std::fs::write(
        file.folder.path().join("text.db"),
        "this is a text, and a rather long one, of more than a hundred bytes, to be taken for a page of a database",
    )
    .unwrap();
    let warehouse = open("sqlite", &serde_json::json!({ "path": "text.db" }), &file.context(false)).unwrap();
    assert_eq!(warehouse.count(&Source::Relation(t())).await.expect_err("text").kind, ErrorKind::Config);
}

#[tokio::test]
async fn a_locked_file_is_said_to_be_locked_and_read_all_the_same() {
    let file = File::new();
    file.exec("CREATE TABLE t (k TEXT PRIMARY KEY)").await;
    let holder = file.connect();
    holder.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES ('theirs')").unwrap();
    let settings = serde_json::json!({ "path": "warehouse.db", "busy_timeout_ms": 50 });
    let warehouse = open("sqlite", &settings, &file.context(true)).unwrap();
    let written = warehouse.write(&t(), "k", &[create("ours")], &OpId("1".into()), &fence()).await;
    let error = written.expect_err("locked");
    assert_eq!(error.kind, ErrorKind::Locked);
    assert!(error.message.contains("warehouse.db"), "{error}");
    assert_eq!(warehouse.count(&Source::Relation(t())).await.expect("a reader"), 0);
    holder.execute_batch("COMMIT").unwrap();
    let written = warehouse.write(&t(), "k", &[create("ours")], &OpId("1".into()), &fence()).await;
    assert_eq!(written.expect("a write").len(), 1);
}

#[tokio::test]
async fn a_file_without_wal_is_warned_of() {
    let file = File::new();
    file.exec("PRAGMA journal_mode = DELETE; CREATE TABLE t (k TEXT PRIMARY KEY)").await;
    let need = Need::Write { relation: t(), key: Some("k".into()), columns: vec![], mode: WriteMode::Upsert };
    let findings = file.open(true).check(std::slice::from_ref(&need)).await;
    assert_eq!(findings[0].finding, "no_wal");
    file.exec(&findings[0].fix).await;
    assert_eq!(file.open(true).check(&[need]).await, []);
}

#[tokio::test]
async fn a_trigger_that_rolls_everything_back_is_an_error_not_a_reject() {
    let file = File::new();
    file.exec("CREATE TABLE t (k TEXT PRIMARY KEY); CREATE TRIGGER no BEFORE INSERT ON t WHEN NEW.k = 'bad' BEGIN SELECT RAISE(ROLLBACK, 'no'); END; \
        CREATE TRIGGER soft BEFORE INSERT ON t WHEN NEW.k = 'soft' BEGIN SELECT RAISE(ABORT, 'no'); END").await;
    let warehouse = file.open(true);
    let batch = [create("a"), create("bad"), create("b")];
    let error = warehouse.write(&t(), "k", &batch, &OpId("1".into()), &fence()).await.expect_err("rolled back");
    assert_eq!(error.kind, ErrorKind::Data);
    assert_eq!(warehouse.count(&Source::Relation(t())).await.expect("a count"), 0);
    let batch = [create("a"), create("soft"), create("b")];
    let outcomes = warehouse.write(&t(), "k", &batch, &OpId("2".into()), &fence()).await.expect("a write");
    assert!(format!("{:?}", outcomes[1]).contains("trigger"));
    assert_eq!(warehouse.count(&Source::Relation(t())).await.expect("a count"), 2);
}

#[test]
fn connections_are_opened_by_kind() {
    let file = File::new();
    let refused = |kind: &str, settings: serde_json::Value| match open(kind, &settings, &file.context(false)) {
        Ok(_) => panic!("{kind} opened with {settings}"),
        Err(error) => error,
    };
    let error = refused("sqlitee", serde_json::json!({}));
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(
        error.hint.as_deref().unwrap().contains("postgres, ")
            || error.hint.as_deref().unwrap().contains("sqlite, postgres")
    );
    let error = refused("sqlite", serde_json::json!({ "path": "x.db", "pth": 1 }));
    assert!(error.to_string().contains("pth") && error.to_string().contains("lake"), "{error}");
    refused("sqlite", serde_json::json!({ "path": "x.db", "busy_timeout_ms": 50_000 }));
    refused("postgres", serde_json::json!({ "url": "postgres://u@h/d?sslmode=maybe" }));
    let names: Vec<&str> = kinds().iter().map(|kind| kind.name).collect();
    assert_eq!(names, ["sqlite", "postgres", "snowflake", "bigquery"]);
    for kind in kinds() {
        assert_eq!(kind.schema["additionalProperties"], serde_json::json!(false), "{}", kind.name);
        assert!(!kind.promise.is_empty());
    }
}
