//! A project and how it is used: queries with small answers, jobs that are waited for.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use tidegate_model::finding::Finding;
use tidegate_model::schema::Relation;
use tidegate_model::{Error, ErrorKind, Result};
use tokio::sync::OnceCell;

use super::auth::Tokens;
use super::config::{Settings, Storage};
use super::errors::Refusal;
use super::rest::{Rest, WAIT_MS};
use super::storage::Reader;
use super::under_way::UnderWay;

/// Rows of one REST answer: BigQuery sends some megabytes at most, and they are held as JSON before they are rows.
const REST_ROWS_MAX: u32 = 4_000;

/// For how long the first answer of a query is held back: it alone says what the job is called, and without that name
/// nobody can cancel it. Most are done by then.
const FIRST_WAIT_MS: u32 = 1_000;

/// A project, and a meter of what is asked of it through this.
pub(super) struct Server {
    pub(super) rest: Arc<Rest>,
    pub(super) project: String,
    pub(super) dataset: Option<String>,
    pub(super) location: Option<String>,
    pub(super) storage: Storage,
    pub(super) reader: Arc<OnceCell<Reader>>,
    bytes_max: Option<u64>,
    pub(super) write: bool,
    /// Name of the connection, for messages.
    pub(super) name: String,
    /// Dataset of our own tables.
    pub(super) work: String,
    /// Whether our own dataset and tables are known to be there.
    pub(super) made: Arc<AtomicBool>,
    billed: AtomicU64,
    /// Syncs whose fence table is known to be there.
    pub(super) fences: Arc<Mutex<HashSet<String>>>,
}

/// A value that a query's `@pN` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Param {
    /// One value, by its text.
    One(&'static str, String),
    /// A list of values of one type.
    Many(&'static str, Vec<String>),
}

impl Param {
    /// A text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::One("STRING", text.into())
    }

    fn json(&self, at: usize) -> Json {
        let name = format!("p{at}");
        match self {
            Self::One(kind, text) => {
                json!({ "name": name, "parameterType": { "type": kind }, "parameterValue": { "value": text } })
            }
            Self::Many(kind, texts) => {
                let values: Vec<Json> = texts.iter().map(|text| json!({ "value": text })).collect();
                json!({
                    "name": name, "parameterType": { "type": "ARRAY", "arrayType": { "type": kind } },
                    "parameterValue": { "arrayValues": values },
                })
            }
        }
    }
}

fn params_json(params: &[Param]) -> Vec<Json> {
    params.iter().enumerate().map(|(at, param)| param.json(at)).collect()
}

/// A finished query.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) job: String,
    pub(super) location: Option<String>,
    pub(super) total: u64,
    /// The rows that came along.
    pub(super) rows: Vec<Vec<Option<String>>>,
    /// Where the next rows are.
    pub(super) token: Option<String>,
}

impl Answer {
    fn of(json: &mut Json) -> Self {
        let text = |value: &Json| value.as_str().map(str::to_owned);
        let rows = json["rows"].take();
        Self {
            job: text(&json["jobReference"]["jobId"]).unwrap_or_default(),
            location: text(&json["jobReference"]["location"]),
            total: json["totalRows"].as_str().and_then(|total| total.parse().ok()).unwrap_or(0),
            rows: rows_of(rows),
            token: text(&json["pageToken"]).filter(|token| !token.is_empty()),
        }
    }

    /// The first cell of the first row.
    pub(super) fn one(&self) -> Option<&str> {
        self.rows.first()?.first()?.as_deref()
    }
}

fn rows_of(rows: Json) -> Vec<Vec<Option<String>>> {
    let Json::Array(rows) = rows else { return Vec::new() };
    let cell = |cell: &mut Json| match cell["v"].take() {
        Json::Null => None,
        Json::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    let row = |mut row: Json| match row["f"].as_array_mut() {
        Some(cells) => cells.iter_mut().map(cell).collect(),
        None => Vec::new(),
    };
    rows.into_iter().map(row).collect()
}

impl Server {
    pub(super) fn new(settings: Settings, write: bool, name: String, work: String) -> Result<Self> {
        Ok(Self {
            rest: Arc::new(Rest::new(
                &settings.rest,
                Tokens::new(settings.login, settings.targets.clone()),
                settings.targets,
            )?),
            project: settings.project,
            dataset: settings.dataset,
            location: settings.location,
            storage: settings.storage,
            reader: Arc::default(),
            bytes_max: settings.bytes_max,
            write,
            name,
            work,
            made: Arc::default(),
            billed: AtomicU64::new(0),
            fences: Arc::default(),
        })
    }

    /// The same project with a meter of its own, at nothing.
    pub(super) fn metered(&self) -> Self {
        Self {
            rest: Arc::clone(&self.rest),
            project: self.project.clone(),
            dataset: self.dataset.clone(),
            location: self.location.clone(),
            storage: self.storage.clone(),
            reader: Arc::clone(&self.reader),
            bytes_max: self.bytes_max,
            write: self.write,
            name: self.name.clone(),
            work: self.work.clone(),
            made: Arc::clone(&self.made),
            billed: AtomicU64::new(0),
            fences: Arc::clone(&self.fences),
        }
    }

    /// An error unless the connection was opened for writing.
    pub(super) fn may_write(&self) -> Result<()> {
        if self.write {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Forbidden, format!("connection {} is opened with access: read", self.name))
            .hint(format!("set `access: write` in connections/{}.yaml to let tidegate write there", self.name)))
    }

    /// Bytes that the queries asked through this were billed so far.
    pub(super) fn billed(&self) -> u64 {
        self.billed.load(Ordering::Relaxed)
    }

    /// A full read that the guard would refuse.
    pub(super) fn over_budget(&self, relation: &Relation, bytes: Option<u64>) -> Option<Finding> {
        let (most, bytes) = (self.bytes_max?, bytes?);
        if bytes <= most {
            return None;
        }
        let why = format!(
            "a full read of {relation} is billed {bytes} bytes, more than maximum_bytes_billed ({most}): it will be refused"
        );
        let fix = "map fewer columns, use `changes: tracking` or `cursor`, or raise `maximum_bytes_billed:`";
        Some(Finding::warning("over_budget", why, fix))
    }

    fn note_billed(&self, doing: &str, job: &str, bytes: Option<u64>) {
        let Some(bytes) = bytes else { return };
        self.billed.fetch_add(bytes, Ordering::Relaxed);
        tracing::debug!(connection = %self.name, job, bytes_billed = bytes, "{doing}");
    }

    /// Runs a query and waits until it is done. Its rows come along as far as one answer carries them; `rows` says
    /// whether they are wanted at all. Where nobody waits any more, or its answers do not arrive, it is cancelled.
    pub(super) async fn attempt(
        &self,
        sql: &str,
        params: &[Param],
        rows: bool,
        doing: &str,
    ) -> Result<std::result::Result<Answer, Refusal>> {
        let most = if rows { REST_ROWS_MAX } else { 0 };
        let mut body = self.query_body(sql, params);
        body["timeoutMs"] = json!(FIRST_WAIT_MS);
        body["maxResults"] = json!(most);
        body["formatOptions"] = json!({ "useInt64Timestamp": true });
        body["labels"] = json!({ "app": "tidegate" });
        let mut under_way = UnderWay::asked(&self.rest, &self.project, body, doing);
        let told = under_way.told().await;
        // A query whose answer is lost may be asked again.
        let told = told.map_err(|error| match error.kind {
            ErrorKind::Lost => Error { kind: ErrorKind::Unavailable, ..error },
            _ => error,
        })?;
        let mut json = match told {
            Ok(json) => json,
            Err(refusal) => return Ok(Err(refusal)),
        };
        while json["jobComplete"] != true {
            let (job, location) = job_of(&json);
            match self.results(&job, location.as_deref(), None, most, doing).await? {
                Ok(more) => json = more,
                Err(refusal) => {
                    under_way.over();
                    return Ok(Err(Refusal { job, ..refusal }));
                }
            }
        }
        under_way.over();
        let (job, location) = job_of(&json);
        let billed = match number(&json["totalBytesBilled"]) {
            // Only the first answer says it: of a query that took longer the job does.
            None if !job.is_empty() => {
                let told = self.job(&job, location.as_deref(), doing).await?;
                number(&told["statistics"]["query"]["totalBytesBilled"])
            }
            billed => billed,
        };
        self.note_billed(doing, &job, billed);
        Ok(Ok(Answer::of(&mut json)))
    }

    /// The same; what BigQuery says against it is an error.
    pub(super) async fn run(&self, sql: &str, params: &[Param], rows: bool, doing: &str) -> Result<Answer> {
        self.attempt(sql, params, rows, doing).await?.map_err(|refusal| refusal.error(doing))
    }

    /// All rows of a query whose result is small.
    pub(super) async fn look(&self, sql: &str, params: &[Param], doing: &str) -> Result<Answer> {
        let mut answer = self.run(sql, params, true, doing).await?;
        while let Some(token) = answer.token.take() {
            let more = self.page(&answer, Some(&token), doing).await?;
            answer.rows.extend(more.rows);
            answer.token = more.token;
        }
        Ok(answer)
    }

    /// One page of rows of a finished query.
    pub(super) async fn page(&self, answer: &Answer, token: Option<&str>, doing: &str) -> Result<Answer> {
        let told = self.results(&answer.job, answer.location.as_deref(), token, REST_ROWS_MAX, doing).await?;
        told.map(|mut json| Answer::of(&mut json)).map_err(|refusal| refusal.error(doing))
    }

    async fn results(
        &self,
        job: &str,
        location: Option<&str>,
        token: Option<&str>,
        most: u32,
        doing: &str,
    ) -> Result<std::result::Result<Json, Refusal>> {
        let (most, wait) = (most.to_string(), WAIT_MS.to_string());
        let mut query = vec![
            ("maxResults", most.as_str()),
            ("timeoutMs", wait.as_str()),
            ("formatOptions.useInt64Timestamp", "true"),
        ];
        query.extend(location.map(|location| ("location", location)));
        query.extend(token.map(|token| ("pageToken", token)));
        self.rest.get(&["projects", &self.project, "queries", job], &query, doing).await
    }

    fn query_body(&self, sql: &str, params: &[Param]) -> Json {
        let mut body = json!({ "query": sql, "useLegacySql": false });
        if !params.is_empty() {
            body["parameterMode"] = json!("NAMED");
            body["queryParameters"] = Json::Array(params_json(params));
        }
        if let Some(location) = &self.location {
            body["location"] = json!(location);
        }
        if let Some(most) = self.bytes_max {
            body["maximumBytesBilled"] = json!(most.to_string());
        }
        body
    }

    /// What a query would give and read: the schema's fields, the kind of statement, bytes.
    pub(super) async fn dry_run(&self, sql: &str, params: &[Param], doing: &str) -> Result<Dry> {
        let mut body = self.query_body(sql, params);
        body["dryRun"] = json!(true);
        let told = self.rest.post(&["projects", &self.project, "queries"], &body, doing).await?;
        let json = told.map_err(|refusal| refusal.error(doing))?;
        let kind = json["statementType"].as_str().map(str::to_owned);
        let fields = json["schema"]["fields"].as_array().cloned().unwrap_or_default();
        Ok(Dry { kind, fields, bytes: number(&json["totalBytesProcessed"]) })
    }

    /// Starts a query job under a name.
    pub(super) async fn start(
        &self,
        id: &str,
        location: Option<&str>,
        (sql, params): (&str, &[Param]),
        doing: &str,
    ) -> Result<std::result::Result<Json, Refusal>> {
        let mut query = self.query_body(sql, params);
        if let Some(query) = query.as_object_mut() {
            query.remove("location");
        }
        let body = json!({
            "jobReference": self.job_reference(id, location),
            "configuration": { "query": query, "labels": { "app": "tidegate" } },
        });
        self.rest.post(&["projects", &self.project, "jobs"], &body, doing).await
    }

    /// A job's name, and where it runs: where the connection says, else where the table is.
    pub(super) fn job_reference(&self, id: &str, location: Option<&str>) -> Json {
        let mut reference = json!({ "projectId": self.project, "jobId": id });
        if let Some(location) = self.location.as_deref().or(location) {
            reference["location"] = json!(location);
        }
        reference
    }

    /// A job as it stands.
    pub(super) async fn job(&self, id: &str, location: Option<&str>, doing: &str) -> Result<Json> {
        let query: Vec<(&str, &str)> = location.map(|location| ("location", location)).into_iter().collect();
        let told = self.rest.get(&["projects", &self.project, "jobs", id], &query, doing).await?;
        told.map_err(|refusal| refusal.error(doing))
    }

    /// Waits until a job has ended: with nothing to say, or with what went wrong. Where nobody waits any more it is
    /// cancelled: its operation goes on under the next attempt's name.
    pub(super) async fn wait(&self, job: Json, doing: &str) -> Result<std::result::Result<Json, Refusal>> {
        let mut under_way = UnderWay::running(&self.rest, &self.project, job_of(&job));
        let ended = self.ended(job, doing).await;
        // A look that failed says nothing of the job: by its name it is found again.
        under_way.over();
        ended
    }

    async fn ended(&self, mut job: Json, doing: &str) -> Result<std::result::Result<Json, Refusal>> {
        let (id, location) = job_of(&job);
        let mut pause = std::time::Duration::from_millis(100);
        while job["status"]["state"] != "DONE" {
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(std::time::Duration::from_secs(5));
            job = self.job(&id, location.as_deref(), doing).await?;
        }
        self.note_billed(doing, &id, number(&job["statistics"]["query"]["totalBytesBilled"]));
        let error = &job["status"]["errorResult"];
        if error.is_null() { Ok(Ok(job)) } else { Ok(Err(Refusal::of_job(error, &id))) }
    }
}

/// What a dry run tells.
#[derive(Debug)]
pub(super) struct Dry {
    pub(super) kind: Option<String>,
    pub(super) fields: Vec<Json>,
    pub(super) bytes: Option<u64>,
}

/// A job's name and place.
pub(super) fn job_of(json: &Json) -> (String, Option<String>) {
    let reference = &json["jobReference"];
    let text = |name: &str| reference[name].as_str().map(str::to_owned);
    (text("jobId").unwrap_or_default(), text("location"))
}

/// Numbers travel as texts.
pub(super) fn number(value: &Json) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_bound_by_its_type() {
        let param = Param::Many("INT64", vec!["1".into(), "2".into()]).json(3);
        assert_eq!((&param["name"], &param["parameterType"]["arrayType"]["type"]), (&json!("p3"), &json!("INT64")));
        assert_eq!(param["parameterValue"]["arrayValues"][1]["value"], "2");
    }

    #[test]
    fn rows_are_texts_and_nulls() {
        let mut json = json!({
            "jobReference": { "jobId": "j", "location": "EU" }, "totalRows": "2",
            "rows": [{ "f": [{ "v": "1" }, { "v": null }] }, { "f": [{ "v": "" }, { "v": "x" }] }],
        });
        let answer = Answer::of(&mut json);
        assert_eq!((answer.total, answer.one()), (2, Some("1")));
        assert_eq!(answer.rows[1], [Some(String::new()), Some("x".to_owned())]);
    }
}
