//! What was written, and for how long it is remembered.

use tidegate_model::ports::Memory;

use crate::base::*;

on_both!(writes_are_listed_in_order, old_things_are_swept);

async fn writes_are_listed_in_order(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    for (run_id, texts) in [(RUN, ["1", "2"]), ("01RUN2", ["3", "4"])] {
        store.put_run(&lease, &run(run_id)).await.unwrap();
        for text in texts {
            let mut it = settlement();
            it.run = run_id.to_owned();
            it.history = vec![write("a", "0", text), write("b", "0", text)];
            store.settle(&lease, &it).await.unwrap();
        }
    }
    store.put_run(&lease, &run("01RUN2")).await.unwrap();
    let all = store.history("01RUN2", 0, 100).await.unwrap();
    let mut expected = write("a", "0", "3");
    expected.run = "01RUN2".to_owned();
    expected.at = at(100);
    assert_eq!(all[0].1, expected);
    assert_eq!(all.len(), 4);
    assert!(all.is_sorted_by_key(|(number, _)| *number));
    let mut paged = Vec::new();
    while let Some(more) =
        store.history("01RUN2", paged.last().map_or(0, |(n, _)| *n), 3).await.unwrap().into_iter().next()
    {
        paged.push(more);
    }
    assert_eq!(paged, all);
    let of: Vec<_> = store.history_of(SYNC, &key("a"), 3).await.unwrap().into_iter().map(|entry| entry.after).collect();
    assert_eq!(of, ["4", "3", "2"].map(|text| write("a", "", text).after), "newest first");
    assert!(store.history("01NOBODY", 0, 10).await.unwrap().is_empty());
    assert!(store.history_of("nobody", &key("a"), 3).await.unwrap().is_empty());
}

async fn old_things_are_swept(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    for (number, id) in ["01OLD", "01MID", "01NEW"].into_iter().enumerate() {
        let now = at(1_000 * (1 + i64::try_from(number).unwrap()));
        store.heartbeat(&lease, now).await.unwrap();
        let mut record = run(id);
        record.started_at = now;
        record.finished_at = (id != "01NEW").then(|| now.plus_millis(10));
        store.put_run(&lease, &record).await.unwrap();
        store.log(id, now, "a line").await.unwrap();
        let mut it = settlement();
        it.run = id.to_owned();
        it.history = vec![write("a", "0", id)];
        it.conflicts = vec![conflict("a", None, tidegate_model::ports::ConflictState::Decided)];
        store.settle(&lease, &it).await.unwrap();
    }
    let ids = |runs: Vec<tidegate_model::run::RunRecord>| runs.into_iter().map(|run| run.run).collect::<Vec<_>>();
    // Only history goes: two of three writes, with their decided conflicts.
    assert_eq!(store.sweep(at(0), at(0), at(2_500)).await.unwrap(), 4);
    assert_eq!(store.history_of(SYNC, &key("a"), 10).await.unwrap().len(), 1);
    assert_eq!(store.conflicts(None, false, 10).await.unwrap().len(), 1);
    assert_eq!(ids(store.runs(None, 10).await.unwrap()), ["01NEW", "01MID", "01OLD", RUN]);
    // Only logs go.
    assert_eq!(store.sweep(at(0), at(1_500), at(0)).await.unwrap(), 1);
    assert!(store.log_lines("01OLD", 0).await.unwrap().is_empty());
    assert_eq!(store.log_lines("01MID", 0).await.unwrap().len(), 1);
    // Runs go with what hangs on them; the newest may still be at work and stays, however old.
    assert_eq!(store.sweep(at(9_000), at(0), at(0)).await.unwrap(), 4);
    assert_eq!(ids(store.runs(None, 10).await.unwrap()), ["01NEW"]);
    assert!(store.log_lines("01MID", 0).await.unwrap().is_empty());
    assert_eq!(store.history("01NEW", 0, 10).await.unwrap().len(), 1);
}
