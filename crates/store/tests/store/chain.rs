//! Spans, batches and positions: what chains is settled.

use tidegate_model::ports::{Memory, SyncState};
use tidegate_model::span::{CursorPoint, Position};
use tidegate_model::value::{Decimal, Value};

use crate::base::*;

on_both!(
    a_closed_span_moves_the_position,
    positions_keep_their_values,
    a_full_span_moves_nothing,
    batches_may_settle_in_any_order,
    intents_are_kept_with_their_answers,
    opening_the_same_span_twice_is_once,
    the_platform_moves_from_where_it_stands,
    a_patch_writes_what_it_names,
    a_reset_drops_what_it_says,
);

async fn a_closed_span_moves_the_position(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let (first, second) = (span("s1", None, Some("10")), span("s2", Some("10"), Some("20")));
    store.open_span(&lease, &first).await.unwrap();
    store.open_span(&lease, &second).await.unwrap();
    let open: Vec<String> = store.open_spans(SYNC).await.unwrap().into_iter().map(|open| open.span.id).collect();
    assert_eq!(open, ["s1", "s2"]);
    for (span, position) in [(first, "10"), (second, "20")] {
        let mut close = settlement();
        close.close = Some(span);
        store.settle(&lease, &close).await.unwrap();
        assert_eq!(store.state(SYNC).await.unwrap().warehouse, Some(mark(position)));
    }
    assert!(store.open_spans(SYNC).await.unwrap().is_empty());
    assert_eq!(place.open().await.state(SYNC).await.unwrap().warehouse, Some(mark("20")), "it is stored");
    assert_eq!(store.syncs().await.unwrap(), [SYNC]);
}

async fn positions_keep_their_values(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let mut from = None;
    for (number, value) in [
        Value::Int(i64::MAX),
        Value::Decimal(Decimal::parse("12345678901234567890.000000000001").unwrap()),
        Value::Float(0.1),
        Value::Float(f64::INFINITY),
        Value::Float(2_460_310.500_000_123_6),
        Value::text("ü\u{0}'\"\\"),
        Value::TimestampTz(1_704_067_200_000_001),
        Value::Binary(vec![0, 255]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut it = span(&format!("s{number}"), None, None);
        it.from = from;
        it.to = Some(Position::Cursor(CursorPoint { value, key: Some(key("k'1")) }));
        store.open_span(&lease, &it).await.unwrap();
        from = it.to.clone();
        let mut close = settlement();
        close.close = Some(it);
        store.settle(&lease, &close).await.unwrap();
        assert_eq!(store.state(SYNC).await.unwrap().warehouse, from);
    }
}

async fn a_full_span_moves_nothing(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    store.open_span(&lease, &span("s1", None, None)).await.unwrap();
    let mut close = settlement();
    close.close = Some(span("s1", None, None));
    store.settle(&lease, &close).await.unwrap();
    assert_eq!(store.state(SYNC).await.unwrap(), SyncState::default());
    assert!(store.open_spans(SYNC).await.unwrap().is_empty());
}

async fn batches_may_settle_in_any_order(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    store.open_span(&lease, &span("s1", None, Some("10"))).await.unwrap();
    for number in 0..5 {
        store.intend(&lease, &batch("s1", number)).await.unwrap();
    }
    for (settled, next, left) in
        [(2, 0, vec![0, 1, 3, 4]), (0, 1, vec![1, 3, 4]), (1, 3, vec![3, 4]), (4, 3, vec![3]), (3, 5, vec![])]
    {
        let mut one = settlement();
        one.batch = Some(("s1".to_owned(), settled));
        store.settle(&lease, &one).await.unwrap();
        let open = store.open_spans(SYNC).await.unwrap().remove(0);
        assert_eq!(open.next_batch, next, "after batch {settled}");
        assert_eq!(open.batches.iter().map(|batch| batch.number).collect::<Vec<_>>(), left);
    }
}

async fn intents_are_kept_with_their_answers(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    store.open_span(&lease, &span("s1", None, Some("10"))).await.unwrap();
    store.intend(&lease, &batch("s1", 0)).await.unwrap();
    store.answer(&lease, "s1", 0, b"first").await.unwrap();
    store.answer(&lease, "s1", 0, b"second").await.unwrap();
    let mut again = batch("s1", 1);
    store.intend(&lease, &again).await.unwrap();
    again.payload = b"\0\xff planned anew".to_vec();
    store.intend(&lease, &again).await.unwrap();

    let open = place.open().await.open_spans(SYNC).await.unwrap().remove(0);
    assert_eq!(open.span, span("s1", None, Some("10")));
    let mut answered = batch("s1", 0);
    answered.answer = Some(b"second".to_vec());
    assert_eq!(open.batches, [answered, again.clone()]);

    store.intend(&lease, &batch("s1", 0)).await.unwrap();
    again.answer = Some(b"heard before".to_vec());
    store.intend(&lease, &again).await.unwrap();
    let open = store.open_spans(SYNC).await.unwrap().remove(0);
    assert_eq!(open.batches, [batch("s1", 0), again], "what is intended anew has only the answer that it brings");
    assert!(place.holds("heard before").await);
    for number in [1, 0] {
        let mut one = settlement();
        one.batch = Some(("s1".to_owned(), number));
        store.settle(&lease, &one).await.unwrap();
    }
    store.forget(SYNC, &key("nobody")).await.unwrap();
    assert!(!place.holds("heard before").await, "an answer goes with its batch");
}

async fn opening_the_same_span_twice_is_once(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    store.open_span(&lease, &span("s1", None, Some("10"))).await.unwrap();
    store.intend(&lease, &batch("s1", 0)).await.unwrap();
    store.open_span(&lease, &span("s1", None, Some("10"))).await.unwrap();
    assert_eq!(store.open_spans(SYNC).await.unwrap()[0].batches.len(), 1);
}

async fn the_platform_moves_from_where_it_stands(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    for (from, to) in [(None, "1"), (Some("1"), "2")] {
        let mut step = settlement();
        step.patch.platform = Some((from.map(mark), mark(to)));
        store.settle(&lease, &step).await.unwrap();
        assert_eq!(store.state(SYNC).await.unwrap().platform, Some(mark(to)));
    }
}

async fn a_patch_writes_what_it_names(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let mut step = settlement();
    step.patch.shape_hash = Some("shape".into());
    step.patch.mapping = Some(vec![0, 1, 255]);
    store.settle(&lease, &step).await.unwrap();
    let mut step = settlement();
    step.patch.full_settled = true;
    store.settle(&lease, &step).await.unwrap();
    store.settle(&lease, &settlement()).await.unwrap();
    let expected =
        SyncState { shape_hash: "shape".into(), mapping: vec![0, 1, 255], full_settled: true, ..SyncState::default() };
    assert_eq!(store.state(SYNC).await.unwrap(), expected);
}

async fn a_reset_drops_what_it_says(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    store.open_span(&lease, &span("s1", None, Some("10"))).await.unwrap();
    store.intend(&lease, &batch("s1", 0)).await.unwrap();
    let mut step = settlement();
    step.entries = vec![entry("c-1", Some("r-1"))];
    step.entries[0].detail = b"detail".to_vec();
    step.rejects = vec![reject(Some("c-2"), None)];
    step.conflicts = vec![conflict("c-3", Some("name"), tidegate_model::ports::ConflictState::Open)];
    step.history = vec![write("c-1", "a", "b")];
    step.delivered = delivered(&[(5, 50)], None);
    step.patch.shape_hash = Some("old".into());
    step.patch.full_settled = true;
    store.settle(&lease, &step).await.unwrap();
    assert_eq!(store.delivered(SYNC, &[50]).await.unwrap(), [true]);

    let mut reset = settlement();
    reset.patch.reset = true;
    reset.patch.reset_cursor = Some(mark("7"));
    reset.patch.shape_hash = Some("new".into());
    reset.entries = vec![entry("c-9", Some("r-1"))];
    store.settle(&lease, &reset).await.unwrap();

    let expected =
        SyncState { shape_hash: "new".into(), warehouse: Some(mark("7")), linked: 1, ..SyncState::default() };
    assert_eq!(store.state(SYNC).await.unwrap(), expected);
    let left = store.scan(SYNC, None, 10).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["c-9"]);
    assert!(store.open_spans(SYNC).await.unwrap().is_empty());
    assert!(store.rejects(None, 10).await.unwrap().is_empty());
    assert!(store.conflicts(None, false, 10).await.unwrap().is_empty());
    assert_eq!(store.delivered(SYNC, &[50]).await.unwrap(), [false]);
    assert_eq!(store.history(RUN, 0, 10).await.unwrap().len(), 1, "what was written stays known");
}
