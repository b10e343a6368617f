//! Conditions. Planhat ignores filters that it does not know, so they are applied here.

use std::cmp::Ordering;

use tidegate_model::sync::{Condition, Op};
use tidegate_model::time;
use tidegate_model::value::{Decimal, Type, Value};
use tidegate_model::{Error, Result};

use super::codec;
use super::models::{Field, Layout};

/// A condition on a field.
pub(super) struct Test {
    pub(super) field: Field,
    op: Op,
    value: Value,
}

impl Test {
    pub(super) fn new(layout: &Layout, condition: &Condition) -> Result<Self> {
        let field = layout.field(&condition.field).ok_or_else(|| layout.no_field(&condition.field))?.clone();
        let text = condition.value.as_str();
        let value = match field.schema.logical {
            Type::Bool => text.parse().ok().map(Value::Bool),
            Type::Int64 | Type::Decimal { .. } | Type::Float64 => Decimal::parse(text).map(Value::Decimal),
            Type::Date => time::parse_date(text).ok().map(Value::Date),
            Type::Timestamp | Type::TimestampTz => codec::instant(text).map(Value::TimestampTz),
            _ => Some(Value::Text(codec::normal(&field, text))),
        };
        let value = value.ok_or_else(|| {
            Error::config(format!("`where`: {} cannot be compared with this value", field.name()))
                .hint(format!("it holds {}; write the value so", field.schema.logical))
        })?;
        Ok(Self { field, op: condition.op, value })
    }

    /// NULL is unequal to every value, and neither less nor greater.
    pub(super) fn passes(&self, value: &Value) -> bool {
        let order = compare(value, &self.value);
        match self.op {
            Op::Eq => order == Some(Ordering::Equal),
            Op::Ne => order != Some(Ordering::Equal),
            Op::Lt => order == Some(Ordering::Less),
            Op::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Op::Gt => order == Some(Ordering::Greater),
            Op::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Decimal(b)) => Some(Decimal::from_i128(i128::from(*a), 0).cmp(b)),
        (Value::Decimal(a), Value::Decimal(b)) => Some(a.cmp(b)),
        (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        (Value::TimestampTz(a), Value::TimestampTz(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        _ => None,
    }
}
