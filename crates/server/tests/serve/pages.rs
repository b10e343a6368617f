//! Health, readiness, and who is answered, over real TCP.

use std::sync::Arc;

use tidegate_model::error::ErrorKind;
use tidegate_server::{ServeOptions, Server};

use super::rig::{Rig, START, State, code_of, every, minutes};

#[tokio::test]
async fn health_and_readiness() {
    let rig = Rig::start(vec![every("companies", 60)]).await;
    assert_eq!(rig.get("/healthz").await, "ok\n");
    assert_eq!(rig.code("/readyz").await, 200);
    assert_eq!(rig.get("/readyz").await, r#"{"ready":true,"why":[]}"#);

    *rig.state.down.lock().unwrap() = true;
    assert_eq!(rig.code("/readyz").await, 503, "asked at once, not at the next tick");
    rig.tick().await;
    let body = rig.get("/readyz").await;
    assert!(body.contains("the database is away"), "{body}");
    assert_eq!(rig.code("/healthz").await, 200);
    assert!(rig.get("/metrics").await.contains("\ntidegate_store_up 0\n"));

    *rig.state.down.lock().unwrap() = false;
    rig.tick().await;
    assert_eq!(rig.code("/readyz").await, 200);
    assert!(rig.get("/metrics").await.contains("\ntidegate_store_up 1\n"));
    rig.stop().await;
}

#[tokio::test]
async fn nothing_is_started_while_the_state_is_away() {
    let state = Arc::new(State::default());
    *state.down.lock().unwrap() = true;
    let rig = Rig::start_with(vec![every("companies", 1)], state, START, |_| {}).await;
    rig.ticks(minutes(5)).await;
    assert_eq!(rig.count("companies", "start"), 0);
    assert_eq!(rig.code("/readyz").await, 503);
    *rig.state.down.lock().unwrap() = false;
    rig.tick().await;
    rig.until("companies", "succeeded", 1).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_scheduler_that_is_silent_is_not_ready() {
    let rig = Rig::start(vec![every("companies", 60)]).await;
    rig.quiet().await;
    *rig.state.hangs.lock().unwrap() = true;
    for _ in 0..12 {
        rig.nudge();
    }
    let body = rig.get("/readyz").await;
    assert!(body.contains("silent for 60 seconds") && body.contains("has not answered"), "{body}");
    assert!(body.contains("\"ready\":false"), "{body}");
    assert_eq!(rig.code("/healthz").await, 200);
    rig.stop().await;
}

#[tokio::test]
async fn only_requests_that_mean_this_machine_are_answered() {
    let rig = Rig::start(vec![every("companies", 60)]).await;
    for path in ["/readyz", "/metrics", "/", "/api/v1/syncs"] {
        for host in ["example.org", "127.0.0.1.example.org:80", "evil.localhost"] {
            let answer = rig.ask("GET", path, &format!("Host: {host}\r\n")).await;
            assert_eq!(code_of(&answer), 403, "{path} for {host}");
            assert!(!answer.contains("companies"));
        }
        let answer = rig.ask("GET", path, "Host: localhost\r\nOrigin: https://example.org\r\n").await;
        assert_eq!(code_of(&answer), 403, "{path} from another origin");
    }
    for host in ["localhost", "127.0.0.1:9", "[::1]:8080"] {
        assert_eq!(code_of(&rig.ask("GET", "/metrics", &format!("Host: {host}\r\n")).await), 200, "{host}");
    }
    assert_eq!(code_of(&rig.ask("GET", "/healthz", "Host: probe.cluster.internal\r\n").await), 200);
    assert_eq!(code_of(&rig.ask("POST", "/metrics", "Host: localhost\r\nContent-Length: 0\r\n").await), 405);
    assert_eq!(rig.code("/nothing").await, 404);
    rig.stop().await;
}

#[tokio::test]
async fn addresses_that_others_can_reach_or_that_are_taken_are_refused() {
    let listen = |listen: &str| ServeOptions { listen: listen.to_owned(), ..ServeOptions::default() };
    let store = State::default().store().await;
    let error = Server::bind(listen("0.0.0.0:0"), &store).await.err().expect("refused");
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("nobody can sign in"), "{error}");
    assert!(error.hint.is_some_and(|hint| hint.contains("users add")));

    let first = Server::bind(listen("127.0.0.1:0"), &store).await.expect("a free port");
    let error = Server::bind(listen(&first.address().to_string()), &store).await.err().expect("taken");
    assert!(error.message.contains(&first.address().to_string()), "{error}");
    assert!(error.hint.is_some_and(|hint| hint.contains("--listen")));
}
