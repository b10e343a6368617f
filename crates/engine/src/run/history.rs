//! The warehouse's change history: windows between two marks, and streams that are moved into an outbox.
//!
//! A window is read, delivered and settled; then the sync stands at its end. A stream is moved into its outbox first,
//! because only a statement that writes moves a stream at all; what waits there is read, delivered and settled; only
//! then is it deleted, by number, and once more at the next start.

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::{Drained, Outbox, WarehouseAbilities};
use tidegate_model::schema::{RelationKind, RelationSchema, Source};
use tidegate_model::span::Position;
use tidegate_model::sync::{Changes, Target};

use super::context::Ctx;
use super::retry::again;

/// What is read of the warehouse.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Read {
    /// Every row, as it stood at a mark where the warehouse can tell.
    Full {
        /// The mark.
        at: Option<String>,
    },
    /// What is after the cursor.
    Cursor,
    /// What changed between two marks.
    Window {
        /// Exclusive.
        from: String,
        /// Inclusive.
        to: String,
    },
    /// What waits in an outbox.
    Outbox {
        /// The outbox.
        outbox: Outbox,
        /// Up to and including this row.
        through: u64,
    },
    /// Nothing: the warehouse says that nothing changed.
    Nothing,
}

impl Read {
    /// Whether it shows changed rows by themselves, those that left among them.
    pub fn is_history(&self) -> bool {
        matches!(self, Read::Window { .. } | Read::Outbox { .. } | Read::Nothing)
    }

    /// In words, for who only looks.
    pub fn words(&self, changes: Changes) -> &'static str {
        match self {
            Read::Full { .. } if changes == Changes::Stream => {
                "a full read of what the stream is on (a plan does not move the stream)"
            }
            Read::Full { .. } => "a full read of the warehouse",
            Read::Cursor => "the warehouse's rows after the cursor",
            Read::Window { .. } | Read::Outbox { .. } => "the warehouse's changes since the last run",
            Read::Nothing => "the warehouse's word that nothing changed there since the last run",
        }
    }
}

/// How a run sets out to find changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begin {
    /// A complete read, whatever the sync says.
    pub full: bool,
    /// A stream may be moved. Who only looks moves nothing.
    pub drain: bool,
}

/// A read by the change history, and where the sync stands after it.
pub(crate) struct Found {
    pub read: Read,
    /// `None`: it stays where it is.
    pub to: Option<Position>,
}

/// `changes:` of a sync, with `auto` decided by what the relation is and what the warehouse can do.
pub(crate) fn decided(asked: Changes, relation: &RelationSchema, can: WarehouseAbilities) -> Changes {
    match asked {
        Changes::Auto if relation.kind == RelationKind::Stream => Changes::Stream,
        Changes::Auto if relation.change_tracking && can.tracking => Changes::Tracking,
        Changes::Auto => Changes::Full,
        asked => asked,
    }
}

/// How a run that reads by the history is called.
pub(crate) fn word(ctx: &Ctx) -> &'static str {
    if ctx.changes == Changes::Stream { "stream" } else { "tracking" }
}

/// What is read of a sync that follows the change history.
pub(crate) async fn begin(ctx: &Ctx, begin: Begin) -> Result<Found> {
    match ctx.changes {
        Changes::Stream => stream(ctx, begin).await,
        _ => tracking(ctx, begin).await,
    }
}

async fn tracking(ctx: &Ctx, begin: Begin) -> Result<Found> {
    let (warehouse, source) = (&ctx.job.warehouse, &ctx.sync.source);
    let can = warehouse.abilities();
    if !can.tracking {
        return Err(no_history(ctx, "tracking"));
    }
    let mark = again(&ctx.engine, &ctx.options.cancel, || warehouse.mark(source)).await?;
    let to = Some(Position::Mark(mark.clone()));
    let full = Read::Full { at: (can.time_travel && nothing_seen(ctx)).then(|| mark.clone()) };
    let Some(Position::Mark(from)) = ctx.state.warehouse.clone().filter(|_| !begin.full) else {
        return Ok(Found { read: full, to });
    };
    let ask = || warehouse.changed(source, &from, &mark);
    let changed = from != mark
        && match again(&ctx.engine, &ctx.options.cancel, ask).await {
            // The read meets it too, and is answered with a full one.
            Err(error) if error.kind == ErrorKind::HistoryGone => true,
            answer => answer?,
        };
    if !changed {
        ctx.log("the warehouse says that nothing changed since the last run: nothing was read of it").await?;
        return Ok(Found { read: Read::Nothing, to });
    }
    if cannot_look_up(ctx).await? {
        return Ok(Found { read: full, to });
    }
    Ok(Found { read: Read::Window { from, to: mark }, to })
}

/// Whether a read may be pinned to a mark. A mark stands before the clock by its lag: once newer rows were seen (by key),
/// or written by ourselves, a read as of the mark would show them missing or as they were. Such a read shows what is there now, and
/// the window that follows overlaps it.
fn nothing_seen(ctx: &Ctx) -> bool {
    let state = &ctx.state;
    let resumed = ctx.resumed.load(std::sync::atomic::Ordering::Relaxed);
    let first = state.warehouse.is_none() && !state.full_settled && state.linked == 0 && !resumed;
    first && !ctx.sync.direction.reaches(Target::Warehouse)
}

async fn stream(ctx: &Ctx, begin: Begin) -> Result<Found> {
    let full = Read::Full { at: None };
    if !begin.drain {
        // Looking must not move the stream. What the stream is on, compared with the ledger, shows the same changes.
        return Ok(Found { read: full, to: None });
    }
    let drained = match drain(ctx).await {
        Ok(drained) => drained,
        Err(error) if error.kind == ErrorKind::HistoryGone => {
            ctx.log(&format!("{}; everything is read instead", told(&error))).await?;
            return Ok(Found { read: full, to: None });
        }
        Err(error) => return Err(error),
    };
    let Drained { moved, through, stream } = drained;
    let stands = match &ctx.state.warehouse {
        Some(Position::Outbox { seq, stream: known }) if *known == stream => Some(*seq),
        Some(Position::Outbox { .. }) => {
            ctx.log("the stream was made anew and lacks what happened before: everything is read").await?;
            None
        }
        _ => None,
    };
    let to = Some(Position::Outbox { seq: through.max(stands.unwrap_or(0)), stream });
    if stands.is_none() || begin.full {
        return Ok(Found { read: full, to });
    }
    if through == 0 {
        ctx.log("the stream has nothing new: nothing was read of the warehouse").await?;
        return Ok(Found { read: Read::Nothing, to });
    }
    ctx.log(&format!("{moved} rows were moved from the stream into the outbox")).await?;
    if cannot_look_up(ctx).await? {
        return Ok(Found { read: full, to });
    }
    Ok(Found { read: Read::Outbox { outbox: outbox(ctx)?, through }, to })
}

/// Keys that are changed on their way cannot be looked up in the table, so nobody could tell whether a key that shows
/// once in a window stands there twice.
async fn cannot_look_up(ctx: &Ctx) -> Result<bool> {
    let rule = ctx.key_rule()?.is_some();
    if rule {
        ctx.log("keys are changed on their way and cannot be looked up by themselves: everything is read").await?;
    }
    Ok(rule)
}

/// Moves the stream into its outbox. Repeating it after a lost answer moves what came since.
async fn drain(ctx: &Ctx) -> Result<Drained> {
    let outbox = outbox(ctx)?;
    if !ctx.job.warehouse.abilities().stream {
        return Err(no_history(ctx, "stream"));
    }
    let call = || ctx.job.warehouse.drain(&outbox, &ctx.fence);
    let drained = again(&ctx.engine, &ctx.options.cancel, call).await?;
    ctx.engine.env.failpoint("history.drained");
    Ok(drained)
}

/// The outbox of the sync.
pub(crate) fn outbox(ctx: &Ctx) -> Result<Outbox> {
    match &ctx.sync.source {
        Source::Relation(stream) if ctx.relation.kind == RelationKind::Stream => {
            Ok(Outbox { stream: stream.clone(), sync: ctx.sync.name.clone() })
        }
        _ => Err(Error::config(format!("sync {}: `changes: stream` needs a stream", ctx.sync.name))
            .hint("name a stream in `warehouse.relation`, or write `changes: auto`")),
    }
}

/// Before anything is read: deletes from the outbox what an earlier run settled, unless it is known to be gone.
pub(crate) async fn tidy(ctx: &Ctx) -> Result<()> {
    let Some(Position::Outbox { seq, .. }) = &ctx.state.warehouse else { return Ok(()) };
    if ctx.changes != Changes::Stream || *seq == 0 {
        return Ok(());
    }
    let known = ctx.engine.memory.settings(&setting(ctx)).await?.remove(&setting(ctx));
    if known.as_deref() == Some(seq.to_string().as_str()) {
        return Ok(());
    }
    trim(ctx, *seq).await
}

/// After the settlement: deletes what was delivered. What cannot be deleted now is deleted at the next start.
pub(crate) async fn delivered(ctx: &Ctx, to: Option<&Position>) -> Result<()> {
    let Some(Position::Outbox { seq, .. }) = to.filter(|_| ctx.changes == Changes::Stream) else { return Ok(()) };
    if *seq == 0 {
        return Ok(());
    }
    match trim(ctx, *seq).await {
        Err(error) if error.kind != ErrorKind::Internal => {
            let why = told(&error);
            ctx.log(&format!("what was delivered could not be deleted from the outbox, the next run does: {why}")).await
        }
        done => done,
    }
}

async fn trim(ctx: &Ctx, through: u64) -> Result<()> {
    let outbox = outbox(ctx)?;
    ctx.engine.env.failpoint("history.before_trim");
    let call = || ctx.job.warehouse.trim(&outbox, through, &ctx.fence);
    again(&ctx.engine, &ctx.options.cancel, call).await?;
    ctx.engine.env.failpoint("history.trimmed");
    // Saves a statement, and with it the start of a sleeping warehouse, at the next run.
    ctx.engine.memory.set_setting(&setting(ctx), Some(&through.to_string())).await
}

fn setting(ctx: &Ctx) -> String {
    format!("trimmed:{}", ctx.sync.name)
}

/// An error in a line of the log.
pub(crate) fn told(error: &Error) -> String {
    match &error.hint {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    }
}

fn no_history(ctx: &Ctx, word: &str) -> Error {
    let name = &ctx.sync.warehouse_connection;
    let hint = match word {
        "stream" => "streams need a warehouse that has them and `access: write`; or write `changes: auto`",
        _ => "write `changes: auto`, `full` or `cursor`",
    };
    Error::config(format!("sync {}: the warehouse {name} has nothing for `changes: {word}`", ctx.sync.name)).hint(hint)
}
