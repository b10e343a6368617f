//! Client credentials: one token for all, renewed by one.

use std::sync::atomic::Ordering;

use serde_json::{Value as Json, json};
use tidegate_model::ErrorKind;
use tidegate_model::change::{Action, Change, Outcome};
use tidegate_model::ports::Need;
use tidegate_testkit::platform_suite::{change, text};
use tidegate_twins::{Fault, Knobs, Step};

use crate::desk::SECRET;
use crate::lab::{Lab, ask, by_key, connect, quiet};

fn settings(secret: &str, proof: &str) -> Json {
    let mut settings = by_key();
    settings["auth"] = json!({
        "method": "oauth", "token_url": "URL/token", "client_id": "tide", "client_secret": secret, "scope": "write", "proof": proof,
    });
    settings["body"] = json!({ "name": "{{record.name}}" });
    settings
}

fn many(count: usize) -> Vec<Change> {
    (0..count).map(|at| change(Action::Create, &format!("k{at}"), &[("name", text("n"))])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_serves_all_requests() {
    for proof in ["form", "basic"] {
        let lab = Lab::new(Knobs { latency_ms: 20, ..quiet() }, &settings(SECRET, proof)).await;
        let outcomes = lab.write(&many(40)).await.unwrap();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied { .. })), "{outcomes:?}");
        lab.write(&many(5)).await.unwrap();
        assert_eq!(lab.desk.tokens.load(Ordering::SeqCst), 1, "{proof}: eight requests at once asked for one token");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_ended_is_renewed_once_and_a_refused_one_stops() {
    let lab = Lab::new(quiet(), &settings(SECRET, "form")).await;
    lab.write(&many(1)).await.unwrap();
    lab.twin.turn(Knobs { script: vec![Step::next("PUT", "/contacts", Fault::Status(401))], ..quiet() });
    let error = lab.write(&many(1)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "worth another try: {error}");
    lab.write(&many(1)).await.unwrap();
    assert_eq!(lab.desk.tokens.load(Ordering::SeqCst), 2);
    // A fresh token that is refused at once will not get better.
    lab.twin.turn(Knobs {
        script: vec![Step { times: 9, ..Step::next("PUT", "/contacts", Fault::Status(401)) }],
        ..quiet()
    });
    assert_eq!(lab.write(&many(1)).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(lab.write(&many(1)).await.unwrap_err().kind, ErrorKind::Unauthorized);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_found_by_check_and_never_shown() {
    let lab = Lab::new(quiet(), &settings("planted-wrong", "form")).await;
    let findings = lab.port.check(&[Need::Connect]).await;
    assert_eq!(findings[0].finding, "connect");
    assert!(findings[0].fix.contains("client_secret"), "{findings:?}");
    let error = lab.write(&many(2)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(!format!("{error:?} {findings:?}").contains("planted"), "{error:?}");
    let gone = connect("http://127.0.0.1:1", &settings(SECRET, "form")).unwrap();
    let error = gone.write(&ask(), &many(1)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(!format!("{error:?}").contains(SECRET));
}
