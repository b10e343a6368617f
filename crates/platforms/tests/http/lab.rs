//! The stand-in, and connections to it.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use tidegate_model::change::{Change, Outcome};
use tidegate_model::ports::{Platform, WriteAsk};
use tidegate_model::{Error, Result};
use tidegate_platforms::{OpenContext, open};
use tidegate_testkit::platform_suite;
use tidegate_twins::{Knobs, Limits, Running, Start, start};

use crate::desk::{Desk, SECRET};

/// The stand-in, and the connector on it.
pub struct Lab {
    pub twin: Running,
    pub desk: Arc<Desk>,
    pub port: Arc<dyn Platform>,
}

/// No limits, nothing goes wrong.
pub fn quiet() -> Knobs {
    Knobs { limits: Limits::Off, ..Knobs::default() }
}

/// Opens a connection; `URL` in its settings is the stand-in's address.
pub fn connect(url: &str, settings: &Json) -> Result<Arc<dyn Platform>> {
    let settings: Json = serde_json::from_str(&settings.to_string().replace("URL", url)).unwrap();
    let private_targets = vec!["127.0.0.1".to_owned()];
    open(
        "http",
        &settings,
        &OpenContext {
            project_dir: PathBuf::from("."),
            name: "hook".to_owned(),
            private_targets,
            ..OpenContext::default()
        },
    )
}

/// Why a connection cannot be opened.
pub fn refused(settings: Json) -> Error {
    connect("http://127.0.0.1:1", &settings).err().unwrap_or_else(|| panic!("it opens: {settings}"))
}

/// A record by key, as a whole, with a bearer token.
pub fn by_key() -> Json {
    json!({
        "url": "URL/contacts/{{key}}", "method": { "create": "PUT", "update": "PUT", "delete": "DELETE" },
        "auth": { "method": "bearer", "token": SECRET },
        "body": { "name": "{{record.name}}", "arr": "{{record.arr}}", "hello": "Dear {{record.name}}" },
        "error": { "message": "/error/message", "field": "/error/field" },
    })
}

/// A record by the stand-in's own id, changed fields alone, with an API key.
pub fn by_id() -> Json {
    json!({
        "url": { "create": "URL/contacts", "update": "URL/contacts/{{id}}", "delete": "URL/contacts/{{id}}" },
        "method": { "update": "PATCH" },
        "headers": { "Idempotency-Key": "{{idempotency_key}}" },
        "auth": { "method": "header", "name": "X-Api-Key", "value": SECRET },
        "body": { "key": "{{key}}", "name": "{{changed.name}}", "arr": "{{changed.arr}}" },
        "success": { "id": "/data/id" },
    })
}

/// Many at once, by key.
pub fn bulk(more: &Json) -> Json {
    let mut settings = json!({
        "url": "URL/bulk",
        "auth": { "method": "basic", "user": "ann", "password": SECRET },
        "body": { "key": "{{key}}", "action": "{{action}}", "name": "{{changed.name}}", "arr": "{{changed.arr}}" },
        "batch": { "size": 50, "body": { "contacts": "{{records}}", "source": "tidegate" } },
        "success": { "results": { "at": "/results", "key": "/key", "status": "/status" }, "id": "/id" },
        "error": { "message": "/error/message", "lost": "resend" },
    });
    for (key, value) in more.as_object().unwrap() {
        settings[key] = value.clone();
    }
    settings
}

/// Where records are read; how pages follow each other is the caller's.
pub fn paging(query: &str, next: Json) -> Json {
    json!({
        "url": format!("URL/contacts?limit={{{{limit}}}}{query}"), "items": "/data", "key": "/key", "id": "/id", "size": 3, "next": next,
        "fields": { "name": "text", "arr": "decimal(12,2)", "city": { "at": "/address/city", "type": "text" } },
        "one": "URL/contacts/{{id}}", "one_at": "/data",
    })
}

impl Lab {
    pub async fn new(knobs: Knobs, settings: &Json) -> Self {
        let desk = Arc::new(Desk::default());
        let twin = start(Arc::clone(&desk) as Arc<dyn tidegate_twins::Twin>, Start { knobs, ..Start::default() })
            .await
            .unwrap();
        let port = connect(&twin.url(), settings).unwrap();
        Self { twin, desk, port }
    }

    pub fn held(&self) -> Vec<Json> {
        self.twin.holds(100_000).unwrap().remove(0).newest
    }

    pub async fn write(&self, batch: &[Change]) -> Result<Vec<Outcome>> {
        self.port.write(&ask(), batch).await
    }
}

/// A write by key.
pub fn ask() -> WriteAsk {
    WriteAsk { key: "key".to_owned(), ..platform_suite::ask("record") }
}
