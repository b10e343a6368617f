//! The mapping of a sync, compiled against what both sides look like.

use tidegate_model::change::FieldReject;
use tidegate_model::error::Result;
use tidegate_model::record::FieldName;
use tidegate_model::schema::{FieldSchema, ModelSchema, NormalForm, RelationSchema};
use tidegate_model::sync::{ConflictRule, Direction, OnMisfit, Sync};
use tidegate_model::value::{Type, Value};

/// A sync's field mappings, ready for use.
pub struct Mapping {
    /// The fields in the order of the sync.
    pub fields: Vec<MappedField>,
    /// Hash over all fields' ids: seeds the row prints, so that a changed mapping makes every record be looked at.
    pub hash: u64,
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
    /// Who wins conflicts on it.
    pub conflict: ConflictRule,
    /// The constant, if it is one.
    pub constant: Option<Value>,
}

impl Mapping {
    /// Compiles a sync's mapping. Errors name the mapping, the column or field, near matches, and what to do.
    pub fn compile(sync: &Sync, relation: &RelationSchema, model: &ModelSchema) -> Result<Self> {
        let _ = (sync, relation, model);
        Err(tidegate_model::Error::internal("being written"))
    }
}

impl MappedField {
    /// The warehouse's value on its way to the platform: transform, map, empty, type, then the field's rules.
    /// `None`: no opinion (NULL under `nulls: skip`).
    pub fn to_platform(&self, value: &Value) -> Result<Option<Value>, FieldReject> {
        let _ = value;
        Err(FieldReject::record("unwritten", "being written"))
    }
    /// The platform's value on its way to the warehouse: map backwards (two-way) or transform and map (one-way to the
    /// warehouse), then the column's type, length and NOT NULL.
    pub fn to_warehouse(&self, value: &Value) -> Result<Option<Value>, FieldReject> {
        let _ = value;
        Err(FieldReject::record("unwritten", "being written"))
    }
    /// Whether two platform values are equal under the field's normal form and type (1 = 1.0 = 1.00, empty = NULL
    /// where the normal form says so).
    pub fn same_on_platform(&self, a: &Value, b: &Value) -> bool {
        a == b
    }
    /// Whether two warehouse values are equal.
    pub fn same_in_warehouse(&self, a: &Value, b: &Value) -> bool {
        a == b
    }
    /// Whether the warehouse's value and the platform's say the same: the mapped one equals the other.
    pub fn agree(&self, warehouse: &Value, platform: &Value) -> bool {
        match self.to_platform(warehouse) {
            Ok(Some(mapped)) => self.same_on_platform(&mapped, platform),
            _ => false,
        }
    }
}
