//! Marks of pages: where the next one begins, as text that callers hand back as it is.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_model::{Error, Result};

/// A mark as text. Hex of its JSON: it needs no escaping in an address.
pub fn text<M: Serialize>(mark: &M) -> Result<String> {
    let json = serde_json::to_vec(mark).map_err(|error| Error::internal("a mark has no text").cause(error))?;
    Ok(json.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The mark that a text stands for.
pub fn read<M: DeserializeOwned>(text: Option<&str>) -> Result<Option<M>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let bad = || Error::config("`after` is no mark of a page").hint("hand in `next` of the page before, as it is");
    if text.len() % 2 != 0 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad());
    }
    let bytes: Option<Vec<u8>> =
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect();
    serde_json::from_slice(&bytes.ok_or_else(bad)?).map(Some).map_err(|_| bad())
}

/// The mark behind the last of a full page.
pub fn next<T, M: Serialize>(items: &[(T, M)], limit: u32) -> Result<Option<String>> {
    let full = items.len() as u64 >= u64::from(limit);
    items.last().filter(|_| full).map(|(_, mark)| text(mark)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_and_others_are_refused() {
        let mark = (7_i64, "é".to_owned());
        let text = text(&mark).expect("text");
        assert_eq!(read::<(i64, String)>(Some(&text)).expect("read"), Some(mark));
        assert_eq!(read::<(i64, i64)>(None).expect("none"), None);
        for bad in ["x", "zz", "7b", "é", &text[1..]] {
            assert!(read::<(i64, String)>(Some(bad)).is_err(), "{bad}");
        }
    }
}
