//! The wire against a stand-in of the service.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod logins;
mod reach;
mod results;
#[path = "../../../tests/snowflake/stand_in.rs"]
mod stand_in;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stand_in::{Script, StandIn};
use tidegate_model::Result;
use tidegate_model::secret::Secret;

use super::server::{Rows, look};
use super::wire::{Context, Credentials, Line, Patience, Session};

/// Tests wait in milliseconds for what takes seconds outside.
const SHORT: Patience = Patience {
    attempts_max: 4,
    budget: Duration::from_secs(5),
    first_wait: Duration::from_millis(5),
    beat_max: Duration::from_secs(3600),
};

fn context(server: &StandIn, credentials: Credentials) -> Arc<Context> {
    let base = format!("http://127.0.0.1:{}", server.port);
    let http = tidegate_net::http::Http { proxy: None, ..Default::default() }.client().unwrap();
    Arc::new(Context {
        line: Line::new(http, &base, SHORT).unwrap(),
        account: "acme-prod".into(),
        credentials,
        database: Some("DB".into()),
        schema: Some("PUBLIC".into()),
        warehouse: Some("WH".into()),
        role: Some("TIDEGATE".into()),
        query_tag: "tidegate".into(),
    })
}

fn password() -> Credentials {
    Credentials::Password { user: "etl".into(), password: Secret::new("right") }
}

/// A server that lets the password in, and a session on it.
async fn logged_in() -> (StandIn, Session) {
    let server = StandIn::start().await;
    server.account().password = "right".into();
    let session = Session::login(&context(&server, password())).await.expect("a session");
    (server, session)
}

/// A statement that answers one number.
fn one(value: &str) -> Script {
    Script {
        rowtype: json!([{ "name": "N", "type": "fixed", "precision": 19, "scale": 0 }]),
        rowset: json!([[value]]),
        total: 1,
        ..Script::default()
    }
}

async fn ask(session: &Session, sql: &str) -> Result<Rows> {
    look(session, sql, &[], "look").await
}

/// Waits for what happens in the background.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("never: {what}");
}
