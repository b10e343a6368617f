//! The demo's warehouse in Postgres: the same tables with the same rows, carried over from the file.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tidegate_model::secret::Secret;
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_warehouses::Script;

use super::lake::TABLES;

/// Text sent at a time.
const BYTES_AT_ONCE: usize = 1 << 20;

/// Refuses a database that has tables: what stands there is somebody's.
pub async fn refuse_full(url: &Secret) -> Result<()> {
    let script = Script::open(url).await?;
    let there = "SELECT 1 FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') LIMIT 1";
    if script.finds(there).await? {
        return Err(Error::config("the database that PG_URL names is not empty")
            .hint("make one for the demo: CREATE DATABASE tidegate_demo"));
    }
    Ok(())
}

/// Runs SQL in one transaction.
pub async fn run(url: &Secret, sql: &str) -> Result<()> {
    Script::open(url).await?.run(&format!("BEGIN; {sql}; COMMIT")).await
}

/// Makes the tables and copies their rows.
pub async fn fill(url: &Secret, file: &Path) -> Result<()> {
    let script = Script::open(url).await?;
    script.run(TABLES).await?;
    let unread = |error: rusqlite::Error| {
        Error::new(ErrorKind::Unavailable, format!("cannot read {}", file.display())).cause(error)
    };
    let tables: Vec<String> = {
        let lake = Connection::open(file).map_err(unread)?;
        let mut names =
            lake.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1").map_err(unread)?;
        let names = names.query_map([], |row| row.get(0)).and_then(Iterator::collect);
        names.map_err(unread)?
    };
    for table in tables {
        script.copy(&table, pages(file, &table).map_err(unread)?).await?;
    }
    script.run("ANALYZE").await
}

/// The rows of a table as `COPY` reads them.
fn pages(file: &Path, table: &str) -> rusqlite::Result<Vec<String>> {
    let lake = Connection::open(file)?;
    let mut statement = lake.prepare(&format!("SELECT * FROM {table}"))?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let (mut pages, mut page) = (Vec::new(), String::new());
    while let Some(row) = rows.next()? {
        for at in 0..columns {
            if at > 0 {
                page.push('\t');
            }
            cell(&mut page, row.get_ref(at)?)?;
        }
        page.push('\n');
        if page.len() >= BYTES_AT_ONCE {
            pages.push(std::mem::take(&mut page));
        }
    }
    pages.push(page);
    Ok(pages)
}

fn cell(page: &mut String, value: ValueRef<'_>) -> rusqlite::Result<()> {
    match value {
        ValueRef::Null => page.push_str("\\N"),
        ValueRef::Integer(number) => page.push_str(&number.to_string()),
        ValueRef::Real(number) => page.push_str(&number.to_string()),
        ValueRef::Text(_) | ValueRef::Blob(_) => {
            let text = value.as_str()?;
            page.push_str(&text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r"));
        }
    }
    Ok(())
}
