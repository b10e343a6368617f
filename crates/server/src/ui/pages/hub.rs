//! The hub: what the built-in platform holds.

use std::fmt::Write;

use axum::extract::{Query, State};
use axum::http::HeaderName;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value as Json;
use tidegate_model::Result;

use crate::api::Api;
use crate::desk::{Discovered, ModelAnswer, PAGE_MAX, RecordsAsk};
use crate::ui::chart::{Point, usage};
use crate::ui::parts::{empty, grouped, head, link, pager, plural, value, value_text};
use crate::ui::visit::{Failed, Place, Shown, Visit};

/// Columns that are shown before the others are folded away.
const COLUMNS: usize = 9;
/// Days in a chart.
const DAYS: u32 = 60;
/// Records in a file: what a spreadsheet opens at all.
const EXPORTED_MAX: usize = 100_000;

/// What is looked at.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    connection: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    field: String,
    #[serde(default)]
    equals: String,
    after: Option<String>,
}

impl Asked {
    fn filter(&self) -> Option<String> {
        (!self.field.is_empty() && !self.equals.is_empty()).then(|| format!("{}={}", self.field, self.equals))
    }
}

/// The page.
pub(super) async fn page(State(api): State<Api>, visit: Visit, Query(mut asked): Query<Asked>) -> Shown {
    let hubs: Vec<String> =
        api.desk.connections().await?.into_iter().filter(|one| one.kind == "hub").map(|one| one.connection).collect();
    if asked.connection.is_empty() {
        asked.connection = hubs.first().cloned().unwrap_or_default();
    }
    if asked.connection.is_empty() {
        let acts = html! { @if visit.edits() { a.button href="/connections/new?kind=hub" { "Add a hub" } } };
        let body = html! { (head(&[], "Hub", html! {}, html! {})) div.card { (empty("There is no hub in this project", "The hub is the customer platform that comes with tidegate: companies, people, licenses, usage, kept in a file or in Postgres. Other platforms have pages of their own.", acts)) } };
        return Ok(visit.page(Place::Hub, "Hub", &body));
    }
    let models = api.desk.discover(&asked.connection, None).await?.models;
    if asked.model.is_empty() {
        asked.model = models.first().map_or_else(String::new, |model| model.model.clone());
    }
    let model = api.desk.discover(&asked.connection, Some(&asked.model)).await?;
    let ask =
        RecordsAsk { model: asked.model.clone(), filter: asked.filter(), limit: None, after: asked.after.clone() };
    let records = api.desk.records(&asked.connection, &ask).await?;
    let kind = models.iter().find(|one| one.model == asked.model).map_or("", |one| one.kind.as_str());
    let chart =
        if kind == "series" { api.desk.usage(&asked.connection, &asked.model, DAYS).await? } else { Vec::new() };
    let pairs = [
        ("connection", asked.connection.as_str()),
        ("model", &asked.model),
        ("field", &asked.field),
        ("equals", &asked.equals),
    ];
    let acts = html! { a.button href=(link("/hub.csv", &pairs)) download { "Export as CSV" } a.button href=(link("/hub.parquet", &pairs)) download { "Parquet" } };
    let body = html! {
        (head(&[], "Hub", html! { "What " code { (asked.connection) } " holds." }, acts))
        (tabs(&asked, &hubs, &models))
        @if !chart.is_empty() {
            section.card { h2 { "Per day" } (usage(&chart.iter().map(|day| Point { label: day.day.clone(), value: day.value }).collect::<Vec<_>>(), "entries")) }
        }
        (filters(&asked, &model))
        section.card.flush {
            @if records.items.is_empty() { (empty("Nothing here", "Records come with the first run of a sync to this model, or by hand with tidegate hub set.", html! {})) }
            @else { (table(&asked, &model, &records.items)) }
            (pager("/hub", &pairs, asked.after.as_deref(), records.next.as_deref()))
        }
        (fields(&model))
    };
    Ok(visit.page(Place::Hub, &asked.model, &body))
}

fn tabs(asked: &Asked, hubs: &[String], models: &[ModelAnswer]) -> Markup {
    html! {
        @if hubs.len() > 1 {
            nav.tabs aria-label="Hubs" { @for hub in hubs { a href=(link("/hub", &[("connection", hub)])) aria-current=[(*hub == asked.connection).then_some("true")] { (hub) } } }
        }
        nav.tabs aria-label="Models" {
            @for model in models {
                a href=(link("/hub", &[("connection", &asked.connection), ("model", &model.model)])) aria-current=[(model.model == asked.model).then_some("page")] { (model.model) }
            }
        }
    }
}

fn filters(asked: &Asked, model: &Discovered) -> Markup {
    html! {
        form.filters method="get" action="/hub" {
            input type="hidden" name="connection" value=(asked.connection); input type="hidden" name="model" value=(asked.model);
            div.slim { label for="field" { "Where" } select id="field" name="field" { option value="" { "any field" } @for field in &model.fields { option value=(field.field) selected[field.field == asked.field] { (field.field) } } } }
            div.slim { label for="equals" { "is" } input id="equals" name="equals" value=(asked.equals); }
            button { "Filter" }
            @if asked.filter().is_some() { a href=(link("/hub", &[("connection", &asked.connection), ("model", &asked.model)])) { "Show all" } }
        }
    }
}

/// The names of all entries, those of `custom` below it, in the order in which they come first.
fn columns(records: &[Json]) -> Vec<String> {
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

fn cell<'r>(record: &'r Json, name: &str) -> &'r Json {
    let found = match name.strip_prefix("custom.") {
        Some(custom) => record.get("custom").and_then(|all| all.get(custom)),
        None => record.get(name),
    };
    found.unwrap_or(&Json::Null)
}

fn table(asked: &Asked, model: &Discovered, records: &[Json]) -> Markup {
    let all = columns(records);
    // Ids and times of our own are of less interest than what people wrote.
    let own = |name: &String| name.starts_with('_') || name == "createdAt" || name == "updatedAt";
    let key = |name: &str| model.fields.iter().any(|field| field.key && field.field == name);
    let mut shown = all;
    // What names a record comes first.
    shown.sort_by_key(|name| match name.as_str() {
        "name" => 0,
        _ if own(name) => 3,
        _ if key(name) => 1,
        _ => 2,
    });
    let rest = shown.len().saturating_sub(COLUMNS);
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Records of " (asked.model) } { table.records data-sorts {
            thead { tr { @for name in shown.iter().take(COLUMNS) { th scope="col" data-sort { (name) } } @if rest > 0 { th scope="col" { (plural(rest as u64, "more field", "more fields")) } } } }
            tbody { @for record in records { tr {
                @for name in shown.iter().take(COLUMNS) { td { @let of = cell(record, name); @if !of.is_null() { (value(of)) } } }
                @if rest > 0 { td { details { summary { "Show" } dl.facts { @for name in shown.iter().skip(COLUMNS) { @let of = cell(record, name); @if !of.is_null() { dt { (name) } dd { (value(of)) } } } } } } }
            } } }
        } }
    }
}

fn fields(model: &Discovered) -> Markup {
    html! {
        section.card.flush { div.row { h2 { "Fields" } @if model.custom_fields == Some(true) { span.soft { "New ones are made by mapping them: custom.NAME." } } }
            div.scroll { table.cards {
                thead { tr { th scope="col" { "Field" } th scope="col" { "Type" } th scope="col" { "Notes" } } }
                tbody { @for field in &model.fields { tr {
                    th scope="row" { code { (field.field) } } td data-label="Type" { (field.logical) }
                    td data-label="Notes" {
                        @if field.key { span.state.is-held { "key" } " " } @if field.required { span.state { "needed" } " " } @if field.read_only { span.state { "read only" } " " }
                        @if let Some(model) = &field.references { "a " (model) ". " } @if let Some(words) = &field.one_of { "one of " (words.join(", ")) ". " } (field.help)
                    }
                } } }
            } }
        }
    }
}

/// All records that are asked for, as CSV.
pub(super) async fn csv(
    State(api): State<Api>,
    visit: Visit,
    Query(asked): Query<Asked>,
) -> std::result::Result<Response, Failed> {
    let records = all(&visit, &asked).await?;
    let text = written(&records);
    tracing::debug!(model = asked.model, records = %grouped(records.len() as u64), "records were exported");
    drop(api);
    Ok((as_file(&asked.model, "csv", "text/csv; charset=utf-8"), text).into_response())
}

/// The same as Parquet.
pub(super) async fn parquet(visit: Visit, Query(asked): Query<Asked>) -> std::result::Result<Response, Failed> {
    let records = all(&visit, &asked).await?;
    let mut names = columns(&records);
    if names.is_empty() {
        // A file without columns is none.
        names.push("_id".to_owned());
    }
    let bytes = crate::ui::parquet::file(&names, &records, cell);
    Ok((as_file(&asked.model, "parquet", "application/vnd.apache.parquet"), bytes).into_response())
}

/// The headers of a file to keep.
fn as_file(model: &str, ending: &str, kind: &str) -> [(HeaderName, String); 2] {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let name: String = model.chars().map(safe).collect();
    [(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.{ending}\""))]
}

async fn all(visit: &Visit, asked: &Asked) -> Result<Vec<Json>> {
    let (mut out, mut after) = (Vec::new(), None);
    while out.len() < EXPORTED_MAX {
        let ask = RecordsAsk { model: asked.model.clone(), filter: asked.filter(), limit: Some(PAGE_MAX), after };
        let page = visit.desk().records(&asked.connection, &ask).await?;
        out.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(out)
}

fn written(records: &[Json]) -> String {
    let names = columns(records);
    let mut out = names.iter().map(|name| csv_cell(name)).collect::<Vec<_>>().join(",");
    out.push_str("\r\n");
    for record in records {
        let cells: Vec<String> = names.iter().map(|name| csv_cell(&value_text(cell(record, name)))).collect();
        // Writing to a String does not fail.
        let _ = write!(out, "{}\r\n", cells.join(","));
    }
    out
}

/// One cell. A text that a spreadsheet takes for a formula is kept a text; a plain number may begin with a minus.
fn csv_cell(text: &str) -> String {
    let number = text.parse::<f64>().is_ok();
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !number;
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
        assert_eq!(written(&records), wanted);
    }
}
