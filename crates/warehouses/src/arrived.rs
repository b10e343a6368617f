//! Arrow that came from a server, to the columns of our pages: what is the same whoever sent it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{DataType, SchemaRef};
use tidegate_model::page::{Misfit, Page};
use tidegate_model::value::Type;
use tidegate_model::{Error, ErrorKind, Result};

use crate::builder::not_finite;

/// Where misfits of one column are gathered.
pub(crate) struct Faults<'a> {
    column: usize,
    found: &'a mut Vec<Misfit>,
}

impl Faults<'_> {
    pub(crate) fn add(&mut self, row: usize, rule: &'static str, reason: impl Into<String>) {
        self.found.push(Misfit { row, column: self.column, rule, reason: reason.into() });
    }
}

/// Brings a batch into the form of our pages, column by column. `convert`: `None` if an array has no form that its
/// column has on the wire, which is then the error that `unknown` makes of it.
pub(crate) fn page<C>(
    batch: &RecordBatch,
    columns: &[C],
    schema: &SchemaRef,
    convert: impl Fn(&ArrayRef, &C, &mut Faults<'_>) -> Option<ArrayRef>,
    unknown: impl Fn(&C, &DataType) -> Error,
) -> Result<Page> {
    if batch.num_columns() != columns.len() {
        let came = batch.num_columns();
        return Err(Error::internal(format!("a result of {} columns came with {came}", columns.len())));
    }
    let mut misfits = Vec::new();
    let mut arrays = Vec::with_capacity(columns.len());
    for (at, (column, array)) in columns.iter().zip(batch.columns()).enumerate() {
        let mut faults = Faults { column: at, found: &mut misfits };
        arrays.push(convert(array, column, &mut faults).ok_or_else(|| unknown(column, array.data_type()))?);
    }
    misfits.sort_by_key(|misfit| (misfit.row, misfit.column));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let rows = RecordBatch::try_new_with_options(schema.clone(), arrays, &options)
        .map_err(|error| Error::internal("build a page").cause(error))?;
    Ok(Page { rows, misfits })
}

/// The error of a column that comes in a form that its type does not have.
pub(crate) fn unknown_form(name: &str, logical: Type, came: &DataType) -> Error {
    Error::new(ErrorKind::SchemaChanged, format!("column {name} comes as {came}, which cannot be read as {logical}"))
}

/// Numbers that are finite; the others are misfits.
pub(crate) fn floats(array: &ArrayRef, faults: &mut Faults<'_>) -> ArrayRef {
    let floats = array.as_primitive::<Float64Type>();
    // What stands below a NULL is looked at along; it could at most lead to the longer way.
    // To its end even so: without a way out for each cell, many are looked at in one go.
    if floats.values().iter().fold(true, |finite, cell| finite & cell.is_finite()) {
        return array.clone();
    }
    let cells = floats.iter().enumerate().map(|(row, cell)| {
        let cell = cell?;
        if !cell.is_finite() {
            let fault = not_finite();
            faults.add(row, fault.rule, fault.reason);
            return None;
        }
        Some(cell)
    });
    Arc::new(cells.collect::<Float64Array>())
}

/// Documents in their canonical text; what is none is a misfit.
pub(crate) fn documents(
    texts: &StringArray,
    canonical: impl Fn(&str) -> Option<String>,
    faults: &mut Faults<'_>,
) -> ArrayRef {
    let cells = texts.iter().enumerate().map(|(row, cell)| {
        let canonical = canonical(cell?);
        if canonical.is_none() {
            faults.add(row, "bad_json", "the cell holds no JSON document");
        }
        canonical
    });
    Arc::new(cells.collect::<StringArray>())
}
