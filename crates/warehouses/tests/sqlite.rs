//! The SQLite warehouse: the whole suite, and what only SQLite does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;
use tempfile::TempDir;
use tidegate_model::ports::Warehouse;
use tidegate_model::schema::Relation;
use tidegate_model::value::Type;
use tidegate_testkit::warehouse_suite::Lab;
use tidegate_warehouses::{OpenContext, open};

struct File {
    folder: TempDir,
}

impl File {
    fn new() -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        file.connect().execute_batch("PRAGMA journal_mode = WAL").unwrap();
        file
    }
    fn path(&self) -> PathBuf {
        self.folder.path().join("warehouse.db")
    }
    fn connect(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        connection
    }
    fn context(&self, write: bool) -> OpenContext {
        OpenContext {
            project_dir: self.folder.path().to_owned(),
            access_write: write,
            work_schema: "tidegate".into(),
            name: "lake".into(),
            vault: tidegate_warehouses::in_memory(),
            targets: None,
        }
    }
}

#[async_trait]
impl Lab for File {
    async fn exec(&self, sql: &str) {
        if let Err(error) = self.connect().execute_batch(sql) {
            panic!("{error}: {sql}");
        }
    }
    async fn ask(&self, sql: &str) -> Option<String> {
        let cell = |row: &rusqlite::Row<'_>| {
            row.get_ref(0).map(|raw| match raw {
                rusqlite::types::ValueRef::Null => None,
                rusqlite::types::ValueRef::Integer(n) => Some(n.to_string()),
                rusqlite::types::ValueRef::Real(x) => Some(x.to_string()),
                other => Some(other.as_str().unwrap().to_owned()),
            })
        };
        self.connect().query_row(sql, [], cell).unwrap()
    }
    fn open(&self, write: bool) -> Arc<dyn Warehouse> {
        open("sqlite", &serde_json::json!({ "path": "warehouse.db" }), &self.context(write)).unwrap()
    }
    fn native(&self, logical: Type) -> String {
        match logical {
            Type::Bool => "BOOLEAN".into(),
            Type::Int64 => "BIGINT".into(),
            Type::Decimal { precision, scale } if precision <= 15 => format!("DECIMAL({precision},{scale})"),
            Type::Decimal { precision, scale } => format!("DECIMAL TEXT({precision},{scale})"),
            Type::Float64 => "DOUBLE".into(),
            Type::Text => "TEXT".into(),
            Type::Date => "DATE".into(),
            Type::Time => "TIME".into(),
            Type::Timestamp => "DATETIME".into(),
            Type::TimestampTz => "TIMESTAMP WITH TIME ZONE".into(),
            Type::Binary => "BLOB".into(),
            Type::Json => "JSON".into(),
            Type::List => "TEXT LIST".into(),
        }
    }
    fn relation(&self, table: &str) -> Relation {
        Relation(vec![table.into()])
    }
}

mod suite {
    tidegate_testkit::warehouse_suite!(super::File::new());
}

#[path = "sqlite/cells.rs"]
mod cells;
#[path = "sqlite/files.rs"]
mod files;
