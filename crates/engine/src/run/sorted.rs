//! Sorting on disk: rows whose order could not be pushed down are spooled in sorted runs and merged.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tidegate_model::cells::{PageBuilder, value_at};
use tidegate_model::error::{Error, Result};
use tidegate_model::page::{Misfit, Page, PageStream, Pages, logical_type};
use tidegate_model::ports::{Env, PAGE_ROWS, Scratch};
use tidegate_model::record::Key;
use tidegate_model::value::{Type, Value};

/// Bytes of encoded rows that are sorted in memory before a run goes to scratch.
const RUN_BYTES: usize = 32 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Spooled {
    key: Option<Key>,
    values: Vec<Value>,
    misfits: Vec<(usize, String, String)>,
}

/// How the key is made of its column.
pub(crate) struct KeyRule {
    /// Index of the key's column in the pages.
    pub column: usize,
    /// Applied before the value is a key; `None` says that the value cannot be one.
    pub transform: Option<KeyTransform>,
    /// The key as it stands is kept beside it, in the column [`STANDS`].
    pub stands: bool,
}

/// The column of keys as they stand, behind all others: no table has a column of this name.
pub(crate) const STANDS: &str = "tidegate:key";

/// A transform of a key's value.
pub(crate) type KeyTransform = Arc<dyn Fn(Value) -> Option<Value> + Send + Sync>;

impl KeyRule {
    /// The key is the text of its column.
    pub fn plain(column: usize) -> Self {
        Self { column, transform: None, stands: false }
    }

    /// The same, with the keys as they stand.
    pub fn standing(self) -> Self {
        Self { stands: true, ..self }
    }

    /// The key of a value.
    pub fn key(&self, value: Value) -> Option<Key> {
        let value = match &self.transform {
            Some(transform) => transform(value)?,
            None => value,
        };
        Key::of(&value)
    }
}

/// Reads a stream to its end and hands its rows out again in byte order of their keys, the key's column replaced by
/// the canonical key. Rows without a usable key come first.
pub(crate) async fn sorted(mut pages: Pages, rule: &KeyRule, env: &Arc<dyn Env>) -> Result<Pages> {
    let mut columns: Vec<(String, Type)> = Vec::new();
    let mut runs: Vec<Box<dyn Scratch>> = Vec::new();
    let mut held: Vec<(Option<Key>, Vec<u8>)> = Vec::new();
    let mut bytes = 0;
    while let Some(page) = pages.next().await? {
        if columns.is_empty() {
            columns = columns_of(&page, rule)?;
        }
        for row in 0..page.len() {
            let spooled = spool_row(&page, row, rule);
            let encoded = postcard::to_allocvec(&spooled).map_err(|e| Error::internal("spool a row").cause(e))?;
            bytes += encoded.len() + 64;
            held.push((spooled.key, encoded));
        }
        if bytes > RUN_BYTES {
            runs.push(write_run(&mut held, env)?);
            bytes = 0;
        }
    }
    if !held.is_empty() {
        runs.push(write_run(&mut held, env)?);
    }
    Ok(Box::new(Merged::new(runs, columns)?))
}

fn columns_of(page: &Page, rule: &KeyRule) -> Result<Vec<(String, Type)>> {
    let schema = page.rows.schema();
    let mut columns = Vec::new();
    for (at, field) in schema.fields().iter().enumerate() {
        let logical = logical_type(field)
            .ok_or_else(|| Error::internal(format!("column `{}` has a type that no connector makes", field.name())))?;
        columns.push((field.name().clone(), if at == rule.column { Type::Text } else { logical }));
    }
    if rule.stands {
        columns.push((STANDS.to_owned(), Type::Text));
    }
    Ok(columns)
}

fn spool_row(page: &Page, row: usize, rule: &KeyRule) -> Spooled {
    let mut values: Vec<Value> = (0..page.rows.num_columns()).map(|column| value_at(&page.rows, column, row)).collect();
    if rule.stands {
        let stands = Key::of(&values[rule.column]);
        values.push(stands.map_or(Value::Null, |key| Value::text(key.as_str())));
    }
    let key = rule.key(values[rule.column].clone());
    values[rule.column] = key.as_ref().map_or(Value::Null, |key| Value::text(key.as_str()));
    let found = page.misfits.iter().filter(|misfit| misfit.row == row);
    let misfits = found.map(|misfit| (misfit.column, misfit.rule.to_owned(), misfit.reason.clone())).collect();
    Spooled { key, values, misfits }
}

fn write_run(held: &mut Vec<(Option<Key>, Vec<u8>)>, env: &Arc<dyn Env>) -> Result<Box<dyn Scratch>> {
    held.sort_by(|a, b| a.0.cmp(&b.0));
    let mut run = env.scratch()?;
    for (_, row) in held.drain(..) {
        run.push(&row)?;
    }
    run.rewind()?;
    Ok(run)
}

struct Merged {
    runs: Vec<Box<dyn Scratch>>,
    heads: BinaryHeap<Reverse<(Option<Key>, usize)>>,
    rows: Vec<Option<Spooled>>,
    columns: Vec<(String, Type)>,
    buffer: Vec<u8>,
}

impl Merged {
    fn new(runs: Vec<Box<dyn Scratch>>, columns: Vec<(String, Type)>) -> Result<Self> {
        let rows = runs.iter().map(|_| None).collect();
        let mut merged = Self { runs, heads: BinaryHeap::new(), rows, columns, buffer: Vec::new() };
        for run in 0..merged.runs.len() {
            merged.pull(run)?;
        }
        Ok(merged)
    }

    fn pull(&mut self, run: usize) -> Result<()> {
        if !self.runs[run].next(&mut self.buffer)? {
            return Ok(());
        }
        let row: Spooled =
            postcard::from_bytes(&self.buffer).map_err(|error| Error::internal("read a spooled row").cause(error))?;
        self.heads.push(Reverse((row.key.clone(), run)));
        self.rows[run] = Some(row);
        Ok(())
    }
}

/// Rows as they were spooled, as a page again.
fn page_of(columns: &[(String, Type)], mut next: impl FnMut() -> Result<Option<Spooled>>) -> Result<Option<Page>> {
    let mut builder = PageBuilder::new(columns);
    let mut misfits = Vec::new();
    while builder.rows() < PAGE_ROWS {
        let Some(row) = next()? else { break };
        for (column, rule, reason) in row.misfits {
            misfits.push(Misfit { row: builder.rows(), column, rule: rule_name(&rule), reason });
        }
        row.values.iter().for_each(|value| builder.push(value));
        builder.end_row();
    }
    if builder.rows() == 0 {
        return Ok(None);
    }
    let mut page = builder.take()?;
    page.misfits.append(&mut misfits);
    page.misfits.sort_by_key(|misfit| (misfit.row, misfit.column));
    Ok(Some(page))
}

/// The rows of a page whose key is one of these, the key's column replaced by the canonical key.
pub(crate) fn only(page: &Page, rule: &KeyRule, wanted: &HashSet<&Key>) -> Result<Option<Page>> {
    let rows = (0..page.len()).filter(|row| {
        let key = rule.key(value_at(&page.rows, rule.column, *row));
        key.is_some_and(|key| wanted.contains(&key))
    });
    let mut rows = rows.map(|row| spool_row(page, row, rule));
    page_of(&columns_of(page, rule)?, || Ok(rows.next()))
}

#[async_trait]
impl PageStream for Merged {
    async fn next(&mut self) -> Result<Option<Page>> {
        let columns = std::mem::take(&mut self.columns);
        let page = page_of(&columns, || {
            let Some(Reverse((_, run))) = self.heads.pop() else { return Ok(None) };
            let row = self.rows[run].take();
            self.pull(run)?;
            Ok(row)
        });
        self.columns = columns;
        page
    }
}

/// Rules travel as text through the spool; the known ones get their static name back.
fn rule_name(rule: &str) -> &'static str {
    const KNOWN: [&str; 6] = ["wrong_type", "bad_date", "sub_microsecond", "not_finite", "out_of_range", "too_long"];
    KNOWN.into_iter().find(|known| *known == rule).unwrap_or("misfit")
}
