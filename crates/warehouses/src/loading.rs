//! What all columnar loads share: rejects, misfits of the source, the shrink guard. Pure.

use std::iter::Peekable;

use tidegate_model::change::FieldReject;
use tidegate_model::page::Misfit;
use tidegate_model::ports::{LoadMode, Loaded, MAX_REJECTS_LISTED};
use tidegate_model::schema::Relation;
use tidegate_model::{Error, ErrorKind, Result};

/// Rows that a replace may always lose: small tables change by more than half without anything being wrong.
const SHRINK_ROWS_MIN: u64 = 20;

/// Adds a reject; past the limit only its rule is kept.
pub(crate) fn add_reject(loaded: &mut Loaded, row: u64, mut reject: FieldReject) {
    if loaded.rejected.len() >= MAX_REJECTS_LISTED {
        reject.reason = String::new();
    }
    loaded.rejected.push((row, reject));
}

/// The first misfit of a row; those of earlier rows are passed over (misfits are ordered by row).
pub(crate) fn misfit_of<'a>(
    misfits: &mut Peekable<impl Iterator<Item = &'a Misfit>>,
    row: usize,
) -> Option<&'a Misfit> {
    while misfits.next_if(|misfit| misfit.row < row).is_some() {}
    misfits.peek().copied().filter(|misfit| misfit.row == row)
}

/// Stops a replace that would lose too much.
pub(crate) fn check_shrink(mode: &LoadMode, loaded: &Loaded, relation: &Relation) -> Result<()> {
    let LoadMode::Replace { max_shrink_pct: Some(most) } = mode else { return Ok(()) };
    let lost = loaded.cleared.saturating_sub(loaded.created);
    if loaded.cleared < SHRINK_ROWS_MIN || lost as f64 * 100.0 <= *most * loaded.cleared as f64 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Guard,
        format!(
            "replacing {relation} would shrink it from {} to {} rows, more than {most}% (max_shrink_pct)",
            loaded.cleared, loaded.created
        ),
    )
    .hint("nothing was changed; if this is right, run once with --force-guard max_shrink_pct"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replace_may_lose_half_and_small_tables_all() {
        let mode = LoadMode::Replace { max_shrink_pct: Some(50.0) };
        let relation = Relation(vec!["t".into()]);
        let lost = |cleared, created| {
            let loaded = Loaded { cleared, created, ..Loaded::default() };
            check_shrink(&mode, &loaded, &relation).map_err(|error| error.kind)
        };
        assert_eq!(lost(100, 50), Ok(()));
        assert_eq!(lost(100, 49), Err(ErrorKind::Guard));
        assert_eq!(lost(19, 0), Ok(()));
        assert_eq!(lost(20, 0), Err(ErrorKind::Guard));
        assert_eq!(lost(20, 2000), Ok(()));
        let off = LoadMode::Replace { max_shrink_pct: None };
        assert!(check_shrink(&off, &Loaded { cleared: 100, ..Loaded::default() }, &relation).is_ok());
    }

    #[test]
    fn misfits_are_found_by_row() {
        let misfit = |row| Misfit { row, column: 0, rule: "r", reason: String::new() };
        let all = [misfit(1), misfit(1), misfit(3)];
        let mut misfits = all.iter().peekable();
        let found: Vec<bool> = (0..5).map(|row| misfit_of(&mut misfits, row).is_some()).collect();
        assert_eq!(found, [false, true, false, true, false]);
    }
}
