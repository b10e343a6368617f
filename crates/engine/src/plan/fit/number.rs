//! Numbers between types: every digit kept, or a misfit.

use tidegate_model::value::{Decimal, Type, Value};

use super::Broken;

/// Largest integer up to which every integer has a float of its own.
const EXACT_FLOAT: i64 = 1 << 53;

/// The exact number of a value; a float counts as the shortest decimal that names it. `None` for other types, NaN
/// and the infinities.
pub(crate) fn number_of(value: &Value) -> Option<Decimal> {
    match value {
        Value::Int(whole) => Some(Decimal::from_i128(i128::from(*whole), 0)),
        Value::Decimal(number) => Some(*number),
        Value::Float(number) if number.is_finite() => Decimal::parse(&format!("{number:e}")),
        _ => None,
    }
}

pub(super) fn to_int(value: &Value) -> Result<Value, Broken> {
    match value {
        Value::Int(whole) => Ok(Value::Int(*whole)),
        Value::Decimal(number) => whole(number),
        Value::Float(number) => {
            finite(*number)?;
            if number.abs() > EXACT_FLOAT as f64 {
                return Err(Broken::new("precision", "is a float too large to be a whole number exactly"));
            }
            number_of(value).ok_or_else(|| not_a(value, "whole number")).and_then(|number| whole(&number))
        }
        other => Err(not_a(other, "whole number")),
    }
}

fn whole(number: &Decimal) -> Result<Value, Broken> {
    let number = number.rescale(0).ok_or_else(|| {
        Broken::new("precision", "has digits after the point and must be whole; use `transform: [round:0]`")
    })?;
    let small = number.unscaled().to_i128().and_then(|number| i64::try_from(number).ok());
    small.map(Value::Int).ok_or_else(|| Broken::new("out_of_range", "is larger than 64 bits"))
}

pub(super) fn to_decimal(value: &Value, precision: u8, scale: i8) -> Result<Value, Broken> {
    if let Value::Float(number) = value {
        finite(*number)?;
    }
    let number = number_of(value).ok_or_else(|| not_a(value, "number"))?;
    // Sent as it was read where it may be: zeros filled up to the scale of the target say nothing, and cost at every step.
    let more = usize::try_from(i16::from(scale) - i16::from(number.scale()));
    if number.scale() >= 0 && more.is_ok_and(|more| number.digits() + more <= usize::from(precision)) {
        return Ok(Value::Decimal(number));
    }
    let Some(scaled) = number.normalized().rescale(scale) else {
        let reason = format!("has more than {scale} digits after the point; use `transform: [round:{scale}]`");
        return Err(Broken::new("precision", reason));
    };
    if scaled.digits() > usize::from(precision) {
        return Err(Broken::new("out_of_range", format!("has more digits than decimal({precision},{scale}) holds")));
    }
    Ok(Value::Decimal(scaled))
}

pub(super) fn to_float(value: &Value) -> Result<Value, Broken> {
    match value {
        Value::Float(number) => finite(*number).map(|()| Value::Float(*number)),
        Value::Int(whole) if whole.unsigned_abs() <= EXACT_FLOAT.unsigned_abs() => Ok(Value::Float(*whole as f64)),
        Value::Int(_) => Err(Broken::new("precision", "is too large to be a float exactly")),
        Value::Decimal(number) => {
            let float: f64 = number.to_string().parse().map_err(|_| not_a(value, "float"))?;
            // Only a float that names this very number again has lost nothing.
            match number_of(&Value::Float(float)) {
                Some(back) if back == *number => Ok(Value::Float(float)),
                _ => Err(Broken::new("precision", "has more digits than a float keeps")),
            }
        }
        other => Err(not_a(other, "number")),
    }
}

/// Text that is a number, read exactly and then fitted.
pub(super) fn read(text: &str, to: Type) -> Result<Value, Broken> {
    let number = Decimal::parse(text.trim()).ok_or_else(|| Broken::new("wrong_type", "is text that is no number"))?;
    let value = Value::Decimal(number);
    match to {
        Type::Int64 => to_int(&value),
        Type::Decimal { precision, scale } => to_decimal(&value, precision, scale),
        _ => to_float(&value),
    }
}

fn finite(number: f64) -> Result<(), Broken> {
    if number.is_finite() { Ok(()) } else { Err(Broken::new("not_finite", "is not a finite number")) }
}

fn not_a(value: &Value, wanted: &str) -> Broken {
    Broken::new("wrong_type", format!("is {} where a {wanted} is needed", value.type_name()))
}
