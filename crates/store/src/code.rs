//! How the store writes what the model hands it: JSON for structs, so that they can grow; postcard for values.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::Print;
use tidegate_model::sync::Target;

use crate::tx::damaged;

/// JSON text of a struct.
pub(crate) fn json<T: Serialize>(what: &str, value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::internal(format!("{what} cannot be written as JSON")).cause(error))
}

/// Text of a struct that holds values, proven to read back as it is: a position that cannot be read again would stop a
/// sync for good. JSON if it can hold it; it knows no infinite numbers, and rounds some others.
pub(crate) fn exact_json<T: Serialize + DeserializeOwned + PartialEq>(what: &str, value: &T) -> Result<String> {
    let readable = json(what, value)?;
    let bytes = || pack(what, value).map(|bytes| format!("{PACKED}{}", STANDARD_NO_PAD.encode(bytes)));
    for text in [Ok(readable), bytes()] {
        let text = text?;
        if from_json::<T>(what, &text).is_ok_and(|read| read == *value) {
            return Ok(text);
        }
    }
    Err(Error::new(ErrorKind::Data, format!("{what} is not a number (NaN): nothing comes after it"))
        .hint("leave such rows out of the sync, or choose another cursor column"))
}

/// Before the text of what JSON cannot hold.
const PACKED: &str = "postcard:";

/// JSON text of a struct that may be absent.
pub(crate) fn opt_json<T: Serialize + DeserializeOwned + PartialEq>(
    what: &str,
    value: Option<&T>,
) -> Result<Option<String>> {
    value.map(|value| exact_json(what, value)).transpose()
}

/// A struct from its JSON text. The text may hold values, so the cause names only the place.
pub(crate) fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    if let Some(packed) = text.strip_prefix(PACKED) {
        let bytes =
            STANDARD_NO_PAD.decode(packed).map_err(|_| damaged(format!("{what} in the state cannot be read")))?;
        return unpack(what, &bytes);
    }
    serde_json::from_str(text).map_err(|error| {
        damaged(format!("{what} in the state cannot be read (line {}, column {})", error.line(), error.column()))
    })
}

/// A struct from its JSON text, if there is one.
pub(crate) fn opt_from_json<T: DeserializeOwned>(what: &str, text: Option<String>) -> Result<Option<T>> {
    text.map(|text| from_json(what, &text)).transpose()
}

/// Compact bytes of fields or values.
pub(crate) fn pack<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>> {
    postcard::to_stdvec(value)
        .map_err(|error| Error::internal(format!("{what} cannot be written as bytes")).cause(error))
}

/// The same behind what a buffer holds.
pub(crate) fn pack_onto<T: Serialize>(what: &str, value: &T, buffer: &mut Vec<u8>) -> Result<()> {
    *buffer = postcard::to_extend(value, std::mem::take(buffer))
        .map_err(|error| Error::internal(format!("{what} cannot be written as bytes")).cause(error))?;
    Ok(())
}

/// Fields or values from their bytes.
pub(crate) fn unpack<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|error| damaged(format!("{what} in the state cannot be read")).cause(error))
}

/// The word of a side.
pub(crate) fn side(to: Target) -> &'static str {
    match to {
        Target::Platform => "platform",
        Target::Warehouse => "warehouse",
    }
}

/// A side from its word.
pub(crate) fn side_of(word: &str) -> Result<Target> {
    match word {
        "platform" => Ok(Target::Platform),
        "warehouse" => Ok(Target::Warehouse),
        _ => Err(damaged("a row of the state names a side that does not exist")),
    }
}

/// A print from its column; nothing is stored for the print of nothing.
pub(crate) fn print_of(bytes: Option<&[u8]>) -> Result<Print> {
    match bytes {
        None => Ok([0; 16]),
        Some(bytes) => {
            Print::try_from(bytes).map_err(|_| damaged("a fingerprint in the ledger does not have 16 bytes"))
        }
    }
}

/// The column of a print.
pub(crate) fn print_column(print: &Print) -> Option<&[u8]> {
    (*print != [0; 16]).then_some(print.as_slice())
}

/// Numbers that are never negative, from their column.
pub(crate) fn unsigned(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| damaged("a count in the state is negative"))
}

/// Numbers that are never negative, for their column; what does not fit counts as the largest that does.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tidegate_model::span::{CursorPoint, Position};
    use tidegate_model::value::Value;

    use super::*;

    #[test]
    fn positions_of_any_number_read_back_exactly() {
        let mut bits = 0x3fb9_9999_9999_999a_u64;
        let mut odd = 0;
        for number in 0..20_000 {
            bits = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number);
            let value = match number {
                0 => f64::INFINITY,
                1 => f64::NEG_INFINITY,
                _ => f64::from_bits(bits),
            };
            let position = Position::Cursor(CursorPoint { value: Value::Float(value), key: None });
            if value.is_nan() {
                assert_eq!(exact_json("a position", &position).unwrap_err().kind, ErrorKind::Data);
                continue;
            }
            let text = exact_json("a position", &position).unwrap();
            odd += u32::from(text.starts_with(PACKED));
            assert_eq!(from_json::<Position>("a position", &text).unwrap(), position, "{value:e}");
        }
        assert!(odd > 0, "the infinite ones at least");
    }
}
