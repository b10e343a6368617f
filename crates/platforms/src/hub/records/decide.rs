//! What becomes of one change.

use tidegate_model::change::{Action, Change, Effect, FieldReject};
use tidegate_model::record::Fields;
use tidegate_model::value::{Type, Value};

use super::Name;
use super::prepare::{Prepared, required};
use super::slots::{Slot, Slots};
use crate::hub::cell::{Cell, same};
use crate::hub::fence::Counter;
use crate::hub::layout::Layout;
use crate::hub::models::{Field, Place};

/// Fields to be shown: name, number in the layout, cell.
pub type Shown = Vec<(Name, usize, Cell)>;

/// An outcome whose ids and references are still numbers.
#[derive(Debug)]
pub enum Draft {
    /// Refused.
    Rejected(FieldReject),
    /// All of it was there.
    Unchanged(Option<i64>),
    /// Something else stands there, or nothing.
    Missed { id: Option<i64>, now: Option<Shown> },
    /// Carried out.
    Applied { id: i64, effect: Effect, given: Fields, stored: Option<Shown> },
}

impl Draft {
    /// The cells that will be shown.
    pub fn shown(&self) -> Option<&Shown> {
        match self {
            Draft::Missed { now, .. } => now.as_ref(),
            Draft::Applied { stored, .. } => stored.as_ref(),
            Draft::Rejected(_) | Draft::Unchanged(_) => None,
        }
    }
}

impl Slots {
    /// Decides a change and carries it out in memory.
    pub fn decide(&mut self, layout: &Layout, change: &Change, prepared: Prepared, counter: &mut Counter) -> Draft {
        if let Some(why) = prepared.refused {
            return Draft::Rejected(why);
        }
        let named = self.named(layout, change);
        let live: Vec<usize> = named.iter().copied().filter(|at| self.all[*at].live).collect();
        if live.len() > 1 {
            let reason = format!("{} records have this key; find them by externalId", live.len());
            return Draft::Rejected(FieldReject::record("ambiguous_key", reason));
        }
        match (live.first().copied(), change.action) {
            (None, Action::Create) => self.create(layout, change, prepared, named.first().copied(), counter),
            (None, Action::Delete) if change.expect.is_none() => Draft::Unchanged(None),
            (None, Action::Update | Action::Delete) => Draft::Missed { id: None, now: None },
            (Some(at), Action::Create) if change.expect.is_some() => self.missed(layout, change, at),
            (Some(at), Action::Delete) => {
                if !self.holds(layout, at, &prepared) {
                    return self.missed(layout, change, at);
                }
                let slot = &mut self.all[at];
                slot.live = false;
                slot.touched = true;
                Draft::Applied { id: slot.id, effect: Effect::Deleted, given: Fields::default(), stored: None }
            }
            (Some(at), Action::Create | Action::Update) => self.update(layout, change, prepared, at),
        }
    }

    /// Whether the before-image stands there.
    fn holds(&self, layout: &Layout, at: usize, prepared: &Prepared) -> bool {
        prepared.expect.iter().flatten().all(|(field, expected)| {
            let kind = layout.fields[*field].kind;
            expected.as_ref().is_some_and(|cell| same(kind, cell.as_ref(), self.cell(at, *field).as_ref()))
        })
    }

    fn missed(&self, layout: &Layout, change: &Change, at: usize) -> Draft {
        let names = change.fields.iter().chain(change.expect.iter().flat_map(Fields::iter)).map(|(name, _)| name);
        let mut now: Shown = Vec::new();
        for name in names {
            if let Some(field) = layout.at(name)
                && !now.iter().any(|(_, other, _)| *other == field)
            {
                now.push((name.clone(), field, self.cell(at, field).clone()));
            }
        }
        Draft::Missed { id: Some(self.all[at].id), now: Some(now) }
    }

    fn create(
        &mut self,
        layout: &Layout,
        change: &Change,
        prepared: Prepared,
        returned: Option<usize>,
        counter: &mut Counter,
    ) -> Draft {
        let mut cells = vec![Cell::Null; self.columns.len()];
        for (field, cell) in prepared.fields {
            if let Some(column) = self.position[field] {
                cells[column] = cell;
            }
        }
        if let (Some(company), Some(at)) = (prepared.company, self.company_column(layout)) {
            cells[at] = Cell::Int(company);
        }
        let missing = layout
            .fields
            .iter()
            .enumerate()
            .filter(|(_, field)| field.schema.required)
            .find(|(at, _)| self.position[*at].is_none_or(|column| cells[column].is_null()));
        if let Some((_, field)) = missing {
            return Draft::Rejected(required(&field.schema.name));
        }
        if let Some(why) = self.claim(layout, &cells, returned) {
            return Draft::Rejected(why);
        }
        let at = match returned {
            // The record is back: it keeps its id, so those that point to it find it again.
            Some(at) => {
                self.all[at].turn_into(cells);
                self.all[at].live = true;
                at
            }
            None => self.add(Slot {
                id: counter.next(),
                found: false,
                was_live: false,
                live: true,
                before: None,
                cells,
                touched: true,
            }),
        };
        self.all[at].touched = true;
        self.applied(layout, change, at, Effect::Created)
    }

    fn update(&mut self, layout: &Layout, change: &Change, prepared: Prepared, at: usize) -> Draft {
        if !self.holds(layout, at, &prepared) {
            return self.missed(layout, change, at);
        }
        let mut new: Vec<(usize, Cell)> = Vec::new();
        for (field, cell) in prepared.fields {
            let Some(column) = self.position[field] else { continue };
            let cell = match prepared.company {
                Some(company) if cell.is_null() && Some(column) == self.company_column(layout) => Cell::Int(company),
                _ => cell,
            };
            let now = self.all[at].cells[column].as_ref();
            if !same(layout.fields[field].kind, cell.as_ref(), now) {
                new.push((column, cell));
            }
        }
        if new.is_empty() {
            return Draft::Unchanged(Some(self.all[at].id));
        }
        let mut cells = self.all[at].cells.clone();
        new.into_iter().for_each(|(column, cell)| cells[column] = cell);
        if let Some(why) = self.claim(layout, &cells, Some(at)) {
            return Draft::Rejected(why);
        }
        self.all[at].turn_into(cells);
        self.applied(layout, change, at, Effect::Updated)
    }

    /// Column of `companyId`, for end users.
    fn company_column(&self, layout: &Layout) -> Option<usize> {
        (layout.def.name == "enduser").then(|| layout.at("companyId")).flatten().and_then(|at| self.position[at])
    }

    /// Takes the unique values of a record, from deleted records too; a reject if a living one holds one of them.
    fn claim(&mut self, layout: &Layout, cells: &[Cell], own: Option<usize>) -> Option<FieldReject> {
        for (column, map) in &self.unique {
            let holder = cells[*column].text().and_then(|text| map.get(text)).filter(|at| Some(**at) != own);
            if holder.is_some_and(|at| self.all[*at].live) {
                let name = &layout.fields[self.columns[*column]].schema.name;
                let reason = format!("another {} has this {name} already", layout.def.name);
                return Some(FieldReject::field(name, "duplicate_key", reason));
            }
        }
        for (column, map) in &mut self.unique {
            if let Some(before) = own.and_then(|at| self.all[at].cells[*column].text())
                && cells[*column].text() != Some(before)
            {
                map.remove(before);
            }
            let Some(text) = cells[*column].text() else { continue };
            match (map.get(text).copied(), own) {
                (Some(holder), own) if Some(holder) != own => {
                    let mut freed = self.all[holder].cells.clone();
                    freed[*column] = Cell::Null;
                    self.all[holder].turn_into(freed);
                    map.remove(text);
                }
                _ => {}
            }
            if let Some(own) = own {
                map.insert(text.to_owned(), own);
            }
        }
        None
    }

    fn applied(&self, layout: &Layout, change: &Change, at: usize, effect: Effect) -> Draft {
        let id = self.all[at].id;
        let altered = change.fields.iter().any(|(name, value)| {
            layout.at(name).is_some_and(|field| may_differ(&layout.fields[field], value, self.cell(at, field)))
        });
        if !altered {
            return Draft::Applied { id, effect, given: Fields::default(), stored: None };
        }
        let known = change.fields.iter().filter_map(|(name, _)| Some((name.clone(), layout.at(name)?)));
        let stored = known.map(|(name, field)| (name, field, self.cell(at, field).clone())).collect();
        Draft::Applied { id, effect, given: change.fields.clone(), stored: Some(stored) }
    }
}

/// Whether a cell may read differently from the value that was given. References may: that is known once their
/// parents' names are.
fn may_differ(field: &Field, given: &Value, cell: &Cell) -> bool {
    match (field.place, given, cell) {
        (Place::Reference, ..) => !given.is_null() || !cell.is_null(),
        (_, Value::Text(given), Cell::Text(text)) if field.schema.logical == Type::Text => given != text,
        // Kept as they are, digit by digit.
        (_, Value::Decimal(_), _) => !matches!(field.schema.logical, Type::Decimal { .. }),
        (_, given, cell) => cell.as_ref().value(field.schema.logical) != *given,
    }
}
