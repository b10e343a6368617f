//! The connectors, each with its twin or stand-in, as the contract wants to see them.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use tidegate_model::ports::{Platform, WriteAsk};
use tidegate_model::value::{Type, Value};
use tidegate_platforms::{OpenContext, open};
use tidegate_testkit::platform_suite::{Subject, text};
use tidegate_twins::batch::{self, Batch};
use tidegate_twins::planhat::{self, Planhat};
use tidegate_twins::{Fault, Knobs, Running, Start, Step, Twin, start};

use crate::common::{TestHub, sqlite};
use crate::lab::{Lab, by_id, paging, quiet};

/// A connector on a server of ours.
pub struct OnTwin {
    port: Arc<dyn Platform>,
    twin: Running,
    model: &'static str,
    key: &'static str,
    texts: [&'static str; 2],
    bad: (&'static str, &'static str),
    unknown: Option<&'static str>,
    /// Of what the twin holds: the shelf, the member that is the key, and where a field stands.
    shelf: (&'static str, &'static str, fn(&str) -> String),
    custom: bool,
}

impl Subject for OnTwin {
    fn port(&self) -> &dyn Platform {
        &*self.port
    }
    fn model(&self) -> &str {
        self.model
    }
    fn key(&self) -> &str {
        self.key
    }
    fn texts(&self) -> [&str; 2] {
        self.texts
    }
    fn asks(&self, ask: WriteAsk) -> WriteAsk {
        let own = self.texts.iter().filter(|_| self.custom).map(|name| ((*name).to_owned(), Type::Text));
        WriteAsk { new_fields: own.collect(), ..ask }
    }
    fn bad(&self) -> (&str, Value) {
        (self.bad.0, text(self.bad.1))
    }
    fn unknown(&self) -> Option<&str> {
        self.unknown
    }
    fn held(&self, key: &str) -> Vec<Json> {
        let (name, member, _) = self.shelf;
        let shelves = self.twin.holds(10_000).unwrap();
        let all = shelves.into_iter().filter(|shelf| name.is_empty() || shelf.name == name);
        all.flat_map(|shelf| shelf.newest).filter(|record| record[member] == key).collect()
    }
    fn kept<'a>(&self, record: &'a Json, field: &str) -> Option<&'a Json> {
        record.pointer(&(self.shelf.2)(field))
    }
    fn lose_next(&self) -> bool {
        let lost = |method: &str| Step::next(method, "", Fault::Lost);
        self.twin.turn(Knobs { script: ["PUT", "POST", "PATCH"].map(lost).into(), ..quiet() });
        true
    }
}

async fn twin(of: Arc<dyn Twin>) -> Running {
    start(of, Start { knobs: quiet(), ..Start::default() }).await.unwrap()
}

fn connected(kind: &str, config: &Json) -> Arc<dyn Platform> {
    let context = OpenContext { project_dir: PathBuf::from("."), name: "it".to_owned(), ..OpenContext::default() };
    open(kind, config, &context).unwrap()
}

pub async fn planhat() -> OnTwin {
    let twin = twin(Arc::new(Planhat::new(planhat::TOKEN, planhat::TENANT))).await;
    let config = json!({ "token": planhat::TOKEN, "tenant": planhat::TENANT, "url": twin.url() });
    OnTwin {
        port: connected("planhat", &config),
        twin,
        model: "company",
        key: "externalId",
        texts: ["name", "phase"],
        bad: ("status", "perhaps"),
        unknown: Some("nosuch"),
        shelf: ("company", "externalId", |field| format!("/{field}")),
        custom: false,
    }
}

pub async fn batch() -> OnTwin {
    let twin = twin(Arc::new(Batch::default())).await;
    let config = json!({ "project_key": batch::PROJECT, "rest_api_key": batch::KEY, "url": twin.url() });
    OnTwin {
        port: connected("batch", &config),
        twin,
        model: "profile",
        key: "custom_id",
        texts: ["custom.name", "custom.plan"],
        bad: ("$email_address", "no address"),
        unknown: Some("nosuch"),
        shelf: ("", "custom_id", |field| format!("/attributes/{}", field.replace("custom.", "string:"))),
        custom: true,
    }
}

pub async fn http(settings: Json) -> OnTwin {
    let Lab { twin, port, .. } = Lab::new(quiet(), &settings).await;
    OnTwin {
        port,
        twin,
        model: "record",
        key: "key",
        texts: ["name", "arr"],
        bad: ("name", "bad"),
        unknown: None,
        shelf: ("", "key", |field| format!("/body/{field}")),
        custom: false,
    }
}

pub async fn http_read() -> OnTwin {
    let mut settings = by_id();
    let mut list = paging("&after={{cursor}}", json!({ "by": "cursor", "at": "/next" }));
    list["fields"] = json!({ "name": "text", "arr": "text" });
    settings["paging"] = list;
    http(settings).await
}

pub async fn http_unkeyed() -> OnTwin {
    let mut settings = by_id();
    settings["headers"] = json!({});
    http(settings).await
}

/// The hub, seen through its file.
pub struct InFile(TestHub);

pub async fn hub() -> InFile {
    InFile(sqlite().await)
}

impl Subject for InFile {
    fn port(&self) -> &dyn Platform {
        self.0.port()
    }
    fn model(&self) -> &str {
        "company"
    }
    fn key(&self) -> &str {
        "externalId"
    }
    fn texts(&self) -> [&str; 2] {
        ["name", "phase"]
    }
    fn bad(&self) -> (&str, Value) {
        ("status", text("perhaps"))
    }
    fn unknown(&self) -> Option<&str> {
        Some("nosuch")
    }
    fn held(&self, key: &str) -> Vec<Json> {
        let db = rusqlite::Connection::open(self.0.path().join(".tidegate/hub.db")).unwrap();
        let sql = "SELECT name, phase FROM hub_r_company WHERE \"externalId\" = ?1 AND deleted = 0";
        let mut statement = db.prepare(sql).unwrap();
        let record = |row: &rusqlite::Row<'_>| {
            let cell = |at| row.get::<_, Option<String>>(at);
            Ok(json!({ "name": cell(0)?, "phase": cell(1)? }))
        };
        statement.query_map([key], record).unwrap().map(Result::unwrap).collect()
    }
    fn kept<'a>(&self, record: &'a Json, field: &str) -> Option<&'a Json> {
        record.get(field)
    }
    fn lose_next(&self) -> bool {
        // It answers within its own transaction: nothing lies between the work and its answer.
        false
    }
}
