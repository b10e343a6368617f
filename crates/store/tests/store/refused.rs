//! A settlement that does not chain changes nothing at all.

use tidegate_model::ErrorKind;
use tidegate_model::ports::{ConflictState, Memory, Settlement};
use tidegate_model::span::{CursorPoint, Position};
use tidegate_model::value::Value;

use crate::base::*;

on_both!(an_invalid_settlement_changes_nothing, invalid_steps_are_refused, a_position_that_cannot_be_stored_is_refused);

/// Everything that a settlement can hold, on top of what stands.
fn rich() -> Settlement {
    let mut it = settlement();
    it.entries = vec![entry("a", Some("r-a2")), entry("n", Some("r-n"))];
    it.entries[1].detail = b"more".to_vec();
    it.removed = vec![key("b")];
    it.rejects = vec![reject(Some("x"), Some("name"))];
    it.delivered_to = vec![(key("old"), tidegate_model::sync::Target::Platform)];
    it.conflicts = vec![conflict("y", None, ConflictState::Open)];
    it.settled_conflicts = vec![(key("z"), None)];
    it.history = vec![write("a", "1", "2")];
    it.delivered = delivered(&[(9, 9)], Some(4));
    it.books.to_platform.read = 7;
    it.patch.shape_hash = Some("changed".into());
    it
}

async fn an_invalid_settlement_changes_nothing(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    store.open_span(&lease, &span("s1", None, Some("10"))).await.unwrap();
    for number in 0..3 {
        store.intend(&lease, &batch("s1", number)).await.unwrap();
    }
    let mut first = settlement();
    first.batch = Some(("s1".into(), 0));
    first.entries = vec![entry("a", Some("r-a")), entry("b", Some("r-b")), entry("c", Some("r-c"))];
    first.rejects = vec![reject(Some("old"), None)];
    first.conflicts = vec![conflict("z", None, ConflictState::Open)];
    first.delivered = delivered(&[(3, 3)], None);
    store.settle(&lease, &first).await.unwrap();
    first = settlement();
    first.batch = Some(("s1".into(), 2));
    store.settle(&lease, &first).await.unwrap();
    let before = listing(&store).await;

    let mut cases: Vec<(&str, Settlement)> = Vec::new();
    let mut case = |name, change: &dyn Fn(&mut Settlement)| {
        let mut it = rich();
        change(&mut it);
        cases.push((name, it));
    };
    case("close: wrong from", &|it| it.close = Some(span("s1", Some("5"), Some("10"))));
    case("close: batch 1 is not settled", &|it| it.close = Some(span("s1", None, Some("10"))));
    case("close: unknown span", &|it| it.close = Some(span("s9", None, Some("10"))));
    case("platform: wrong from", &|it| it.patch.platform = Some((Some(mark("1")), mark("2"))));
    case("batch: unknown", &|it| it.batch = Some(("s1".into(), 7)));
    case("batch: of an unknown span", &|it| it.batch = Some(("s9".into(), 0)));
    case("batch: settled already", &|it| it.batch = Some(("s1".into(), 0)));
    case("batch: settled already, before an open one", &|it| it.batch = Some(("s1".into(), 2)));
    case("run: unknown", &|it| it.run = "01NOBODY".into());
    case("remote id of another entry", &|it| it.entries.push(entry("m", Some("r-c"))));
    case("a remote id twice", &|it| it.entries.push(entry("m", Some("r-n"))));
    case("a cursor without reset", &|it| it.patch.reset_cursor = Some(mark("1")));
    for (name, it) in &cases {
        let error = store.settle(&lease, it).await.expect_err(name);
        assert!([ErrorKind::Internal, ErrorKind::Data].contains(&error.kind), "{name}: {error:?}");
        assert!(error.hint.is_some(), "{name}: {error:?}");
        assert!(!format!("{error:?}").contains("r-c"), "{name}: no values in messages: {error:?}");
        assert_eq!(listing(&store).await, before, "{name}");
    }
    store.settle(&lease, &rich()).await.expect("without the fault it is good");
    assert_ne!(listing(&store).await, before);
}

async fn invalid_steps_are_refused(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    store.open_span(&lease, &span("s1", None, Some("10"))).await.unwrap();
    store.intend(&lease, &batch("s1", 0)).await.unwrap();
    let mut one = settlement();
    one.batch = Some(("s1".into(), 0));
    store.settle(&lease, &one).await.unwrap();
    let other = store.claim("deals", "worker-1", at(100)).await.unwrap();
    let before = listing(&store).await;
    let steps = [
        ("another span of the same id", store.open_span(&lease, &span("s1", None, Some("11"))).await),
        ("a span of another sync", store.open_span(&other, &span("s2", None, None)).await),
        ("intents of a settled batch", store.intend(&lease, &batch("s1", 0)).await),
        ("intents of an unknown span", store.intend(&lease, &batch("s9", 0)).await),
        ("intents in another sync's span", store.intend(&other, &batch("s1", 1)).await),
        ("an answer to a settled batch", store.answer(&lease, "s1", 0, b"late").await),
        ("an answer to nothing", store.answer(&lease, "s1", 4, b"?").await),
        ("a run of another sync", store.put_run(&other, &run("01RUN5")).await),
    ];
    for (name, outcome) in steps {
        assert_eq!(outcome.expect_err(name).kind, ErrorKind::Internal, "{name}");
    }
    assert_eq!(listing(&store).await, before);
}

async fn a_position_that_cannot_be_stored_is_refused(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    let position = || Position::Cursor(CursorPoint { value: Value::Float(f64::NAN), key: None });
    let mut endless = span("s1", None, None);
    endless.to = Some(position());
    assert_eq!(store.open_span(&lease, &endless).await.unwrap_err().kind, ErrorKind::Data);
    let mut step = settlement();
    step.patch.platform = Some((None, position()));
    assert_eq!(store.settle(&lease, &step).await.unwrap_err().kind, ErrorKind::Data);
    assert!(store.open_spans(SYNC).await.unwrap().is_empty());
}
