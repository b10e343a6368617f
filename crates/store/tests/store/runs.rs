//! Runs, their books and logs, settings, and budgets.

use std::sync::Arc;

use tidegate_model::ports::{Flow, Memory};
use tidegate_model::run::{Books, RunError, RunStatus};
use tidegate_model::time::Instant;

use crate::base::*;

on_both!(
    settlements_add_to_the_books,
    runs_are_listed_newest_first,
    logs_are_read_on,
    a_run_can_be_asked_to_stop,
    settings_are_found_by_prefix,
    runs_are_found_by_how_they_ended,
    tries_to_sign_in_count_together,
    a_budget_is_never_overdrawn,
    a_flow_is_booked_in_order_and_places_are_given_back,
    the_store_knows_itself,
);

fn books(read: u64) -> Books {
    let mut books = Books::default();
    books.to_platform.read = read;
    books.to_warehouse.requests = 1;
    books
}

async fn settlements_add_to_the_books(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let mut expected = Books::default();
    for read in [3, 40] {
        let mut it = settlement();
        it.books = books(read);
        store.settle(&lease, &it).await.unwrap();
        expected.add(&it.books);
    }
    assert_eq!(store.run(RUN).await.unwrap().unwrap().books, expected);

    let mut done = run(RUN);
    done.status = RunStatus::Failed;
    done.books = books(5);
    done.finished_at = Some(at(200));
    done.error = Some(RunError { code: "data".into(), message: "no".into(), hint: Some("yes".into()) });
    store.put_run(&lease, &done).await.unwrap();
    assert_eq!(store.run(RUN).await.unwrap(), Some(done), "the books of a record replace");
    assert_eq!(store.run("01NOBODY").await.unwrap(), None);
}

async fn runs_are_listed_newest_first(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let other = store.claim("deals", "worker-1", at(100)).await.unwrap();
    for (id, second) in [("01B", 300), ("01C", 200)] {
        let mut record = run(id);
        record.started_at = at(second);
        store.put_run(&lease, &record).await.unwrap();
    }
    let mut record = run("01D");
    record.sync = "deals".into();
    store.put_run(&other, &record).await.unwrap();
    let ids = |runs: Vec<tidegate_model::run::RunRecord>| runs.into_iter().map(|run| run.run).collect::<Vec<_>>();
    assert_eq!(ids(store.runs(Some(SYNC), 10).await.unwrap()), ["01B", "01C", RUN]);
    assert_eq!(ids(store.runs(None, 3).await.unwrap()), ["01B", "01C", "01D"]);
}

async fn logs_are_read_on(place: &Place) {
    let store = place.open().await;
    for number in 0..5 {
        store.log(RUN, at(number), &format!("line {number} 'ü\u{0}")).await.unwrap();
        store.log("01OTHER", at(number), "other").await.unwrap();
    }
    let lines = store.log_lines(RUN, 0).await.unwrap();
    assert_eq!(lines.len(), 5);
    assert_eq!((lines[4].1, lines[4].2.as_str()), (at(4), "line 4 'ü\u{fffd}"));
    assert_eq!(store.log_lines(RUN, lines[2].0).await.unwrap(), lines[3..]);
}

async fn a_run_can_be_asked_to_stop(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    assert!(!store.cancel_requested(RUN).await.unwrap());
    assert!(!store.request_cancel("01NOBODY").await.unwrap());
    assert!(store.request_cancel(RUN).await.unwrap());
    store.put_run(&lease, &run(RUN)).await.unwrap();
    assert!(store.cancel_requested(RUN).await.unwrap(), "the wish outlives an update of the run");
    let mut done = run(RUN);
    done.finished_at = Some(at(200));
    store.put_run(&lease, &done).await.unwrap();
    assert!(!store.request_cancel(RUN).await.unwrap(), "what has ended cannot be stopped");
}

async fn settings_are_found_by_prefix(place: &Place) {
    let store = place.open().await;
    for (name, value) in [("paused:a", "1"), ("paused:ü", "2"), ("pausedXa", "3"), ("paused%", "4")] {
        store.set_setting(name, Some(value)).await.unwrap();
    }
    store.set_setting("paused:a", Some("5")).await.unwrap();
    let found = store.settings("paused:").await.unwrap();
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [("paused:a".into(), "5".into()), ("paused:ü".into(), "2".into())]
    );
    store.set_setting("paused:a", None).await.unwrap();
    store.set_setting("paused:nobody", None).await.unwrap();
    assert_eq!(store.settings("").await.unwrap().len(), 3);
    assert_eq!(store.settings("paused:ü").await.unwrap().len(), 1);
}

async fn a_budget_is_never_overdrawn(place: &Place) {
    let stores = [Arc::new(place.open().await), Arc::new(place.open().await)];
    let draws: Vec<_> = (0..20)
        .map(|number| {
            let store = Arc::clone(&stores[number % 2]);
            tokio::spawn(async move { store.draw("crm", "records", 1_000, 100, 7).await.unwrap() })
        })
        .collect();
    let mut granted = 0;
    for draw in draws {
        granted += draw.await.unwrap();
    }
    assert_eq!(granted, 100, "all of it, and not one more");
    let store = &stores[0];
    assert_eq!(store.draw("crm", "records", 1_000, 100, 1).await.unwrap(), 0);
    assert_eq!(store.draw("crm", "records", 1_000, 150, 60).await.unwrap(), 50, "the limit was raised");
    assert_eq!(store.draw("crm", "requests", 1_000, 5, 7).await.unwrap(), 5, "units are apart");
    assert_eq!(store.draw("crm2", "records", 1_000, 5, 2).await.unwrap(), 2, "accounts are apart");
    assert_eq!(store.draw("crm", "records", 1_001, 100, 100).await.unwrap(), 100, "a new second");
    assert_eq!(store.draw("crm", "records", 1_002, u64::MAX, u64::MAX).await.unwrap(), u64::MAX);
    assert_eq!(store.draw("crm", "records", 5_000, 10, 1).await.unwrap(), 1);
    assert_eq!(store.draw("crm", "records", 1_000, 10, 10).await.unwrap(), 10, "old blocks are gone");
}

async fn a_flow_is_booked_in_order_and_places_are_given_back(place: &Place) {
    let stores = [Arc::new(place.open().await), Arc::new(place.open().await)];
    let (flow, now) = (Flow { unit_ns: 1_000_000, burst: 5 }, Instant(1_000_000_000));
    let books: Vec<_> = (0..20)
        .map(|number| {
            let store = Arc::clone(&stores[number % 2]);
            tokio::spawn(async move { store.book("crm", "calls", flow, 1, now).await.unwrap() })
        })
        .collect();
    let mut waits = Vec::new();
    for book in books {
        waits.push(book.await.unwrap());
    }
    waits.sort_unstable();
    let expected: Vec<u64> = (0..20_u64).map(|at| (at + 1).saturating_sub(5) * 1_000).collect();
    assert_eq!(waits, expected, "the burst at once, then one after another, nobody at the same time");
    let store = &stores[0];
    let later = Instant(now.0 + 1_000_000);
    assert_eq!(
        store.book("crm", "calls", flow, 5, later).await.unwrap(),
        0,
        "the bucket is full again, and not fuller"
    );
    assert_eq!(store.book("crm", "calls", flow, 1, later).await.unwrap(), 1_000);
    assert_eq!(store.book("other", "calls", flow, 1, later).await.unwrap(), 0, "accounts are apart");

    let until = Instant(now.0 + 10);
    assert_eq!(store.occupy("crm", 2, now, until).await.unwrap(), Some(0));
    assert_eq!(stores[1].occupy("crm", 2, now, until).await.unwrap(), Some(1));
    assert_eq!(store.occupy("crm", 2, now, until).await.unwrap(), None);
    store.vacate("crm", 1, until).await.unwrap();
    assert_eq!(store.occupy("crm", 2, now, Instant(now.0 + 20)).await.unwrap(), Some(1));
    store.vacate("crm", 1, until).await.unwrap();
    assert_eq!(store.occupy("crm", 2, now, until).await.unwrap(), None, "not ours any more");
    assert_eq!(store.occupy("crm", 2, until, Instant(now.0 + 30)).await.unwrap(), Some(0), "over after its time");
}

async fn the_store_knows_itself(place: &Place) {
    let store = place.open().await;
    let (id, print_key) = (store.store_id().await.unwrap(), store.print_key().await.unwrap());
    let again = place.open().await;
    assert_eq!(again.store_id().await.unwrap(), id);
    assert_eq!(again.print_key().await.unwrap(), print_key);
    assert_ne!(print_key, [0; 16]);
    let other = if place.is_sqlite() { Place::sqlite() } else { Place::postgres() };
    let stranger = other.open().await;
    assert_ne!(stranger.store_id().await.unwrap(), id);
    assert_ne!(stranger.print_key().await.unwrap(), print_key);
    if !other.is_sqlite() {
        other.drop_schema().await;
    }
}

async fn runs_are_found_by_how_they_ended(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    for (id, status, second) in
        [("01B", RunStatus::Failed, 300), ("01C", RunStatus::Succeeded, 400), ("01D", RunStatus::Failed, 500)]
    {
        let mut record = run(id);
        record.started_at = at(second);
        store.put_run(&lease, &record).await.unwrap();
        record.status = status;
        store.put_run(&lease, &record).await.unwrap();
    }
    let failed = store.runs_page(None, Some("failed"), None, 1).await.unwrap();
    assert_eq!(failed[0].0.run, "01D");
    let rest = store.runs_page(None, Some("failed"), Some(failed[0].1), 10).await.unwrap();
    assert_eq!(rest.iter().map(|(run, _)| run.run.as_str()).collect::<Vec<_>>(), ["01B"]);
    assert!(store.runs_page(None, Some("unbalanced"), None, 10).await.unwrap().is_empty());
}

async fn tries_to_sign_in_count_together(place: &Place) {
    let (one, other) = (place.open().await, place.open().await);
    let wait = |failed: u32, _last: Instant, _now: Instant| (failed >= 3).then_some(7);
    let by = [vec![1_u8], vec![2_u8]];
    let tries = futures_util::future::join_all((0..8).map(|n| {
        let store = if n % 2 == 0 { &one } else { &other };
        store.try_sign_in(&by, at(100), wait)
    }));
    let let_in = tries.await.into_iter().filter(|waits| waits.as_ref().unwrap().is_none()).count();
    assert_eq!(let_in, 3, "in whichever process, and all at once");
    assert_eq!(other.try_sign_in(&by[..1], at(100), wait).await.unwrap(), Some(7), "a name alone waits too");
    one.forget_tries(&by).await.unwrap();
    assert_eq!(other.try_sign_in(&by, at(100), wait).await.unwrap(), None);
    let an_hour_later = at(100 + 3_601);
    assert_eq!(one.try_sign_in(&by, an_hour_later, wait).await.unwrap(), None, "old tries are forgotten");
}
