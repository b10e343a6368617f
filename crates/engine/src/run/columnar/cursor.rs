//! After a cursor: from the last row less a margin up to a bound, page after page, each a span of its own.

use futures_util::future::join;
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::LoadMode;
use tidegate_model::span::CursorPoint;
use tidegate_model::sync::Lookback;

use super::doubles::Doubles;
use super::reader::{Range, Reader};
use super::takes_once;
use super::window::{point_of, start};
use super::work::Work;
use crate::run::context::Ctx;
use crate::run::cursor::refuse_backwards;
use crate::run::retry;

pub(super) async fn run(work: &mut Work<'_>) -> Result<()> {
    let ctx = work.ctx;
    refuse_twice(ctx, &work.mode)?;
    let (column, lookback) = spec(ctx)?;
    let bound = ctx.job.warehouse.bound(&ctx.sync.source, &column, &ctx.sync.key.warehouse).await?;
    if point_of(ctx.state.warehouse.as_ref()) == point_of(work.position.as_ref()) {
        refuse_backwards(ctx, bound.as_ref())?;
    }
    let at = point_of(work.position.as_ref()).cloned();
    let from = at.as_ref().map(|at| start(at, lookback)).filter(|_| !ctx.options.full);
    if let Some(from) = from.as_ref().filter(|_| ctx.options.limit.is_none()) {
        // Rows inside the window are read anyway.
        super::again::below(work, from).await?;
    }
    work.reading = true;
    let mut attempt = 0;
    let mut read = Passage { from, left: ctx.options.limit, doubles: None, nulls_told: false };
    loop {
        let range = Range {
            column: column.clone(),
            lookback,
            at: point_of(work.position.as_ref()).cloned(),
            from: read.from.clone(),
            to: bound.clone(),
            limit: read.left,
            nulls_told: read.nulls_told,
        };
        let reader = Reader::open(work, range, read.doubles.take()).await?;
        let Err(error) = pages(work, reader, &mut read).await? else { break };
        attempt += 1;
        // The session was lost in the middle of the read: what was settled stays, the rest is read again.
        let Some(wait) = retry::wait_after(&error, attempt, true, ctx.engine.env.random()) else { return Err(error) };
        ctx.log(&format!("the read broke off ({}), reading on in {wait} ms", error.code())).await?;
        retry::pause(&*ctx.engine.env, &ctx.options.cancel, wait).await?;
    }
    work.finish(false).await
}

/// Refuses a full run that would send again what the target cannot tell from what it has.
pub(super) fn refuse_twice(ctx: &Ctx, mode: &LoadMode) -> Result<()> {
    if !ctx.options.full || *mode != LoadMode::Append || takes_once(ctx) {
        return Ok(());
    }
    let name = &ctx.sync.name;
    Err(Error::config(format!("sync {name}: a full run would send every row twice"))
        .hint(format!("this platform cannot tell rows that it has; run `tidegate run {name}` without --full")))
}

/// How far a read came, should it break off: what was settled is neither read nor counted again.
struct Passage {
    /// The last row of the last settled page.
    from: Option<CursorPoint>,
    left: Option<u64>,
    doubles: Option<Doubles>,
    nulls_told: bool,
}

/// Delivers the pages of a reader. The inner error is the source's.
async fn pages(work: &mut Work<'_>, mut reader: Reader, read: &mut Passage) -> Result<std::result::Result<(), Error>> {
    let ctx = work.ctx;
    let mut next = reader.next(work).await;
    loop {
        let batch = match next {
            Ok(Some(batch)) => batch,
            Ok(None) => return Ok(Ok(())),
            Err(error) => {
                (read.left, read.doubles) = (reader.left, Some(reader.doubles));
                return Ok(Err(error));
            }
        };
        work.gate(&batch).await?;
        let last = batch.last.clone();
        let span = work.open_span(&batch).await?;
        let op = span.op(0);
        ctx.engine.env.failpoint("columnar.cursor_load");
        let (loaded, ahead) = join(work.load_batch(&batch, &op), reader.next(work)).await;
        work.settle(span, batch, loaded).await?;
        if last.is_some() {
            (read.from, read.nulls_told) = (last, true);
        }
        next = ahead;
    }
}

/// The cursor's column and margin.
pub(super) fn spec(ctx: &Ctx) -> Result<(String, Option<Lookback>)> {
    let cursor = ctx.sync.cursor.as_ref().ok_or_else(|| {
        Error::config(format!("sync {}: `changes: cursor` needs a `cursor:` block", ctx.sync.name))
            .hint("write `cursor: { column: … }` with the column that grows")
    })?;
    if ctx.relation.column(&cursor.column).is_none() {
        let why = format!("sync {}: there is no cursor column `{}`", ctx.sync.name, cursor.column);
        return Err(Error::new(ErrorKind::SchemaChanged, why).hint("name a column of the relation in `cursor.column`"));
    }
    Ok((cursor.column.clone(), cursor.lookback))
}
