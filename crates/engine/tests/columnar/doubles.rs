//! A duplicate key rejects all of its rows, and is one reject, wherever they stand.

use tidegate_model::run::{Counts, RunStatus};
use tidegate_model::sync::{Changes, Lookback, WriteMode};

use crate::bench::{Bench, EVENTS, REVENUE, events, revenue, usage};

fn listed(keys: &[&str]) -> Vec<(Option<String>, String)> {
    keys.iter().map(|key| (Some((*key).to_owned()), "duplicate_key".to_owned())).collect()
}

#[tokio::test]
async fn duplicate_usage_keys_are_one_reject_each_across_pages() {
    let bench = Bench::new(EVENTS).await;
    bench.companies(1, 1).await;
    bench.sql(&events(1, 30));
    // Ten rows to a page: the rows of 10 stand on both sides of an edge, those of 25 fill a page and more.
    bench.sql("INSERT INTO events SELECT * FROM events WHERE id = 10");
    (0..12).for_each(|_| bench.sql("INSERT INTO events SELECT * FROM events WHERE id = 25 LIMIT 1"));
    for _ in 0..2 {
        let run = bench.run(&usage()).await;
        let counts = run.books.to_platform;
        assert_eq!((counts.read, counts.created + counts.unchanged, counts.rejected), (30, 28, 2), "{counts:?}");
        assert_eq!(bench.rejects(&usage()).await, listed(&["10", "25"]));
    }
    bench.sql("DELETE FROM events WHERE rowid > 30");
    let run = bench.run(&usage()).await;
    assert_eq!((run.status, run.books.to_platform.created), (RunStatus::Succeeded, 2));
}

fn invoices(from: u32, to: u32, minute: u32) -> String {
    (from..=to)
        .map(|n| format!("INSERT INTO revenue VALUES ('i{n}', 'c1', {n}, '2024-01-01T00:{minute:02}:00');"))
        .collect()
}

async fn values(bench: &Bench) -> u64 {
    bench.platform.count(&tidegate_model::schema::ModelName("dataset:revenue".into()), &[]).await.unwrap()
}

#[tokio::test]
async fn duplicate_keys_far_apart_in_a_cursors_window_are_found_before_the_first_is_sent() {
    for write in [WriteMode::Upsert, WriteMode::Append] {
        let bench = Bench::new(REVENUE).await;
        bench.sql(&invoices(1, 20, 0));
        bench.sql(&invoices(1, 2, 59));
        bench.sql(&invoices(21, 30, 30));
        let sync = revenue(Changes::Cursor, write);
        let counts = bench.run(&sync).await.books.to_platform;
        assert_eq!((counts.read, counts.created, counts.rejected), (30, 28, 2), "{write:?}");
        assert_eq!(bench.rejects(&sync).await, listed(&["i1", "i2"]));
        assert_eq!(values(&bench).await, 28);
    }
}

#[tokio::test]
async fn duplicate_keys_of_a_later_window_are_looked_up_in_the_full_table() {
    let bench = Bench::new(REVENUE).await;
    bench.sql(&invoices(1, 20, 0));
    let mut sync = revenue(Changes::Cursor, WriteMode::Upsert);
    sync.cursor.as_mut().unwrap().lookback = Some(Lookback::Micros(0));
    bench.run(&sync).await;
    // An older row has the key already.
    bench.sql("INSERT INTO revenue VALUES ('i3', 'c1', 99, '2024-01-01T01:00:00')");
    bench.sql(&invoices(21, 22, 50));
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!((counts.read, counts.created, counts.rejected), (3, 2, 1));
    assert_eq!(bench.rejects(&sync).await, listed(&["i3"]));
    let amount = bench.ask_platform("SELECT col FROM hub_field WHERE name = 'amount'").remove(0);
    let table = bench.ask_platform("SELECT 'hub_d' || number FROM hub_dataset").remove(0);
    let stands = bench.ask_platform(&format!("SELECT {amount} FROM {table} WHERE _key = 'i3'"));
    assert_eq!(stands, ["3.00"]);
}

#[tokio::test]
async fn a_duplicate_that_arrives_by_an_open_reject_is_counted_once() {
    let bench = Bench::new(EVENTS).await;
    bench.companies(1, 1).await;
    bench.sql(&events(1, 5));
    bench.sql("UPDATE events SET company = 'c9' WHERE id = 2");
    let mut sync = usage();
    sync.cursor.as_mut().unwrap().lookback = Some(Lookback::Count(0));
    bench.run(&sync).await;
    bench.sql("INSERT INTO events VALUES (2, 'c1', 'open', 1, NULL)");
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!(counts, Counts { read: 1, rejected: 1, ..Counts::default() });
    let mut rules = bench.rejects(&sync).await;
    rules.retain(|(_, rule)| rule == "duplicate_key");
    assert_eq!(rules, listed(&["2"]));
}

#[tokio::test]
async fn a_duplicate_of_an_open_reject_in_the_window_is_counted_once() {
    let bench = Bench::new(REVENUE).await;
    bench.sql(&invoices(1, 5, 0));
    bench.sql("UPDATE revenue SET amount = 'much' WHERE invoice_id = 'i2'");
    let mut sync = revenue(Changes::Cursor, WriteMode::Upsert);
    sync.cursor.as_mut().unwrap().lookback = Some(Lookback::Micros(0));
    assert_eq!(bench.run(&sync).await.books.to_platform.rejected, 1);
    bench.sql("INSERT INTO revenue VALUES ('i2', 'c1', 5, '2024-01-01T00:30:00')");
    let counts = bench.run(&sync).await.books.to_platform;
    assert_eq!(counts, Counts { read: 1, rejected: 1, ..Counts::default() });
    assert_eq!(values(&bench).await, 4);
    bench.sql("DELETE FROM revenue WHERE amount = 'much'");
    let run = bench.run(&sync).await;
    assert_eq!((run.status, run.books.to_platform.created), (RunStatus::Succeeded, 1));
    assert_eq!(values(&bench).await, 5);
}
