//! Pages in key order: which rows share their key with a neighbour, on the same page or across its edge.

use arrow_array::{Array, StringArray};
use tidegate_model::change::FieldReject;
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::page::{Page, Pages};

use crate::plan::columns::position;
use crate::run::rows::canonical_keys;

/// A page with the rows whose key is not theirs alone.
pub(super) struct Grouped {
    pub(super) page: Page,
    /// The first row of each such key.
    pub(super) twins: Vec<(usize, FieldReject)>,
    /// The other rows of these keys: a key is considered once, however many rows have it.
    pub(super) repeats: Vec<usize>,
}

impl Grouped {
    /// Keys (and rows without one) on the page, each once.
    pub(super) fn read(&self) -> u64 {
        (self.page.len() - self.repeats.len()) as u64
    }

    /// The rows that are left out.
    pub(super) fn skip(&self) -> Vec<bool> {
        let mut skip = vec![false; self.page.len()];
        self.repeats.iter().for_each(|row| skip[*row] = true);
        skip
    }
}

/// A page and its keys.
type Keyed = (Page, StringArray);

/// Reads a stream that ascends by key, one page ahead.
pub(super) struct Groups {
    pages: Pages,
    column: String,
    next: Option<Keyed>,
    last: Option<String>,
    started: bool,
    left: Option<u64>,
}

impl Groups {
    /// `limit`: most rows that are handed out.
    pub(super) fn new(pages: Pages, column: &str, limit: Option<u64>) -> Self {
        Self { pages, column: column.to_owned(), next: None, last: None, started: false, left: limit }
    }

    /// The next page.
    pub(super) async fn next(&mut self) -> Result<Option<Grouped>> {
        if !self.started {
            self.started = true;
            self.next = self.pull().await?;
        }
        let Some((page, keys)) = self.next.take() else { return Ok(None) };
        self.next = self.pull().await?;
        let after = self.next.as_ref().and_then(|(_, keys)| key_at(keys, 0));
        let (mut twins, mut repeats) = (Vec::new(), Vec::new());
        for row in 0..keys.len() {
            let Some(key) = key_at(&keys, row) else { continue };
            let before = if row == 0 { self.last.as_deref() } else { key_at(&keys, row - 1) };
            if before.is_some_and(|before| before > key) {
                return Err(Error::new(ErrorKind::Data, format!("the keys of column `{}` do not ascend", self.column))
                    .hint("the source's order changed during the read; run again, and report it if it stays"));
            }
            let next = if row + 1 == keys.len() { after } else { key_at(&keys, row + 1) };
            if before == Some(key) {
                repeats.push(row);
            } else if next == Some(key) {
                twins.push((row, twin(&self.column)));
            }
        }
        self.last = keys.len().checked_sub(1).and_then(|row| key_at(&keys, row)).map(str::to_owned);
        Ok(Some(Grouped { page, twins, repeats }))
    }

    async fn pull(&mut self) -> Result<Option<Keyed>> {
        let Some(page) = next_within(&mut self.pages, &mut self.left).await? else { return Ok(None) };
        let keys = canonical_keys(page.rows.column(position(&page, &self.column)?), &self.column)?;
        Ok(Some((page, keys)))
    }
}

/// The key of a row, if it can be one.
fn key_at(keys: &StringArray, row: usize) -> Option<&str> {
    (row < keys.len() && !keys.is_null(row)).then(|| keys.value(row)).filter(|key| !key.is_empty())
}

/// The reject of a row whose key other rows have too.
pub(super) fn twin(column: &str) -> FieldReject {
    FieldReject::field(column, "duplicate_key", "more than one row has this key; none of them is delivered")
}

/// The next page, cut to what is left of a limit.
pub(super) async fn next_within(pages: &mut Pages, left: &mut Option<u64>) -> Result<Option<Page>> {
    if *left == Some(0) {
        return Ok(None);
    }
    Ok(pages.next().await?.map(|page| cut(page, left)))
}

/// A page, cut to what is left of a limit.
pub(super) fn cut(page: Page, left: &mut Option<u64>) -> Page {
    let Some(most) = left else { return page };
    let take = usize::try_from(*most).unwrap_or(usize::MAX).min(page.len());
    *most -= take as u64;
    let misfits = page.misfits.into_iter().filter(|misfit| misfit.row < take).collect();
    Page { rows: page.rows.slice(0, take), misfits }
}
