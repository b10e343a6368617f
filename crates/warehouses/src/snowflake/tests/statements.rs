//! Statements: renewed sessions, lost answers, long ones, abandoned ones.

use std::sync::Arc;
use std::time::Duration;

use tidegate_model::ErrorKind;

use super::stand_in::{Fault, Script};
use super::{ask, logged_in, one, until};
use crate::snowflake::server::look;
use crate::snowflake::wire::{Bind, Statement};

const QUERY: &str = "/queries/v1/query-request";

#[tokio::test]
async fn an_expired_session_is_renewed_once_and_nothing_is_run_twice() {
    let (server, session) = logged_in().await;
    server.script("select 1", one("1"));
    assert!(ask(&session, "select 1").await.is_ok());
    server.expire_sessions();
    let session = Arc::new(session);
    let all = futures_util::future::join_all((0..5).map(|_| ask(&session, "select 1"))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(server.calls("/session/token-request").len(), 1, "each renewed on its own");
    assert_eq!(server.calls("/session/v1/login-request").len(), 1);
    assert!(server.account().runs.values().all(|runs| *runs == 1));
}

#[tokio::test]
async fn a_session_that_is_gone_is_replaced_but_never_within_a_write() {
    let (server, session) = logged_in().await;
    server.script("select 1", one("1"));
    server.forget_sessions();
    assert!(ask(&session, "select 1").await.is_ok());
    assert_eq!(server.calls("/session/v1/login-request").len(), 2);
    session.set_holds(true);
    server.forget_sessions();
    let error = ask(&session, "select 1").await.expect_err("the transaction is gone");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.to_string().contains("rolled back"), "{error}");
    assert_eq!(server.calls("/session/v1/login-request").len(), 2);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_under_the_same_id() {
    let (server, session) = logged_in().await;
    server.script("insert", one("1"));
    server.fault(QUERY, &[Fault::Status(503), Fault::Cut, Fault::Gateway(502)]);
    assert_eq!(ask(&session, "insert").await.expect("an answer").one(), Some("1"));
    let calls = server.calls(QUERY);
    assert_eq!(calls.len(), 4);
    assert!(calls.iter().all(|call| call.query["requestId"] == calls[0].query["requestId"]));
    let retries: Vec<&str> = calls.iter().map(|call| call.query["retryCount"].as_str()).collect();
    assert_eq!(retries, ["0", "1", "2", "3"]);
    assert_eq!(server.account().runs.values().copied().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn whether_it_may_have_been_carried_out_is_told() {
    let (server, session) = logged_in().await;
    server.script("commit", one("1"));
    let statement = Statement { sql: "commit", binds: &[], describe: false, seconds_max: 5, doing: "commit" };
    server.fault(QUERY, &[Fault::Cut; 4]);
    let error = session.attempt(&statement).await.err().expect("no answer");
    assert_eq!(error.kind, ErrorKind::Lost);
    server.fault(QUERY, &[Fault::Cut; 4]);
    assert_eq!(session.run(&statement).await.err().expect("a read").kind, ErrorKind::Unavailable);
    server.fault(QUERY, &[Fault::Gateway(429); 4]);
    assert_eq!(session.attempt(&statement).await.err().expect("too fast").kind, ErrorKind::RateLimited);
}

#[tokio::test]
async fn a_long_statement_is_asked_for_until_it_ends() {
    let (server, session) = logged_in().await;
    server.script("long", Script { polls: 2, ..one("7") });
    let asked = tokio::spawn(async move { (ask(&session, "long").await, session) });
    until("the second question", || !server.calls("/queries/result").is_empty()).await;
    server.expire_sessions(); // in the middle of it
    let (answer, _session) = asked.await.unwrap();
    assert_eq!(answer.expect("an answer").one(), Some("7"));
    assert_eq!(server.calls(QUERY).len(), 1, "sent again instead of asked for");
    assert_eq!(server.calls("/session/token-request").len(), 1);
}

#[tokio::test]
async fn a_statement_that_nobody_waits_for_is_aborted() {
    let (server, session) = logged_in().await;
    server.script("forever", Script { hangs: true, ..one("7") });
    let asked = tokio::time::timeout(Duration::from_millis(100), ask(&session, "forever")).await;
    assert!(asked.is_err(), "it hangs");
    until("the abort", || !server.account().aborted.is_empty()).await;
    let id = server.calls(QUERY)[0].query["requestId"].clone();
    assert_eq!(server.account().aborted, [id]);
    server.script("select 1", one("1"));
    assert!(ask(&session, "select 1").await.is_ok());
    until("nothing else is aborted", || server.account().aborted.len() == 1).await;
}

#[tokio::test]
async fn a_session_ends_after_its_statements_are_aborted() {
    let (server, session) = logged_in().await;
    server.script("forever", Script { hangs: true, ..one("7") });
    // The abort is late: a session that did not wait for it would be gone.
    server.fault("/queries/v1/abort-request", &[Fault::Gateway(503); 2]);
    let asked = tokio::time::timeout(Duration::from_millis(100), ask(&session, "forever")).await;
    assert!(asked.is_err(), "it hangs");
    drop(session);
    until("the session ends", || server.sessions() == 0).await;
    assert_eq!(server.account().aborted.len(), 1, "the session ended first");
}

#[tokio::test]
async fn a_session_ends_when_it_is_dropped() {
    let (server, session) = logged_in().await;
    assert_eq!(server.sessions(), 1);
    drop(session);
    until("the session ends", || server.sessions() == 0).await;
}

#[tokio::test]
async fn refusals_name_their_query_and_values_are_bound() {
    let (server, session) = logged_in().await;
    let refusal = Some(("000904".into(), "42000".into(), "invalid identifier 'NOPE'".into()));
    server.script("bad", Script { refusal, ..Script::default() });
    let error = ask(&session, "bad").await.expect_err("refused");
    assert_eq!(error.kind, ErrorKind::SchemaChanged);
    assert!(error.to_string().contains("query 01b0-"), "{error}");
    server.script("select ?", one("1"));
    look(&session, "select ?", &[Bind("it's".into())], "look").await.expect("an answer");
    let sent = &server.calls(QUERY)[1].body;
    assert_eq!(sent["bindings"]["1"], serde_json::json!({ "type": "TEXT", "value": "it's" }));
    assert_eq!(sent["parameters"]["STATEMENT_TIMEOUT_IN_SECONDS"], 120);
    let paths: Vec<String> = server.account().seen.iter().map(|seen| seen.path.clone()).collect();
    assert!(!paths.iter().any(|path| path.contains("telemetry")), "{paths:?}");
}
