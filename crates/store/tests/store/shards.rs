//! Parts of a large delivery.

use std::sync::Arc;

use tidegate_model::ports::{Holder, Judgement, Lease, Memory, Settlement, Shard, Shards};
use tidegate_model::run::Books;
use tidegate_model::{Error, ErrorKind};
use tidegate_store::Store;

use crate::base::*;

on_both!(
    parts_are_taken_once_and_their_batches_become_intents,
    the_silent_and_the_gone_lose_their_part,
    a_newer_lease_ends_all_of_it,
    a_part_says_why_it_stopped,
    what_was_heard_is_summed_over_all_parts,
);

fn who(name: &str) -> Holder {
    Holder { name: name.to_owned(), process: None }
}

/// A span in two parts, of two batches each; the parts.
async fn offered(store: &Store) -> (Lease, Vec<Shard>) {
    let lease = start(store).await;
    store.open_span(&lease, &span("S", None, Some("1"))).await.unwrap();
    for number in 0..4 {
        store.plan_batch(&lease, &batch("S", number), number % 2).await.unwrap();
    }
    let shards: Vec<Shard> = (0..2)
        .map(|number| Shard {
            span: "S".to_owned(),
            number,
            parts: 2,
            sync: SYNC.to_owned(),
            run: RUN.to_owned(),
            epoch: lease.epoch,
            config_hash: "h".to_owned(),
            records: 40,
            taken: 0,
            forced: vec!["max_reject_pct".to_owned()],
        })
        .collect();
    store.offer(&lease, &shards).await.unwrap();
    (lease, shards)
}

async fn settle(store: &Store, lease: &Lease, number: u32) {
    let settlement = Settlement { batch: Some(("S".to_owned(), number)), ..settlement() };
    store.settle(lease, &settlement).await.unwrap();
}

async fn parts_are_taken_once_and_their_batches_become_intents(place: &Place) {
    let store = Arc::new(place.open().await);
    let (lease, shards) = offered(&store).await;
    let takes = (0..6).map(|n| {
        let (store, shard) = (Arc::clone(&store), shards[0].clone());
        async move { store.take_shard(&shard, &who(&format!("w{n}")), at(100)).await.unwrap() }
    });
    let taken: Vec<Shard> = futures_util::future::join_all(takes).await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 1, "one of many gets it");
    assert_eq!(taken[0].taken, 1);
    assert_eq!(store.open_shards(Some("S"), at(100)).await.unwrap(), shards[1..]);
    let held = store.held_shards().await.unwrap();
    let name = held[0].2.name.clone();
    for number in [0, 2] {
        let next = store.next_planned(&taken[0], &name, at(101)).await.unwrap().unwrap();
        assert_eq!((next.number, next.payload), (number, batch("S", number).payload));
    }
    assert!(store.next_planned(&taken[0], &name, at(101)).await.unwrap().is_none());
    let open = store.open_spans(SYNC).await.unwrap();
    assert_eq!(open[0].batches.iter().map(|batch| batch.number).collect::<Vec<_>>(), [0, 2]);
    settle(&store, &lease, 2).await;
    settle(&store, &lease, 0).await;
    store.end_shard(&taken[0], &name, None, &Books::default()).await.unwrap();
    // The other one goes the way of a run that stops: what nobody sent is taken out.
    let dropped = store.drop_planned(&lease, "S").await.unwrap().unwrap();
    assert_eq!(dropped.number, 1);
    assert_eq!(store.drop_planned(&lease, "S").await.unwrap().map(|batch| batch.number), Some(3));
    assert!(store.drop_planned(&lease, "S").await.unwrap().is_none());
    let close = Settlement { close: Some(span("S", None, None)), ..settlement() };
    store.settle(&lease, &close).await.unwrap();
    assert!(store.standings("S").await.unwrap().is_empty(), "parts go with their span");
}

async fn the_silent_and_the_gone_lose_their_part(place: &Place) {
    let store = place.open().await;
    let (_lease, shards) = offered(&store).await;
    let taken = store.take_shard(&shards[0], &who("a"), at(100)).await.unwrap().unwrap();
    assert!(store.take_shard(&shards[0], &who("b"), at(159)).await.unwrap().is_none());
    store.beat_shard(&taken, "a", at(150)).await.unwrap();
    assert!(store.take_shard(&shards[0], &who("b"), at(209)).await.unwrap().is_none(), "it gave a sign of life");
    let again = store.take_shard(&shards[0], &who("b"), at(211)).await.unwrap().unwrap();
    assert_eq!(again.taken, 2);
    for refused in [
        store.beat_shard(&taken, "a", at(212)).await.unwrap_err(),
        store.next_planned(&taken, "a", at(212)).await.unwrap_err(),
        store.end_shard(&taken, "a", None, &Books::default()).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind, ErrorKind::LeaseLost, "{refused}");
    }
    assert!(!store.give_shard_back("S", 0, "a").await.unwrap());
    assert!(store.give_shard_back("S", 0, "b").await.unwrap());
    assert_eq!(store.open_shards(None, at(212)).await.unwrap().len(), 2);
}

async fn a_newer_lease_ends_all_of_it(place: &Place) {
    let store = place.open().await;
    let (lease, shards) = offered(&store).await;
    let taken = store.take_shard(&shards[0], &who("a"), at(100)).await.unwrap().unwrap();
    let newer = store.take_over(SYNC, lease.epoch, &who("b"), at(101)).await.unwrap();
    assert_eq!(store.next_planned(&taken, "a", at(102)).await.unwrap_err().kind, ErrorKind::LeaseLost);
    assert!(store.open_shards(None, at(102)).await.unwrap().is_empty(), "nobody begins what belongs to nobody");
    assert!(store.drop_planned(&lease, "S").await.is_err());
    store.settle(&newer, &Settlement { close: Some(span("S", None, None)), ..settlement() }).await.unwrap();
    assert!(store.standings("S").await.unwrap().is_empty());
}

async fn a_part_says_why_it_stopped(place: &Place) {
    let store = place.open().await;
    let (_lease, shards) = offered(&store).await;
    let taken = store.take_shard(&shards[1], &who("a"), at(100)).await.unwrap().unwrap();
    let mut apart = Books::default();
    apart.to_platform.requests = 3;
    let why = Error::new(ErrorKind::Unauthorized, "no").hint("sign in").cause("401");
    store.end_shard(&taken, "a", Some(&why), &apart).await.unwrap();
    let all = store.standings("S").await.unwrap();
    assert_eq!((all[0].ended, all[1].ended, all[1].apart), (false, true, apart));
    let told = all[1].stop.clone().unwrap();
    assert_eq!((told.kind, told.message, told.hint, told.cause), (why.kind, why.message, why.hint, why.cause));
}

async fn what_was_heard_is_summed_over_all_parts(place: &Place) {
    let store = place.open().await;
    let (_, shards) = offered(&store).await;
    let one = store.take_shard(&shards[0], &who("a"), at(100)).await.unwrap().unwrap();
    let two = store.take_shard(&shards[1], &who("b"), at(100)).await.unwrap().unwrap();
    assert_eq!(two.forced, ["max_reject_pct"], "a helper passes by what the run passes by");
    let heard = |sent, refused| Judgement { sent, refused };
    assert_eq!(store.judge(&one, "a", heard(10, 1), at(101)).await.unwrap(), heard(10, 1));
    assert_eq!(store.judge(&two, "b", heard(10, 9), at(101)).await.unwrap(), heard(20, 10));
    // It is the part's, whoever delivers it.
    assert!(store.give_shard_back("S", 0, "a").await.unwrap());
    let lost = store.judge(&one, "a", heard(5, 5), at(102)).await.unwrap_err();
    assert_eq!(lost.kind, ErrorKind::LeaseLost);
    let again = store.take_shard(&shards[0], &who("c"), at(103)).await.unwrap().unwrap();
    assert_eq!(store.judge(&again, "c", heard(5, 0), at(104)).await.unwrap(), heard(25, 10));
}
