//! The contract as far as it is the same for every platform that takes records, whatever its models are called: each
//! case looks at the platform's own [`Abilities`] and holds it to what they promise. A connector's author implements
//! [`Subject`] and runs all of it with [`platform_contract!`](macro@crate::platform_contract).

use serde_json::Value as Json;
use tidegate_model::change::{Action, Change, Outcome};
use tidegate_model::ports::{LoadMode, Need, Platform, WriteAsk};
use tidegate_model::record::{Key, RecordRef, RemoteId};
use tidegate_model::schema::{Abilities, Relation, Source};
use tidegate_model::value::{Type, Value};
use tidegate_model::{ErrorKind, Result};

use super::{ask, asking, change, load, named, new_op, page, pages, read, rows_of, text};

/// A platform under test, and what can be seen of it from outside.
pub trait Subject: Sync {
    /// The platform.
    fn port(&self) -> &dyn Platform;
    /// The model that is written.
    fn model(&self) -> &str;
    /// The field that names a record.
    fn key(&self) -> &str;
    /// Two fields that take texts and may be empty; the first is given to every record.
    fn texts(&self) -> [&str; 2];
    /// What a write asks for, beyond model and key.
    fn asks(&self, ask: WriteAsk) -> WriteAsk {
        ask
    }
    /// A field and a value that the platform refuses for a record.
    fn bad(&self) -> (&str, Value);
    /// A field that the platform does not know, if it knows its fields: `check` says so.
    fn unknown(&self) -> Option<&str>;
    /// Records that it holds under this key, as it keeps them.
    fn held(&self, key: &str) -> Vec<Json>;
    /// How it keeps a field of a record.
    fn kept<'a>(&self, record: &'a Json, field: &str) -> Option<&'a Json>;
    /// The next write is carried out and its answer lost. False: that cannot be brought about.
    fn lose_next(&self) -> bool;
}

/// One test per case; the expression makes, awaited, a [`Subject`](crate::platform_suite::Subject).
#[macro_export]
macro_rules! platform_contract {
    ($subject:expr) => {
        $crate::platform_contract! { $subject =>
            writes_are_told_record_by_record
            a_second_time_makes_no_double_where_it_is_keyed
            a_lost_answer_is_never_told_as_one
            updates_change_what_they_name
            a_field_is_emptied_or_it_is_told
            deletes_are_carried_out_or_refused
            a_gone_record_is_no_success
            reads_give_what_is_held_or_are_refused
            odd_keys_arrive_as_they_are
            the_largest_batch_is_taken
            what_it_does_not_do_is_refused_with_a_hint
        }
    };
    ($subject:expr => $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let subject = $subject.await;
                $crate::platform_suite::contract::$case(&subject).await;
            }
        )*
    };
}

fn able(it: &dyn Subject) -> Abilities {
    it.port().abilities(&named(it.model()))
}

fn asked(it: &dyn Subject, records: u64) -> WriteAsk {
    it.asks(WriteAsk { key: it.key().to_owned(), records, op: new_op(), ..ask(it.model()) })
}

fn create(it: &dyn Subject, key: &str, value: &str) -> Change {
    change(Action::Create, key, &[(it.texts()[0], text(value))])
}

async fn write(it: &dyn Subject, batch: &[Change]) -> Vec<Outcome> {
    let outcomes = it.port().write(&asked(it, batch.len() as u64), batch).await.expect("a write");
    assert_eq!(outcomes.len(), batch.len(), "one outcome per change");
    outcomes
}

fn remote(outcome: &Outcome) -> Option<RemoteId> {
    match outcome {
        Outcome::Applied { remote, dropped, .. } if dropped.is_empty() => remote.clone(),
        other => panic!("not applied: {other:?}"),
    }
}

async fn created(it: &dyn Subject, key: &str) -> Option<RemoteId> {
    remote(&write(it, &[create(it, key, "first")]).await[0])
}

/// What one record under this key has in a field.
fn kept(it: &dyn Subject, key: &str, field: &str) -> Option<Json> {
    let held = it.held(key);
    assert_eq!(held.len(), 1, "{key}: {held:?}");
    it.kept(&held[0], field).filter(|value| !value.is_null()).cloned()
}

/// One outcome for each, in order; what is refused is refused alone, by field and rule, and its value is not repeated.
pub async fn writes_are_told_record_by_record(it: &dyn Subject) {
    let (field, value) = it.bad();
    let mut bad = create(it, "bad", "first");
    bad.fields.set(field, value.clone());
    let outcomes = write(it, &[create(it, "a", "A"), bad, create(it, "c", "C")]).await;
    remote(&outcomes[0]);
    remote(&outcomes[2]);
    let why = match &outcomes[1] {
        Outcome::Rejected(why) => why,
        Outcome::Applied { dropped, .. } => dropped.first().expect("it is told what was left out"),
        other => panic!("{other:?}"),
    };
    assert!(!why.rule.is_empty() && !why.reason.contains(&value.to_string()), "{why:?}");
    assert_eq!((it.held("a").len(), it.held("c").len()), (1, 1));
    assert_eq!(kept(it, "c", it.texts()[0]), Some(Json::from("C")));
}

/// Where writes are keyed, an operation that is sent again makes no second record.
pub async fn a_second_time_makes_no_double_where_it_is_keyed(it: &dyn Subject) {
    let (asked, one) = (asked(it, 1), [create(it, "a", "A")]);
    let first = it.port().write(&asked, &one).await.expect("a write");
    remote(&first[0]);
    if able(it).keyed {
        let again = it.port().write(&asked, &one).await.expect("a write");
        assert!(matches!(again[0], Outcome::Applied { .. } | Outcome::Unchanged { .. }), "{again:?}");
        assert_eq!(it.held("a").len(), 1);
    }
}

/// A write whose answer was lost is an error `Lost`, or says so of its records; where writes are keyed, sending it again
/// ends with one record.
pub async fn a_lost_answer_is_never_told_as_one(it: &dyn Subject) {
    let (asked, one) = (asked(it, 1), [create(it, "a", "A")]);
    if !it.lose_next() {
        return;
    }
    let lost = |told: &Result<Vec<Outcome>>| match told {
        Err(error) => error.kind == ErrorKind::Lost,
        Ok(outcomes) => match &outcomes[0] {
            Outcome::Unknown(_) => !able(it).keyed,
            Outcome::Retry(error) => error.kind == ErrorKind::Lost && able(it).keyed,
            _ => false,
        },
    };
    let told = it.port().write(&asked, &one).await;
    assert!(lost(&told), "{told:?}");
    assert_eq!(it.held("a").len(), 1, "it was carried out");
    if able(it).keyed {
        let again = it.port().write(&asked, &one).await.expect("a write");
        assert!(matches!(again[0], Outcome::Applied { .. } | Outcome::Unchanged { .. }), "{again:?}");
        assert_eq!(it.held("a").len(), 1);
    }
}

/// An update changes its fields; the others stay, unless the platform takes whole records.
pub async fn updates_change_what_they_name(it: &dyn Subject) {
    let [first, second] = it.texts();
    let both = change(Action::Create, "a", &[(first, text("one")), (second, text("two"))]);
    let id = remote(&write(it, &[both]).await[0]);
    let pairs = match able(it).whole {
        true => vec![(first, text("one")), (second, text("three"))],
        false => vec![(second, text("three"))],
    };
    remote(&write(it, &[Change { remote: id, ..change(Action::Update, "a", &pairs) }]).await[0]);
    assert_eq!((kept(it, "a", first), kept(it, "a", second)), (Some("one".into()), Some("three".into())));
}

/// Where fields can be emptied, NULL empties one.
pub async fn a_field_is_emptied_or_it_is_told(it: &dyn Subject) {
    let [first, second] = it.texts();
    let both = change(Action::Create, "a", &[(first, text("one")), (second, text("two"))]);
    let id = remote(&write(it, &[both]).await[0]);
    let pairs = match able(it).whole {
        true => vec![(first, text("one")), (second, Value::Null)],
        false => vec![(second, Value::Null)],
    };
    let outcome = write(it, &[Change { remote: id, ..change(Action::Update, "a", &pairs) }]).await.remove(0);
    if able(it).clear {
        remote(&outcome);
        assert_eq!((kept(it, "a", first), kept(it, "a", second)), (Some("one".into()), None));
    } else {
        let told = matches!(&outcome, Outcome::Rejected(_))
            || matches!(&outcome, Outcome::Applied { dropped, .. } if !dropped.is_empty());
        assert!(told, "{outcome:?}");
    }
}

/// A delete removes the record, and a second one has nothing to do; a platform that cannot says so of the record.
pub async fn deletes_are_carried_out_or_refused(it: &dyn Subject) {
    let id = created(it, "a").await;
    let delete = Change { remote: id, ..change(Action::Delete, "a", &[]) };
    let outcome = write(it, std::slice::from_ref(&delete)).await.remove(0);
    if able(it).delete {
        assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
        assert_eq!(it.held("a").len(), 0);
        let again = write(it, &[delete]).await.remove(0);
        assert!(matches!(again, Outcome::Unchanged { .. }), "{again:?}");
    } else {
        assert!(matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
        assert_eq!(it.held("a").len(), 1);
    }
}

/// An update of a record that is not there is missed, refused, or makes it – never told as done while nothing stands.
pub async fn a_gone_record_is_no_success(it: &dyn Subject) {
    let update = change(Action::Update, "nobody", &[(it.texts()[0], text("x"))]);
    let outcome = write(it, &[update]).await.remove(0);
    match outcome {
        Outcome::Missed { now: None, .. } | Outcome::Rejected(_) => assert_eq!(it.held("nobody").len(), 0),
        Outcome::Applied { .. } => assert_eq!(it.held("nobody").len(), 1, "told as done"),
        other => panic!("{other:?}"),
    }
}

/// What can be read shows what was written, and counts it; what cannot is refused as a setting that cannot work.
pub async fn reads_give_what_is_held_or_are_refused(it: &dyn Subject) {
    let id = created(it, "a").await;
    created(it, "b").await;
    let (model, field) = (named(it.model()), it.texts()[0]);
    let full = || asking(it.model(), it.key(), &[field]);
    if able(it).read {
        let rows = read(it.port(), full()).await;
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row[field] == text("first") && row.contains_key(it.key())), "{rows:?}");
        assert_eq!(it.port().count(&model, &[]).await.expect("a count"), 2);
    } else {
        let refused = it.port().read(full()).await.err().expect("it cannot be read");
        assert_eq!(refused.kind, ErrorKind::Config);
        assert_eq!(it.port().count(&model, &[]).await.expect_err("nor counted").kind, ErrorKind::Config);
    }
    let refs: Vec<RecordRef> = id.map(RecordRef::Remote).into_iter().chain([RecordRef::Key(Key::new("b"))]).collect();
    let fetched = it.port().fetch(&model, it.key(), &[field.to_owned()], &refs).await;
    if able(it).fetch {
        assert_eq!(rows_of(&fetched.expect("a page")).len(), refs.len());
    } else {
        assert_eq!(fetched.expect_err("it cannot be fetched").kind, ErrorKind::Config);
    }
}

/// Keys are data: whatever stands in them, they arrive.
pub async fn odd_keys_arrive_as_they_are(it: &dyn Subject) {
    let keys = ["a b", "a/b?c=d&e#f", "ü☂", "100%", "{{key}}", "a\"b'c\\d", "..", "%2e%2e"];
    let batch: Vec<Change> = keys.iter().map(|key| create(it, key, "x")).collect();
    for (key, outcome) in keys.iter().zip(write(it, &batch).await) {
        match outcome {
            Outcome::Applied { .. } => assert_eq!(it.held(key).len(), 1, "{key}"),
            // Not every server takes every address, and a platform may stop there; nothing is told as done that is not.
            Outcome::Rejected(_) | Outcome::Retry(_) => assert_eq!(it.held(key).len(), 0, "{key}"),
            other => panic!("{key}: {other:?}"),
        }
    }
    assert_eq!(it.held("a b").len(), 1, "at least the plain ones are taken");
}

/// A batch of the size that it permits is taken, and its limits permit no larger one.
pub async fn the_largest_batch_is_taken(it: &dyn Subject) {
    let limits = it.port().limits(&named(it.model()), Some(1));
    let most = able(it).max_batch.min(limits.batch.unwrap_or(u32::MAX)) as usize;
    assert!(limits.batch.is_none_or(|batch| batch <= able(it).max_batch), "{limits:?}");
    let batch: Vec<Change> = (0..most.min(500)).map(|at| create(it, &format!("k{at}"), "x")).collect();
    write(it, &batch).await.iter().for_each(|outcome| drop(remote(outcome)));
    assert_eq!(it.held(&format!("k{}", batch.len() - 1)).len(), 1);
}

/// Models, fields and modes that it does not have.
pub async fn what_it_does_not_do_is_refused_with_a_hint(it: &dyn Subject) {
    let error = it.port().model(&named("no such model")).await.expect_err("no such model");
    assert!(error.kind == ErrorKind::NotFound && error.hint.is_some(), "{error:?}");
    let names: Vec<String> = it.port().models().await.expect("models").into_iter().map(|one| one.name.0).collect();
    assert!(names.is_empty() || names.iter().any(|name| name == it.model()), "{names:?}");
    let rows = page(&[("k", Type::Int64)], &[vec![Value::Int(1)]]);
    let appended = it.port().load(&named(it.model()), &load("s", LoadMode::Append, Some("k")), pages(vec![rows])).await;
    assert_eq!(appended.expect_err("records are written, not loaded").kind, ErrorKind::Config);
    assert_eq!(it.port().check(&[Need::Connect]).await, Vec::new());
    if let Some(field) = it.unknown() {
        let source = Source::Relation(Relation(vec![it.model().to_owned()]));
        let found = it.port().check(&[Need::Read { source, columns: vec![field.to_owned()] }]).await;
        assert!(found.iter().all(|one| !one.fix.is_empty()) && !found.is_empty(), "{found:?}");
    }
}
