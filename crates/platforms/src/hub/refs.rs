//! References between records.
//!
//! The rule: a value that names a record of the parent model is looked up as `_id`; then, if it begins with `extid-`
//! or `srcid-`, the rest is looked up as externalId or sourceId; else it is looked up as externalId, then as
//! sourceId. Deleted parents are not found. What is stored is the parent's `_id`. Syncs read a reference as the
//! parent's externalId, or its `_id` if it has none: so a reference that was given as externalId comes back as it
//! was given. A parent that was deleted still shows its externalId, and is found again when it returns.

use std::collections::{HashMap, HashSet};

use tidegate_model::Result;

use super::cell::{Cell, CellRef, Kind};
use super::db::{Lookup, Row, Session};
use super::ids::Ids;
use super::models;

/// References of one call, resolved set-wise: one query per parent model and form.
#[derive(Debug, Default)]
pub struct Refs {
    found: HashMap<String, HashMap<String, i64>>,
    shown: HashMap<(String, i64), String>,
    asked: HashMap<String, HashSet<String>>,
}

impl Refs {
    /// Notes a reference that will be needed.
    pub fn ask(&mut self, parent: &str, text: &str) {
        if !self.asked.get(parent).is_some_and(|set| set.contains(text)) {
            self.asked.entry(parent.to_owned()).or_default().insert(text.to_owned());
        }
    }

    /// Resolves everything that was asked for.
    pub fn resolve(&mut self, session: &mut dyn Session, ids: Ids) -> Result<()> {
        for (parent, texts) in std::mem::take(&mut self.asked) {
            let found = resolve(session, ids, &parent, texts.into_iter().collect(), &mut self.shown)?;
            self.found.entry(parent).or_default().extend(found);
        }
        Ok(())
    }

    /// The id that a reference stands for.
    pub fn id(&self, parent: &str, text: &str) -> Option<i64> {
        self.found.get(parent)?.get(text).copied()
    }

    /// Makes sure that these ids can be shown.
    pub fn load_shown(&mut self, session: &mut dyn Session, parent: &str, ids: &[i64]) -> Result<()> {
        let new: HashSet<i64> =
            ids.iter().copied().filter(|id| !self.shown.contains_key(&(parent.to_owned(), *id))).collect();
        let keys: Vec<Cell> = new.into_iter().map(Cell::Int).collect();
        let from = format!("{} t", models::def(parent)?.table);
        let ask = Lookup { select: "t.id, t.\"externalId\"", from: &from, on: "t.id", and: "", kind: Kind::Int };
        let shown = &mut self.shown;
        session.lookup(&ask, &keys, &mut |row| note(parent, row, shown).map(|_| ()))
    }

    /// A reference as syncs read it.
    pub fn show(&self, ids: Ids, parent: &str, id: i64) -> String {
        self.shown.get(&(parent.to_owned(), id)).cloned().unwrap_or_else(|| ids.text(id))
    }
}

/// Remembers how a record is shown; its id.
fn note(parent: &str, row: &dyn Row, shown: &mut HashMap<(String, i64), String>) -> Result<i64> {
    let id = row.int(0)?;
    if let Some(external) = row.text(1)? {
        shown.insert((parent.to_owned(), id), external);
    }
    Ok(id)
}

fn resolve(
    session: &mut dyn Session,
    ids: Ids,
    parent: &str,
    mut open: Vec<String>,
    shown: &mut HashMap<(String, i64), String>,
) -> Result<HashMap<String, i64>> {
    let def = models::def(parent)?;
    let from = format!("{} t", def.table);
    let mut found = HashMap::new();
    let has_source = def.fields.iter().any(|field| field.schema.name == "sourceId");
    let forms: [(&str, Kind, Form); 3] = [
        ("t.id", Kind::Int, Form::Id),
        ("t.\"externalId\"", Kind::Text, Form::External),
        ("t.\"sourceId\"", Kind::Text, Form::Source),
    ];
    for (column, kind, form) in forms {
        if form == Form::Source && !has_source {
            continue;
        }
        let mut wanted: HashMap<String, Vec<String>> = HashMap::new();
        for text in &open {
            if let Some(key) = form.key(ids, text) {
                wanted.entry(key).or_default().push(text.clone());
            }
        }
        let keys: Vec<Cell> = wanted.keys().map(|key| form.cell(key)).collect();
        let select = format!("t.id, t.\"externalId\", {column}");
        let ask = Lookup { select: &select, from: &from, on: column, and: "AND t.deleted = 0", kind };
        session.lookup(&ask, &keys, &mut |row| {
            let id = note(parent, row, shown)?;
            let key = match row.cell(2)? {
                CellRef::Int(n) => n.to_string(),
                CellRef::Text(text) => text.to_owned(),
                _ => return Ok(()),
            };
            for text in wanted.get(&key).into_iter().flatten() {
                found.entry(text.clone()).or_insert(id);
            }
            Ok(())
        })?;
        open.retain(|text| !found.contains_key(text));
        if open.is_empty() {
            break;
        }
    }
    Ok(found)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Id,
    External,
    Source,
}

impl Form {
    fn key(self, ids: Ids, text: &str) -> Option<String> {
        match self {
            Form::Id => ids.parse(text).map(|id| id.to_string()),
            Form::External if text.starts_with("srcid-") => None,
            Form::External => Some(text.strip_prefix("extid-").unwrap_or(text).to_owned()),
            Form::Source if text.starts_with("extid-") => None,
            Form::Source => Some(text.strip_prefix("srcid-").unwrap_or(text).to_owned()),
        }
    }
    fn cell(self, key: &str) -> Cell {
        match self {
            Form::Id => key.parse().map_or(Cell::Null, Cell::Int),
            Form::External | Form::Source => Cell::Text(key.to_owned()),
        }
    }
}
