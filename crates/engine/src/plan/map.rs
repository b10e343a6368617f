//! The mapping of a sync, compiled against what both sides look like.

mod compile;
mod equal;
mod key;
mod types;

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use tidegate_model::change::FieldReject;
use tidegate_model::error::Result;
use tidegate_model::record::FieldName;
use tidegate_model::schema::{FieldSchema, ModelSchema, NormalForm, RelationSchema};
use tidegate_model::sync::{ConflictRule, Direction, EmptyText, Nulls, OnMisfit, Sync, Target};
use tidegate_model::transform::Compiled;
use tidegate_model::value::{Type, Value};

use super::fit::Fitter;
pub use equal::normal;
pub use key::KeyMapping;

/// A sync's field mappings, ready for use.
pub struct Mapping {
    /// The fields in the order of the sync.
    pub fields: Vec<MappedField>,
    /// Hash over all fields' ids: seeds the row prints, so that a changed mapping makes every record be looked at.
    pub hash: u64,
    /// What names a record on both sides.
    pub key: KeyMapping,
    /// The zone in which times without zone are read.
    pub zone: TimeZone,
    new_fields: Vec<(String, Type)>,
    addresses: Vec<String>,
}

/// One field mapping, ready for use.
pub struct MappedField {
    /// The platform's name of the field: its name in ledger, conflicts and rejects.
    pub name: FieldName,
    /// The warehouse's column; `None` for a constant.
    pub column: Option<FieldName>,
    /// Hash of name, column, direction-free mapping (transform, map, hints): the field's identity in the ledger. A
    /// changed mapping has another id and so has no image yet.
    pub id: u64,
    /// Which ways it flows.
    pub direction: Direction,
    /// The column's type (of the constant: its own).
    pub source_type: Type,
    /// The platform's field.
    pub target: FieldSchema,
    /// What the warehouse's column does to values (for equality); mostly nothing.
    pub warehouse_normal: NormalForm,
    /// What happens to misfits.
    pub on_misfit: OnMisfit,
    /// What NULL means.
    pub nulls: Nulls,
    /// Who wins conflicts on it.
    pub conflict: ConflictRule,
    /// The constant in the platform's form, if it is one.
    pub constant: Option<Value>,
    steps: Compiled,
    map: BTreeMap<String, Value>,
    /// The map read backwards.
    back: BTreeMap<String, Value>,
    empty: EmptyText,
    zone: TimeZone,
    forward: Fitter,
    backward: Option<Fitter>,
}

impl Mapping {
    /// Compiles a sync's mapping. Errors name the mapping, the column or field, near matches, and what to do.
    pub fn compile(sync: &Sync, relation: &RelationSchema, model: &ModelSchema) -> Result<Self> {
        compile::mapping(sync, relation, model)
    }
    /// Fields that the platform does not have yet, with the types that they are to get.
    pub fn new_fields(&self) -> Vec<(String, Type)> {
        self.new_fields.clone()
    }
    /// Those of them that are addresses.
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.clone()
    }
    /// The field of this platform name.
    pub fn field(&self, name: &str) -> Option<&MappedField> {
        self.fields.iter().find(|field| &*field.name == name)
    }
    /// The warehouse's columns that the fields need, each once, in the order of the sync (the key is not among them
    /// unless it is mapped).
    pub fn columns(&self) -> Vec<FieldName> {
        let mut columns: Vec<FieldName> = Vec::new();
        for column in self.fields.iter().filter_map(|field| field.column.as_ref()) {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        columns
    }
}

impl MappedField {
    /// The warehouse's value on its way to the platform: transform, map, empty, type, then the field's rules.
    /// `None`: no opinion (NULL under `nulls: skip`). A constant is the same whatever the value.
    pub fn to_platform(&self, value: &Value) -> Result<Option<Value>, FieldReject> {
        if let Some(constant) = &self.constant {
            return Ok(Some(constant.clone()));
        }
        if self.forward.has_type_of(value) && self.plain() {
            // Most values: the same as below, without a detour.
            return self.forward.check(value).map(|()| Some(value.clone()));
        }
        let mapped = match self.direction {
            Direction::ToWarehouse => self.mapped(Cow::Borrowed(value), &self.map)?,
            Direction::ToPlatform | Direction::Both => self.mapped(self.stepped(value)?, &self.map)?,
        };
        self.finished(mapped, |value| self.forward.fit(value))
    }

    /// The platform's value on its way to the warehouse: map backwards (two-way) or transform and map backwards
    /// (one-way to the warehouse), then the column's type, length and NOT NULL.
    pub fn to_warehouse(&self, value: &Value) -> Result<Option<Value>, FieldReject> {
        let Some(backward) = &self.backward else {
            return Err(self.broken("no_column", "is a constant and has no column to be written to"));
        };
        let mapped = match self.direction {
            Direction::ToWarehouse => self.mapped(self.stepped(value)?, &self.back)?,
            Direction::ToPlatform | Direction::Both => self.mapped(Cow::Borrowed(value), &self.back)?,
        };
        self.finished(mapped, |value| backward.fit(value))
    }

    fn stepped<'v>(&self, value: &'v Value) -> Result<Cow<'v, Value>, FieldReject> {
        if self.steps.is_empty() {
            return Ok(Cow::Borrowed(value));
        }
        let stepped = self.steps.apply(value.clone(), &self.zone).map(Cow::Owned);
        stepped.map_err(|misfit| FieldReject::field(&*self.name, misfit.rule, misfit.reason))
    }

    /// Through the map. On two-way fields, a value that is no input but stands among the outputs could not come back
    /// as itself.
    fn mapped<'v>(&self, value: Cow<'v, Value>, map: &BTreeMap<String, Value>) -> Result<Cow<'v, Value>, FieldReject> {
        if map.is_empty() || value.is_null() {
            return Ok(value);
        }
        let text = value.to_string();
        match map.get(text.as_str()) {
            Some(to) => Ok(Cow::Owned(to.clone())),
            None if self.direction == Direction::Both && map.values().any(|to| to.to_string() == text) => Err(self
                .broken(
                    "not_one_to_one",
                    "is a value that the mapping's `map` makes of another one, so it would come back changed",
                )),
            None => Ok(value),
        }
    }

    fn finished(
        &self,
        value: Cow<'_, Value>,
        fit: impl Fn(&Value) -> Result<Value, FieldReject>,
    ) -> Result<Option<Value>, FieldReject> {
        let value = match (&*value, self.empty) {
            (Value::Text(text), EmptyText::Null) if text.is_empty() => Cow::Owned(Value::Null),
            (Value::Text(text), EmptyText::Reject) if text.is_empty() => {
                return Err(self.broken("empty", "is empty text, which the mapping refuses (`empty: reject`)"));
            }
            _ => value,
        };
        if value.is_null() && self.nulls == Nulls::Skip {
            return Ok(None);
        }
        fit(&value).map(Some)
    }

    fn broken(&self, rule: &str, reason: &str) -> FieldReject {
        FieldReject::field(&*self.name, rule, reason)
    }

    /// Whether two platform values are equal under the field's normal form and type (1 = 1.0 = 1.00, empty = NULL
    /// where the normal form says so).
    pub fn same_on_platform(&self, a: &Value, b: &Value) -> bool {
        equal::same(a, b, &self.target.normal, self.target.logical)
    }
    /// Whether two warehouse values are equal.
    pub fn same_in_warehouse(&self, a: &Value, b: &Value) -> bool {
        equal::same(a, b, &self.warehouse_normal, self.source_type)
    }
    /// The platform's value under its normal form: equal values have equal forms, so this is what is fingerprinted.
    pub fn platform_form(&self, value: &Value) -> Value {
        normal(value, &self.target.normal, self.target.logical)
    }
    /// The warehouse's value under its normal form.
    pub fn warehouse_form(&self, value: &Value) -> Value {
        normal(value, &self.warehouse_normal, self.source_type)
    }
    /// Whether the warehouse's value and the platform's say the same: each field in the form of the side that it
    /// flows to; on a two-way field the finer form may be on either side.
    pub fn agree(&self, warehouse: &Value, platform: &Value) -> bool {
        let there = || match self.to_platform(warehouse) {
            Ok(Some(mapped)) => self.same_on_platform(&mapped, platform),
            Ok(None) => self.platform_form(platform).is_null(),
            Err(_) => false,
        };
        let back = || match self.to_warehouse(platform) {
            Ok(Some(mapped)) => self.same_in_warehouse(&mapped, warehouse),
            Ok(None) => self.warehouse_form(warehouse).is_null(),
            Err(_) => false,
        };
        match self.direction {
            Direction::ToPlatform => there(),
            Direction::ToWarehouse => back(),
            Direction::Both => there() || back(),
        }
    }
    /// A value on its way to one side.
    pub fn towards(&self, to: Target, value: &Value) -> Result<Option<Value>, FieldReject> {
        match to {
            Target::Platform => self.to_platform(value),
            Target::Warehouse => self.to_warehouse(value),
        }
    }
    /// Whether only type and rules of the target stand between its two sides.
    pub(crate) fn plain(&self) -> bool {
        self.constant.is_none() && self.steps.is_empty() && self.map.is_empty() && self.empty == EmptyText::Keep
    }
    /// The rules of one side; none for a constant's column.
    pub(crate) fn fitter(&self, to: Target) -> Option<&Fitter> {
        match to {
            Target::Platform => Some(&self.forward),
            Target::Warehouse => self.backward.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests;
