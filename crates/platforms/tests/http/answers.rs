//! One outcome for each record, whatever is answered.

use serde_json::{Value as Json, json};
use tidegate_model::ErrorKind;
use tidegate_model::change::{Action, Change, Effect, Outcome};
use tidegate_model::record::RemoteId;
use tidegate_model::value::Value;
use tidegate_testkit::platform_suite::{change, number, refused, text};
use tidegate_twins::{Fault, Knobs, Step};

use crate::desk::SECRET;
use crate::failures::classified;
use crate::lab::{Lab, ask, bulk, by_id, by_key, connect, quiet};

fn contact(action: Action, key: &str, name: &str) -> Change {
    change(action, key, &[("name", text(name)), ("arr", number("12.50"))])
}

fn many(count: usize) -> Vec<Change> {
    (0..count).map(|at| contact(Action::Create, &format!("k{at:03}"), &format!("Name {at}"))).collect()
}

fn created(outcome: &Outcome) -> Option<RemoteId> {
    match outcome {
        Outcome::Applied { remote, effect: Effect::Created, dropped, .. } if dropped.is_empty() => remote.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_by_key_is_made_changed_refused_and_deleted() {
    let lab = Lab::new(quiet(), &by_key()).await;
    let batch = [
        contact(Action::Create, "a b", "Ann"),
        contact(Action::Create, "b", "bad"),
        contact(Action::Create, "c", "Eve"),
    ];
    let outcomes = lab.write(&batch).await.unwrap();
    assert_eq!((created(&outcomes[0]), created(&outcomes[2])), (None, None));
    let why = refused(&outcomes[1]);
    assert_eq!((why.rule.as_str(), why.field.as_deref()), ("refused", Some("name")));
    assert!(
        why.reason.contains("(422)") && why.reason.contains("on purpose") && !why.reason.contains("bad"),
        "{why:?}"
    );
    let body = lab.held()[0]["body"].clone();
    assert_eq!(
        (body["arr"].to_string(), &body["name"], &body["hello"]),
        ("12.50".to_owned(), &json!("Ann"), &json!("Dear Ann"))
    );
    let gone = lab.write(&[change(Action::Delete, "a b", &[]), change(Action::Delete, "nobody", &[])]).await.unwrap();
    assert!(matches!(gone[0], Outcome::Applied { effect: Effect::Deleted, .. }), "{gone:?}");
    assert!(matches!(gone[1], Outcome::Unchanged { .. }), "{gone:?}");
    assert_eq!(lab.held().len(), 1);
    assert!(lab.twin.requests().iter().all(|seen| seen.method != "DELETE" || seen.bytes == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_by_id_is_linked_patched_and_missed_when_gone() {
    let lab = Lab::new(quiet(), &by_id()).await;
    let id = created(&lab.write(&[contact(Action::Create, "a", "Ann")]).await.unwrap()[0]).expect("an id");
    let linked = |pairs: &[(&str, Value)]| Change { remote: Some(id.clone()), ..change(Action::Update, "a", pairs) };
    let outcomes = lab.write(&[linked(&[("arr", Value::Null)])]).await.unwrap();
    assert!(
        matches!(&outcomes[0], Outcome::Applied { remote: Some(same), effect: Effect::Updated, .. } if *same == id)
    );
    assert_eq!(lab.held()[0]["body"], json!({ "key": "a", "name": "Ann" }), "the changed field alone was sent");
    let stray = Change { remote: Some(RemoteId::new("id-99999")), ..linked(&[("name", text("x"))]) };
    let unlinked = change(Action::Update, "z", &[("name", text("x"))]);
    let outcomes = lab.write(&[stray, unlinked]).await.unwrap();
    assert!(matches!(outcomes[0], Outcome::Missed { now: None, .. }), "{outcomes:?}");
    assert_eq!(refused(&outcomes[1]).rule, "no_id");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_one_request_and_each_record_has_its_result() {
    for more in [
        json!({}),
        json!({ "url": "URL/bulk?errors=1", "success": {}, "error": { "message": "/error/message", "items": { "at": "/errors", "index": "/index" } } }),
        json!({ "url": "URL/bulk?errors=1", "success": {}, "error": { "message": "/error/message", "items": { "at": "/errors", "key": "/key" } } }),
    ] {
        let lab = Lab::new(quiet(), &bulk(&more)).await;
        let mut batch = many(7);
        batch[3] = contact(Action::Create, "k003", "bad");
        let outcomes = lab.write(&batch).await.unwrap();
        assert_eq!(lab.twin.requests().len(), 1, "{more}");
        assert_eq!(refused(&outcomes[3]).rule, "refused");
        for (at, outcome) in outcomes.iter().enumerate().filter(|(at, _)| *at != 3) {
            let id = created(outcome);
            assert!(more != json!({}) || id == Some(RemoteId::new(format!("Bk{at:03}"))), "{id:?}");
        }
        assert_eq!(lab.held().len(), 6);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_does_not_tell_delivers_nobody() {
    let told = |body: Json| vec![Step::next("POST", "/bulk", Fault::Instead(200, body.to_string()))];
    let lab = Lab::new(
        Knobs { script: told(json!({ "results": [{ "key": "k000", "status": 200 }] })), ..quiet() },
        &bulk(&json!({})),
    )
    .await;
    let outcomes = lab.write(&many(2)).await.unwrap();
    created(&outcomes[0]);
    assert_eq!(refused(&outcomes[1]).rule, "not_told");
    lab.twin.turn(Knobs { script: told(json!({ "other": 1 })), ..quiet() });
    assert_eq!(lab.write(&many(2)).await.unwrap_err().kind, ErrorKind::Lost);
    let items = json!({ "success": {}, "error": { "items": { "at": "/errors", "key": "/key" } } });
    let stray = told(json!({ "errors": [{ "key": "somebody else" }] }));
    let lab = Lab::new(Knobs { script: stray, ..quiet() }, &bulk(&items)).await;
    let outcomes = lab.write(&many(2)).await.unwrap();
    assert!(outcomes.iter().all(|outcome| refused(outcome).rule == "not_told"), "{outcomes:?}");
    let order = json!({ "success": { "results": { "at": "", "where": [{ "at": "/ok", "in": [true] }] } } });
    let by_order = told(json!([{ "ok": true }, { "ok": false, "message": "Name 1 is bad" }]));
    let lab = Lab::new(Knobs { script: by_order, ..quiet() }, &bulk(&order)).await;
    let outcomes = lab.write(&many(2)).await.unwrap();
    created(&outcomes[0]);
    assert!(!refused(&outcomes[1]).reason.contains("Name 1"), "{outcomes:?}");
}

/// Every failure of a batch is classified; none names a secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_failure_of_a_request_is_classified_and_no_secret_is_in_it() {
    let own = vec![(Fault::Status(302), ErrorKind::Config), (Fault::Instead(200, "<html>".into()), ErrorKind::Lost)];
    classified("/bulk", own, SECRET, async |knobs| {
        Lab::new(knobs, &bulk(&json!({}))).await.write(&many(2)).await.unwrap_err()
    })
    .await;
    let gone = connect("http://127.0.0.1:1", &by_key()).unwrap();
    assert_eq!(gone.write(&ask(), &many(2)).await.unwrap_err().kind, ErrorKind::Unavailable);
}

/// Where each record is a request, what was taken stays told, and what stops the others stops only those.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_in_the_middle_takes_nothing_back() {
    let mut slow = by_key();
    slow["batch"] = json!({ "parallel": 1 });
    for (fault, kind) in [(Fault::Status(429), ErrorKind::RateLimited), (Fault::Status(401), ErrorKind::Unauthorized)] {
        let script = vec![Step { after: 2, ..Step::next("PUT", "/contacts", fault.clone()) }];
        let lab = Lab::new(Knobs { script, ..quiet() }, &slow).await;
        let outcomes = lab.write(&many(5)).await.unwrap();
        outcomes[..2].iter().for_each(|outcome| drop(created(outcome)));
        for outcome in &outcomes[2..] {
            assert!(matches!(outcome, Outcome::Retry(error) if error.kind == kind), "{fault:?}: {outcome:?}");
        }
        assert_eq!(lab.twin.requests().len(), 3, "nothing was sent after it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_uncertain_unless_a_second_time_does_no_harm() {
    let lost = |method: &str| Knobs { script: vec![Step::next(method, "/contacts", Fault::Lost)], ..quiet() };
    let one = || vec![contact(Action::Create, "a", "Ann")];
    let lab = Lab::new(lost("PUT"), &by_key()).await;
    assert!(matches!(&lab.write(&one()).await.unwrap()[0], Outcome::Retry(error) if error.kind == ErrorKind::Lost));
    assert!(lab.port.abilities(&ask().model).keyed);
    let mut plain = by_id();
    plain["headers"] = json!({});
    let lab = Lab::new(lost("POST"), &plain).await;
    assert!(matches!(&lab.write(&one()).await.unwrap()[0], Outcome::Unknown(_)));
    assert!(!lab.port.abilities(&ask().model).keyed);
    // With an idempotency key the same operation is sent again and makes no double.
    let lab = Lab::new(lost("POST"), &by_id()).await;
    let asked = ask();
    assert!(matches!(&lab.port.write(&asked, &one()).await.unwrap()[0], Outcome::Retry(_)));
    assert_eq!(created(&lab.port.write(&asked, &one()).await.unwrap()[0]), Some(RemoteId::new("id-00000")));
    assert_eq!(lab.held().len(), 1);
    for (word, keyed) in [("resend", true), ("uncertain", false)] {
        plain["error"] = json!({ "lost": word });
        assert_eq!(connect("http://127.0.0.1:1", &plain).unwrap().abilities(&ask().model).keyed, keyed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_success_and_error_say_is_kept_to() {
    let settings = json!({
        "url": "URL/echo", "auth": { "method": "bearer", "token": SECRET }, "body": { "name": "{{record.name}}" },
        "success": { "status": [200], "where": [{ "at": "/status", "in": ["fine"] }] },
        "error": { "message": "/reason", "retry_where": [{ "at": "/status", "in": ["busy"] }], "retry_status": [423], "reject_status": [403] },
    });
    let lab = Lab::new(quiet(), &settings).await;
    let one = |name: &str| vec![change(Action::Create, "a", &[("name", text(name))])];
    created(&lab.write(&one("fine")).await.unwrap()[0]);
    assert!(refused(&lab.write(&one("no way")).await.unwrap()[0]).reason.contains("as asked"));
    assert_eq!(lab.write(&one("busy")).await.unwrap_err().kind, ErrorKind::Unavailable);
    for (status, told) in [(423, "Unavailable"), (403, "refused"), (202, "refused")] {
        lab.twin.turn(Knobs { script: vec![Step::next("POST", "/echo", Fault::Status(status))], ..quiet() });
        let answer = format!("{:?}", lab.write(&one("fine")).await);
        assert!(answer.contains(told), "{status}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_address_is_refused_and_kinds_of_a_batch_go_apart() {
    let lab = Lab::new(quiet(), &bulk(&json!({}))).await;
    let gone = lab.write(&[change(Action::Delete, "a", &[])]).await.unwrap();
    assert_eq!(refused(&gone[0]).rule, "no_address");
    let each = json!({ "url": { "create": "URL/bulk", "update": "URL/bulk?errors=1" }, "success": { "results": { "at": "/results", "key": "/key" } } });
    let lab = Lab::new(quiet(), &bulk(&each)).await;
    let batch =
        [contact(Action::Create, "a", "Ann"), contact(Action::Update, "b", "Eve"), contact(Action::Create, "c", "Ida")];
    let outcomes = lab.write(&batch).await.unwrap();
    created(&outcomes[0]);
    created(&outcomes[2]);
    assert!(matches!(&outcomes[1], Outcome::Retry(error) if error.kind == ErrorKind::Unavailable), "{outcomes:?}");
    assert_eq!(lab.twin.requests().len(), 1);
}
