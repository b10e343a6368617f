//! Fingerprints: 128-bit keyed hashes of rows and values, computed on Arrow columns.
//!
//! Numbers hash by value (1 = 1.0 = 1.00), so that an image kept as a value and the same value read back from a
//! column of another scale agree. A difference in prints only makes the engine look closer; it never decides.

use std::cell::RefCell;
use std::hash::Hasher;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::i256;
use arrow_schema::DataType;
use siphasher::sip128::{Hasher128, SipHasher13};
use tidegate_model::ports::Print;
use tidegate_model::value::{Decimal, Value};

/// The print of nothing.
pub const NO_PRINT: Print = [0; 16];

thread_local! {
    /// Room for the bytes of one value or row: a first load makes a print of every field of every record.
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}
/// More room than this is given back at once.
const ROOM_MAX: usize = 64 << 10;

/// Hands out empty room.
fn with_room<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    ROOM.with_borrow_mut(|room| {
        let done = work(room);
        room.clear();
        room.shrink_to(ROOM_MAX);
        done
    })
}

/// Makes prints with a store's secret key, seeded by the mapping's hash.
#[derive(Clone)]
pub struct Printer {
    key: [u8; 16],
    seed: u64,
}

impl Printer {
    /// A printer for one sync's mapping.
    pub fn new(key: [u8; 16], seed: u64) -> Self {
        Self { key, seed }
    }

    /// The prints of all rows over these columns.
    pub fn rows(&self, columns: &[&ArrayRef], rows: usize) -> Vec<Print> {
        let cells: Vec<Cells<'_>> = columns.iter().map(|column| Cells::of(column)).collect();
        let mut buffer = Vec::with_capacity(512);
        let mut prints = Vec::with_capacity(rows);
        for row in 0..rows {
            buffer.clear();
            for column in &cells {
                column.write(row, &mut buffer);
            }
            prints.push(self.hash(self.seed, &buffer));
        }
        prints
    }

    /// The print of a row of values; agrees with [`Printer::rows`].
    pub fn row<'a>(&self, values: impl Iterator<Item = &'a Value>) -> Print {
        with_room(|room| {
            values.for_each(|value| write_value(value, room));
            self.hash(self.seed, room)
        })
    }

    /// The print of one value, the same under every mapping.
    pub fn value(&self, value: &Value) -> Print {
        with_room(|room| {
            write_value(value, room);
            self.hash(0, room)
        })
    }

    /// A short print of a text, for remembered keys.
    pub fn short(&self, text: &str) -> u64 {
        let print = self.hash(0, text.as_bytes());
        u64::from_le_bytes([print[0], print[1], print[2], print[3], print[4], print[5], print[6], print[7]])
    }

    fn hash(&self, seed: u64, bytes: &[u8]) -> Print {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write_u64(seed);
        hasher.write(bytes);
        let mut print = hasher.finish128().as_bytes();
        if print == NO_PRINT {
            print[0] = 1;
        }
        print
    }
}

/// Whether two values of different types surely have the same print: a number whichever way it is kept, a moment with and
/// without zone.
pub fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(whole), Value::Decimal(number)) | (Value::Decimal(number), Value::Int(whole)) => {
            *number == Decimal::from_i128(i128::from(*whole), 0)
        }
        (Value::Decimal(a), Value::Decimal(b)) => a == b,
        (Value::Timestamp(a), Value::TimestampTz(b)) | (Value::TimestampTz(a), Value::Timestamp(b)) => a == b,
        _ => false,
    }
}

enum Cells<'a> {
    Bool(&'a arrow_array::BooleanArray),
    Int(&'a arrow_array::Int64Array),
    Decimal128(&'a arrow_array::Decimal128Array, i8),
    Decimal256(&'a arrow_array::Decimal256Array, i8),
    Float(&'a arrow_array::Float64Array),
    Text(&'a arrow_array::StringArray),
    Date(&'a arrow_array::Date32Array),
    Time(&'a arrow_array::Time64MicrosecondArray),
    Timestamp(&'a arrow_array::TimestampMicrosecondArray),
    Binary(&'a arrow_array::BinaryArray),
    Other,
}

const NULL: u8 = 0;
const BOOL: u8 = 1;
const NUMBER: u8 = 2;
const BIG_NUMBER: u8 = 3;
const FLOAT: u8 = 4;
const TEXT: u8 = 5;
const DATE: u8 = 6;
const TIME: u8 = 7;
const TIMESTAMP: u8 = 8;
const BINARY: u8 = 9;

impl<'a> Cells<'a> {
    fn of(array: &'a ArrayRef) -> Self {
        match array.data_type() {
            DataType::Boolean => Self::Bool(array.as_boolean()),
            DataType::Int64 => Self::Int(array.as_primitive::<Int64Type>()),
            DataType::Decimal128(_, scale) => Self::Decimal128(array.as_primitive::<Decimal128Type>(), *scale),
            DataType::Decimal256(_, scale) => Self::Decimal256(array.as_primitive::<Decimal256Type>(), *scale),
            DataType::Float64 => Self::Float(array.as_primitive::<Float64Type>()),
            DataType::Utf8 => Self::Text(array.as_string::<i32>()),
            DataType::Date32 => Self::Date(array.as_primitive::<Date32Type>()),
            DataType::Time64(_) => Self::Time(array.as_primitive::<Time64MicrosecondType>()),
            DataType::Timestamp(_, _) => Self::Timestamp(array.as_primitive::<TimestampMicrosecondType>()),
            DataType::Binary => Self::Binary(array.as_binary::<i32>()),
            _ => Self::Other,
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Bool(a) => a.is_null(row),
            Self::Int(a) => a.is_null(row),
            Self::Decimal128(a, _) => a.is_null(row),
            Self::Decimal256(a, _) => a.is_null(row),
            Self::Float(a) => a.is_null(row),
            Self::Text(a) => a.is_null(row),
            Self::Date(a) => a.is_null(row),
            Self::Time(a) => a.is_null(row),
            Self::Timestamp(a) => a.is_null(row),
            Self::Binary(a) => a.is_null(row),
            Self::Other => true,
        }
    }

    fn write(&self, row: usize, into: &mut Vec<u8>) {
        if self.is_null(row) {
            into.push(NULL);
            return;
        }
        match self {
            Self::Bool(a) => into.extend([BOOL, u8::from(a.value(row))]),
            Self::Int(a) => write_small(a.value(row), 0, into),
            Self::Decimal128(a, scale) => write_decimal(Decimal::from_i128(a.value(row), *scale), into),
            Self::Decimal256(a, scale) => write_decimal(Decimal::new(a.value(row), *scale), into),
            Self::Float(a) => write_fixed(FLOAT, float_bits(a.value(row)), into),
            Self::Text(a) => write_bytes(TEXT, a.value(row).as_bytes(), into),
            Self::Date(a) => write_fixed(DATE, i64::from(a.value(row)).cast_unsigned(), into),
            Self::Time(a) => write_fixed(TIME, a.value(row).cast_unsigned(), into),
            Self::Timestamp(a) => write_fixed(TIMESTAMP, a.value(row).cast_unsigned(), into),
            Self::Binary(a) => write_bytes(BINARY, a.value(row), into),
            Self::Other => into.push(NULL),
        }
    }
}

fn write_value(value: &Value, into: &mut Vec<u8>) {
    match value {
        Value::Null => into.push(NULL),
        Value::Bool(b) => into.extend([BOOL, u8::from(*b)]),
        Value::Int(i) => write_small(*i, 0, into),
        Value::Decimal(d) => write_decimal(*d, into),
        Value::Float(x) => write_fixed(FLOAT, float_bits(*x), into),
        Value::Text(text) | Value::Json(text) => write_bytes(TEXT, text.as_bytes(), into),
        Value::List(_) => write_bytes(TEXT, value.to_string().as_bytes(), into),
        Value::Date(days) => write_fixed(DATE, i64::from(*days).cast_unsigned(), into),
        Value::Time(us) => write_fixed(TIME, us.cast_unsigned(), into),
        Value::Timestamp(us) | Value::TimestampTz(us) => write_fixed(TIMESTAMP, us.cast_unsigned(), into),
        Value::Binary(bytes) => write_bytes(BINARY, bytes, into),
    }
}

fn write_decimal(number: Decimal, into: &mut Vec<u8>) {
    let number = number.normalized();
    match number.unscaled().to_i128().and_then(|wide| i64::try_from(wide).ok()) {
        Some(small) => write_small(small, number.scale(), into),
        None => {
            into.push(BIG_NUMBER);
            into.push(number.scale().cast_unsigned());
            into.extend(i256::to_le_bytes(number.unscaled()));
        }
    }
}

fn write_small(unscaled: i64, scale: i8, into: &mut Vec<u8>) {
    into.push(NUMBER);
    into.push(scale.cast_unsigned());
    into.extend(unscaled.to_le_bytes());
}

fn write_fixed(tag: u8, bits: u64, into: &mut Vec<u8>) {
    into.push(tag);
    into.extend(bits.to_le_bytes());
}

fn write_bytes(tag: u8, bytes: &[u8], into: &mut Vec<u8>) {
    into.push(tag);
    into.extend((bytes.len() as u64).to_le_bytes());
    into.extend(bytes);
}

fn float_bits(x: f64) -> u64 {
    if x == 0.0 { 0 } else { x.to_bits() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::cells::{PageBuilder, value_at};
    use tidegate_model::value::Type;

    #[test]
    fn what_is_alike_has_the_same_print() {
        let number = |text: &str| Value::Decimal(Decimal::parse(text).expect("a number"));
        let values = [
            Value::Null,
            Value::Int(5),
            Value::Int(-50),
            number("5"),
            number("5.000"),
            number("5.5"),
            number("-50.0"),
            number("123456789012345678901234567890"),
            Value::Timestamp(5),
            Value::TimestampTz(5),
            Value::TimestampTz(6),
            Value::Time(5),
            Value::Date(5),
            Value::text("5"),
            Value::Float(5.0),
        ];
        let (printer, mut pairs) = (Printer::new([7; 16], 42), 0);
        for a in &values {
            for b in values.iter().filter(|b| alike(a, b)) {
                assert_eq!(printer.value(a), printer.value(b), "{a:?} and {b:?}");
                assert!(alike(b, a));
                pairs += usize::from(a != b);
            }
        }
        // 5 three ways, -50 and the moment two ways; of equal decimals both are themselves.
        assert_eq!(pairs, 8);
    }

    #[test]
    fn prints_of_columns_and_of_values_agree() {
        let columns = [
            ("a".to_owned(), Type::Decimal { precision: 20, scale: 4 }),
            ("b".to_owned(), Type::Int64),
            ("c".to_owned(), Type::List),
            ("d".to_owned(), Type::TimestampTz),
            ("e".to_owned(), Type::Float64),
        ];
        let mut builder = PageBuilder::new(&columns);
        let row = [
            Value::Decimal(Decimal::parse("12.5").expect("number")),
            Value::Int(-3),
            Value::List(vec![Value::text("x")]),
            Value::TimestampTz(77),
            Value::Float(-0.0),
        ];
        row.iter().for_each(|value| builder.push(value));
        builder.end_row();
        builder.end_row();
        let page = builder.take().expect("page");
        let printer = Printer::new([7; 16], 42);
        let arrays: Vec<_> = page.rows.columns().iter().collect();
        let prints = printer.rows(&arrays, 2);
        assert_eq!(prints[0], printer.row(row.iter()));
        let read: Vec<Value> = (0..5).map(|column| value_at(&page.rows, column, 0)).collect();
        assert_eq!(prints[0], printer.row(read.iter()));
        assert_ne!(prints[0], prints[1]);
        assert_ne!(prints[0], Printer::new([7; 16], 43).row(row.iter()), "the mapping's hash seeds the print");
    }
}
