//! Rows of the outbox as changes of profiles. Thinking only.

use std::collections::BTreeMap;

use tidegate_model::cells::value_at;
use tidegate_model::change::{Action, Change, FieldReject};
use tidegate_model::page::{DELETED, Page};
use tidegate_model::record::Fields;
use tidegate_model::value::Value;
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_warehouses::snowflake::job::Rejected;

use super::shape::Shape;

/// What a page comes to.
#[derive(Debug, Default)]
pub struct Found {
    /// Profiles to write.
    pub changes: Vec<Change>,
    /// Rows without a usable id.
    pub rejected: Vec<Rejected>,
    /// Attributes that are left out of what is written.
    pub dropped: Vec<Rejected>,
    /// Rows that left the source.
    pub left: u64,
}

/// A reject as it is kept.
pub fn rejected(key: Option<&str>, why: FieldReject) -> Rejected {
    Rejected { key: key.map(str::to_owned), field: why.field, rule: why.rule, reason: why.reason }
}

/// Makes changes of a page.
pub fn read(shape: &Shape, page: &Page) -> Result<Found> {
    let schema = page.rows.schema();
    let at = |name: &str| {
        schema.fields().iter().position(|field| field.name() == name).ok_or_else(|| {
            Error::new(ErrorKind::SchemaChanged, format!("the column {name} is not in what the outbox gave"))
                .hint("the stream's source changed its shape during the run; the next run reads it anew")
        })
    };
    let columns: Vec<usize> = shape.columns.iter().map(|name| at(name)).collect::<Result<_>>()?;
    let gone = at(DELETED)?;
    let mut misfits: BTreeMap<(usize, usize), FieldReject> = BTreeMap::new();
    for misfit in &page.misfits {
        misfits.insert((misfit.row, misfit.column), FieldReject::record(misfit.rule, misfit.reason.clone()));
    }
    let mut found = Found::default();
    for row in 0..page.len() {
        if value_at(&page.rows, gone, row) == Value::Bool(true) {
            found.left += 1;
            continue;
        }
        let cell = |column: usize| match misfits.get(&(row, columns[column])) {
            Some(why) => Err(why.clone()),
            None => Ok(value_at(&page.rows, columns[column], row)),
        };
        one(shape, &cell, &mut found);
    }
    Ok(found)
}

fn one(shape: &Shape, cell: &dyn Fn(usize) -> Result<Value, FieldReject>, found: &mut Found) {
    let key = match cell(0).and_then(|id| shape.mapping.key.of_warehouse(&id)).and_then(|key| shape.fits(key)) {
        Ok(key) => key,
        Err(why) => {
            found.rejected.push(rejected(None, FieldReject { field: Some(shape.columns[0].clone()), ..why }));
            return;
        }
    };
    let mut fields = Fields::new();
    for (number, field) in shape.mapping.fields.iter().enumerate() {
        // Every field has a column of its own, in the order of the mapping, behind the id.
        match cell(number + 1).and_then(|value| field.to_platform(&value)) {
            Ok(Some(value)) => fields.push(field.name.clone(), value),
            Ok(None) => {}
            Err(why) => {
                let why = FieldReject { field: Some(field.name.to_string()), ..why };
                found.dropped.push(rejected(Some(key.as_str()), why));
            }
        }
    }
    found.changes.push(Change { key, remote: None, action: Action::Update, fields, expect: None });
}
