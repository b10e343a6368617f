//! Leases and their epochs.

use std::sync::Arc;

use tidegate_model::ErrorKind;
use tidegate_model::ports::{CALL_MS_MAX, Holder, LEASE_MS, Memory, ProcessId};

use crate::base::*;

on_both!(
    each_claim_grows_the_epoch,
    a_living_lease_is_respected_until_the_longest_call_is_over,
    a_released_lease_is_free_at_once,
    a_heartbeat_keeps_a_lease_alive,
    a_holder_that_is_gone_is_replaced_at_once,
    one_of_many_claimers_wins,
    writes_of_an_old_epoch_are_refused,
    an_unclaimed_sync_takes_no_writes,
);

async fn each_claim_grows_the_epoch(place: &Place) {
    let store = place.open().await;
    let first = store.claim(SYNC, "a", at(0)).await.unwrap();
    let second = store.claim(SYNC, "a", at(1)).await.unwrap();
    assert_eq!((first.epoch, second.epoch), (1, 2), "the same holder may claim again");
    assert_eq!(store.claim("other", "b", at(1)).await.unwrap().epoch, 1);
    assert_eq!(place.open().await.claim(SYNC, "a", at(2)).await.unwrap().epoch, 3);
}

async fn a_living_lease_is_respected_until_the_longest_call_is_over(place: &Place) {
    let store = place.open().await;
    store.claim(SYNC, "machine-a/4711", at(100)).await.unwrap();
    let expires = at(100).plus_millis(LEASE_MS);
    let free = expires.plus_millis(i64::try_from(CALL_MS_MAX).unwrap());
    for moment in [at(100), at(130), expires, free.plus_millis(-1)] {
        let error = store.claim(SYNC, "b", moment).await.unwrap_err();
        assert_eq!((error.kind, error.code()), (ErrorKind::Locked, "locked"));
        assert!(error.message.contains("machine-a/4711"), "{}", error.message);
        assert!(error.message.contains(&expires.to_string()), "{}", error.message);
        assert!(error.hint.is_some());
    }
    assert_eq!(store.claim(SYNC, "b", free).await.unwrap().epoch, 2);
}

async fn a_released_lease_is_free_at_once(place: &Place) {
    let store = place.open().await;
    let lease = store.claim(SYNC, "a", at(100)).await.unwrap();
    store.release(&lease).await.unwrap();
    store.release(&lease).await.unwrap();
    let error = store.heartbeat(&lease, at(101)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::LeaseLost, "what was given back cannot be kept alive");
    assert_eq!(store.claim(SYNC, "b", at(101)).await.unwrap().epoch, 2);
}

async fn a_holder_that_is_gone_is_replaced_at_once(place: &Place) {
    let store = place.open().await;
    assert_eq!(store.held(SYNC).await.unwrap(), None);
    let process = ProcessId { host: "h".to_owned(), boot: "b".to_owned(), pid: 7, started: u64::MAX };
    let gone = Holder { name: "gone".to_owned(), process: Some(process) };
    let lease = store.claim_as(SYNC, &gone, at(100)).await.unwrap();
    let held = place.open().await.held(SYNC).await.unwrap().unwrap();
    assert_eq!((&held.holder, held.epoch, held.seen_at), (&gone, lease.epoch, at(100)));
    let heir = Holder { name: "heir".to_owned(), process: None };
    let stale = store.take_over(SYNC, held.epoch - 1, &heir, at(101)).await.unwrap_err();
    assert_eq!(stale.kind, ErrorKind::Locked, "of another epoch nothing is known");
    let taken = store.take_over(SYNC, held.epoch, &heir, at(101)).await.unwrap();
    assert_eq!(taken.epoch, held.epoch + 1);
    assert_eq!(store.heartbeat(&lease, at(102)).await.unwrap_err().kind, ErrorKind::LeaseLost);
    let late = store.take_over(SYNC, held.epoch, &gone, at(102)).await.unwrap_err();
    assert_eq!(late.kind, ErrorKind::Locked, "another one was faster");
    assert_eq!(store.held(SYNC).await.unwrap().unwrap().holder, heir, "the process goes with its holder");
    store.release(&taken).await.unwrap();
    assert_eq!(store.held(SYNC).await.unwrap(), None);
}

async fn a_heartbeat_keeps_a_lease_alive(place: &Place) {
    let store = place.open().await;
    let lease = store.claim(SYNC, "a", at(100)).await.unwrap();
    for second in (110..400).step_by(10) {
        store.heartbeat(&lease, at(second)).await.unwrap();
    }
    assert_eq!(store.claim(SYNC, "b", at(450)).await.unwrap_err().kind, ErrorKind::Locked);
    store.claim(SYNC, "b", at(500)).await.unwrap();
    assert_eq!(store.heartbeat(&lease, at(501)).await.unwrap_err().kind, ErrorKind::LeaseLost);
}

async fn one_of_many_claimers_wins(place: &Place) {
    let stores = [Arc::new(place.open().await), Arc::new(place.open().await)];
    let claims: Vec<_> = (0..12)
        .map(|number| {
            let store = Arc::clone(&stores[number % 2]);
            tokio::spawn(async move { store.claim(SYNC, &format!("worker-{number}"), at(100)).await })
        })
        .collect();
    let mut won = 0;
    for claim in claims {
        match claim.await.unwrap() {
            Ok(lease) => {
                won += 1;
                assert_eq!(lease.epoch, 1);
            }
            Err(error) => assert_eq!(error.kind, ErrorKind::Locked),
        }
    }
    assert_eq!(won, 1);
}

async fn writes_of_an_old_epoch_are_refused(place: &Place) {
    let store = place.open().await;
    let old = start(&store).await;
    store.open_span(&old, &span("s1", None, Some("10"))).await.unwrap();
    store.intend(&old, &batch("s1", 0)).await.unwrap();
    let mut given = settlement();
    given.entries = vec![entry("c-1", Some("r-1"))];
    store.settle(&old, &given).await.unwrap();
    let new = store.claim(SYNC, "worker-2", at(300)).await.unwrap();
    let before = listing(&store).await;

    given.entries = vec![entry("c-2", None)];
    let outcomes = [
        ("put_run", store.put_run(&old, &run("01RUN2")).await),
        ("open_span", store.open_span(&old, &span("s2", None, None)).await),
        ("intend", store.intend(&old, &batch("s1", 1)).await),
        ("answer", store.answer(&old, "s1", 0, b"answer").await),
        ("settle", store.settle(&old, &given).await),
        ("heartbeat", store.heartbeat(&old, at(301)).await),
        ("release", store.release(&old).await),
        ("relink", store.relink(&old, &key("c-1"), &key("c-9")).await.map(drop)),
    ];
    for (name, outcome) in outcomes {
        let error = outcome.expect_err(name);
        assert_eq!(error.kind, ErrorKind::LeaseLost, "{name}: {error}");
    }
    assert_eq!(listing(&store).await, before);
    store.heartbeat(&new, at(302)).await.expect("the new lease was not touched");
    store.settle(&new, &given).await.unwrap();
}

async fn an_unclaimed_sync_takes_no_writes(place: &Place) {
    let store = place.open().await;
    let lease = tidegate_model::ports::Lease { sync: SYNC.into(), holder: "a".into(), epoch: 0 };
    assert_eq!(store.settle(&lease, &settlement()).await.unwrap_err().kind, ErrorKind::LeaseLost);
    assert!(store.syncs().await.unwrap().is_empty());
}
