//! `check`: each right that is missing is named, with what gives it. The emulator gives every right; a proxy takes them.

use std::sync::Arc;

use serde_json::json;
use tidegate_model::finding::{Finding, Severity};
use tidegate_model::ports::{Need, Warehouse, WriteColumn};
use tidegate_model::schema::Source;
use tidegate_model::sync::WriteMode;
use tidegate_model::value::Type;
use tidegate_testkit::warehouse_suite::Lab;

use super::super::lab::Emulated;
use super::super::proxy::{Call, Fault, Proxy};
use super::super::wire;

const DENIED: Fault = Fault::Refused(403, "accessDenied", "Access Denied: the login lacks a permission");

async fn rig() -> (Emulated, Proxy, Arc<dyn Warehouse>) {
    let lab = Emulated::new().await;
    lab.run("CREATE TABLE t (k STRING, v INT64)").await;
    let (proxy, url) = Proxy::before(&lab).await;
    let mut settings = lab.settings();
    settings["endpoint"] = json!(url);
    let warehouse = lab.with(&settings, true);
    (lab, proxy, warehouse)
}

fn reads(lab: &Emulated) -> Need {
    Need::Read { source: Source::Relation(lab.relation("t")), columns: vec!["k".into()] }
}

fn writes(lab: &Emulated) -> Need {
    let column = |name: &str, logical| WriteColumn { name: name.into(), logical, nulls: true, max_length: None };
    let columns = vec![column("k", Type::Text), column("v", Type::Int64)];
    Need::Write { relation: lab.relation("t"), key: Some("k".into()), columns, mode: WriteMode::Append }
}

#[track_caller]
fn one(findings: &[Finding], name: &str, severity: Severity, fix: &str) {
    let told: Vec<_> = findings.iter().map(|finding| (finding.finding.as_str(), finding.severity)).collect();
    assert_eq!(told, [(name, severity)], "{findings:?}");
    assert!(findings[0].fix.contains(fix), "no {fix:?} in {findings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_that_is_missing_is_named_with_its_fix() {
    use Severity::Critical;
    let (lab, proxy, warehouse) = rig().await;
    let needs = [reads(&lab), writes(&lab)];
    assert_eq!(warehouse.check(&needs).await, [], "every right is there");
    proxy.next(Call::Saying("SELECT 1"), DENIED);
    one(&warehouse.check(&needs).await, "missing_right", Critical, "roles/bigquery.jobUser");
    let off = "Access Denied: BigQuery API has not been used in project 1 before or it is disabled";
    proxy.next(Call::Saying("SELECT 1"), Fault::Refused(403, "accessDenied", off));
    one(&warehouse.check(&needs).await, "api_off", Critical, "gcloud services enable bigquery.googleapis.com");
    let nowhere = Fault::Refused(404, "notFound", "Not found: Project lab");
    proxy.next(Call::Saying("SELECT 1"), nowhere);
    one(&warehouse.check(&needs).await, "no_project", Critical, "`project:` in connections/lake.yaml");
    proxy.next(Call::Saying("SELECT `k` FROM"), DENIED);
    one(&warehouse.check(&needs).await, "missing_right", Critical, "GRANT `roles/bigquery.dataViewer` ON SCHEMA");
    proxy.next(Call::Saying("testIamPermissions"), Fault::Answered(json!({})));
    let findings = warehouse.check(&needs).await;
    one(&findings, "missing_right", Critical, "GRANT `roles/bigquery.dataEditor` ON SCHEMA");
    assert!(findings[0].why.contains("bigquery.tables.updateData"), "{findings:?}");
    let some = json!({ "permissions": ["bigquery.tables.getData"] });
    proxy.next(Call::Saying("testIamPermissions"), Fault::Answered(some));
    let findings = warehouse.check(&needs).await;
    assert!(!findings[0].why.contains("getData") && findings[0].why.contains("updateData"), "{findings:?}");
}

/// The dataset of our own tables: whether it may be made, and then, whether tables may be made in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_work_dataset_is_ours_to_make_and_to_fill() {
    use Severity::Critical;
    let (lab, proxy, warehouse) = rig().await;
    let needs = [writes(&lab)];
    proxy.next(Call::Saying("CREATE SCHEMA"), DENIED);
    one(&warehouse.check(&needs).await, "missing_right", Critical, "bq mk --dataset");
    lab.run(&format!("CREATE SCHEMA `{}_TIDEGATE`", lab.dataset)).await;
    proxy.next(Call::Saying("CREATE TABLE"), DENIED);
    let findings = warehouse.check(&needs).await;
    one(&findings, "missing_right", Critical, "GRANT `roles/bigquery.dataEditor` ON SCHEMA");
    assert!(findings[0].fix.contains("_TIDEGATE`"), "{findings:?}");
    assert_eq!(warehouse.check(&needs).await, [], "every right is there");
}

/// Without the Storage Read API everything works, slower: a warning, and rows by REST.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_storage_api_is_a_warning_with_its_fix() {
    let (lab, ..) = rig().await;
    lab.run("INSERT INTO t VALUES ('a', 1), ('b', 2)").await;
    let lacks = "the user does not have 'bigquery.readsessions.create' permission";
    let off = "BigQuery Storage API has not been used in project 1 before or it is disabled";
    for (storage, fix) in [
        (wire::refusing(7, lacks).await, "roles/bigquery.readSessionUser"),
        (wire::refusing(7, off).await, "gcloud services enable bigquerystorage.googleapis.com"),
        ("http://127.0.0.1:1".to_owned(), "let gRPC through"),
    ] {
        let mut settings = lab.settings();
        settings["storage_endpoint"] = json!(storage);
        let warehouse = lab.with(&settings, false);
        one(&warehouse.check(&[reads(&lab)]).await, "slow_reads", Severity::Warning, fix);
        let mut pages = warehouse.read(lab.reading("t", &["k"])).await.expect("a read");
        assert_eq!(pages.next().await.expect("a page").map(|page| page.len()), Some(2), "{fix}");
        assert!(pages.next().await.expect("the end").is_none());
    }
}
