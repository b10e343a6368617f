//! Keys delivered inside the lookback margin.

use tidegate_model::ports::{Lease, Memory};
use tidegate_store::Store;

use crate::base::*;

on_both!(delivered_keys_are_known_until_they_are_forgotten, another_process_sees_them, many_keys_are_answered);

async fn deliver(store: &Store, lease: &Lease, keys: &[(i64, u64)], below: Option<i64>) {
    let mut it = settlement();
    it.delivered = delivered(keys, below);
    store.settle(lease, &it).await.unwrap();
}

async fn delivered_keys_are_known_until_they_are_forgotten(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    assert_eq!(store.delivered(SYNC, &[1, 2]).await.unwrap(), [false, false]);
    assert_eq!(store.delivered("nobody", &[1]).await.unwrap(), [false]);
    deliver(&store, &lease, &[(10, 1), (20, 2), (-5, u64::MAX)], None).await;
    deliver(&store, &lease, &[(30, 3), (25, 1)], None).await;
    assert_eq!(store.delivered(SYNC, &[1, 2, 3, 4, u64::MAX]).await.unwrap(), [true, true, true, false, true]);
    // Order 20 stays, what is below goes, within one chunk; 1 was delivered again at 25.
    deliver(&store, &lease, &[], Some(20)).await;
    assert_eq!(store.delivered(SYNC, &[1, 2, 3, u64::MAX]).await.unwrap(), [true, true, true, false]);
    deliver(&store, &lease, &[(40, 4)], Some(26)).await;
    assert_eq!(store.delivered(SYNC, &[1, 2, 3, 4]).await.unwrap(), [false, false, true, true]);
    deliver(&store, &lease, &[], Some(5)).await;
    assert_eq!(store.delivered(SYNC, &[1, 2, 3, 4]).await.unwrap(), [false, false, true, true], "nothing comes back");
    let again = place.open().await;
    assert_eq!(again.delivered(SYNC, &[1, 2, 3, 4]).await.unwrap(), [false, false, true, true], "it is stored");
}

async fn another_process_sees_them(place: &Place) {
    let (first, second) = (place.open().await, place.open().await);
    let lease = start(&first).await;
    deliver(&first, &lease, &[(1, 1)], None).await;
    assert_eq!(second.delivered(SYNC, &[1, 2]).await.unwrap(), [true, false]);
    deliver(&first, &lease, &[(2, 2)], Some(2)).await;
    assert_eq!(second.delivered(SYNC, &[1, 2]).await.unwrap(), [false, true]);
    let mut reset = settlement();
    reset.patch.reset = true;
    first.settle(&lease, &reset).await.unwrap();
    deliver(&first, &lease, &[(1, 3)], None).await;
    for store in [&first, &second] {
        assert_eq!(store.delivered(SYNC, &[1, 2, 3]).await.unwrap(), [false, false, true], "a reset forgets all");
    }
}

async fn many_keys_are_answered(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for chunk in 0..10_i64 {
        let keys: Vec<(i64, u64)> =
            (0..2_000).map(|number| chunk * 2_000 + number).map(|n| (n, spread(n.unsigned_abs()))).collect();
        deliver(&store, &lease, &keys, Some(chunk * 2_000 - 3_000)).await;
    }
    let asked: Vec<u64> = (0..20_000).map(spread).collect();
    let known = store.delivered(SYNC, &asked).await.unwrap();
    assert_eq!(known.iter().position(|known| *known), Some(15_000));
    assert!(known[15_000..].iter().all(|known| *known));
}
