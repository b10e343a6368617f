//! A complete read of which only what the ledger lacks is appended: every key once, or once per version.

use arrow_array::ArrayRef;
use futures_util::future::join;
use tidegate_model::error::{Error, Result};
use tidegate_model::page::Page;
use tidegate_model::ports::{LedgerEntry, Print};
use tidegate_model::record::Key;
use tidegate_model::sync::Target;
use tidegate_model::value::{Type, Value};

use super::following::rows;
use super::groups::{Grouped, Groups};
use super::note::Note;
use super::work::{Batch, Work};
use crate::plan::columns::{Beforehand, position};
use crate::plan::prints::Printer;
use crate::run::context::Ctx;
use crate::run::ledger::Ledger;
use crate::run::rows::canonical_keys;

/// Column of the run's id, with `append: versions`.
pub(super) const RUN: &str = "tidegate_run";
/// Column of the run's time, with `append: versions`.
pub(super) const AT: &str = "tidegate_at";

/// The columns that tell versions of a row apart.
pub(super) fn version_columns(ctx: &Ctx) -> Vec<(String, Type, Value)> {
    // The table's own type of the time column decides how an instant is written there.
    let at = match ctx.relation.column(AT).map(|column| column.logical) {
        Some(Type::Timestamp) => (Type::Timestamp, Value::Timestamp(ctx.now.0)),
        Some(Type::Text) => (Type::Text, Value::text(ctx.now.to_string())),
        _ => (Type::TimestampTz, Value::TimestampTz(ctx.now.0)),
    };
    vec![(RUN.to_owned(), Type::Text, Value::text(ctx.run.as_str())), (AT.to_owned(), at.0, at.1)]
}

pub(super) async fn run(work: &mut Work<'_>) -> Result<()> {
    let ctx = work.ctx;
    if ctx.sync.append_versions {
        check_columns(ctx, work.to)?;
    }
    let groups = rows(work).await?;
    let mut reader = Reader {
        groups,
        ledger: Ledger::new(&*ctx.engine.memory, &ctx.sync.name),
        printer: ctx.printer.clone(),
        versions: ctx.sync.append_versions,
        to: work.to,
    };
    let mut next = reader.next(work).await?;
    while let Some(batch) = next {
        work.gate(&batch).await?;
        let span = work.open_span(&batch).await?;
        let op = span.op(0);
        let (loaded, ahead) = join(work.load_batch(&batch, &op), reader.next(work)).await;
        work.settle(span, batch, loaded).await?;
        next = ahead?;
    }
    work.finish(ctx.options.limit.is_none()).await
}

fn check_columns(ctx: &Ctx, to: Target) -> Result<()> {
    let missing: Vec<&str> = [RUN, AT].into_iter().filter(|name| ctx.relation.column(name).is_none()).collect();
    if to == Target::Platform || missing.is_empty() {
        return Ok(());
    }
    Err(Error::config(format!("sync {}: `append: versions` needs the columns {RUN} and {AT}", ctx.sync.name))
        .hint(format!("add to the table: {} (text for {RUN}, a timestamp for {AT})", missing.join(", "))))
}

struct Reader<'a> {
    groups: Groups,
    ledger: Ledger<'a>,
    printer: Printer,
    versions: bool,
    to: Target,
}

impl Reader<'_> {
    async fn next(&mut self, work: &Work<'_>) -> Result<Option<Batch>> {
        let Some(grouped) = self.groups.next().await? else { return Ok(None) };
        let (read, mut skip) = (grouped.read(), grouped.skip());
        let Grouped { page, twins, repeats } = grouped;
        let name = work.columns.key_source();
        let keys = canonical_keys(page.rows.column(position(&page, name)?), name)?;
        let prints = self.prints(work, &page)?;
        for (row, key) in keys.iter().enumerate() {
            let Some(key) = key else { continue };
            let known = self.find(key).await?;
            let twin = twins.binary_search_by_key(&row, |(row, _)| *row).is_ok();
            skip[row] |= !twin && known.is_some_and(|stands| !self.versions || stands == prints[row]);
        }
        let known = (skip.iter().filter(|skip| **skip).count() - repeats.len()) as u64;
        let mapped = work.columns.map(&page, Beforehand { skip, rejects: twins })?;
        let rows = (0u32..).zip(&mapped.from).filter_map(|(number, row)| {
            let row = usize::try_from(*row).ok()?;
            Some((number, Key::new(keys.value(row)), prints[row]))
        });
        let note = Some(Note::Ledger(rows.collect()));
        let mut fresh = work.judge.before.fresh(&mapped, usize::MAX);
        fresh.rows += known;
        let to = work.position.clone();
        Ok(Some(Batch { pages: vec![mapped], read, known, note, to, fresh, ..Batch::default() }))
    }

    /// What the ledger says of a key; keys are asked for in order.
    async fn find(&mut self, key: &str) -> Result<Option<Print>> {
        while self.ledger.ready().await? {
            let Some(entry) = self.ledger.current() else { break };
            match entry.key.as_str().cmp(key) {
                std::cmp::Ordering::Less => self.ledger.advance(),
                std::cmp::Ordering::Equal => return Ok(Some(self.print_of(entry))),
                std::cmp::Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    fn print_of(&self, entry: &LedgerEntry) -> Print {
        match self.to {
            Target::Platform => entry.warehouse,
            Target::Warehouse => entry.platform,
        }
    }

    fn prints(&self, work: &Work<'_>, page: &Page) -> Result<Vec<Print>> {
        prints(&self.printer, work, page)
    }
}

/// The prints of a page's rows as the ledger keeps them.
pub(super) fn prints(printer: &Printer, work: &Work<'_>, page: &Page) -> Result<Vec<Print>> {
    let mut columns: Vec<&ArrayRef> = Vec::new();
    for name in work.columns.sources() {
        columns.push(page.rows.column(position(page, &name)?));
    }
    Ok(printer.rows(&columns, page.len()))
}
