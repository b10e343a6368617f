//! Mapping whole pages: columns that need nothing are handed on as they are, the others go through values, and rows
//! that do not fit are left out and told (semantics.md §2, §4).

mod cast;
mod check;
mod keys;
mod parts;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::{Field, Schema};
use tidegate_model::cells::{PageBuilder, cell};
use tidegate_model::change::FieldReject;
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::page::{KEEP, Page, arrow_field, arrow_type, logical_type};
use tidegate_model::record::Key;
use tidegate_model::sync::{Nulls, OnMisfit, Target};
use tidegate_model::value::{Type, Value};

use super::map::{MappedField, Mapping};
pub use keys::{KEY, key_of};
use keys::{KeyColumn, Keys};

/// Pages of one side on their way to the other.
pub struct Columns {
    mapping: Arc<Mapping>,
    to: Target,
    key: KeyColumn,
    extra: Vec<(String, Type, Value)>,
    merging: bool,
}

/// Why a row, or a field of it, is not delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct RowReject {
    /// The row within the source's page.
    pub row: usize,
    /// Its key, if it has a usable one.
    pub key: Option<Key>,
    /// Field, rule and reason.
    pub why: FieldReject,
    /// The row goes on without the field (`on_misfit: drop_field`).
    pub dropped: bool,
}

/// A page in the target's form.
#[derive(Debug, Clone)]
pub struct MappedPage {
    /// The rows to load, in order.
    pub rows: RecordBatch,
    /// The source row of each.
    pub from: Vec<u32>,
    /// What is not delivered, by row.
    pub rejects: Vec<RowReject>,
    /// Rows that are not delivered.
    pub rejected: u64,
    /// Fields left out of rows that are.
    pub dropped: u64,
    keys: ArrayRef,
}

impl MappedPage {
    /// The key of a row to load.
    pub fn key(&self, row: usize) -> Option<Key> {
        keys::key_of(&self.keys, row)
    }
    /// The canonical keys of the rows to load, as text or integers.
    pub fn keys(&self) -> &ArrayRef {
        &self.keys
    }
}

/// Rows of a page that are judged before they are mapped.
#[derive(Debug, Default)]
pub struct Beforehand {
    /// Rows that are left out without being rejects, such as those delivered before. Empty: none.
    pub skip: Vec<bool>,
    /// Rows that are rejects already.
    pub rejects: Vec<(usize, FieldReject)>,
}

impl Columns {
    /// Pages on their way to one side. `extra`: columns that hold the same value in every row.
    pub fn new(mapping: Arc<Mapping>, to: Target, extra: Vec<(String, Type, Value)>) -> Self {
        let key = KeyColumn::new(&mapping, to);
        Self { mapping, to, key, extra, merging: false }
    }

    /// Pages that are merged into rows that stand there: what is left out has to leave those alone.
    #[must_use]
    pub fn merging(self, merging: bool) -> Self {
        Self { merging, ..self }
    }

    /// The source's columns besides the key, each once.
    pub fn sources(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for field in self.fields() {
            if let Some(name) = source_name(field, self.to)
                && name != self.key.source
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names
    }

    /// The source's key column.
    pub fn key_source(&self) -> &str {
        &self.key.source
    }

    /// The name of the column that holds the key in mapped pages.
    pub fn key_name(&self) -> &str {
        &self.key.name
    }

    /// The target's name of a source's column, if it is mapped as it is.
    pub fn target_name(&self, source: &str) -> Option<String> {
        self.fields().find(|field| source_name(field, self.to).as_deref() == Some(source)).map(|field| self.name(field))
    }

    fn fields(&self) -> impl Iterator<Item = &MappedField> {
        let to = self.to;
        self.mapping.fields.iter().filter(move |field| match to {
            Target::Platform => true,
            Target::Warehouse => field.column.is_some(),
        })
    }

    fn name(&self, field: &MappedField) -> String {
        match self.to {
            Target::Platform => field.name.to_string(),
            Target::Warehouse => field.column.as_ref().map(|column| column.to_string()).unwrap_or_default(),
        }
    }

    fn logical(&self, field: &MappedField) -> Type {
        match self.to {
            Target::Platform => field.target.logical,
            Target::Warehouse => field.source_type,
        }
    }

    /// Maps a page.
    pub fn map(&self, page: &Page, before: Beforehand) -> Result<MappedPage> {
        let mut state = Mapped::new(self, page, before)?;
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for field in self.fields() {
            let array = state.field(field)?;
            let named = arrow_field(&self.name(field), self.logical(field));
            let keep = self.merging && field.nulls == Nulls::Skip && field.constant.is_none();
            fields.push(if keep { marked(named) } else { named });
            arrays.push(array);
        }
        if let Some((field, array)) = state.key_column()? {
            fields.insert(0, field);
            arrays.insert(0, array);
        }
        for (name, logical, value) in &self.extra {
            fields.push(arrow_field(name, *logical));
            arrays.push(constant(name, *logical, value, page.len())?);
        }
        state.finish(fields, arrays)
    }
}

/// A column whose NULLs leave alone what stands at the target.
fn marked(field: Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(KEEP.to_owned(), "1".to_owned());
    field.with_metadata(metadata)
}

fn source_name(field: &MappedField, to: Target) -> Option<String> {
    match to {
        Target::Platform => field.column.as_ref().map(|column| column.to_string()),
        Target::Warehouse => Some(field.name.to_string()),
    }
}

/// A column that holds the same value in every row.
fn constant(name: &str, logical: Type, value: &Value, rows: usize) -> Result<ArrayRef> {
    let mut builder = PageBuilder::new(&[(name.to_owned(), logical)]);
    builder.push(value);
    builder.end_row();
    let page = builder.take()?;
    if !page.misfits.is_empty() {
        return Err(Error::internal(format!("a constant of column `{name}` is not of its type")));
    }
    let zeros = arrow_array::UInt32Array::from(vec![0u32; rows]);
    arrow_select::take::take(page.rows.column(0), &zeros, None)
        .map_err(|error| Error::internal("repeat a constant").cause(error))
}

/// A page on its way.
struct Mapped<'a> {
    columns: &'a Columns,
    page: &'a Page,
    keys: Keys,
    skip: Vec<bool>,
    /// Rows that are rejects.
    bad: Vec<bool>,
    rejects: Vec<RowReject>,
    dropped: u64,
}

impl<'a> Mapped<'a> {
    fn new(columns: &'a Columns, page: &'a Page, before: Beforehand) -> Result<Self> {
        let at = position(page, &columns.key.source)?;
        let keys = Keys::read(page, at, &columns.mapping.key, columns.to)?;
        let rows = page.len();
        let skip = if before.skip.is_empty() { vec![false; rows] } else { before.skip };
        let (bad, rejects) = (vec![false; rows], Vec::new());
        let mut state = Self { columns, page, keys, skip, bad, rejects, dropped: 0 };
        for (row, why) in before.rejects {
            state.reject(row, why, false);
        }
        for (row, why) in state.keys.take_bad() {
            if !state.bad[row] {
                state.reject(row, why, false);
            }
        }
        Ok(state)
    }

    /// Notes a reject, unless the row is left out anyway. True if the row goes on without the field.
    fn reject(&mut self, row: usize, why: FieldReject, dropped: bool) {
        if self.skip.get(row).copied().unwrap_or(true) {
            return;
        }
        if dropped {
            self.dropped += 1;
        } else {
            self.bad[row] = true;
        }
        self.rejects.push(RowReject { row, key: self.keys.key(row), why, dropped });
    }

    /// One field's column in the target's form.
    fn field(&mut self, field: &MappedField) -> Result<ArrayRef> {
        let columns = self.columns;
        let (name, logical) = (columns.name(field), columns.logical(field));
        if let Some(value) = field.constant.as_ref().filter(|_| columns.to == Target::Platform) {
            return constant(&name, logical, value, self.page.len());
        }
        let source = source_name(field, columns.to).unwrap_or_default();
        let at = position(self.page, &source)?;
        let misfits = self.page.misfits.iter().filter(|misfit| misfit.column == at);
        let mut broken: Vec<(usize, FieldReject)> = misfits
            .map(|misfit| (misfit.row, FieldReject::field(&*field.name, misfit.rule, misfit.reason.clone())))
            .collect();
        let cells = self.page.rows.column(at);
        let from = self.page.rows.schema_ref().field(at).clone();
        let array = self.converted(field, cells, &from, &mut broken)?;
        self.judged(field, array, broken, logical)
    }

    fn converted(
        &self,
        field: &MappedField,
        cells: &ArrayRef,
        from: &Field,
        broken: &mut Vec<(usize, FieldReject)>,
    ) -> Result<ArrayRef> {
        let to = self.columns.to;
        let logical = self.columns.logical(field);
        let plain = field.plain();
        let fast = match logical_type(from) {
            _ if !plain => None,
            Some(found) if found == logical => Some(cells.clone()),
            Some(found) => cast::cast(cells, found, logical, &self.columns.mapping.zone),
            None => None,
        };
        let array = match fast {
            Some(array) => array,
            None if plain && cells.null_count() == cells.len() => new_null_array(&arrow_type(logical), cells.len()),
            None => return self.through_values(field, cells, from, broken),
        };
        if let Some(fitter) = field.fitter(to).filter(|fitter| !fitter.takes_all()) {
            check::check(&array, fitter, &arrow_field(from.name(), logical), broken);
        }
        Ok(array)
    }

    fn through_values(
        &self,
        field: &MappedField,
        cells: &ArrayRef,
        from: &Field,
        broken: &mut Vec<(usize, FieldReject)>,
    ) -> Result<ArrayRef> {
        let logical = self.columns.logical(field);
        let mut builder = PageBuilder::new(&[(from.name().clone(), logical)]);
        for row in 0..cells.len() {
            if self.skip[row] || self.bad[row] {
                builder.end_row();
                continue;
            }
            match field.towards(self.columns.to, &cell(cells, from, row)) {
                Ok(value) => builder.push(value.as_ref().unwrap_or(&Value::Null)),
                Err(why) => broken.push((row, why)),
            }
            builder.end_row();
        }
        let page = builder.take()?;
        for misfit in page.misfits {
            broken.push((misfit.row, FieldReject::field(&*field.name, misfit.rule, misfit.reason)));
        }
        Ok(page.rows.column(0).clone())
    }

    /// Tells the misfits of a column; where only the field is dropped, its cell becomes NULL.
    fn judged(
        &mut self,
        field: &MappedField,
        array: ArrayRef,
        mut broken: Vec<(usize, FieldReject)>,
        logical: Type,
    ) -> Result<ArrayRef> {
        if broken.is_empty() {
            return Ok(array);
        }
        broken.sort_by_key(|(row, _)| *row);
        broken.dedup_by_key(|(row, _)| *row);
        let needed = field.fitter(self.columns.to).is_some_and(|fitter| fitter.null_rule().is_err());
        let dropped = field.on_misfit == OnMisfit::DropField && !needed;
        let rows: Vec<usize> = broken.iter().map(|(row, _)| *row).collect();
        for (row, why) in broken {
            self.reject(row, why, dropped);
        }
        if !dropped {
            return Ok(array);
        }
        let mut clear = vec![false; array.len()];
        rows.into_iter().for_each(|row| clear[row] = true);
        arrow_select::nullif::nullif(&array, &BooleanArray::from(clear))
            .map_err(|error| Error::internal(format!("leave out misfits of type {logical}")).cause(error))
    }

    /// The key's own column, unless a field of its name is mapped from it.
    fn key_column(&self) -> Result<Option<(Field, ArrayRef)>> {
        let key = &self.columns.key;
        if key.shared {
            return Ok(None);
        }
        let array = self.keys.array().clone();
        let logical = if *array.data_type() == arrow_type(Type::Int64) { Type::Int64 } else { Type::Text };
        Ok(Some((arrow_field(&key.name, logical), array)))
    }

    fn finish(mut self, fields: Vec<Field>, arrays: Vec<ArrayRef>) -> Result<MappedPage> {
        let broken = |error| Error::internal("map a page").cause(error);
        let options = RecordBatchOptions::new().with_row_count(Some(self.page.len()));
        let all = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).map_err(broken)?;
        // A dropped field of a row that is a reject anyway was not dropped from anything.
        let bad = &self.bad;
        self.rejects.retain(|reject| !(reject.dropped && bad[reject.row]));
        self.rejects.sort_by_key(|reject| reject.row);
        self.dropped = self.rejects.iter().filter(|reject| reject.dropped).count() as u64;
        let rejected = bad.iter().filter(|bad| **bad).count() as u64;
        let keep: Vec<bool> = bad.iter().zip(&self.skip).map(|(bad, skip)| !bad && !skip).collect();
        let whole = keep.iter().all(|keep| *keep);
        let from = (0u32..).zip(&keep).filter(|(_, keep)| **keep).map(|(row, _)| row).collect();
        let keys = self.keys.array().clone();
        let (rows, keys) = if whole {
            (all, keys)
        } else {
            let keep = BooleanArray::from(keep);
            let rows = arrow_select::filter::filter_record_batch(&all, &keep).map_err(broken)?;
            (rows, arrow_select::filter::filter(&keys, &keep).map_err(broken)?)
        };
        Ok(MappedPage { rows, from, rejects: self.rejects, rejected, dropped: self.dropped, keys })
    }
}

/// Where a column stands in a page.
pub(crate) fn position(page: &Page, name: &str) -> Result<usize> {
    page.rows.schema_ref().index_of(name).map_err(|_| {
        Error::new(ErrorKind::SchemaChanged, format!("column `{name}` is not in what the source gave"))
            .hint("the source changed its shape during the run; run again")
    })
}

#[cfg(test)]
mod tests;
