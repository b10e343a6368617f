//! Runs: lists, logs, writes, stop, undo.

use tidegate_model::{Error, Result};
use tidegate_server::desk::*;

use super::{ProjectDesk, known, marks, no_run, shapes};
use crate::surroundings::now;
use tidegate_model::run::{RunRecord, RunStatus};

/// Stale changes of an undo that are listed.
const STALE_SHOWN: usize = 500;

/// Runs, newest first.
pub async fn list(desk: &ProjectDesk, ask: &RunsAsk) -> Result<Page<RunAnswer>> {
    let shop = desk.shop();
    if let Some(status) = &ask.status
        && RunStatus::parse(status).is_none()
    {
        return Err(Error::config("there is no such status")
            .hint("it is one of running, succeeded, partial, failed, cancelled, unbalanced"));
    }
    let after = marks::read::<(i64, i64)>(ask.after.as_deref())?;
    let runs = shop.store.runs_page(ask.sync.as_deref(), ask.status.as_deref(), after, ask.limit()).await?;
    let next = marks::next(&runs, ask.limit())?;
    let at = now();
    Ok(Page { items: runs.iter().map(|(run, _)| shapes::run(run, at)).collect(), next })
}

async fn record(desk: &ProjectDesk, run: &str) -> Result<RunRecord> {
    desk.shop().memory().run(run).await?.ok_or_else(no_run)
}

/// One run.
pub async fn one(desk: &ProjectDesk, run: &str) -> Result<RunAnswer> {
    Ok(shapes::run(&record(desk, run).await?, now()))
}

/// Lines of a run's log. There is always a mark behind a page that is not empty: later lines are found with it.
pub async fn log(desk: &ProjectDesk, run: &str, ask: &ListAsk) -> Result<Page<LogLine>> {
    record(desk, run).await?;
    let after: i64 = marks::read(ask.after.as_deref())?.unwrap_or(0);
    let mut lines = desk.shop().memory().log_lines(run, after).await?;
    lines.truncate(ask.limit() as usize);
    let last = lines.last().map(|(number, _, _)| *number).or((after > 0).then_some(after));
    let next = last.map(|number| marks::text(&number)).transpose()?;
    let items = lines.into_iter().map(|(number, at, line)| LogLine { number, at: at.to_string(), line });
    Ok(Page { items: items.collect(), next })
}

/// Lines of the logs of all runs, newest first.
pub async fn logs(desk: &ProjectDesk, ask: &OfSyncAsk) -> Result<Page<RunLogLine>> {
    let before: Option<i64> = marks::read(ask.after.as_deref())?;
    let lines = desk.shop().store.logs_page(ask.sync.as_deref(), before, ask.limit()).await?;
    let marked: Vec<_> = lines.iter().map(|line| (line, line.number)).collect();
    let next = marks::next(&marked, ask.limit())?;
    let items = lines.into_iter().map(|line| RunLogLine {
        number: line.number,
        at: line.at.to_string(),
        sync: line.sync,
        run: line.run,
        line: line.line,
    });
    Ok(Page { items: items.collect(), next })
}

/// Writes of a run.
pub async fn writes(desk: &ProjectDesk, run: &str, ask: &ListAsk) -> Result<Page<WriteAnswer>> {
    let shop = desk.shop();
    let record = record(desk, run).await?;
    let after: i64 = marks::read(ask.after.as_deref())?.unwrap_or(0);
    let entries = shop.memory().history(run, after, ask.limit()).await?;
    let marked: Vec<_> = entries.iter().map(|(number, entry)| (entry, *number)).collect();
    let next = marks::next(&marked, ask.limit())?;
    let sync = shop.project.syncs.get(&record.sync);
    Ok(Page { items: entries.iter().map(|(_, entry)| shapes::write(sync, entry)).collect(), next })
}

/// Asks a run to stop.
pub async fn cancel(desk: &ProjectDesk, run: &str) -> Result<()> {
    let record = record(desk, run).await?;
    if desk.shop().memory().request_cancel(run).await? {
        return Ok(());
    }
    Err(Error::new(tidegate_model::ErrorKind::Cancelled, format!("the run has ended: {}", record.status.as_str()))
        .hint("there is nothing to stop"))
}

/// Puts back what a run overwrote.
pub async fn undo(desk: &ProjectDesk, run: &str) -> Result<Undone> {
    let shop = desk.shop();
    let record = record(desk, run).await?;
    known(shop.sync(&record.sync))?;
    let job = shop.job(&record.sync).await.map_err(crate::live::first)?;
    let applied = shop.engine.undo(&job, run).await?;
    Ok(Undone {
        run: shapes::run(&applied.run, now()),
        stale: applied.stale.iter().take(STALE_SHOWN).map(|change| shapes::planned(&job.sync, change)).collect(),
        stale_total: applied.stale.len() as u64,
        not_possible: applied.not_possible,
    })
}
