//! People at work on both sides, runs between their edits, and what goes wrong meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tidegate_engine::RunOptions;
use tidegate_model::run::RunStatus;
use tidegate_model::sync::{Direction, Target};
use tidegate_model::value::Value;
use tidegate_testkit::sim::{Faults, SimPlatform, SimWarehouse, World, traced};

use crate::bench::{Bench, number, text};
use crate::setup::{NAMES, Setup};

/// What people set, field by field, as the platform would store it.
pub type Told = Arc<Mutex<BTreeSet<(String, String)>>>;

/// One person who edits both sides at random.
#[derive(Clone)]
struct Person {
    warehouse: Arc<SimWarehouse>,
    platform: Arc<SimPlatform>,
    told: Told,
    count: Arc<Mutex<u64>>,
    direction: Direction,
}

impl Person {
    fn value(&self, dice: &World, field: &str) -> Value {
        let count = {
            let mut count = self.count.lock().unwrap();
            *count += 1;
            *count
        };
        let value = match (field, dice.below(100)) {
            (_, 0..10) => Value::Null,
            ("name", 10..14) => text(&format!("a name that is far too long for it {count}")),
            ("name", 14..17) => text(&format!("refuse-me {count}")),
            ("name", 17..30) => text(&format!("  Name {count} ")),
            ("name", _) => text(&format!("name {count}")),
            ("note", 10..15) => text(""),
            ("note", 15..18) => text(&format!("drop-me {count}")),
            ("note", 18..30) => text(&format!("two  blanks {count}")),
            ("note", _) => text(&format!("note {count}")),
            ("score", _) => number(&format!("{count}.{:04}", dice.below(10_000))),
            _ => Value::Int(i64::try_from(count).unwrap()),
        };
        self.told.lock().unwrap().insert((field.to_owned(), stored(&self.platform, field, &value)));
        value
    }

    fn edit(&self, dice: &World) {
        let key = format!("k{}", dice.below(8));
        let field = NAMES[usize::try_from(dice.below(4)).unwrap()];
        let before = traced().then(|| (self.warehouse.rows(), self.platform.rows()));
        let side = match self.direction {
            Direction::Both if dice.chance(500) => Target::Warehouse,
            Direction::Both | Direction::ToWarehouse => Target::Platform,
            Direction::ToPlatform => Target::Warehouse,
        };
        let new = || -> Vec<(&str, Value)> { NAMES.iter().map(|name| (*name, self.value(dice, name))).collect() };
        match (side, dice.below(100)) {
            (Target::Warehouse, 0..12) => self.warehouse.delete(&key),
            (Target::Warehouse, 12..14) => self.warehouse.insert(None, &new()),
            (Target::Warehouse, _) if !self.warehouse.rows().contains_key(&key) => {
                self.warehouse.insert(Some(&key), &new());
            }
            (Target::Warehouse, 14..16) => self.warehouse.insert(Some(&key), &new()),
            (Target::Warehouse, _) => {
                self.warehouse.set(&key, field, self.value(dice, field));
            }
            (Target::Platform, 0..12) => {
                self.platform.delete(&key);
            }
            (Target::Platform, _) if !self.platform.rows().contains_key(&key) => {
                self.platform.insert(&key, &new());
            }
            (Target::Platform, _) => {
                self.platform.set(&key, field, self.value(dice, field));
            }
        }
        if let Some((warehouse, platform)) = before {
            if warehouse != self.warehouse.rows() {
                eprintln!(
                    "  person: warehouse {key} {:?} -> {:?}",
                    warehouse.get(&key),
                    self.warehouse.rows().get(&key)
                );
            }
            if platform != self.platform.rows() {
                eprintln!("  person: platform {key} {:?} -> {:?}", platform.get(&key), self.platform.rows().get(&key));
            }
        }
    }
}

/// A value in the form in which the platform stores it, as text.
pub fn stored(platform: &SimPlatform, field: &str, value: &Value) -> String {
    platform.stored(field, value).to_string()
}

/// Plays a history of edits, runs and faults. Gives back what people set.
pub fn play(setup: &mut Setup) -> Told {
    let told = Told::default();
    let person = Person {
        warehouse: setup.bench.warehouse.clone(),
        platform: setup.bench.platform.clone(),
        told: told.clone(),
        count: Arc::default(),
        direction: setup.bench.sync.direction,
    };
    if setup.interrupted {
        let (person, dice) = (person.clone(), World::new(setup.dice.random()));
        setup.bench.world.before_write(Some(Box::new(move || {
            if dice.chance(300) {
                person.edit(&dice);
            }
        })));
    }
    let rounds = 4 + setup.dice.below(6);
    for _ in 0..rounds {
        for _ in 0..setup.dice.below(7) {
            person.edit(&setup.dice);
            setup.bench.world.pass(i64::try_from(setup.dice.below(3_000)).unwrap());
        }
        if setup.follows {
            the_past_goes(setup);
        }
        setup.bench.world.set_faults(if setup.dice.chance(700) { setup.faults } else { Faults::default() });
        run(&mut setup.bench, setup.dice.chance(100));
        let pause = if setup.dice.chance(500) { 30_000 } else { 1_500_000 };
        setup.bench.world.pass(i64::try_from(setup.dice.below(pause)).unwrap());
    }
    setup.bench.world.set_faults(Faults::default());
    setup.bench.world.before_write(None);
    setup.bench.world.pass(2_000_000);
    told
}

/// History expires, and streams go stale or are made anew, whenever it suits somebody else.
fn the_past_goes(setup: &Setup) {
    let (dice, warehouse) = (&setup.dice, &setup.bench.warehouse);
    if dice.chance(120) {
        warehouse.expire();
    }
    if dice.chance(120) {
        warehouse.make_stream();
    }
}

/// One run, whatever becomes of it.
pub fn run(bench: &mut Bench, full: bool) {
    let options = RunOptions { full, force_guards: vec!["empty_read".to_owned()], ..RunOptions::default() };
    let done = bench.try_run(&options);
    if traced() {
        eprintln!("run: crashed {} {done:?}", bench.world.crashed());
        eprintln!("  warehouse {:?}\n  platform {:?}", bench.warehouse.rows(), bench.platform.rows());
        let keys = (0..8).map(|n| format!("k{n}"));
        eprintln!("  flags {:?}", keys.map(|key| bench.flags(&key)).collect::<Vec<_>>());
        eprintln!("  log {:?}", bench.log());
        eprintln!("  conflicts {:?}\n  rejects {:?}", bench.conflicts(), bench.rejects());
    }
    match done {
        Ok(run) => {
            assert!(run.books.balanced(), "the books do not balance: {run:#?}");
            assert_ne!(run.status, RunStatus::Unbalanced, "{run:#?}");
            assert!(
                run.error.as_ref().is_none_or(|error| error.code != "internal") || bench.world.crashed(),
                "{run:#?}"
            );
        }
        Err(error) => assert!(bench.world.crashed(), "no run could be recorded: {error:?}"),
    }
    if bench.world.crashed() {
        bench.restart();
    }
}
