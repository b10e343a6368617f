//! Times, numbers, values and addresses as a person reads them.

use std::fmt::Write;

use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value as Json;
use tidegate_model::Instant;

/// An address with its parameters; empty ones are left out.
pub(in crate::ui) fn link(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut out = path.to_owned();
    let mut mark = if path.contains('?') { '&' } else { '?' };
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        out.push(mark);
        mark = '&';
        out.push_str(name);
        out.push('=');
        out.push_str(&escaped(value));
    }
    out
}

/// Text as a part of an address.
pub(in crate::ui) fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

fn parsed(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// How long ago, or how far ahead; the exact time on demand.
pub(in crate::ui) fn ago(text: &str, now: Instant) -> Markup {
    let Some(time) = parsed(text) else { return html! { (text) } };
    let seconds = (now.0.div_euclid(1_000_000)) - time.as_second();
    let word = far(seconds.unsigned_abs());
    let said = match seconds {
        -4..=4 => "now".to_owned(),
        5.. => format!("{word} ago"),
        _ => format!("in {word}"),
    };
    html! { time.nowrap datetime=(text) title=(exact(time)) { (said) } }
}

fn far(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn exact(time: Timestamp) -> String {
    time.strftime("%-d %b %Y, %H:%M:%S UTC").to_string()
}

/// The exact time.
pub(in crate::ui) fn at(text: &str) -> Markup {
    let said = parsed(text).map_or_else(|| text.to_owned(), exact);
    html! { time.nowrap datetime=(text) { (said) } }
}

/// How long something took.
pub(in crate::ui) fn duration(ms: i64) -> String {
    match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// A number in groups of three, with a space that does not break.
pub(in crate::ui) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A word or sentence as it begins a line.
pub(in crate::ui) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// `1 reject`, `2 rejects`.
pub(in crate::ui) fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// A sentence of ours: it begins with a capital letter, and what stands between backticks is set as it is written.
pub(in crate::ui) fn sentence(text: &str) -> Markup {
    let pieces: Vec<&str> = text.split('`').collect();
    // Without its other half a backtick is just one.
    if pieces.len().is_multiple_of(2) {
        return html! { (text) };
    }
    let first = |piece: &str| {
        let mut rest = piece.chars();
        rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
    };
    html! {
        @for (at, piece) in pieces.iter().enumerate() {
            @if !at.is_multiple_of(2) { code { (piece) } } @else if at == 0 { (first(piece)) } @else { (piece) }
        }
    }
}

/// A value: nothing and empty text are told apart.
pub(in crate::ui) fn value(value: &Json) -> Markup {
    match value {
        Json::Null => html! { span.value.none { "nothing" } },
        Json::String(text) if text.is_empty() => html! { span.value.none { "empty text" } },
        other => html! { span.value { (crate::export::text(other)) } },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_carry_any_text() {
        assert_eq!(
            link("/record", &[("sync", "a b"), ("key", "ü/&?#"), ("after", "")]),
            "/record?sync=a%20b&key=%C3%BC%2F%26%3F%23"
        );
        assert_eq!(link("/a?b=c", &[("d", "e")]), "/a?b=c&d=e");
    }

    #[test]
    fn times_are_near_or_far() {
        let now = Instant(1_777_593_600_000_000);
        let said = |text: &str| ago(text, now).into_string();
        assert!(said("2026-04-30T23:58:00Z").contains(">2 min ago<"));
        assert!(said("2026-05-01T06:00:00Z").contains(">in 6 h<"));
        assert!(said("2026-05-01T00:00:02Z").contains(">now<"));
        assert!(said("<b>").contains("&lt;b&gt;"));
        assert_eq!(
            (duration(950), duration(61_500), duration(7_260_000)),
            ("950 ms".into(), "1 min 1 s".into(), "2 h 1 min".into())
        );
    }

    #[test]
    fn sentences_show_what_is_written_as_it_is() {
        assert_eq!(sentence("use `as: <date>` here").into_string(), "Use <code>as: &lt;date&gt;</code> here");
        assert_eq!(sentence("a ` alone").into_string(), "a ` alone");
        assert_eq!(sentence("`x` is gone").into_string(), "<code>x</code> is gone");
    }

    #[test]
    fn numbers_and_values() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(plural(1, "reject", "rejects"), "1 reject");
        assert!(value(&Json::Null).into_string().contains("nothing"));
        assert!(value(&serde_json::json!("<i>")).into_string().contains("&lt;i&gt;"));
        assert_eq!(crate::export::text(&serde_json::json!([1, 2])), "[1,2]");
    }
}
