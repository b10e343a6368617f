//! A random sync between random sides: everything that one seed stands for.

use tidegate_model::schema::{Abilities, Case, FieldSchema, NormalForm};
use tidegate_model::sync::{
    Changes, ConflictRule, CursorSpec, DeleteConflict, Deletes, Direction, FieldSet, Guards, LedgerKind, Lookback,
    Nulls, OnMisfit, Sync, Target, UpdatedAt, WriteMode,
};
use tidegate_testkit::sim::{Faults, Keeps, Knobs, World, all_abilities};

use crate::bench::{Bench, plain_fields, sync};

pub const NAMES: [&str; 4] = ["name", "note", "score", "size"];

/// What a seed stands for.
pub struct Setup {
    pub bench: Bench,
    pub dice: World,
    pub faults: Faults,
    /// Somebody edits while runs are at work.
    pub interrupted: bool,
    pub ignores_clears: bool,
    /// The warehouse's change history or stream is followed.
    pub follows: bool,
}

fn one_of<T: Copy>(dice: &World, all: &[T]) -> T {
    all[usize::try_from(dice.below(all.len() as u64)).unwrap()]
}

pub fn setup(seed: u64) -> Setup {
    let dice = World::new(seed ^ 0x5eed_0000);
    let mut sync = a_sync(&dice);
    let keeps = a_past(&dice, &mut sync);
    let knobs = some_knobs(&dice);
    let interrupted = knobs.abilities.conditional && dice.chance(300);
    let ignores_clears = knobs.ignores_clears;
    let page_rows = 1 + usize::try_from(dice.below(3)).unwrap();
    let bench = Bench::of(seed, sync, knobs, some_fields(&dice), page_rows);
    bench.warehouse.keep(keeps.unwrap_or_default());
    let faults = some_faults(&dice);
    Setup { bench, dice, faults, interrupted, ignores_clears, follows: keeps.is_some() }
}

/// A history or a stream for some of the syncs that read the warehouse.
fn a_past(dice: &World, sync: &mut Sync) -> Option<Keeps> {
    if !sync.direction.reaches(Target::Platform) || !dice.chance(500) {
        return None;
    }
    let stream = dice.chance(600);
    let named = if stream { Changes::Stream } else { Changes::Tracking };
    (sync.changes, sync.cursor) = (if dice.chance(300) { Changes::Auto } else { named }, None);
    let lag = one_of(dice, &[1, 1, 60_000_000]);
    let overlap = one_of(dice, &[0, 0, 600_000_000]);
    Some(Keeps {
        tracking: !stream,
        stream,
        time_travel: dice.chance(500),
        lag,
        overlap,
        // A row that comes and goes within the lag of a full read that is not pinned is a gap that the docs name. Where
        // windows reach further back than asked, one that came there and went in what was asked has to show.
        shows_passing: lag > 1 || overlap > 0 || dice.chance(500),
        gate: dice.chance(700),
    })
}

fn a_sync(dice: &World) -> Sync {
    let ways = [Direction::Both, Direction::Both, Direction::Both, Direction::ToPlatform, Direction::ToWarehouse];
    let two_way = dice.chance(600);
    let one = if dice.chance(600) { Direction::ToPlatform } else { Direction::ToWarehouse };
    let mut fields: Vec<(&str, Direction)> = Vec::new();
    for name in NAMES {
        let way = match (two_way, name) {
            (true, "name") => Direction::Both,
            (true, _) => one_of(dice, &ways),
            (false, _) => one,
        };
        fields.push((name, way));
    }
    let mut sync = sync(&fields);
    let rules = [ConflictRule::Warehouse, ConflictRule::Platform, ConflictRule::Newest, ConflictRule::Hold];
    sync.conflict = one_of(dice, &rules);
    sync.updated_at = UpdatedAt { warehouse: Some("changed_at".to_owned()), platform: None };
    let FieldSet::List(lines) = &mut sync.fields else { unreachable!() };
    for line in lines {
        line.conflict = dice.chance(300).then(|| one_of(dice, &rules));
        line.on_misfit = if dice.chance(300) { OnMisfit::DropField } else { OnMisfit::RejectRecord };
        line.nulls = if dice.chance(100) { Nulls::Skip } else { Nulls::Clear };
    }
    if dice.chance(400) {
        sync.changes = Changes::Cursor;
        let column = "seq".to_owned();
        sync.cursor = Some(CursorSpec { column, lookback: Some(Lookback::Count(one_of(dice, &[0, 3, 10_000]))) });
    }
    if two_way {
        (sync.deletes, sync.delete_conflict) = deletes(dice);
    } else {
        let modes = [WriteMode::Upsert, WriteMode::Upsert, WriteMode::Update, WriteMode::Insert, WriteMode::Mirror];
        sync.write = one_of(dice, &modes);
        sync.ledger = if dice.chance(500) { LedgerKind::Values } else { LedgerKind::Fingerprints };
    }
    if sync.deletes == Deletes::Propagate || sync.write == WriteMode::Mirror {
        // A cursor does not see deletes: `check` refuses the two together.
        (sync.changes, sync.cursor) = (Changes::Full, None);
    }
    sync.guards = Guards {
        max_delete_pct: None,
        max_clear_pct: None,
        max_shrink_pct: None,
        max_reject_pct: None,
        max_change_pct: None,
    };
    sync.batch_size = dice.chance(500).then(|| 1 + u32::try_from(dice.below(4)).unwrap());
    sync
}

fn deletes(dice: &World) -> (Deletes, DeleteConflict) {
    let deletes = if dice.chance(600) { Deletes::Propagate } else { Deletes::Ignore };
    (deletes, if dice.chance(500) { DeleteConflict::Edit } else { DeleteConflict::Delete })
}

fn some_knobs(dice: &World) -> Knobs {
    let abilities = Abilities {
        ordered: dice.chance(700),
        changes: dice.chance(600),
        fetch: dice.chance(850),
        conditional: dice.chance(700),
        update_time: dice.chance(800),
        whole: false,
        keyed: dice.chance(850),
        max_batch: 1 + u32::try_from(dice.below(6)).unwrap(),
        ..all_abilities()
    };
    // Changes alone do not show what was not changed: such a platform can be read by key.
    let abilities = Abilities { changes: abilities.changes && abilities.fetch, ..abilities };
    Knobs {
        abilities,
        page_rows: 1 + usize::try_from(dice.below(3)).unwrap(),
        tells_stored: dice.chance(500),
        replays_ops: dice.chance(500),
        ignores_clears: dice.chance(80),
        collapses: dice.chance(150),
        stale_ms: 1_000 + i64::try_from(dice.below(400_000)).unwrap(),
        ..Knobs::default()
    }
}

fn some_fields(dice: &World) -> Vec<FieldSchema> {
    let mut fields = plain_fields();
    fields[0].max_length = Some(30);
    fields[0].normal.trim = dice.chance(500);
    fields[0].normal.case = dice.chance(300).then_some(Case::Lower);
    fields[1].normal.empty_is_null = dice.chance(500);
    if dice.chance(500) {
        fields[2].normal = NormalForm { scale: Some(2), ..NormalForm::default() };
    }
    fields
}

fn some_faults(dice: &World) -> Faults {
    let rate = |dice: &World, most: u64| if dice.chance(600) { u32::try_from(dice.below(most)).unwrap() } else { 0 };
    Faults {
        crash: rate(dice, 25),
        lost: rate(dice, 200),
        unavailable: rate(dice, 60),
        rate_limited: rate(dice, 60),
        retry_some: rate(dice, 150),
        unauthorized: rate(dice, 15),
        stale: rate(dice, 500),
    }
}
