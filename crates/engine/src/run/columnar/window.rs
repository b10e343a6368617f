//! The rows of a cursor's window: which lack a cursor, which lie in the lookback margin, which are new.

use std::cmp::Ordering;

use arrow_array::Array;
use tidegate_model::cells::value_at;
use tidegate_model::error::Result;
use tidegate_model::page::Page;
use tidegate_model::record::Key;
use tidegate_model::span::{CursorPoint, Position};
use tidegate_model::sync::Lookback;
use tidegate_model::value::{Decimal, Value};

use crate::plan::columns::position;
use crate::run::cursor::{compare, moved_back};

/// A page of a cursor read: rows `0..nulls` lack a cursor, `nulls..fresh` were read before, the rest are new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) nulls: usize,
    pub(super) fresh: usize,
}

/// Where the cursor and the key stand in the pages of a read.
pub(super) struct Window<'a> {
    pub(super) cursor: &'a str,
    pub(super) key: &'a str,
    /// Where the sync stands.
    pub(super) at: Option<&'a CursorPoint>,
}

impl Window<'_> {
    /// Parts of a page that is ordered by cursor and key, rows without a cursor first.
    pub(super) fn parts(&self, page: &Page) -> Result<Parts> {
        let column = position(page, self.cursor)?;
        let array = page.rows.column(column);
        let nulls = (0..array.len()).take_while(|row| array.is_null(*row)).count();
        let Some(at) = self.at else { return Ok(Parts { nulls, fresh: nulls }) };
        let key = position(page, self.key)?;
        let (mut low, mut high) = (nulls, array.len());
        while low < high {
            let middle = low.midpoint(high);
            if after(page, column, key, middle, at) { high = middle } else { low = middle + 1 }
        }
        Ok(Parts { nulls, fresh: low })
    }

    /// The point of a row.
    pub(super) fn point(&self, page: &Page, row: usize) -> Result<CursorPoint> {
        let value = value_at(&page.rows, position(page, self.cursor)?, row);
        let key = key_text(&value_at(&page.rows, position(page, self.key)?, row));
        Ok(CursorPoint { value, key: Some(key) })
    }
}

fn key_text(value: &Value) -> Key {
    Key::of(value).unwrap_or_else(|| Key::new(value.to_string()))
}

fn after(page: &Page, column: usize, key: usize, row: usize, at: &CursorPoint) -> bool {
    match compare(&value_at(&page.rows, column, row), &at.value) {
        Ordering::Greater => true,
        Ordering::Less => false,
        Ordering::Equal => match &at.key {
            Some(last) => key_text(&value_at(&page.rows, key, row)) > *last,
            None => false,
        },
    }
}

/// The exclusive lower end of a read that starts a margin before a point.
pub(super) fn start(at: &CursorPoint, lookback: Option<Lookback>) -> CursorPoint {
    let value = moved_back(&at.value, lookback);
    if compare(&value, &at.value) == Ordering::Equal { at.clone() } else { CursorPoint { value, key: None } }
}

/// A cursor's value as a number that sorts like it; `None` for types without a margin.
pub(super) fn order(value: &Value) -> Option<i64> {
    match value {
        Value::Int(id) => Some(*id),
        Value::Date(days) => Some(i64::from(*days)),
        Value::Timestamp(us) | Value::TimestampTz(us) => Some(*us),
        Value::Decimal(number) => Some(floor(number)),
        _ => None,
    }
}

fn floor(number: &Decimal) -> i64 {
    let text = number.to_string();
    let whole = text.split('.').next().and_then(|whole| whole.parse::<i64>().ok());
    let negative = text.starts_with('-');
    match whole {
        Some(whole) if negative && number.rescale(0).is_none() => whole.saturating_sub(1),
        Some(whole) => whole,
        None if negative => i64::MIN,
        None => i64::MAX,
    }
}

/// The point of a position that is one.
pub(super) fn point_of(position: Option<&Position>) -> Option<&CursorPoint> {
    match position {
        Some(Position::Cursor(point)) => Some(point),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_model::cells::PageBuilder;
    use tidegate_model::value::Type;

    use super::*;

    fn page(rows: &[(Option<i64>, &str)]) -> Page {
        let mut builder = PageBuilder::new(&[("k".into(), Type::Text), ("c".into(), Type::Int64)]);
        for (cursor, key) in rows {
            builder.push(&Value::text(*key));
            builder.push(&cursor.map_or(Value::Null, Value::Int));
            builder.end_row();
        }
        builder.take().expect("a page")
    }

    #[test]
    fn a_page_falls_into_three_parts() {
        let page = page(&[(None, "x"), (Some(1), "a"), (Some(2), "a"), (Some(2), "b"), (Some(3), "a")]);
        let at = |value, key: Option<&str>| CursorPoint { value: Value::Int(value), key: key.map(Key::new) };
        let fresh =
            |point: Option<&CursorPoint>| Window { cursor: "c", key: "k", at: point }.parts(&page).expect("parts");
        assert_eq!(fresh(None), Parts { nulls: 1, fresh: 1 });
        assert_eq!(fresh(Some(&at(2, Some("a")))), Parts { nulls: 1, fresh: 3 });
        assert_eq!(fresh(Some(&at(2, None))), Parts { nulls: 1, fresh: 4 });
        assert_eq!(fresh(Some(&at(0, None))), Parts { nulls: 1, fresh: 1 });
        assert_eq!(fresh(Some(&at(9, None))), Parts { nulls: 1, fresh: 5 });
    }

    #[test]
    fn orders_sort_like_their_values() {
        let number = |text: &str| Value::Decimal(Decimal::parse(text).expect("a number"));
        let sorted = ["-12.5", "-12", "-0.5", "0", "0.5", "7"].map(|text| order(&number(text)).expect("an order"));
        assert!(sorted.is_sorted(), "{sorted:?}");
        assert_eq!(order(&Value::text("x")), None);
        assert_eq!(order(&number("1e40")), Some(i64::MAX));
    }

    #[test]
    fn a_window_without_margin_starts_at_the_very_row() {
        let at = CursorPoint { value: Value::Int(5), key: Some(Key::new("a")) };
        assert_eq!(start(&at, Some(Lookback::Count(0))), at);
        let back = start(&at, Some(Lookback::Count(2)));
        assert_eq!(back, CursorPoint { value: Value::Int(3), key: None });
        let text = CursorPoint { value: Value::text("x"), key: Some(Key::new("a")) };
        assert_eq!(start(&text, None), text);
    }
}
