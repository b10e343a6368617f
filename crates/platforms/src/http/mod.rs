//! Any endpoint that speaks HTTP and JSON, by template: what is sent of a record and where, what makes an answer a
//! success, where it says what became of each record, how records are read page by page.
//!
//! Templates are read when the connection is opened (`template`, `plan`) and filled value by value (`fill`); what an
//! answer means is decided without I/O (`judge`). Addresses that lead inside the network are refused unless
//! `serve.private_targets` names their host. A write whose answer was lost is sent again only where that does no harm.

mod auth;
mod check;
mod config;
mod fill;
mod judge;
mod list;
mod plan;
mod read;
mod template;
mod write;

use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Client;
use tidegate_model::change::{Change, Outcome};
use tidegate_model::finding::Finding;
use tidegate_model::page::{Page, Pages};
use tidegate_model::ports::{Limits, Load, Loaded, Need, Platform, PlatformAsk, WriteAsk};
use tidegate_model::record::RecordRef;
use tidegate_model::schema::{Abilities, FieldSchema, ModelKind, ModelName, ModelSchema};
use tidegate_model::span::Fence;
use tidegate_model::sync::Condition;
use tidegate_model::value::Type;
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_net::targets::Targets;

use crate::list::OpenContext;
use crate::rest;
use plan::Plan;

/// The field that names a record.
const KEY: &str = "key";
/// The model's name where no template asks for one.
const RECORD: &str = "record";

/// A connection to an endpoint. Cheap to clone.
#[derive(Clone)]
struct Endpoint(Arc<Inner>);

struct Inner {
    plan: Plan,
    client: Client,
}

impl Deref for Endpoint {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// The JSON Schema of the configuration.
pub fn config_schema() -> serde_json::Value {
    schemars::schema_for!(config::Config).to_value()
}

/// Opens the endpoint of a connection: its templates are read and checked. Nothing is reached before the first call.
pub fn open_platform(config: &serde_json::Value, context: &OpenContext) -> Result<Arc<dyn Platform>> {
    let config = config::read(config, context)?;
    let at = |error: Error| error.at(format!("connection {}", context.name));
    let plan = Plan::of(config, &context.name, &context.private_targets).map_err(at)?;
    let client = rest::client(Some(Targets::public_and(&context.private_targets)))?;
    Ok(Arc::new(Endpoint(Arc::new(Inner { plan, client }))))
}

impl Endpoint {
    fn schema(&self, name: &str) -> ModelSchema {
        let key = FieldSchema {
            required: true,
            help: "Names the record: {{key}} in templates.".to_owned(),
            ..FieldSchema::new(KEY, Type::Text)
        };
        let fields = self.plan.list.iter().flat_map(list::List::schema);
        ModelSchema {
            name: ModelName(name.to_owned()),
            kind: ModelKind::Records,
            fields: std::iter::once(key).chain(fields).collect(),
            keys: vec![KEY.to_owned()],
            custom_fields: false,
            open: true,
            customs: Vec::new(),
        }
    }
}

#[async_trait]
impl Platform for Endpoint {
    async fn check(&self, needs: &[Need]) -> Vec<Finding> {
        self.findings(needs).await
    }

    async fn models(&self) -> Result<Vec<ModelSchema>> {
        // Where the model's name is a part of the address, the endpoint alone knows which there are.
        Ok(if self.plan.names_model() { Vec::new() } else { vec![self.schema(RECORD)] })
    }

    async fn model(&self, name: &ModelName) -> Result<ModelSchema> {
        let text = name.as_str();
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        match self.plan.names_model() {
            true if plain && text.bytes().any(|byte| byte.is_ascii_alphanumeric()) => Ok(self.schema(text)),
            true => Err(Error::new(ErrorKind::NotFound, format!("{text:?} cannot be a model of this connection"))
                .hint("its templates use {{model}}: letters, digits, `_`, `-` and `.`")),
            false if text == RECORD => Ok(self.schema(text)),
            false => Err(Error::new(ErrorKind::NotFound, format!("this connection has no model `{text}`"))
                .hint("write model: record; or use {{model}} in the connection's url to serve several")),
        }
    }

    fn abilities(&self, _model: &ModelName) -> Abilities {
        let list = self.plan.list.as_ref();
        Abilities {
            read: list.is_some(),
            ordered: false,
            changes: false,
            fetch: list.is_some_and(|list| list.one.is_some()),
            delete: self.plan.delete.is_some(),
            clear: true,
            conditional: false,
            keyed: self.plan.repeatable,
            exactly_once: false,
            update_time: list.is_some_and(|list| list.updated_at.is_some()),
            whole: self.plan.whole(),
            max_batch: self.plan.size,
        }
    }

    fn limits(&self, _model: &ModelName, _records: Option<u64>) -> Limits {
        Limits { single: self.plan.envelope.is_none(), ..Limits::default() }
    }

    async fn mark(&self, _model: &ModelName) -> Result<String> {
        Err(Error::config(format!("{} has no list of changes", self.plan.host))
            .hint("it is read as a whole and compared"))
    }

    async fn read(&self, ask: PlatformAsk) -> Result<Pages> {
        self.read_all(&ask)
    }

    async fn fetch(&self, model: &ModelName, _key: &str, fields: &[String], refs: &[RecordRef]) -> Result<Page> {
        self.fetch_some(model, fields, refs).await
    }

    async fn count(&self, model: &ModelName, filter: &[Condition]) -> Result<u64> {
        self.count_all(model, filter).await
    }

    async fn write(&self, ask: &WriteAsk, batch: &[Change]) -> Result<Vec<Outcome>> {
        self.write_batch(ask, batch).await
    }

    async fn load(&self, model: &ModelName, _load: &Load, _pages: Pages) -> Result<Loaded> {
        Err(Error::config(format!("{model} is written record by record, not loaded")).hint("use write: upsert"))
    }

    async fn adopt(&self, _fence: &Fence) -> Result<()> {
        // An endpoint keeps no mark of who writes, so there is nothing to take over.
        Ok(())
    }
}
