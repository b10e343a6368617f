//! What a run would read of the warehouse, for who only looks: of the table nothing is read but its greatest cursor.

use tidegate_model::error::Result;
use tidegate_model::ports::{PAGE_ROWS, ReadAsk};
use tidegate_model::sync::Target;

use super::window::{point_of, start};
use super::{Way, cursor, doubles, following, reader, source, target};
use crate::plan::columns::Columns;
use crate::run::context::Ctx;
use crate::run::cursor::refuse_backwards;
use crate::run::history::Read;
use crate::run::ops::whole;
use crate::run::retry::again;

/// What a run reads.
pub(crate) struct Foretold {
    /// How the warehouse is read; `None`: only the platform is.
    pub read: Option<Read>,
    /// Every read of the warehouse that is known beforehand.
    pub asks: Vec<ReadAsk>,
    /// What these show is looked up by key besides: the first such look-up is among them.
    pub least: bool,
}

/// Foretells a run, and refuses what it would refuse.
pub(crate) async fn foretold(ctx: &Ctx) -> Result<Foretold> {
    let way = Way::of(ctx)?;
    let columns = way.columns(ctx);
    let full = || Ok::<_, tidegate_model::Error>(vec![source::ask(ctx, &columns, PAGE_ROWS, None)?]);
    if target(ctx) == Target::Warehouse {
        return Ok(Foretold { read: None, asks: Vec::new(), least: false });
    }
    if way == Way::Cursor {
        return by_cursor(ctx, way, &columns).await;
    }
    if !way.follows(ctx) {
        return Ok(Foretold { read: Some(Read::Full { at: None }), asks: full()?, least: false });
    }
    let read = following::find(ctx, false).await?.read;
    if !read.is_history() {
        return Ok(Foretold { read: Some(read), asks: full()?, least: false });
    }
    let mut asks = Vec::from_iter(following::ask(ctx, &columns, &read, PAGE_ROWS));
    let least = !asks.is_empty();
    if least {
        asks.push(whole(ctx, source::warehouse_columns(&columns, None)));
    }
    Ok(Foretold { read: Some(read), asks, least })
}

async fn by_cursor(ctx: &Ctx, way: Way, columns: &Columns) -> Result<Foretold> {
    cursor::refuse_twice(ctx, &way.mode(ctx)?)?;
    let (column, lookback) = cursor::spec(ctx)?;
    let key = &ctx.sync.key.warehouse;
    let ask = || ctx.job.warehouse.bound(&ctx.sync.source, &column, key);
    let bound = again(&ctx.engine, &ctx.options.cancel, ask).await?;
    refuse_backwards(ctx, bound.as_ref())?;
    let at = point_of(ctx.state.warehouse.as_ref());
    let from = at.map(|at| start(at, lookback)).filter(|_| !ctx.options.full);
    let ends = (from.as_ref(), bound.as_ref());
    let mut asks = vec![whole(ctx, vec![key.clone(), column.clone()])];
    let mut least = false;
    if let Some((ask, by_key)) = doubles::asks(ctx, &column, ends.0, ends.1) {
        asks.push(ask);
        if by_key {
            asks.push(whole(ctx, vec![key.clone()]));
            least = true;
        }
    }
    asks.push(reader::ask(ctx, columns, &column, ends, PAGE_ROWS));
    let read = if from.is_some() { Read::Cursor } else { Read::Full { at: None } };
    Ok(Foretold { read: Some(read), asks, least })
}
