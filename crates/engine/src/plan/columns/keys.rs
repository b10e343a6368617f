//! The keys of a page: canonical, with the rows that have none.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
use arrow_schema::DataType;
use tidegate_model::cells::cell;
use tidegate_model::change::FieldReject;
use tidegate_model::error::Result;
use tidegate_model::page::Page;
use tidegate_model::record::Key;
use tidegate_model::sync::Target;
use tidegate_model::value::Type;

use crate::plan::map::{KeyMapping, Mapping};

/// Name of the column that holds the source key where no field is mapped from it.
pub const KEY: &str = "_key";

/// Where the key stands on both sides.
pub(super) struct KeyColumn {
    /// The source's column.
    pub(super) source: String,
    /// The column of mapped pages.
    pub(super) name: String,
    /// A mapped field is that column.
    pub(super) shared: bool,
}

impl KeyColumn {
    pub(super) fn new(mapping: &Mapping, to: Target) -> Self {
        let column = mapping.key.column.to_string();
        match to {
            Target::Platform => {
                let same = mapping
                    .fields
                    .iter()
                    .find(|field| field.column.as_deref() == Some(&*column) && field.plain() && mapping.key.plain());
                let name = same.map_or_else(|| KEY.to_owned(), |field| field.name.to_string());
                Self { source: column, name, shared: same.is_some() }
            }
            Target::Warehouse => {
                let source = mapping.key.field.as_ref().map_or_else(|| KEY.to_owned(), |field| field.to_string());
                let shared = mapping.fields.iter().any(|field| field.column.as_deref() == Some(&*column));
                Self { source, name: column, shared }
            }
        }
    }
}

/// The canonical keys of a page's rows.
pub(super) struct Keys {
    array: ArrayRef,
    bad: Vec<(usize, FieldReject)>,
}

impl Keys {
    pub(super) fn read(page: &Page, at: usize, mapping: &KeyMapping, to: Target) -> Result<Self> {
        let cells = page.rows.column(at);
        let field = page.rows.schema_ref().field(at);
        let whole = to == Target::Platform || mapping.column_type == Type::Int64;
        let as_it_is = match cells.data_type() {
            DataType::Int64 => whole && (to == Target::Warehouse || mapping.plain()) && cells.null_count() == 0,
            _ => false,
        };
        let misfits = page.misfits.iter().filter(|misfit| misfit.column == at);
        let mut bad: Vec<(usize, FieldReject)> = misfits
            .map(|misfit| (misfit.row, FieldReject::field(&*mapping.column, misfit.rule, misfit.reason.clone())))
            .collect();
        if as_it_is {
            return Ok(Self { array: cells.clone(), bad });
        }
        let mut keys: Vec<Option<Key>> = Vec::with_capacity(cells.len());
        for row in 0..cells.len() {
            let value = cell(cells, field, row);
            let key = match to {
                Target::Platform => mapping.of_warehouse(&value),
                Target::Warehouse => mapping.of_platform(&value),
            };
            keys.push(match key {
                Ok(key) => Some(key),
                Err(why) => {
                    if !bad.iter().any(|(at, _)| *at == row) {
                        bad.push((row, why));
                    }
                    None
                }
            });
        }
        let array = Self::array_of(&keys, mapping, to, &mut bad);
        Ok(Self { array, bad })
    }

    /// Text, or integers where the warehouse's column holds integers.
    fn array_of(
        keys: &[Option<Key>],
        mapping: &KeyMapping,
        to: Target,
        bad: &mut Vec<(usize, FieldReject)>,
    ) -> ArrayRef {
        if to == Target::Platform || mapping.column_type != Type::Int64 {
            let texts: StringArray = keys.iter().map(|key| key.as_ref().map(Key::as_str)).collect();
            return Arc::new(texts);
        }
        let mut numbers = Vec::with_capacity(keys.len());
        for (row, key) in keys.iter().enumerate() {
            let number = key.as_ref().map(|key| key.as_str().parse::<i64>());
            if let Some(Err(_)) = number {
                let reason = format!("column `{}` holds whole numbers, and the key is none", mapping.column);
                bad.push((row, FieldReject::field(&*mapping.column, "wrong_key_type", reason)));
            }
            numbers.push(number.and_then(std::result::Result::ok));
        }
        Arc::new(Int64Array::from(numbers))
    }

    pub(super) fn take_bad(&mut self) -> Vec<(usize, FieldReject)> {
        std::mem::take(&mut self.bad)
    }

    pub(super) fn array(&self) -> &ArrayRef {
        &self.array
    }

    pub(super) fn key(&self, row: usize) -> Option<Key> {
        key_of(&self.array, row)
    }
}

/// The key of a row of an array of canonical keys.
pub fn key_of(array: &ArrayRef, row: usize) -> Option<Key> {
    if row >= array.len() || array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Int64 => Key::new(array.as_primitive::<Int64Type>().value(row).to_string()),
        _ => Key::new(array.as_string::<i32>().value(row)),
    })
}
