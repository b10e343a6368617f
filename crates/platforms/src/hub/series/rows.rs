//! The columns of a page as a series reads them, and the rows that cannot be taken.

use std::borrow::Cow;

use tidegate_model::change::FieldReject;
use tidegate_model::page::Page;
use tidegate_model::time::{TimeMisfit, parse_timestamp, parse_timestamptz};
use tidegate_model::{Error, Result};

use crate::hub::cell::CellRef;
use crate::hub::frame::Cells;
use crate::hub::rollup::scaled;

/// Longest source key, as usage keys go.
const KEY_MAX: usize = 512;
const DAY_US: i64 = 86_400_000_000;

/// What all rows of a page share.
pub struct Context {
    /// The sync's number.
    pub sync: i64,
    /// The page's number.
    pub load: i64,
    /// The time of arrival.
    pub now: i64,
}

/// A page.
pub struct Rows {
    /// Its columns by name.
    columns: Vec<(String, Cells)>,
    key: usize,
    /// Number of rows.
    pub count: u32,
    /// Rows that cannot be taken.
    pub rejected: Vec<(u32, FieldReject)>,
    misfits: Vec<(u32, FieldReject)>,
}

impl Rows {
    /// Reads a page's columns.
    pub fn of(page: &Page, key: &str) -> Result<Self> {
        let schema = page.rows.schema();
        let mut columns = Vec::new();
        for (field, array) in schema.fields().iter().zip(page.rows.columns()) {
            columns.push((field.name().clone(), Cells::of(array)?));
        }
        let at = columns.iter().position(|(name, _)| name == key);
        let key = at.ok_or_else(|| Error::internal(format!("the page lacks its key column {key:?}")))?;
        let count = u32::try_from(page.len()).map_err(|_| Error::internal("a page has too many rows"))?;
        let misfits = page.misfits.iter().map(|misfit| {
            let name = columns.get(misfit.column).map_or("", |(name, _)| name.as_str());
            (misfit.row as u32, FieldReject::field(name, misfit.rule, misfit.reason.clone()))
        });
        let misfits = misfits.collect();
        Ok(Self { columns, key, count, rejected: Vec::new(), misfits })
    }

    /// Refuses a page with columns that the series does not have (but the key may have any name).
    pub fn only(&self, model: &str, names: &[&str]) -> Result<()> {
        let known = |at: usize, name: &str| at == self.key || names.contains(&name);
        match self.columns.iter().enumerate().find(|(at, (name, _))| !known(*at, name)) {
            Some((_, (name, _))) => Err(super::no_column(model, name)?),
            None => Ok(()),
        }
    }

    /// A column, if the page has it.
    pub fn column(&self, name: &str) -> Option<&Cells> {
        self.columns.iter().find(|(other, _)| other == name).map(|(_, cells)| cells)
    }

    /// The misfit of a row, if it has one; asked in the order of the rows.
    pub fn misfit(&self, row: u32) -> Option<FieldReject> {
        if self.misfits.is_empty() {
            return None;
        }
        self.misfits.iter().find(|(at, _)| *at == row).map(|(_, why)| why.clone())
    }

    /// The source key of a row.
    pub fn key(&self, row: u32) -> std::result::Result<Cow<'_, str>, FieldReject> {
        let (name, cells) = &self.columns[self.key];
        match text(Some(cells), row) {
            None => Err(FieldReject::field(name, "null_key", "the source key is empty")),
            Some(key) if key.len() > KEY_MAX => {
                Err(FieldReject::field(name, "too_long", format!("the source key is longer than {KEY_MAX} bytes")))
            }
            Some(key) => Ok(key),
        }
    }
}

/// The text of a cell that names something: texts as they are, whole numbers by their digits; `None` if empty.
pub fn text(cells: Option<&Cells>, row: u32) -> Option<Cow<'_, str>> {
    match cells?.cell(row as usize) {
        CellRef::Text(text) if !text.is_empty() => Some(Cow::Borrowed(text)),
        CellRef::Int(n) => Some(Cow::Owned(n.to_string())),
        _ => None,
    }
}

/// An exact number, as digits and as roll-ups add it.
pub fn number(name: &str, cell: CellRef<'_>) -> std::result::Result<Option<(String, i128)>, FieldReject> {
    let wrong = |rule: &str, what: &str| FieldReject::field(name, rule, format!("{name} {what}"));
    let digits = match cell {
        CellRef::Null => return Ok(None),
        CellRef::Int(n) => n.to_string(),
        CellRef::Real(x) if !x.is_finite() => return Err(wrong("not_finite", "takes no NaN or infinity")),
        CellRef::Real(x) => x.to_string(),
        CellRef::Text(text) => text.to_owned(),
        CellRef::Blob(_) => return Err(wrong("wrong_type", "takes numbers")),
    };
    if !plain(&digits) {
        return Err(wrong("wrong_type", "takes numbers; add transform: [to_number]"));
    }
    match scaled(&digits) {
        Some(scaled) => Ok(Some((digits, scaled))),
        None => {
            Err(wrong("out_of_range", "takes at most 20 digits before and 18 after the point; round it in the sync"))
        }
    }
}

/// Whether a text is digits, with a sign and a point at most.
fn plain(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    all(whole) && all(fraction)
}

/// The instant of a row; the time of arrival if it says none.
pub fn moment(cells: Option<&Cells>, row: u32, now: i64) -> std::result::Result<i64, FieldReject> {
    let wrong = |rule: &str, what: &str| Err(FieldReject::field("date", rule, format!("date {what}")));
    let Some(cells) = cells else { return Ok(now) };
    match (cells, cells.cell(row as usize)) {
        (_, CellRef::Null) => Ok(now),
        (Cells::Moment(_), CellRef::Int(us)) => Ok(us),
        (Cells::Date(_), CellRef::Int(days)) => Ok(days * DAY_US),
        (_, CellRef::Text(text)) => match parse_timestamptz(text).or_else(|_| parse_timestamp(text)) {
            Ok(us) => Ok(us),
            Err(TimeMisfit::SubMicrosecond) => {
                wrong("sub_microsecond", "takes microseconds; use transform truncate_us")
            }
            Err(TimeMisfit::Malformed) => wrong("wrong_type", "takes dates and times"),
        },
        _ => wrong("wrong_type", "takes dates and times; numbers need transform epoch_seconds or epoch_millis"),
    }
}
