//! The page about transforms, docs/transforms.md: each with examples that are its tests.

use std::fmt::Write;

use super::Transform;
use super::examples::EXAMPLES;
use crate::value::{Decimal, Value};

pub use super::examples::ZONE;

/// A value in a table of examples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample {
    /// NULL.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An exact number.
    Decimal(&'static str),
    /// A floating point number.
    Float(f64),
    /// Text.
    Text(&'static str),
    /// A day.
    Date(&'static str),
    /// Date and time without zone.
    Timestamp(&'static str),
    /// An instant.
    TimestampTz(&'static str),
    /// A JSON document.
    Json(&'static str),
    /// A list of texts.
    List(&'static [&'static str]),
    /// No value: the rule that it breaks.
    Misfit(&'static str),
}

/// What a transform makes of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Example {
    /// As it is written in a file.
    pub transform: &'static str,
    /// What goes in.
    pub input: Sample,
    /// What comes out.
    pub output: Sample,
}

/// All examples.
pub fn examples() -> &'static [Example] {
    EXAMPLES
}

impl Sample {
    /// The value itself; `None` for a misfit, and for a text that is not what it should be.
    pub fn value(&self) -> Option<Value> {
        Some(match self {
            Sample::Null => Value::Null,
            Sample::Bool(b) => Value::Bool(*b),
            Sample::Int(i) => Value::Int(*i),
            Sample::Decimal(text) => Value::Decimal(Decimal::parse(text)?),
            Sample::Float(x) => Value::Float(*x),
            Sample::Text(text) => Value::text(*text),
            Sample::Date(text) => Value::Date(crate::time::parse_date(text).ok()?),
            Sample::Timestamp(text) => Value::Timestamp(crate::time::parse_timestamp(text).ok()?),
            Sample::TimestampTz(text) => Value::TimestampTz(crate::time::parse_timestamptz(text).ok()?),
            Sample::Json(text) => Value::Json((*text).into()),
            Sample::List(items) => Value::List(items.iter().map(|item| Value::text(*item)).collect()),
            Sample::Misfit(_) => return None,
        })
    }
    fn markdown(&self) -> String {
        let code = |text: &str| format!("`{}`", text.replace('|', "\\|").replace('\n', "\\n").replace('\t', "\\t"));
        match self {
            Sample::Null => "NULL".to_owned(),
            Sample::Bool(b) => code(&b.to_string()),
            Sample::Int(i) => code(&i.to_string()),
            Sample::Decimal(text) => format!("{} (decimal)", code(text)),
            Sample::Float(x) => format!("{} (float)", code(&x.to_string())),
            Sample::Text(text) => code(&format!("\"{text}\"")),
            Sample::Date(text) => format!("{} (date)", code(text)),
            Sample::Timestamp(text) => format!("{} (no zone)", code(text)),
            Sample::TimestampTz(text) => code(text),
            Sample::Json(text) => format!("{} (JSON)", code(text)),
            Sample::List(items) => {
                let quoted: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
                format!("{} (list)", code(&format!("[{}]", quoted.join(", "))))
            }
            Sample::Misfit(rule) => format!("misfit {}", code(rule)),
        }
    }
}

/// The text of docs/transforms.md.
pub fn page() -> String {
    let mut out = String::from(HEAD);
    for (name, text) in super::examples::TEXTS {
        let shown = if super::takes_argument(name) { format!("{name}:…") } else { (*name).to_owned() };
        // Writing to a String cannot fail.
        let _ = write!(out, "\n## {shown}\n\n{text}\n\n| written | from | to |\n| --- | --- | --- |\n");
        for example in EXAMPLES.iter().filter(|example| name_of(example.transform) == *name) {
            let written = example.transform.replace('|', "\\|");
            let (from, to) = (example.input.markdown(), example.output.markdown());
            let _ = writeln!(out, "| `{written}` | {from} | {to} |");
        }
    }
    out.push_str(FOOT);
    out
}

pub(super) fn name_of(transform: &str) -> &str {
    transform.split_once(':').map_or(transform, |(name, _)| name)
}

/// Whether a text is a transform of the closed list.
pub fn is_known(text: &str) -> bool {
    Transform::parse(text).is_ok()
}

const HEAD: &str = "\
<!-- Made from crates/model/src/transform/examples.rs. To make it anew: TIDEGATE_BLESS=1 cargo test -p tidegate-model -->
# Transforms

A field's `transform` is a list, applied from left to right to the value on its way to the target, before `map`:

```yaml
- { warehouse: tags, platform: custom.Tags, transform: [lower, \"split:;\", trim] }
```

- NULL stays NULL through all of them.
- A value that a transform cannot read is a misfit: the field's `on_misfit` decides whether the record is rejected or the field left out.
  Nothing is cut or guessed in silence.
- What follows the colon is taken as it is, blanks included. Put quotes around the whole where YAML needs them: `\"split:, \"`.
- Types that fit each other are converted without a transform (an integer into a decimal field, say).
- The examples below are tests; those with times use the zone Europe/Stockholm, as if by `timezone: Europe/Stockholm`.
";

const FOOT: &str = "
## Fields that flow both ways

On a field of direction `both` what went over must come back as it was. So only a transform that the platform would
do by itself is allowed there: `trim` where it trims, `lower` or `upper` where it keeps one case, `null_if_empty` where it stores
empty text as NULL, `round:N` where it keeps N digits, and `truncate_us`. `tidegate check` refuses all others; convert in a
view, or give the field one direction.
";
