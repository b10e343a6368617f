//! Cursor reads: from the last row but for a margin, up to a bound that is fixed when the span opens.

use std::cmp::Ordering;

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::ReadMode;
use tidegate_model::span::{CursorPoint, Position};
use tidegate_model::sync::Lookback;
use tidegate_model::value::{Decimal, Value};

use super::context::Ctx;

/// The margin for time columns where the sync names none: ten minutes.
const LOOKBACK_MICROS: i64 = 10 * 60 * 1_000_000;
/// The margin for numeric columns where the sync names none.
const LOOKBACK_IDS: i64 = 10_000;

/// A cursor's value moved back by the lookback (or its default for the value's type).
pub(crate) fn moved_back(value: &Value, lookback: Option<Lookback>) -> Value {
    let micros = match lookback {
        Some(Lookback::Micros(micros)) => micros,
        _ => LOOKBACK_MICROS,
    };
    let ids = match lookback {
        Some(Lookback::Count(count)) => count,
        _ => LOOKBACK_IDS,
    };
    match value {
        Value::Int(id) => Value::Int(id.saturating_sub(ids)),
        Value::Decimal(number) => {
            let margin = Decimal::from_i128(i128::from(ids), 0).rescale(number.scale().max(0));
            let number = number.rescale(number.scale().max(0));
            match (number, margin) {
                (Some(number), Some(margin)) => {
                    Value::Decimal(Decimal::new(number.unscaled().wrapping_sub(margin.unscaled()), number.scale()))
                }
                _ => value.clone(),
            }
        }
        Value::Timestamp(us) => Value::Timestamp(us.saturating_sub(micros)),
        Value::TimestampTz(us) => Value::TimestampTz(us.saturating_sub(micros)),
        Value::Date(days) => {
            let back = micros.div_euclid(86_400_000_000).saturating_add(1);
            Value::Date(days.saturating_sub(i32::try_from(back).unwrap_or(i32::MAX)))
        }
        other => other.clone(),
    }
}

/// The order of two cursor values of one column.
pub(crate) fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Timestamp(a) | Value::TimestampTz(a), Value::Timestamp(b) | Value::TimestampTz(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (a, b) => match (number(a), number(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => Ordering::Equal,
        },
    }
}

fn number(value: &Value) -> Option<Decimal> {
    match value {
        Value::Int(whole) => Some(Decimal::from_i128(i128::from(*whole), 0)),
        Value::Decimal(number) => Some(*number),
        _ => None,
    }
}

/// A greatest value below the cursor says that the column does not grow, or that the table was made anew.
pub(crate) fn refuse_backwards(ctx: &Ctx, bound: Option<&CursorPoint>) -> Result<()> {
    let Some(Position::Cursor(last)) = &ctx.state.warehouse else { return Ok(()) };
    let name = &ctx.sync.name;
    let column = ctx.sync.cursor.as_ref().map_or("", |cursor| cursor.column.as_str());
    let below = match bound {
        Some(bound) => compare(&bound.value, &last.value) == Ordering::Less,
        None => false,
    };
    if !below {
        return Ok(());
    }
    let margin = moved_back(&last.value, ctx.sync.cursor.as_ref().and_then(|cursor| cursor.lookback));
    if bound.is_some_and(|bound| compare(&bound.value, &margin) != Ordering::Less) {
        // Rows inside the margin may have been taken back, or are hidden behind a running transaction.
        return Ok(());
    }
    Err(Error::new(ErrorKind::Data, format!("sync {name}: the greatest `{column}` is below where the last run stood"))
        .hint(format!(
            "if the table was made anew, `tidegate reset {name} --yes`; otherwise use a column that only grows"
        )))
}

/// How a cursor read chooses its rows, from the last position (less the margin) to a bound.
pub(crate) fn read_mode(ctx: &Ctx, to: Option<&Position>) -> Result<ReadMode> {
    let cursor =
        ctx.sync.cursor.as_ref().ok_or_else(|| {
            Error::config(format!("sync {}: `changes: cursor` needs a `cursor:` block", ctx.sync.name))
        })?;
    let from = match &ctx.state.warehouse {
        Some(Position::Cursor(last)) => {
            Some(CursorPoint { value: moved_back(&last.value, cursor.lookback), key: None })
        }
        _ => None,
    };
    let Some(Position::Cursor(to)) = to else {
        return Err(Error::internal("a cursor read without a bound"));
    };
    let (column, key) = (cursor.column.clone(), ctx.sync.key.warehouse.clone());
    Ok(ReadMode::Cursor { column, key, from, to: to.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_fit_the_type_of_the_column() {
        assert_eq!(moved_back(&Value::Int(25_000), None), Value::Int(15_000));
        assert_eq!(moved_back(&Value::TimestampTz(600_000_001), None), Value::TimestampTz(1));
        let half = Value::Decimal(Decimal::parse("10000.5").expect("number"));
        assert_eq!(moved_back(&half, None), Value::Decimal(Decimal::parse("0.5").expect("number")));
        assert_eq!(moved_back(&Value::Int(5), Some(Lookback::Count(2))), Value::Int(3));
        assert_eq!(compare(&Value::Int(2), &half), Ordering::Less);
    }
}
