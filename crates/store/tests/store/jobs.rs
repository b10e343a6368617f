//! The queue.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_store::Jobs;

use crate::base::*;

on_both!(
    a_sync_waits_once,
    due_jobs_are_taken_in_order,
    silence_frees_a_job,
    a_sync_is_never_run_twice_at_once,
    many_workers_share
);

async fn a_sync_waits_once(place: &Place) {
    let store = place.open().await;
    assert!(store.enqueue("a", "schedule", "changes", at(50)).await.unwrap());
    assert!(!store.enqueue("a", "manual", "full", at(20)).await.unwrap());
    assert!(!store.enqueue("a", "manual", "full", at(90)).await.unwrap());
    let jobs = store.jobs().await.unwrap();
    assert_eq!(jobs.len(), 1);
    // What a person asked for is not lost in what the schedule had planned.
    assert_eq!((jobs[0].due_at, jobs[0].mode.as_str(), jobs[0].trigger.as_str()), (at(20), "full", "manual"));
}

async fn due_jobs_are_taken_in_order(place: &Place) {
    let store = place.open().await;
    for (sync, due) in [("late", 30), ("first", 10), ("second", 20)] {
        store.enqueue(sync, "schedule", "changes", at(due)).await.unwrap();
    }
    assert_eq!(store.claim_job("w", at(9)).await.unwrap(), None);
    let first = store.claim_job("w", at(25)).await.unwrap().unwrap();
    let second = store.claim_job("w", at(25)).await.unwrap().unwrap();
    assert_eq!((first.sync.as_str(), second.sync.as_str()), ("first", "second"));
    assert_eq!((first.holder.as_deref(), first.beat_at), (Some("w"), Some(at(25))));
    assert_eq!(store.claim_job("w", at(25)).await.unwrap(), None);
    assert!(!store.finish_job(first.id, "somebody else").await.unwrap());
    assert!(store.finish_job(first.id, "w").await.unwrap());
    assert!(!store.finish_job(first.id, "w").await.unwrap());
    let left: Vec<String> = store.jobs().await.unwrap().into_iter().map(|job| job.sync).collect();
    assert_eq!(left, ["second", "late"]);
}

async fn silence_frees_a_job(place: &Place) {
    let store = place.open().await;
    store.enqueue("a", "schedule", "changes", at(10)).await.unwrap();
    let job = store.claim_job("dead", at(10)).await.unwrap().unwrap();
    assert!(store.beat_job(job.id, "dead", at(60)).await.unwrap());
    assert_eq!(store.claim_job("w", at(120)).await.unwrap(), None, "it gave a sign at 60");
    let again = store.claim_job("w", at(121)).await.unwrap().unwrap();
    assert_eq!((again.id, again.holder.as_deref()), (job.id, Some("w")));
    assert!(!store.beat_job(job.id, "dead", at(122)).await.unwrap(), "it is told");
    assert!(!store.finish_job(job.id, "dead").await.unwrap());
}

async fn a_sync_is_never_run_twice_at_once(place: &Place) {
    let store = place.open().await;
    store.enqueue("a", "schedule", "changes", at(10)).await.unwrap();
    let running = store.claim_job("w1", at(10)).await.unwrap().unwrap();
    assert!(store.enqueue("a", "schedule", "changes", at(11)).await.unwrap(), "one may wait behind it");
    store.enqueue("b", "schedule", "changes", at(12)).await.unwrap();
    assert_eq!(store.claim_job("w2", at(20)).await.unwrap().unwrap().sync, "b");
    assert_eq!(store.claim_job("w2", at(20)).await.unwrap(), None);
    // The silent worker's job comes before the one that waits behind it.
    assert_eq!(store.claim_job("w2", at(100)).await.unwrap().unwrap().id, running.id);
    assert!(store.finish_job(running.id, "w2").await.unwrap());
    assert_eq!(store.claim_job("w3", at(100)).await.unwrap().unwrap().due_at, at(11));
}

async fn many_workers_share(place: &Place) {
    let stores = [Arc::new(place.open().await), Arc::new(place.open().await)];
    for number in 0..20 {
        stores[0].enqueue(&format!("sync-{number}"), "schedule", "changes", at(number)).await.unwrap();
    }
    let workers: Vec<_> = (0..8)
        .map(|number| {
            let store = Arc::clone(&stores[number % 2]);
            tokio::spawn(async move {
                let mut taken = Vec::new();
                while let Some(job) = store.claim_job(&format!("w{number}"), at(50)).await.unwrap() {
                    taken.push(job.id);
                }
                taken
            })
        })
        .collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.unwrap());
    }
    // A worker may find all that is left locked by others and go home; whoever comes next takes it.
    while let Some(job) = stores[0].claim_job("last", at(50)).await.unwrap() {
        all.push(job.id);
    }
    assert_eq!(all.len(), 20);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 20, "no job was taken twice");
}
