//! The ledger: order, look-ups, details, links.

use std::collections::BTreeMap;

use tidegate_model::ErrorKind;
use tidegate_model::ports::{LedgerRecord, Memory, flags};
use tidegate_model::record::RemoteId;

use crate::base::*;

on_both!(
    a_scan_goes_in_byte_order,
    records_are_found_in_the_order_asked,
    details_come_and_go,
    remote_ids_may_swap_owners,
    the_last_of_two_equal_keys_counts,
    linked_records_are_counted,
    a_relinked_record_keeps_its_entry,
    syncs_do_not_see_each_other,
    old_and_new_records_are_set_together,
    a_taken_remote_id_among_many_undoes_all,
);

async fn put(store: &tidegate_store::Store, lease: &tidegate_model::ports::Lease, entries: Vec<LedgerRecord>) {
    let mut it = settlement();
    it.entries = entries;
    store.settle(lease, &it).await.unwrap();
}

async fn a_scan_goes_in_byte_order(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let mut names: Vec<String> = ["b", "a", "Z", "ä", "10", "9", "a b", "a\u{0}b", "\u{10ffff}", "é", "e\u{301}", "_"]
        .iter()
        .map(|name| (*name).to_owned())
        .chain((0..50).map(|number| format!("k{number}")))
        .collect();
    put(&store, &lease, names.iter().map(|name| entry(name, Some(&format!("r{name}")))).collect()).await;
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store.scan(SYNC, after.as_ref(), 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        seen.extend(page.into_iter().map(|entry| entry.key.as_str().to_owned()));
    }
    assert_eq!(seen, names);
    assert!(store.scan("nobody", None, 7).await.unwrap().is_empty());
    let ids: Vec<RemoteId> = names.iter().map(|name| RemoteId::new(format!("r{name}"))).collect();
    let found = store.by_remote(SYNC, &ids).await.unwrap();
    assert_eq!(found.iter().map(|key| key.as_ref().unwrap().as_str()).collect::<Vec<_>>(), names);
}

async fn records_are_found_in_the_order_asked(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let mut full = entry("a", Some("r-a"));
    full.entry.flags = flags::LOOK | flags::GONE_PLATFORM;
    full.entry.warehouse = [7; 16];
    full.entry.platform = [9; 16];
    full.detail = vec![0, 1, 2, 255];
    put(&store, &lease, vec![full.clone(), entry("b", None)]).await;
    let asked = [key("b"), key("nobody"), key("a"), key("b")];
    let found = store.entries(SYNC, &asked).await.unwrap();
    assert_eq!(found, [Some(entry("b", None)), None, Some(full.clone()), Some(entry("b", None))]);
    let ids = ["r-x", "r-a"].map(RemoteId::new);
    assert_eq!(store.by_remote(SYNC, &ids).await.unwrap(), [None, Some(key("a"))]);
    assert_eq!(store.scan(SYNC, None, 1).await.unwrap(), [full.entry]);
    assert_eq!(store.entries("nobody", &asked).await.unwrap(), vec![None; 4]);
    assert!(store.entries(SYNC, &[]).await.unwrap().is_empty());
}

async fn details_come_and_go(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    for detail in ["one", "", "two", "three", "", ""] {
        let mut it = entry("a", None);
        it.detail = detail.as_bytes().to_vec();
        put(&store, &lease, vec![it.clone(), entry("b", None)]).await;
        assert_eq!(store.entries(SYNC, &[key("a")]).await.unwrap(), [Some(it)]);
    }
    assert!(!place.open().await.entries(SYNC, &[key("b")]).await.unwrap().is_empty());
    let mut it = entry("a", None);
    it.detail = b"back".to_vec();
    put(&store, &lease, vec![it]).await;
    let mut gone = settlement();
    gone.removed = vec![key("a"), key("nobody")];
    gone.entries = vec![entry("a", None)];
    store.settle(&lease, &gone).await.unwrap();
    let found = store.entries(SYNC, &[key("a")]).await.unwrap();
    assert_eq!(found, [Some(entry("a", None))], "removed first, then set");
}

async fn remote_ids_may_swap_owners(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    put(&store, &lease, ["a", "b", "c"].map(|name| entry(name, Some(&format!("r-{name}")))).to_vec()).await;
    put(&store, &lease, vec![entry("a", Some("r-b")), entry("b", Some("r-c")), entry("c", Some("r-a"))]).await;
    let ids = ["r-a", "r-b", "r-c"].map(RemoteId::new);
    assert_eq!(store.by_remote(SYNC, &ids).await.unwrap(), [Some(key("c")), Some(key("a")), Some(key("b"))]);
    assert_eq!(store.state(SYNC).await.unwrap().linked, 3);

    let mut moved = settlement();
    moved.removed = vec![key("a")];
    moved.entries = vec![entry("d", Some("r-b"))];
    store.settle(&lease, &moved).await.unwrap();
    assert_eq!(store.by_remote(SYNC, &ids[1..2]).await.unwrap(), [Some(key("d"))]);
}

async fn the_last_of_two_equal_keys_counts(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    put(&store, &lease, vec![entry("a", None), entry("b", None), entry("a", Some("r-1"))]).await;
    assert_eq!(store.entries(SYNC, &[key("a")]).await.unwrap(), [Some(entry("a", Some("r-1")))]);
    assert_eq!(store.state(SYNC).await.unwrap().linked, 1);
}

async fn linked_records_are_counted(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let with = |name: &str, remote: Option<&str>, bits: u8| {
        let mut it = entry(name, remote);
        it.entry.flags = bits;
        it
    };
    let mut both = entry("both", None);
    both.entry.platform = [3; 16];
    let steps: [(Vec<LedgerRecord>, Vec<&str>, u64); 7] = [
        (vec![with("a", Some("1"), 0), with("b", Some("2"), flags::LOOK), with("c", None, 0)], vec![], 2),
        (vec![with("a", Some("1"), 0)], vec![], 2),
        (vec![with("a", Some("1"), flags::GONE_WAREHOUSE)], vec![], 1),
        (vec![with("b", Some("2"), flags::GONE_PLATFORM), with("a", Some("1"), 0)], vec![], 1),
        (vec![with("c", Some("3"), 0)], vec!["a", "b", "nobody"], 1),
        (vec![both], vec![], 2),
        (vec![], vec!["both", "c"], 0),
    ];
    for (number, (entries, removed, linked)) in steps.into_iter().enumerate() {
        let mut it = settlement();
        it.entries = entries;
        it.removed = removed.into_iter().map(key).collect();
        store.settle(&lease, &it).await.unwrap();
        assert_eq!(store.state(SYNC).await.unwrap().linked, linked, "after step {number}");
    }
}

async fn a_relinked_record_keeps_its_entry(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let mut it = entry("old", Some("r-1"));
    it.detail = b"images".to_vec();
    put(&store, &lease, vec![it.clone(), entry("taken", None)]).await;
    for (old, new) in [("nobody", "new"), ("old", "taken"), ("old", "old")] {
        assert!(!store.relink(&lease, &key(old), &key(new)).await.unwrap(), "{old} → {new}");
    }
    assert!(store.relink(&lease, &key("old"), &key("new")).await.unwrap());
    it.entry.key = key("new");
    assert_eq!(store.entries(SYNC, &[key("new"), key("old")]).await.unwrap(), [Some(it), None]);
    assert_eq!(store.by_remote(SYNC, &[RemoteId::new("r-1")]).await.unwrap(), [Some(key("new"))]);
    assert_eq!(store.state(SYNC).await.unwrap().linked, 1);
}

async fn syncs_do_not_see_each_other(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    put(&store, &lease, vec![entry("a", Some("r-1"))]).await;
    let other = store.claim("deals", "worker-1", at(100)).await.unwrap();
    let mut other_run = run("01RUN2");
    other_run.sync = "deals".to_owned();
    store.put_run(&other, &other_run).await.unwrap();
    let mut it = settlement();
    it.run = "01RUN2".to_owned();
    it.entries = vec![entry("a", Some("r-1")), entry("b", None)];
    store.settle(&other, &it).await.unwrap();
    assert_eq!(store.scan(SYNC, None, 10).await.unwrap().len(), 1);
    assert_eq!(store.scan("deals", None, 10).await.unwrap().len(), 2);
    it.run = RUN.to_owned();
    store.settle(&other, &it).await.expect_err("the run of another sync");
    assert_eq!(store.syncs().await.unwrap(), [SYNC, "deals"]);
}

/// Batches large enough for statements of many rows: all new, then known ones before, between and behind new ones,
/// whose remote ids change owners and whose details come and go.
async fn old_and_new_records_are_set_together(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let mut word = 1_u64;
    let mut draw = move |below: u64| {
        word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (word >> 33) % below
    };
    let mut known: BTreeMap<String, LedgerRecord> = BTreeMap::new();
    for round in 0..12_usize {
        let names: Vec<String> = (0..240)
            .filter(|number| number % 10 >= 9_usize.saturating_sub(round) && (round == 0 || draw(4) > 0))
            .chain(if round == 0 { 100..200 } else { 0..0 })
            .map(|number| format!("k{number:03}"))
            .collect();
        let names: Vec<String> = names.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        let mut remotes: Vec<Option<RemoteId>> = names
            .iter()
            .map(|name| match known.get(name) {
                Some(record) => record.entry.remote.clone(),
                None => (draw(3) > 0).then(|| RemoteId::new(format!("r-{name}"))),
            })
            .collect();
        remotes.rotate_left(round % 3);
        let mut entries: Vec<LedgerRecord> = names.iter().map(|name| entry(name, None)).collect();
        for (record, remote) in entries.iter_mut().zip(remotes) {
            record.entry.remote = remote;
            record.entry.flags = u8::try_from(draw(4)).unwrap();
            record.entry.platform = [u8::try_from(draw(2)).unwrap(); 16];
            record.detail = vec![u8::try_from(round).unwrap(); usize::try_from(draw(3) * 40).unwrap()];
        }
        if round % 4 == 3 {
            entries.reverse();
        }
        for record in &entries {
            known.insert(record.entry.key.as_str().to_owned(), record.clone());
        }
        put(&store, &lease, entries).await;

        let keys: Vec<_> = known.keys().map(|name| key(name)).collect();
        let found: Vec<LedgerRecord> = store.entries(SYNC, &keys).await.unwrap().into_iter().flatten().collect();
        assert_eq!(found, known.values().cloned().collect::<Vec<_>>(), "after round {round}");
        assert_eq!(store.state(SYNC).await.unwrap().linked, known.values().filter(|it| linked(it)).count() as u64);
    }
    assert!(known.len() > 220, "{}", known.len());
    let mut all = settlement();
    all.removed = known.keys().map(|name| key(name)).collect();
    store.settle(&lease, &all).await.unwrap();
    assert_eq!(store.state(SYNC).await.unwrap().linked, 0);
    put(&store, &lease, known.keys().map(|name| entry(name, None)).collect()).await;
    let bare = store.entries(SYNC, &[key("k150")]).await.unwrap();
    assert_eq!(bare, [Some(entry("k150", None))], "no detail was left behind");
}

fn linked(record: &LedgerRecord) -> bool {
    let gone = record.entry.flags & (flags::GONE_WAREHOUSE | flags::GONE_PLATFORM) != 0;
    let both = record.entry.warehouse != [0; 16] && record.entry.platform != [0; 16];
    (record.entry.remote.is_some() || both) && !gone
}

async fn a_taken_remote_id_among_many_undoes_all(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    put(&store, &lease, vec![entry("a", Some("r-a")), entry("k05", Some("r-5"))]).await;
    let before = listing(&store).await;
    let mut it = settlement();
    it.entries = (0..100).map(|number| entry(&format!("k{number:02}"), Some(&format!("r-{number}")))).collect();
    it.entries[70].entry.remote = Some(RemoteId::new("r-a"));
    it.history = (0..100).map(|number| write(&format!("k{number:02}"), "0", "1")).collect();
    let error = store.settle(&lease, &it).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Data, "{error:?}");
    assert!(error.message.contains("k70"), "{error}");
    assert_eq!(listing(&store).await, before);
    it.entries[70].entry.remote = None;
    store.settle(&lease, &it).await.unwrap();
    assert_eq!(store.state(SYNC).await.unwrap().linked, 100);
    let history = store.history(RUN, 0, 1_000).await.unwrap();
    assert_eq!(history.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
    assert_eq!(history[99].1.key, key("k99"));
    assert_eq!(store.history_of(SYNC, &key("k33"), 5).await.unwrap().len(), 1);
}
