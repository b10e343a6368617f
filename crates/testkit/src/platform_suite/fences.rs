//! Fences and operations: once, and by the one who holds the sync.

use tidegate_model::ErrorKind;
use tidegate_model::change::{Action, Outcome};
use tidegate_model::ports::{LoadMode, Platform, WriteAsk};
use tidegate_model::span::Fence;
use tidegate_model::value::{Type, Value};

use super::{applied, ask, change, fence, load, new_op, page, pages, records, text, write, write_one};

/// A repeated operation answers as it did, whatever happened since, and does nothing.
pub async fn a_replayed_write_answers_as_the_first_time(platform: &dyn Platform) {
    let ask = ask("company");
    let batch =
        [change(Action::Create, "a", &[("name", text("  A "))]), change(Action::Create, "b", &[("status", text("?"))])];
    let first = write(platform, &ask, &batch).await;
    let later = change(Action::Update, "a", &[("name", text("edited"))]);
    applied(&write_one(platform, &super::ask("company"), later).await);
    let newer = WriteAsk { fence: Fence { epoch: 2, ..ask.fence.clone() }, ..ask };
    let again = write(platform, &newer, &batch).await;
    assert_eq!(format!("{first:?}"), format!("{again:?}"));
    let Outcome::Applied { stored: Some(stored), .. } = &again[0] else { panic!("{again:?}") };
    assert_eq!(stored.get("name"), Some(&text("A")));
    assert_eq!(records(platform, "company", &["name"]).await[0]["name"], text("edited"));
}

/// A newer epoch shuts an older one out; another store is stopped until it adopts the sync.
pub async fn an_old_epoch_and_a_foreign_store_are_kept_out(platform: &dyn Platform) {
    let with = |store: &str, epoch: i64| WriteAsk {
        op: new_op(),
        fence: Fence { sync: "s".to_owned(), store: store.to_owned(), epoch },
        ..ask("company")
    };
    let batch = [change(Action::Create, "a", &[("name", text("A"))])];
    let kind = |result: tidegate_model::Result<Vec<Outcome>>| result.map(|_| ()).map_err(|error| error.kind);
    assert_eq!(kind(platform.write(&with("one", 2), &batch).await), Ok(()));
    assert_eq!(kind(platform.write(&with("one", 1), &batch).await), Err(ErrorKind::LeaseLost));
    let foreign = platform.write(&with("two", 9), &batch).await.expect_err("foreign");
    assert_eq!(foreign.kind, ErrorKind::ForeignStore);
    assert!(foreign.hint.unwrap_or_default().contains("adopt s"));
    let rows = page(&[("k", Type::Int64)], &[vec![Value::Int(1)]]);
    let mut loading = load("s", LoadMode::Append, None);
    loading.fence = Fence { sync: "s".to_owned(), store: "two".to_owned(), epoch: 9 };
    let refused = platform.load(&super::named("dataset:x"), &loading, pages(vec![rows])).await.expect_err("foreign");
    assert_eq!(refused.kind, ErrorKind::ForeignStore);
    platform.adopt(&with("two", 1).fence).await.unwrap();
    assert_eq!(kind(platform.write(&with("two", 1), &batch).await), Ok(()));
    assert_eq!(kind(platform.write(&with("one", 9), &batch).await), Err(ErrorKind::ForeignStore));
}

/// A load that is repeated under its operation does nothing and counts as the first time.
pub async fn a_load_is_carried_out_once(platform: &dyn Platform) {
    let rows = || page(&[("k", Type::Int64), ("v", Type::Text)], &vec![vec![Value::Int(1), text("x")]; 3]);
    let loading = load("s", LoadMode::Append, None);
    let model = super::named("dataset:once");
    let first = platform.load(&model, &loading, pages(vec![rows(), rows()])).await.unwrap();
    assert_eq!((first.created, first.replayed), (6, false));
    let again = platform.load(&model, &loading, pages(vec![rows(), rows()])).await.unwrap();
    assert_eq!((again.created, again.replayed), (6, true));
    assert_eq!(platform.count(&model, &[]).await.unwrap(), 6);
    let other = load("s", LoadMode::Append, None);
    assert_eq!(platform.load(&model, &other, pages(vec![rows()])).await.unwrap().created, 3);
    assert_eq!(platform.count(&model, &[]).await.unwrap(), 9);
    assert_eq!(other.fence, fence("s"));
}
