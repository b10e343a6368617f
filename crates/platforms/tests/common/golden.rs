//! Texts that are held against files: `TIDEGATE_BLESS=1` writes them anew.

use std::path::PathBuf;

/// Fails unless the text is that of the file.
#[track_caller]
pub fn hold(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{} differs; TIDEGATE_BLESS=1 writes it anew, if it should", path.display());
}
