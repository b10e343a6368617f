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

/// Looks until something was called; its address.
async fn called(proxy: &Proxy, words: &str) -> String {
    for _ in 0..2_000 {
        if let Some(seen) = proxy.seen().into_iter().find(|seen| seen.contains(words)) {
            return seen;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{words} was not called: {:?}", proxy.seen());
}

/// A run that is stopped drops what it waits for: the job is cancelled, and not one that has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_nobody_waits_for_is_cancelled() {
    let (_lab, proxy, warehouse) = rig().await;
    proxy.next(Call::Query, Fault::Later);
    proxy.next(Call::Saying("/queries/"), Fault::Slow);
    let asking = Arc::clone(&warehouse);
    let read = tokio::spawn(async move { asking.now().await });
    let looked = called(&proxy, "/queries/").await;
    read.abort();
    let cancelled = called(&proxy, "/cancel").await;
    let job = looked.rsplit('/').next().expect("a job");
    assert!(cancelled.starts_with("POST ") && cancelled.ends_with(&format!("/jobs/{job}/cancel")), "{cancelled}");

    // One that has ended is let be, however long it took.
    proxy.next(Call::Query, Fault::Later);
    warehouse.now().await.expect("the clock");
    tidegate_net::farewell::said(std::time::Duration::from_secs(10)).await;
    assert_eq!(proxy.seen().iter().filter(|seen| seen.contains("/cancel")).count(), 1, "{:?}", proxy.seen());
}

/// Before the first answer nobody knows what the job is called: it is waited for beside, and then cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_is_cancelled_that_was_given_up_before_its_first_answer() {
    let (_lab, proxy, warehouse) = rig().await;
    proxy.next(Call::Query, Fault::MuchLater);
    let read = tokio::spawn(async move { warehouse.now().await });
    called(&proxy, "POST /bigquery/v2/projects").await;
    read.abort();
    called(&proxy, "/cancel").await;
    assert!(!proxy.seen().iter().any(|seen| seen.contains("/queries/")), "{:?}", proxy.seen());
}

/// A write is given up too: its operation goes on under another attempt, once this one is known to have failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_nobody_waits_for_is_cancelled_and_goes_on_later() {
    let (lab, proxy, warehouse) = rig().await;
    let running = json!({ "jobReference": { "jobId": "slow", "projectId": "p" }, "status": { "state": "RUNNING" } });
    proxy.next(Call::Job, Fault::Answered(running));
    let (asking, there) = (Arc::clone(&warehouse), lab.relation("t"));
    let change = Change {
        key: Key::new("a"),
        remote: None,
        action: Action::Create,
        fields: Fields::from_iter([("v".into(), Value::Int(1))]),
        expect: None,
    };
    let batch = vec![change];
    let (sent, op) = (batch.clone(), OpId("given up".into()));
    let write = tokio::spawn(async move { asking.write(&there, "k", &sent, &op, &fence()).await });
    loop {
        if proxy.seen().iter().any(|seen| seen.starts_with("POST /bigquery") && seen.ends_with("/jobs")) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    write.abort();
    assert!(called(&proxy, "/cancel").await.ends_with("/jobs/slow/cancel"));
    let outcomes = warehouse.write(&lab.relation("t"), "k", &batch, &OpId("given up".into()), &fence()).await;
    let outcomes = outcomes.expect("written");
    assert!(matches!(outcomes[0], Outcome::Applied { .. }), "{outcomes:?}");
    assert_eq!(count(&lab).await, "1");
}
