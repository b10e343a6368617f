//! The closed list of transforms: read from text ([`Transform::parse`]), compiled once per run ([`compile`]), applied to
//! values. docs/transforms.md is made from [`docs::page`].

mod apply;
pub mod docs;
mod examples;
mod numbers;
mod parse;
mod path;
mod times;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::schema::{Case, NormalForm};
use crate::value::Value;

pub use parse::{names, takes_argument};

/// One transform of a field or key. Values of `transform:` in a sync.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// `trim`: white space at both ends goes.
    Trim,
    /// `lower`: to lower case.
    Lower,
    /// `upper`: to upper case.
    Upper,
    /// `collapse_spaces`: runs of white space become one blank.
    CollapseSpaces,
    /// `null_if_empty`: empty text becomes NULL.
    NullIfEmpty,
    /// `to_text`: the canonical text.
    ToText,
    /// `to_number`: an exact number.
    ToNumber,
    /// `to_boolean`: true or false.
    ToBoolean,
    /// `round:N`: to N digits after the point, half away from zero.
    Round(i8),
    /// `truncate:N`: cuts text to N characters.
    Truncate(u32),
    /// `truncate_us`: cuts times to microseconds.
    TruncateUs,
    /// `date_only`: the day of a time.
    DateOnly,
    /// `epoch_days`: days since 1970-01-01.
    EpochDays,
    /// `epoch_seconds`: seconds since 1970-01-01T00:00:00Z.
    EpochSeconds,
    /// `epoch_millis`: milliseconds since 1970-01-01T00:00:00Z.
    EpochMillis,
    /// `split:SEP`: text to a list.
    Split(String),
    /// `join:SEP`: a list to text.
    Join(String),
    /// `json_path:PATH`: one value out of a JSON document, such as `a.b[0]`.
    JsonPath(String),
    /// `prefix:TEXT`: text in front.
    Prefix(String),
    /// `regex_extract:RE`: the first group (or the match).
    RegexExtract(String),
    /// `hash_sha256`: lower-case hex of the SHA-256 of the canonical text.
    HashSha256,
}

/// Most memory that a compiled expression may take: large enough for any real one, small enough for a hundred fields.
const REGEX_BYTES_MAX: usize = 1 << 20;

pub(crate) fn regex(expression: &str) -> std::result::Result<regex::Regex, String> {
    regex::RegexBuilder::new(expression).size_limit(REGEX_BYTES_MAX).build().map_err(|error| {
        let last = error.to_string();
        let last = last.lines().next_back().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        format!("`{expression}` is not a regular expression: {last}")
    })
}

/// Why a value could not be transformed. Never holds the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformMisfit {
    /// Stable name of the rule: `wrong_type`, `not_a_number`, `not_a_boolean`, `not_a_time`, `not_json`, `not_finite`,
    /// `out_of_range`.
    pub rule: &'static str,
    /// One sentence.
    pub reason: String,
}

impl TransformMisfit {
    fn new(rule: &'static str, reason: impl Into<String>) -> Self {
        Self { rule, reason: reason.into() }
    }
}

/// Transforms made ready: expressions and paths are read once.
#[derive(Debug, Clone, Default)]
pub struct Compiled {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Plain(Transform),
    Path(Vec<path::Step>),
    Regex(regex::Regex),
}

/// Makes a list of transforms ready. Fails only if an argument was not made by [`Transform::parse`].
pub fn compile(transforms: &[Transform]) -> Result<Compiled> {
    let steps = transforms.iter().map(|transform| {
        Ok(match transform {
            Transform::JsonPath(text) => Step::Path(path::parse(text).map_err(Error::config)?),
            Transform::RegexExtract(text) => Step::Regex(regex(text).map_err(Error::config)?),
            other => Step::Plain(other.clone()),
        })
    });
    Ok(Compiled { steps: steps.collect::<Result<_>>()? })
}

impl Compiled {
    /// True if nothing is done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
    /// Applies all steps in order. NULL stays NULL. `zone` is the sync's: the days and instants of times without zone.
    pub fn apply(&self, value: Value, zone: &TimeZone) -> std::result::Result<Value, TransformMisfit> {
        self.steps.iter().try_fold(value, |value, step| apply::step(step, value, zone))
    }
}

/// Applies one transform. Compiles it each time: for many values take [`compile`].
pub fn apply(transform: &Transform, value: Value, zone: &TimeZone) -> std::result::Result<Value, TransformMisfit> {
    let compiled = compile(std::slice::from_ref(transform));
    compiled.map_err(|error| TransformMisfit::new("wrong_type", error.message))?.apply(value, zone)
}

/// Whether the transform changes nothing that the field's owner would not change anyway, so that a value that went
/// over and came back is equal. Transforms that change the type never are: the field's type is met without them.
pub fn is_identity_under(transform: &Transform, normal: &NormalForm) -> bool {
    match transform {
        Transform::Trim => normal.trim,
        Transform::Lower => normal.case == Some(Case::Lower),
        Transform::Upper => normal.case == Some(Case::Upper),
        Transform::NullIfEmpty => normal.empty_is_null,
        // Rounding to more digits first can change the last digit that is kept: 1.2346 → 1.235 → 1.24.
        Transform::Round(digits) => normal.scale == Some(*digits),
        // Values never carry more than microseconds.
        Transform::TruncateUs => true,
        Transform::CollapseSpaces
        | Transform::ToText
        | Transform::ToNumber
        | Transform::ToBoolean
        | Transform::Truncate(_)
        | Transform::DateOnly
        | Transform::EpochDays
        | Transform::EpochSeconds
        | Transform::EpochMillis
        | Transform::Split(_)
        | Transform::Join(_)
        | Transform::JsonPath(_)
        | Transform::Prefix(_)
        | Transform::RegexExtract(_)
        | Transform::HashSha256 => false,
    }
}

/// Whether there is any normal form under which the transform is an identity.
pub fn can_be_identity(transform: &Transform) -> bool {
    let every =
        |case, scale| NormalForm { trim: true, case: Some(case), scale, time_step_us: Some(1), empty_is_null: true };
    let scale = match transform {
        Transform::Round(digits) => Some(*digits),
        _ => None,
    };
    is_identity_under(transform, &every(Case::Lower, scale)) || is_identity_under(transform, &every(Case::Upper, scale))
}
