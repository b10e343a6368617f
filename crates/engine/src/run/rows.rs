//! A cursor over the rows of one side: keys and prints of whole pages at once, values only for rows that are looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::DataType;
use tidegate_model::cells::value_at;
use tidegate_model::change::FieldReject;
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::page::{DELETED, Page, Pages, REMOTE_ID, UPDATED_AT};
use tidegate_model::ports::Print;
use tidegate_model::record::{Key, RemoteId};
use tidegate_model::sync::Target;
use tidegate_model::value::{Decimal, Value};

use crate::plan::map::Mapping;
use crate::plan::prints::Printer;
use crate::plan::reconcile::SideRow;

use super::sorted::STANDS;

/// How the columns of one side's pages relate to the mapping.
pub(crate) struct Layout {
    pub side: Target,
    pub mapping: Arc<Mapping>,
    pub printer: Printer,
    /// The key's column.
    pub key: String,
    /// The column of the record's change time, if the sync compares them.
    pub updated_at: Option<String>,
}

impl Layout {
    /// The columns of the warehouse that a sync reads, each once: the key first.
    pub fn columns(&self) -> Vec<String> {
        let mut columns = vec![self.key.clone()];
        let mapped = self.mapping.fields.iter().filter_map(|field| self.name_of(field));
        for column in mapped.chain(self.updated_at.clone()) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        columns
    }

    /// The fields of the platform that a sync reads besides the key, each once.
    pub fn fields(&self) -> Vec<String> {
        let mut columns = self.columns();
        columns.remove(0);
        columns
    }

    fn name_of(&self, field: &crate::plan::map::MappedField) -> Option<String> {
        match self.side {
            Target::Warehouse => field.column.as_ref().map(|column| column.to_string()),
            Target::Platform => Some(field.name.to_string()),
        }
    }
}

/// One page, with what is computed for all of its rows at once.
pub(crate) struct Keyed {
    page: Page,
    keys: StringArray,
    prints: Vec<Print>,
    /// For each field of the mapping its column in the page.
    fields: Vec<Option<usize>>,
    misfits: BTreeMap<usize, Vec<usize>>,
    remote: Option<usize>,
    updated_at: Option<usize>,
    deleted: Option<usize>,
    row_bytes: usize,
}

impl Keyed {
    /// Prepares a page.
    pub fn new(layout: &Layout, page: Page) -> Result<Self> {
        let schema = page.rows.schema();
        let find = |name: &str| schema.fields().iter().position(|field| field.name() == name);
        let missing = |name: &str| {
            Error::new(ErrorKind::SchemaChanged, format!("column `{name}` is not in what the source gave"))
                .hint("the source changed its shape during the run; run again")
        };
        let key = find(&layout.key).ok_or_else(|| missing(&layout.key))?;
        let mut fields = Vec::with_capacity(layout.mapping.fields.len());
        for field in &layout.mapping.fields {
            fields.push(match layout.name_of(field) {
                Some(name) => Some(find(&name).ok_or_else(|| missing(&name))?),
                None => None,
            });
        }
        let printed: Vec<&ArrayRef> = fields.iter().flatten().map(|at| page.rows.column(*at)).collect();
        let prints = layout.printer.rows(&printed, page.len());
        let mut misfits: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, misfit) in page.misfits.iter().enumerate() {
            misfits.entry(misfit.row).or_default().push(at);
        }
        let updated_at = match &layout.updated_at {
            Some(column) => find(column),
            None => find(UPDATED_AT),
        };
        let keys = canonical_keys(page.rows.column(key), &layout.key)?;
        let remote = find(match layout.side {
            Target::Platform => REMOTE_ID,
            Target::Warehouse => STANDS,
        });
        let (deleted, row_bytes) = (find(DELETED), page.bytes() / page.len().max(1));
        Ok(Self { keys, prints, fields, misfits, remote, updated_at, deleted, row_bytes, page })
    }

    /// About how many bytes one of its rows takes.
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    pub fn len(&self) -> usize {
        self.page.len()
    }

    /// The key of a row; `None` if it is NULL.
    pub fn key(&self, row: usize) -> Option<&str> {
        (!self.keys.is_null(row)).then(|| self.keys.value(row))
    }

    /// The print of a row; rows with misfits have none, so that they are always looked at.
    pub fn print(&self, row: usize) -> Print {
        if self.misfits.contains_key(&row) { Print::default() } else { self.prints[row] }
    }

    /// Whether the row says that the record is gone.
    pub fn deleted(&self, row: usize) -> bool {
        self.deleted.is_some_and(|column| {
            let array = self.page.rows.column(column).as_boolean();
            !array.is_null(row) && array.value(row)
        })
    }

    /// The row's values.
    pub fn row(&self, layout: &Layout, row: usize) -> SideRow {
        let fields = layout.mapping.fields.iter().zip(&self.fields);
        let values = fields
            .map(|(field, column)| match column {
                Some(column) => value_at(&self.page.rows, *column, row),
                None => field.constant.clone().unwrap_or(Value::Null),
            })
            .collect();
        let remote = self.remote.map(|column| self.page.rows.column(column).as_string::<i32>());
        SideRow {
            values,
            print: self.print(row),
            misfits: self.misfits_of(row),
            remote: remote.filter(|ids| !ids.is_null(row)).map(|ids| RemoteId::new(ids.value(row))),
            updated_at: self.updated_at.and_then(|column| instant_at(&self.page, column, row)),
        }
    }

    fn misfits_of(&self, row: usize) -> Vec<(usize, FieldReject)> {
        let Some(found) = self.misfits.get(&row) else { return Vec::new() };
        let mut out = Vec::new();
        for misfit in found.iter().map(|at| &self.page.misfits[*at]) {
            for (field, column) in self.fields.iter().enumerate() {
                if *column == Some(misfit.column) {
                    let why = FieldReject { field: None, rule: misfit.rule.to_owned(), reason: misfit.reason.clone() };
                    out.push((field, why));
                }
            }
        }
        out
    }
}

fn instant_at(page: &Page, column: usize, row: usize) -> Option<i64> {
    match value_at(&page.rows, column, row) {
        Value::TimestampTz(us) | Value::Timestamp(us) => Some(us),
        Value::Date(days) => Some(i64::from(days) * 86_400_000_000),
        _ => None,
    }
}

/// The keys of a column in canonical text.
pub(crate) fn canonical_keys(array: &ArrayRef, name: &str) -> Result<StringArray> {
    match array.data_type() {
        DataType::Utf8 => Ok(array.as_string::<i32>().clone()),
        DataType::Int64 => {
            let numbers = array.as_primitive::<Int64Type>();
            Ok(numbers.iter().map(|number| number.map(|number| number.to_string())).collect())
        }
        DataType::Decimal128(_, scale) => {
            let numbers = array.as_primitive::<Decimal128Type>();
            let text =
                |number: i128| Key::of(&Value::Decimal(Decimal::from_i128(number, *scale))).map(|key| key.to_string());
            Ok(numbers.iter().map(|number| number.and_then(text)).collect())
        }
        other => Err(Error::config(format!("column `{name}` is a {other}, which cannot be a key"))
            .hint("keys are text or integers; give the sync another key column")),
    }
}

/// Rows of one side in byte order of their keys, one after the other.
pub(crate) struct Rows {
    pages: Pages,
    pub layout: Layout,
    page: Option<Keyed>,
    at: usize,
    ended: bool,
    last: Option<String>,
    /// Rows handed out so far.
    pub rows_read: u64,
}

impl Rows {
    pub fn new(pages: Pages, layout: Layout) -> Self {
        Self { pages, layout, page: None, at: 0, ended: false, last: None, rows_read: 0 }
    }

    /// Makes sure that there is a current row; false at the end of a complete read.
    pub async fn ready(&mut self) -> Result<bool> {
        loop {
            if self.page.as_ref().is_some_and(|page| self.at < page.len()) {
                return Ok(true);
            }
            if self.ended {
                return Ok(false);
            }
            self.page = None;
            match self.pages.next().await? {
                Some(page) => {
                    self.page = Some(Keyed::new(&self.layout, page)?);
                    self.at = 0;
                }
                None => self.ended = true,
            }
        }
    }

    /// The page and row in hand. Only after [`Rows::ready`] said true.
    pub fn current(&self) -> Option<(&Keyed, usize)> {
        self.page.as_ref().map(|page| (page, self.at))
    }

    /// About how many bytes a row of the page in hand takes.
    pub fn row_bytes(&self) -> usize {
        self.page.as_ref().map_or(0, Keyed::row_bytes)
    }

    /// The current key.
    pub fn key(&self) -> Option<&str> {
        let (page, row) = self.current()?;
        page.key(row)
    }

    /// The current row's values.
    pub fn row(&self) -> Option<SideRow> {
        let (page, row) = self.current()?;
        Some(page.row(&self.layout, row))
    }

    /// Goes on to the next row, checking that keys ascend.
    pub fn advance(&mut self) -> Result<()> {
        self.rows_read += 1;
        let Some(page) = &self.page else { return Ok(()) };
        let here = page.key(self.at);
        let next = if self.at + 1 < page.len() { page.key(self.at + 1) } else { None };
        let before = if self.at == 0 { self.last.as_deref() } else { None };
        let falls = before.is_some_and(|before| here.is_none_or(|here| here < before))
            || matches!((here, next), (Some(here), Some(next)) if next < here)
            || (here.is_some() && self.at + 1 < page.len() && next.is_none());
        if falls {
            return Err(Error::new(
                ErrorKind::Data,
                format!("the keys of the {:?} do not ascend in byte order", self.layout.side),
            )
            .hint("the source's order changed during the read; run again, and report it if it stays"));
        }
        if self.at + 1 == page.len() {
            self.last = here.map(str::to_owned);
        }
        self.at += 1;
        Ok(())
    }
}
