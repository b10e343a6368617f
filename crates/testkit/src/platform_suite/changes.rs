//! Reading changes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_model::change::Action;
use tidegate_model::ports::{Platform, PlatformRead};
use tidegate_model::value::Value;

use super::{Row, applied, ask, asking, change, company, fence, named, new_op, read, records, text, write, write_one};

async fn since(platform: &dyn Platform, mark: &str, fields: &[&str]) -> Vec<Row> {
    let mut ask = asking("company", "externalId", fields);
    ask.mode = PlatformRead::Since(mark.to_owned());
    read(platform, ask).await
}

/// What changed since a mark, once, in order of the key; what is gone is named with key and id.
pub async fn changes_since_a_mark_name_what_changed_and_what_is_gone(platform: &dyn Platform) {
    for key in ["a", "b", "c"] {
        company(platform, key).await;
    }
    let mark = platform.mark(&named("company")).await.unwrap();
    assert!(since(platform, &mark, &["name"]).await.is_empty());
    applied(&write_one(platform, &ask("company"), change(Action::Update, "b", &[("phase", text("x"))])).await);
    applied(&write_one(platform, &ask("company"), change(Action::Update, "b", &[("phase", text("y"))])).await);
    let gone = applied(&write_one(platform, &ask("company"), change(Action::Delete, "a", &[])).await);
    company(platform, "d").await;
    let rows = since(platform, &mark, &["name", "phase"]).await;
    let keys: Vec<&Value> = rows.iter().map(|row| &row["externalId"]).collect();
    assert_eq!(keys, [&text("a"), &text("b"), &text("d")]);
    let deleted: Vec<&Value> = rows.iter().map(|row| &row["_deleted"]).collect();
    assert_eq!(deleted, [&Value::Bool(true), &Value::Bool(false), &Value::Bool(false)]);
    assert_eq!((&rows[0]["_id"], rows[0].get("name")), (&text(gone.as_str()), None));
    assert_eq!(rows[1]["phase"], text("y"));
    let times: Vec<&Value> = rows.iter().map(|row| &row["_updated_at"]).collect();
    assert!(matches!(times[0], Value::TimestampTz(_)));
    let later = platform.mark(&named("company")).await.unwrap();
    assert!(since(platform, &later, &[]).await.is_empty());
    let quiet = write_one(platform, &ask("company"), change(Action::Update, "b", &[("phase", text("y"))])).await;
    assert!(matches!(quiet, tidegate_model::change::Outcome::Unchanged { .. }));
    assert!(since(platform, &later, &[]).await.is_empty(), "what stays the same is no change");
}

/// A record that comes back under its externalId is the same record, without its old values.
pub async fn a_record_that_returns_keeps_its_id(platform: &dyn Platform) {
    let id = company(platform, "a").await;
    applied(&write_one(platform, &ask("company"), change(Action::Update, "a", &[("phase", text("x"))])).await);
    applied(&write_one(platform, &ask("company"), change(Action::Delete, "a", &[])).await);
    let mark = platform.mark(&named("company")).await.unwrap();
    assert_eq!(company(platform, "a").await, id);
    let rows = since(platform, &mark, &["phase"]).await;
    assert_eq!((rows.len(), rows[0].get("phase"), &rows[0]["_deleted"]), (1, None, &Value::Bool(false)));
    assert_eq!(records(platform, "company", &[]).await.len(), 1);
}

/// Writers work at once; a reader that goes from mark to mark sees every record.
pub async fn nothing_is_skipped_by_readers_of_changes(platform: &dyn Platform) {
    const WRITERS: usize = 6;
    const CALLS: usize = 15;
    let done = AtomicBool::new(false);
    let first = platform.mark(&named("company")).await.unwrap();
    let writer = |number: usize| async move {
        for call in 0..CALLS {
            let batch: Vec<_> = (0..3)
                .map(|n| change(Action::Create, &format!("w{number}-{call}-{n}"), &[("name", text("N"))]))
                .collect();
            let mut ask = ask("company");
            ask.fence = fence(&format!("sync-{number}"));
            ask.op = new_op();
            write(platform, &ask, &batch).await;
        }
    };
    let reader = async {
        let mut seen = BTreeSet::new();
        let mut mark = first;
        loop {
            let last = done.load(Ordering::SeqCst);
            let next = platform.mark(&named("company")).await.unwrap();
            let rows = since(platform, &mark, &[]).await;
            seen.extend(rows.iter().map(|row| row["externalId"].to_string()));
            mark = next;
            if last {
                return seen;
            }
        }
    };
    let writers = async {
        tokio::join!(writer(0), writer(1), writer(2), writer(3), writer(4), writer(5));
        done.store(true, Ordering::SeqCst);
    };
    let ((), seen) = tokio::join!(writers, reader);
    assert_eq!(seen.len(), WRITERS * CALLS * 3);
}
