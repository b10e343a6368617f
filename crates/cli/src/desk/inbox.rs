//! What waits for a person: rejects and conflicts; and one record with all that is known of it.

use tidegate_model::ports::Choice;
use tidegate_model::record::Key;
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_server::csv_cell;
use tidegate_server::desk::*;

use super::{ProjectDesk, known, marks, shapes};
use crate::cmd::rejects::{COLUMNS, LISTED_MAX};
use crate::out::cell;
use crate::shape;

/// Open rejects.
pub async fn rejects(desk: &ProjectDesk, ask: &OfSyncAsk) -> Result<Page<RejectAnswer>> {
    let shop = desk.shop();
    let after = marks::read::<[String; 4]>(ask.after.as_deref())?;
    let found = shop.store.rejects_page(ask.sync.as_deref(), after.as_ref(), ask.limit()).await?;
    let next = marks::next(&found, ask.limit())?;
    let items = found.into_iter().map(|(listed, _)| {
        let sync = shop.project.syncs.get(&listed.sync);
        let why = &listed.reject.why;
        RejectAnswer {
            key: listed.reject.key.as_ref().map(|key| key.as_str().to_owned()),
            side: shape::side(listed.reject.to).to_owned(),
            field: why.field.clone(),
            rule: why.rule.clone(),
            reason: why.reason.clone(),
            value: shapes::shown(sync, why.field.as_deref(), listed.reject.value.as_ref()),
            run: listed.run.clone(),
            at: listed.at.to_string(),
            sync: listed.sync,
        }
    });
    Ok(Page { items: items.collect(), next })
}

/// Open rejects as CSV, as `tidegate rejects --csv` prints them.
pub async fn rejects_csv(desk: &ProjectDesk, sync: Option<&str>) -> Result<String> {
    let shop = desk.shop();
    let mut out = COLUMNS.join(",");
    out.push('\n');
    for listed in shop.memory().rejects(sync, LISTED_MAX).await? {
        let line = shape::reject(&listed);
        let cells = COLUMNS.iter().map(|name| csv_cell(&line.get(name).map(cell).unwrap_or_default()));
        out.push_str(&cells.collect::<Vec<_>>().join(","));
        out.push('\n');
    }
    Ok(out)
}

/// Conflicts, newest first.
pub async fn conflicts(desk: &ProjectDesk, ask: &ConflictsAsk) -> Result<Page<ConflictAnswer>> {
    let shop = desk.shop();
    let after = marks::read::<(i64, i64)>(ask.after.as_deref())?;
    let found = shop.store.conflicts_page(ask.sync.as_deref(), ask.open, after, ask.limit()).await?;
    let next = marks::next(&found, ask.limit())?;
    let items = found.into_iter().map(|(listed, _)| {
        let sync = shop.project.syncs.get(&listed.sync);
        let conflict = &listed.conflict;
        let field = conflict.field.as_deref();
        ConflictAnswer {
            key: conflict.key.as_str().to_owned(),
            field: conflict.field.clone(),
            warehouse: shapes::shown(sync, field, conflict.warehouse.as_ref()),
            platform: shapes::shown(sync, field, conflict.platform.as_ref()),
            winner: conflict.winner.map(|side| shape::side(side).to_owned()),
            state: shape::conflict_state(conflict).to_owned(),
            note: conflict.note.clone(),
            run: listed.run.clone(),
            at: listed.at.to_string(),
            sync: listed.sync,
        }
    });
    Ok(Page { items: items.collect(), next })
}

/// Decides a conflict.
pub async fn resolve(desk: &ProjectDesk, ask: &ResolveAsk) -> Result<()> {
    let shop = desk.shop();
    known(shop.sync(&ask.sync))?;
    let choice = match (ask.choice, &ask.value) {
        (Pick::Warehouse, None) => Choice::Warehouse,
        (Pick::Platform, None) => Choice::Platform,
        (Pick::Value, Some(value)) => Choice::Value(value.clone()),
        (Pick::Value, None) => return Err(Error::config("`use: value` needs a value").hint("give it as `value`")),
        (Pick::Warehouse | Pick::Platform, Some(_)) => {
            return Err(Error::config("a value goes with `use: value` only").hint("leave `value` out"));
        }
    };
    // A form sends an empty text for a field that is not there.
    let field = ask.field.as_deref().filter(|field| !field.is_empty());
    if shop.memory().choose(&ask.sync, &Key::new(ask.key.as_str()), field, &choice).await? {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NotFound, "there is no such open conflict")
        .hint("`GET /api/v1/conflicts?open=true` lists them"))
}

/// Everything about one record.
pub async fn why(desk: &ProjectDesk, sync: &str, key: &str) -> Result<WhyAnswer> {
    let shop = desk.shop();
    known(shop.sync(sync))?;
    let job = shop.job(sync).await.map_err(crate::live::first)?;
    let why = shop.engine.why(&job, &Key::new(key)).await?;
    let fields = why.fields.into_iter().map(|field| {
        let hidden = shape::hides(&job.sync, &field.field);
        let shown = |value: Option<serde_json::Value>| value.map(|value| if hidden { "***".into() } else { value });
        WhyFieldAnswer {
            direction: shape::direction(field.direction).to_owned(),
            warehouse: shown(field.warehouse),
            warehouse_image: shown(field.warehouse_image),
            platform: shown(field.platform),
            platform_image: shown(field.platform_image),
            field: field.field,
        }
    });
    Ok(WhyAnswer {
        sync: why.sync,
        key: why.key,
        remote: why.remote,
        link: why.link,
        verdict: why.verdict,
        fields: fields.collect(),
        history: why.history,
        rejects: why.rejects,
        conflicts: why.conflicts,
        next: why.next.iter().map(|change| shapes::planned(&job.sync, change)).collect(),
    })
}
