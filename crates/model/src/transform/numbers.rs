//! Exact numbers: read from text, rounded half away from zero.

use arrow_buffer::i256;

use super::TransformMisfit;
use super::apply::wrong_type;
use crate::value::{Decimal, Value};

pub(super) fn not_finite() -> TransformMisfit {
    TransformMisfit::new("not_finite", "the number is not finite")
}

/// An integer where there is neither point nor exponent and it fits, else a decimal.
pub(super) fn parse(text: &str) -> Option<Value> {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !body.is_empty()
        && body.bytes().all(|b| b.is_ascii_digit())
        && let Ok(whole) = text.parse()
    {
        return Some(Value::Int(whole));
    }
    Decimal::parse(text).map(Value::Decimal)
}

pub(super) fn to_number(value: Value) -> Result<Value, TransformMisfit> {
    match value {
        Value::Int(_) | Value::Decimal(_) => Ok(value),
        Value::Float(x) if x.is_finite() => of_float(x).map(Value::Decimal),
        Value::Float(_) => Err(not_finite()),
        Value::Text(text) => parse(text.trim()).ok_or_else(|| {
            TransformMisfit::new(
                "not_a_number",
                "the text is not a number: `to_number` reads a sign, digits, a point and an exponent, such as -12.50 or 1e3",
            )
        }),
        other => Err(wrong_type("to_number", "text or a number", &other)),
    }
}

/// The shortest digits that name this float.
fn of_float(x: f64) -> Result<Decimal, TransformMisfit> {
    Decimal::parse(&format!("{x:e}")).ok_or_else(too_large)
}

fn too_large() -> TransformMisfit {
    TransformMisfit::new("out_of_range", "the number has more digits than fit")
}

pub(super) fn round(value: Value, digits: i8) -> Result<Value, TransformMisfit> {
    match value {
        Value::Int(_) if digits >= 0 => Ok(value),
        Value::Int(whole) => {
            let rounded = half_away(&Decimal::from_i128(i128::from(whole), 0), digits);
            let whole = rounded.rescale(0).and_then(|number| number.unscaled().to_i128());
            whole.and_then(|whole| i64::try_from(whole).ok()).map(Value::Int).ok_or_else(too_large)
        }
        Value::Decimal(number) => Ok(Value::Decimal(half_away(&number, digits))),
        Value::Float(x) if !x.is_finite() => Err(not_finite()),
        Value::Float(x) => {
            let text = half_away(&of_float(x)?, digits).to_string();
            text.parse().map(Value::Float).map_err(|_| too_large())
        }
        other => Err(wrong_type("round", "a number (`to_number` before it reads text)", &other)),
    }
}

/// The nearest number with so many digits after the point; of two the one further from zero.
fn half_away(number: &Decimal, digits: i8) -> Decimal {
    let drop = i16::from(number.scale()) - i16::from(digits);
    if drop <= 0 {
        return *number;
    }
    let ten = i256::from_i128(10);
    let divisor = (0..drop).try_fold(i256::ONE, |power, _| power.checked_mul(ten));
    // A divisor past 76 digits is more than twice any number.
    let Some(divisor) = divisor else { return Decimal::new(i256::ZERO, digits.max(0)) };
    let (quotient, rest) = (number.unscaled().wrapping_div(divisor), number.unscaled().wrapping_rem(divisor));
    let rest = rest.wrapping_abs();
    let away = if number.unscaled() < i256::ZERO { i256::MINUS_ONE } else { i256::ONE };
    let quotient = if rest >= divisor.wrapping_sub(rest) { quotient.wrapping_add(away) } else { quotient };
    let rounded = Decimal::new(quotient, digits);
    if digits < 0 { rounded.rescale(0).unwrap_or(rounded) } else { rounded }
}
