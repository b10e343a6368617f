//! Rows of the warehouse by canonical key, where keys change on their way (`key.transform`, or a platform that keeps
//! them in a form of its own). Such a change cannot be turned back: a warehouse finds by key only rows whose key stands
//! there in the canonical form already. For the others its rows are gone through.

use std::collections::{HashMap, HashSet};

use tidegate_model::cells::value_at;
use tidegate_model::error::Result;
use tidegate_model::page::{Page, Pages};
use tidegate_model::ports::{PAGE_ROWS, ReadAsk, ReadMode};
use tidegate_model::record::Key;

use super::context::Ctx;
use super::retry;
use super::sorted::{self, KeyRule};

/// The rows of these keys, in pages of these columns (the key's first), their keys canonical.
pub(crate) async fn rows(ctx: &Ctx, keys: &[Key], columns: &[String], rule: &KeyRule) -> Result<Vec<Page>> {
    let wanted: HashSet<&Key> = keys.iter().collect();
    let mut found = Vec::new();
    each(ctx, keys, columns, rule, &mut |page| {
        found.extend(sorted::only(page, rule, &wanted)?);
        Ok(())
    })
    .await?;
    Ok(found)
}

/// These keys as they stand in the warehouse. Those that are not there are left out; of several rows, it is the first.
pub(crate) async fn as_they_stand(ctx: &Ctx, keys: &[Key], rule: &KeyRule) -> Result<HashMap<Key, Key>> {
    let wanted: HashSet<&Key> = keys.iter().collect();
    let mut found = HashMap::new();
    each(ctx, keys, std::slice::from_ref(&ctx.sync.key.warehouse), rule, &mut |page| {
        for row in 0..page.len() {
            let value = value_at(&page.rows, rule.column, row);
            let stands = Key::of(&value);
            let canonical = rule.key(value).filter(|key| wanted.contains(key));
            if let (Some(canonical), Some(stands)) = (canonical, stands) {
                found.entry(canonical).or_insert(stands);
            }
        }
        Ok(())
    })
    .await?;
    Ok(found)
}

/// Shows pages among whose rows are all of these keys: what the warehouse finds by them, and if that is not all, every
/// row that it has.
async fn each(
    ctx: &Ctx,
    keys: &[Key],
    columns: &[String],
    rule: &KeyRule,
    take: &mut (dyn FnMut(&Page) -> Result<()> + Send),
) -> Result<()> {
    let (engine, cancel, warehouse) = (&ctx.engine, &ctx.options.cancel, &ctx.job.warehouse);
    let (source, zone) = (&ctx.sync.source, &ctx.sync.timezone);
    let fetch = || warehouse.fetch(source, columns, &ctx.sync.key.warehouse, keys, zone);
    let page = retry::again(engine, cancel, fetch).await?;
    let known = (0..page.len()).filter_map(|row| rule.key(value_at(&page.rows, rule.column, row)));
    if known.collect::<HashSet<Key>>().len() == keys.iter().collect::<HashSet<_>>().len() {
        return take(&page);
    }
    let ask = ReadAsk {
        source: source.clone(),
        columns: columns.to_vec(),
        mode: ReadMode::Unordered,
        page_rows: PAGE_ROWS,
        timezone: zone.clone(),
    };
    let open = || retry::opened(&**warehouse, cancel, ask.clone());
    let mut pages: Pages = retry::again(engine, cancel, open).await?;
    while let Some(page) = pages.next().await? {
        take(&page)?;
    }
    Ok(())
}
