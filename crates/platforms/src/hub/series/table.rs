//! From the rows of a page to the new rows of one of the hub's tables of usage.

use tidegate_model::Result;
use tidegate_model::change::FieldReject;

use super::Taken;
use super::rows::{Context, Rows};
use crate::hub::cell::Kind;
use crate::hub::db::{NewRows, Session, Target};
use crate::hub::frame::{Cells, Frame};

/// The columns of a table, filled row by row. The first two are the sync and the key: together they name a row.
pub trait Columns: Default {
    /// The table.
    const TABLE: &'static str;
    /// Its columns, in the order of [`Columns::cells`].
    const KINDS: &'static [(&'static str, Kind)];
    /// What was filled in.
    fn cells(self) -> Vec<Cells>;
}

/// Loads a page; the rows that were taken, and which of them were there already. `one` fills in a row, all of it or
/// nothing; what it refuses is noted on the page.
pub fn load<C: Columns>(
    session: &mut dyn Session,
    rows: &mut Rows,
    context: &Context,
    one: impl Fn(&Rows, u32, &mut C) -> std::result::Result<Taken, FieldReject>,
) -> Result<(Vec<Taken>, Vec<usize>)> {
    let mut columns = C::default();
    let mut taken = Vec::with_capacity(rows.count as usize);
    let mut rejected = Vec::new();
    for row in 0..rows.count {
        match rows.misfit(row).map_or_else(|| one(rows, row, &mut columns), Err) {
            Ok(one) => taken.push(one),
            Err(why) => rejected.push((row, why)),
        }
    }
    rows.rejected = rejected;
    let numbers: Vec<u32> = (0..taken.len() as u32).collect();
    let frame = Frame { columns: columns.cells(), rows: &numbers };
    let targets: Vec<Target> = C::KINDS.iter().map(|(name, kind)| Target::new(*name, *kind)).collect();
    let ask = NewRows { table: C::TABLE, columns: &targets, key: &[0, 1], load: context.load };
    let mut known = Vec::new();
    if !taken.is_empty() {
        session.insert_new(&ask, &frame, &mut known)?;
    }
    Ok((taken, known))
}
