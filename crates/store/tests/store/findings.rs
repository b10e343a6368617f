//! Rejects and conflicts: opened, closed, swept, chosen.

use tidegate_model::ports::{Choice, ConflictState, Memory};
use tidegate_model::sync::Target;
use tidegate_model::value::Value;
use tidegate_store::Store;

use crate::base::*;

on_both!(
    rejects_open_and_close,
    one_reject_per_key_side_and_field,
    a_complete_read_sweeps_rejects,
    conflicts_open_and_end,
    a_choice_lives_until_it_is_settled,
    a_complete_look_sweeps_conflicts,
);

async fn next_run(store: &Store, lease: &tidegate_model::ports::Lease, id: &str) -> tidegate_model::ports::Settlement {
    store.put_run(lease, &run(id)).await.unwrap();
    let mut it = settlement();
    it.run = id.to_owned();
    it
}

async fn names(store: &Store) -> Vec<String> {
    let listed = store.rejects(Some(SYNC), 100).await.unwrap();
    listed
        .iter()
        .map(|listed| {
            let key = listed.reject.key.as_ref().map_or("-", |key| key.as_str());
            format!("{key}.{}", listed.reject.why.field.as_deref().unwrap_or("*"))
        })
        .collect()
}

async fn rejects_open_and_close(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let mut it = settlement();
    let mut to_warehouse = reject(Some("a"), None);
    to_warehouse.to = Target::Warehouse;
    it.rejects =
        vec![reject(Some("a"), Some("name")), reject(Some("a"), None), to_warehouse.clone(), reject(None, None)];
    store.settle(&lease, &it).await.unwrap();
    let listed = store.rejects(Some(SYNC), 100).await.unwrap();
    assert_eq!(listed.len(), 4);
    assert!(listed.iter().any(|listed| listed.reject == reject(None, None)));
    assert!(listed.iter().any(|listed| listed.reject == to_warehouse));
    assert!(listed.iter().all(|listed| listed.run == RUN && listed.sync == SYNC && listed.at == at(100)));
    assert_eq!(store.rejects(None, 2).await.unwrap().len(), 2);
    assert!(store.rejects(Some("deals"), 2).await.unwrap().is_empty());
    assert_eq!(store.rejected_keys(SYNC, Target::Platform).await.unwrap(), [key("a")]);
    assert_eq!(store.rejected_keys(SYNC, Target::Warehouse).await.unwrap(), [key("a")]);

    // Closed before new ones are opened: the same key in both stays.
    let mut it = settlement();
    it.delivered_to = vec![(key("a"), Target::Platform), (key("nobody"), Target::Platform)];
    it.rejects = vec![reject(Some("a"), Some("size"))];
    store.settle(&lease, &it).await.unwrap();
    assert_eq!(names(&store).await, ["-.*", "a.size", "a.*"]);
}

async fn one_reject_per_key_side_and_field(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    for (id, reason) in [("01A", "first"), ("01B", "second")] {
        let mut it = next_run(&store, &lease, id).await;
        let mut one = reject(Some("a"), Some("name"));
        one.why.reason = reason.to_owned();
        one.value = (reason == "first").then_some(Value::Int(1));
        it.rejects = vec![one];
        store.settle(&lease, &it).await.unwrap();
    }
    let listed = store.rejects(None, 100).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].reject.why.reason.as_str(), listed[0].run.as_str()), ("second", "01B"));
    assert_eq!(listed[0].reject.value, None);
}

async fn a_complete_read_sweeps_rejects(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let mut it = settlement();
    let mut other_side = reject(Some("w"), None);
    other_side.to = Target::Warehouse;
    it.rejects = vec![reject(Some("a"), None), reject(Some("b"), None), reject(None, None), other_side];
    store.settle(&lease, &it).await.unwrap();
    let mut it = next_run(&store, &lease, "01B").await;
    it.rejects = vec![reject(Some("b"), None), reject(Some("c"), None)];
    store.settle(&lease, &it).await.unwrap();
    let mut it = next_run(&store, &lease, "01B").await;
    it.sweep_rejects = vec![Target::Platform];
    store.settle(&lease, &it).await.unwrap();
    assert_eq!(names(&store).await, ["b.*", "c.*", "w.*"], "those of the other side are not swept");
}

async fn conflicts_open_and_end(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let mut it = settlement();
    let mut decided = conflict("a", Some("name"), ConflictState::Decided);
    decided.winner = Some(Target::Warehouse);
    it.conflicts = vec![
        decided.clone(),
        conflict("a", Some("name"), ConflictState::Open),
        conflict("b", Some("name"), ConflictState::Open),
        conflict("b", None, ConflictState::Open),
    ];
    store.settle(&lease, &it).await.unwrap();
    // An open one replaces an older open one; decided ones add up.
    let mut it = next_run(&store, &lease, "01B").await;
    let mut newer = conflict("a", Some("name"), ConflictState::Open);
    newer.platform = Some(Value::Null);
    newer.note = Some("uncertain".to_owned());
    it.conflicts = vec![decided.clone(), newer.clone()];
    it.settled_conflicts = vec![(key("b"), None), (key("nobody"), None)];
    store.settle(&lease, &it).await.unwrap();

    let all = store.conflicts(Some(SYNC), false, 100).await.unwrap();
    assert_eq!(all.iter().filter(|listed| listed.conflict == decided).count(), 2);
    assert_eq!(all.iter().find(|listed| listed.conflict == newer).unwrap().run, "01B");
    assert_eq!(all.len(), 4);
    let open = store.conflicts(None, true, 100).await.unwrap();
    assert_eq!(open.len(), 2, "of b only the field's is left: {open:?}");
    assert!(open.iter().any(|listed| listed.conflict == conflict("b", Some("name"), ConflictState::Open)));
    assert!(store.conflicts(Some("deals"), false, 100).await.unwrap().is_empty());
    assert_eq!(store.conflicts(None, false, 1).await.unwrap().len(), 1);
}

/// State and choice of the only open conflict of a field.
async fn chosen(store: &Store) -> (ConflictState, Option<Choice>) {
    let listed = store.conflicts(Some(SYNC), true, 10).await.unwrap();
    let one = listed.into_iter().find(|listed| listed.conflict.field.is_some()).expect("still there");
    (one.conflict.state, one.choice)
}

async fn a_choice_lives_until_it_is_settled(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let mut it = settlement();
    it.conflicts = vec![
        conflict("a", Some("name"), ConflictState::Open),
        conflict("a", None, ConflictState::Open),
        conflict("d", Some("name"), ConflictState::Decided),
    ];
    store.settle(&lease, &it).await.unwrap();
    for (name, field) in [("a", "size"), ("b", "name"), ("d", "name")] {
        assert!(!store.choose(SYNC, &key(name), Some(field), &Choice::Platform).await.unwrap(), "{name}.{field}");
    }
    assert!(!store.choose("deals", &key("a"), None, &Choice::Platform).await.unwrap());
    assert!(store.choose(SYNC, &key("a"), Some("name"), &Choice::Platform).await.unwrap());
    let value = Choice::Value("third".into());
    assert!(store.choose(SYNC, &key("a"), Some("name"), &value).await.unwrap(), "a mind may be changed");
    assert_eq!(chosen(&store).await, (ConflictState::Chosen, Some(value.clone())));

    // Seen again with the same values: the choice stays. With others: it was made for something else.
    store.settle(&lease, &it).await.unwrap();
    assert_eq!(chosen(&store).await, (ConflictState::Chosen, Some(value)));
    it.conflicts[0].warehouse = Some(Value::text("moved on"));
    store.settle(&lease, &it).await.unwrap();
    assert_eq!(chosen(&store).await, (ConflictState::Open, None));

    assert!(store.choose(SYNC, &key("a"), Some("name"), &Choice::Warehouse).await.unwrap());
    let mut over = settlement();
    over.settled_conflicts = vec![(key("a"), Some("name".into()))];
    store.settle(&lease, &over).await.unwrap();
    let left = store.conflicts(Some(SYNC), true, 10).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].conflict.field, None);
}

async fn a_complete_look_sweeps_conflicts(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let mut it = settlement();
    it.conflicts = ["a", "b", "c"].map(|name| conflict(name, Some("name"), ConflictState::Open)).to_vec();
    it.conflicts.push(conflict("d", Some("name"), ConflictState::Decided));
    store.settle(&lease, &it).await.unwrap();
    assert!(store.choose(SYNC, &key("c"), Some("name"), &Choice::Warehouse).await.unwrap());
    let mut it = next_run(&store, &lease, "01B").await;
    it.conflicts = vec![conflict("b", Some("name"), ConflictState::Open)];
    it.sweep_conflicts = true;
    store.settle(&lease, &it).await.unwrap();
    let mut left: Vec<String> =
        store.conflicts(None, false, 10).await.unwrap().iter().map(|listed| listed.conflict.key.to_string()).collect();
    left.sort();
    assert_eq!(left, ["b", "c", "d"], "chosen ones wait to be written, decided ones are told");
}
