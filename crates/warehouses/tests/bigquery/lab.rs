//! A dataset of its own for each test, on the emulator that TIDEGATE_TEST_BIGQUERY names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use serde_json::{Value as Json, json};
use tidegate_model::ports::{Place, ReadAsk, ReadMode, Warehouse};
use tidegate_model::schema::{Relation, Source};
use tidegate_model::value::Type;
use tidegate_testkit::warehouse_suite::Lab;
use tidegate_warehouses::{OpenContext, open};

use super::proxy::Proxy;
use super::shaky::Insistent;
use super::wire;

/// A dataset of the emulator, seen as its owner.
pub struct Emulated {
    pub rest: String,
    pub storage: String,
    pub project: String,
    pub dataset: String,
    http: reqwest::Client,
    /// Addresses for REST and storage that a connection is given in place of the emulator's own; calls are repeated.
    ways: Option<[String; 2]>,
    _datasets: Datasets,
}

/// The URL of the datasets of a test and its own one's name; they go with it. The emulator looks through all tables for each
/// statement: what a test leaves behind makes those that follow slower.
struct Datasets(String, String);

impl Drop for Datasets {
    fn drop(&mut self) {
        let own = [self.1.clone(), format!("{}_TIDEGATE", self.1)];
        let urls = own.map(|dataset| format!("{}/{dataset}?deleteContents=true", self.0));
        // On a thread of its own: this one may be a runtime's.
        let gone = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let client = tidegate_net::http::Http::default().client().unwrap();
                for url in urls {
                    // The second is not always there.
                    let answer = client.delete(&url).send().await.expect("the emulator");
                    assert!(answer.status().is_success() || answer.status() == 404, "{url}: {}", answer.status());
                }
            });
        });
        let gone = gone.join();
        // A test that fails says why by itself.
        assert!(gone.is_ok() || std::thread::panicking(), "the test's datasets could not be dropped");
    }
}

/// A line of the Storage Read API breaks after so many bytes of answers, on a bad day.
const LINE_BYTES: usize = 4 << 20;

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Emulated {
    pub async fn new() -> Self {
        Self::of("lab").await
    }

    /// Results come by REST.
    pub async fn by_rest() -> Self {
        Self { storage: "none".into(), ..Self::new().await }
    }

    /// In a project on a bad day.
    pub async fn shaky() -> Self {
        let lab = Self::new().await;
        let rest = Proxy::shaking(&lab).await;
        let (storage, _) = wire::breaking(&lab.storage, usize::MAX, LINE_BYTES).await;
        Self { ways: Some([rest, storage]), ..lab }
    }

    /// In a project whose clock is ahead of its history.
    pub async fn ahead() -> Self {
        Self::of("ahead").await
    }

    async fn of(project: &str) -> Self {
        let both = std::env::var("TIDEGATE_TEST_BIGQUERY").expect(
            "TIDEGATE_TEST_BIGQUERY names no emulator: run the tests by ./test quick -p tidegate-warehouses, or start one with scripts/services",
        );
        let (rest, storage) = both.split_once(' ').expect("two addresses");
        let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
        let dataset = format!("lab_{}_{at}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let http = tidegate_net::http::Http::default().client().unwrap();
        let url = format!("{rest}/bigquery/v2/projects/{project}/datasets");
        let lab = Self {
            rest: rest.into(),
            storage: storage.into(),
            project: project.into(),
            _datasets: Datasets(url.clone(), dataset.clone()),
            dataset,
            http,
            ways: None,
        };
        let body = json!({ "datasetReference": { "projectId": lab.project, "datasetId": lab.dataset } });
        let made = lab.http.post(url).json(&body).send().await.expect("the emulator");
        assert!(made.status().is_success(), "{}", made.text().await.unwrap());
        lab
    }

    /// Runs one statement as it is.
    pub async fn run(&self, sql: &str) -> Json {
        let url = format!("{}/bigquery/v2/projects/{}/queries", self.rest, self.project);
        let body = json!({
            "query": sql, "useLegacySql": false, "timeoutMs": 60_000,
            "defaultDataset": { "projectId": self.project, "datasetId": self.dataset },
        });
        let reply = self.http.post(url).json(&body).send().await.expect("the emulator");
        let (status, text) = (reply.status(), reply.text().await.unwrap());
        assert!(status.is_success(), "{text}: {sql}");
        serde_json::from_str(&text).expect("an answer")
    }

    /// The settings of a connection.
    pub fn settings(&self) -> Json {
        let [rest, storage] = self.ways.as_ref().map_or([&self.rest, &self.storage], |[rest, storage]| [rest, storage]);
        json!({
            "project": self.project, "dataset": self.dataset, "endpoint": rest,
            "storage_endpoint": storage, "auth": { "method": "none" },
        })
    }

    /// What reads every row of a table, in any order.
    pub fn reading(&self, table: &str, columns: &[&str]) -> ReadAsk {
        ReadAsk {
            source: Source::Relation(self.relation(table)),
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            mode: ReadMode::Unordered,
            page_rows: 10_000,
            timezone: "UTC".into(),
        }
    }

    /// A connection with these settings.
    pub fn with(&self, settings: &Json, write: bool) -> Arc<dyn Warehouse> {
        let context = OpenContext {
            project_dir: std::env::temp_dir(),
            access_write: write,
            work_schema: format!("{}_TIDEGATE", self.dataset),
            name: "lake".into(),
            vault: tidegate_net::oauth::in_memory(),
            targets: None,
        };
        let warehouse = open("bigquery", settings, &context).unwrap();
        if self.ways.is_some() { Arc::new(Insistent(warehouse)) } else { warehouse }
    }
}

/// What the suite writes in everybody's SQL, in BigQuery's: names in backticks, texts with backslashes, keys that
/// nobody enforces. Statements that are BigQuery's own already stay as they are.
fn translated(sql: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        let out = found.last_mut().unwrap();
        match c {
            ';' => found.push(String::new()),
            '`' => {
                out.push('`');
                for c in chars.by_ref().take_while(|c| *c != '`') {
                    out.push(c);
                }
                out.push('`');
            }
            '"' | '\'' => {
                let close = if c == '"' { '`' } else { '\'' };
                out.push(close);
                while let Some(inner) = chars.next() {
                    match inner {
                        inner if inner == c && chars.peek() == Some(&c) => {
                            chars.next();
                            out.push_str(if c == '\'' { "\\'" } else { "\"" });
                        }
                        inner if inner == c => break,
                        '\\' => out.push_str("\\\\"),
                        inner => out.push(inner),
                    }
                }
                out.push(close);
            }
            c => out.push(c),
        }
    }
    found.iter().map(|one| declared(one.trim())).filter(|one| !one.is_empty()).collect()
}

/// Types and keys as BigQuery declares them.
fn declared(sql: &str) -> String {
    let sql = sql.replace("VARCHAR(", "STRING(").replace("PRIMARY KEY (a, c)", "PRIMARY KEY (a, c) NOT ENFORCED");
    let mut parts = sql.split("PRIMARY KEY").peekable();
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let whole = part.starts_with(" (") || part.starts_with(" NOT ENFORCED");
        out.push_str(if whole { "PRIMARY KEY" } else { "PRIMARY KEY NOT ENFORCED" });
        out.push_str(part);
    }
    out
}

#[async_trait]
impl Lab for Emulated {
    async fn exec(&self, sql: &str) {
        for statement in translated(sql) {
            self.run(&statement).await;
        }
    }

    async fn ask(&self, sql: &str) -> Option<String> {
        let sql = translated(sql).remove(0);
        let reply = self.run(&format!("SELECT CAST(({sql}) AS STRING)")).await;
        reply["rows"][0]["f"][0]["v"].as_str().map(str::to_owned)
    }

    fn open(&self, write: bool) -> Arc<dyn Warehouse> {
        self.with(&self.settings(), write)
    }

    fn native(&self, logical: Type) -> String {
        match logical {
            Type::Bool => "BOOL".into(),
            Type::Int64 => "INT64".into(),
            Type::Decimal { precision, scale } if scale <= 9 => format!("NUMERIC({precision}, {scale})"),
            Type::Decimal { precision, scale } => format!("BIGNUMERIC({precision}, {scale})"),
            Type::Float64 => "FLOAT64".into(),
            Type::Text => "STRING".into(),
            Type::Date => "DATE".into(),
            Type::Time => "TIME".into(),
            Type::Timestamp => "DATETIME".into(),
            Type::TimestampTz => "TIMESTAMP".into(),
            Type::Binary => "BYTES".into(),
            Type::Json => "JSON".into(),
            Type::List => "ARRAY<STRING>".into(),
        }
    }

    fn relation(&self, table: &str) -> Relation {
        Relation(vec![self.project.clone(), self.dataset.clone(), table.into()])
    }

    /// BigQuery knows neither checks nor unique indexes, and enforces no key.
    fn enforces(&self) -> bool {
        false
    }

    /// An ARRAY has no NULL, which the suite wants back; the emulator's BIGNUMERIC has 20 digits before the point and
    /// 18 after it (types.rs has both).
    fn keeps(&self, logical: Type) -> bool {
        !matches!(logical, Type::List | Type::Decimal { scale: 10.., .. })
    }

    /// Numbers within documents keep their value, and not the zeros at their end.
    fn document(&self, json: &str) -> String {
        json.replace("2.50", "2.5")
    }

    /// What names of tables and columns may have: no quotes, and none of `!"$()*,./;?@[]^`{}~`.
    fn odd_name(&self, name: &str) -> String {
        name.replace(|c: char| "!\"$'()*,./;?@[\\]^`{}~".contains(c), "-")
    }

    /// The projects are everybody's; of their datasets those that bear the test's name are its own.
    fn mine(&self, place: &Place) -> bool {
        match place.0.as_slice() {
            [project] => *project == self.project,
            [_, dataset, ..] => dataset.starts_with(&self.dataset),
            [] => false,
        }
    }

    fn numbers(&self, last: usize) -> String {
        format!("SELECT n FROM UNNEST(GENERATE_ARRAY(1, {last})) AS n")
    }
}
