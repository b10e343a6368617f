//! In which order syncs run: parents before what refers to them, then `after:`.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_model::schema::ModelName;
use tidegate_model::sync::{Direction, Target};
use tidegate_model::{Error, Result};

/// What the order needs to know of a sync.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderEntry {
    /// Its name.
    pub sync: String,
    /// Name of the platform's connection: models of different accounts do not refer to each other.
    pub platform: String,
    /// The platform's model.
    pub model: ModelName,
    /// Which ways it flows: a parent that flows only the other way delivers nothing to wait for.
    pub direction: Direction,
    /// Models that the mapped fields of this one refer to.
    pub references: Vec<ModelName>,
    /// `after:`.
    pub after: Vec<String>,
}

/// Which syncs run before each sync (direct predecessors; every sync has an entry).
///
/// Models that refer to each other in a circle have no order among themselves: what is unresolved after one run is
/// retried by the next. An `after:` that names no sync, or that closes a circle, is an error.
pub fn predecessors(syncs: &[OrderEntry]) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let parents = reference_edges(syncs);
    let mut before: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for sync in syncs {
        let mut own: BTreeSet<String> =
            parents[&sync.sync].iter().filter(|parent| !reaches(&parents, parent, &sync.sync)).cloned().collect();
        for name in &sync.after {
            if !parents.contains_key(name) {
                return Err(Error::config(format!("sync {}: after names {name:?}, which is no sync", sync.sync))
                    .hint("name another sync of this project, or remove it from after"));
            }
            own.insert(name.clone());
        }
        before.insert(sync.sync.clone(), own);
    }
    match cycle(&before) {
        Some(cycle) => Err(cycle_error(syncs, &cycle)),
        None => Ok(before),
    }
}

/// The syncs in the order in which they run; where the order is free, by name.
pub fn run_order(syncs: &[OrderEntry]) -> Result<Vec<String>> {
    let mut waiting = predecessors(syncs)?;
    let mut order = Vec::with_capacity(waiting.len());
    // The map is sorted by name; as there is no circle, each round finds a sync that waits for nothing.
    while let Some(ready) = waiting.iter().find(|(_, before)| before.is_empty()).map(|(sync, _)| sync.clone()) {
        waiting.remove(&ready);
        for before in waiting.values_mut() {
            before.remove(&ready);
        }
        order.push(ready);
    }
    Ok(order)
}

fn reference_edges(syncs: &[OrderEntry]) -> BTreeMap<String, BTreeSet<String>> {
    let mut by_model: BTreeMap<(&str, &str), Vec<&OrderEntry>> = BTreeMap::new();
    for sync in syncs {
        by_model.entry((&sync.platform, &sync.model.0)).or_default().push(sync);
    }
    let mut edges = BTreeMap::new();
    for sync in syncs {
        let mut parents = BTreeSet::new();
        for model in sync.references.iter().filter(|model| **model != sync.model) {
            let of_model = by_model.get(&(sync.platform.as_str(), model.0.as_str()));
            for parent in of_model.into_iter().flatten().filter(|parent| same_way(parent.direction, sync.direction)) {
                parents.insert(parent.sync.clone());
            }
        }
        edges.insert(sync.sync.clone(), parents);
    }
    edges
}

fn same_way(a: Direction, b: Direction) -> bool {
    [Target::Platform, Target::Warehouse].into_iter().any(|to| a.reaches(to) && b.reaches(to))
}

/// Whether `to` is before `from`, directly or not.
fn reaches(before: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        if at == to {
            return true;
        }
        if seen.insert(at) {
            open.extend(before.get(at).into_iter().flatten().map(String::as_str));
        }
    }
    false
}

/// A circle, from its first name by the alphabet: each waits for the next, the last for the first.
fn cycle(before: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let on_circle = |name: &str| before[name].iter().any(|next| reaches(before, next, name));
    let first = before.keys().find(|name| on_circle(name))?;
    let mut path = vec![first.clone()];
    let mut at = first;
    loop {
        // The next one that leads back to the start without passing what was passed; the start itself if it can be.
        let next = &before[at];
        if next.contains(first) {
            return Some(path);
        }
        let left = without(before, &path[1..]);
        at = before.keys().find(|name| next.contains(*name) && reaches(&left, name, first))?;
        path.push(at.clone());
    }
}

fn without(before: &BTreeMap<String, BTreeSet<String>>, passed: &[String]) -> BTreeMap<String, BTreeSet<String>> {
    before.iter().filter(|(name, _)| !passed.contains(name)).map(|(name, next)| (name.clone(), next.clone())).collect()
}

fn cycle_error(syncs: &[OrderEntry], cycle: &[String]) -> Error {
    let of = |name: &str| syncs.iter().find(|sync| sync.sync == name);
    let mut steps = Vec::new();
    let mut mend = None;
    for (number, name) in cycle.iter().enumerate() {
        let next = &cycle[(number + 1) % cycle.len()];
        if of(name).is_some_and(|sync| sync.after.contains(next)) {
            steps.push(format!("{name} runs after {next} (after:)"));
            mend = mend.or_else(|| Some(format!("remove {next} from after: of {name}")));
        } else {
            let model = of(next).map_or("", |sync| sync.model.0.as_str());
            steps.push(format!("{name} runs after {next} (it refers to {model})"));
        }
    }
    Error::config(format!("the order of syncs goes in a circle: {}", steps.join(", ")))
        .hint(mend.unwrap_or_else(|| "remove one of these from after:".to_owned()))
}
