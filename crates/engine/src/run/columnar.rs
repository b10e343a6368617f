//! The columnar path: time series, datasets and exports, page by page and never row by row.
//!
//! `source` and `reader` read pages in the right order and judge rows before they are mapped; `work` loads mapped pages
//! and settles them; `cursor`, `full`, `replace` and `ledger` are the four ways through. `following` feeds `full` and
//! `ledger` with the rows that a change history shows. `again` tries open rejects. `foretold` tells what would be read.

mod again;
mod cursor;
mod doubles;
mod following;
mod foretold;
mod full;
mod groups;
mod judge;
mod ledger;
mod note;
mod open;
mod reader;
mod replace;
mod rows;
mod source;
mod window;
mod work;

use std::sync::Arc;

use tidegate_model::error::{Error, Result};
use tidegate_model::record::Key;
use tidegate_model::run::RunRecord;
use tidegate_model::schema::ModelKind;
use tidegate_model::sync::{Changes, Nulls, Target, WriteMode};

use super::context::Ctx;
use crate::plan::columns::Columns;
use crate::plan::map::MappedField;
use work::Work;

/// Runs a sync of columns (called by `run/mod.rs` under the claimed lease, after the preflight).
pub(crate) async fn run(ctx: &Ctx, run: &mut RunRecord) -> Result<()> {
    let way = Way::of(ctx)?;
    if ctx.targets().is_empty() {
        return Ok(());
    }
    run.mode = match way {
        Way::Cursor if !ctx.options.full => "cursor",
        Way::Cursor | Way::Full | Way::Ledger => "full",
        Way::Replace => "replace",
    }
    .to_owned();
    let columns = Arc::new(way.columns(ctx));
    let mut work = Work::new(ctx, run, columns, way.mode(ctx)?).await?;
    open::resume(&mut work).await?;
    ctx.engine.env.failpoint("columnar.resumed");
    if way.follows(ctx) {
        following::begin(&mut work, way).await?;
    }
    match way {
        Way::Cursor => cursor::run(&mut work).await,
        Way::Full => full::run(&mut work).await,
        Way::Ledger => ledger::run(&mut work).await,
        Way::Replace => replace::run(&mut work).await,
    }
}

/// Tries open rejects again: those of one key, if it is given.
pub(crate) async fn retry(ctx: &Ctx, run: &mut RunRecord, key: Option<&Key>) -> Result<()> {
    let way = Way::of(ctx)?;
    let columns = Arc::new(way.columns(ctx));
    let mut work = Work::new(ctx, run, columns, way.mode(ctx)?).await?;
    open::resume(&mut work).await?;
    again::asked(&mut work, way, key).await
}

/// Whether a run would refuse the sync as it is configured.
pub(crate) fn refused(ctx: &Ctx) -> Result<()> {
    Way::of(ctx).map(drop)
}

pub(crate) use foretold::foretold;
pub(crate) use rows::bad_rows;

/// How rows find their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// After a cursor, towards the platform.
    Cursor,
    /// A complete read towards a platform that deduplicates by key.
    Full,
    /// A complete read; keys that the ledger lacks are appended.
    Ledger,
    /// Clear and rewrite.
    Replace,
}

impl Way {
    fn of(ctx: &Ctx) -> Result<Self> {
        let sync = &ctx.sync;
        let bad = |why: &str, hint: &str| Err(Error::config(format!("sync {}: {why}", sync.name)).hint(hint));
        if sync.two_way() {
            return bad("time series, datasets, `append` and `replace` flow one way", "set `direction: to_platform`");
        }
        let to = target(ctx);
        if let Some(field) =
            skips(ctx, to).filter(|_| sync.write != WriteMode::Upsert || ctx.model.kind == ModelKind::Series)
        {
            let why = format!("`nulls: skip` of `{field}` has no meaning where rows are only added or rewritten");
            return bad(&why, "leave it out: there is no older value that a NULL could leave alone");
        }
        match (sync.write, sync.changes, to) {
            (WriteMode::Update | WriteMode::Mirror, ..) => bad(
                "rows of a series or dataset cannot be updated or mirrored alone",
                "use `write: upsert` or `replace`",
            ),
            (WriteMode::Replace, Changes::Cursor, _) => {
                bad("`replace` needs every row, and `cursor` reads only new ones", "set `changes: full`")
            }
            (WriteMode::Replace, Changes::Stream | Changes::Tracking, _) => {
                bad("`replace` needs every row, and a change history shows only some", "set `changes: full`")
            }
            (_, Changes::Stream | Changes::Tracking, Target::Warehouse) => {
                bad("a platform has no change history of a warehouse", "leave out `changes`")
            }
            (_, Changes::Cursor, Target::Warehouse) => {
                bad("a platform is not read by cursor", "leave out `changes` and `cursor`")
            }
            (WriteMode::Replace, ..) if ctx.model.kind == ModelKind::Series && to == Target::Platform => {
                bad("a time series is only added to", "use `write: append`")
            }
            (WriteMode::Replace, ..) => Ok(Self::Replace),
            (WriteMode::Insert, Changes::Cursor, _) if !takes_once(ctx) => {
                bad("a cursor does not know which keys are new", "use `write: upsert`, or `changes: full`")
            }
            (_, Changes::Cursor, Target::Platform) => Ok(Self::Cursor),
            (WriteMode::Append | WriteMode::Insert, _, Target::Platform) if !takes_once(ctx) => Ok(Self::Ledger),
            (_, _, Target::Platform) => Ok(Self::Full),
            (WriteMode::Append, _, Target::Warehouse) => Ok(Self::Ledger),
            (WriteMode::Upsert | WriteMode::Insert, _, Target::Warehouse) => {
                bad("rows go to a warehouse's table by `append` or `replace`", "set `write: replace`")
            }
        }
    }

    /// Whether the warehouse's change history tells which rows are read.
    fn follows(self, ctx: &Ctx) -> bool {
        matches!(self, Self::Full | Self::Ledger) && target(ctx) == Target::Platform && ctx.follows()
    }

    fn mode(self, ctx: &Ctx) -> Result<tidegate_model::ports::LoadMode> {
        use tidegate_model::ports::LoadMode;
        Ok(match (self, ctx.sync.write) {
            (Self::Replace, _) => {
                let forced = ctx.options.force_guards.iter().any(|guard| guard == "max_shrink_pct");
                LoadMode::Replace { max_shrink_pct: ctx.sync.guards.max_shrink_pct.filter(|_| !forced) }
            }
            (_, WriteMode::Upsert) if ctx.model.kind != ModelKind::Series => LoadMode::Merge,
            _ => LoadMode::Append,
        })
    }

    fn columns(self, ctx: &Ctx) -> Columns {
        let extra = match self {
            Self::Ledger if ctx.sync.append_versions => ledger::version_columns(ctx),
            _ => Vec::new(),
        };
        let merging =
            self != Self::Replace && ctx.sync.write == WriteMode::Upsert && ctx.model.kind != ModelKind::Series;
        Columns::new(ctx.mapping.clone(), target(ctx), extra).merging(merging)
    }
}

/// The first field that keeps what stands where NULL comes.
fn skips(ctx: &Ctx, to: Target) -> Option<&str> {
    let skips = |field: &&MappedField| field.nulls == Nulls::Skip && field.direction.reaches(to);
    ctx.mapping.fields.iter().find(skips).map(|field| &*field.name)
}

/// Whether the target takes a row once, however often it is appended: time series know their source keys.
fn takes_once(ctx: &Ctx) -> bool {
    ctx.abilities.exactly_once && ctx.model.kind == ModelKind::Series
}

/// The side that is written.
fn target(ctx: &Ctx) -> Target {
    if ctx.sync.direction.reaches(Target::Platform) { Target::Platform } else { Target::Warehouse }
}
