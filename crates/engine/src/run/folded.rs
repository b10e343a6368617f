//! Rows of the warehouse by canonical key, where keys change on their way (`key.transform`, or a platform that keeps
//! them in a form of its own). Such a change cannot be turned back: a warehouse finds by key only rows whose key stands
//! there in the canonical form already. For the others its rows are gone through.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use arrow_array::cast::AsArray;
use tidegate_model::cells::value_at;
use tidegate_model::error::Result;
use tidegate_model::page::Page;
use tidegate_model::ports::{PAGE_ROWS, ReadAsk, ReadMode};
use tidegate_model::record::Key;

use super::context::Ctx;
use super::retry;
use super::sorted::{self, KeyRule, STANDS};

/// The rows of these keys, in pages of these columns (the key's first), their keys canonical. A read that breaks off is
/// begun again: what it showed by then is dropped, for between two reads rows move.
pub(crate) async fn rows(ctx: &Ctx, keys: &[Key], columns: &[String], rule: &KeyRule) -> Result<Vec<Page>> {
    let wanted: HashSet<&Key> = keys.iter().collect();
    retry::again(&ctx.engine, &ctx.options.cancel, || once(ctx, keys, &wanted, columns, rule)).await
}

/// These keys as they stand in the warehouse. Those that are not there are left out; of several rows, it is the first.
pub(crate) async fn as_they_stand(ctx: &Ctx, keys: &[Key], rule: KeyRule) -> Result<HashMap<Key, Key>> {
    let mut found = HashMap::new();
    if keys.is_empty() {
        return Ok(found);
    }
    let columns = std::slice::from_ref(&ctx.sync.key.warehouse);
    for page in rows(ctx, keys, columns, &rule.standing()).await? {
        let Some(stand) = page.rows.column_by_name(STANDS) else { continue };
        let (keys, stand) = (page.rows.column(0).as_string::<i32>(), stand.as_string::<i32>());
        for (key, stands) in keys.iter().zip(stand).filter_map(|(key, stands)| key.zip(stands)) {
            found.entry(Key::new(key)).or_insert_with(|| Key::new(stands));
        }
    }
    Ok(found)
}

/// What the warehouse finds by these keys, and if that is not all of them, those among every row that it has.
async fn once(
    ctx: &Ctx,
    keys: &[Key],
    wanted: &HashSet<&Key>,
    columns: &[String],
    rule: &KeyRule,
) -> Result<Vec<Page>> {
    let (source, zone) = (&ctx.sync.source, &ctx.sync.timezone);
    let page = ctx.job.warehouse.fetch(source, columns, &ctx.sync.key.warehouse, keys, zone).await?;
    let known = (0..page.len()).filter_map(|row| rule.key(value_at(&page.rows, rule.column, row)));
    if known.collect::<HashSet<Key>>().len() == wanted.len() {
        return Ok(sorted::only(&page, rule, wanted)?.into_iter().collect());
    }
    ctx.lookups.fetch_add(1, Ordering::Relaxed);
    let ask = ReadAsk {
        source: source.clone(),
        columns: columns.to_vec(),
        mode: ReadMode::Unordered,
        page_rows: PAGE_ROWS,
        timezone: zone.clone(),
    };
    let mut pages = retry::opened(&*ctx.job.warehouse, &ctx.options.cancel, ask).await?;
    let mut found = Vec::new();
    while let Some(page) = pages.next().await? {
        ctx.options.cancel.check()?;
        found.extend(sorted::only(&page, rule, wanted)?);
    }
    Ok(found)
}
