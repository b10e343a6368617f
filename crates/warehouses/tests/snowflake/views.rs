//! Views with a history, the gate, expired history, and what the catalogue says of it all.

use tidegate_model::ErrorKind;
use tidegate_model::ports::{Place, ReadAsk, ReadMode, Warehouse};
use tidegate_model::schema::{Relation, RelationKind, Source};
use tidegate_testkit::warehouse_suite::{HistoryLab, Lab};

use crate::lab::{Emulated, rows};

fn source(name: &str) -> Source {
    Source::Relation(Relation(vec!["LAB".into(), "PUBLIC".into(), name.into()]))
}

async fn mark(lab: &Emulated, warehouse: &dyn Warehouse, name: &str) -> String {
    lab.pass_lag().await;
    warehouse.mark(&source(name)).await.expect("a mark")
}

fn window(name: &str, from: &str, to: &str) -> ReadAsk {
    ReadAsk {
        source: source(name),
        columns: vec!["K".into(), "OWNER".into()],
        mode: ReadMode::Changes { key: "K".into(), from: from.into(), to: to.into(), added: false },
        page_rows: 100,
        timezone: "UTC".into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_shows_the_changes_of_all_tables_below_it() {
    let lab = Emulated::new().await;
    for sql in [
        "CREATE TABLE \"COMPANIES\" (\"K\" VARCHAR, \"OWNER_ID\" NUMBER(19,0), \"ARR\" NUMBER(12,2))",
        "CREATE TABLE \"OWNERS\" (\"ID\" NUMBER(19,0), \"NAME\" VARCHAR)",
        "INSERT INTO \"OWNERS\" VALUES (1, 'Ann'), (2, 'Bo')",
        "INSERT INTO \"COMPANIES\" VALUES ('a', 1, 5), ('b', 1, 5), ('c', 2, 5)",
        "CREATE VIEW \"V\" AS SELECT c.\"K\", o.\"NAME\" AS \"OWNER\" FROM \"COMPANIES\" c JOIN \"OWNERS\" o ON c.\"OWNER_ID\" = o.\"ID\" WHERE c.\"ARR\" > 0",
    ] {
        lab.exec(sql).await;
    }
    let warehouse = lab.open(false);
    let refused = warehouse.mark(&source("V")).await.expect_err("no history yet");
    assert!(refused.hint.as_deref().unwrap_or("").contains("ALTER VIEW"), "{refused:?}");
    lab.exec("ALTER VIEW \"V\" SET CHANGE_TRACKING = TRUE").await;
    let schema = warehouse.describe(&source("V")).await.expect("a schema");
    assert_eq!((schema.kind, schema.change_tracking), (RelationKind::View, true));
    let first = mark(&lab, warehouse.as_ref(), "V").await;
    lab.exec("UPDATE \"OWNERS\" SET \"NAME\" = 'Anna' WHERE \"ID\" = 1").await;
    lab.exec("UPDATE \"COMPANIES\" SET \"ARR\" = 0 WHERE \"K\" = 'c'").await;
    let second = mark(&lab, warehouse.as_ref(), "V").await;
    let found = rows(warehouse.as_ref(), window("V", &first, &second)).await;
    assert_eq!(found, ["a Anna false", "b Anna false", "c Bo true"]);
    lab.exec("UPDATE \"COMPANIES\" SET \"ARR\" = 7 WHERE \"K\" = 'a'").await;
    let third = mark(&lab, warehouse.as_ref(), "V").await;
    assert_eq!(rows(warehouse.as_ref(), window("V", &second, &third)).await, [""; 0], "no column of the view changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_closes_some_minutes_after_the_last_change() {
    let lab = Emulated::new().await;
    lab.exec("CREATE TABLE \"T\" (\"K\" VARCHAR, \"OWNER\" VARCHAR) CHANGE_TRACKING = TRUE").await;
    lab.exec("INSERT INTO \"T\" VALUES ('a', 'x')").await;
    let warehouse = lab.open(false);
    let first = mark(&lab, warehouse.as_ref(), "T").await;
    lab.advance(900).await;
    let second = mark(&lab, warehouse.as_ref(), "T").await;
    let open = async |since: &str, to: &str| warehouse.changed(&source("T"), since, to).await.expect("an answer");
    assert!(open(&first, &second).await, "the insert may lie in the first mark's lag");
    lab.advance(900).await;
    let third = mark(&lab, warehouse.as_ref(), "T").await;
    assert!(!open(&second, &third).await, "nothing happened for a quarter of an hour");
    lab.exec("UPDATE \"T\" SET \"OWNER\" = 'y'").await;
    // Too young for the window, and known to the gate already.
    let fourth = warehouse.mark(&source("T")).await.expect("a mark");
    assert!(open(&third, &fourth).await);
    let fifth = mark(&lab, warehouse.as_ref(), "T").await;
    assert!(open(&fourth, &fifth).await, "the gate closed over a change that no window has shown");
    assert_eq!(rows(warehouse.as_ref(), window("T", &third, &fourth)).await, [""; 0]);
    assert_eq!(rows(warehouse.as_ref(), window("T", &fourth, &fifth)).await, ["a y false"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_beyond_the_retention_is_gone() {
    let lab = Emulated::new().await;
    lab.exec(
        "CREATE TABLE \"T\" (\"K\" VARCHAR, \"OWNER\" VARCHAR) CHANGE_TRACKING = TRUE DATA_RETENTION_TIME_IN_DAYS = 3",
    )
    .await;
    let warehouse = lab.open(false);
    assert_eq!(warehouse.describe(&source("T")).await.expect("a schema").history_days, Some(3));
    let first = mark(&lab, warehouse.as_ref(), "T").await;
    lab.exec("INSERT INTO \"T\" VALUES ('a', 'x')").await;
    lab.advance(2 * 86_400).await;
    let second = mark(&lab, warehouse.as_ref(), "T").await;
    assert_eq!(rows(warehouse.as_ref(), window("T", &first, &second)).await, ["a x false"]);
    lab.advance(2 * 86_400).await;
    let third = mark(&lab, warehouse.as_ref(), "T").await;
    for (mode, what) in [
        (ReadMode::Changes { key: "K".into(), from: first.clone(), to: third.clone(), added: false }, "a window"),
        (ReadMode::Full { key: "K".into(), after: None, at: Some(first.clone()) }, "a pinned read"),
    ] {
        let outcome = warehouse.read(ReadAsk { mode, ..window("T", &first, &third) }).await;
        let error = outcome.err().unwrap_or_else(|| panic!("{what} of four days ago"));
        assert_eq!(error.kind, ErrorKind::HistoryGone, "{what}: {error:?}");
        assert!(error.hint.as_deref().unwrap_or("").contains("full read"), "{error:?}");
    }
    // Turned off and on again, the history begins anew.
    lab.exec("ALTER TABLE \"T\" SET CHANGE_TRACKING = FALSE").await;
    let error = warehouse.read(window("T", &second, &third)).await.err().expect("tracking is off");
    assert_eq!(error.kind, ErrorKind::Config, "{error:?}");
    lab.exec("ALTER TABLE \"T\" SET CHANGE_TRACKING = TRUE").await;
    let fourth = mark(&lab, warehouse.as_ref(), "T").await;
    let error = warehouse.read(window("T", &second, &fourth)).await.err().expect("a hole in the history");
    assert_eq!(error.kind, ErrorKind::HistoryGone, "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogue_lists_streams_and_what_a_connection_can_be_set_to() {
    let lab = Emulated::new().await;
    lab.exec("CREATE TABLE \"T\" (\"K\" VARCHAR NOT NULL, \"OWNER\" VARCHAR)").await;
    lab.exec("CREATE STREAM \"S\" ON TABLE \"T\"").await;
    let warehouse = lab.open(false);
    let entries = warehouse.browse(&Place(vec!["LAB".into(), "PUBLIC".into()])).await.expect("entries");
    let found: Vec<(&str, &str)> = entries.iter().map(|entry| (entry.name.as_str(), entry.kind.as_str())).collect();
    assert_eq!(found, [("T", "table"), ("S", "stream")]);
    assert_eq!(entries[1].note.as_deref(), Some("changes of LAB.PUBLIC.T"));
    let schema = warehouse.describe(&source("S")).await.expect("a schema");
    assert_eq!((schema.kind, schema.change_tracking), (RelationKind::Stream, true));
    let names: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["K", "OWNER"], "what the stream is on, without what is said of a change");
    for (place, kind) in [("@warehouses", "warehouse"), ("@roles", "role")] {
        let entries = warehouse.browse(&Place(vec![place.into()])).await.expect(place);
        assert!(
            !entries.is_empty() && entries.iter().all(|entry| entry.kind == kind && !entry.container),
            "{entries:?}"
        );
    }
}
