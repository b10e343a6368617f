//! Kill anywhere: the real binary is killed with SIGKILL between every pair of its steps – on first load, incremental,
//! two-way, append and replace runs, on SQLite and on Postgres – and the next run has to come to the undisturbed end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "shared/account.rs"]
mod account;
#[path = "kill/bigquery.rs"]
mod bigquery;
#[path = "shared/lake.rs"]
mod lake;
#[path = "kill/project.rs"]
mod project;
#[path = "kill/stream.rs"]
mod stream;
#[path = "kill/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};

use world::{Backend, World};

/// A run that is disturbed: what is done before it, the run itself, and whether a person edits between crash and
/// restart.
struct Scenario {
    name: &'static str,
    before: fn(&World),
    sync: &'static str,
    edit: fn(&World),
}

fn nothing(_world: &World) {}

fn loaded(world: &World) {
    world.run("companies", &[0]);
}

fn changed_in_the_warehouse(world: &World) {
    loaded(world);
    world.sql("UPDATE companies SET name = name || ' AB', arr = arr + 1 WHERE company_id < 'C030'");
    world.sql("INSERT INTO companies (company_id, name, phase, arr) VALUES ('C900', 'Late One', 'Live', 5)");
}

fn changed_on_both_sides(world: &World) {
    changed_in_the_warehouse(world);
    for n in 31..50 {
        world.hub_set(&format!("C{n:03}"), "phase=Churning");
    }
    world.hub_set("C010", "phase=Lost");
    world.sql("UPDATE companies SET phase = 'Renewal' WHERE company_id = 'C010'");
    world.hub_set("NEW1", "name=Made by hand");
}

/// What a person does between the crash and the restart: it has to survive.
fn a_person_edits(world: &World) {
    world.hub_set("C055", "phase=Edited by hand");
    world.sql("UPDATE companies SET name = 'Renamed by hand' WHERE company_id = 'C056'");
}

const SCENARIOS: [Scenario; 7] = [
    Scenario { name: "first_load", before: nothing, sync: "companies", edit: nothing },
    Scenario { name: "incremental", before: changed_in_the_warehouse, sync: "companies", edit: a_person_edits },
    Scenario { name: "two_way", before: changed_on_both_sides, sync: "companies", edit: a_person_edits },
    Scenario { name: "append_usage", before: loaded, sync: "usage", edit: nothing },
    Scenario { name: "upsert_dataset", before: loaded, sync: "revenue", edit: nothing },
    Scenario { name: "append_export", before: loaded, sync: "log", edit: nothing },
    Scenario { name: "replace_export", before: loaded, sync: "scores", edit: nothing },
];

/// Kills the scenario's run at each point it comes by, and returns the names of the points.
fn kill_everywhere(backend: Backend, scenario: &Scenario) -> BTreeSet<String> {
    let base = World::new(backend, scenario.name);
    (scenario.before)(&base);
    let undisturbed = base.copy("calm");
    let log = undisturbed.run_logged(scenario.sync);
    (scenario.edit)(&undisturbed);
    undisturbed.settle_down(scenario.sync);
    let expected = undisturbed.dump();
    let mut hits: BTreeMap<String, u64> = BTreeMap::new();
    for name in log {
        *hits.entry(name).or_default() += 1;
    }
    assert!(!hits.is_empty(), "the binary was built without the feature `failpoints`");
    for (name, count) in &hits {
        // The first time, and somewhere in the middle, where earlier steps have been settled.
        // (On Postgres once: the steps are the same, and each world there costs three databases.)
        let mut times = if backend == Backend::Sqlite { vec![1, count / 2 + 1] } else { vec![count / 2 + 1] };
        times.dedup();
        for time in times {
            let point = format!("{name}:{time}");
            let world = base.copy(&format!("{}_{time}", name.replace('.', "_")));
            world.run_killed(scenario.sync, &point);
            (scenario.edit)(&world);
            world.settle_down(scenario.sync);
            let found = world.dump();
            assert_eq!(found, expected, "{} on {backend:?}: killed at {point}, the end differs", scenario.name);
            world.assert_balanced(&point);
        }
    }
    hits.into_keys().collect()
}

fn all_on(backend: Backend) {
    let mut hit = BTreeSet::new();
    for scenario in &SCENARIOS {
        hit.extend(kill_everywhere(backend, scenario));
    }
    world::record_hits(backend, &hit);
}

#[test]
fn killed_anywhere_on_sqlite_the_next_run_comes_to_the_same_end() {
    all_on(Backend::Sqlite);
    // Points that only the other backend, a resumed run or an operation passes are named here with their reason; a
    // point that is added to the source and passed by nobody fails this test.
    let elsewhere = world::passed_elsewhere();
    let hit = world::recorded_hits(Backend::Sqlite);
    let known = world::failpoints_in_source();
    let missed: Vec<&String> =
        known.iter().filter(|name| !hit.contains(*name) && !elsewhere.contains_key(name.as_str())).collect();
    assert!(missed.is_empty(), "these failpoints were never hit: {missed:?}");
    let stale: Vec<_> = elsewhere.keys().filter(|name| !known.contains(**name)).collect();
    assert!(stale.is_empty(), "these are no failpoints any more: {stale:?}");
}

#[test]
fn killed_anywhere_on_postgres_the_next_run_comes_to_the_same_end() {
    all_on(Backend::Postgres);
    let hit = world::recorded_hits(Backend::Postgres);
    let own: Vec<String> =
        world::failpoints_in_source().into_iter().filter(|name| name.starts_with("postgres.")).collect();
    let missed: Vec<&String> = own.iter().filter(|name| !hit.contains(*name)).collect();
    assert!(missed.is_empty(), "these failpoints of Postgres were never hit: {missed:?}");
}

#[test]
fn a_killed_run_is_taken_over_at_once_on_its_own_machine() {
    let world = World::new(Backend::Sqlite, "takeover");
    world.run_killed("companies", "deliver.intended:1");
    // By the real clock: the dead run's lease has nearly a minute to go.
    world.run("companies", &[0]);
    world.assert_balanced("takeover");
}
