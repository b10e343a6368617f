//! The demo's nine syncs with Snowflake's stand-in as their warehouse.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use base64::Engine;
use serde_json::{Map, Value, json};

use super::account::{Account, PASSWORD};
use super::demo_elsewhere::{House, tell};

/// Rows of one statement.
const PIECE_ROWS: usize = 2_000;

/// A type that is written in BigQuery's words, with what stands behind it.
fn native(kind: &str) -> String {
    let (kind, rest) = kind.split_once(' ').map_or((kind, String::new()), |(kind, rest)| (kind, format!(" {rest}")));
    let native = match kind {
        "STRING" => "VARCHAR",
        "INT64" => "NUMBER(19,0)",
        "BOOL" => "BOOLEAN",
        "TIMESTAMP" => "TIMESTAMP_TZ",
        other => return format!("{}{rest}", other.replace("NUMERIC", "NUMBER")),
    };
    format!("{native}{rest}")
}

impl House for Account {
    fn connection(&self) -> String {
        Self::connection(self).replace(&format!("\"${{{}}}\"", PASSWORD.0), PASSWORD.1)
    }

    fn create(&self, table: &str, columns: &[(&str, &str)], tracked: bool) {
        let history = if tracked { " CHANGE_TRACKING = TRUE" } else { "" };
        let columns: Vec<String> = columns.iter().map(|(name, kind)| format!("{name} {}", native(kind))).collect();
        Self::sql(self, &format!("CREATE TABLE {table} ({}){history}", columns.join(", ")));
    }

    fn fill(&self, table: &str, columns: &[(&str, &str)], rows: &[Map<String, Value>]) {
        let cell = |(at, (_, kind)): (usize, &(&str, &str))| {
            let kind = native(kind.split(' ').next().expect("a type"));
            format!("CAST(CAST(F.VALUE[{at}] AS VARCHAR) AS {kind})")
        };
        let cells: Vec<String> = columns.iter().enumerate().map(cell).collect();
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let sql = format!(
            "INSERT INTO {table} ({}) SELECT {} FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?))) F",
            names.join(", "),
            cells.join(", ")
        );
        let text = |value: &Value| value.as_str().map_or_else(|| json!(value.to_string()), |text| json!(text));
        for piece in rows.chunks(PIECE_ROWS) {
            let row =
                |row: &Map<String, Value>| names.iter().map(|name| row.get(*name).map_or(Value::Null, text)).collect();
            let piece: Vec<Value> = piece.iter().map(row).collect();
            self.bound(&sql, &Value::Array(piece).to_string());
        }
    }

    fn sql(&self, sql: &str) -> Vec<String> {
        let answer = Self::sql(self, sql);
        let Some(packed) = answer["data"]["rowsetBase64"].as_str().filter(|packed| !packed.is_empty()) else {
            return Vec::new(); // what a statement that writes answers is JSON
        };
        let bytes = base64::engine::general_purpose::STANDARD.decode(packed).expect("base64");
        let rows = arrow_ipc::reader::StreamReader::try_new(std::io::Cursor::new(bytes), None).expect("Arrow");
        let batches: Vec<RecordBatch> = rows.map(|batch| batch.expect("rows")).collect();
        let texts = batches.iter().map(|batch| batch.column(0).as_string::<i32>());
        let found: Vec<String> =
            texts.flat_map(|cells| cells.iter().map(|cell| cell.unwrap_or("NULL").to_owned())).collect();
        assert_eq!(answer["data"]["total"], found.len(), "{sql}: in more than one part");
        found
    }

    fn instant(&self, text: &str) -> String {
        format!("CAST('{text}' AS TIMESTAMP_TZ)")
    }

    /// Past what a mark stays behind the clock.
    fn settle(&self) {
        Self::sql(self, "CALL STAND_IN$ADVANCE(90)");
    }

    fn told(&self, _run: &Value) {}
}

#[test]
fn the_demos_syncs_run_on_snowflake_in_part_after_the_first_full_sync() {
    tell(&Account::keeping_case());
}
