//! From the platform's database into tables of the warehouse.

use tidegate_model::run::{Replaced, RunStatus};
use tidegate_model::sync::WriteMode;

use crate::bench::{Bench, SCORES, scores};

async fn with_companies(to: u32) -> Bench {
    let bench = Bench::new(SCORES).await;
    bench.companies(1, to).await;
    bench
}

#[tokio::test]
async fn replace_swaps_all_rows_and_the_books_stand_apart() {
    let bench = with_companies(25).await;
    bench.sql("INSERT INTO scores (company_id) VALUES ('old')");
    let run = bench.run(&scores(WriteMode::Replace)).await;
    assert_eq!(run.status, RunStatus::Succeeded, "{run:#?}");
    assert_eq!(run.books.replaced, Replaced { created: 25, cleared: 1, read: 25, sent: 25 });
    assert_eq!((run.books.to_warehouse.created, run.books.to_warehouse.deleted), (25, 1));
    assert_eq!(bench.ask("SELECT score FROM scores WHERE company_id = 'c7'"), ["7"]);
    assert_eq!(bench.ask("SELECT count(*) FROM scores"), ["25"]);
}

#[tokio::test]
async fn replace_leaves_the_old_rows_when_it_dies() {
    for point in ["columnar.span_opened", "columnar.loaded", "columnar.replaced", "columnar.before_settle"] {
        let bench = with_companies(25).await;
        bench.sql("INSERT INTO scores (company_id) VALUES ('old')");
        let died = bench.killed(&scores(WriteMode::Replace), point, 0).await;
        assert!(died || point == "columnar.loaded", "{point}");
        let rows = bench.ask("SELECT count(*) FROM scores");
        assert!(rows == ["1"] || rows == ["25"], "{point}: {rows:?}");
        let run = bench.run(&scores(WriteMode::Replace)).await;
        assert_eq!(run.status, RunStatus::Succeeded, "{point}: {run:#?}");
        assert_eq!(bench.ask("SELECT count(*) FROM scores"), ["25"], "{point}");
    }
}

#[tokio::test]
async fn append_adds_new_records_once() {
    let bench = with_companies(25).await;
    let sync = scores(WriteMode::Append);
    let run = bench.run(&sync).await;
    assert_eq!(run.status, RunStatus::Succeeded, "{run:#?}");
    assert_eq!(run.books.to_warehouse.created, 25);
    bench.companies(26, 30).await;
    let counts = bench.run(&sync).await.books.to_warehouse;
    assert_eq!((counts.read, counts.created, counts.unchanged), (30, 5, 25));
    assert_eq!(bench.ask("SELECT count(*) FROM scores"), ["30"]);
}

#[tokio::test]
async fn append_is_exactly_once_wherever_it_dies() {
    for point in
        ["columnar.span_opened", "columnar.intended", "columnar.loaded", "columnar.before_settle", "columnar.settled"]
    {
        let bench = with_companies(25).await;
        let sync = scores(WriteMode::Append);
        assert!(bench.killed(&sync, point, 1).await, "{point}");
        let run = bench.run(&sync).await;
        assert_eq!(run.status, RunStatus::Succeeded, "{point}: {run:#?}");
        assert_eq!(bench.ask("SELECT count(*) FROM scores"), ["25"], "{point}");
        assert_eq!(bench.ask("SELECT count(DISTINCT company_id) FROM scores"), ["25"], "{point}");
    }
}

#[tokio::test]
async fn versions_append_changed_records_again_with_run_and_time() {
    let bench = with_companies(12).await;
    let mut sync = scores(WriteMode::Append);
    sync.append_versions = true;
    let first = bench.run(&sync).await;
    assert_eq!(first.books.to_warehouse.created, 12, "{first:#?}");
    bench.ask_platform("SELECT 1");
    update_score(&bench, "c3", 300).await;
    let second = bench.run(&sync).await;
    assert_eq!((second.books.to_warehouse.created, second.books.to_warehouse.unchanged), (1, 11));
    assert_eq!(bench.ask("SELECT score FROM scores WHERE company_id = 'c3' ORDER BY tidegate_at"), ["3", "300"]);
    assert_eq!(bench.ask("SELECT tidegate_run FROM scores WHERE score = 300"), [second.run]);
}

async fn update_score(bench: &Bench, key: &str, score: i64) {
    use tidegate_model::change::{Action, Change};
    let ask = tidegate_model::ports::WriteAsk {
        model: tidegate_model::schema::ModelName("company".into()),
        key: "externalId".into(),
        new_fields: vec![],
        op: tidegate_model::span::OpId("edit".into()),
        fence: tidegate_model::span::Fence { sync: "made".into(), store: "made".into(), epoch: 1 },
        records: 1,
        addresses: Vec::new(),
    };
    let mut fields = tidegate_model::record::Fields::new();
    fields.push("custom.Score", tidegate_model::value::Value::Int(score));
    let key = tidegate_model::record::Key::new(key);
    let change = Change { key, remote: None, action: Action::Update, fields, expect: None };
    bench.platform.write(&ask, &[change]).await.unwrap();
}

#[tokio::test]
async fn values_that_a_column_does_not_take_are_rejects() {
    let bench = with_companies(5).await;
    bench.sql("DROP TABLE scores; CREATE TABLE scores (company_id TEXT, name VARCHAR(9), score INTEGER)");
    bench.companies(10, 11).await;
    for write in [WriteMode::Replace, WriteMode::Append] {
        let mut sync = scores(write);
        sync.name = format!("scores-{write:?}");
        bench.sql("DELETE FROM scores");
        let run = bench.run(&sync).await;
        assert_eq!(run.status, RunStatus::Partial, "{run:#?}");
        assert_eq!((run.books.to_warehouse.created, run.books.to_warehouse.rejected), (5, 2));
        let expected = ["c10", "c11"].map(|key| (Some(key.to_owned()), "too_long".to_owned()));
        assert_eq!(bench.rejects(&sync).await, expected);
    }
}
