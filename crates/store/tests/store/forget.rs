//! A person who asks to be forgotten leaves no trace.

use tidegate_model::ErrorKind;
use tidegate_model::ports::{Choice, ConflictState, Memory};
use tidegate_model::run::RunError;
use tidegate_model::value::Value;

use crate::base::*;

on_both!(a_forgotten_key_leaves_no_trace, open_intents_and_living_runs_forbid_to_forget);

const WHO: &str = "jane.roe-4711@example.org";
const NAME: &str = "Jane Roe the Unforgotten";

async fn a_forgotten_key_leaves_no_trace(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    store.open_span(&lease, &span("s1", None, Some("10"))).await.unwrap();
    let mut intents = batch("s1", 0);
    intents.payload = NAME.as_bytes().to_vec();
    store.intend(&lease, &intents).await.unwrap();
    store.answer(&lease, "s1", 0, NAME.as_bytes()).await.unwrap();
    let mut it = settlement();
    it.batch = Some(("s1".into(), 0));
    // Among many others, so that pages split and move.
    for number in 0..3_000 {
        it.entries.push(entry(&format!("other-{number}"), Some(&format!("r-{number}"))));
        it.entries[number].detail = vec![7; 40];
    }
    it.entries.push(entry(WHO, Some("r-jane")));
    it.entries[3_000].detail = NAME.as_bytes().to_vec();
    let mut rejected = reject(Some(WHO), Some("name"));
    rejected.value = Some(Value::text(NAME));
    it.rejects = vec![rejected, reject(Some("other-1"), None)];
    let mut seen = conflict(WHO, Some("name"), ConflictState::Open);
    seen.warehouse = Some(Value::text(NAME));
    let mut decided = seen.clone();
    decided.state = ConflictState::Decided;
    it.conflicts = vec![seen, decided];
    it.history = vec![write(WHO, NAME, "x"), write("other-1", "a", "b"), write(WHO, "x", NAME)];
    store.settle(&lease, &it).await.unwrap();
    assert!(store.choose(SYNC, &key(WHO), Some("name"), &Choice::Value(NAME.into())).await.unwrap());
    store.log(RUN, at(1), &format!("key {WHO}: rejected")).await.unwrap();
    store.log(RUN, at(2), &format!("key x{WHO}: somebody else")).await.unwrap();
    let mut done = run(RUN);
    let message = format!("key {WHO} cannot be read");
    done.error = Some(RunError { code: "data".into(), message, hint: None });
    store.put_run(&lease, &done).await.unwrap();
    // Changed again and again: old versions of rows must go too.
    for number in 0..20_u8 {
        let mut it = settlement();
        it.entries = vec![entry(WHO, Some("r-jane"))];
        it.entries[0].detail = [NAME.as_bytes(), &vec![number; 100 * usize::from(number)]].concat();
        store.settle(&lease, &it).await.unwrap();
    }
    store.release(&lease).await.unwrap();
    assert!(place.holds(WHO).await && place.holds(NAME).await, "the search finds what is there");

    let gone = store.forget(SYNC, &key(WHO)).await.unwrap();
    assert_eq!(gone, 1 + 2 + 1 + 2 + 1 + 1, "entry, history, reject, conflicts, log line, run");
    assert!(!place.holds(NAME).await);
    let everything = String::from_utf8_lossy(&place.everything().await).replace(&format!("x{WHO}"), "");
    assert!(!everything.contains(WHO));
    assert!(!everything.contains("r-jane"));
    assert_eq!(store.state(SYNC).await.unwrap().linked, 3_000);
    assert_eq!(store.rejects(None, 10).await.unwrap().len(), 1);
    assert_eq!(store.history(RUN, 0, 10).await.unwrap().len(), 1);
    assert_eq!(store.forget(SYNC, &key(WHO)).await.unwrap(), 0);
    assert_eq!(store.forget("nobody", &key(WHO)).await.unwrap(), 0);
}

async fn open_intents_and_living_runs_forbid_to_forget(place: &Place) {
    let store = place.open().await;
    let lease = start(&store).await;
    store.open_span(&lease, &span("s1", None, Some("10"))).await.unwrap();
    store.intend(&lease, &batch("s1", 0)).await.unwrap();
    let mut it = settlement();
    it.entries = vec![entry("a", None)];
    store.settle(&lease, &it).await.unwrap();
    let error = store.forget(SYNC, &key("a")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Locked);
    assert!(error.hint.unwrap().contains(&format!("tidegate run {SYNC}")));

    let mut it = settlement();
    it.batch = Some(("s1".into(), 0));
    store.settle(&lease, &it).await.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    store.heartbeat(&lease, tidegate_model::time::Instant(i64::try_from(now).unwrap())).await.unwrap();
    let error = store.forget(SYNC, &key("a")).await.unwrap_err();
    assert!(error.message.contains("is running"), "{error}");
    assert_eq!(store.scan(SYNC, None, 10).await.unwrap().len(), 1);
    store.release(&lease).await.unwrap();
    assert_eq!(store.forget(SYNC, &key("a")).await.unwrap(), 1);
}
