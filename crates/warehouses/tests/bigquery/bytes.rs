//! What is billed: known before a read, counted after it, and kept below the guard.

use serde_json::json;
use tidegate_model::ErrorKind;
use tidegate_model::ports::{Need, Warehouse};
use tidegate_model::schema::Source;
use tidegate_testkit::warehouse_suite::Lab;

use super::super::lab::Emulated;
use super::super::proxy::{Call, Fault, Proxy};

/// BigQuery's least charge for a table, which is what the shim counts for each.
const TABLE: u64 = 10 << 20;

async fn table() -> Emulated {
    let lab = Emulated::new().await;
    lab.run("CREATE TABLE t (k STRING, v INT64)").await;
    lab.run("INSERT INTO t VALUES ('a', 1)").await;
    lab
}

async fn drained(warehouse: &dyn Warehouse, lab: &Emulated) -> usize {
    let mut pages = warehouse.read(lab.reading("t", &["k"])).await.expect("a read");
    let mut rows = 0;
    while let Some(page) = pages.next().await.expect("a page") {
        rows += page.len();
    }
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_has_its_price_and_is_billed_once() {
    let lab = table().await;
    let (proxy, url) = Proxy::before(&lab).await;
    let mut settings = lab.settings();
    settings["endpoint"] = json!(url);
    let warehouse = lab.with(&settings, false);
    assert_eq!(warehouse.price(&lab.reading("t", &["k"])).await.expect("a price"), Some(TABLE));
    assert_eq!(warehouse.billed(), Some(0), "a dry run costs nothing");
    assert_eq!(drained(warehouse.as_ref(), &lab).await, 1);
    assert_eq!(warehouse.billed(), Some(TABLE));
    // Of a query that takes longer than its first answer is held back only the job says what was billed.
    proxy.next(Call::Saying("SELECT `k`"), Fault::Later);
    assert_eq!(drained(warehouse.as_ref(), &lab).await, 1);
    assert_eq!(warehouse.billed(), Some(2 * TABLE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_the_guard_is_foretold_and_refused() {
    let lab = table().await;
    let mut settings = lab.settings();
    settings["maximum_bytes_billed"] = json!(TABLE - 1);
    let warehouse = lab.with(&settings, false);
    let source = Source::Relation(lab.relation("t"));
    let needs = [Need::Read { source, columns: vec!["k".into()] }];
    let findings = warehouse.check(&needs).await;
    let found: Vec<&str> = findings.iter().map(|finding| finding.finding.as_str()).collect();
    assert_eq!(found, ["over_budget"], "{findings:?}");
    let error = warehouse.read(lab.reading("t", &["k"])).await.err().expect("over the guard");
    assert_eq!(error.kind, ErrorKind::Guard, "{error:?}");
    assert!(error.hint.is_some_and(|hint| hint.contains("maximum_bytes_billed")));
    assert_eq!(warehouse.billed(), Some(0), "refused before it cost anything");
    settings["maximum_bytes_billed"] = json!(TABLE);
    let warehouse = lab.with(&settings, false);
    assert_eq!(drained(warehouse.as_ref(), &lab).await, 1);
}
