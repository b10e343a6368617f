//! A pinned read that breaks off goes on behind the last key that came: what is read as of an instant does not change, so
//! the rest is what it would have been. A read that is not pinned is begun anew with the whole detection, for between two
//! of them rows move.

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_model::cells::value_at;
use tidegate_model::error::{Error, Result};
use tidegate_model::page::{Misfit, Page, PageStream, Pages};
use tidegate_model::ports::{Cancel, Env, ReadAsk, ReadMode, Warehouse};
use tidegate_model::record::Key;

use super::retry::{opened, pause, wait_after};

/// Where a read stands: enough to go on without losing one of several rows with the same key.
#[derive(Debug, Default, PartialEq)]
struct Stand {
    /// The last key, and how many of its rows came.
    last: Option<Key>,
    copies: usize,
    /// The key before it; `None` at the start, or behind rows that have no key.
    before: Option<Key>,
    /// Rows that came since `before` (or the start).
    since: usize,
}

impl Stand {
    fn note(&mut self, page: &Page) {
        let key = |row| Key::of(&value_at(&page.rows, 0, row));
        let Some(end) = page.len().checked_sub(1) else { return };
        let last = key(end);
        let first = (0..end).rev().take_while(|row| key(*row) == last).last().unwrap_or(end);
        if first == 0 && last == self.last {
            self.copies += page.len();
            self.since += page.len();
            return;
        }
        let before = if first == 0 { self.last.take() } else { key(first - 1) };
        self.copies = page.len() - first;
        // Without a key to begin behind, all that came comes again.
        self.since = if before.is_some() { self.copies } else { self.since + page.len() };
        (self.before, self.last) = (before, last);
    }
}

/// The pages of a pinned read.
pub(crate) struct GoesOn {
    warehouse: Arc<dyn Warehouse>,
    ask: ReadAsk,
    env: Arc<dyn Env>,
    cancel: Cancel,
    pages: Pages,
    stand: Stand,
    /// Rows that a repeated read shows once more.
    skip: usize,
    attempt: u32,
}

impl GoesOn {
    /// Pages that were just opened by this ask.
    pub fn new(warehouse: Arc<dyn Warehouse>, ask: ReadAsk, env: Arc<dyn Env>, cancel: Cancel, pages: Pages) -> Self {
        Self { warehouse, ask, env, cancel, pages, stand: Stand::default(), skip: 0, attempt: 0 }
    }

    /// Opens the read again behind the key before the last one. Waits first, if the error says that trying again can help.
    async fn again(&mut self, mut error: Error) -> Result<()> {
        loop {
            self.attempt += 1;
            let Some(wait) = wait_after(&error, self.attempt, true, self.env.random()) else { return Err(error) };
            pause(&*self.env, &self.cancel, wait).await?;
            let mut ask = self.ask.clone();
            if let ReadMode::Full { after, .. } = &mut ask.mode {
                *after = self.stand.before.clone();
            }
            match opened(&*self.warehouse, &self.cancel, ask).await {
                Ok(pages) => {
                    (self.pages, self.skip) = (pages, self.stand.since);
                    return Ok(());
                }
                Err(next) => error = next,
            }
        }
    }
}

#[async_trait]
impl PageStream for GoesOn {
    async fn next(&mut self) -> Result<Option<Page>> {
        loop {
            let page = match self.pages.next().await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.again(error).await?;
                    continue;
                }
            };
            let seen = self.skip.min(page.len());
            self.skip -= seen;
            if seen == page.len() {
                continue;
            }
            self.attempt = 0;
            let page = if seen == 0 { page } else { behind(&page, seen) };
            self.stand.note(&page);
            return Ok(Some(page));
        }
    }
}

/// A page without its first rows.
fn behind(page: &Page, rows: usize) -> Page {
    let misfits = page.misfits.iter().filter(|misfit| misfit.row >= rows);
    let misfits = misfits.map(|misfit| Misfit { row: misfit.row - rows, ..misfit.clone() }).collect();
    Page { rows: page.rows.slice(rows, page.len() - rows), misfits }
}

#[cfg(test)]
mod tests {
    use tidegate_model::cells::PageBuilder;
    use tidegate_model::value::{Type, Value};

    use super::*;

    fn page(keys: &[Option<&str>]) -> Page {
        let mut builder = PageBuilder::new(&[("id".to_owned(), Type::Text)]);
        for key in keys {
            builder.push(&key.map_or(Value::Null, Value::text));
            builder.end_row();
        }
        builder.take().expect("a page")
    }

    fn stand(pages: &[&[Option<&str>]]) -> (Option<String>, usize) {
        let mut stand = Stand::default();
        pages.iter().for_each(|keys| stand.note(&page(keys)));
        (stand.before.map(|key| key.as_str().to_owned()), stand.since)
    }

    /// Behind which key a read goes on, and how many rows of it are known.
    #[test]
    fn rows_of_one_key_are_never_parted() {
        let (a, b, c) = (Some("a"), Some("b"), Some("c"));
        let behind = |key: &str| Some(key.to_owned());
        assert_eq!(stand(&[]), (None, 0));
        assert_eq!(stand(&[&[None, None, a]]), (None, 3));
        assert_eq!(stand(&[&[None], &[a], &[a]]), (None, 3));
        assert_eq!(stand(&[&[a, b]]), (behind("a"), 1));
        assert_eq!(stand(&[&[a, b, b], &[b, b]]), (behind("a"), 4));
        assert_eq!(stand(&[&[a, b, b], &[b, c]]), (behind("b"), 1));
        assert_eq!(stand(&[&[a], &[b], &[c]]), (behind("b"), 1));
        assert_eq!(stand(&[&[None, a], &[b]]), (behind("a"), 1));
    }

    #[test]
    fn misfits_stay_with_their_rows() {
        let mut all = page(&[Some("a"), Some("b"), Some("c")]);
        all.misfits = [0, 2].map(|row| Misfit { row, column: 0, rule: "r", reason: String::new() }).into();
        let rest = behind(&all, 1);
        assert_eq!((rest.len(), rest.misfits.len(), rest.misfits[0].row), (2, 1, 1));
    }
}
