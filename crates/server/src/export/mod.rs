//! Files that are given away: lists as CSV, records as CSV and as Parquet.

pub(crate) mod parquet;

mod records;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use futures_util::stream::try_unfold;
pub(crate) use records::Records;
use serde_json::Value as Json;
use tidegate_model::{Error, Result};

use crate::desk::{ConflictsAsk, Desk, PAGE_MAX};

/// All conflicts that are asked for, as CSV, page by page as they are taken.
pub(crate) async fn conflicts(desk: Arc<dyn Desk>, names: &'static [&'static str], ask: ConflictsAsk) -> Result<Body> {
    let ask = ConflictsAsk { limit: Some(PAGE_MAX), after: None, ..ask };
    // The first page is read before the answer begins, so that a refusal is one.
    let first = conflict_rows(&*desk, names, &ask).await?;
    let ready = VecDeque::from([head(names), first.0]);
    let rest = try_unfold((desk, ask, ready, first.1), move |(desk, mut ask, mut ready, next)| async move {
        if let Some(text) = ready.pop_front() {
            return Ok::<_, Error>(Some((text, (desk, ask, ready, next))));
        }
        let Some(next) = next else { return Ok(None) };
        ask.after = Some(next);
        let (text, next) = conflict_rows(&*desk, names, &ask).await?;
        Ok(Some((text, (desk, ask, ready, next))))
    });
    Ok(Body::from_stream(rest))
}

async fn conflict_rows(desk: &dyn Desk, names: &[&str], ask: &ConflictsAsk) -> Result<(String, Option<String>)> {
    let page = desk.conflicts(ask).await?;
    let mut text = String::new();
    for conflict in &page.items {
        let row = serde_json::to_value(conflict);
        text += &line(names, &row.map_err(|error| Error::internal("a row cannot be written").cause(error))?);
    }
    Ok((text, page.next))
}

/// The names of all entries, those of `custom` below it, in the order in which they come first.
pub(crate) fn columns(records: &[Json]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for record in records {
        entries(record, &mut |name, _| {
            if !out.iter().any(|known| *known == name) {
                out.push(name.into_owned());
            }
        });
    }
    out
}

/// All entries of a record with their names, those of `custom` below it.
fn entries<'r>(record: &'r Json, on: &mut dyn FnMut(Cow<'r, str>, &'r Json)) {
    for (name, of) in record.as_object().into_iter().flatten() {
        match of.as_object() {
            Some(custom) if name == "custom" => {
                custom.iter().for_each(|(key, of)| on(format!("custom.{key}").into(), of));
            }
            _ => on(name.into(), of),
        }
    }
}

/// An entry of a record by its name; nothing where there is none.
pub(crate) fn cell<'r>(record: &'r Json, name: &str) -> &'r Json {
    let found = match name.strip_prefix("custom.") {
        Some(custom) => record.get("custom").and_then(|all| all.get(custom)),
        None => record.get(name),
    };
    found.unwrap_or(&Json::Null)
}

/// The first line of CSV.
fn head(names: &[impl AsRef<str>]) -> String {
    names.iter().map(|name| csv_cell(name.as_ref())).collect::<Vec<_>>().join(",") + "\r\n"
}

/// A record as a line of CSV.
fn line(names: &[impl AsRef<str>], record: &Json) -> String {
    names.iter().map(|name| csv_cell(&text(cell(record, name.as_ref())))).collect::<Vec<_>>().join(",") + "\r\n"
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
        let names = columns(&records);
        let lines: String = records.iter().map(|record| line(&names, record)).collect();
        assert_eq!(head(&names) + &lines, wanted);
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
