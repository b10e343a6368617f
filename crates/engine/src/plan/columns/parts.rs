//! Rows that go on without a field, in a merge: they stand in a page of their own that lacks the column, so that the
//! target's value is left alone instead of being cleared.

use std::collections::BTreeMap;

use arrow_array::BooleanArray;
use tidegate_model::error::{Error, Result};

use super::{Columns, MappedPage};

impl Columns {
    /// A mapped page as it is to be loaded: in a merge, rows without a field apart from the others.
    pub fn parts(&self, mapped: MappedPage) -> Result<Vec<MappedPage>> {
        if !self.merging || mapped.dropped == 0 {
            return Ok(vec![mapped]);
        }
        let mut lacks: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for reject in mapped.rejects.iter().filter(|reject| reject.dropped) {
            let Some(field) = &reject.why.field else { continue };
            lacks.entry(u32::try_from(reject.row).unwrap_or(u32::MAX)).or_default().push(field.clone());
        }
        let mut groups: BTreeMap<Vec<String>, Vec<bool>> = BTreeMap::new();
        groups.insert(Vec::new(), vec![false; mapped.from.len()]);
        for (at, row) in mapped.from.iter().enumerate() {
            let without = lacks.remove(row).unwrap_or_default();
            groups.entry(without).or_insert_with(|| vec![false; mapped.from.len()])[at] = true;
        }
        let mut parts = Vec::with_capacity(groups.len());
        for (without, rows) in groups {
            parts.push(part(&mapped, &without, rows)?);
        }
        // What was found is told once, with the first part.
        if let Some(first) = parts.first_mut() {
            (first.rejects, first.rejected, first.dropped) = (mapped.rejects, mapped.rejected, mapped.dropped);
        }
        Ok(parts)
    }
}

fn part(mapped: &MappedPage, without: &[String], rows: Vec<bool>) -> Result<MappedPage> {
    let broken = |error| Error::internal("part a page").cause(error);
    let from = mapped.from.iter().zip(&rows).filter(|(_, keep)| **keep).map(|(row, _)| *row).collect();
    let keep = BooleanArray::from(rows);
    let columns = mapped.rows.schema_ref().fields().iter().enumerate();
    let columns: Vec<usize> = columns.filter(|(_, field)| !without.contains(field.name())).map(|(at, _)| at).collect();
    let some = mapped.rows.project(&columns).map_err(broken)?;
    Ok(MappedPage {
        rows: arrow_select::filter::filter_record_batch(&some, &keep).map_err(broken)?,
        from,
        rejects: Vec::new(),
        rejected: 0,
        dropped: 0,
        keys: arrow_select::filter::filter(&mapped.keys, &keep).map_err(broken)?,
    })
}
