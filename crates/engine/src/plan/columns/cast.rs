//! Casts of whole columns that cannot lose anything, whatever the values are.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, Decimal128Array};
use jiff::tz::TimeZone;
use tidegate_model::value::Type;

/// Digits of the largest integer of 64 bits.
const INT_DIGITS: i16 = 19;

/// The column in another type; `None` where values have to be looked at one by one.
pub(super) fn cast(array: &ArrayRef, from: Type, to: Type, zone: &TimeZone) -> Option<ArrayRef> {
    match (from, to) {
        (Type::Int64, Type::Decimal { precision, scale }) => {
            let factor = factor(scale, i16::from(precision) - i16::from(scale) - INT_DIGITS)?;
            let numbers = array.as_primitive::<Int64Type>();
            let scaled: Decimal128Array = numbers.unary(|number| i128::from(number) * factor);
            Some(Arc::new(scaled.with_precision_and_scale(precision, scale).ok()?))
        }
        (Type::Decimal { precision: had, scale: was }, Type::Decimal { precision, scale }) => {
            if had > 38 || precision > 38 || scale < was {
                return None;
            }
            let whole = (i16::from(precision) - i16::from(scale)) - (i16::from(had) - i16::from(was));
            let factor = factor(scale - was, whole)?;
            let numbers = array.as_primitive::<Decimal128Type>();
            let scaled: Decimal128Array = numbers.unary(|number| number * factor);
            Some(Arc::new(scaled.with_precision_and_scale(precision, scale).ok()?))
        }
        (Type::Timestamp, Type::TimestampTz) if *zone == TimeZone::UTC => {
            Some(Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone("UTC")))
        }
        (Type::TimestampTz, Type::Timestamp) if *zone == TimeZone::UTC => {
            Some(Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(None::<Arc<str>>)))
        }
        _ => None,
    }
}

/// 10 to the power of the digits that are added after the point, if there is room for those before it.
fn factor(digits: i8, room: i16) -> Option<i128> {
    if room < 0 || !(0..=38).contains(&digits) {
        return None;
    }
    10i128.checked_pow(u32::from(digits.unsigned_abs()))
}
