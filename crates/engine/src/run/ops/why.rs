//! `why`: everything about one record.

use tidegate_model::error::Result;
use tidegate_model::ports::flags;
use tidegate_model::record::Key;
use tidegate_model::sync::Target;
use tidegate_model::value::Value;

use crate::api::{Engine, Job, PlannedChange, RunOptions, Why, WhyField};
use crate::plan::images::Image;
use crate::plan::reconcile::{Look, reconcile};
use crate::run::context::Ctx;
use crate::run::keyed;

/// Last writes that are shown.
const HISTORY_SHOWN: u32 = 10;
/// Rejects and conflicts that are searched for those of the record.
const LISTED_MAX: u32 = 100_000;

impl Engine {
    /// Everything about one record.
    pub async fn why(&self, job: &Job, key: &Key) -> Result<Why> {
        let ctx = super::looking(self, job, &RunOptions::default()).await?;
        let name = &ctx.sync.name;
        let mut why = Why {
            sync: name.clone(),
            key: key.to_string(),
            remote: None,
            link: "unknown".to_owned(),
            fields: Vec::new(),
            history: history(self, &ctx, key).await?,
            rejects: rejects(self, name, key).await?,
            conflicts: conflicts(self, name, key).await?,
            next: Vec::new(),
            verdict: String::new(),
        };
        if ctx.columnar() {
            why.verdict = "this sync moves whole columns: it keeps no record-by-record ledger".to_owned();
            return Ok(why);
        }
        let looks = keyed::looks(&ctx, std::slice::from_ref(key)).await?;
        let Some(look) = looks.first() else {
            why.verdict = "several rows have this key; mend the duplicates at the source".to_owned();
            return Ok(why);
        };
        why.remote = look.entry.as_ref().and_then(|entry| entry.remote.as_ref()).map(|id| id.to_string());
        why.link = link(look).to_owned();
        // What the next run would do follows from what it would read; what stands on both sides is for the person.
        let both = keyed::both_sides(&ctx, std::slice::from_ref(key)).await?;
        why.fields = fields(&ctx, both.first().unwrap_or(look));
        let verdict = reconcile(&ctx.rules(), look);
        why.next = super::plan::changes(&ctx, &verdict);
        why.verdict = sentence(&why, look);
        Ok(why)
    }
}

fn link(look: &Look) -> &'static str {
    match &look.entry {
        Some(entry) if entry.flags & flags::GONE_WAREHOUSE != 0 => "gone_warehouse",
        Some(entry) if entry.flags & flags::GONE_PLATFORM != 0 => "gone_platform",
        Some(_) => "linked",
        None if look.warehouse.row().is_some() || look.platform.row().is_some() => "new",
        None => "unknown",
    }
}

fn fields(ctx: &Ctx, look: &Look) -> Vec<WhyField> {
    let mapped = ctx.mapping.fields.iter().enumerate();
    mapped
        .map(|(at, field)| {
            let hidden = ctx.sync.redact.iter().any(|name| *name == *field.name);
            let shown = |value: Option<Value>| value.filter(|_| !hidden).map(|value| value.to_json());
            let now = |side: Target| shown(look.side(side).row().map(|row| row.values[at].clone()));
            let images = look.detail.field(field.id);
            let image = |side: Target| shown(images.and_then(|i| i.side(side)).and_then(Image::value).cloned());
            WhyField {
                field: field.name.to_string(),
                direction: field.direction,
                warehouse: now(Target::Warehouse),
                warehouse_image: image(Target::Warehouse),
                platform: now(Target::Platform),
                platform_image: image(Target::Platform),
            }
        })
        .collect()
}

fn sentence(why: &Why, look: &Look) -> String {
    let said = |change: &PlannedChange| {
        let side = match change.side {
            Target::Platform => "on the platform",
            Target::Warehouse => "in the warehouse",
        };
        let fields: Vec<&str> = change.fields.iter().map(|field| field.field.as_str()).collect();
        let because = change.why.as_ref().map_or(String::new(), |why| format!(" ({why})"));
        match change.action.as_str() {
            "create" => format!("the next run creates it {side}"),
            "update" => format!("the next run writes {} {side}", fields.join(", ")),
            "delete" => format!("the next run deletes it {side}"),
            "reject" => format!("it cannot be delivered {side}{because}"),
            _ => format!("it is held {side}{because}"),
        }
    };
    let next: Vec<String> = why.next.iter().map(said).collect();
    match (next.is_empty(), look.entry.is_some(), look.warehouse.row().is_some() || look.platform.row().is_some()) {
        (false, ..) => next.join("; "),
        (true, true, _) => "both sides are as the ledger knows them: the next run has nothing to do".to_owned(),
        (true, false, true) => "it is there and the sync's directions let nothing be done with it".to_owned(),
        (true, false, false) => "neither side has a record of this key, and it was never synced".to_owned(),
    }
}

async fn history(engine: &Engine, ctx: &Ctx, key: &Key) -> Result<Vec<serde_json::Value>> {
    let entries = engine.memory.history_of(&ctx.sync.name, key, HISTORY_SHOWN).await?;
    let fields = |fields: &tidegate_model::record::Fields| {
        let hidden = |name: &str| is_hidden(ctx, name);
        let pairs =
            fields.iter().filter(|(name, _)| !hidden(name)).map(|(name, value)| (name.to_string(), value.to_json()));
        serde_json::Value::Object(pairs.collect())
    };
    let shown = entries.iter().map(|entry| {
        serde_json::json!({
            "run": entry.run, "at": entry.at.to_string(), "side": entry.to, "effect": entry.effect,
            "before": fields(&entry.before), "after": fields(&entry.after),
        })
    });
    Ok(shown.collect())
}

/// Whether a name, of either side, belongs to a field that is never shown.
fn is_hidden(ctx: &Ctx, name: &str) -> bool {
    let fields = ctx.mapping.fields.iter().filter(|field| ctx.sync.redact.iter().any(|hidden| *hidden == *field.name));
    fields.into_iter().any(|field| *field.name == *name || field.column.as_deref() == Some(name))
}

async fn rejects(engine: &Engine, sync: &str, key: &Key) -> Result<Vec<serde_json::Value>> {
    let all = engine.memory.rejects(Some(sync), LISTED_MAX).await?;
    let own = all.iter().filter(|listed| listed.reject.key.as_ref() == Some(key));
    let shown = own.map(|listed| {
        let why = &listed.reject.why;
        serde_json::json!({
            "to": listed.reject.to, "field": why.field, "rule": why.rule, "reason": why.reason,
            "run": listed.run, "at": listed.at.to_string(),
        })
    });
    Ok(shown.collect())
}

async fn conflicts(engine: &Engine, sync: &str, key: &Key) -> Result<Vec<serde_json::Value>> {
    let all = engine.memory.conflicts(Some(sync), false, LISTED_MAX).await?;
    let own = all.iter().filter(|listed| listed.conflict.key == *key);
    let shown = own.map(|listed| {
        let conflict = &listed.conflict;
        serde_json::json!({
            "field": conflict.field, "winner": conflict.winner, "state": conflict.state, "note": conflict.note,
            "run": listed.run, "at": listed.at.to_string(),
        })
    });
    Ok(shown.collect())
}
