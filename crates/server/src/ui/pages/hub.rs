//! The hub: what the built-in platform holds.

use axum::extract::{Query, State};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::api::Api;
use crate::desk::{Discovered, ModelAnswer, RecordsAsk};
use crate::export::{cell, columns};
use crate::ui::chart::{Point, usage};
use crate::ui::parts::{empty, escaped, head, link, pager, plural, value};
use crate::ui::visit::{Place, Shown, Visit};

/// Columns that are shown before the others are folded away.
const COLUMNS: usize = 9;
/// Days in a chart.
const DAYS: u32 = 60;

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
    let filter = asked.filter().unwrap_or_default();
    let file = |kind: &str| {
        let path = format!("/api/v1/connections/{}/records.{kind}", escaped(&asked.connection));
        link(&path, &[("model", asked.model.as_str()), ("where", &filter)])
    };
    let acts = html! { a.button href=(file("csv")) download { "Export as CSV" } a.button href=(file("parquet")) download { "Export as Parquet" } };
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
