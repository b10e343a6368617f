//! How the store writes what the model hands it: JSON for structs, so that they can grow; postcard for values.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::Print;
use tidegate_model::sync::Target;

use crate::tx::damaged;

/// JSON text of a struct.
pub(crate) fn json<T: Serialize>(what: &str, value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::internal(format!("{what} cannot be written as JSON")).cause(error))
}

/// JSON text of a struct that may be absent.
pub(crate) fn opt_json<T: Serialize>(what: &str, value: Option<&T>) -> Result<Option<String>> {
    value.map(|value| json(what, value)).transpose()
}

/// A struct from its JSON text. The text may hold values, so the cause names only the place.
pub(crate) fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
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
