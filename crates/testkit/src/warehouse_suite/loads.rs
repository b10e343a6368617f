//! Columnar loads: exactly once, all or nothing, bad rows alone, the fence.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tidegate_model::page::{Misfit, Page, PageStream};
use tidegate_model::ports::{Load, LoadMode, Loaded};
use tidegate_model::span::Fence;
use tidegate_model::value::{Type, Value};
use tidegate_model::{Error, ErrorKind, Result};

use super::{Lab, check, fence, full, load, page, pages, read, rows, source, stream, table_sql, text};

const COLUMNS: [(&str, Type); 2] = [("k", Type::Text), ("n", Type::Int64)];

fn row(key: &str, n: i64) -> Vec<Value> {
    vec![text(key), Value::Int(n)]
}

async fn make(lab: &dyn Lab) {
    let (text, int) = (lab.native(Type::Text), lab.native(Type::Int64));
    let check = check(lab, "n < 1000");
    lab.exec(&format!("CREATE TABLE {} (k {text} PRIMARY KEY, n {int}{check})", table_sql(lab, "t"))).await;
}

async fn run(lab: &dyn Lab, load: Load, given: &[Vec<Value>]) -> Result<Loaded> {
    lab.open(true).load(&lab.relation("t"), &load, pages(&COLUMNS, given)).await
}

async fn count(lab: &dyn Lab) -> u64 {
    lab.open(false).count(&source(lab, "t")).await.expect("a count")
}

/// The same operation again writes nothing and tells the first counts; another one writes.
pub async fn an_append_is_exactly_once(lab: &dyn Lab) {
    let (t, int) = (lab.native(Type::Text), lab.native(Type::Int64));
    lab.exec(&format!("CREATE TABLE {} (k {t}, n {int})", table_sql(lab, "t"))).await;
    let given = stream(vec![page(&COLUMNS, &[row("a", 1), row("b", 2)]), page(&COLUMNS, &[row("c", 3)])]);
    let first =
        lab.open(true).load(&lab.relation("t"), &load(LoadMode::Append, None, "op/1"), given).await.expect("a load");
    assert_eq!((first.created, first.replayed), (3, false));
    let again = run(lab, load(LoadMode::Append, None, "op/1"), &[row("a", 1)]).await.expect("a replay");
    assert_eq!((again.created, again.replayed), (3, true));
    assert_eq!(count(lab).await, 3);
    let next = run(lab, load(LoadMode::Append, None, "op/2"), &[row("a", 1)]).await.expect("a load");
    assert_eq!((next.created, next.replayed), (1, false));
    assert_eq!(count(lab).await, 4);
    let nothing = run(lab, load(LoadMode::Append, None, "op/3"), &[]).await.expect("an empty load");
    assert_eq!(nothing.created, 0);
}

/// A source that breaks after its first page.
struct Breaks(Option<Page>);

#[async_trait]
impl PageStream for Breaks {
    async fn next(&mut self) -> Result<Option<Page>> {
        match self.0.take() {
            Some(page) => Ok(Some(page)),
            None => Err(Error::new(ErrorKind::Unavailable, "the source went away")),
        }
    }
}

/// No row, no span row: the operation can be carried out again.
pub async fn a_load_that_fails_keeps_nothing(lab: &dyn Lab) {
    make(lab).await;
    for mode in [LoadMode::Append, LoadMode::Merge, LoadMode::Replace { max_shrink_pct: None }] {
        let breaks = Box::new(Breaks(Some(page(&COLUMNS, &[row("a", 1)]))));
        let asked = load(mode, Some("k"), "op");
        let error = lab.open(true).load(&lab.relation("t"), &asked, breaks).await.expect_err("broken");
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert_eq!(count(lab).await, 0);
    }
    let after = run(lab, load(LoadMode::Append, None, "op"), &[row("a", 1)]).await.expect("a load");
    assert!(!after.replayed);
    let breaks = Box::new(Breaks(Some(page(&COLUMNS, &[row("b", 1)]))));
    let replace = load(LoadMode::Replace { max_shrink_pct: None }, None, "op2");
    lab.open(true).load(&lab.relation("t"), &replace, breaks).await.expect_err("broken");
    assert_eq!(rows(lab, "t", "k", &["k"]).await, [vec![text("a")]], "the old rows are gone");
}

/// Readers see the old rows or the new rows.
pub async fn a_replace_is_atomic_to_readers(lab: &dyn Lab) {
    make(lab).await;
    let many = |n: i64| -> Vec<Vec<Value>> { (0..500).map(|k| row(&format!("k{k}"), n)).collect() };
    run(lab, load(LoadMode::Append, None, "first"), &many(0)).await.expect("a load");
    let done = AtomicBool::new(false);
    let watch = async {
        let warehouse = lab.open(false);
        let mut seen = 0;
        while !done.load(Ordering::SeqCst) {
            let got = read(warehouse.as_ref(), super::ask(source(lab, "t"), &["n"], full("k"))).await;
            let mut values = got.column(0);
            assert_eq!(values.len(), 500, "a reader saw a table in between");
            values.dedup();
            assert_eq!(values.len(), 1, "a reader saw old and new rows");
            seen += 1;
        }
        seen
    };
    let write = async {
        for n in 1..6 {
            let replace = load(LoadMode::Replace { max_shrink_pct: Some(50.0) }, None, &format!("replace {n}"));
            let loaded = run(lab, replace, &many(n)).await.expect("a replace");
            assert_eq!((loaded.created, loaded.cleared), (500, 500));
        }
        done.store(true, Ordering::SeqCst);
    };
    let (seen, ()) = tokio::join!(watch, write);
    assert!(seen > 0, "nobody read meanwhile");
    assert_eq!(rows(lab, "t", "k", &["n"]).await[0], [Value::Int(5)]);
}

/// The guard stops before anything is lost; `None` lets everything go.
pub async fn a_replace_that_shrinks_too_much_is_stopped(lab: &dyn Lab) {
    make(lab).await;
    let many: Vec<Vec<Value>> = (0..40).map(|k| row(&format!("k{k}"), 0)).collect();
    run(lab, load(LoadMode::Append, None, "1"), &many).await.expect("a load");
    let guarded = || LoadMode::Replace { max_shrink_pct: Some(50.0) };
    let error = run(lab, load(guarded(), None, "2"), &many[..19]).await.expect_err("guarded");
    assert_eq!(error.kind, ErrorKind::Guard);
    assert_eq!(count(lab).await, 40);
    assert_eq!(run(lab, load(guarded(), None, "3"), &many[..20]).await.expect("half").cleared, 40);
    let free = LoadMode::Replace { max_shrink_pct: None };
    assert_eq!(run(lab, load(free, None, "4"), &[]).await.expect("all").cleared, 20);
    assert_eq!(count(lab).await, 0);
}

/// New, changed, equal.
pub async fn a_merge_counts_what_it_did(lab: &dyn Lab) {
    make(lab).await;
    lab.exec(&format!("INSERT INTO {} VALUES ('a', 1), ('b', 2), ('B', 3), ('x', NULL)", table_sql(lab, "t"))).await;
    let given = [row("a", 1), row("b", 20), row("c", 4), vec![text("x"), Value::Null], vec![text("B"), Value::Null]];
    let merged = run(lab, load(LoadMode::Merge, Some("k"), "1"), &given).await.expect("a merge");
    assert_eq!((merged.created, merged.updated, merged.unchanged), (1, 2, 2));
    let want: Vec<Vec<Value>> =
        vec![vec![text("B"), Value::Null], row("a", 1), row("b", 20), row("c", 4), vec![text("x"), Value::Null]];
    assert_eq!(rows(lab, "t", "k", &["k", "n"]).await, want);
    let again = run(lab, load(LoadMode::Merge, Some("k"), "2"), &given).await.expect("a merge");
    assert_eq!((again.created, again.updated, again.unchanged), (0, 0, 5));
}

/// What only the database can know (a check, a unique key) is found row by row; the others stay.
pub async fn bad_rows_are_rejected_alone(lab: &dyn Lab) {
    if !lab.enforces() {
        return; // it knows nothing of the kind
    }
    make(lab).await;
    for (op, mode) in
        [("a", LoadMode::Append), ("m", LoadMode::Merge), ("r", LoadMode::Replace { max_shrink_pct: None })]
    {
        let mut given: Vec<Vec<Value>> = (0..300).map(|k| row(&format!("{op}{k:03}"), 1)).collect();
        given[7][1] = Value::Int(5_000);
        given[299][1] = Value::Int(1_000);
        if op != "m" {
            given[200][0] = given[199][0].clone();
        }
        let parts = stream(vec![page(&COLUMNS, &given[..100]), page(&COLUMNS, &given[100..])]);
        let asked = load(mode, Some("k"), op);
        let loaded = lab.open(true).load(&lab.relation("t"), &asked, parts).await.expect("a load");
        let rejected: Vec<(u64, &str)> = loaded.rejected.iter().map(|(row, why)| (*row, why.rule.as_str())).collect();
        let want = if op == "m" {
            vec![(7, "check"), (299, "check")]
        } else {
            vec![(7, "check"), (200, "unique"), (299, "check")]
        };
        assert_eq!(rejected, want, "{op}");
        assert_eq!(loaded.created + loaded.updated + loaded.unchanged, 300 - want.len() as u64);
        assert!(loaded.rejected.iter().all(|(_, why)| !why.reason.contains("5000") && !why.reason.contains("a199")));
    }
}

/// A cell that did not fit at the source is NULL in the page, but it is not NULL.
pub async fn source_misfits_are_not_written_as_null(lab: &dyn Lab) {
    make(lab).await;
    let mut given = page(&COLUMNS, &[row("a", 1), vec![text("b"), Value::Null], row("c", 3)]);
    given.misfits.push(Misfit { row: 1, column: 1, rule: "wrong_type", reason: "the cell holds text".into() });
    let loaded = lab.open(true).load(&lab.relation("t"), &load(LoadMode::Append, None, "1"), stream(vec![given])).await;
    let loaded = loaded.expect("a load");
    assert_eq!(loaded.created, 2);
    assert_eq!((loaded.rejected[0].0, loaded.rejected[0].1.rule.as_str()), (1, "wrong_type"));
    assert_eq!(rows(lab, "t", "k", &["k"]).await, [vec![text("a")], vec![text("c")]]);
}

/// A dropped column stops the load before anything is written.
pub async fn a_load_into_a_missing_column_says_so(lab: &dyn Lab) {
    lab.exec(&format!("CREATE TABLE {} (k {})", table_sql(lab, "t"), lab.native(Type::Text))).await;
    let error = run(lab, load(LoadMode::Append, None, "1"), &[row("a", 1)]).await.expect_err("no column n");
    assert_eq!(error.kind, ErrorKind::SchemaChanged);
    assert!(error.to_string().contains('n'), "{error}");
    assert_eq!(count(lab).await, 0);
    let gone =
        lab.open(true).load(&lab.relation("gone"), &load(LoadMode::Append, None, "2"), pages(&COLUMNS, &[])).await;
    assert_eq!(gone.expect_err("no table").kind, ErrorKind::NotFound);
}

/// An older epoch has lost its lease; another store has to adopt first.
pub async fn the_fence_keeps_old_and_foreign_writers_out(lab: &dyn Lab) {
    make(lab).await;
    let write = async |fence: Fence, op: &str| {
        let asked = Load { fence, ..load(LoadMode::Append, None, op) };
        run(lab, asked, &[row(op, 1)])
            .await
            .map(|loaded| loaded.created)
            .map_err(|error| (error.kind, error.hint.unwrap_or_default()))
    };
    assert_eq!(write(fence(5), "1").await, Ok(1));
    assert_eq!(write(fence(4), "2").await.expect_err("older").0, ErrorKind::LeaseLost);
    assert_eq!(write(fence(4), "1").await.expect_err("older, replayed").0, ErrorKind::LeaseLost);
    assert_eq!(write(fence(6), "3").await, Ok(1));
    let theirs = Fence { store: "theirs".into(), ..fence(9) };
    let (kind, hint) = write(theirs.clone(), "4").await.expect_err("foreign");
    assert_eq!(kind, ErrorKind::ForeignStore);
    assert!(hint.contains("adopt companies"), "{hint}");
    let other_sync = Fence { sync: "others".into(), ..theirs.clone() };
    assert_eq!(write(other_sync, "5").await, Ok(1));
    lab.open(true).adopt(&theirs).await.expect("adopted");
    assert_eq!(write(theirs, "6").await, Ok(1));
    assert_eq!(write(fence(7), "7").await.expect_err("foreign now").0, ErrorKind::ForeignStore);
    assert_eq!(count(lab).await, 4);
}
