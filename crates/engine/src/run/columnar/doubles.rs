//! Keys that several rows have, in reads that go by a cursor. All rows of such a key are one reject, wherever pages
//! break and however far apart they stand.
//!
//! Where the cursor is the key, its rows are neighbours. Elsewhere the keys of the window are looked at before anything
//! of it is sent: in a first read as prints of the whole source, sorted (on disk, past a budget); later by asking the
//! source for all rows of the window's keys.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use tidegate_model::cells::cell;
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::page::{Page, Pages};
use tidegate_model::ports::{Env, Print, ReadAsk, ReadMode, Scratch};
use tidegate_model::record::Key;
use tidegate_model::span::CursorPoint;
use tidegate_model::value::Value;

use crate::plan::columns::position;
use crate::plan::prints::Printer;
use crate::run::context::Ctx;
use crate::run::retry;
use crate::run::rows::canonical_keys;

/// Prints that are sorted in memory before they go to scratch: 32 MB.
const SORT_PRINTS: usize = 2 * 1024 * 1024;
/// Prints of one record in scratch: 64 KB.
const BLOCK_PRINTS: usize = 4_096;
/// Most keys that may stand twice: with more of them the column names nothing.
const DOUBLES_MAX: usize = 1_000_000;
/// Rows of a page of keys.
const PAGE_ROWS: usize = 65_536;
const PRINT: usize = size_of::<Print>();

/// What is known of keys that several rows have.
pub(super) enum Doubles {
    /// The cursor is the key: rows of one key stand side by side.
    Neighbours,
    /// Prints of the keys that several rows have, and whether they were counted already.
    Found(HashMap<Print, bool>),
}

/// Rows of a page whose key is not theirs alone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Twins {
    /// The first row of each such key.
    pub(super) first: Vec<usize>,
    /// The others.
    pub(super) repeats: Vec<usize>,
}

impl Doubles {
    /// Looks before a window is read. `from`: where it begins, exclusive; `to`: its end.
    pub(super) async fn of(
        ctx: &Ctx,
        column: &str,
        from: Option<&CursorPoint>,
        to: Option<&CursorPoint>,
    ) -> Result<Self> {
        let Some((_, by_key)) = asks(ctx, column, from, to) else { return Ok(Self::Neighbours) };
        let look = || async move {
            match (from, to) {
                (Some(from), Some(to)) if by_key => in_window(ctx, column, from, to).await,
                _ => everywhere(ctx).await,
            }
        };
        let found = retry::again(&ctx.engine, &ctx.options.cancel, look).await?;
        Ok(Self::Found(found.into_iter().map(|print| (print, false)).collect()))
    }

    /// The rows of a page that share their key, before a limit cuts it to its first `rows`. `last`: the key before the
    /// page; `next`: the key after it.
    pub(super) fn twins(
        &mut self,
        keys: &[Option<Print>],
        rows: usize,
        last: Option<Print>,
        next: Option<Print>,
    ) -> Twins {
        let mut twins = Twins::default();
        for row in 0..rows {
            let Some(print) = keys[row] else { continue };
            match self {
                Self::Neighbours => {
                    let before = if row == 0 { last } else { keys[row - 1] };
                    let after = keys.get(row + 1).copied().unwrap_or(next);
                    if before == Some(print) {
                        twins.repeats.push(row);
                    } else if after == Some(print) {
                        twins.first.push(row);
                    }
                }
                Self::Found(found) => match found.get_mut(&print) {
                    Some(counted) if *counted => twins.repeats.push(row),
                    Some(counted) => {
                        *counted = true;
                        twins.first.push(row);
                    }
                    None => {}
                },
            }
        }
        twins
    }
}

/// The prints of a page's keys; `None` where a row has none.
pub(super) fn key_prints(ctx: &Ctx, printer: &Printer, array: &ArrayRef, page: &Page) -> Result<Vec<Option<Print>>> {
    if ctx.mapping.key.plain() {
        let texts = array.as_string_opt::<i32>();
        let usable = |row: usize| !array.is_null(row) && texts.is_none_or(|texts| !texts.value(row).is_empty());
        let prints = printer.rows(&[array], array.len()).into_iter().enumerate();
        return Ok(prints.map(|(row, print)| usable(row).then_some(print)).collect());
    }
    let field = page.rows.schema_ref().field(position(page, &ctx.sync.key.warehouse)?).clone();
    let key = |row: usize| ctx.mapping.key.of_warehouse(&cell(array, &field, row)).ok();
    Ok((0..array.len()).map(|row| key(row).map(|key| printer.value(&Value::text(key.as_str())))).collect())
}

/// What is read before a window is, and whether the keys that it shows are looked up; `None` where the cursor is the key.
pub(super) fn asks(
    ctx: &Ctx,
    column: &str,
    from: Option<&CursorPoint>,
    to: Option<&CursorPoint>,
) -> Option<(ReadAsk, bool)> {
    let plain = ctx.mapping.key.plain();
    if column == ctx.sync.key.warehouse && plain {
        return None;
    }
    Some(match (from, to) {
        (Some(from), Some(to)) if plain => (of_window(ctx, column, from, to), true),
        _ => (ask(ctx, None, ReadMode::Unordered), false),
    })
}

fn of_window(ctx: &Ctx, column: &str, from: &CursorPoint, to: &CursorPoint) -> ReadAsk {
    let (key, from) = (ctx.sync.key.warehouse.clone(), Some(from.clone()));
    ask(ctx, Some(column), ReadMode::Cursor { column: column.to_owned(), key, from, to: to.clone() })
}

fn ask(ctx: &Ctx, more: Option<&str>, mode: ReadMode) -> ReadAsk {
    let key = ctx.sync.key.warehouse.clone();
    let more = more.filter(|more| **more != *key).map(str::to_owned);
    ReadAsk {
        source: ctx.sync.source.clone(),
        columns: std::iter::once(key).chain(more).collect(),
        mode,
        page_rows: PAGE_ROWS,
        timezone: ctx.sync.timezone.clone(),
    }
}

/// Keys of a window of which the source has more than one row, in the window or not.
async fn in_window(ctx: &Ctx, column: &str, from: &CursorPoint, to: &CursorPoint) -> Result<Vec<Print>> {
    let key = ctx.sync.key.warehouse.clone();
    let printer = printer(ctx).await?;
    let mut pages = retry::opened(&*ctx.job.warehouse, &ctx.options.cancel, of_window(ctx, column, from, to)).await?;
    let mut found = Vec::new();
    while let Some(page) = pages.next().await? {
        ctx.options.cancel.check()?;
        let texts = canonical_keys(page.rows.column(position(&page, &key)?), &key)?;
        let keys: Vec<Key> = texts.iter().flatten().filter(|key| !key.is_empty()).map(Key::new).collect();
        if keys.is_empty() {
            continue;
        }
        let (source, zone) = (&ctx.sync.source, &ctx.sync.timezone);
        let rows = ctx.job.warehouse.fetch(source, std::slice::from_ref(&key), &key, &keys, zone).await?;
        let array = rows.rows.column(position(&rows, &key)?).clone();
        let mut prints = printer.rows(&[&array], array.len());
        prints.sort_unstable();
        pairs(&mut found, prints.into_iter(), &mut None);
        bounded(ctx, &found)?;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Keys of which the source has more than one row.
async fn everywhere(ctx: &Ctx) -> Result<Vec<Print>> {
    let key = ctx.sync.key.warehouse.clone();
    let printer = printer(ctx).await?;
    let mut pages: Pages =
        retry::opened(&*ctx.job.warehouse, &ctx.options.cancel, ask(ctx, None, ReadMode::Unordered)).await?;
    let mut sorter = Sorter::default();
    while let Some(page) = pages.next().await? {
        ctx.options.cancel.check()?;
        let array = page.rows.column(position(&page, &key)?).clone();
        sorter.add(key_prints(ctx, &printer, &array, &page)?.into_iter().flatten(), &*ctx.engine.env)?;
    }
    let found = sorter.doubles()?;
    bounded(ctx, &found)?;
    Ok(found)
}

/// Prints of keys are the same under every mapping.
pub(super) async fn printer(ctx: &Ctx) -> Result<Printer> {
    Ok(Printer::new(ctx.engine.memory.print_key().await?, 0))
}

fn bounded(ctx: &Ctx, found: &[Print]) -> Result<()> {
    if found.len() <= DOUBLES_MAX {
        return Ok(());
    }
    let (name, key) = (&ctx.sync.name, &ctx.sync.key.warehouse);
    let why = format!("sync {name}: more than {DOUBLES_MAX} values of `{key}` stand in several rows: it is not a key");
    Err(Error::new(ErrorKind::Data, why).hint("name a column as `key.warehouse` that is unique"))
}

/// Adds what comes twice in a sorted sequence, once each.
fn pairs(found: &mut Vec<Print>, sorted: impl Iterator<Item = Print>, last: &mut Option<Print>) {
    for print in sorted {
        if *last == Some(print) && found.last() != Some(&print) {
            found.push(print);
        }
        *last = Some(print);
    }
}

/// Sorts prints, past a budget on disk.
#[derive(Default)]
struct Sorter {
    held: Vec<Print>,
    runs: Vec<Box<dyn Scratch>>,
}

impl Sorter {
    fn add(&mut self, prints: impl Iterator<Item = Print>, env: &dyn Env) -> Result<()> {
        self.held.extend(prints);
        if self.held.len() < SORT_PRINTS {
            return Ok(());
        }
        self.held.sort_unstable();
        let mut run = env.scratch()?;
        for block in self.held.chunks(BLOCK_PRINTS) {
            run.push(block.as_flattened())?;
        }
        run.rewind()?;
        self.held.clear();
        self.runs.push(run);
        Ok(())
    }

    /// What was added more than once.
    fn doubles(mut self) -> Result<Vec<Print>> {
        self.held.sort_unstable();
        let (mut found, mut last) = (Vec::new(), None);
        if self.runs.is_empty() {
            pairs(&mut found, self.held.into_iter(), &mut last);
            return Ok(found);
        }
        let mut runs: Vec<Run> = self.runs.into_iter().map(Run::new).collect();
        runs.push(Run { scratch: None, block: self.held.as_flattened().to_vec(), at: 0 });
        let mut heads = BinaryHeap::new();
        for (number, run) in runs.iter_mut().enumerate() {
            heads.extend(run.next()?.map(|print| Reverse((print, number))));
        }
        while let Some(Reverse((print, number))) = heads.pop() {
            pairs(&mut found, std::iter::once(print), &mut last);
            heads.extend(runs[number].next()?.map(|print| Reverse((print, number))));
            if found.len() > DOUBLES_MAX {
                break;
            }
        }
        Ok(found)
    }
}

/// Sorted prints, block by block.
struct Run {
    scratch: Option<Box<dyn Scratch>>,
    block: Vec<u8>,
    at: usize,
}

impl Run {
    fn new(scratch: Box<dyn Scratch>) -> Self {
        Self { scratch: Some(scratch), block: Vec::new(), at: 0 }
    }

    fn next(&mut self) -> Result<Option<Print>> {
        if self.at >= self.block.len() {
            let Some(scratch) = &mut self.scratch else { return Ok(None) };
            if !scratch.next(&mut self.block)? {
                self.scratch = None;
                self.block.clear();
                return Ok(None);
            }
            self.at = 0;
        }
        let print = self.block.get(self.at..self.at + PRINT).and_then(|bytes| bytes.try_into().ok());
        self.at += PRINT;
        Ok(print)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(number: u32) -> Print {
        let mut print = [0; PRINT];
        print[12..].copy_from_slice(&number.to_be_bytes());
        print
    }

    #[test]
    fn neighbours_are_found_across_the_edges_of_pages() {
        let keys: Vec<Option<Print>> = [1, 2, 2, 3].map(|n| Some(print(n))).into();
        let twins = Doubles::Neighbours.twins(&keys, 4, Some(print(1)), Some(print(3)));
        assert_eq!(twins, Twins { first: vec![1, 3], repeats: vec![0, 2] });
        let twins = Doubles::Neighbours.twins(&[None, None], 2, None, None);
        assert_eq!(twins, Twins::default());
    }

    #[test]
    fn a_key_that_was_counted_is_only_left_out() {
        let mut found = Doubles::Found([(print(2), false)].into());
        let keys = [1, 2].map(|n| Some(print(n)));
        assert_eq!(found.twins(&keys, 2, None, None), Twins { first: vec![1], repeats: vec![] });
        assert_eq!(found.twins(&keys, 2, None, None), Twins { first: vec![], repeats: vec![1] });
    }

    #[test]
    fn what_comes_twice_is_found_once_in_memory_and_on_disk() {
        struct Mem(Vec<Vec<u8>>, usize);
        impl Scratch for Mem {
            fn push(&mut self, record: &[u8]) -> Result<()> {
                self.0.push(record.to_vec());
                Ok(())
            }
            fn rewind(&mut self) -> Result<()> {
                self.1 = 0;
                Ok(())
            }
            fn next(&mut self, into: &mut Vec<u8>) -> Result<bool> {
                into.clear();
                let Some(record) = self.0.get(self.1) else { return Ok(false) };
                into.extend_from_slice(record);
                self.1 += 1;
                Ok(true)
            }
        }
        let run = |numbers: &[u32]| {
            let blocks = numbers.chunks(2).map(|block| block.iter().flat_map(|n| print(*n)).collect());
            Box::new(Mem(blocks.collect(), 0)) as Box<dyn Scratch>
        };
        let held = [9, 3, 7, 3, 3].map(print).to_vec();
        let sorter = Sorter { held: held.clone(), runs: Vec::new() };
        assert_eq!(sorter.doubles().expect("doubles"), [print(3)]);
        let sorter = Sorter { held, runs: vec![run(&[1, 3, 9, 12, 20]), run(&[2, 12])] };
        assert_eq!(sorter.doubles().expect("doubles"), [3, 9, 12].map(print));
    }
}
