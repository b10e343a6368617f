//! The changes of a call as cells, held against the rules of their fields, references resolved.

use std::collections::HashMap;

use tidegate_model::Result;
use tidegate_model::change::{Action, Change, FieldReject};
use tidegate_model::ports::WriteAsk;
use tidegate_model::value::{Type, Value};

use crate::hub::cell::Cell;
use crate::hub::db::Session;
use crate::hub::ids::Ids;
use crate::hub::layout::{Layout, fits};
use crate::hub::models::Place;
use crate::hub::refs::Refs;
use crate::hub::rules;

/// A change, ready to be decided.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Fields to write: number in the layout, and cell.
    pub fields: Vec<(usize, Cell)>,
    /// The before-image; `None` for a value that the field cannot hold, which therefore does not stand there.
    pub expect: Option<Vec<(usize, Option<Cell>)>>,
    /// Why it cannot be taken.
    pub refused: Option<FieldReject>,
    /// The company that the mail address belongs to.
    pub company: Option<i64>,
}

/// Prepares all changes of a call.
pub fn all(
    session: &mut dyn Session,
    ids: Ids,
    layout: &Layout,
    ask: &WriteAsk,
    batch: &[Change],
    refs: &mut Refs,
) -> Result<Vec<Prepared>> {
    let clashes = clashes(layout, &ask.new_fields);
    let mut memo = Memo::default();
    let mut prepared: Vec<Prepared> =
        batch.iter().map(|change| one(layout, ask, change, &clashes, &mut memo)).collect();
    for (field, cell) in prepared.iter().flat_map(|p| references(layout, p)) {
        if let (Some(parent), Some(text)) = (layout.fields[field].parent(), cell.text()) {
            refs.ask(parent, text);
        }
    }
    refs.resolve(session, ids)?;
    prepared.iter_mut().for_each(|p| link(layout, refs, p));
    Ok(prepared)
}

/// Where the fields of the last change were: those of the next one mostly stand in the same order.
#[derive(Default)]
struct Memo(Vec<usize>);

impl Memo {
    fn at(&mut self, layout: &Layout, place: usize, name: &str) -> Option<usize> {
        if let Some(at) = self.0.get(place).copied().filter(|at| layout.fields[*at].schema.name == name) {
            return Some(at);
        }
        let at = layout.at(name)?;
        self.0.resize(self.0.len().max(place + 1), 0);
        self.0[place] = at;
        Some(at)
    }
}

/// Custom fields that are asked for with a type that they do not have.
fn clashes(layout: &Layout, new: &[(String, Type)]) -> HashMap<String, FieldReject> {
    let mut out = HashMap::new();
    for (name, given) in new {
        let Some(field) = layout.field(name) else { continue };
        let has = field.schema.logical;
        if !fits(*given, has) {
            let reason = format!(
                "{name} was made as {has} by an earlier mapping and cannot take {given}; convert it in the sync, or use another name"
            );
            out.insert(name.clone(), FieldReject::field(name, "type_conflict", reason));
        }
    }
    out
}

fn one(
    layout: &Layout,
    ask: &WriteAsk,
    change: &Change,
    clashes: &HashMap<String, FieldReject>,
    memo: &mut Memo,
) -> Prepared {
    let mut out = Prepared::default();
    match encode(layout, change, clashes, memo) {
        Ok(fields) => out.fields = fields,
        Err(why) => out.refused = Some(why),
    }
    if change.action == Action::Create && out.refused.is_none() {
        match key_cell(layout, ask, change, &out) {
            Ok(Some(pair)) => out.fields.push(pair),
            Ok(None) => {}
            Err(why) => out.refused = Some(why),
        }
    }
    out.expect = change.expect.as_ref().map(|expect| {
        let known = expect.iter().filter_map(|(name, value)| Some((layout.at(name)?, value)));
        known.map(|(at, value)| (at, rules::encode(&layout.fields[at], value).ok())).collect()
    });
    out
}

fn encode(
    layout: &Layout,
    change: &Change,
    clashes: &HashMap<String, FieldReject>,
    memo: &mut Memo,
) -> std::result::Result<Vec<(usize, Cell)>, FieldReject> {
    let mut fields = Vec::with_capacity(change.fields.len() + 1);
    for (place, (name, value)) in change.fields.iter().enumerate() {
        let at = memo.at(layout, place, name).ok_or_else(|| layout.unknown(name))?;
        let field = &layout.fields[at];
        if field.schema.read_only {
            let reason = format!("{name} is written by the hub alone; leave it out of the sync's fields");
            return Err(FieldReject::field(&**name, "read_only", reason));
        }
        if let Some(clash) = clashes.get(&**name).filter(|_| !value.is_null()) {
            return Err(clash.clone());
        }
        let cell = rules::encode(field, value)?;
        let needed = field.schema.required && (cell.is_null() || cell.text().is_some_and(str::is_empty));
        if needed {
            return Err(required(name));
        }
        fields.push((at, cell));
    }
    Ok(fields)
}

/// The reject for a field that must be there.
pub fn required(name: &str) -> FieldReject {
    FieldReject::field(name, "required", format!("{name} is needed and may not be empty"))
}

/// The key as a field of a record that is to be made, unless the change brings it.
fn key_cell(
    layout: &Layout,
    ask: &WriteAsk,
    change: &Change,
    so_far: &Prepared,
) -> std::result::Result<Option<(usize, Cell)>, FieldReject> {
    let Some(at) = layout.at(&ask.key) else { return Ok(None) };
    let field = &layout.fields[at];
    if field.place == Place::Id {
        let reason = "the hub gives _id itself: records found by _id can be updated, not created";
        return Err(FieldReject::field(&ask.key, "read_only", reason));
    }
    if so_far.fields.iter().any(|(other, _)| *other == at) {
        return Ok(None);
    }
    Ok(Some((at, rules::encode(field, &Value::text(change.key.as_str()))?)))
}

/// Reference cells of a change that are still texts.
fn references<'a>(layout: &'a Layout, prepared: &'a Prepared) -> impl Iterator<Item = (usize, &'a Cell)> {
    let fields = prepared.fields.iter().map(|(at, cell)| (*at, cell));
    let expect = prepared.expect.iter().flatten().filter_map(|(at, cell)| Some((*at, cell.as_ref()?)));
    fields.chain(expect).filter(|(at, _)| layout.fields[*at].place == Place::Reference)
}

/// Puts ids in the place of reference texts.
fn link(layout: &Layout, refs: &Refs, prepared: &mut Prepared) {
    let find = |at: usize, cell: &Cell| -> Option<Option<i64>> {
        let field = &layout.fields[at];
        let (Place::Reference, Some(text)) = (field.place, cell.text()) else { return None };
        Some(refs.id(field.parent().unwrap_or(""), text))
    };
    for (at, cell) in &mut prepared.fields {
        match find(*at, cell) {
            None => {}
            Some(Some(id)) => *cell = Cell::Int(id),
            Some(None) => {
                let field = &layout.fields[*at].schema;
                let parent = layout.fields[*at].parent().unwrap_or("");
                let reason =
                    format!("{} names a {parent} that the hub does not have (yet); it is tried again", field.name);
                prepared.refused.get_or_insert(FieldReject::field(&field.name, "unresolved_reference", reason));
            }
        }
    }
    for (at, cell) in prepared.expect.iter_mut().flatten() {
        if let Some(found) = cell.as_ref().and_then(|cell| find(*at, cell)) {
            *cell = found.map(Cell::Int);
        }
    }
}
