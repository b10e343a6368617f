//! NULLs that say nothing, and fields that are left out: what stands at the target stays.

use tidegate_model::run::RunStatus;
use tidegate_model::schema::ModelName;
use tidegate_model::sync::{Changes, Direction, FieldSet, Nulls, OnMisfit, Sync, WriteMode};

use crate::bench::{Bench, EVENTS, REVENUE, line, revenue, usage};

fn merging(changes: Changes) -> Sync {
    let mut sync = revenue(changes, WriteMode::Upsert);
    let to = Direction::ToPlatform;
    let lines = ["invoice_id", "company_id", "amount", "updated_at"].map(|name| line(name, name, to));
    sync.fields = FieldSet::List(lines.into());
    sync
}

fn lines(sync: &mut Sync) -> &mut Vec<tidegate_model::sync::FieldMap> {
    match &mut sync.fields {
        FieldSet::List(lines) => lines,
        FieldSet::All => unreachable!(),
    }
}

/// Company and amount of each invoice, as the platform has them.
fn stands(bench: &Bench) -> Vec<String> {
    let table = bench.ask_platform("SELECT 'hub_d' || number FROM hub_dataset").remove(0);
    let column = |name: &str| bench.ask_platform(&format!("SELECT col FROM hub_field WHERE name = '{name}'")).remove(0);
    let (company, amount) = (column("company_id"), column("amount"));
    let shown = format!("_key || ' ' || coalesce({company}, '-') || ' ' || coalesce({amount}, '-')");
    bench.ask_platform(&format!("SELECT {shown} FROM {table} ORDER BY _key"))
}

const ROWS: &str = "INSERT INTO revenue VALUES ('i1', 'c1', 1, '2024-01-01T00:00:00'),
    ('i2', 'c1', 2, '2024-01-01T00:00:00'), ('i3', NULL, 3, '2024-01-01T00:00:00');";

#[tokio::test]
async fn nulls_skip_keeps_what_stands_in_a_merged_dataset() {
    for changes in [Changes::Cursor, Changes::Full] {
        let bench = Bench::new(REVENUE).await;
        bench.sql(ROWS);
        let mut sync = merging(changes);
        lines(&mut sync)[1].nulls = Nulls::Skip;
        bench.run(&sync).await;
        bench.sql("UPDATE revenue SET company_id = NULL, amount = NULL, updated_at = '2024-01-01T01:00:00' WHERE invoice_id < 'i3'");
        let run = bench.run(&sync).await;
        assert_eq!((run.status, run.books.to_platform.updated), (RunStatus::Succeeded, 2), "{:?}", run.books);
        assert_eq!(stands(&bench), ["i1 c1 -", "i2 c1 -", "i3 - 3.00"], "{changes:?}");
    }
}

#[tokio::test]
async fn nulls_clear_clears_a_merged_dataset() {
    let bench = Bench::new(REVENUE).await;
    bench.sql(ROWS);
    let sync = merging(Changes::Full);
    bench.run(&sync).await;
    bench.sql("UPDATE revenue SET company_id = NULL WHERE invoice_id = 'i1'");
    bench.run(&sync).await;
    assert_eq!(stands(&bench), ["i1 - 1.00", "i2 c1 2.00", "i3 - 3.00"]);
}

#[tokio::test]
async fn drop_field_leaves_the_value_that_stands_in_a_merged_dataset() {
    for changes in [Changes::Cursor, Changes::Full] {
        let bench = Bench::new(REVENUE).await;
        bench.sql(ROWS);
        let mut sync = merging(changes);
        lines(&mut sync)[2].on_misfit = OnMisfit::DropField;
        bench.run(&sync).await;
        bench.sql("UPDATE revenue SET amount = 'much', company_id = 'c2', updated_at = '2024-01-01T01:00:00' WHERE invoice_id = 'i2'");
        bench.sql("UPDATE revenue SET amount = 10 WHERE invoice_id = 'i1'");
        let run = bench.run(&sync).await;
        let counts = run.books.to_platform;
        assert_eq!((run.status, counts.updated, counts.dropped_fields), (RunStatus::Partial, 2, 1), "{counts:?}");
        assert_eq!(stands(&bench), ["i1 c1 10.00", "i2 c2 2.00", "i3 - 3.00"], "{changes:?}");
        assert_eq!(bench.rejects(&sync).await, [(Some("i2".into()), "bad_number".into())]);
        // Mended, and merged once more with the field.
        bench.sql("UPDATE revenue SET amount = 20 WHERE invoice_id = 'i2'");
        let options = tidegate_engine::RunOptions::default();
        bench.engine().retry(&bench.job(&sync), None, &options).await.unwrap();
        assert_eq!(stands(&bench)[1], "i2 c2 20.00");
        assert!(bench.rejects(&sync).await.is_empty());
    }
}

#[tokio::test]
async fn nulls_skip_is_refused_where_rows_are_only_added_or_rewritten() {
    let bench = Bench::new(&format!("{EVENTS}{REVENUE}")).await;
    let mut series = usage();
    lines(&mut series)[2].nulls = Nulls::Skip;
    let mut rewritten = merging(Changes::Full);
    rewritten.write = WriteMode::Replace;
    lines(&mut rewritten)[1].nulls = Nulls::Skip;
    let mut added = rewritten.clone();
    (added.write, added.changes) = (WriteMode::Append, Changes::Full);
    for sync in [series, rewritten, added] {
        let run = bench.run(&sync).await;
        let error = run.error.unwrap();
        assert_eq!(error.code, "config");
        assert!(error.message.contains("`nulls: skip` of `"), "{error:?}");
        let found = bench.engine().check(&bench.job(&sync), false).await.unwrap();
        assert!(found.iter().any(|finding| finding.why.contains("nulls: skip")), "{found:?}");
    }
    let revenue = ModelName("dataset:revenue".into());
    assert_eq!(bench.platform.count(&revenue, &[]).await.unwrap(), 0);
}
