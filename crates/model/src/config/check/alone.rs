//! What one sync's own file decides.

use std::collections::{BTreeMap, BTreeSet};

use super::super::problem::choice_hint;
use super::Collector;
use crate::schema::Source;
use crate::sync::{Changes, ConflictRule, Deletes, Direction, FieldMap, FieldSet, FieldSource, Target, WriteMode};
use crate::transform::{can_be_identity, is_identity_under};

/// The id that a platform gives to a record.
pub(super) const ASSIGNED_KEY: &str = "_id";

pub(super) fn check(at: &mut Collector<'_>) {
    cursor(at);
    two_way(at);
    targets(at);
    newest(at);
    key(at);
    fields(at);
    names(at);
}

fn cursor(at: &mut Collector<'_>) {
    let cursor = at.sync.changes == Changes::Cursor;
    if cursor && at.sync.cursor.is_none() {
        let fix = "add `cursor: { column: … }` with a column that grows";
        at.critical("changes", "cursor_without_column", "`changes: cursor` needs to know the column", fix);
    }
    if !cursor && at.sync.cursor.is_some() {
        let why = "`cursor` has no effect without `changes: cursor`";
        at.warning("cursor", "cursor_unused", why, "write `changes: cursor`, or take `cursor` out");
    }
    if cursor && at.sync.write == WriteMode::Mirror {
        let why = "`write: mirror` needs to see what is gone, and a cursor cannot";
        at.critical("write", "mirror_with_cursor", why, "write `changes: full`, or `write: upsert`");
    }
    if cursor && at.sync.deletes == Deletes::Propagate {
        let why = "`deletes: propagate` needs to see what is gone, and a cursor cannot";
        at.critical("deletes", "propagate_with_cursor", why, "write `changes: full`, or `deletes: ignore`");
    }
    let reads_warehouse = at.sync.direction.reaches(Target::Platform);
    if !reads_warehouse && !matches!(at.sync.changes, Changes::Auto | Changes::Full) {
        let why = "`changes` says how the warehouse is read, and this sync only writes there";
        at.warning("changes", "changes_unused", why, "take `changes` out");
    }
}

fn two_way(at: &mut Collector<'_>) {
    if !at.sync.two_way() {
        return;
    }
    let mode = match at.sync.write {
        WriteMode::Append => Some(("two_way_append", "append")),
        WriteMode::Replace => Some(("two_way_replace", "replace")),
        WriteMode::Mirror => Some(("two_way_mirror", "mirror")),
        WriteMode::Upsert | WriteMode::Update | WriteMode::Insert => None,
    };
    if let Some((name, mode)) = mode {
        let why = format!("a two-way sync cannot `write: {mode}`");
        at.critical("write", name, why, "write `write: upsert`, or give all fields one direction");
    }
    if matches!(at.sync.fields, FieldSet::All) {
        let why = "`fields: all` cannot flow both ways";
        at.critical("fields", "two_way_all", why, "list the fields, or write `direction: to_platform`");
    }
}

fn targets(at: &mut Collector<'_>) {
    if at.sync.direction.reaches(Target::Warehouse) && matches!(at.sync.source, Source::Query(_)) {
        let (name, why) = match at.sync.two_way() {
            true => ("two_way_query", "a two-way sync cannot write into a query"),
            false => ("query_as_target", "a query cannot be written to"),
        };
        at.critical("warehouse.query", name, why, "name a table with `relation:`, or use `direction: to_platform`");
    }
    if at.sync.append_versions && at.sync.write != WriteMode::Append {
        at.critical(
            "append",
            "versions_without_append",
            "`append: versions` belongs to `write: append`",
            "write `write: append`, or take `append` out",
        );
    }
    if at.sync.direction == Direction::ToWarehouse && matches!(at.sync.fields, FieldSet::All) {
        let why = "`fields: all` takes the columns of the warehouse, and this sync writes there";
        at.critical("fields", "all_to_warehouse", why, "list the fields");
    }
}

fn newest(at: &mut Collector<'_>) {
    let both = |field: &FieldMap| field.direction == Direction::Both;
    let of_sync = at.sync.conflict == ConflictRule::Newest;
    let of_field = at.sync.field_list().iter().position(|field| field.conflict == Some(ConflictRule::Newest));
    let uses = of_sync && at.sync.field_list().iter().any(|field| both(field) && field.conflict.is_none());
    if !(of_sync || uses || of_field.is_some()) {
        return;
    }
    let missing: Vec<&str> = [("warehouse", &at.sync.updated_at.warehouse), ("platform", &at.sync.updated_at.platform)]
        .into_iter()
        .filter_map(|(side, time)| time.is_none().then_some(side))
        .collect();
    if !missing.is_empty() {
        let path = match of_field {
            Some(index) if !of_sync => format!("fields[{index}].conflict"),
            _ => "conflict".to_owned(),
        };
        let why = format!("`conflict: newest` compares record times, and `updated_at` lacks {}", missing.join(" and "));
        let fix = "add `updated_at: { warehouse: COLUMN, platform: FIELD }`, or choose another winner";
        at.critical(&path, "newest_without_updated_at", why, fix);
    }
}

fn key(at: &mut Collector<'_>) {
    if at.sync.key.platform.as_deref() != Some(ASSIGNED_KEY) || !at.sync.direction.reaches(Target::Platform) {
        return;
    }
    if at.sync.write == WriteMode::Update {
        let why = "the platform assigns `_id`: records that it does not have yet are never created";
        at.warning("key.platform", "assigned_key", why, "use a key of your own, such as externalId, if they should be");
    } else {
        let why = "the platform assigns `_id`, so records cannot be created by it";
        at.critical("key.platform", "assigned_key", why, "write `write: update`, or use a key of your own");
    }
}

fn fields(at: &mut Collector<'_>) {
    let sync = at.sync;
    let mut platform: BTreeMap<&str, usize> = BTreeMap::new();
    let mut columns: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, field) in sync.field_list().iter().enumerate() {
        let path = format!("fields[{index}].platform");
        if let Some(first) = platform.insert(&field.platform, index) {
            let line = at.project.sync_place(&sync.name, &format!("fields[{first}]")).at.line;
            let why = format!("`{}` is mapped twice, first in line {line}", field.platform);
            at.critical(&path, "mapped_twice", why, "keep one of the two lines");
        }
        if let (true, FieldSource::Column(column)) = (field.direction.reaches(Target::Warehouse), &field.source)
            && let Some(first) = columns.insert(column, index)
        {
            let line = at.project.sync_place(&sync.name, &format!("fields[{first}]")).at.line;
            let why = format!("two fields write the column `{column}`, the first in line {line}");
            at.critical(&format!("fields[{index}].warehouse"), "column_twice", why, "keep one of the two lines");
        }
        if field.direction == Direction::Both {
            both_ways(at, index, field);
        }
    }
}

/// A field that flows both ways must come back as it went.
fn both_ways(at: &mut Collector<'_>, index: usize, field: &FieldMap) {
    let mut seen = BTreeSet::new();
    if let Some(twice) = field.map.values().find(|value| !seen.insert(value.as_str())) {
        let why = format!("`{}` flows both ways, and its `map` has `{twice}` for two values", field.platform);
        let fix = "make the map one-to-one, or give the field one direction";
        at.critical(&format!("fields[{index}].map"), "map_not_one_to_one", why, fix);
    }
    if let Some(transform) = field.transform.iter().find(|transform| !can_be_identity(transform)) {
        let why = format!("`{}` flows both ways, and `{transform}` cannot be undone on the way back", field.platform);
        let fix = "take it out (types are converted without it), or give the field one direction";
        at.critical(&format!("fields[{index}].transform"), "transform_not_identity", why, fix);
    }
}

/// The normal form of the field is known: whether its transforms change nothing else.
pub(super) fn identity(at: &mut Collector<'_>, index: usize, field: &FieldMap, normal: &crate::schema::NormalForm) {
    if field.direction != Direction::Both {
        return;
    }
    let lossy =
        |transform: &&crate::transform::Transform| can_be_identity(transform) && !is_identity_under(transform, normal);
    if let Some(transform) = field.transform.iter().find(lossy) {
        let why = format!(
            "`{}` flows both ways, and `{transform}` changes values that the platform keeps as they are",
            field.platform
        );
        let fix = "take it out, or give the field one direction";
        at.critical(&format!("fields[{index}].transform"), "transform_not_identity", why, fix);
    }
}

/// A misspelt name in `redact` would show what must stay hidden.
fn names(at: &mut Collector<'_>) {
    if matches!(at.sync.fields, FieldSet::All) {
        return;
    }
    let known: BTreeSet<&str> = at.sync.field_list().iter().map(|field| field.platform.as_str()).collect();
    for (index, name) in at.sync.redact.iter().enumerate() {
        if known.contains(name.as_str()) || at.sync.key.platform.as_ref() == Some(name) {
            continue;
        }
        let column = FieldSource::Column(name.clone());
        let fix = match at.sync.field_list().iter().find(|field| field.source == column) {
            Some(field) => format!("it goes by the platform's name: `{}`", field.platform),
            None => choice_hint(name, known.iter().copied()),
        };
        let why = format!("`redact` names `{name}`, which is no mapped field");
        at.critical(&format!("redact[{index}]"), "unknown_redact", why, fix);
    }
}
