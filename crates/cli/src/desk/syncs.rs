//! Syncs: how they are, what a run would do, runs that are asked for.

use std::collections::BTreeMap;

use tidegate_engine::{PlanSink, PlannedChange, RunOptions};
use tidegate_model::config::config_hash;
use tidegate_model::run::{RunRecord, RunStatus};
use tidegate_model::schedule::{Rule, Schedule};
use tidegate_model::schema::Source;
use tidegate_model::sync::Sync;
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_server::desk::*;
use tidegate_server::is_switched_on;
use tidegate_store::{Job, Jobs, NewJob, OpenCounts};

use super::{ProjectDesk, known, shapes};
use crate::shape;
use crate::surroundings::now;
use crate::workshop::Workshop;

/// What the state says of all syncs, read once for a whole list.
struct Facts {
    last: BTreeMap<String, RunRecord>,
    open: BTreeMap<String, OpenCounts>,
    settings: BTreeMap<String, String>,
    jobs: Vec<Job>,
}

impl Facts {
    async fn read(shop: &Workshop) -> Result<Self> {
        Ok(Self {
            last: shop.store.last_runs().await?,
            open: shop.store.open_counts().await?,
            settings: shop.memory().settings("").await?,
            jobs: shop.store.jobs().await?,
        })
    }

    fn switch(&self, name: &str, file: bool) -> bool {
        self.settings.get(name).and_then(|text| is_switched_on(text)).unwrap_or(file)
    }
}

/// A schedule in words.
fn in_words(schedule: &Schedule) -> String {
    let rule = match &schedule.rule {
        Rule::Every { minutes } if minutes % 60 == 0 => match minutes / 60 {
            1 => "every hour".to_owned(),
            24 => "every day".to_owned(),
            hours => format!("every {hours} hours"),
        },
        Rule::Every { minutes: 1 } => "every minute".to_owned(),
        Rule::Every { minutes } => format!("every {minutes} minutes"),
        Rule::DailyAt { hour, minute } => format!("daily at {hour:02}:{minute:02}"),
        Rule::Cron(text) => format!("cron {text}"),
    };
    format!("{rule} ({})", schedule.timezone)
}

fn health(shop: &Workshop, facts: &Facts, sync: &Sync, open: OpenCounts) -> &'static str {
    let on = |name: &str| {
        let file = shop.project.connections.get(name).is_none_or(|connection| connection.enabled);
        facts.switch(&crate::workshop::enabled_setting(name), file)
    };
    if !on(&sync.warehouse_connection) || !on(&sync.platform_connection) {
        return "off";
    }
    let held = facts.jobs.iter().any(|job| job.sync == sync.name && job.holder.is_some());
    let not_begun = facts.settings.contains_key(&format!("not_begun:{}", sync.name));
    match facts.last.get(&sync.name) {
        _ if held => "running",
        Some(run) if run.status == RunStatus::Running => "running",
        _ if not_begun => "failing",
        None => "new",
        Some(run) => match run.status {
            RunStatus::Failed | RunStatus::Unbalanced => "failing",
            RunStatus::Partial => "attention",
            _ if open.rejects + open.conflicts > 0 => "attention",
            RunStatus::Queued | RunStatus::Running | RunStatus::Succeeded | RunStatus::Cancelled => "healthy",
        },
    }
}

fn answer(desk: &ProjectDesk, shop: &Workshop, facts: &Facts, sync: &Sync) -> SyncAnswer {
    let name = sync.name.as_str();
    let outlook = desk.outlook.of(name);
    let open = facts.open.get(name).copied().unwrap_or_default();
    let (waits, waits_text) = outlook.as_ref().and_then(|outlook| outlook.waits.clone()).unzip();
    let not_begun = facts.settings.get(&format!("not_begun:{name}"));
    SyncAnswer {
        sync: name.to_owned(),
        warehouse: sync.warehouse_connection.clone(),
        relation: match &sync.source {
            Source::Relation(relation) => relation.to_string(),
            Source::Query(_) => "query".to_owned(),
        },
        platform: sync.platform_connection.clone(),
        model: sync.model.0.clone(),
        direction: shape::direction(sync.direction).to_owned(),
        schedule: sync.schedule.as_ref().map(in_words),
        automation: facts.switch(&format!("automation:{name}"), sync.automation),
        paused: facts.settings.get(&format!("paused:{name}")).is_some_and(|text| is_switched_on(text) != Some(false)),
        health: health(shop, facts, sync, open).to_owned(),
        waits: waits.map(str::to_owned),
        waits_text,
        next_at: outlook.as_ref().and_then(|outlook| outlook.next).map(|at| at.to_string()),
        queued: facts.jobs.iter().any(|job| job.sync == name && job.holder.is_none()),
        failures: outlook.as_ref().map_or(0, |outlook| outlook.failures),
        last_run: facts.last.get(name).map(|run| shapes::run(run, now())),
        not_begun: not_begun.and_then(|text| serde_json::from_str(text).ok()),
        rejects: open.rejects,
        conflicts: open.conflicts,
    }
}

/// All syncs, in the order in which they run.
pub async fn all(desk: &ProjectDesk) -> Result<Vec<SyncAnswer>> {
    let shop = desk.shop();
    let facts = Facts::read(&shop).await?;
    Ok(shop.project.syncs.values().map(|sync| answer(desk, &shop, &facts, sync)).collect())
}

/// One sync with its mapping.
pub async fn one(desk: &ProjectDesk, name: &str) -> Result<SyncDetail> {
    let shop = desk.shop();
    let sync = known(shop.sync(name))?;
    let facts = Facts::read(&shop).await?;
    let state = shop.memory().state(name).await?;
    let found = tidegate_model::config::check(&shop.project);
    let own = found.iter().filter(|found| found.sync.as_deref() == Some(name));
    let settings = serde_json::to_value(sync).map_err(|error| Error::internal("a sync has no text").cause(error))?;
    Ok(SyncDetail {
        sync: answer(desk, &shop, &facts, sync),
        linked: state.linked,
        full_settled: state.full_settled,
        settings,
        file: format!("syncs/{name}.yaml"),
        problems: own.map(|found| super::files::problem(&found.problem())).collect(),
    })
}

/// Keeps the first changes of a plan and counts all.
struct Kept<'a> {
    sync: &'a Sync,
    limit: usize,
    total: u64,
    changes: Vec<PlannedAnswer>,
}

impl PlanSink for Kept<'_> {
    fn change(&mut self, change: PlannedChange) -> Result<()> {
        self.total += 1;
        if self.changes.len() < self.limit {
            self.changes.push(shapes::planned(self.sync, &change));
        }
        Ok(())
    }
}

/// What a run would do.
pub async fn plan(desk: &ProjectDesk, name: &str, ask: &PlanAsk) -> Result<PlanAnswer> {
    plan_on(&desk.shop(), name, ask).await
}

/// The same on a project that need not be the saved one.
pub async fn plan_on(shop: &Workshop, name: &str, ask: &PlanAsk) -> Result<PlanAnswer> {
    known(shop.sync(name))?;
    let job = shop.job(name).await.map_err(crate::live::first)?;
    let options = RunOptions { trigger: "plan".to_owned(), full: ask.full, ..RunOptions::default() };
    let limit = ask.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX) as usize;
    let mut kept = Kept { sync: &job.sync, limit, total: 0, changes: Vec::new() };
    let summary = shop.engine.plan(&job, &options, &mut kept).await?;
    Ok(PlanAnswer {
        total: kept.total,
        changes: kept.changes,
        counts: shapes::counts(&summary.books.total()),
        calls: summary.calls,
        minutes: summary.minutes,
        quota_share: summary.quota_share,
        cost: summary.cost(),
        whole_columns: summary.whole_columns,
        based_on: summary.based_on,
        bytes_to_read: summary.bytes_to_read,
        bytes_least: summary.bytes_least,
        bytes_billed: summary.bytes_billed,
        guards: summary.guards,
    })
}

const GUARDS: [&str; 5] = crate::cmd::run::GUARDS;

/// Queues a run.
pub async fn start(desk: &ProjectDesk, name: &str, ask: &StartAsk) -> Result<Queued> {
    let shop = desk.shop();
    let sync = known(shop.sync(name))?;
    if let Some(unknown) = ask.force_guards.iter().find(|guard| !GUARDS.contains(&guard.as_str())) {
        return Err(
            Error::config(format!("there is no guard `{unknown}`")).hint(format!("there are {}", GUARDS.join(", ")))
        );
    }
    if ask.key.is_some() && !ask.retry {
        return Err(Error::config("`key` goes with `retry` only").hint("set `retry`, or leave `key` out"));
    }
    if ask.direction.is_some() && !sync.two_way() {
        return Err(Error::config(format!("the sync {name} flows one way only")).hint("leave `direction` out"));
    }
    for connection in [&sync.warehouse_connection, &sync.platform_connection] {
        shop.refuse_if_off(connection).await?;
    }
    let text = serde_json::to_string(ask).map_err(|error| Error::internal("a wish has no text").cause(error))?;
    let job = NewJob {
        ask: text,
        config_hash: config_hash(&shop.project, name),
        ..NewJob::new(name, &ask.trigger, if ask.full { "full" } else { "changes" }, now())
    };
    Ok(Queued { sync: name.to_owned(), new: shop.store.put_job(&job).await? })
}

/// Queues a full run of every sync of a connection, in the order of references.
pub async fn full_sync(desk: &ProjectDesk, connection: &str) -> Result<Vec<Queued>> {
    let shop = desk.shop();
    known(shop.connection(connection))?;
    shop.refuse_if_off(connection).await?;
    let uses =
        |sync: &&Sync| [&sync.warehouse_connection, &sync.platform_connection].iter().any(|own| *own == connection);
    let names: Vec<String> = shop.project.syncs.values().filter(uses).map(|sync| sync.name.clone()).collect();
    let mut queued = Vec::new();
    if names.is_empty() {
        return Ok(queued);
    }
    let ask = StartAsk { full: true, trigger: "manual".to_owned(), ..StartAsk::default() };
    for name in shop.order(&names).await? {
        queued.push(start(desk, &name, &ask).await?);
    }
    Ok(queued)
}

/// Takes a waiting run out of the queue.
pub async fn unqueue(desk: &ProjectDesk, name: &str) -> Result<()> {
    let shop = desk.shop();
    known(shop.sync(name))?;
    if shop.store.drop_waiting(name).await? {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NotFound, format!("no run of {name} waits"))
        .hint("one that is at work is asked to stop with `POST /api/v1/runs/RUN/cancel`"))
}
