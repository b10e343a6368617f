//! Whether a value can be stored in a column without losing anything, and in which form.

use std::borrow::Cow;

use tidegate_model::change::FieldReject;
use tidegate_model::schema::Column;
use tidegate_model::value::{Decimal, Type, Value};

use crate::cell::{Cell, canonical_json};

/// Whole numbers up to here are exact in a float of 64 bits.
const FLOAT_EXACT_MAX: i64 = 1 << 53;

/// What a column of a target takes: its description and the limits of its native type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot {
    pub(crate) column: Column,
    /// Bits of an integer column.
    pub(crate) int_bits: u8,
    /// The column keeps floats of 32 bits.
    pub(crate) single: bool,
    /// Decimals with more digits than this lose some (whole numbers of 64 bits do not).
    pub(crate) digits_max: Option<usize>,
    /// Text may not hold the character NUL.
    pub(crate) no_nul: bool,
    /// Computed by the database: never written.
    pub(crate) generated: bool,
    /// Times are kept in steps of this many microseconds.
    pub(crate) step_us: i64,
    /// Text is a UUID: 32 hex digits, kept in lower case with hyphens.
    pub(crate) uuid: bool,
    /// Blanks at the end of a text mean nothing.
    pub(crate) padded: bool,
    /// NULL is stored as the empty list.
    pub(crate) repeated: bool,
    /// False for native types that the connector reads as text and cannot write.
    pub(crate) writable: bool,
}

impl Slot {
    /// A column without limits of its own.
    pub(crate) fn plain(column: Column) -> Self {
        Self {
            column,
            int_bits: 64,
            single: false,
            digits_max: None,
            no_nul: false,
            generated: false,
            step_us: 1,
            uuid: false,
            padded: false,
            repeated: false,
            writable: true,
        }
    }

    fn reject(&self, rule: &str, reason: impl Into<String>) -> FieldReject {
        FieldReject::field(self.column.name.clone(), rule, reason)
    }

    /// The cell in the form of the column, or why it cannot be stored.
    pub(crate) fn fit<'a>(&self, cell: Cell<'a>) -> Result<Cell<'a>, FieldReject> {
        match (self.column.logical, cell) {
            (_, Cell::Null) if self.repeated => Ok(Cell::List(Cow::Borrowed("[]"))),
            (_, Cell::Null) if self.column.nullable => Ok(Cell::Null),
            (_, Cell::Null) => Err(self.reject("not_null", "the column does not take NULL")),
            (Type::Bool, cell @ Cell::Bool(_)) => Ok(cell),
            (Type::Int64, Cell::Int(whole)) => self.fit_int(whole),
            (Type::Int64, Cell::Decimal(number)) => {
                match number.rescale(0).and_then(|n| n.unscaled().to_i128()).and_then(|n| i64::try_from(n).ok()) {
                    Some(whole) => self.fit_int(whole),
                    None => Err(self.reject("out_of_range", "the number is not a whole number of 64 bits")),
                }
            }
            (Type::Decimal { precision, scale }, Cell::Decimal(number)) => self.fit_decimal(number, precision, scale),
            (Type::Decimal { precision, scale }, Cell::Int(whole)) => {
                self.fit_decimal(Decimal::from_i128(i128::from(whole), 0), precision, scale)
            }
            (_, Cell::Float(x)) if !x.is_finite() => Err(self.reject("not_finite", "the value is NaN or an infinity")),
            (Type::Decimal { precision, scale }, Cell::Float(x)) => match Decimal::parse(&x.to_string()) {
                Some(number) => self.fit_decimal(number, precision, scale),
                None => Err(self.reject("out_of_range", "the number has too many digits")),
            },
            (Type::Float64, Cell::Float(x)) => self.fit_float(x),
            (Type::Float64, Cell::Int(whole)) if whole.abs() <= FLOAT_EXACT_MAX => self.fit_float(whole as f64),
            (Type::Float64, Cell::Int(whole)) => self.fit_as_float(Decimal::from_i128(i128::from(whole), 0)),
            (Type::Float64, Cell::Decimal(number)) => self.fit_as_float(number),
            (Type::Text, Cell::Text(text) | Cell::Json(text) | Cell::List(text)) => self.fit_text(text),
            (Type::Text, Cell::Int(whole)) => self.fit_text(Cow::Owned(whole.to_string())),
            (Type::Text, Cell::Decimal(number)) => self.fit_text(Cow::Owned(number.normalized().to_string())),
            (Type::Date, cell @ Cell::Date(_)) => Ok(cell),
            (Type::Time, Cell::Time(us)) => self.fit_time(us).map(Cell::Time),
            (Type::Timestamp, Cell::Timestamp(us)) => self.fit_time(us).map(Cell::Timestamp),
            (Type::TimestampTz, Cell::TimestampTz(us)) => self.fit_time(us).map(Cell::TimestampTz),
            (Type::Binary, cell @ Cell::Binary(_)) => Ok(cell),
            (Type::Json, Cell::Json(text) | Cell::List(text)) => self.fit_json(&text).map(Cell::Json),
            (Type::List, Cell::List(text)) => self.fit_json(&text).map(Cell::List),
            (logical, cell) => {
                Err(self.reject("wrong_type", format!("{} cannot be stored in a {logical} column", cell.type_name())))
            }
        }
    }

    fn fit_int<'a>(&self, whole: i64) -> Result<Cell<'a>, FieldReject> {
        let most = i64::MAX >> (64 - u32::from(self.int_bits.clamp(1, 64)));
        if whole > most || whole < -most - 1 {
            return Err(self.reject("out_of_range", format!("the number does not fit {} bits", self.int_bits)));
        }
        Ok(Cell::Int(whole))
    }

    fn fit_decimal<'a>(&self, number: Decimal, precision: u8, scale: i8) -> Result<Cell<'a>, FieldReject> {
        let Some(fit) = number.rescale(scale).filter(|n| n.digits() <= usize::from(precision)) else {
            let reason = format!("the number has more digits than decimal({precision},{scale}) holds");
            return Err(self.reject("out_of_range", reason));
        };
        if let Some(most) = self.digits_max {
            let short = number.normalized();
            let whole = short.scale() <= 0 && short.unscaled().to_i128().is_some_and(|n| i64::try_from(n).is_ok());
            if !whole && short.digits() > most {
                let reason =
                    format!("the database would keep {most} digits of this number; declare the column as text");
                return Err(self.reject("loses_digits", reason));
            }
        }
        Ok(Cell::Decimal(fit))
    }

    fn fit_float<'a>(&self, x: f64) -> Result<Cell<'a>, FieldReject> {
        // By shortest text, so that what is shown of a 32-bit float (0.1) can be written back.
        if self.single && ((x as f32).to_string() != x.to_string() || !(x as f32).is_finite()) {
            return Err(self.reject("loses_digits", "the number does not fit a float of 32 bits"));
        }
        Ok(Cell::Float(x))
    }

    fn fit_as_float<'a>(&self, number: Decimal) -> Result<Cell<'a>, FieldReject> {
        let text = number.to_string();
        match text.parse::<f64>() {
            Ok(x) if x.is_finite() && Decimal::parse(&x.to_string()) == Some(number) => self.fit_float(x),
            _ => Err(self.reject("loses_digits", "the number has more digits than a floating point column keeps")),
        }
    }

    fn fit_text<'a>(&self, text: Cow<'a, str>) -> Result<Cell<'a>, FieldReject> {
        if self.no_nul && text.as_bytes().contains(&0) {
            return Err(self.reject("bad_text", "the database does not store the character NUL"));
        }
        if self.uuid {
            return self.fit_uuid(&text);
        }
        if self.padded && text.ends_with(' ') {
            return self.fit_text(Cow::Owned(text.trim_end_matches(' ').to_owned()));
        }
        if let Some(most) = self.column.max_length {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            if text.len() > most && text.chars().count() > most {
                return Err(self.reject("too_long", format!("the text has more than {most} characters")));
            }
        }
        Ok(Cell::Text(text))
    }

    fn fit_time(&self, us: i64) -> Result<i64, FieldReject> {
        if us.rem_euclid(self.step_us.max(1)) == 0 {
            return Ok(us);
        }
        Err(self.reject("loses_digits", format!("the column keeps times in steps of {} microseconds", self.step_us)))
    }

    fn fit_uuid<'a>(&self, text: &str) -> Result<Cell<'a>, FieldReject> {
        let digits: String = text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
        if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(self.reject("bad_uuid", "the text is not a UUID"));
        }
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        Ok(Cell::Text(Cow::Owned(parts.join("-"))))
    }

    fn fit_json<'a>(&self, text: &str) -> Result<Cow<'a, str>, FieldReject> {
        if self.no_nul && text.contains("\\u0000") {
            return Err(self.reject("bad_text", "the database does not store the character NUL"));
        }
        match canonical_json(text) {
            Some(canonical) => Ok(Cow::Owned(canonical)),
            None => Err(self.reject("bad_json", "the text is not a JSON document")),
        }
    }

    /// Whether a value, brought to the column's form, is what stands there.
    pub(crate) fn same(&self, value: &Value, stands: &Value) -> bool {
        match self.fit(Cell::of(value)) {
            Ok(cell) => cell.into_value() == *stands,
            // NULL in a NOT NULL column is expected nowhere, but an image of NULL compares all the same.
            Err(_) => value == stands,
        }
    }
}

/// Whether values of one type can be written to a column of another at all (single values may still not fit).
pub(crate) fn assignable(from: Type, to: Type) -> bool {
    use Type::{Decimal, Float64, Int64, Json, List, Text};
    match (from, to) {
        (Int64 | Decimal { .. } | Float64, Int64 | Decimal { .. } | Float64) => !matches!((from, to), (Float64, Int64)),
        (Int64 | Decimal { .. } | Json | List, Text) => true,
        (List, Json) => true,
        (from, to) => std::mem::discriminant(&from) == std::mem::discriminant(&to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(logical: Type) -> Slot {
        Slot::plain(Column {
            name: "c".into(),
            logical,
            native: String::new(),
            nullable: true,
            max_length: Some(3),
            filled: false,
        })
    }

    fn decimal(text: &str) -> Cell<'static> {
        Cell::Decimal(Decimal::parse(text).expect("number"))
    }

    fn rule(slot: &Slot, cell: Cell<'_>) -> String {
        slot.fit(cell).map_or_else(|reject| reject.rule, |_| "fits".into())
    }

    #[test]
    fn nothing_is_rounded_or_cut() {
        let money = slot(Type::Decimal { precision: 5, scale: 2 });
        assert_eq!(rule(&money, decimal("123.45")), "fits");
        assert_eq!(rule(&money, decimal("1.5000")), "fits");
        assert_eq!(rule(&money, decimal("1.505")), "out_of_range");
        assert_eq!(rule(&money, decimal("1234.5")), "out_of_range");
        assert_eq!(rule(&money, Cell::Float(0.1)), "fits");
        assert_eq!(rule(&money, Cell::Float(f64::NAN)), "not_finite");
        let text = slot(Type::Text);
        assert_eq!(rule(&text, Cell::Text("åäö".into())), "fits");
        assert_eq!(rule(&text, Cell::Text("åäöx".into())), "too_long");
        assert_eq!(rule(&text, Cell::Bool(true)), "wrong_type");
        let float = slot(Type::Float64);
        assert_eq!(rule(&float, decimal("0.1")), "fits");
        assert_eq!(rule(&float, decimal("0.12345678901234567891")), "loses_digits");
        assert_eq!(rule(&float, Cell::Int(i64::MAX)), "loses_digits");
        assert_eq!(rule(&Slot { single: true, ..float.clone() }, Cell::Float(0.1)), "fits");
        assert_eq!(rule(&Slot { single: true, ..float }, Cell::Float(0.123_456_789)), "loses_digits");
        let small = Slot { int_bits: 16, ..slot(Type::Int64) };
        assert_eq!(rule(&small, Cell::Int(32767)), "fits");
        assert_eq!(rule(&small, Cell::Int(-32768)), "fits");
        assert_eq!(rule(&small, Cell::Int(32768)), "out_of_range");
        assert_eq!(rule(&slot(Type::Int64), Cell::Int(i64::MIN)), "fits");
        assert_eq!(rule(&slot(Type::Int64), decimal("1.5")), "out_of_range");
        let real = Slot { digits_max: Some(15), ..slot(Type::Decimal { precision: 38, scale: 4 }) };
        assert_eq!(rule(&real, decimal("12345678901.2345")), "fits");
        assert_eq!(rule(&real, decimal("123456789012.2345")), "loses_digits");
        assert_eq!(rule(&real, decimal("1234567890123456789")), "fits");
    }

    #[test]
    fn equal_is_equal_in_the_columns_form() {
        let money = slot(Type::Decimal { precision: 5, scale: 2 });
        let number = |text: &str| Value::Decimal(Decimal::parse(text).expect("number"));
        assert!(money.same(&number("1.5"), &number("1.50")));
        assert!(money.same(&Value::Int(2), &number("2.00")));
        assert!(!money.same(&Value::Null, &number("0")));
        let json = slot(Type::Json);
        assert!(json.same(&Value::Json("{\"b\":1, \"a\":2}".into()), &Value::Json("{\"a\":2,\"b\":1}".into())));
    }
}
