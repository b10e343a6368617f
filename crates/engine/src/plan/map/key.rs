//! The key of a sync: what names a record on both sides.

use jiff::tz::TimeZone;
use tidegate_model::change::FieldReject;
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::record::{FieldName, Key};
use tidegate_model::schema::{ModelKind, ModelSchema, NormalForm, RelationSchema};
use tidegate_model::sync::Sync;
use tidegate_model::transform::{self, Compiled, Transform};
use tidegate_model::value::{Type, Value};

use super::compile::{missing_column, missing_field};
use super::equal::normal;

/// Most characters of the source key of a time series.
const SERIES_KEY_MAX: usize = 32;

/// The key, ready for use.
pub struct KeyMapping {
    /// The warehouse's column.
    pub column: FieldName,
    /// The column's type.
    pub column_type: Type,
    /// The platform's field; `None` for series and datasets.
    pub field: Option<FieldName>,
    steps: Compiled,
    normal: NormalForm,
    series: bool,
    zone: TimeZone,
}

impl KeyMapping {
    pub(super) fn compile(
        sync: &Sync,
        relation: &RelationSchema,
        model: &ModelSchema,
        zone: &TimeZone,
    ) -> Result<Self> {
        let column = relation
            .column(&sync.key.warehouse)
            .ok_or_else(|| missing_column(sync, "key.warehouse", &sync.key.warehouse, relation))?;
        let records = model.kind == ModelKind::Records;
        let normal = match &sync.key.platform {
            None if records => {
                return Err(Error::config(format!("sync `{}` has no `key.platform`", sync.name)).hint(format!(
                    "name the field of `{}` that holds the key: one of {}",
                    model.name,
                    model.keys.join(", ")
                )));
            }
            None => NormalForm::default(),
            Some(name) if name == tidegate_model::page::REMOTE_ID => NormalForm::default(),
            Some(name) => model.field(name).ok_or_else(|| missing_field(sync, "key.platform", name, model))?.normal,
        };
        check_type(sync, column.logical, model)?;
        Ok(Self {
            column: column.name.as_str().into(),
            column_type: column.logical,
            field: sync.key.platform.as_deref().map(Into::into),
            steps: transform::compile(&sync.key.transform)?,
            normal,
            series: model.kind == ModelKind::Series,
            zone: zone.clone(),
        })
    }

    /// Whether the column's text is the key as it stands.
    pub fn plain(&self) -> bool {
        self.steps.is_empty()
    }

    /// The key of a value of the warehouse's column, or why it is none.
    pub fn of_warehouse(&self, value: &Value) -> Result<Key, FieldReject> {
        if self.steps.is_empty() {
            return self.key(value);
        }
        let stepped = self.steps.apply(value.clone(), &self.zone);
        let stepped = stepped.map_err(|misfit| FieldReject::field(&*self.column, misfit.rule, misfit.reason))?;
        self.key(&stepped)
    }

    /// The key of a value of the platform's field, or why it is none.
    pub fn of_platform(&self, value: &Value) -> Result<Key, FieldReject> {
        self.key(value)
    }

    fn key(&self, value: &Value) -> Result<Key, FieldReject> {
        let column = &*self.column;
        let Some(key) = Key::of(value) else {
            return Err(match value {
                Value::Null => FieldReject::field(column, "null_key", "the key is NULL"),
                Value::Text(_) => FieldReject::field(column, "empty_key", "the key is empty text"),
                other => FieldReject::field(
                    column,
                    "wrong_key_type",
                    format!("a key is text or a whole number, not {}", other.type_name()),
                ),
            });
        };
        if self.normal.trim && key.as_str().trim().is_empty() {
            return Err(FieldReject::field(column, "empty_key", "the key is blank"));
        }
        if self.series {
            series_key(&key, value, column)?;
        }
        Ok(key)
    }

    /// What two keys have in common that the target takes for one: duplicates are decided under its normal form.
    pub fn normal_form(&self, key: &Key) -> Key {
        if self.normal == NormalForm::default() {
            return key.clone();
        }
        match normal(&Value::text(key.as_str()), &self.normal, Type::Text) {
            Value::Text(text) => Key::new(text),
            _ => key.clone(),
        }
    }
}

fn series_key(key: &Key, value: &Value, column: &str) -> Result<(), FieldReject> {
    if key.as_str().chars().count() > SERIES_KEY_MAX {
        let reason = format!("a source key has at most {SERIES_KEY_MAX} characters");
        return Err(FieldReject::field(column, "key_too_long", reason));
    }
    let digits = key.as_str().strip_prefix('-').unwrap_or(key.as_str());
    if matches!(value, Value::Text(_)) && !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(FieldReject::field(column, "key_not_numeric", "a source key is a whole number"));
    }
    Ok(())
}

/// CRM keys are text; the source key of a series is a number; a dataset takes either.
fn check_type(sync: &Sync, column: Type, model: &ModelSchema) -> Result<()> {
    let name = &sync.key.warehouse;
    let to_text = sync.key.transform.contains(&Transform::ToText);
    let bad = |why: String, hint: String| Err(Error::new(ErrorKind::Config, why).hint(hint));
    match model.kind {
        ModelKind::Records if column != Type::Text && sync.key.transform.is_empty() => bad(
            format!("sync `{}`: the key column `{name}` is {column}, and keys of `{}` are text", sync.name, model.name),
            "write `key: { warehouse: …, platform: …, transform: [to_text] }`, or cast the column in a view".to_owned(),
        ),
        ModelKind::Series if !number(column) => bad(
            format!(
                "sync `{}`: the source key `{name}` is {column}, and source keys of `{}` are whole numbers",
                sync.name, model.name
            ),
            "name a numeric, unique, increasing column without decimal places as `key.warehouse`".to_owned(),
        ),
        ModelKind::Dataset if column != Type::Text && !number(column) && !to_text => bad(
            format!("sync `{}`: the key column `{name}` is {column}, and keys are text or whole numbers", sync.name),
            "name a text or integer column as `key.warehouse`, or add `transform: [to_text]`".to_owned(),
        ),
        _ => Ok(()),
    }
}

fn number(logical: Type) -> bool {
    matches!(logical, Type::Int64) || matches!(logical, Type::Decimal { scale, .. } if scale <= 0)
}
