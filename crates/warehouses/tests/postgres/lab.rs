//! A database of its own for each test, on the server that TIDEGATE_TEST_PG names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use tidegate_model::ports::Warehouse;
use tidegate_model::schema::Relation;
use tidegate_model::value::Type;
use tidegate_testkit::warehouse_suite::Lab;
use tidegate_warehouses::{OpenContext, open};
use tokio_postgres::{Client, NoTls};

/// A database, dropped at the end.
pub struct Database {
    pub name: String,
    pub owner: Client,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A name that no other test of this server has.
pub fn unique(what: &str) -> String {
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    format!("{what}_{}_{at}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst))
}

fn admin_url() -> String {
    std::env::var("TIDEGATE_TEST_PG").expect(
        "TIDEGATE_TEST_PG names no Postgres: run the tests by ./test quick -p tidegate-warehouses, or start one with scripts/services",
    )
}

async fn connect(url: &str) -> Client {
    let (client, line) = tokio_postgres::connect(url, NoTls).await.expect("the test server");
    tokio::spawn(line);
    client
}

impl Database {
    pub async fn new() -> Self {
        let name = unique("wh");
        let admin = connect(&admin_url()).await;
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database");
        let owner = connect(&Self::url_of(&name)).await;
        Self { name, owner }
    }

    fn url_of(name: &str) -> String {
        let url = admin_url();
        let (base, _) = url.rsplit_once('/').expect("a url with a database");
        format!("{base}/{name}")
    }

    pub fn url(&self) -> String {
        Self::url_of(&self.name)
    }

    /// The address as another user.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        let url = self.url();
        let (_, host) = url.split_once('@').expect("a url with a user");
        format!("postgres://{user}:{password}@{host}")
    }

    /// A second connection of the owner.
    pub async fn other(&self) -> Client {
        connect(&self.url()).await
    }

    pub fn open_as(&self, url: &str, write: bool) -> Arc<dyn Warehouse> {
        let context = OpenContext {
            project_dir: std::env::temp_dir(),
            access_write: write,
            work_schema: "TIDEGATE".into(),
            name: "lake".into(),
            vault: tidegate_warehouses::in_memory(),
            targets: None,
        };
        open("postgres", &serde_json::json!({ "url": url }), &context).unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = self.name.clone();
        // A runtime of its own: this one may be ending.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let admin = connect(&admin_url()).await;
                let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                admin.batch_execute(&drop).await.expect("the database is dropped");
            });
        });
        dropped.join().expect("the database is dropped");
    }
}

#[async_trait]
impl Lab for Database {
    async fn exec(&self, sql: &str) {
        if let Err(error) = self.owner.batch_execute(sql).await {
            panic!("{error:?}: {sql}");
        }
    }
    async fn ask(&self, sql: &str) -> Option<String> {
        let answers = self.owner.simple_query(sql).await.unwrap();
        answers.iter().find_map(|answer| match answer {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
            _ => None,
        })?
    }
    fn open(&self, write: bool) -> Arc<dyn Warehouse> {
        self.open_as(&self.url(), write)
    }
    fn native(&self, logical: Type) -> String {
        match logical {
            Type::Bool => "boolean".into(),
            Type::Int64 => "int8".into(),
            Type::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
            Type::Float64 => "float8".into(),
            Type::Text => "text".into(),
            Type::Date => "date".into(),
            Type::Time => "time".into(),
            Type::Timestamp => "timestamp".into(),
            Type::TimestampTz => "timestamptz".into(),
            Type::Binary => "bytea".into(),
            Type::Json => "json".into(),
            Type::List => "text[]".into(),
        }
    }
    fn relation(&self, table: &str) -> Relation {
        Relation(vec!["public".into(), table.into()])
    }
    /// Transaction numbers are those of the whole server, and other tests write to it as well.
    async fn settle(&self) {
        let next = self.ask("SELECT pg_snapshot_xmax(pg_current_snapshot())").await.unwrap();
        let passed = format!("SELECT pg_snapshot_xmin(pg_current_snapshot()) >= '{next}'::xid8");
        let begun = std::time::Instant::now();
        while self.ask(&passed).await.as_deref() != Some("t") {
            assert!(begun.elapsed().as_secs() < 60, "a transaction of another test does not end");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

/// A page of all columns of a table, in key order: the values as text, and the misfits as (row, column, rule).
pub async fn read_all(
    warehouse: &dyn Warehouse,
    table: &str,
    key: &str,
    columns: &[&str],
) -> (Vec<Vec<String>>, Vec<(usize, usize, &'static str)>) {
    let ask = tidegate_model::ports::ReadAsk {
        source: tidegate_model::schema::Source::Relation(Relation(vec!["public".into(), table.into()])),
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        mode: tidegate_model::ports::ReadMode::Full { key: key.into(), after: None, at: None },
        page_rows: 1_000,
        timezone: "UTC".into(),
    };
    let mut pages = warehouse.read(ask).await.expect("a read");
    let page = pages.next().await.expect("a page").expect("rows");
    assert!(pages.next().await.expect("the end").is_none());
    let cell = |column: usize, row: usize| match tidegate_model::cells::value_at(&page.rows, column, row) {
        tidegate_model::value::Value::Null => "NULL".to_owned(),
        value => value.to_string(),
    };
    let rows = (0..page.len()).map(|row| (0..columns.len()).map(|column| cell(column, row)).collect()).collect();
    (rows, page.misfits.iter().map(|m| (m.row, m.column, m.rule)).collect())
}
