//! Who is who: the keys of the records that others refer to, and the custom fields.
//!
//! Syncs give and read references as the parent's externalId; Planhat answers with its own ids. The map of all
//! companies comes from `/leancompanies` in one call and is kept: about 200 bytes a company. What we write ourselves
//! is noted; a name that is not in the map makes it be read again, once per call.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value as Json, json};
use tidegate_model::Result;
use tidegate_model::schema::FieldSchema;
use tidegate_model::value::Type;
use tokio::sync::Mutex;

use super::line::{Call, Host, Line, whole};
use super::models::{self, CUSTOM, Field, Layout, NUMBER, Wire, normal};

/// Most users and custom fields that a list gives at once.
const USERS_PAGE: usize = 10_000;
const CUSTOM_PAGE: usize = 2_000;

/// What a run asks of the custom fields when it begins, several times, is asked of Planhat once: each call counts.
const RECENT: Duration = Duration::from_secs(5);

/// How old the list of custom fields may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// As it was read last.
    Any,
    /// Not read before this run.
    Recent,
    /// As it is now.
    Now,
}

/// A record that others refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) id: String,
    pub(super) external: Option<String>,
    pub(super) source: Option<String>,
}

impl Parent {
    /// The text that syncs read.
    pub(super) fn shown(&self) -> &str {
        self.external.as_deref().unwrap_or(&self.id)
    }
    /// The text that names it in `companyId`.
    pub(super) fn named(&self) -> String {
        match (&self.external, &self.source) {
            (Some(external), _) => format!("extid-{external}"),
            (None, Some(source)) => format!("srcid-{source}"),
            (None, None) => self.id.clone(),
        }
    }
}

/// Parents by each of their names.
#[derive(Debug, Default)]
struct Known {
    loaded: bool,
    by_id: HashMap<String, Parent>,
    by_external: HashMap<String, String>,
    by_source: HashMap<String, String>,
}

impl Known {
    fn note(&mut self, parent: Parent) {
        if let Some(old) = self.by_id.get(&parent.id) {
            let (external, source) = (old.external.clone(), old.source.clone());
            external.filter(|_| parent.external.is_some()).map(|old| self.by_external.remove(&old));
            source.filter(|_| parent.source.is_some()).map(|old| self.by_source.remove(&old));
        }
        let entry = self.by_id.entry(parent.id.clone()).or_default();
        entry.id.clone_from(&parent.id);
        if let Some(external) = parent.external {
            self.by_external.insert(external.clone(), parent.id.clone());
            entry.external = Some(external);
        }
        if let Some(source) = parent.source {
            self.by_source.insert(source.clone(), parent.id);
            entry.source = Some(source);
        }
    }

    /// A deleted record cannot be named any more; those that refer to it read as before.
    fn forget(&mut self, id: &str) {
        if let Some(parent) = self.by_id.get(id) {
            parent.external.as_ref().map(|name| self.by_external.remove(name));
            parent.source.as_ref().map(|name| self.by_source.remove(name));
        }
    }

    fn find(&self, name: &str) -> Option<&Parent> {
        let id = match (name.strip_prefix("extid-"), name.strip_prefix("srcid-")) {
            (Some(external), _) => self.by_external.get(external),
            (_, Some(source)) => self.by_source.get(source),
            _ => self.by_external.get(name).or_else(|| self.by_source.get(name)),
        };
        match id {
            Some(id) => self.by_id.get(id),
            // An id whose record was deleted has lost its other names.
            None => self.by_id.get(name).filter(|parent| {
                parent.external.as_ref().is_none_or(|external| self.by_external.contains_key(external))
            }),
        }
    }
}

/// The custom fields of all models.
#[derive(Debug)]
struct Custom {
    read: Instant,
    /// Each with its model.
    fields: Vec<(String, Field)>,
}

/// The directory of a tenant.
#[derive(Debug)]
pub(super) struct Directory {
    line: Line,
    companies: Mutex<Known>,
    users: Mutex<Known>,
    custom: Mutex<Option<Custom>>,
}

fn text(json: &Json, key: &str) -> Option<String> {
    json[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

impl Directory {
    pub(super) fn new(line: Line) -> Self {
        Self { line, companies: Mutex::default(), users: Mutex::default(), custom: Mutex::default() }
    }

    fn of(&self, model: &str) -> &Mutex<Known> {
        if model == "user" { &self.users } else { &self.companies }
    }

    /// A list, page by page, to its end.
    async fn list(&self, endpoint: &str, page: usize, doing: &str) -> Result<Vec<Json>> {
        let mut all = Vec::new();
        loop {
            let query = [("limit", page.to_string()), ("offset", all.len().to_string())];
            let rows = self.rows(endpoint, &query, doing).await?;
            let last = rows.len() < page;
            all.extend(rows);
            if last {
                return Ok(all);
            }
        }
    }

    async fn rows(&self, endpoint: &str, query: &[(&str, String)], doing: &str) -> Result<Vec<Json>> {
        let path = [endpoint];
        let call = Call { host: Host::Main, method: Method::GET, path: &path, query, body: None, token: true, doing };
        let answer = self.line.call(call).await?;
        match answer.json() {
            Some(Json::Array(rows)) if answer.good() => Ok(rows),
            _ => Err(whole(&answer, doing)),
        }
    }

    async fn load(&self, model: &str, known: &mut Known) -> Result<()> {
        let rows = match model {
            "user" => self.list("users", USERS_PAGE, "read the users").await?,
            _ => self.rows("leancompanies", &[], "read the ids of all companies").await?,
        };
        *known = Known { loaded: true, ..Known::default() };
        for row in &rows {
            if let Some(id) = text(row, "_id") {
                known.note(Parent { id, external: text(row, "externalId"), source: text(row, "sourceId") });
            }
        }
        Ok(())
    }

    /// The records of a model that these names name: externalId, sourceId, id, `extid-…`, `srcid-…`.
    pub(super) async fn resolve(&self, model: &str, names: &[String]) -> Result<HashMap<String, Parent>> {
        let mut known = self.of(model).lock().await;
        let mut fresh = false;
        loop {
            if !known.loaded {
                self.load(model, &mut known).await?;
                fresh = true;
            }
            let found = names.iter().filter_map(|name| Some((name.clone(), known.find(name)?.clone())));
            let found: HashMap<String, Parent> = found.collect();
            if fresh || names.iter().all(|name| found.contains_key(name)) {
                return Ok(found);
            }
            known.loaded = false;
        }
    }

    /// How syncs read these ids; one that is not known stands for itself.
    pub(super) async fn shown(&self, model: &str, ids: &[String]) -> Result<HashMap<String, String>> {
        let mut known = self.of(model).lock().await;
        if !known.loaded || ids.iter().any(|id| !known.by_id.contains_key(id)) {
            // Deleted parents are not in a new list, and their children still name them.
            let old = std::mem::take(&mut known.by_id);
            self.load(model, &mut known).await?;
            for (id, parent) in old {
                known.by_id.entry(id).or_insert(parent);
            }
        }
        Ok(ids.iter().filter_map(|id| Some((id.clone(), known.by_id.get(id)?.shown().to_owned()))).collect())
    }

    /// Whether records of a model that we wrote are to be noted.
    pub(super) async fn notes(&self, model: &str) -> bool {
        matches!(model, "company" | "user") && self.of(model).lock().await.loaded
    }

    /// Notes records that we wrote.
    pub(super) async fn note(&self, model: &str, parents: Vec<Parent>) {
        let mut known = self.of(model).lock().await;
        if known.loaded {
            parents.into_iter().for_each(|parent| known.note(parent));
        }
    }

    /// Notes a record that we deleted.
    pub(super) async fn forget(&self, model: &str, id: &str) {
        if matches!(model, "company" | "user") {
            self.of(model).lock().await.forget(id);
        }
    }

    /// A model with its custom fields.
    pub(super) async fn layout(&self, model: &str, age: Age) -> Result<Layout> {
        let def = models::def(model)?;
        let mut custom = self.custom.lock().await;
        let kept = custom.as_ref().is_some_and(|custom| match age {
            Age::Any => true,
            Age::Recent => custom.read.elapsed() < RECENT,
            Age::Now => false,
        });
        if !kept {
            let read = Instant::now();
            let rows = self.list("customfields", CUSTOM_PAGE, "read the custom fields").await?;
            *custom = Some(Custom { read, fields: rows.iter().filter_map(defined).collect() });
        }
        let all = custom.iter().flat_map(|custom| &custom.fields);
        let own = all.filter(|(parent, _)| parent == model);
        Ok(Layout { def, custom: own.map(|(_, field)| field.clone()).collect() })
    }

    /// Defines a custom field.
    pub(super) async fn define(&self, model: &str, name: &str, logical: Type) -> Result<()> {
        let doing = "define a custom field";
        let own = name.strip_prefix(CUSTOM).unwrap_or(name);
        let body = json!({ "parent": model, "name": own, "type": word(logical) }).to_string().into_bytes();
        let path = ["customfields"];
        let call = Call {
            host: Host::Main,
            method: Method::POST,
            path: &path,
            query: &[],
            body: Some(body),
            token: true,
            doing,
        };
        let answer = self.line.call(call).await?;
        if answer.good() { Ok(()) } else { Err(whole(&answer, doing)) }
    }
}

/// Planhat's word for a type.
fn word(logical: Type) -> &'static str {
    match logical {
        Type::Int64 | Type::Decimal { .. } | Type::Float64 => "number",
        Type::Bool => "checkbox",
        Type::Date => "day",
        Type::Timestamp | Type::TimestampTz => "date",
        Type::List => "multipicklist",
        Type::Text | Type::Time | Type::Binary | Type::Json => "text",
    }
}

/// The model and field of a definition.
fn defined(row: &Json) -> Option<(String, Field)> {
    let (parent, name) = (text(row, "parent")?, text(row, "name")?);
    let kind = row["type"].as_str().unwrap_or_default().to_lowercase();
    let (logical, wire) = match kind.as_str() {
        "number" | "rating" | "currency" | "percentage" => (NUMBER, None),
        "checkbox" | "boolean" | "bool" => (Type::Bool, None),
        "day" => (Type::Date, Some(Wire::Day)),
        "date" | "datetime" => (Type::TimestampTz, None),
        "multipicklist" | "team members" | "endusers" | "end users" => (Type::List, None),
        _ => (Type::Text, None),
    };
    let schema = FieldSchema {
        read_only: row["isFormula"].as_bool().unwrap_or(false),
        normal: normal(logical),
        help: format!("Custom field ({kind})."),
        ..FieldSchema::new(format!("{CUSTOM}{name}"), logical)
    };
    Some((parent, Field { wire, ..Field::plain(schema) }))
}
