//! An account of its own for each test, on the emulator that TIDEGATE_TEST_SNOWFLAKE names; or a schema of its own in the
//! real account that TIDEGATE_TEST_SNOWFLAKE_ACCOUNT and its sisters name (docs/snowflake.md).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use base64::Engine;
use serde_json::{Value as Json, json};
use tidegate_model::cells::value_at;
use tidegate_model::ports::{Place, ReadAsk, Warehouse};
use tidegate_model::schema::Relation;
use tidegate_model::value::{Type, Value};
use tidegate_testkit::warehouse_suite::{HistoryLab, Lab};
use tidegate_warehouses::{OpenContext, open};

/// An account of the emulator, or a schema of a real account; and a session of its owner.
pub struct Emulated {
    base: String,
    account: String,
    http: reqwest::Client,
    token: String,
    /// `None`: the emulator, where the account is the test's own.
    real: Option<Real>,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

/// What everybody but the owner logs in with.
const PASSWORD: &str = "any";

fn unique() -> String {
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    format!("{}-{at}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst))
}

impl Emulated {
    pub async fn new() -> Self {
        Self::on("s3").await
    }

    /// The real account that the environment names, or else the emulator.
    pub async fn either() -> Self {
        match Real::named() {
            Some(real) => Self::real(real).await,
            None => Self::new().await,
        }
    }

    /// An account in which statements, answers and parts of results meet with what goes wrong on their way.
    pub async fn shaky() -> Self {
        Self::named(format!("lab-{}-shaky-on-s3", unique())).await
    }

    /// An account whose stages lie on this cloud: `s3`, `azure` or `gcs`.
    pub async fn on(cloud: &str) -> Self {
        Self::named(format!("lab-{}-on-{cloud}", unique())).await
    }

    async fn named(account: String) -> Self {
        let base = std::env::var("TIDEGATE_TEST_SNOWFLAKE").expect(
            "TIDEGATE_TEST_SNOWFLAKE names no emulator: run the tests by ./test quick -p tidegate-warehouses, or start one with scripts/services",
        );
        let fields = json!({ "ACCOUNT_NAME": account, "LOGIN_NAME": "owner" });
        let lab = Self::login(base, account, "LAB", "PUBLIC", "WH", fields, None).await;
        lab.run(&format!("CREATE USER TIDEGATE PASSWORD = '{PASSWORD}'")).await;
        lab
    }

    /// A schema of its own, dropped in the end.
    async fn real(real: Real) -> Self {
        let fields = json!({ "ACCOUNT_NAME": real.account, "LOGIN_NAME": real.user, "AUTHENTICATOR": "SNOWFLAKE_JWT", "TOKEN": real.token() });
        let (base, account) = (real.base.clone(), real.account.clone());
        let (database, warehouse) = (real.database.clone(), real.warehouse.clone());
        let lab = Self::login(base, account, &database, "PUBLIC", &warehouse, fields, Some(real)).await;
        lab.run(&format!("CREATE SCHEMA {}", lab.schema())).await;
        lab
    }

    async fn login(
        base: String,
        account: String,
        database: &str,
        schema: &str,
        warehouse: &str,
        mut fields: Json,
        real: Option<Real>,
    ) -> Self {
        let http = tidegate_net::http::Http::default().client().unwrap();
        fields["SESSION_PARAMETERS"] = json!({ "TIMEZONE": "UTC" });
        let mut query = vec![("databaseName", database), ("schemaName", schema), ("warehouse", warehouse)];
        if let Some(role) = real.as_ref().and_then(|real| real.role.as_deref()) {
            query.push(("roleName", role));
        }
        let login =
            http.post(format!("{base}/session/v1/login-request")).query(&query).json(&json!({ "data": fields }));
        let reply: Json = login.send().await.expect("the account").json().await.expect("a login");
        let token = reply["data"]["token"].as_str().unwrap_or_else(|| panic!("no login: {}", reply["message"]));
        Self { token: token.to_owned(), base, account, http, real }
    }

    fn place(&self) -> [&str; 2] {
        self.real.as_ref().map_or(["LAB", "PUBLIC"], |real| [&real.database, &real.schema])
    }

    fn schema(&self) -> String {
        self.place().map(tidegate_testkit::warehouse_suite::quoted).join(".")
    }

    /// The settings of a connection.
    pub fn settings(&self) -> Json {
        let url = reqwest::Url::parse(&self.base).unwrap();
        let [database, schema] = self.place();
        let mut settings = json!({
            "account": self.account, "user": "tidegate", "database": database, "schema": schema, "warehouse": "WH",
            "host": url.host_str(), "port": url.port(), "protocol": url.scheme(),
            "auth": { "method": "password", "password": PASSWORD },
        });
        if let Some(real) = &self.real {
            settings["user"] = json!(real.user);
            settings["warehouse"] = json!(real.warehouse);
            settings["role"] = json!(real.role);
            settings["auth"] =
                json!({ "method": "key_pair", "private_key": std::fs::read_to_string(&real.key).unwrap() });
        }
        settings
    }

    /// A connection with further settings.
    pub fn try_open(&self, write: bool, more: Json) -> tidegate_model::Result<Arc<dyn Warehouse>> {
        let context = OpenContext {
            project_dir: std::env::temp_dir(),
            access_write: write,
            work_schema: self.real.as_ref().map_or_else(|| "TIDEGATE".into(), |real| format!("{}_WORK", real.schema)),
            name: "lake".into(),
            vault: tidegate_warehouses::in_memory(),
            targets: None,
        };
        let mut settings = self.settings();
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        open("snowflake", &settings, &context)
    }

    /// The warehouse, with further settings.
    pub fn open_with(&self, write: bool, more: Json) -> Arc<dyn Warehouse> {
        self.try_open(write, more).unwrap()
    }

    /// Arms a fault, so many times, for everybody but the owner.
    pub async fn fault(&self, kind: &str, times: u32) {
        self.run(&format!("CALL STAND_IN$FAULT('{kind}', {times})")).await;
    }

    pub async fn run(&self, sql: &str) -> Json {
        let id = if self.real.is_some() {
            format!("00000000-0000-4000-8000-{:012x}", rand::random::<u32>())
        } else {
            "owner".into()
        };
        let mut request = self
            .http
            .post(format!("{}/queries/v1/query-request?requestId={id}", self.base))
            .json(&json!({ "sqlText": sql }));
        loop {
            let sent = request
                .header("authorization", format!("Snowflake Token=\"{}\"", self.token))
                .header("accept", "application/snowflake");
            let reply: Json = sent.send().await.expect("the account").json().await.expect("an answer");
            // A real account lets one ask again for what takes longer.
            if matches!(reply["code"].as_str(), Some("333333" | "333334")) {
                let next = reply["data"]["getResultUrl"].as_str().expect("where to ask");
                request = self.http.get(format!("{}{next}", self.base));
                continue;
            }
            assert_eq!(reply["success"], true, "{}: {sql}", reply["message"]);
            return reply;
        }
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        let Some(real) = &self.real else { return };
        let names = [real.schema.clone(), format!("{}_WORK", real.schema)];
        let (url, token, database) =
            (format!("{}/queries/v1/query-request", self.base), self.token.clone(), real.database.clone());
        let swept = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let http = tidegate_net::http::Http::default().client().unwrap();
                for name in names {
                    let sql = format!("DROP SCHEMA IF EXISTS \"{database}\".\"{name}\"");
                    let id = format!("00000000-0000-4000-8000-{:012x}", rand::random::<u32>());
                    let request = http.post(&url).query(&[("requestId", id)]).json(&json!({ "sqlText": sql }));
                    let sent = request.header("authorization", format!("Snowflake Token=\"{token}\"")).send().await;
                    if let Err(error) = sent {
                        eprintln!("{sql}: {error}");
                    }
                }
            });
        });
        drop(swept.join());
    }
}

/// A real account, by the variables that docs/snowflake.md lists.
struct Real {
    base: String,
    account: String,
    user: String,
    key: std::path::PathBuf,
    role: Option<String>,
    warehouse: String,
    database: String,
    /// The test's own, with a sister for what tidegate itself needs.
    schema: String,
}

impl Real {
    fn named() -> Option<Self> {
        let get = |name: &str| {
            std::env::var(format!("TIDEGATE_TEST_SNOWFLAKE_{name}")).ok().filter(|value| !value.is_empty())
        };
        let need = |name: &str| {
            get(name).unwrap_or_else(|| panic!("TIDEGATE_TEST_SNOWFLAKE_{name} is needed beside _ACCOUNT"))
        };
        let account = get("ACCOUNT")?;
        Some(Self {
            base: get("URL").unwrap_or_else(|| format!("https://{account}.snowflakecomputing.com")),
            user: need("USER"),
            key: need("PRIVATE_KEY_FILE").into(),
            role: get("ROLE"),
            warehouse: need("WAREHOUSE"),
            database: need("DATABASE"),
            schema: format!("TG_LAB_{}", unique().replace('-', "_")),
            account,
        })
    }

    /// A login token of the owner, signed by openssl.
    fn token(&self) -> String {
        use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
        let key = self.key.to_str().expect("a path");
        let public = openssl(&["pkey", "-in", key, "-pubout", "-outform", "DER"], b"");
        let fingerprint = STANDARD.encode(<sha2::Sha256 as sha2::Digest>::digest(&public));
        let name = format!("{}.{}", self.account.split('.').next().unwrap(), self.user).to_uppercase();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let claims =
            json!({ "iss": format!("{name}.SHA256:{fingerprint}"), "sub": name, "iat": now, "exp": now + 120 });
        let part = |json: Json| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(json!({ "alg": "RS256", "typ": "JWT" })), part(claims));
        let signature = openssl(&["dgst", "-sha256", "-sign", key], signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What openssl prints.
pub fn openssl(arguments: &[&str], given: &[u8]) -> Vec<u8> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut command = Command::new("openssl");
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("these tests need openssl: install it (apt-get install openssl)");
    child.stdin.take().expect("its input").write_all(given).expect("written");
    let done = child.wait_with_output().expect("its output");
    assert!(done.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// Functions that the suites write in small letters.
const FUNCTIONS: [&str; 4] = ["count", "max", "min", "sum"];

/// What the suites write in everybody's SQL, with the names in small letters in quotes: an account would read them in
/// capitals.
fn kept(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        let taken = match c {
            '"' | '\'' => rest[1..].find(c).map_or(rest.len(), |end| end + 2),
            c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(taken);
        let name = c.is_ascii_lowercase() && !token.contains(|c: char| c.is_ascii_uppercase());
        if name && !(FUNCTIONS.contains(&token) && after.starts_with('(')) {
            out.push_str(&format!("\"{token}\""));
        } else {
            out.push_str(token);
        }
        rest = after;
    }
    out
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
        for statement in statements(&kept(sql)) {
            self.run(&statement).await;
        }
    }

    async fn ask(&self, sql: &str) -> Option<String> {
        let reply = self.run(&format!("SELECT TO_VARCHAR(({})) AS A", kept(sql))).await;
        // To a client that it does not know, an account sends JSON.
        if let Some(rows) = reply["data"]["rowset"].as_array() {
            return rows.first()?[0].as_str().map(str::to_owned);
        }
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
        let [database, schema] = self.place();
        Relation(vec![database.into(), schema.into(), table.into()])
    }

    /// A real account is everybody's; of its schemas those that bear the test's name are its own.
    fn mine(&self, place: &Place) -> bool {
        let Some(real) = &self.real else { return true };
        match place.0.as_slice() {
            [database] => *database == real.database,
            [_, schema, ..] => schema.starts_with(&real.schema),
            [] => false,
        }
    }

    /// Snowflake knows neither checks nor unique indexes, and enforces no key.
    fn enforces(&self) -> bool {
        false
    }

    /// 38 digits is the most; and the emulator calls every ARRAY a VARIANT.
    fn keeps(&self, logical: Type) -> bool {
        match logical {
            Type::List => self.real.is_some(),
            Type::Decimal { precision, .. } => precision <= 38,
            _ => true,
        }
    }

    /// Numbers within documents keep their value, and not the zeros at their end.
    fn document(&self, json: &str) -> String {
        json.replace("2.50", "2.5")
    }

    /// The emulator's own statements break on an apostrophe in a name.
    fn odd_name(&self, name: &str) -> String {
        if self.real.is_some() { name.to_owned() } else { name.replace('\'', "`") }
    }

    fn numbers(&self, last: usize) -> String {
        format!("SELECT SEQ4() + 1 AS n FROM TABLE(GENERATOR(ROWCOUNT => {last}))")
    }
}

#[async_trait]
impl HistoryLab for Emulated {
    async fn track(&self, table: &str) {
        self.run(&format!("ALTER TABLE {}.\"{table}\" SET CHANGE_TRACKING = TRUE", self.schema())).await;
    }

    /// The emulator's clock is put forward: nobody waits. A real account's is waited for.
    async fn pass_lag(&self) {
        match &self.real {
            Some(_) => tokio::time::sleep(std::time::Duration::from_secs(65)).await,
            None => self.advance(90).await,
        }
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
