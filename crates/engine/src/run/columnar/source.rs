//! Complete reads of either side, in key order, mapped page by page.

use tidegate_model::error::{Error, Result};
use tidegate_model::page::{Pages, REMOTE_ID, UPDATED_AT};
use tidegate_model::ports::{PlatformAsk, PlatformRead, ReadAsk, ReadMode};
use tidegate_model::sync::Target;

use super::groups::{Grouped, Groups};
use super::work::{Batch, Work};
use crate::plan::columns::{Beforehand, Columns};
use crate::run::context::Ctx;
use crate::run::retry::opened;
use crate::run::sorted::{KeyRule, sorted};

/// The columns of the warehouse that are read, each once, the key first.
pub(super) fn warehouse_columns(columns: &Columns, more: Option<&str>) -> Vec<String> {
    let mut names = vec![columns.key_source().to_owned()];
    let more = more.into_iter().map(str::to_owned);
    for name in columns.sources().into_iter().chain(more) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Everything that the source holds, ascending by key.
pub(super) async fn everything(ctx: &Ctx, columns: &Columns, page_rows: usize, to: Target) -> Result<Groups> {
    reading(ctx, columns, page_rows, to, None).await
}

/// The same, with a further column of the warehouse.
pub(super) async fn reading(
    ctx: &Ctx,
    columns: &Columns,
    page_rows: usize,
    to: Target,
    more: Option<&str>,
) -> Result<Groups> {
    let pages = match to {
        Target::Platform => warehouse(ctx, columns, page_rows, more).await?,
        Target::Warehouse => platform(ctx, columns, page_rows).await?,
    };
    Ok(Groups::new(pages, columns.key_source(), ctx.options.limit))
}

/// What is asked of the warehouse for everything that it holds.
pub(super) fn ask(ctx: &Ctx, columns: &Columns, page_rows: usize, more: Option<&str>) -> Result<ReadAsk> {
    let key = columns.key_source().to_owned();
    let in_order = ctx.key_rule()?.is_none();
    Ok(ReadAsk {
        source: ctx.sync.source.clone(),
        columns: warehouse_columns(columns, more),
        mode: if in_order { ReadMode::Full { key, after: None, at: None } } else { ReadMode::Unordered },
        page_rows,
        timezone: ctx.sync.timezone.clone(),
    })
}

async fn warehouse(ctx: &Ctx, columns: &Columns, page_rows: usize, more: Option<&str>) -> Result<Pages> {
    let ask = ask(ctx, columns, page_rows, more)?;
    let pages = opened(&*ctx.job.warehouse, &ctx.options.cancel, ask).await?;
    match ctx.key_rule()? {
        Some(rule) => sorted(pages, &rule, &ctx.engine.env).await,
        None => Ok(pages),
    }
}

async fn platform(ctx: &Ctx, columns: &Columns, page_rows: usize) -> Result<Pages> {
    let abilities = ctx.abilities;
    if !abilities.read {
        return Err(Error::config(format!("sync {}: `{}` cannot be read", ctx.sync.name, ctx.sync.model))
            .hint("this platform only takes data; set `direction: to_platform`"));
    }
    let key = columns.key_source().to_owned();
    let own = [REMOTE_ID, UPDATED_AT];
    let ask = PlatformAsk {
        model: ctx.sync.model.clone(),
        fields: columns.sources().into_iter().filter(|name| !own.contains(&name.as_str())).collect(),
        key: key.clone(),
        filter: ctx.sync.filter.clone(),
        mode: PlatformRead::Full,
        page_rows,
    };
    let pages = ctx.job.platform.read(ask).await?;
    if abilities.ordered {
        return Ok(pages);
    }
    let column = usize::from(key != REMOTE_ID);
    sorted(pages, &KeyRule::plain(column), &ctx.engine.env).await
}

/// A page of a complete read as a batch.
pub(super) fn batch(work: &Work<'_>, grouped: Grouped) -> Result<Batch> {
    let (read, skip) = (grouped.read(), grouped.skip());
    let mapped = work.columns.map(&grouped.page, Beforehand { skip, rejects: grouped.twins })?;
    let fresh = work.judge.before.fresh(&mapped, usize::MAX);
    Ok(Batch { pages: work.columns.parts(mapped)?, read, fresh, ..Batch::default() })
}
