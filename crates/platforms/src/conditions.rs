//! `where:` of a sync, for platforms that cannot filter: applied to what was read.

use std::cmp::Ordering;

use tidegate_model::sync::{Condition, Op};
use tidegate_model::time;
use tidegate_model::value::{Decimal, Type, Value};
use tidegate_model::{Error, Result};

/// A condition on a field.
pub struct Test {
    op: Op,
    value: Value,
}

/// The instant of an ISO text; one without a time is midnight UTC.
pub fn instant(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_microsecond());
    }
    let days = time::parse_date(text).ok()?;
    Some(i64::from(days) * 86_400_000_000)
}

impl Test {
    /// Reads the condition's value by the type of its field.
    ///
    /// # Errors
    /// A value that cannot be compared with the field.
    pub fn new(name: &str, logical: Type, condition: &Condition) -> Result<Self> {
        let text = condition.value.as_str();
        let value = match logical {
            Type::Bool => text.parse().ok().map(Value::Bool),
            Type::Int64 | Type::Decimal { .. } | Type::Float64 => Decimal::parse(text).map(Value::Decimal),
            Type::Date => time::parse_date(text).ok().map(Value::Date),
            Type::Timestamp | Type::TimestampTz => instant(text).map(Value::TimestampTz),
            _ => Some(Value::text(text)),
        };
        let value = value.ok_or_else(|| {
            Error::config(format!("`where`: {name} cannot be compared with this value"))
                .hint(format!("it holds {logical}; write the value so"))
        })?;
        Ok(Self { op: condition.op, value })
    }

    /// NULL is unequal to every value, and neither less nor greater.
    pub fn passes(&self, value: &Value) -> bool {
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
        (Value::Float(a), Value::Decimal(b)) => a.partial_cmp(&b.to_string().parse().ok()?),
        (Value::Decimal(a), Value::Decimal(b)) => Some(a.cmp(b)),
        (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        (Value::TimestampTz(a) | Value::Timestamp(a), Value::TimestampTz(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        _ => None,
    }
}
