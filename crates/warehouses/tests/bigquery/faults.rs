//! What goes wrong between us and BigQuery: a proxy before the emulator loses answers, and says what BigQuery would.

use std::sync::Arc;

use serde_json::json;
use tidegate_model::change::{Action, Change, Outcome};
use tidegate_model::page::Held;
use tidegate_model::ports::{Load, LoadMode, ReadAsk, ReadMode, Warehouse};
use tidegate_model::record::{Fields, Key};
use tidegate_model::schema::Source;
use tidegate_model::span::{Fence, OpId};
use tidegate_model::value::{Type, Value};
use tidegate_model::{Error, ErrorKind};
use tidegate_testkit::warehouse_suite::Lab;

use super::super::lab::Emulated;
use super::super::proxy::{Call, Fault, Proxy};

async fn rig() -> (Emulated, Proxy, Arc<dyn Warehouse>) {
    let lab = Emulated::new().await;
    lab.run("CREATE TABLE t (k STRING, v INT64)").await;
    let (proxy, url) = Proxy::before(&lab).await;
    let mut settings = lab.settings();
    settings["endpoint"] = json!(url);
    let warehouse = lab.with(&settings, true);
    (lab, proxy, warehouse)
}

fn fence() -> Fence {
    Fence { sync: "s".into(), store: "ours".into(), epoch: 1 }
}

async fn append(warehouse: &dyn Warehouse, lab: &Emulated, op: &str) -> Result<bool, Error> {
    let columns = [("k".to_owned(), Type::Text), ("v".to_owned(), Type::Int64)];
    let mut builder = tidegate_model::cells::PageBuilder::new(&columns);
    for (key, value) in [("a", 1), ("b", 2)] {
        builder.push(&Value::text(key));
        builder.push(&Value::Int(value));
        builder.end_row();
    }
    let load =
        Load { mode: LoadMode::Append, key: None, op: OpId(op.into()), fence: fence(), link: Default::default() };
    let pages = Box::new(Held::one(builder.take().expect("a page")));
    let loaded = warehouse.load(&lab.relation("t"), &load, pages).await?;
    assert_eq!(loaded.created, 2);
    Ok(loaded.replayed)
}

async fn count(lab: &Emulated) -> String {
    lab.ask("SELECT COUNT(*) FROM t").await.expect("a count")
}

/// An answer is lost, of the stage or of the script: the operation, sent again, writes once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_does_not_write_twice() {
    let (lab, proxy, warehouse) = rig().await;
    proxy.next(Call::Upload, Fault::Lost);
    let staged = append(warehouse.as_ref(), &lab, "op").await.expect_err("the stage's answer is lost");
    assert_eq!(staged.kind, ErrorKind::Unavailable, "what is staged is seen by nobody: {staged:?}");
    assert_eq!(count(&lab).await, "0");
    proxy.next(Call::Job, Fault::Lost);
    let lost = append(warehouse.as_ref(), &lab, "op").await.expect_err("the script's answer is lost");
    assert_eq!(lost.kind, ErrorKind::Lost, "{lost:?}");
    append(warehouse.as_ref(), &lab, "op").await.expect("found again by its job's name, or by its span row");
    assert!(append(warehouse.as_ref(), &lab, "op").await.expect("told again"), "not told as replayed");
    assert_eq!(count(&lab).await, "2");
}

/// A job that failed is known by its name: the next attempt has another, and its transaction left nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_job_is_tried_under_another_name() {
    let (lab, proxy, warehouse) = rig().await;
    proxy.next(Call::Job, Fault::Sabotaged);
    let failed = append(warehouse.as_ref(), &lab, "op").await.expect_err("the script fails");
    assert!(failed.to_string().contains("job tidegate_"), "no job is named: {failed:?}");
    assert_eq!(count(&lab).await, "0", "rows of a transaction that never ended");
    assert!(!append(warehouse.as_ref(), &lab, "op").await.expect("a load"));
    assert_eq!(count(&lab).await, "2");
    let names: Vec<String> = proxy.seen().into_iter().filter(|call| call.contains("/jobs/tidegate_")).collect();
    assert!(names.iter().any(|call| call.starts_with("GET") && call.ends_with("_0")), "{names:?}");
}

/// The same for single records: one outcome each, told again after a lost answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_survive_a_lost_answer() {
    let (lab, proxy, warehouse) = rig().await;
    lab.run("INSERT INTO t VALUES ('b', 2)").await;
    let field = |value: i64| Fields::from_iter([("v".into(), Value::Int(value))]);
    let change = |action, key: &str, value, expect: Option<i64>| Change {
        key: Key::new(key),
        remote: None,
        action,
        fields: field(value),
        expect: expect.map(field),
    };
    let batch = [
        change(Action::Create, "a", 1, None),
        change(Action::Update, "b", 20, Some(2)),
        change(Action::Update, "b", 21, Some(20)),
    ];
    let write = || async { warehouse.write(&lab.relation("t"), "k", &batch, &OpId("w".into()), &fence()).await };
    proxy.next(Call::Job, Fault::Lost);
    assert_eq!(write().await.expect_err("lost").kind, ErrorKind::Lost);
    let outcomes = write().await.expect("told");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied { .. })), "{outcomes:?}");
    assert_eq!(lab.ask("SELECT SUM(v) FROM t").await.as_deref(), Some("22"));
}

/// However many records a batch has, BigQuery is given one script with one statement that changes the table: single
/// statements would be billed the whole table each, and twenty of them fill the table's queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_one_statement_and_never_one_a_row() {
    let (lab, proxy, warehouse) = rig().await;
    lab.run("INSERT INTO t SELECT CONCAT('k', CAST(n AS STRING)), n FROM UNNEST(GENERATE_ARRAY(1, 200)) AS n").await;
    let changes = |value: i64| {
        let field = move |value| Fields::from_iter([("v".into(), Value::Int(value))]);
        let change = move |action, key: String, expect: Option<i64>| Change {
            key: Key::new(key),
            remote: None,
            action,
            fields: if action == Action::Delete { Fields::new() } else { field(value) },
            expect: expect.map(field),
        };
        let created = (0..100).map(move |n| change(Action::Create, format!("new{n}"), None));
        let updated = (1..=100).map(move |n| change(Action::Update, format!("k{n}"), Some(n)));
        let deleted = (101..=150).map(move |n| change(Action::Delete, format!("k{n}"), Some(n)));
        created.chain(updated).chain(deleted).collect::<Vec<Change>>()
    };
    let batch = changes(-1);
    proxy.scripts();
    let outcomes = warehouse.write(&lab.relation("t"), "k", &batch, &OpId("many".into()), &fence()).await;
    let outcomes = outcomes.expect("written");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied { .. })), "{outcomes:?}");
    let scripts = proxy.scripts();
    assert_eq!(scripts.len(), 1, "{scripts:?}");
    assert_eq!(scripts[0].matches("MERGE ").count(), 1, "{}", scripts[0]);
    assert_eq!(count(&lab).await, "250");
    assert_eq!(lab.ask("SELECT COUNT(*) FROM t WHERE v = -1").await.as_deref(), Some("200"));
}

/// What BigQuery refuses is said in our words, with what to do, and nothing is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_and_guards_are_told_apart() {
    let (lab, proxy, warehouse) = rig().await;
    append(warehouse.as_ref(), &lab, "first").await.expect("a load");
    let dml =
        "Resources exceeded during query execution: Too many DML statements outstanding against table x, limit is 20.";
    for (status, reason, message, kind) in [
        (400, "resourcesExceeded", dml, ErrorKind::RateLimited),
        (403, "quotaExceeded", "Quota exceeded: Your table exceeded quota for imports", ErrorKind::RateLimited),
        (403, "rateLimitExceeded", "Exceeded rate limits: too many concurrent queries", ErrorKind::RateLimited),
        (403, "accessDenied", "Access Denied: Table x", ErrorKind::Forbidden),
        (401, "authError", "Request had invalid authentication credentials", ErrorKind::Unauthorized),
    ] {
        proxy.next(Call::Job, Fault::Refused(status, reason, message));
        let error = append(warehouse.as_ref(), &lab, "second").await.expect_err(reason);
        assert_eq!(error.kind, kind, "{error:?}");
    }
    let billed = "Query exceeded limit for bytes billed: 1000000. 20971520 or higher required.";
    proxy.next(Call::Query, Fault::Refused(400, "bytesBilledLimitExceeded", billed));
    let ask = ReadAsk {
        source: Source::Relation(lab.relation("t")),
        columns: vec!["k".into()],
        mode: ReadMode::Unordered,
        page_rows: 10,
        timezone: "UTC".into(),
    };
    let error = warehouse.read(ask).await.err().expect("over the guard");
    assert_eq!(error.kind, ErrorKind::Guard, "{error:?}");
    assert!(error.hint.is_some_and(|hint| hint.contains("maximum_bytes_billed")));
    assert_eq!(count(&lab).await, "2");
}

/// Where the Storage Read API cannot be reached the same rows come by REST.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_come_by_rest_where_storage_is_closed() {
    let (lab, _, warehouse) = rig().await;
    append(warehouse.as_ref(), &lab, "op").await.expect("a load");
    let mut settings = lab.settings();
    settings["storage_endpoint"] = json!("http://127.0.0.1:1");
    let warehouse = lab.with(&settings, false);
    let ask = ReadAsk {
        source: Source::Relation(lab.relation("t")),
        columns: vec!["k".into()],
        mode: ReadMode::Unordered,
        page_rows: 10,
        timezone: "UTC".into(),
    };
    let mut pages = warehouse.read(ask).await.expect("a read");
    assert_eq!(pages.next().await.expect("a page").map(|page| page.len()), Some(2));
    assert!(pages.next().await.expect("the end").is_none());
}
