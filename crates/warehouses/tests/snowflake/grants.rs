//! What `check` says of a role that lacks a right: the GRANT itself, which then mends it.

use serde_json::json;
use tidegate_model::finding::{Finding, Severity};
use tidegate_model::ports::{Need, Warehouse, WriteColumn};
use tidegate_model::schema::Source;
use tidegate_model::sync::WriteMode;
use tidegate_model::value::Type;
use tidegate_testkit::warehouse_suite::Lab;

use crate::lab::Emulated;

/// All that a role needs, one right a statement.
const RIGHTS: &[&str] = &[
    "GRANT USAGE ON WAREHOUSE \"WH\" TO ROLE \"SYNC\";",
    "GRANT USAGE ON DATABASE \"LAB\" TO ROLE \"SYNC\";",
    "GRANT USAGE ON SCHEMA \"LAB\".\"TIDEGATE\" TO ROLE \"SYNC\";",
    "GRANT CREATE TABLE ON SCHEMA \"LAB\".\"TIDEGATE\" TO ROLE \"SYNC\";",
    "GRANT READ ON STAGE \"LAB\".\"TIDEGATE\".\"LOADS\" TO ROLE \"SYNC\";",
    "GRANT WRITE ON STAGE \"LAB\".\"TIDEGATE\".\"LOADS\" TO ROLE \"SYNC\";",
    "GRANT USAGE ON SCHEMA \"LAB\".\"PUBLIC\" TO ROLE \"SYNC\";",
    "GRANT SELECT ON TABLE \"LAB\".\"PUBLIC\".\"t\" TO ROLE \"SYNC\";",
    "GRANT INSERT ON TABLE \"LAB\".\"PUBLIC\".\"t\" TO ROLE \"SYNC\";",
    "GRANT UPDATE ON TABLE \"LAB\".\"PUBLIC\".\"t\" TO ROLE \"SYNC\";",
    "GRANT DELETE ON TABLE \"LAB\".\"PUBLIC\".\"t\" TO ROLE \"SYNC\";",
];

fn needs(lab: &Emulated) -> [Need; 2] {
    let relation = lab.relation("t");
    let column = WriteColumn { name: "k".into(), logical: Type::Int64, nulls: false, max_length: None };
    [
        Need::Read { source: Source::Relation(relation.clone()), columns: vec!["k".into()] },
        Need::Write { relation, key: Some("k".into()), columns: vec![column], mode: WriteMode::Upsert },
    ]
}

async fn fixes(warehouse: &dyn Warehouse, needs: &[Need]) -> Vec<String> {
    let critical = |finding: &Finding| finding.severity == Severity::Critical;
    let found = warehouse.check(needs).await;
    assert!(
        found.iter().filter(|finding| critical(finding)).all(|finding| finding.finding == "missing_right"),
        "{found:?}"
    );
    let mut fixes: Vec<String> = found.into_iter().filter(critical).map(|finding| finding.fix).collect();
    fixes.sort();
    fixes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_missing_right_is_told_as_its_grant_which_mends_it() {
    let lab = Emulated::new().await;
    lab.exec("CREATE TABLE \"LAB\".\"PUBLIC\".\"t\" (\"k\" NUMBER(19,0))").await;
    lab.exec("CREATE ROLE SYNC").await;
    let warehouse = lab.open_with(true, json!({ "role": "SYNC", "stage": "LOADS" }));
    let needs = needs(&lab);
    let mut all: Vec<String> = RIGHTS.iter().map(|right| (*right).to_owned()).collect();
    all.sort();
    // fakesnow lets everybody read, so the rights to read are told with those to write.
    assert_eq!(fixes(&*warehouse, &needs).await, all);
    for right in RIGHTS {
        lab.exec(right).await;
    }
    assert!(fixes(&*warehouse, &needs).await.is_empty());
    for right in RIGHTS {
        lab.exec(&right.replace("GRANT", "REVOKE").replace(" TO ROLE", " FROM ROLE")).await;
        assert_eq!(fixes(&*warehouse, &needs).await, [*right]);
        lab.exec(right).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_of_the_roles_below_count() {
    let lab = Emulated::new().await;
    lab.exec("CREATE TABLE \"LAB\".\"PUBLIC\".\"t\" (\"k\" NUMBER(19,0)); CREATE ROLE SYNC; CREATE ROLE BELOW; CREATE ROLE LOWEST").await;
    lab.exec("GRANT ROLE BELOW TO ROLE SYNC; GRANT ROLE LOWEST TO ROLE BELOW; GRANT ROLE SYNC TO ROLE LOWEST").await;
    for right in RIGHTS {
        lab.exec(&right.replace("\"SYNC\"", "LOWEST")).await;
    }
    let warehouse = lab.open_with(true, json!({ "role": "SYNC", "stage": "LOADS" }));
    assert!(fixes(&*warehouse, &needs(&lab)).await.is_empty());
    // Reading alone asks for no right to write.
    lab.exec("REVOKE INSERT ON TABLE \"LAB\".\"PUBLIC\".\"t\" FROM ROLE LOWEST; REVOKE WRITE ON STAGE \"LAB\".\"TIDEGATE\".\"LOADS\" FROM ROLE LOWEST").await;
    let reader = lab.open_with(false, json!({ "role": "SYNC", "stage": "LOADS" }));
    assert!(fixes(&*reader, &needs(&lab)[..1]).await.is_empty());
}
