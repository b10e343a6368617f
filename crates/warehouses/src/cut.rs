//! Pages of the size asked for, cut out of larger ones without a copy.

use tidegate_model::page::{Misfit, Page};

use crate::builder::PAGE_BYTES_MAX;

/// Cuts a page into such of at most `rows_max` rows, and of a size that a few of them fit a budget.
pub(crate) fn cut(page: &Page, rows_max: usize) -> Vec<Page> {
    let rows = page.len();
    if rows == 0 {
        return Vec::new();
    }
    let row_bytes = (page.bytes() / rows).max(1);
    let step = rows_max.max(1).min((PAGE_BYTES_MAX / row_bytes).max(1));
    let mut misfits = page.misfits.iter().peekable();
    let mut pages = Vec::new();
    for from in (0..rows).step_by(step) {
        let length = step.min(rows - from);
        let mut here = Vec::new();
        while let Some(misfit) = misfits.next_if(|misfit| misfit.row < from + length) {
            here.push(Misfit { row: misfit.row - from, ..misfit.clone() });
        }
        pages.push(Page { rows: page.rows.slice(from, length), misfits: here });
    }
    pages
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch};

    use super::*;

    #[test]
    fn misfits_stay_with_their_rows() {
        let column: arrow_array::ArrayRef = Arc::new(Int64Array::from_iter_values(0..5));
        let misfit = |row| Misfit { row, column: 0, rule: "r", reason: String::new() };
        let rows = RecordBatch::try_from_iter([("c", column)]).expect("a batch");
        let pages = cut(&Page { rows, misfits: vec![misfit(1), misfit(2), misfit(4)] }, 2);
        assert_eq!(pages.iter().map(Page::len).collect::<Vec<_>>(), [2, 2, 1]);
        let found = |at: usize| pages[at].misfits.iter().map(|misfit| misfit.row).collect::<Vec<_>>();
        assert_eq!((found(0), found(1), found(2)), (vec![1], vec![0], vec![0]));
    }
}
