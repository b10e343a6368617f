//! `undo`: before-images are put back where nobody changed the value since.

use std::collections::BTreeMap;

use tidegate_model::change::Action;
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::HistoryEntry;
use tidegate_model::record::{Fields, Key};
use tidegate_model::run::RunRecord;
use tidegate_model::sync::{LedgerKind, Target};
use tidegate_model::value::Value;

use crate::api::{Applied, Engine, FieldChange, Job, PlannedChange, RunOptions};
use crate::plan::reconcile::{
    Asked, Class, FieldWrite, Look, TargetPlan, Verdict, gone_flag, own_name, reconcile, target_name,
};
use crate::run::context::Ctx;
use crate::run::spans::{self, IfMissed};
use crate::run::{Work, keyed, resume};

/// Writes of a run that are read at once.
const HISTORY_ROWS: u32 = 5_000;

impl Engine {
    /// Puts a run's before-images back where nobody changed the value since, and pauses the sync's automation.
    pub async fn undo(&self, job: &Job, run: &str) -> Result<Applied> {
        let (name, days) = (&job.sync.name, job.sync.undo_days);
        let old = self.memory.run(run).await?.filter(|old| old.sync == *name);
        let old = old.ok_or_else(|| {
            Error::config(format!("there is no run {run} of sync {name}"))
                .hint(format!("`tidegate runs {name}` lists them"))
        })?;
        if job.sync.ledger == LedgerKind::Fingerprints {
            return Err(Error::config(format!(
                "sync {name} keeps fingerprints, not values: its runs cannot be undone"
            ))
            .hint("set `ledger: values` for the runs to come"));
        }
        if job.platform.abilities(&job.sync.model).whole && job.sync.direction.reaches(Target::Platform) {
            return Err(Error::config(format!(
                "the platform of sync {name} takes whole records, and before-images hold the changed fields alone"
            ))
            .hint("put the values back in the warehouse and run the sync"));
        }
        if self.env.now().millis_since(old.started_at) > i64::from(days) * 86_400_000 {
            return Err(Error::config(format!(
                "run {run} is older than {days} days (`undo_days`): its before-images are gone"
            )));
        }
        let options = RunOptions { trigger: "manual".to_owned(), ..RunOptions::default() };
        let (record, applied) = self.recorded(job, &options, "undo", Undoing { run }).await?;
        // Left running, the schedule would bring the undone values back at the source's next edit, unseen.
        self.memory.set_setting(&format!("paused:{name}"), Some("undo")).await?;
        Ok(Applied { run: record, stale: applied.0, not_possible: applied.1 })
    }
}

struct Undoing<'r> {
    run: &'r str,
}

impl Work for Undoing<'_> {
    /// What somebody changed since, and what cannot be taken back.
    type Made = (Vec<PlannedChange>, Vec<String>);
    async fn carry_out(self, ctx: &Ctx, record: &mut RunRecord) -> Result<Self::Made> {
        resume::resume(ctx, record).await?;
        put_back(ctx, record, self.run).await
    }
}

async fn put_back(ctx: &Ctx, record: &mut RunRecord, run: &str) -> Result<(Vec<PlannedChange>, Vec<String>)> {
    let mut not_possible = Vec::new();
    let writes = net_writes(ctx, run, &mut not_possible).await?;
    let keys: Vec<Key> = writes.keys().map(|(key, _)| key.clone()).collect();
    let rules = ctx.rules();
    let mut verdicts = Vec::new();
    for look in keyed::looks(ctx, &keys).await? {
        for side in [Target::Platform, Target::Warehouse] {
            let Some(entry) = writes.get(&(look.key.clone(), side)) else { continue };
            let mut verdict = Verdict {
                to_platform: TargetPlan::of(Class::Aside),
                to_warehouse: TargetPlan::of(Class::Aside),
                rejects: Vec::new(),
                conflicts: Vec::new(),
                remove: false,
                open: false,
                ..reconcile(&rules, &look)
            };
            match reverse(ctx, &look, entry, &mut verdict) {
                Ok(()) => verdicts.push(verdict),
                Err(why) => not_possible.push(format!("{}: {why}", look.key)),
            }
        }
    }
    let stale = spans::deliver(ctx, record, verdicts, IfMissed::LeaveAlone).await?;
    let listed = writes.iter().filter(|((key, _), _)| stale.contains(key));
    Ok((listed.map(|((key, side), entry)| as_planned(key, *side, entry)).collect(), not_possible))
}

/// The first before-image and the last value of each record and side that the run wrote.
async fn net_writes(
    ctx: &Ctx,
    run: &str,
    not_possible: &mut Vec<String>,
) -> Result<BTreeMap<(Key, Target), HistoryEntry>> {
    let mut net: BTreeMap<(Key, Target), HistoryEntry> = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = ctx.engine.memory.history(run, after, HISTORY_ROWS).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        for (_, entry) in page {
            if entry.effect == "appended" {
                not_possible.push(format!("{}: appended rows are not taken back", entry.key));
                continue;
            }
            match net.get_mut(&(entry.key.clone(), entry.to)) {
                Some(known) => {
                    for (name, value) in entry.after.iter() {
                        known.after.set(name.clone(), value.clone());
                    }
                    for (name, value) in entry.before.iter() {
                        if known.before.get(name).is_none() {
                            known.before.set(name.clone(), value.clone());
                        }
                    }
                }
                None => {
                    net.insert((entry.key.clone(), entry.to), entry);
                }
            }
        }
    }
    Ok(net)
}

fn reverse(ctx: &Ctx, look: &Look, entry: &HistoryEntry, verdict: &mut Verdict) -> Result<(), String> {
    let to = entry.to;
    let remote = match to {
        Target::Platform => verdict.remote.clone().or_else(|| entry.remote.clone()),
        Target::Warehouse => own_name(look, to),
    };
    let (action, fields, expect) = match entry.effect.as_str() {
        "created" if to == Target::Platform && !ctx.abilities.delete => {
            return Err("the platform cannot delete the record that was created".to_owned());
        }
        "created" => {
            verdict.flags |= gone_flag(to);
            (Action::Delete, Fields::new(), entry.after.clone())
        }
        "deleted" => (Action::Create, entry.before.clone(), Fields::new()),
        _ => (Action::Update, entry.before.clone(), entry.after.clone()),
    };
    if action == Action::Update && fields.is_empty() {
        return Err("what stood there before was not known".to_owned());
    }
    let expect = match action {
        Action::Update => {
            expect.iter().filter(|(name, _)| fields.get(name).is_some()).map(|(n, v)| (n.clone(), v.clone())).collect()
        }
        _ => expect,
    };
    let writes = fields.iter().filter_map(|(name, value)| write(ctx, look, to, name, value, entry)).collect();
    let change = Asked { remote, action, fields: Some(fields), expect: Some(expect) };
    *verdict.to_mut(to) = TargetPlan { class: Class::Write, change: Some(change), writes, dropped: 0 };
    Ok(())
}

fn write(ctx: &Ctx, look: &Look, to: Target, name: &str, value: &Value, entry: &HistoryEntry) -> Option<FieldWrite> {
    let at = ctx.mapping.fields.iter().position(|field| match to {
        Target::Platform => &*field.name == name,
        Target::Warehouse => field.column.as_deref() == Some(name),
    })?;
    let field = &ctx.mapping.fields[at];
    let source = look.side(to.other()).row().map_or(Value::Null, |row| row.values[at].clone());
    Some(FieldWrite {
        id: field.id,
        name: target_name(field, to)?,
        source: Some(Box::new(source)),
        sent: value.clone(),
        before: entry.after.get(name).cloned().map(Box::new),
        streak: 0,
    })
}

fn as_planned(key: &Key, side: Target, entry: &HistoryEntry) -> PlannedChange {
    let fields = entry.after.iter().map(|(name, after)| FieldChange {
        field: name.to_string(),
        from: Some(after.clone()),
        to: entry.before.get(name).cloned(),
    });
    PlannedChange {
        key: key.to_string(),
        side,
        action: "update".to_owned(),
        fields: fields.collect(),
        why: Some("somebody changed the value since".to_owned()),
        expect: None,
    }
}
