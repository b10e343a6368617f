//! Files that are given away: lists as CSV, records as CSV and as Parquet.

pub(crate) mod parquet;

use serde::Serialize;
use serde_json::Value as Json;
use tidegate_model::{Error, Result};

use crate::desk::{ConflictsAsk, Desk, PAGE_MAX, RecordsAsk};

/// Records in a file: what a spreadsheet opens at all.
pub(crate) const EXPORTED_MAX: usize = 100_000;

/// All records that are asked for, the first 100,000.
pub(crate) async fn records(desk: &dyn Desk, connection: &str, ask: &RecordsAsk) -> Result<Vec<Json>> {
    let (mut out, mut after) = (Vec::new(), None);
    while out.len() < EXPORTED_MAX {
        let ask = RecordsAsk { limit: Some(PAGE_MAX), after, ..ask.clone() };
        let page = desk.records(connection, &ask).await?;
        out.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(out)
}

/// All conflicts that are asked for, the first 100,000.
pub(crate) async fn conflicts(desk: &dyn Desk, ask: &ConflictsAsk) -> Result<Vec<Json>> {
    let (mut out, mut after) = (Vec::new(), None);
    while out.len() < EXPORTED_MAX {
        let ask = ConflictsAsk { limit: Some(PAGE_MAX), after, ..ask.clone() };
        let page = desk.conflicts(&ask).await?;
        for conflict in page.items {
            out.push(json_of(&conflict)?);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(out)
}

fn json_of<T: Serialize>(value: &T) -> Result<Json> {
    serde_json::to_value(value).map_err(|error| Error::internal("a row cannot be written").cause(error))
}

/// The names of all entries, those of `custom` below it, in the order in which they come first.
pub(crate) fn columns(records: &[Json]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut add = |name: String| {
        if !out.contains(&name) {
            out.push(name);
        }
    };
    for record in records {
        for (name, of) in record.as_object().into_iter().flatten() {
            match of.as_object() {
                Some(custom) if name == "custom" => custom.keys().for_each(|key| add(format!("custom.{key}"))),
                _ => add(name.clone()),
            }
        }
    }
    out
}

/// An entry of a record by its name; nothing where there is none.
pub(crate) fn cell<'r>(record: &'r Json, name: &str) -> &'r Json {
    let found = match name.strip_prefix("custom.") {
        Some(custom) => record.get("custom").and_then(|all| all.get(custom)),
        None => record.get(name),
    };
    found.unwrap_or(&Json::Null)
}

/// Rows as CSV, with a heading.
pub(crate) fn csv(names: &[String], rows: &[Json]) -> String {
    let line = |cells: Vec<String>| cells.join(",") + "\r\n";
    let mut out = line(names.iter().map(|name| csv_cell(name)).collect());
    for row in rows {
        out.push_str(&line(names.iter().map(|name| csv_cell(&text(cell(row, name)))).collect()));
    }
    out
}

/// A value as plain text; nothing is an empty one.
pub(crate) fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

/// One cell of CSV. A text that a spreadsheet takes for a formula is kept a text; a plain number may begin with a minus.
pub fn csv_cell(text: &str) -> String {
    let number = text.parse::<f64>().is_ok();
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && !number;
    let safe = if formula { format!("'{text}") } else { text.to_owned() };
    if safe.contains([',', '"', '\n', '\r']) || formula { format!("\"{}\"", safe.replace('"', "\"\"")) } else { safe }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_become_rows_and_formulas_stay_text() {
        let records =
            [json!({ "name": "=cmd()", "custom": { "ARR": "12.50" } }), json!({ "name": "A, \"B\"", "n": -5 })];
        let wanted = "custom.ARR,name,n\r\n12.50,\"'=cmd()\",\r\n,\"A, \"\"B\"\"\",-5\r\n";
        assert_eq!(csv(&columns(&records), &records), wanted);
    }

    #[test]
    fn what_a_spreadsheet_would_carry_out_stays_text() {
        for formula in ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=HYPERLINK(\"http://x\",\"y\")"] {
            let cell = csv_cell(formula);
            assert!(cell.starts_with("\"'") && cell.ends_with('"'), "{formula:?}: {cell}");
        }
        for (plain, cell) in [("-5", "-5"), ("+4.5", "+4.5"), ("plain", "plain"), ("a,\"b\"", "\"a,\"\"b\"\"\"")] {
            assert_eq!(csv_cell(plain), cell);
        }
    }
}
