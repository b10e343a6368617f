//! The files that belong to the pages. They are in the binary, and named by what is in them: a browser keeps each for
//! a year, and asks for another after an update.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/script.js");
/// A gate in a tide.
const ICON: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="5" fill="#0a6460"/><path d="M6 5v9M12 5v9M18 5v9M5 8h14M4 18q2-2 4 0t4 0 4 0 4 0" fill="none" stroke="#fff" stroke-width="2" stroke-linecap="round"/></svg>"##;

static MARK: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    (STYLE, SCRIPT).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
});

/// What the addresses of the files carry.
pub(super) fn mark() -> &'static str {
    &MARK
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, text).into_response()
}

/// The style sheet.
pub(super) async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE)
}

/// The script.
pub(super) async fn script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT)
}

/// The icon.
pub(super) async fn icon() -> Response {
    file("image/svg+xml", ICON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_of_another_address() {
        for text in [STYLE, SCRIPT] {
            assert!(
                !text.contains("http:")
                    && !text.contains("https:")
                    && !text.contains("@import")
                    && !text.contains("url(")
            );
        }
        assert!(
            !SCRIPT.contains("eval(") && !SCRIPT.contains("innerHTML = "),
            "the policy forbids the first, care the second"
        );
    }

    #[test]
    fn both_ways_to_be_dark_are_the_same() {
        let after = |mark: &str| {
            let rest = STYLE.split(mark).nth(1).expect("the block is there");
            let block = rest.split('}').next().unwrap_or("");
            block.replace("color-scheme: dark;", "").split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(after(":root:not([data-theme=\"light\"]) {"), after(":root[data-theme=\"dark\"] {"));
    }
}
