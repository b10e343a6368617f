//! What the platform's model, and what it can do, decides.

use super::super::problem::choice_hint;
use super::super::project::Project;
use super::{Collector, Found, alone, columns};
use crate::schema::{Abilities, FieldSchema, ModelKind, ModelSchema, RelationSchema};
use crate::sync::{Deletes, Direction, FieldMap, FieldSet, Target, WriteMode};

/// Fields of a custom namespace appear when first mapped.
const CUSTOM: &str = "custom.";

/// What the two sides say of themselves; what is not known yet is `None` and not checked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sides<'a> {
    /// The relation or query.
    pub relation: Option<&'a RelationSchema>,
    /// The model.
    pub model: Option<&'a ModelSchema>,
    /// What the platform can do with the model.
    pub abilities: Option<&'a Abilities>,
}

/// Every refusal and warning about one sync that needs to know its two sides. Comes after [`super::check`].
pub fn check_with(project: &Project, sync: &str, sides: &Sides<'_>) -> Vec<Found> {
    let Some(sync) = project.syncs.get(sync) else { return Vec::new() };
    let mut out = Vec::new();
    let mut at = Collector { project, sync, out: &mut out };
    if let Some(abilities) = sides.abilities {
        can(&mut at, abilities);
    }
    if let Some(model) = sides.model {
        kind(&mut at, model);
        key(&mut at, model);
        fields(&mut at, model);
        conditions(&mut at, model);
        required(&mut at, model);
    }
    if let Some(relation) = sides.relation {
        columns::check(&mut at, relation, sides.model);
    }
    out
}

fn can(at: &mut Collector<'_>, abilities: &Abilities) {
    let model = &at.sync.model;
    let writes = at.sync.direction.reaches(Target::Platform);
    if let Some(size) = at.sync.batch_size.filter(|size| writes && *size > abilities.max_batch) {
        let most = abilities.max_batch;
        let why = format!("`batch_size: {size}` is more than the {most} records that one call takes");
        at.critical("batch_size", "batch_too_large", why, format!("write at most {most}, or take it out"));
    }
    if writes && !abilities.delete {
        let why = |what: &str| format!("`{what}` deletes records, and those of `{model}` cannot be deleted");
        if at.sync.write == WriteMode::Mirror {
            let fix = "write `write: upsert`";
            at.critical("write", "mirror_without_delete", why("write: mirror"), fix);
        }
        if at.sync.deletes == Deletes::Propagate {
            let fix = "write `deletes: ignore`";
            at.critical("deletes", "propagate_without_delete", why("deletes: propagate"), fix);
        }
    }
    if !abilities.read && at.sync.direction.reaches(Target::Warehouse) {
        let (name, what) = match at.sync.two_way() {
            true => ("two_way_unreadable", "a two-way sync reads it"),
            false => ("unreadable_platform", "this sync reads it"),
        };
        let why = format!("`{model}` cannot be read back from this platform, and {what}");
        at.critical("direction", name, why, "write `direction: to_platform`");
    }
}

fn kind(at: &mut Collector<'_>, model: &ModelSchema) {
    let records = model.kind == ModelKind::Records;
    if !records && at.sync.two_way() {
        let what = if model.kind == ModelKind::Series { "a time series" } else { "a dataset" };
        let why = format!("`{}` is {what}, and rows of those flow one way", model.name);
        at.critical("direction", "series_one_way", why, "write `direction: to_platform`");
    }
    if matches!(at.sync.fields, FieldSet::All) && model.kind != ModelKind::Dataset {
        let why = format!("`fields: all` is for datasets, and `{}` has fields of its own", model.name);
        at.critical("fields", "all_without_dataset", why, "list the fields");
    }
    let linked = at.sync.link.company.is_some() || at.sync.link.enduser.is_some();
    if linked && model.kind != ModelKind::Dataset {
        let why = format!("`link` ties the rows of a dataset to records, and `{}` is none", model.name);
        at.critical("link", "link_without_dataset", why, "take `link` out");
    }
}

fn key(at: &mut Collector<'_>, model: &ModelSchema) {
    let records = model.kind == ModelKind::Records;
    match &at.sync.key.platform {
        None if records => {
            let fix = format!("add `platform:` to `key`, one of {}", model.keys.join(", "));
            let why = format!("records of `{}` are found by a field, and `key` names none", model.name);
            at.critical("key", "key_without_platform", why, fix);
        }
        Some(name) if records && !model.keys.contains(name) && name != alone::ASSIGNED_KEY => {
            let fix = choice_hint(name, model.keys.iter().map(String::as_str));
            let why = format!("records of `{}` cannot be found by `{name}`", model.name);
            at.critical("key.platform", "not_a_key", why, fix);
        }
        Some(name) if !records && !model.keys.contains(name) => {
            let why = format!("`{}` has no key field: its rows go by the warehouse's key", model.name);
            at.warning("key.platform", "key_unused", why, "take `platform:` out of `key`");
        }
        _ => {}
    }
}

/// The field of the model, if it has it or would make it.
fn known<'m>(model: &'m ModelSchema, name: &str) -> Result<Option<&'m FieldSchema>, ()> {
    match model.field(name) {
        Some(field) => Ok(Some(field)),
        None if model.makes(name) => Ok(None),
        None => Err(()),
    }
}

fn unknown_field(at: &mut Collector<'_>, path: &str, model: &ModelSchema, name: &str) {
    let mut fix = choice_hint(name, model.fields.iter().map(|field| field.name.as_str()));
    if model.custom_fields && !name.starts_with(CUSTOM) {
        fix = format!("{fix}; a field of your own is `{CUSTOM}{name}`");
    }
    at.critical(path, "unknown_field", format!("`{}` has no field `{name}`", model.name), fix);
}

fn fields(at: &mut Collector<'_>, model: &ModelSchema) {
    let sync = at.sync;
    for (index, field) in sync.field_list().iter().enumerate() {
        let path = format!("fields[{index}].platform");
        match known(model, &field.platform) {
            Err(()) => unknown_field(at, &path, model, &field.platform),
            Ok(None) => {}
            Ok(Some(schema)) => {
                one_field(at, index, field, schema);
                alone::identity(at, index, field, &schema.normal);
            }
        }
    }
    if let Some(name) = &sync.updated_at.platform
        && known(model, name).is_err()
    {
        unknown_field(at, "updated_at.platform", model, name);
    }
}

fn one_field(at: &mut Collector<'_>, index: usize, field: &FieldMap, schema: &FieldSchema) {
    let writes = field.direction.reaches(Target::Platform);
    if writes && schema.read_only {
        let why = format!("`{}` is written by the platform alone", schema.name);
        let fix = match field.direction {
            Direction::Both => "write `direction: to_warehouse` on this field",
            _ => "take the field out",
        };
        at.critical(&format!("fields[{index}].platform"), "read_only_field", why, fix);
    }
    if writes && !schema.one_of.is_empty() {
        let wrong = field.map.values().find(|value| !schema.one_of.contains(value));
        if let Some(value) = wrong {
            let why = format!("`map` makes `{value}`, which `{}` does not take", schema.name);
            let fix = choice_hint(value, schema.one_of.iter().map(String::as_str));
            at.critical(&format!("fields[{index}].map"), "map_value_refused", why, fix);
        }
    }
}

fn conditions(at: &mut Collector<'_>, model: &ModelSchema) {
    let sync = at.sync;
    for (index, condition) in sync.filter.iter().enumerate() {
        if known(model, &condition.field).is_err() {
            unknown_field(at, &format!("platform.where[{index}].field"), model, &condition.field);
        }
    }
}

/// New records need these fields, or the platform refuses them one by one.
fn required(at: &mut Collector<'_>, model: &ModelSchema) {
    if at.sync.write == WriteMode::Update
        || !at.sync.direction.reaches(Target::Platform)
        || matches!(at.sync.fields, FieldSet::All)
    {
        return;
    }
    let mapped = |name: &str| {
        at.sync.key.platform.as_deref() == Some(name)
            || at.sync.field_list().iter().any(|f| f.platform == name && f.direction.reaches(Target::Platform))
    };
    let missing: Vec<&str> =
        model.fields.iter().filter(|f| f.required && !mapped(&f.name)).map(|f| f.name.as_str()).collect();
    if !missing.is_empty() {
        let why = format!("a new `{}` needs {}, which nothing is mapped to", model.name, missing.join(", "));
        at.warning("fields", "required_unmapped", why, "map them, or new records will be rejects");
    }
}
