//! `check --rows` of syncs that move columns: what a run would reject, and nothing written.

use tidegate_model::finding::Finding;
use tidegate_model::sync::{Changes, Sync, WriteMode};

use crate::bench::{Bench, EVENTS, REVENUE, SCORES, events, revenue, scores, usage};

async fn check(bench: &Bench, sync: &Sync) -> Vec<Finding> {
    let found = bench.engine().check(&bench.job(sync), true).await.unwrap();
    assert!(bench.memory.runs(Some(&sync.name), 10).await.unwrap().is_empty());
    assert!(bench.rejects(sync).await.is_empty());
    found
}

fn told(found: &[Finding]) -> Vec<(&str, bool)> {
    let rows = found.iter().filter(|finding| finding.finding.starts_with("row_"));
    rows.map(|finding| (finding.finding.as_str(), finding.why.contains("record 6:"))).collect()
}

#[tokio::test]
async fn check_rows_lists_what_a_usage_run_would_reject() {
    let bench = Bench::new(EVENTS).await;
    bench.companies(1, 1).await;
    bench.sql(&events(1, 30));
    bench.sql("INSERT INTO events VALUES (NULL, 'c1', 'open', 1, NULL), (6, 'c1', 'open', 1, NULL)");
    bench.sql("UPDATE events SET weight = 'heavy' WHERE id = 20");
    let found = check(&bench, &usage()).await;
    assert_eq!(told(&found), [("row_null_cursor", false), ("row_wrong_type", false), ("row_duplicate_key", true)]);
    assert_eq!(bench.ask_platform("SELECT count(*) FROM hub_activity"), ["0"]);
}

#[tokio::test]
async fn check_rows_lists_what_datasets_and_exports_would_reject() {
    for write in [WriteMode::Upsert, WriteMode::Append, WriteMode::Replace] {
        let bench = Bench::new(REVENUE).await;
        bench.sql("INSERT INTO revenue VALUES ('6', 'c1', 1, NULL), ('6', 'c1', 1, NULL), ('7', 'c1', 'much', NULL)");
        let found = check(&bench, &revenue(Changes::Full, write)).await;
        assert_eq!(told(&found), [("row_duplicate_key", true), ("row_bad_number", false)], "{write:?}");
    }
    for write in [WriteMode::Append, WriteMode::Replace] {
        let bench = Bench::new(SCORES).await;
        bench.sql("DROP TABLE scores; CREATE TABLE scores (company_id TEXT, name VARCHAR(9), score INTEGER)");
        bench.companies(9, 10).await;
        let found = check(&bench, &scores(write)).await;
        assert_eq!(told(&found), [("row_too_long", false)], "{write:?}");
        assert!(bench.ask("SELECT * FROM scores").is_empty());
    }
}

#[tokio::test]
async fn check_rows_lists_the_first_thousand_and_counts_the_rest() {
    let bench = Bench::new(EVENTS).await;
    bench.sql(&events(1, 1_500));
    bench.sql("UPDATE events SET weight = 'heavy'");
    let found = check(&bench, &usage()).await;
    assert_eq!(told(&found).len(), 1_000);
    let more = found.iter().find(|finding| finding.finding == "more_rows").expect("the rest");
    assert!(more.why.contains("500 more rows"), "{more:?}");
}
