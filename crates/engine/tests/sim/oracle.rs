//! What must hold once nobody edits any more and nothing goes wrong.

use std::collections::BTreeSet;

use tidegate_model::ports::{ConflictState, Warehouse, flags};
use tidegate_model::sync::{Changes, Deletes, Direction, FieldMap, Nulls, Target, WriteMode};
use tidegate_model::value::Value;

use crate::bench::Bench;
use crate::history::{Told, run, stored};
use crate::setup::Setup;

/// What is listed as open: keys with rejects, and fields (or whole records) with conflicts.
struct Open {
    rejected: BTreeSet<String>,
    conflicts: BTreeSet<(String, Option<String>)>,
}

impl Open {
    fn of(bench: &Bench) -> Self {
        let rejects = bench.ask(bench.state.rejects(Some("companies"), 10_000)).into_iter();
        let conflicts = bench.ask(bench.state.conflicts(Some("companies"), true, 10_000)).into_iter();
        Self {
            rejected: rejects.filter_map(|listed| listed.reject.key).map(|key| key.to_string()).collect(),
            conflicts: conflicts
                .filter(|listed| listed.conflict.state == ConflictState::Open)
                .map(|listed| (listed.conflict.key.to_string(), listed.conflict.field))
                .collect(),
        }
    }

    fn explains(&self, key: &str, field: &str) -> bool {
        let of = |field: Option<&str>| self.conflicts.contains(&(key.to_owned(), field.map(str::to_owned)));
        self.rejected.contains(key) || of(Some(field)) || of(None)
    }
}

/// Runs until everything has come to rest, and checks everything.
pub fn check(setup: &mut Setup, told: &Told) {
    let ignores_clears = setup.ignores_clears;
    let bench = &mut setup.bench;
    run(bench, false);
    if ignores_clears {
        // Whether a clear was ignored is known once reads have had their time.
        bench.world.pass(2_000_000);
        run(bench, false);
    }
    run(bench, false);
    let (writes, runs) = (bench.world.writes(), bench.runs.len());
    for run in &bench.runs[runs - 2..] {
        assert!(run.error.is_none(), "a run without faults failed: {:?}", run.error);
    }
    rejects_have_their_reasons(bench, ignores_clears);
    converged(bench);
    all_there(bench);
    nothing_invented(bench, told);
    run(bench, false);
    run(bench, true);
    assert_eq!(bench.world.writes(), writes, "a quiet run wrote: {:#?}", &bench.runs[runs..]);
    converged(bench);
}

fn fields(bench: &Bench) -> Vec<FieldMap> {
    bench.sync.field_list().to_vec()
}

/// Whether the warehouse shows its changes by itself.
fn follows(bench: &Bench) -> bool {
    let can = bench.warehouse.abilities();
    can.tracking || can.stream
}

/// Records that are linked agree on every field, but for what is listed as open.
fn converged(bench: &Bench) {
    let open = Open::of(bench);
    let (warehouse, platform) = (bench.warehouse.rows(), bench.platform.rows());
    let only_some = bench.sync.write == WriteMode::Insert
        || (bench.sync.write == WriteMode::Update && (bench.sync.changes == Changes::Cursor || follows(bench)));
    if only_some {
        return;
    }
    for (key, row) in &warehouse {
        let Some(record) = platform.get(key) else { continue };
        if bench.flags(key).is_none_or(|flags| flags & (flags::GONE_PLATFORM | flags::GONE_WAREHOUSE) != 0) {
            // Not linked; `all_there` asks why.
            continue;
        }
        for field in fields(bench) {
            let name = field.platform.as_str();
            let of = |cells: &std::collections::BTreeMap<String, Value>| {
                bench.platform.stored(name, cells.get(name).unwrap_or(&Value::Null))
            };
            let (w, p) = (of(row), of(record));
            let source = match field.direction {
                Direction::ToPlatform => Some(&w),
                Direction::ToWarehouse => Some(&p),
                Direction::Both => None,
            };
            let no_opinion = source.is_some_and(Value::is_empty) || (field.nulls == Nulls::Skip && w.is_null());
            let no_opinion = no_opinion || (field.nulls == Nulls::Skip && p.is_null());
            if w.to_string() != p.to_string() && !no_opinion && !(w.is_empty() && p.is_empty()) {
                assert!(
                    open.explains(key, name),
                    "{key}/{name} did not converge: warehouse {w:?}, platform {p:?}; rejected {:?}, conflicts {:?}",
                    open.rejected,
                    open.conflicts
                );
            }
        }
    }
}

/// Every record of a source is at its target, but for what is listed as open, gone or held.
fn all_there(bench: &Bench) {
    let open = Open::of(bench);
    let warehouse: BTreeSet<String> = bench.warehouse.rows().into_keys().collect();
    let platform: BTreeSet<String> = bench.platform.rows().into_keys().collect();
    let lacks = |source: &BTreeSet<String>, target: &BTreeSet<String>, way: &str| {
        for key in source.difference(target) {
            let gone = bench.flags(key).is_some_and(|f| f & (flags::GONE_PLATFORM | flags::GONE_WAREHOUSE) != 0);
            let explained = open.explains(key, "") || (gone && bench.sync.deletes == Deletes::Ignore);
            assert!(explained, "{key} never came {way}; flags {:?}", bench.flags(key));
        }
    };
    let sync = &bench.sync;
    if sync.write == WriteMode::Update {
        return;
    }
    // A cursor does not see that a row is gone, so nothing says that the record is held.
    let deletes_seen = sync.changes != Changes::Cursor;
    if sync.direction.reaches(Target::Platform) {
        lacks(&warehouse, &platform, "to the platform");
    }
    if sync.direction.reaches(Target::Warehouse) && (deletes_seen || !sync.two_way()) {
        lacks(&platform, &warehouse, "to the warehouse");
    }
    if sync.write == WriteMode::Mirror {
        let (source, target) = match sync.direction {
            Direction::ToWarehouse => (&platform, &warehouse),
            _ => (&warehouse, &platform),
        };
        for key in target.difference(source) {
            assert!(open.explains(key, ""), "{key} was left behind by a mirror; flags {:?}", bench.flags(key));
        }
    }
}

/// What is listed as rejected cannot be delivered as it is.
fn rejects_have_their_reasons(bench: &Bench, ignores_clears: bool) {
    let (warehouse, platform) = (bench.warehouse.rows(), bench.platform.rows());
    let bad = |value: &Value| {
        let text = value.to_string();
        text.contains("refuse-me") || text.contains("drop-me") || text.trim().chars().count() > 30
    };
    for listed in bench.ask(bench.state.rejects(Some("companies"), 10_000)) {
        let Some(key) = &listed.reject.key else { continue };
        let any_bad = [warehouse.get(key.as_str()), platform.get(key.as_str())].into_iter().flatten();
        let reason = match listed.reject.why.rule.as_str() {
            // What was listed before stays listed until the key names one row again.
            _ if bench.warehouse.copies(key.as_str()) > 1 => true,
            "duplicate_key" => false,
            "cannot_clear" => ignores_clears,
            _ => any_bad.flat_map(|row| row.values()).any(bad),
        };
        assert!(reason, "{key} is listed without a reason: {:?}", listed.reject);
    }
}

/// Every value was once set by a person.
fn nothing_invented(bench: &Bench, told: &Told) {
    let told = told.lock().unwrap();
    for (side, rows) in [("warehouse", bench.warehouse.rows()), ("platform", bench.platform.rows())] {
        for (key, row) in rows {
            for name in crate::setup::NAMES {
                let value = row.get(name).unwrap_or(&Value::Null);
                let shown = stored(&bench.platform, name, value);
                let known = value.is_null() || told.contains(&(name.to_owned(), shown));
                assert!(known, "{key}/{name} of the {side} holds {value:?}, which nobody ever set");
            }
        }
    }
}
