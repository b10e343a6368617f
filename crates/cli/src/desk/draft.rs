//! Syncs that are not saved yet: what their mapping makes of real rows. Nothing is written.

use std::sync::Arc;

use tidegate_engine::Job;
use tidegate_engine::plan::map::{MappedField, Mapping};
use tidegate_model::cells::value_at;
use tidegate_model::page::Page;
use tidegate_model::ports::{ReadAsk, ReadMode};
use tidegate_model::schema::ModelSchema;
use tidegate_model::sync::{Direction, FieldSet};
use tidegate_model::{Error, Result};
use tidegate_server::desk::{FileName, PreviewAnswer, PreviewCell, PreviewField, PreviewRow};

use super::ProjectDesk;
use super::files::{changed, path_of, refused};
use super::shapes::shown;
use crate::workshop::Workshop;

/// Rows of a preview.
const ROWS: usize = 10;

/// The project as it would be with this text.
pub fn shop(desk: &ProjectDesk, sync: &str, text: &str) -> Result<Workshop> {
    let path = path_of(&FileName::Sync(sync.to_owned()))?;
    let (project, problems) = changed(&desk.live.root, &path, Some(text))?;
    let Some(project) = project.filter(|_| problems.is_empty()) else { return Err(refused(&problems)) };
    let now = desk.shop();
    Ok(now.with(project, Arc::clone(&now.store)))
}

/// Ten rows of the relation through the mapping.
pub async fn preview(desk: &ProjectDesk, sync: &str, text: &str) -> Result<PreviewAnswer> {
    let shop = shop(desk, sync, text)?;
    let job = shop.job(sync).await.map_err(crate::live::first)?;
    if matches!(job.sync.fields, FieldSet::All) {
        return Err(Error::config("a sync with `fields: all` takes every column as it is")
            .hint("there is nothing to preview: nothing is mapped"));
    }
    let relation = job.warehouse.describe(&job.sync.source).await?;
    let mapping = Mapping::compile(&job.sync, &relation, &model(&job).await?)?;
    let (names, page) = rows(&job, &mapping).await?;
    let fields = mapping.fields.iter().map(|field| PreviewField {
        column: field.column.as_ref().map_or_else(|| "always".to_owned(), ToString::to_string),
        field: field.name.to_string(),
    });
    let count = page.as_ref().map_or(0, Page::len).min(ROWS);
    let row = |at: usize| page.as_ref().map(|page| one(&job, &mapping, &names, page, at));
    Ok(PreviewAnswer { fields: fields.collect(), rows: (0..count).filter_map(row).collect() })
}

async fn model(job: &Job) -> Result<ModelSchema> {
    let found = job.platform.models().await?.into_iter().find(|model| model.name == job.sync.model);
    found.ok_or_else(|| {
        Error::config(format!("the platform has no model `{}`", job.sync.model)).hint("choose one of its models")
    })
}

/// The first page with the columns that the mapping needs, the key first.
async fn rows(job: &Job, mapping: &Mapping) -> Result<(Vec<String>, Option<Page>)> {
    let mut names = vec![job.sync.key.warehouse.clone()];
    for column in mapping.columns() {
        if !names.iter().any(|name| **name == *column) {
            names.push(column.to_string());
        }
    }
    let ask = ReadAsk {
        source: job.sync.source.clone(),
        columns: names.clone(),
        mode: ReadMode::Unordered,
        page_rows: ROWS,
        timezone: job.sync.timezone.clone(),
    };
    let mut pages = job.warehouse.read(ask).await?;
    Ok((names, pages.next().await?))
}

fn one(job: &Job, mapping: &Mapping, names: &[String], page: &Page, at: usize) -> PreviewRow {
    let key = value_at(&page.rows, 0, at);
    let cells = mapping.fields.iter().map(|field| cell(job, field, names, page, at));
    let key = (!key.is_null()).then(|| match key.to_json() {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    });
    PreviewRow { key, cells: cells.collect() }
}

fn cell(job: &Job, field: &MappedField, names: &[String], page: &Page, at: usize) -> PreviewCell {
    let column = field.column.as_ref().and_then(|name| names.iter().position(|known| **known == **name));
    let value = column.map_or(tidegate_model::value::Value::Null, |column| value_at(&page.rows, column, at));
    let from = shown(Some(&job.sync), Some(&field.name), Some(&value));
    if let Some(misfit) = page.misfits.iter().find(|misfit| misfit.row == at && Some(misfit.column) == column) {
        return PreviewCell { from, to: serde_json::Value::Null, misfit: Some(misfit.reason.clone()) };
    }
    // What comes from the platform is not mapped from these rows: it is shown as it stands.
    if field.direction == Direction::ToWarehouse {
        return PreviewCell { to: from.clone(), from, misfit: None };
    }
    match field.to_platform(&value) {
        Ok(to) => {
            let to = to.map_or_else(|| from.clone(), |to| shown(Some(&job.sync), Some(&field.name), Some(&to)));
            PreviewCell { from, to, misfit: None }
        }
        Err(reject) => PreviewCell { from, to: serde_json::Value::Null, misfit: Some(reject.reason) },
    }
}
