//! Puts what a call decided into the tables: one insert, few updates, whatever the number of records.

use tidegate_model::Result;

use super::company;
use super::slots::{Slot, Slots};
use crate::hub::cell::{Cell, CellRef, Grid, Kind, same};
use crate::hub::db::{Session, Target};
use crate::hub::fence::Counter;
use crate::hub::layout::Layout;
use crate::hub::models::Place;

/// Writes everything that changed.
pub fn all(session: &mut dyn Session, layout: &Layout, slots: &Slots, counter: &mut Counter) -> Result<()> {
    free_keys(session, layout, slots)?;
    insert(session, layout, slots, counter)?;
    let returned = |slot: &Slot| slot.found && !slot.was_live && slot.live;
    let changed = |slot: &Slot| slot.found && slot.was_live && slot.live && slot.touched;
    update(session, layout, slots, counter, &changed, false)?;
    update(session, layout, slots, counter, &returned, true)?;
    delete(session, layout, slots, counter)?;
    if layout.def.name == "company" {
        keep_domains(session, layout, slots)?;
    }
    Ok(())
}

/// Unique values that records give up are freed first, so that others may take them in any order.
fn free_keys(session: &mut dyn Session, layout: &Layout, slots: &Slots) -> Result<()> {
    for (column, _) in &slots.unique {
        let gives = |slot: &&Slot| slot.found && slot.touched && !slot.old(*column).is_null();
        let moved = slots.all.iter().filter(gives).filter(|slot| *slot.old(*column) != slot.cells[*column]);
        let rows: Vec<Vec<Cell>> = moved.map(|slot| vec![Cell::Int(slot.id)]).collect();
        if rows.rows() > 0 {
            let extra = format!("{} = NULL", layout.fields[slots.columns[*column]].column);
            session.update(&layout.def.table, &[], &extra, &rows)?;
        }
    }
    Ok(())
}

/// New records, straight from the slots.
struct New<'a> {
    slots: Vec<&'a Slot>,
    now: i64,
}

impl Grid for New<'_> {
    fn rows(&self) -> usize {
        self.slots.len()
    }
    #[inline]
    fn cell(&self, column: usize, row: usize) -> CellRef<'_> {
        let slot = self.slots[row];
        match column {
            // A new record's change number is its id.
            0 | 1 => CellRef::Int(slot.id),
            2 | 3 => CellRef::Int(self.now),
            other => slot.cells.get(other - 4).map_or(CellRef::Null, Cell::as_ref),
        }
    }
}

fn insert(session: &mut dyn Session, layout: &Layout, slots: &Slots, counter: &Counter) -> Result<()> {
    let new = New { slots: slots.all.iter().filter(|slot| !slot.found && slot.live).collect(), now: counter.now };
    if new.rows() == 0 {
        return Ok(());
    }
    let mut columns: Vec<Target> =
        ["id", "seq", "created", "updated"].iter().map(|name| Target::new(*name, Kind::Int)).collect();
    columns.extend(slots.columns.iter().map(|at| target(layout, *at)));
    session.insert(&layout.def.table, &columns, &new, None).map(|_| ())
}

fn target(layout: &Layout, field: usize) -> Target {
    Target::new(&layout.fields[field].column, layout.fields[field].kind)
}

fn update(
    session: &mut dyn Session,
    layout: &Layout,
    slots: &Slots,
    counter: &mut Counter,
    which: &dyn Fn(&Slot) -> bool,
    returned: bool,
) -> Result<()> {
    let chosen: Vec<&Slot> = slots.all.iter().filter(|slot| which(slot)).collect();
    if chosen.is_empty() {
        return Ok(());
    }
    // Only columns that changed somewhere: writing an indexed column costs its index, changed or not.
    let differs = |column: usize, slot: &Slot| {
        let kind = layout.fields[slots.columns[column]].kind;
        returned || !same(kind, slot.old(column).as_ref(), slot.cells[column].as_ref())
    };
    let changed: Vec<usize> =
        (0..slots.columns.len()).filter(|column| chosen.iter().any(|slot| differs(*column, slot))).collect();
    let mut columns = vec![Target::new("seq", Kind::Int), Target::new("updated", Kind::Int)];
    columns.extend(changed.iter().map(|column| target(layout, slots.columns[*column])));
    let mut rows: Vec<Vec<Cell>> = Vec::with_capacity(chosen.len());
    for slot in chosen {
        let mut row = vec![Cell::Int(counter.next()), Cell::Int(counter.now)];
        row.extend(changed.iter().map(|column| slot.cells[*column].clone()));
        row.push(Cell::Int(slot.id));
        rows.push(row);
    }
    let extra = if returned { format!("deleted = 0, created = {}", counter.now) } else { String::new() };
    session.update(&layout.def.table, &columns, &extra, &rows).map(|_| ())
}

/// Deleted records stay as what is left of them: id and keys, so that readers of changes learn of it.
fn delete(session: &mut dyn Session, layout: &Layout, slots: &Slots, counter: &mut Counter) -> Result<()> {
    let gone = slots.all.iter().filter(|slot| slot.found && !slot.live && slot.touched);
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for slot in gone {
        rows.push(vec![Cell::Int(counter.next()), Cell::Int(counter.now), Cell::Int(slot.id)]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    let keys = &layout.def.keys;
    let emptied = layout.fields.iter().filter(|field| field.place != Place::Id && !keys.contains(&field.schema.name));
    let emptied = emptied.filter(|field| !["created", "updated"].contains(&field.column.as_str()));
    let mut extra = String::from("deleted = 1");
    emptied.for_each(|field| extra.push_str(&format!(", {} = NULL", field.column)));
    let columns = [Target::new("seq", Kind::Int), Target::new("updated", Kind::Int)];
    session.update(&layout.def.table, &columns, &extra, &rows).map(|_| ())
}

/// Keeps the list of domains by which end users find their company.
fn keep_domains(session: &mut dyn Session, layout: &Layout, slots: &Slots) -> Result<()> {
    let Some(column) = layout.at("domains").and_then(|at| slots.position[at]) else { return Ok(()) };
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for slot in slots.all.iter().filter(|slot| slot.touched) {
        if slot.found && (!slot.live || *slot.old(column) != slot.cells[column]) {
            session.exec("DELETE FROM hub_domain WHERE company = $1", &[CellRef::Int(slot.id)])?;
        }
        if slot.live && (!slot.found || *slot.old(column) != slot.cells[column]) {
            let domains = company::domains(&slot.cells[column]).into_iter();
            rows.extend(domains.map(|domain| vec![Cell::Text(domain), Cell::Int(slot.id)]));
        }
    }
    let columns = [Target::new("domain", Kind::Text), Target::new("company", Kind::Int)];
    session.insert("hub_domain", &columns, &rows, Some("DO NOTHING")).map(|_| ())
}
