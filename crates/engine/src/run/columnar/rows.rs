//! `check --rows`: every row is read and mapped as a run would, and nothing is written.

use arrow_array::Array;
use tidegate_model::change::Reject;
use tidegate_model::error::Result;
use tidegate_model::sync::Changes;

use super::cursor::spec;
use super::reader::no_cursor;
use super::source::reading;
use super::work::WENT_ON;
use super::{Way, target};
use crate::plan::columns::{Beforehand, position};
use crate::run::context::Ctx;

/// Rows of a page.
const PAGE_ROWS: usize = 16_384;

/// The first rows that would be rejected, and how many rejects there are in all.
pub(crate) async fn bad_rows(ctx: &Ctx, most: usize) -> Result<(Vec<Reject>, usize)> {
    let (columns, to) = (Way::of(ctx)?.columns(ctx), target(ctx));
    let cursor = if ctx.sync.changes == Changes::Cursor { Some(spec(ctx)?.0) } else { None };
    let mut groups = reading(ctx, &columns, PAGE_ROWS, to, cursor.as_deref()).await?;
    let (mut listed, mut total) = (Vec::new(), 0);
    while let Some(grouped) = groups.next().await? {
        ctx.options.cancel.check()?;
        let (skip, mut rejects) = (grouped.skip(), grouped.twins);
        if let Some(column) = &cursor {
            let array = grouped.page.rows.column(position(&grouped.page, column)?);
            let twins: Vec<usize> = rejects.iter().map(|(row, _)| *row).collect();
            let lacks = (0..array.len()).filter(|row| array.is_null(*row) && twins.binary_search(row).is_err());
            rejects.extend(lacks.map(|row| (row, no_cursor(column))));
        }
        let mapped = columns.map(&grouped.page, Beforehand { skip, rejects })?;
        total += mapped.rejects.len();
        let room = most.saturating_sub(listed.len());
        listed.extend(mapped.rejects.into_iter().take(room).map(|reject| {
            let mut why = reject.why;
            if reject.dropped {
                why.reason.push_str(WENT_ON);
            }
            Reject { key: reject.key, to, why, value: None }
        }));
    }
    Ok((listed, total))
}
