//! User activities and custom metrics: to the analytics host, which takes everything and deduplicates nothing.
//!
//! "200" there means received. What Planhat then makes of an event is seen in its app alone, so rows count as
//! acknowledged, never as applied. A load goes out in as few calls as fit under 32 MB. When an answer is lost the load
//! is `Lost`: the engine decides by `on_uncertain`.

use reqwest::Method;
use serde_json::{Map, Value as Json};
use tidegate_model::cells::value_at;
use tidegate_model::change::FieldReject;
use tidegate_model::page::{Page, Pages};
use tidegate_model::ports::{Load, LoadMode, Loaded, MAX_REJECTS_LISTED};
use tidegate_model::schema::{Case, FieldSchema, ModelKind, ModelName, ModelSchema, NormalForm};
use tidegate_model::value::Type;
use tidegate_model::{Error, ErrorKind, Result};

use super::Planhat;
use super::codec::encode;
use super::config::{Usage, UsageNames};
use super::items::scrubbed;
use super::line::{Answer, Call, Host, whole};
use super::models::{Field, NUMBER, normal};

/// The model of user activities.
pub(super) const ACTIVITY: &str = "user_activity";
/// The model of custom metrics.
pub(super) const METRIC: &str = "custom_metric";
/// Most bytes of a body: the host refuses 32 MB.
const BODY_MAX: usize = 31 << 20;
/// Most rows of a load that are worth handing over at once.
pub(super) const ROWS_MAX: u32 = 100_000;

/// Whether a model is a series.
pub(super) fn is_series(model: &str) -> bool {
    model == ACTIVITY || model == METRIC
}

fn field(name: &str, logical: Type, help: &str) -> FieldSchema {
    FieldSchema { help: help.to_owned(), normal: normal(logical), ..FieldSchema::new(name, logical) }
}

fn to(model: &str, name: &str, help: &str) -> FieldSchema {
    FieldSchema { references: Some(ModelName(model.to_owned())), ..field(name, Type::Text, help) }
}

/// As described to the outside.
pub(super) fn schema(model: &str) -> ModelSchema {
    let date = field("date", Type::TimestampTz, "When; the time of arrival if it is not given.");
    let fields = if model == ACTIVITY {
        let lower = NormalForm { trim: true, case: Some(Case::Lower), ..NormalForm::default() };
        vec![
            to("company", "companyExternalId", "The company's externalId; needed to make end users that are new."),
            FieldSchema { normal: lower, ..to("enduser", "email", "The end user's mail address.") },
            to("enduser", "externalId", "The end user's externalId."),
            field("name", Type::Text, "Full name, for end users that are new."),
            field("firstName", Type::Text, "First name, for end users that are new."),
            field("lastName", Type::Text, "Last name, for end users that are new."),
            field("action", Type::Text, "What was done; without it nothing shows in the stream."),
            field("weight", NUMBER, "How much it weighs; 1 if not given."),
            field("count", Type::Int64, "How often; 1 if not given."),
            date,
            field("info", Type::Json, "Anything more."),
        ]
    } else {
        let models = ["Company", "EndUser", "Asset", "Project"].map(str::to_owned).to_vec();
        vec![
            FieldSchema { required: true, ..field("dimensionId", Type::Text, "What is measured; no spaces.") },
            FieldSchema { required: true, ..field("value", NUMBER, "The measured value.") },
            FieldSchema { one_of: models, ..field("model", Type::Text, "What it is about; Company if not given.") },
            FieldSchema { required: true, ..to("company", "externalId", "The record's externalId.") },
            date,
        ]
    };
    let name = ModelName(model.to_owned());
    let (keys, customs) = (Vec::new(), Vec::new());
    ModelSchema { name, kind: ModelKind::Series, fields, keys, custom_fields: false, open: false, customs }
}

/// A row that can be sent.
struct Row {
    number: u64,
    json: Map<String, Json>,
    bytes: Vec<u8>,
}

/// Turns rows of pages into items.
struct Maker {
    model: &'static str,
    fields: Vec<Field>,
    usage: Usage,
    names: UsageNames,
}

impl Maker {
    /// The name that a field has in a body.
    fn wired<'n>(&self, name: &'n str) -> &'n str {
        match (self.model == ACTIVITY && self.usage == Usage::Bulk, self.names, name) {
            (true, UsageNames::Current, "externalId") => "euExtId",
            (true, UsageNames::Old, "externalId") => "id",
            (true, UsageNames::Old, "companyExternalId") => "cId",
            _ => name,
        }
    }

    fn row(&self, page: &Page, row: usize) -> Result<Map<String, Json>, FieldReject> {
        let mut json = Map::new();
        for field in &self.fields {
            let Ok(column) = page.rows.schema().index_of(field.name()) else { continue };
            let value = value_at(&page.rows, column, row);
            if !value.is_null() {
                json.insert(self.wired(field.name()).to_owned(), encode(field, &value)?);
            }
        }
        self.whole(json)
    }

    fn whole(&self, json: Map<String, Json>) -> Result<Map<String, Json>, FieldReject> {
        let has = |name: &str| json.get(self.wired(name)).is_some_and(|value| *value != "");
        if self.model == ACTIVITY && !has("email") && !has("externalId") {
            let reason = "the event names nobody: Planhat ignores those without email and externalId";
            return Err(FieldReject::record("null_key", reason));
        }
        if let Some(field) = self.fields.iter().find(|field| field.schema.required && !has(field.name())) {
            let reason = format!("{} must not be empty", field.name());
            return Err(FieldReject::field(field.name(), "required", reason));
        }
        Ok(json)
    }
}

/// Rows that wait for a call, and what came of those before.
struct Sending<'a> {
    planhat: &'a Planhat,
    maker: &'a Maker,
    loaded: Loaded,
    waiting: Vec<Row>,
    bytes: usize,
    /// Why the rest is not sent any more.
    stopped: Option<Error>,
}

impl Sending<'_> {
    fn refuse(&mut self, row: u64, mut why: FieldReject) {
        if self.loaded.rejected.len() >= MAX_REJECTS_LISTED {
            why.reason.truncate(0);
        }
        self.loaded.rejected.push((row, why));
    }

    async fn add(&mut self, number: u64, json: Map<String, Json>) -> Result<()> {
        let bytes = serde_json::to_vec(&json).map_err(|error| Error::internal("an item's JSON").cause(error))?;
        if bytes.len() + 2 > BODY_MAX {
            let why = FieldReject::record("too_long", "the event alone is larger than Planhat's 32 MB");
            self.refuse(number, why);
            return Ok(());
        }
        let full = self.maker.usage == Usage::Single && self.maker.model == ACTIVITY && !self.waiting.is_empty();
        if full || self.bytes + bytes.len() + 2 > BODY_MAX {
            self.send().await?;
        }
        self.bytes += bytes.len() + 1;
        self.waiting.push(Row { number, json, bytes });
        Ok(())
    }

    async fn send(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        if rows.is_empty() {
            return Ok(());
        }
        if self.stopped.is_none() {
            let first = self.loaded.created == 0;
            match self.planhat.post(self.maker, &rows).await {
                Ok(answer) => {
                    self.loaded.requests += 1;
                    return self.taken(rows, &answer);
                }
                Err(error) if first => return Err(error),
                // Calls before this one were taken: the load as a whole can be neither repeated nor denied.
                Err(error) if error.kind == ErrorKind::Lost => {
                    let taken = self.loaded.created;
                    return Err(error.at(format!("{taken} rows were acknowledged before")));
                }
                Err(error) => self.stopped = Some(error),
            }
        }
        let why = self.stopped.as_ref().map_or_else(String::new, ToString::to_string);
        for row in rows {
            self.refuse(row.number, FieldReject::record("not_sent", format!("it was not sent: {why}")));
        }
        Ok(())
    }

    /// Cheap validation alone shows in the answer.
    fn taken(&mut self, rows: Vec<Row>, answer: &Answer) -> Result<()> {
        let errors = match answer.json() {
            Some(Json::Object(object)) => object.get("errors").and_then(Json::as_array).cloned().unwrap_or_default(),
            _ => Vec::new(),
        };
        let mut open: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
        for error in &errors {
            let named = error.get("item").and_then(Json::as_object);
            let at = open.iter().position(|row| row.as_ref().is_some_and(|row| Some(&row.json) == named));
            let text = error.get("error").and_then(Json::as_str).unwrap_or("it gave no reason");
            let Some(row) = at.and_then(|at| open[at].take()) else {
                // Of the whole body: nothing of it was understood.
                if named.is_none() && open.iter().all(Option::is_some) {
                    let what = format!("Planhat does not understand the {}", self.maker.model);
                    return Err(Error::new(ErrorKind::BadRequest, what).cause(text));
                }
                continue;
            };
            let why = format!("Planhat refused the row: {}", scrubbed(text, row.json.values()));
            self.refuse(row.number, FieldReject::record("refused", why));
        }
        self.loaded.created += open.iter().flatten().count() as u64;
        Ok(())
    }
}

impl Planhat {
    /// Loads pages into a series.
    pub(super) async fn load_series(&self, model: &str, load: &Load, mut pages: Pages) -> Result<Loaded> {
        if load.mode != LoadMode::Append {
            return Err(
                Error::config(format!("{model} is appended to, and nothing else")).hint("write `write: append`")
            );
        }
        let model = if model == ACTIVITY { ACTIVITY } else { METRIC };
        let fields = schema(model).fields.into_iter().map(Field::plain).collect();
        let maker = Maker { model, fields, usage: self.usage, names: self.usage_names };
        let (planhat, loaded) = (self, Loaded::default());
        let mut sending = Sending { planhat, maker: &maker, loaded, waiting: Vec::new(), bytes: 2, stopped: None };
        let mut number = 0;
        while let Some(page) = pages.next().await? {
            for row in 0..page.len() {
                match maker.row(&page, row) {
                    Ok(json) => sending.add(number, json).await?,
                    Err(why) => sending.refuse(number, why),
                }
                number += 1;
            }
        }
        sending.send().await?;
        sending.loaded.rejected.sort_by_key(|(row, _)| *row);
        Ok(sending.loaded)
    }

    async fn post(&self, maker: &Maker, rows: &[Row]) -> Result<Answer> {
        let tenant = self.tenant.as_deref().ok_or_else(|| {
            Error::config(format!("{} needs the tenant, and the connection names none", maker.model))
                .hint("set `tenant` in the connection: the UUID under Settings, Developer")
        })?;
        let single = maker.model == ACTIVITY && maker.usage == Usage::Single;
        let body = match (single, rows) {
            (true, [row]) => row.bytes.clone(),
            _ => array(rows),
        };
        let path: &[&str] = match (maker.model, single) {
            (METRIC, _) => &["dimensiondata", tenant],
            (_, true) => &["analytics", tenant],
            (_, false) => &["analytics", "bulk", tenant],
        };
        let doing = format!("send {} rows of {}", rows.len(), maker.model);
        let call = Call {
            host: Host::Analytics,
            method: Method::POST,
            path,
            query: &[],
            body: Some(body),
            token: maker.model == METRIC,
            doing: &doing,
        };
        let answer = self.line.call(call).await?;
        if answer.good() { Ok(answer) } else { Err(whole(&answer, &doing)) }
    }
}

fn array(rows: &[Row]) -> Vec<u8> {
    let mut body = Vec::with_capacity(rows.iter().map(|row| row.bytes.len() + 1).sum::<usize>() + 2);
    body.push(b'[');
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&row.bytes);
    }
    body.push(b']');
    body
}
