//! Normal forms: "equal" always means equal under them.

use tidegate_model::schema::{Case, NormalForm};
use tidegate_model::value::{Decimal, Type, Value};

use crate::plan::fit::number_of;

/// The value under a normal form: two values are equal if their forms are. Numbers take the shortest decimal, JSON
/// its canonical text; texts and times what the normal form does to them.
pub fn normal(value: &Value, form: &NormalForm, logical: Type) -> Value {
    match value {
        Value::Null | Value::Bool(_) | Value::Date(_) | Value::Binary(_) => value.clone(),
        Value::Int(_) | Value::Decimal(_) | Value::Float(_) => number(value, form),
        Value::Text(text) => self::text(text, form),
        Value::Time(us) => Value::Time(step(*us, form)),
        Value::Timestamp(us) => Value::Timestamp(step(*us, form)),
        Value::TimestampTz(us) => Value::TimestampTz(step(*us, form)),
        Value::Json(json) if logical == Type::List => match tidegate_model::cells::list_value(json) {
            Value::List(items) => list(&items, form),
            other => other,
        },
        Value::Json(json) => Value::Json(canonical(json).into()),
        Value::List(_) if logical == Type::Json => Value::Json(canonical(&value.to_string()).into()),
        Value::List(items) => list(items, form),
    }
}

/// Whether two values are equal under a normal form.
pub(super) fn same(a: &Value, b: &Value, form: &NormalForm, logical: Type) -> bool {
    a == b || normal(a, form, logical) == normal(b, form, logical)
}

fn number(value: &Value, form: &NormalForm) -> Value {
    let Some(number) = number_of(value) else {
        // NaN and the infinities: as their names, so that each equals itself.
        return Value::text(value.to_string());
    };
    let number = form.scale.map_or(number, |scale| rounded(number, scale)).normalized();
    match number.unscaled().to_i128().and_then(|whole| i64::try_from(whole).ok()) {
        Some(whole) if number.scale() == 0 => Value::Int(whole),
        _ => Value::Decimal(number),
    }
}

/// Half away from zero, to a number of digits after the point.
fn rounded(number: Decimal, scale: i8) -> Decimal {
    if number.scale() <= scale {
        return number;
    }
    let ten = arrow_buffer::i256::from_i128(10);
    let drop = number.scale().saturating_sub(scale).unsigned_abs();
    let Some(unit) = ten.checked_pow(u32::from(drop)) else { return Decimal::from_i128(0, scale) };
    let (whole, rest) = (number.unscaled().wrapping_div(unit), number.unscaled().wrapping_rem(unit));
    let half = unit.wrapping_div(arrow_buffer::i256::from_i128(2));
    let one = arrow_buffer::i256::ONE;
    let whole = if rest >= half {
        whole.wrapping_add(one)
    } else if rest <= half.wrapping_neg() {
        whole.wrapping_sub(one)
    } else {
        whole
    };
    Decimal::new(whole, scale)
}

fn text(text: &str, form: &NormalForm) -> Value {
    let text = if form.trim { text.trim() } else { text };
    if text.is_empty() && form.empty_is_null {
        return Value::Null;
    }
    Value::Text(match form.case {
        None => text.into(),
        Some(Case::Lower) => text.to_lowercase().into(),
        Some(Case::Upper) => text.to_uppercase().into(),
    })
}

fn step(us: i64, form: &NormalForm) -> i64 {
    match form.time_step_us {
        Some(step) if step > 1 => us.div_euclid(step) * step,
        _ => us,
    }
}

fn list(items: &[Value], form: &NormalForm) -> Value {
    if items.is_empty() && form.empty_is_null {
        return Value::Null;
    }
    Value::List(items.iter().map(|item| normal(item, form, Type::Text)).collect())
}

/// Compact, keys sorted; text that is no JSON stays as it is.
fn canonical(json: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(json) {
        Ok(value) => value.to_string(),
        Err(_) => json.to_owned(),
    }
}
