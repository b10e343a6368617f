//! The closed list of transforms.

use serde::{Deserialize, Serialize};

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
