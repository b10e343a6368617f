//! Rights: what is missing is said with the GRANT that mends it.

use tidegate_model::ErrorKind;
use tidegate_model::finding::Severity;
use tidegate_model::page::Held;
use tidegate_model::ports::{Load, LoadMode, Need, ReadAsk, ReadMode, WriteColumn};
use tidegate_model::schema::{Relation, Source};
use tidegate_model::span::{Fence, OpId};
use tidegate_model::sync::{DatasetLink, WriteMode};
use tidegate_model::value::Type;
use tidegate_testkit::warehouse_suite::Lab;

use crate::lab::{Database, unique};

fn needs() -> Vec<Need> {
    let relation = Relation(vec!["crm".into(), "t".into()]);
    vec![
        Need::Read { source: Source::Relation(relation.clone()), columns: vec!["id".into()] },
        Need::Write {
            relation,
            key: Some("id".into()),
            columns: vec![WriteColumn { name: "n".into(), logical: Type::Int64, nulls: false, max_length: None }],
            mode: WriteMode::Upsert,
        },
    ]
}

/// A user without any right: after the fixes of the findings a load works.
#[tokio::test]
async fn missing_rights_are_mended_by_their_grants() {
    let lab = Database::new().await;
    let user = unique("user");
    lab.exec(&format!(
        "CREATE ROLE {user} LOGIN PASSWORD 'p'; CREATE SCHEMA crm; CREATE TABLE crm.t (id text PRIMARY KEY, n int8)"
    ))
    .await;
    let warehouse = lab.open_as(&lab.url_as(&user, "p"), true);
    let findings = warehouse.check(&needs()).await;
    let names: Vec<&str> = findings.iter().map(|finding| finding.finding.as_str()).collect();
    assert_eq!(names, ["missing_work_schema", "missing_right", "missing_right"]);
    for finding in &findings {
        assert_eq!(finding.severity, Severity::Critical);
        lab.exec(&finding.fix).await;
    }
    assert_eq!(warehouse.check(&needs()).await, []);
    let load = Load {
        mode: LoadMode::Merge,
        key: Some("id".into()),
        op: OpId("1".into()),
        fence: Fence { sync: "s".into(), store: "ours".into(), epoch: 1 },
        link: DatasetLink::default(),
    };
    let none = Box::new(Held(Default::default()));
    warehouse.load(&Relation(vec!["crm".into(), "t".into()]), &load, none).await.expect("a load");
    // Tables that somebody else owns: a right on them is asked for.
    lab.exec("ALTER TABLE tidegate.fence OWNER TO tidegate; ALTER TABLE tidegate.span OWNER TO tidegate; ALTER SCHEMA tidegate OWNER TO tidegate").await;
    let findings = warehouse.check(&needs()).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    lab.exec(&findings[0].fix).await;
    assert_eq!(warehouse.check(&needs()).await, []);
    drop(warehouse);
    lab.exec(&format!("DROP OWNED BY {user} CASCADE; DROP ROLE {user}")).await;
}

/// Reading what one may not read is `Forbidden`, a missing schema is made by the fix.
#[tokio::test]
async fn a_missing_right_is_forbidden_and_a_missing_schema_is_made() {
    let lab = Database::new().await;
    let user = unique("user");
    lab.exec(&format!("CREATE ROLE {user} LOGIN PASSWORD 'p'; CREATE TABLE t (id text)")).await;
    let warehouse = lab.open_as(&lab.url_as(&user, "p"), false);
    let count = warehouse.count(&Source::Relation(Relation(vec!["t".into()]))).await;
    assert_eq!(count.expect_err("no right").kind, ErrorKind::Forbidden);
    drop(warehouse);
    lab.exec(&format!("DROP ROLE {user}")).await;
    let owner = lab.open(true);
    let findings = owner.check(&needs()[1..]).await;
    assert_eq!(findings[0].finding, "missing_relation");
    lab.exec(&findings[0].fix).await;
    assert_eq!(owner.check(&needs()).await, []);
}

/// A function that writes is stopped by the transaction, also where the connection may write.
#[tokio::test]
async fn a_query_cannot_write_through_a_function() {
    let lab = Database::new().await;
    lab.exec(
        "CREATE TABLE t (id text); \
         CREATE FUNCTION sneak() RETURNS text LANGUAGE sql VOLATILE AS $$ INSERT INTO t VALUES ('x') RETURNING id $$; CREATE SEQUENCE s",
    )
    .await;
    for query in [
        "SELECT sneak() AS id",
        "SELECT nextval('s')::text AS id",
        "WITH w AS (DELETE FROM t RETURNING id) SELECT * FROM w",
    ] {
        let warehouse = lab.open(true);
        let ask = ReadAsk {
            source: Source::Query(query.into()),
            columns: vec!["id".into()],
            mode: ReadMode::Unordered,
            page_rows: 10,
            timezone: "UTC".into(),
        };
        let outcome = match warehouse.read(ask).await {
            Ok(mut pages) => pages.next().await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(outcome.is_err(), "{query} ran");
    }
    assert_eq!(lab.ask("SELECT count(*) FROM t").await.as_deref(), Some("0"));
    assert_eq!(lab.ask("SELECT is_called FROM s").await.as_deref(), Some("f"));
}
