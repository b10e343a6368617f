//! Writing records: one transaction per call, set-wise towards the database, one outcome per change.
//!
//! The call's records are looked up once, every change is decided in memory in order (so later changes of a call see
//! earlier ones), and what came of it is written by one insert and few updates.

mod apply;
mod company;
mod decide;
mod prepare;
mod slots;

use tidegate_model::change::{Change, Outcome};
use tidegate_model::ports::WriteAsk;
use tidegate_model::record::{FieldName, Fields, RemoteId};
use tidegate_model::value::Value;
use tidegate_model::{Error, Result};

use super::cell::Cell;
use super::db::Session;
use super::fence::{self, Counter};
use super::ids::Ids;
use super::layout::Layout;
use super::models::Place;
use super::refs::Refs;
use decide::{Draft, Shown};
use slots::Slots;

/// Carries out a write call inside an open transaction.
pub fn write(session: &mut dyn Session, ids: Ids, ask: &WriteAsk, batch: &[Change]) -> Result<Vec<Outcome>> {
    let mut counter = Counter::take(session)?;
    fence::check(session, &ask.fence)?;
    if let Some(answer) = fence::replay(session, &ask.op)? {
        return postcard::from_bytes(&answer).map_err(|e| Error::internal("a kept answer cannot be read").cause(e));
    }
    let outcomes = carry_out(session, ids, ask, batch, &mut counter)?;
    counter.store(session)?;
    let answer = postcard::to_allocvec(&outcomes).map_err(|e| Error::internal("an answer cannot be kept").cause(e))?;
    let number = session.next_number()?;
    fence::remember(session, "write", &ask.op, &ask.fence, number, &answer)?;
    Ok(outcomes)
}

/// Carries out changes without fence and operation row: for a person at the command line.
pub fn carry_out(
    session: &mut dyn Session,
    ids: Ids,
    ask: &WriteAsk,
    batch: &[Change],
    counter: &mut Counter,
) -> Result<Vec<Outcome>> {
    let mut layout = Layout::load(session, ask.model.as_str())?;
    if layout.field(&ask.key).is_none() || !layout.def.keys.contains(&ask.key) {
        return Err(Error::config(format!("{} cannot be found by {}", ask.model, ask.key)).hint(format!(
            "records of {} are found by {}",
            ask.model,
            layout.def.keys.join(", ")
        )));
    }
    layout.add(session, &ask.new_fields, counter.now)?;
    let mut refs = Refs::default();
    let mut prepared = prepare::all(session, ids, &layout, ask, batch, &mut refs)?;
    let mut slots = Slots::load(session, ids, &layout, &ask.key, batch, &prepared)?;
    company::assign(session, &layout, &slots, batch, &mut prepared)?;
    let mut drafts = Vec::with_capacity(batch.len());
    for (change, prepared) in batch.iter().zip(prepared) {
        drafts.push(slots.decide(&layout, change, prepared, counter));
    }
    apply::all(session, &layout, &slots, counter)?;
    finish(session, ids, &layout, drafts, &mut refs)
}

/// Turns drafts into outcomes: ids become texts, references the form that syncs read.
fn finish(
    session: &mut dyn Session,
    ids: Ids,
    layout: &Layout,
    drafts: Vec<Draft>,
    refs: &mut Refs,
) -> Result<Vec<Outcome>> {
    for (at, field) in layout.fields.iter().enumerate().filter(|(_, field)| field.place == Place::Reference) {
        let mut wanted: Vec<i64> = Vec::new();
        for shown in drafts.iter().filter_map(Draft::shown) {
            wanted.extend(shown.iter().filter(|(_, column, _)| *column == at).filter_map(|(_, _, cell)| cell.int()));
        }
        refs.load_shown(session, field.parent().unwrap_or(""), &wanted)?;
    }
    let remote = |id: i64| RemoteId::new(ids.text(id));
    let values = |shown: &Shown| -> Fields {
        shown.iter().map(|(name, at, cell)| (name.clone(), show(ids, layout, refs, *at, cell))).collect()
    };
    Ok(drafts
        .into_iter()
        .map(|draft| match draft {
            Draft::Rejected(why) => Outcome::Rejected(why),
            Draft::Unchanged(id) => Outcome::Unchanged { remote: id.map(remote) },
            Draft::Missed { id, now } => Outcome::Missed { now: now.as_ref().map(&values), remote: id.map(remote) },
            Draft::Applied { id, effect, given, stored } => {
                let stored = stored.as_ref().map(&values).filter(|stored| differs(stored, &given));
                Outcome::Applied { remote: Some(remote(id)), effect, dropped: Vec::new(), stored }
            }
        })
        .collect())
}

/// Whether something else was stored than was given.
fn differs(stored: &Fields, given: &Fields) -> bool {
    stored.iter().any(|(name, value)| given.get(name) != Some(value))
}

fn show(ids: Ids, layout: &Layout, refs: &Refs, at: usize, cell: &Cell) -> Value {
    let field = &layout.fields[at];
    match (field.place, cell) {
        (Place::Reference, Cell::Int(id)) => Value::text(refs.show(ids, field.parent().unwrap_or(""), *id)),
        (Place::Id, Cell::Int(id)) => Value::text(ids.text(*id)),
        _ => cell.as_ref().value(field.schema.logical),
    }
}

/// A field's name as drafts carry it.
type Name = FieldName;
