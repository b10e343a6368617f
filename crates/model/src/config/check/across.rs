//! What a sync means to the rest of the project: its connections, the syncs before it, who else writes the same field.

use std::collections::{BTreeMap, BTreeSet};

use super::super::connection::Side;
use super::super::problem::choice_hint;
use super::super::project::Project;
use super::Collector;
use crate::schema::Source;
use crate::sync::{Changes, FieldSet, FieldSource, Sync, Target};

/// A table or model that is written: side, connection, name.
type Place = (Target, String, String);

/// Stands for every field: a sync with `fields: all`.
const ALL: &str = "*";

/// Who writes what: per target and field the syncs, in order of their names.
pub(super) type Targets = BTreeMap<Place, BTreeMap<String, Vec<String>>>;

pub(super) fn targets(project: &Project) -> Targets {
    let mut out = Targets::new();
    for sync in project.syncs.values() {
        for (place, fields) in written(sync) {
            let target = out.entry(place).or_default();
            for field in fields {
                target.entry(field).or_default().push(sync.name.clone());
            }
        }
    }
    out
}

/// The fields that a sync writes, per target. The key is no field: two syncs may share a record.
fn written(sync: &Sync) -> Vec<(Place, BTreeSet<String>)> {
    let platform = (Target::Platform, sync.platform_connection.clone(), sync.model.to_string());
    let FieldSet::List(fields) = &sync.fields else {
        return if sync.direction.reaches(Target::Platform) {
            vec![(platform, BTreeSet::from([ALL.to_owned()]))]
        } else {
            Vec::new()
        };
    };
    let reaching = |to: Target| fields.iter().filter(move |field| field.direction.reaches(to));
    let to_platform: BTreeSet<String> = reaching(Target::Platform).map(|field| field.platform.clone()).collect();
    let columns = reaching(Target::Warehouse).filter_map(|field| match &field.source {
        FieldSource::Column(column) => Some(column.clone()),
        FieldSource::Constant(_) => None,
    });
    let to_warehouse: BTreeSet<String> = columns.collect();
    let mut out = Vec::new();
    if !to_platform.is_empty() {
        out.push((platform, to_platform));
    }
    if let (false, Source::Relation(relation)) = (to_warehouse.is_empty(), &sync.source) {
        out.push(((Target::Warehouse, sync.warehouse_connection.clone(), relation.to_string()), to_warehouse));
    }
    out
}

pub(super) fn check(at: &mut Collector<'_>, targets: &Targets) {
    connection(at, Side::Warehouse);
    connection(at, Side::Platform);
    access(at);
    stream(at);
    overlaps(at, targets);
    after(at);
}

fn connection(at: &mut Collector<'_>, side: Side) {
    let name = match side {
        Side::Warehouse => at.sync.warehouse_connection.clone(),
        Side::Platform => at.sync.platform_connection.clone(),
    };
    let path = format!("{}.connection", side.word());
    match at.project.connections.get(&name) {
        None => {
            let fits = at.project.connections.values().filter(|connection| connection.side == side);
            let fits: Vec<&str> = fits.map(|connection| connection.name.as_str()).collect();
            let fix = match fits.is_empty() {
                true => format!("add connections/{name}.yaml"),
                false => choice_hint(&name, fits.iter().copied()),
            };
            at.critical(&path, "unknown_connection", format!("there is no connection `{name}`"), fix);
        }
        Some(found) if found.side != side => {
            let why = format!("the connection `{name}` is a {}, not a {}", found.side.word(), side.word());
            at.critical(&path, "wrong_side", why, format!("name a {} here", side.word()));
        }
        Some(_) => {}
    }
}

fn access(at: &mut Collector<'_>) {
    let name = at.sync.warehouse_connection.clone();
    let Some(connection) = at.project.connections.get(&name) else { return };
    if connection.access_write || connection.side != Side::Warehouse {
        return;
    }
    let fix = format!("set `access: write` in {}, with the rights it needs", connection.file);
    if at.sync.direction.reaches(Target::Warehouse) {
        let why = format!("this sync writes to `{name}`, which is opened with `access: read`");
        at.critical("direction", "read_only_access", why, fix.clone());
    }
    if at.sync.changes == Changes::Stream {
        stream_needs_write(at, fix);
    }
}

fn stream_needs_write(at: &mut Collector<'_>, fix: String) {
    let name = &at.sync.warehouse_connection;
    let why = format!("reading a stream moves it into an outbox, and `{name}` is opened with `access: read`");
    at.critical("changes", "stream_needs_write", why, fix);
}

/// The relation turned out to be a stream: what holds for `changes: stream` holds here.
pub(super) fn auto_stream(at: &mut Collector<'_>) {
    let Some(connection) = at.project.connections.get(&at.sync.warehouse_connection) else { return };
    if !connection.access_write {
        let fix = format!("set `access: write` in {}, with the rights it needs", connection.file);
        stream_needs_write(at, fix);
    }
    one_sync(at);
}

/// One stream serves one sync: whoever moves it leaves nothing to the others.
fn stream(at: &mut Collector<'_>) {
    if at.sync.changes != Changes::Stream {
        return;
    }
    if matches!(at.sync.source, Source::Query(_)) {
        let why = "`changes: stream` needs a stream, and this sync reads a query";
        at.critical("changes", "stream_of_a_query", why, "name the stream with `relation:`");
    }
    one_sync(at);
}

fn one_sync(at: &mut Collector<'_>) {
    let same = |other: &&Sync| {
        other.name != at.sync.name
            && other.source == at.sync.source
            && other.warehouse_connection == at.sync.warehouse_connection
            && matches!(other.changes, Changes::Stream | Changes::Auto)
    };
    let others: Vec<&str> = at.project.syncs.values().filter(same).map(|other| other.name.as_str()).collect();
    if !others.is_empty() {
        let why = format!("a stream serves one sync, and this one is read by {} too", others.join(", "));
        at.critical("warehouse.relation", "stream_shared", why, "make a stream for each sync");
    }
}

fn overlaps(at: &mut Collector<'_>, targets: &Targets) {
    let shared = |name: &String| at.project.syncs.get(name).is_some_and(|sync| sync.shared);
    let mut found: Vec<(String, BTreeSet<String>)> = Vec::new();
    for (place, fields) in written(at.sync) {
        let Some(writers) = targets.get(&place) else { continue };
        for (field, names) in writers {
            let ours = fields.contains(field) || fields.contains(ALL) || field == ALL;
            let others: BTreeSet<String> = names
                .iter()
                .filter(|name| **name != at.sync.name && !(at.sync.shared && shared(name)))
                .cloned()
                .collect();
            if ours && !others.is_empty() {
                let what = if field == ALL { "its fields".to_owned() } else { format!("`{field}`") };
                found.push((format!("{what} of `{}`", place.2), others));
            }
        }
    }
    for (what, others) in found {
        let others: Vec<String> = others.into_iter().collect();
        let why = format!("{what}: also written by {}", others.join(", "));
        let fix = "let one of them write it, or set `shared: true` in each";
        at.critical("fields", "written_twice", why, fix);
    }
}

fn after(at: &mut Collector<'_>) {
    for (index, before) in at.sync.after.iter().enumerate() {
        let path = format!("after[{index}]");
        if !at.project.syncs.contains_key(before) {
            let known: Vec<&str> = at.project.syncs.keys().map(String::as_str).collect();
            let fix = choice_hint(before, known.iter().copied());
            at.critical(&path, "unknown_sync", format!("`after` names `{before}`, which is no sync"), fix);
        }
    }
    if let Some(circle) = circle(at.project, &at.sync.name) {
        let why = format!("`after` goes in a circle: {}", circle.join(" after "));
        at.critical("after", "after_circle", why, "take one of the names out");
    }
}

/// The way from a sync back to itself, if there is one.
fn circle(project: &Project, start: &str) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![start.to_owned()]];
    while let Some(way) = ways.pop() {
        let last = project.syncs.get(way.last()?);
        for before in last.map(|sync| sync.after.as_slice()).unwrap_or_default() {
            let mut longer = way.clone();
            longer.push(before.clone());
            if before == start {
                return Some(longer);
            }
            if seen.insert(before.clone()) {
                ways.push(longer);
            }
        }
    }
    None
}
