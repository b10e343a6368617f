//! Loading a dataset: append, merge by key, or replace, each in one transaction.

use std::collections::HashSet;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use tidegate_model::change::FieldReject;
use tidegate_model::page::{KEEP, Page};
use tidegate_model::ports::{Load, LoadMode, Loaded};
use tidegate_model::{Error, ErrorKind, Result, failpoint};

use super::null_key;
use super::table::Table;
use crate::hub::cell::{Cell, CellRef, Grid, Kind};
use crate::hub::db::{Lookup, Session, Target, first};
use crate::hub::fence;
use crate::hub::frame::{Cells, Inlet};
use crate::hub::series::{reject, replayed};

/// Fewest rows for which losing many of them is suspicious.
const GUARD_ROWS_MIN: u64 = 20;

/// Loads pages inside an open transaction.
pub fn load(session: &mut dyn Session, name: &str, load: &Load, pages: &mut Inlet) -> Result<Loaded> {
    fence::check(session, &load.fence)?;
    if let Some(answer) = fence::replay(session, &load.op)? {
        return replayed(&answer);
    }
    let keyed = match &load.mode {
        LoadMode::Append => false,
        LoadMode::Merge if load.key.is_none() => {
            return Err(Error::config(format!("dataset {name}: write: upsert needs a key")).hint("name key.warehouse"));
        }
        LoadMode::Merge | LoadMode::Replace { .. } => load.key.is_some(),
    };
    let number = session.next_number()?;
    let table = Table::open(session, name, &load.link)?;
    let mut done = Loaded { requests: 1, ..Loaded::default() };
    if matches!(load.mode, LoadMode::Replace { .. }) {
        done.cleared = clear(session, &table)?;
    }
    let key = load.key.clone().filter(|_| keyed);
    let emptied = matches!(load.mode, LoadMode::Replace { .. });
    let mut loading = Loading { table, key, emptied, now: crate::hub::clock(), rows: 0, done };
    while let Some(page) = pages.next()? {
        failpoint::hit("hub.dataset_page");
        loading.page(session, &page)?;
    }
    if let LoadMode::Replace { max_shrink_pct: Some(most) } = load.mode {
        guard(name, &loading.done, most)?;
    }
    let answer = postcard::to_allocvec(&loading.done);
    let answer = answer.map_err(|e| Error::internal("an answer cannot be kept").cause(e))?;
    fence::remember(session, "load", &load.op, &load.fence, number, &answer)?;
    Ok(loading.done)
}

fn clear(session: &mut dyn Session, table: &Table) -> Result<u64> {
    // The number of rows first: SQLite empties a whole table without counting.
    let count = first(session, &format!("SELECT count(*) FROM {}", table.sql), &[], 1)?;
    session.exec(&format!("DELETE FROM {}", table.sql), &[])?;
    Ok(count.and_then(|cells| cells[0].int()).and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
}

fn guard(name: &str, done: &Loaded, most: f64) -> Result<()> {
    let lost = done.cleared.saturating_sub(done.created);
    if done.cleared < GUARD_ROWS_MIN || (lost as f64) * 100.0 <= most * (done.cleared as f64) {
        return Ok(());
    }
    let message =
        format!("dataset {name} would shrink from {} rows to {} (max_shrink_pct {most})", done.cleared, done.created);
    Err(Error::new(ErrorKind::Guard, message)
        .hint("nothing was written; if this is right, run once with --force-guard max_shrink_pct"))
}

/// One load on its way.
struct Loading {
    table: Table,
    key: Option<String>,
    emptied: bool,
    now: i64,
    rows: u64,
    done: Loaded,
}

/// Rows of a page as they go into the table: its columns, then key and time.
struct Rows {
    columns: Vec<Cells>,
    rows: Vec<u32>,
    keys: Vec<Cell>,
    now: i64,
}

impl Grid for Rows {
    fn rows(&self) -> usize {
        self.rows.len()
    }
    #[inline]
    fn cell(&self, column: usize, row: usize) -> CellRef<'_> {
        match self.columns.get(column) {
            Some(cells) => cells.cell(self.rows[row] as usize),
            None if column == self.columns.len() => CellRef::Int(self.now),
            None => self.keys[row].as_ref(),
        }
    }
}

impl Loading {
    fn page(&mut self, session: &mut dyn Session, page: &Page) -> Result<()> {
        let schema = page.rows.schema();
        let fresh = self.emptied && self.rows == 0;
        let places = self.table.fit(session, &schema, fresh, self.now)?;
        let mut targets: Vec<Target> = Vec::with_capacity(places.len() + 2);
        let mut columns = Vec::with_capacity(places.len());
        for (place, array) in places.iter().zip(page.rows.columns()) {
            let column = &self.table.columns[*place];
            let kind = Kind::of(column.logical);
            targets.push(Target::new(&column.sql, kind));
            columns.push(digits(kind, array)?);
        }
        let keeps: Vec<bool> = schema.fields().iter().map(|field| field.metadata().contains_key(KEEP)).collect();
        targets.push(Target::new("_updated", Kind::Int));
        let key = match &self.key {
            Some(name) => {
                let at = schema.fields().iter().position(|field| field.name() == name);
                Some(at.ok_or_else(|| Error::internal(format!("the page lacks its key column {name:?}")))?)
            }
            None => None,
        };
        let (rows, keys) = self.choose(page, key.map(|at| &columns[at]));
        let rows = Rows { columns, rows, keys, now: self.now };
        self.rows += page.len() as u64;
        if rows.rows() == 0 {
            return Ok(());
        }
        if self.key.is_some() {
            targets.push(Target::new("_key", Kind::Text));
            self.merge(session, &targets, &rows, &keeps)
        } else {
            self.done.created += session.insert(&self.table.sql, &targets, &rows, None)?;
            Ok(())
        }
    }

    /// Which rows are taken, and their keys; the others are rejects.
    fn choose(&mut self, page: &Page, key: Option<&Cells>) -> (Vec<u32>, Vec<Cell>) {
        let mut bad: Vec<(u64, FieldReject)> = Vec::new();
        let schema = page.rows.schema();
        for misfit in &page.misfits {
            if bad.last().is_none_or(|(row, _)| *row != misfit.row as u64) {
                let name = schema.fields().get(misfit.column).map_or("", |field| field.name().as_str());
                bad.push((misfit.row as u64, FieldReject::field(name, misfit.rule, misfit.reason.clone())));
            }
        }
        let misfit: HashSet<u64> = bad.iter().map(|(row, _)| *row).collect();
        let name = self.key.clone().unwrap_or_default();
        let mut seen = HashSet::new();
        let (mut rows, mut keys) = (Vec::with_capacity(page.len()), Vec::new());
        for row in 0..page.len() as u32 {
            if misfit.contains(&u64::from(row)) {
                continue;
            }
            if let Some(cells) = key {
                match text(cells.cell(row as usize)) {
                    None => {
                        bad.push((u64::from(row), null_key(&name)));
                        continue;
                    }
                    Some(text) if !seen.insert(text.clone()) => {
                        let why = "an earlier row of the same page has this key";
                        bad.push((u64::from(row), FieldReject::field(&name, "duplicate_key", why)));
                        continue;
                    }
                    Some(text) => keys.push(Cell::Text(text)),
                }
            }
            rows.push(row);
        }
        let before = self.rows;
        bad.into_iter().for_each(|(row, why)| reject(&mut self.done, before + row, why));
        (rows, keys)
    }

    /// Creates or updates by key; rows that are equal stay as they are. `keeps`: columns whose NULLs say nothing.
    fn merge(&mut self, session: &mut dyn Session, targets: &[Target], rows: &Rows, keeps: &[bool]) -> Result<()> {
        let table = &self.table.sql;
        let from = format!("{table} t");
        let ask = Lookup { select: "t.rowno", from: &from, on: "t._key", and: "", kind: Kind::Text };
        let mut there = 0_u64;
        session.lookup(&ask, &rows.keys, &mut |_| {
            there += 1;
            Ok(())
        })?;
        let data = &targets[..targets.len() - 2];
        let set = |(column, keep): (&Target, &bool)| match keep {
            true => format!("{0} = COALESCE(excluded.{0}, {table}.{0})", column.sql),
            false => format!("{0} = excluded.{0}", column.sql),
        };
        let times = ["_updated = excluded._updated".to_owned()];
        let sets: Vec<String> = data.iter().zip(keeps).map(set).chain(times).collect();
        let differs = |(column, keep): (&Target, &bool)| {
            let given = if *keep { format!("excluded.{} IS NOT NULL AND ", column.sql) } else { String::new() };
            format!("({given}{table}.{0} IS DISTINCT FROM excluded.{0})", column.sql)
        };
        let changed: Vec<String> = data.iter().zip(keeps).map(differs).collect();
        let rule = format!("(_key) DO UPDATE SET {} WHERE {}", sets.join(", "), changed.join(" OR "));
        let written = session.insert(table, targets, rows, Some(&rule))?;
        let count = rows.rows() as u64;
        let created = count - there.min(count);
        self.done.created += created;
        self.done.updated += written.saturating_sub(created);
        self.done.unchanged += count - written.min(count);
        Ok(())
    }
}

/// A column as cells of a kind: whole numbers become digits where exact numbers are kept.
fn digits(kind: Kind, array: &arrow_array::ArrayRef) -> Result<Cells> {
    if kind == Kind::Dec && *array.data_type() == arrow_schema::DataType::Int64 {
        let numbers = array.as_primitive::<Int64Type>();
        return Ok(Cells::Text(numbers.iter().map(|n| n.map(|n| n.to_string())).collect()));
    }
    Cells::of(array)
}

/// A key in canonical form.
fn text(cell: CellRef<'_>) -> Option<String> {
    match cell {
        CellRef::Text(text) if !text.is_empty() => Some(text.to_owned()),
        CellRef::Int(n) => Some(n.to_string()),
        _ => None,
    }
}
