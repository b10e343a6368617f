//! An account of its own for each test, on the emulator that TIDEGATE_TEST_SNOWFLAKE names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use base64::Engine;
use serde_json::{Value as Json, json};
use tidegate_model::cells::value_at;
use tidegate_model::ports::{ReadAsk, Warehouse};
use tidegate_model::schema::Relation;
use tidegate_model::value::{Type, Value};
use tidegate_testkit::warehouse_suite::{HistoryLab, Lab};
use tidegate_warehouses::{OpenContext, open};

/// An account of the emulator, and a session of its owner.
pub struct Emulated {
    base: String,
    account: String,
    http: reqwest::Client,
    token: String,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Emulated {
    pub async fn new() -> Self {
        Self::on("s3").await
    }

    /// An account whose stages lie on this cloud: `s3`, `azure` or `gcs`.
    pub async fn on(cloud: &str) -> Self {
        let base = std::env::var("TIDEGATE_TEST_SNOWFLAKE").expect(
            "TIDEGATE_TEST_SNOWFLAKE names no emulator: run the tests by ./test quick -p tidegate-warehouses, or start one with scripts/services",
        );
        let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
        let account = format!("lab-{}-{at}-{}-on-{cloud}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let http = tidegate_net::http::Http::default().client().unwrap();
        let login = http
            .post(format!("{base}/session/v1/login-request?databaseName=LAB&schemaName=PUBLIC&warehouse=WH"))
            .json(&json!({ "data": { "ACCOUNT_NAME": account, "LOGIN_NAME": "owner", "SESSION_PARAMETERS": { "KEEP_CASE": true } } }));
        let reply: Json = login.send().await.expect("the emulator").json().await.expect("a login");
        let token = reply["data"]["token"].as_str().expect("a token").to_owned();
        Self { base, account, http, token }
    }

    /// The warehouse, with further settings.
    pub fn open_with(&self, write: bool, more: Json) -> Arc<dyn Warehouse> {
        let url = reqwest::Url::parse(&self.base).unwrap();
        let context = OpenContext {
            project_dir: std::env::temp_dir(),
            access_write: write,
            work_schema: "TIDEGATE".into(),
            name: "lake".into(),
            vault: tidegate_warehouses::in_memory(),
        };
        let mut settings = json!({
            "account": self.account, "user": "tidegate", "database": "LAB", "schema": "PUBLIC", "warehouse": "WH",
            "host": url.host_str(), "port": url.port(), "protocol": "http",
            "auth": { "method": "password", "password": "any" },
        });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        open("snowflake", &settings, &context).unwrap()
    }

    pub async fn run(&self, sql: &str) -> Json {
        let request = self
            .http
            .post(format!("{}/queries/v1/query-request?requestId=owner", self.base))
            .header("authorization", format!("Snowflake Token=\"{}\"", self.token))
            .json(&json!({ "sqlText": sql }));
        let reply: Json = request.send().await.expect("the emulator").json().await.expect("an answer");
        assert_eq!(reply["success"], true, "{}: {sql}", reply["message"]);
        reply
    }
}

/// Cuts at semicolons that stand outside of quotes.
fn statements(sql: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut quote = None;
    for c in sql.chars() {
        match (quote, c) {
            (None, ';') => {
                found.push(String::new());
                continue;
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        found.last_mut().unwrap().push(c);
    }
    found.into_iter().map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

#[async_trait]
impl Lab for Emulated {
    async fn exec(&self, sql: &str) {
        // A fix may be several statements; the service takes one at a time.
        for statement in statements(sql) {
            self.run(&statement).await;
        }
    }

    async fn ask(&self, sql: &str) -> Option<String> {
        let reply = self.run(&format!("SELECT TO_VARCHAR(({sql})) AS A")).await;
        let bytes = base64::engine::general_purpose::STANDARD.decode(reply["data"]["rowsetBase64"].as_str()?).unwrap();
        let mut rows = arrow_ipc::reader::StreamReader::try_new(std::io::Cursor::new(bytes), None).unwrap();
        let batch = rows.find_map(|batch| batch.ok().filter(|batch| batch.num_rows() > 0))?;
        let cells = batch.column(0).as_any().downcast_ref::<arrow_array::StringArray>().expect("text");
        arrow_array::Array::is_valid(cells, 0).then(|| cells.value(0).to_owned())
    }

    fn open(&self, write: bool) -> Arc<dyn Warehouse> {
        self.open_with(write, json!({}))
    }

    fn native(&self, logical: Type) -> String {
        match logical {
            Type::Bool => "BOOLEAN".into(),
            Type::Int64 => "NUMBER(19,0)".into(),
            Type::Decimal { precision, scale } => format!("NUMBER({precision},{scale})"),
            Type::Float64 => "FLOAT".into(),
            Type::Text => "VARCHAR".into(),
            Type::Date => "DATE".into(),
            Type::Time => "TIME".into(),
            Type::Timestamp => "TIMESTAMP_NTZ".into(),
            Type::TimestampTz => "TIMESTAMP_TZ".into(),
            Type::Binary => "BINARY".into(),
            Type::Json => "VARIANT".into(),
            Type::List => "ARRAY".into(),
        }
    }

    /// As the account keeps them: three parts. Names in quotes keep their case.
    fn relation(&self, table: &str) -> Relation {
        Relation(vec!["LAB".into(), "PUBLIC".into(), table.into()])
    }

    /// Snowflake knows neither checks nor unique indexes, and enforces no key.
    fn enforces(&self) -> bool {
        false
    }

    /// 38 digits is the most; and the emulator calls every ARRAY a VARIANT.
    fn keeps(&self, logical: Type) -> bool {
        !matches!(logical, Type::List | Type::Decimal { precision: 39.., .. })
    }

    /// Numbers within documents keep their value, and not the zeros at their end.
    fn document(&self, json: &str) -> String {
        json.replace("2.50", "2.5")
    }

    /// The emulator's own statements break on an apostrophe in a name.
    fn odd_name(&self, name: &str) -> String {
        name.replace('\'', "`")
    }

    fn numbers(&self, last: usize) -> String {
        format!("SELECT SEQ4() + 1 AS n FROM TABLE(GENERATOR(ROWCOUNT => {last}))")
    }
}

#[async_trait]
impl HistoryLab for Emulated {
    async fn track(&self, table: &str) {
        self.exec(&format!("ALTER TABLE \"LAB\".\"PUBLIC\".\"{table}\" SET CHANGE_TRACKING = TRUE")).await;
    }

    /// The account's clock is put forward: nobody waits.
    async fn pass_lag(&self) {
        self.advance(90).await;
    }
}

impl Emulated {
    /// Puts the account's clock forward.
    pub async fn advance(&self, seconds: u32) {
        self.exec(&format!("CALL STAND_IN$ADVANCE({seconds})")).await;
    }
}

/// Rows of a read, sorted, each as its cells with blanks between.
pub async fn rows(warehouse: &dyn Warehouse, ask: ReadAsk) -> Vec<String> {
    let mut pages = warehouse.read(ask).await.expect("a read");
    let mut found = Vec::new();
    while let Some(page) = pages.next().await.expect("a page") {
        for row in 0..page.len() {
            let cell = |at| match value_at(&page.rows, at, row) {
                Value::Null => "NULL".to_owned(),
                value => value.to_string(),
            };
            found.push((0..page.rows.num_columns()).map(cell).collect::<Vec<_>>().join(" "));
        }
    }
    found.sort();
    found
}
