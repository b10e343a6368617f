//! Guards: limits that stop a run before it writes.

use tidegate_model::sync::Guards;

/// Records that never trip a guard: small tables change by large shares.
pub const FREE_RECORDS: u64 = 20;

/// What a run is about to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Planned {
    /// Linked records before the run.
    pub linked: u64,
    /// Records to delete.
    pub deletes: u64,
    /// Records of which a field that held a value is cleared.
    pub clears: u64,
    /// Records to create or change.
    pub changes: u64,
    /// Records rejected before anything was sent.
    pub rejects: u64,
    /// Keys considered.
    pub read: u64,
    /// A complete read of a side that has linked records gave no row at all.
    pub empty_read: bool,
    /// Nothing has been settled before.
    pub first_run: bool,
}

/// A guard that stops the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Tripped {
    /// Its name, for `--force-guard`.
    pub guard: &'static str,
    /// What it saw.
    pub why: String,
}

/// The guards that a plan trips, but for those that are forced.
pub fn tripped(guards: &Guards, planned: &Planned, forced: &[String]) -> Vec<Tripped> {
    let mut found = Vec::new();
    if planned.empty_read && planned.deletes > 0 {
        let why = format!("the source gave no row at all, and {} records would be deleted for it", planned.deletes);
        found.push(Tripped { guard: "empty_read", why });
    }
    let linked = planned.linked;
    share(&mut found, "max_delete_pct", guards.max_delete_pct, planned.deletes, linked, "records would be deleted");
    share(
        &mut found,
        "max_clear_pct",
        guards.max_clear_pct,
        planned.clears,
        linked,
        "records would have fields cleared",
    );
    if !planned.first_run {
        share(
            &mut found,
            "max_reject_pct",
            guards.max_reject_pct,
            planned.rejects,
            planned.read,
            "records read are rejects",
        );
        share(&mut found, "max_change_pct", guards.max_change_pct, planned.changes, linked, "records would be changed");
    }
    found.retain(|tripped| !forced.iter().any(|forced| forced == tripped.guard));
    found
}

/// Whether the share of rejects among what was read so far stops the run.
pub fn too_many_rejects(guards: &Guards, rejects: u64, read: u64, forced: &[String]) -> Option<Tripped> {
    let mut found = Vec::new();
    share(&mut found, "max_reject_pct", guards.max_reject_pct, rejects, read, "records read are rejects");
    found.retain(|tripped| !forced.iter().any(|forced| forced == tripped.guard));
    found.pop()
}

fn share(found: &mut Vec<Tripped>, guard: &'static str, limit: Option<f64>, part: u64, base: u64, what: &str) {
    let Some(limit) = limit else { return };
    if part <= FREE_RECORDS {
        return;
    }
    let percent = if base == 0 { 100.0 } else { part as f64 * 100.0 / base as f64 };
    if percent > limit {
        let why = format!("{part} of {base} {what} ({percent:.1}%, the limit is {limit}%)");
        found.push(Tripped { guard, why });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(planned: Planned) -> Vec<&'static str> {
        tripped(&Guards::default(), &planned, &[]).into_iter().map(|t| t.guard).collect()
    }

    #[test]
    fn guards_trip_above_their_share_and_never_for_twenty_records() {
        let base = Planned { linked: 100, read: 100, ..Planned::default() };
        assert!(names(Planned { deletes: 20, ..base }).is_empty());
        assert_eq!(names(Planned { deletes: 21, ..base }), ["max_delete_pct"]);
        assert_eq!(names(Planned { deletes: 21, linked: 1_000, clears: 200, ..base }), ["max_clear_pct"]);
        assert_eq!(names(Planned { rejects: 21, ..base }), ["max_reject_pct"]);
        assert!(names(Planned { rejects: 21, first_run: true, ..base }).is_empty());
        assert_eq!(names(Planned { deletes: 3, empty_read: true, ..base }), ["empty_read"]);
        let forced = tripped(&Guards::default(), &Planned { deletes: 50, ..base }, &["max_delete_pct".to_owned()]);
        assert!(forced.is_empty());
    }
}
