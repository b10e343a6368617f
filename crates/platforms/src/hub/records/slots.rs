//! The records that a call is about, in memory.

use std::collections::{HashMap, HashSet};

use tidegate_model::Result;
use tidegate_model::change::{Action, Change};

use super::prepare::Prepared;
use crate::hub::cell::{Cell, Kind};
use crate::hub::db::{Lookup, Row, Session};
use crate::hub::ids::Ids;
use crate::hub::layout::Layout;
use crate::hub::models::Place;
use crate::hub::rules;

/// One record.
#[derive(Debug)]
pub struct Slot {
    /// Its number.
    pub id: i64,
    /// Whether the database has it (deleted or not).
    pub found: bool,
    /// Whether it was alive when the call began.
    pub was_live: bool,
    /// Whether it is alive now.
    pub live: bool,
    /// Its cells when the call began, by column of the call, once they are no longer the same.
    pub before: Option<Vec<Cell>>,
    /// Its cells now.
    pub cells: Vec<Cell>,
    /// Whether the call changed it.
    pub touched: bool,
}

impl Slot {
    /// Takes other cells.
    pub fn turn_into(&mut self, cells: Vec<Cell>) {
        let old = std::mem::replace(&mut self.cells, cells);
        self.before.get_or_insert(old);
        self.touched = true;
    }
    /// The cell of a column when the call began.
    pub fn old(&self, column: usize) -> &Cell {
        &self.before.as_ref().unwrap_or(&self.cells)[column]
    }
}

/// All records of a call, and ways to find them.
#[derive(Debug)]
pub struct Slots {
    /// The records.
    pub all: Vec<Slot>,
    /// The call's columns: numbers of fields in the layout.
    pub columns: Vec<usize>,
    /// The other way: number of the column, by number of the field.
    pub position: Vec<Option<usize>>,
    /// Unique fields of the call: number of the column, and records by value.
    pub unique: Vec<(usize, HashMap<String, usize>)>,
    /// Column of the key of the call, and records by value, where the key is not unique (`email`).
    shared: Option<(usize, HashMap<String, Vec<usize>>)>,
    by_id: HashMap<i64, usize>,
    key: usize,
    ids: Ids,
}

/// Fields of which no two records hold the same value.
pub const UNIQUE: [&str; 2] = ["externalId", "sourceId"];

impl Slots {
    /// Loads the records that the changes name, and those that hold a unique value which the changes want.
    pub fn load(
        session: &mut dyn Session,
        ids: Ids,
        layout: &Layout,
        key: &str,
        batch: &[Change],
        prepared: &[Prepared],
    ) -> Result<Self> {
        let mut slots = Self::empty(layout, ids, key, prepared);
        let mut by_number = HashSet::new();
        let mut by_unique: Vec<HashSet<&str>> = vec![HashSet::new(); slots.unique.len()];
        let mut by_shared = HashSet::new();
        let key_field = &layout.fields[slots.key];
        let texts: Vec<_> = batch.iter().map(|change| rules::normal(key_field, change.key.as_str())).collect();
        for ((change, text), prepared) in batch.iter().zip(&texts).zip(prepared) {
            let named = change.remote.as_ref().filter(|_| change.action != Action::Create);
            match named {
                Some(remote) => by_number.extend(ids.parse(remote.as_str())),
                None if key_field.place == Place::Id => by_number.extend(ids.parse(text)),
                None => match slots.unique_of(slots.key) {
                    Some(at) => {
                        by_unique[at].insert(text);
                    }
                    None => {
                        by_shared.insert(&**text);
                    }
                },
            }
            for (field, cell) in &prepared.fields {
                if let (Some(at), Some(text)) = (slots.unique_of(*field), cell.text()) {
                    by_unique[at].insert(text);
                }
            }
        }
        let keys: Vec<Cell> = by_number.into_iter().map(Cell::Int).collect();
        slots.fetch(session, layout, "t.id", Kind::Int, &keys)?;
        for (at, texts) in by_unique.iter().enumerate() {
            let column = format!("t.{}", layout.fields[slots.columns[slots.unique[at].0]].column);
            slots.fetch(session, layout, &column, Kind::Text, &cells(texts))?;
        }
        let column = format!("t.{}", key_field.column);
        slots.fetch(session, layout, &column, Kind::Text, &cells(&by_shared))?;
        Ok(slots)
    }

    fn empty(layout: &Layout, ids: Ids, key: &str, prepared: &[Prepared]) -> Self {
        let mut wanted: Vec<bool> = vec![false; layout.fields.len()];
        for prepared in prepared {
            let expect = prepared.expect.iter().flatten().map(|(at, _)| *at);
            prepared.fields.iter().map(|(at, _)| *at).chain(expect).for_each(|at| wanted[at] = true);
        }
        let always = UNIQUE.iter().copied().chain(layout.def.keys.iter().map(String::as_str)).chain([key]);
        let always = always.chain(
            match layout.def.name.as_str() {
                "enduser" => ["email", "companyId"].as_slice(),
                "company" => ["domains"].as_slice(),
                _ => [].as_slice(),
            }
            .iter()
            .copied(),
        );
        always.filter_map(|name| layout.at(name)).for_each(|at| wanted[at] = true);
        let stored = |at: &usize| layout.fields[*at].place != Place::Id && !layout.fields[*at].schema.read_only;
        let columns: Vec<usize> = (0..wanted.len()).filter(|at| wanted[*at]).filter(stored).collect();
        let mut position = vec![None; layout.fields.len()];
        columns.iter().enumerate().for_each(|(at, field)| position[*field] = Some(at));
        let place = |name: &str| layout.at(name).and_then(|at| position[at]);
        let unique = UNIQUE.iter().filter_map(|name| Some((place(name)?, HashMap::new()))).collect();
        let shared = Some(key).filter(|key| !UNIQUE.contains(key)).and_then(place).map(|at| (at, HashMap::new()));
        let key = layout.at(key).unwrap_or(0);
        Self { all: Vec::new(), columns, position, unique, shared, by_id: HashMap::new(), key, ids }
    }

    /// Number in `unique` of a field of the layout.
    fn unique_of(&self, field: usize) -> Option<usize> {
        let column = self.position[field]?;
        self.unique.iter().position(|(at, _)| *at == column)
    }

    fn fetch(
        &mut self,
        session: &mut dyn Session,
        layout: &Layout,
        on: &str,
        kind: Kind,
        keys: &Vec<Cell>,
    ) -> Result<()> {
        let dialect = session.dialect();
        let fields = self.columns.iter().map(|at| &layout.fields[*at]);
        let names: Vec<String> =
            fields.map(|field| dialect.select(field.kind, &format!("t.{}", field.column))).collect();
        let select = format!("t.id, t.deleted, {}", names.join(", "));
        let from = format!("{} t", layout.def.table);
        let width = names.len();
        let ask = Lookup { select: &select, from: &from, on, and: "", kind };
        session.lookup(&ask, keys, &mut |row| self.add_row(row, width))
    }

    fn add_row(&mut self, row: &dyn Row, width: usize) -> Result<()> {
        let id = row.int(0)?;
        if self.by_id.contains_key(&id) {
            return Ok(());
        }
        let cells: Result<Vec<Cell>> = (0..width).map(|at| Ok(row.cell(at + 2)?.to_owned())).collect();
        let cells = cells?;
        let live = row.int(1)? == 0;
        let slot = Slot { id, found: true, was_live: live, live, before: None, cells, touched: false };
        self.add(slot);
        Ok(())
    }

    /// Adds a record, findable by all its keys.
    pub fn add(&mut self, slot: Slot) -> usize {
        let at = self.all.len();
        self.by_id.insert(slot.id, at);
        for (column, map) in &mut self.unique {
            if let Some(text) = slot.cells[*column].text() {
                map.insert(text.to_owned(), at);
            }
        }
        if let Some((column, map)) = &mut self.shared
            && let Some(text) = slot.cells[*column].text()
        {
            map.entry(text.to_owned()).or_default().push(at);
        }
        self.all.push(slot);
        at
    }

    /// Records that a change names, deleted ones included.
    pub fn named(&self, layout: &Layout, change: &Change) -> Vec<usize> {
        if let Some(remote) = change.remote.as_ref().filter(|_| change.action != Action::Create) {
            return self.ids.parse(remote.as_str()).and_then(|id| self.by_id.get(&id)).copied().into_iter().collect();
        }
        let field = &layout.fields[self.key];
        let text = rules::normal(field, change.key.as_str());
        if field.place == Place::Id {
            return self.ids.parse(&text).and_then(|id| self.by_id.get(&id)).copied().into_iter().collect();
        }
        match (self.unique_of(self.key), &self.shared) {
            (Some(at), _) => self.unique[at].1.get(&*text).copied().into_iter().collect(),
            (None, Some((_, map))) => map.get(&*text).cloned().unwrap_or_default(),
            (None, None) => Vec::new(),
        }
    }

    /// The cell of a field of the layout in a record.
    pub fn cell(&self, slot: usize, field: usize) -> &Cell {
        const NULL: &Cell = &Cell::Null;
        self.position[field].and_then(|column| self.all[slot].cells.get(column)).unwrap_or(NULL)
    }
}

fn cells(texts: &HashSet<&str>) -> Vec<Cell> {
    texts.iter().map(|text| Cell::Text((*text).to_owned())).collect()
}
