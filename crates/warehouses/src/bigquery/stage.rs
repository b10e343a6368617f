//! Rows on their way in: lines of JSON, brought by load jobs into a table of the work dataset that lives a day at
//! most. Load jobs cost nothing, and what they bring is seen by nobody until a script takes it over.

use serde_json::{Value as Json, json};
use tidegate_model::change::FieldReject;
use tidegate_model::{Error, ErrorKind, Result};

use super::catalog::{SourceColumn, dotted};
use super::server::Server;
use super::types::Kind;
use crate::cell::Cell;

/// Rows of one load job: an upload of this size fits in memory several times.
const PIECE_BYTES_MAX: usize = 8 << 20;
/// The largest row: BigQuery takes 100 MB, a piece takes less.
pub(super) const ROW_BYTES_MAX: usize = 8 << 20;
/// How long a staging table lives that nobody dropped.
const STAGE_MS_MAX: i64 = 24 * 3_600_000;
/// The column with the number of a row within its load.
pub(super) const NUMBER: &str = "tidegate_row";

/// A staging table.
pub(super) struct Stage<'a> {
    server: &'a Server,
    parts: [String; 3],
    location: Option<String>,
    doing: String,
    lines: Vec<u8>,
    /// Bytes before the row in hand.
    start: usize,
    /// Rows in it, those that still wait among them.
    pub(super) rows: u64,
}

/// How a column is declared in a staging table, under the name `c` and its number.
pub(super) fn declared(at: usize, column: &SourceColumn) -> Json {
    let name = format!("c{at}");
    match column.kind {
        Kind::Array | Kind::Struct => {
            let mode = if column.kind == Kind::Array { "REPEATED" } else { "NULLABLE" };
            let mut field = json!({ "name": name, "type": column.field["type"], "mode": mode });
            if column.field["fields"].is_array() {
                field["fields"] = column.field["fields"].clone();
            }
            field
        }
        kind => json!({ "name": name, "type": kind.staged(&column.native), "mode": "NULLABLE" }),
    }
}

impl<'a> Stage<'a> {
    /// Makes the table. Its name is new, so that an answer that is lost leaves nothing behind but a table that dies.
    pub(super) async fn make(
        server: &'a Server,
        location: Option<&str>,
        mut fields: Vec<Json>,
        doing: &str,
    ) -> Result<Self> {
        fields.insert(0, json!({ "name": NUMBER, "type": "INT64", "mode": "NULLABLE" }));
        let name = format!("stage_{:016x}{:016x}", rand::random::<u64>(), rand::random::<u64>());
        let parts = [server.project.clone(), server.work.clone(), name];
        let dies = jiff::Timestamp::now().as_millisecond() + STAGE_MS_MAX;
        let body = json!({
            "tableReference": { "projectId": parts[0], "datasetId": parts[1], "tableId": parts[2] },
            "schema": { "fields": fields }, "expirationTime": dies.to_string(),
        });
        let told = server.rest.post(&["projects", &parts[0], "datasets", &parts[1], "tables"], &body, doing).await;
        told.map_err(unseen)?.map_err(|refusal| refusal.error(doing))?;
        let location = location.map(str::to_owned);
        Ok(Self { server, parts, location, doing: doing.to_owned(), lines: Vec::new(), start: 0, rows: 0 })
    }

    /// What stands after FROM.
    pub(super) fn from(&self) -> String {
        dotted(&self.parts)
    }

    /// Begins a row with its number.
    pub(super) fn begin(&mut self, number: u64) {
        self.start = self.lines.len();
        self.lines.extend_from_slice(format!("{{\"{NUMBER}\":{number}").as_bytes());
    }

    /// Adds a cell to the row in hand; `None` is NULL.
    pub(super) fn put(&mut self, at: usize, value: Option<&str>) {
        if let Some(value) = value {
            self.lines.extend_from_slice(format!(",\"c{at}\":{value}").as_bytes());
        }
    }

    /// Adds a cell of our own to the row in hand.
    pub(super) fn named(&mut self, name: &str, value: &str) {
        self.lines.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
    }

    /// Takes the row in hand back.
    pub(super) fn undo(&mut self) {
        self.lines.truncate(self.start);
    }

    /// Bytes of the row in hand.
    pub(super) fn row_bytes(&self) -> usize {
        self.lines.len() - self.start
    }

    /// Ends the row in hand, and sends what has gathered when it is enough.
    pub(super) async fn end(&mut self) -> Result<()> {
        self.lines.extend_from_slice(b"}\n");
        self.rows += 1;
        if self.lines.len() >= PIECE_BYTES_MAX { self.send().await } else { Ok(()) }
    }

    /// Sends what has gathered, and waits until it is there.
    pub(super) async fn send(&mut self) -> Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let server = self.server;
        let id = format!("tidegate_stage_{:016x}{:016x}", rand::random::<u64>(), rand::random::<u64>());
        let job = json!({
            "jobReference": server.job_reference(&id, self.location.as_deref()),
            "configuration": {
                "labels": { "app": "tidegate" },
                "load": {
                    "destinationTable":
                        { "projectId": self.parts[0], "datasetId": self.parts[1], "tableId": self.parts[2] },
                    "sourceFormat": "NEWLINE_DELIMITED_JSON", "writeDisposition": "WRITE_APPEND",
                    "createDisposition": "CREATE_NEVER", "maxBadRecords": 0,
                },
            },
        });
        let told = server.rest.upload(&["projects", &server.project, "jobs"], &job, &self.lines, &self.doing).await;
        let job = told.map_err(unseen)?.map_err(|refusal| refusal.error(&self.doing))?;
        server.wait(job, &self.doing).await?.map_err(|refusal| refusal.error(&self.doing))?;
        self.lines.clear();
        self.start = 0;
        Ok(())
    }

    /// Drops the table. One that stays dies by itself.
    pub(super) async fn leave(self) {
        let [project, dataset, table] = &self.parts;
        let path = ["projects", project.as_str(), "datasets", dataset, "tables", table];
        match self.server.rest.delete(&path, "drop the staging table").await {
            Ok(Ok(_)) => {}
            Ok(Err(refusal)) => tracing::debug!(error = %refusal.error("drop"), "a staging table lives for a day"),
            Err(error) => tracing::debug!(%error, "a staging table lives for a day"),
        }
    }
}

/// What is staged is seen by nobody: whether it arrived does not matter, it is staged again.
fn unseen(error: Error) -> Error {
    match error.kind {
        ErrorKind::Lost => Error { kind: ErrorKind::Unavailable, ..error },
        _ => error,
    }
}

/// A cell that fits its column, as JSON of a line; `None` for NULL.
pub(super) fn value(column: &SourceColumn, cell: &Cell<'_>) -> std::result::Result<Option<String>, FieldReject> {
    let text = |text: &str| Ok(Some(Json::String(text.to_owned()).to_string()));
    match cell {
        Cell::Null => Ok(None),
        Cell::Bool(yes) => Ok(Some(yes.to_string())),
        Cell::Float(x) => text(&format!("{x:e}")),
        Cell::Timestamp(_) => text(&cell.clone().into_value().to_string().replace('T', " ")),
        Cell::TimestampTz(_) => text(&cell.clone().into_value().to_string().replace('T', " ").replace('Z', "+00:00")),
        Cell::Int(_) | Cell::Decimal(_) | Cell::Date(_) | Cell::Time(_) | Cell::Binary(_) => {
            text(&cell.clone().into_value().to_string())
        }
        Cell::Text(words) => text(words),
        Cell::Json(document) if column.kind == Kind::Struct => Ok(Some(document.clone().into_owned())),
        Cell::Json(document) => text(document),
        Cell::List(list) if column.kind == Kind::Array => elements(column, list).map(Some),
        Cell::List(list) => text(list),
    }
}

/// A list for an ARRAY: it holds no NULL, and its numbers travel as texts, so that none passes through a float.
fn elements(column: &SourceColumn, list: &str) -> std::result::Result<String, FieldReject> {
    let reject = |rule: &str, reason: &str| Err(FieldReject::field(column.name.clone(), rule, reason));
    let Ok(Json::Array(items)) = serde_json::from_str(list) else {
        return reject("wrong_type", "the value is no list");
    };
    if items.iter().any(Json::is_null) {
        return reject("null_element", "an ARRAY of BigQuery holds no NULL");
    }
    let plain = |item: Json| match item {
        Json::Number(number) => Json::String(number.to_string()),
        Json::Bool(yes) if column.field["type"] == "STRING" => Json::String(yes.to_string()),
        item => item,
    };
    Ok(Json::Array(items.into_iter().map(plain).collect()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bigquery::catalog::column_of;

    #[test]
    fn a_cell_keeps_all_of_its_digits() {
        let plain = column_of("c", json!({"type": "STRING"}));
        let says = |cell: Cell<'_>| value(&plain, &cell).expect("fits").expect("not NULL");
        assert_eq!(says(Cell::Float(5e-324)), "\"5e-324\"");
        assert_eq!(says(Cell::Int(i64::MIN)), "\"-9223372036854775808\"");
        assert_eq!(says(Cell::TimestampTz(-1)), "\"1969-12-31 23:59:59.999999+00:00\"");
        assert_eq!(says(Cell::Binary(vec![0, 255].into())), "\"00ff\"");
        assert_eq!(says(Cell::Text("it's \"q\" \\ \u{1}å".into())), "\"it's \\\"q\\\" \\\\ \\u0001å\"");
        assert_eq!(value(&plain, &Cell::Null), Ok(None));
    }

    #[test]
    fn lists_go_element_by_element() {
        let numbers = column_of("c", json!({"type": "NUMERIC", "mode": "REPEATED"}));
        let list = |text: &'static str| value(&numbers, &Cell::List(text.into()));
        assert_eq!(list("[1.50,\"2\"]"), Ok(Some("[\"1.50\",\"2\"]".to_owned())));
        assert_eq!(list("[1,null]").expect_err("refused").rule, "null_element");
        let nested = column_of("c", json!({"type": "RECORD", "fields": [{"name": "x", "type": "INTEGER"}]}));
        assert_eq!(value(&nested, &Cell::Json("{\"x\":1}".into())), Ok(Some("{\"x\":1}".to_owned())));
        assert_eq!(declared(3, &nested)["fields"][0]["name"], "x");
        assert_eq!(declared(0, &column_of("c", json!({"type": "BYTES"})))["type"], "STRING");
    }
}
