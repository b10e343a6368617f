//! Transforms from text: `trim`, `round:2`, `split:;`.

use super::Transform;
use crate::config::did_you_mean;

/// What a transform takes after its colon.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Nothing,
    /// The number of digits.
    Digits,
    /// A number of characters.
    Characters,
    /// Text, never empty.
    Text(&'static str),
}

/// The closed list: name, what it takes.
const LIST: &[(&str, Takes)] = &[
    ("trim", Takes::Nothing),
    ("lower", Takes::Nothing),
    ("upper", Takes::Nothing),
    ("collapse_spaces", Takes::Nothing),
    ("null_if_empty", Takes::Nothing),
    ("to_text", Takes::Nothing),
    ("to_number", Takes::Nothing),
    ("to_boolean", Takes::Nothing),
    ("round", Takes::Digits),
    ("truncate", Takes::Characters),
    ("truncate_us", Takes::Nothing),
    ("date_only", Takes::Nothing),
    ("epoch_days", Takes::Nothing),
    ("epoch_seconds", Takes::Nothing),
    ("epoch_millis", Takes::Nothing),
    ("split", Takes::Text("split:;")),
    ("join", Takes::Text("join:, ")),
    ("json_path", Takes::Text("json_path:address.lines[0]")),
    ("prefix", Takes::Text("prefix:SE-")),
    ("regex_extract", Takes::Text("regex_extract:^([A-Z]+)-")),
    ("hash_sha256", Takes::Nothing),
];

/// Digits after the point that a decimal can have.
const DIGITS_MAX: i8 = 38;

/// The names of all transforms.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    LIST.iter().map(|(name, _)| *name)
}

/// Whether a transform of this name takes an argument.
pub fn takes_argument(name: &str) -> bool {
    LIST.iter().any(|(known, takes)| *known == name && *takes != Takes::Nothing)
}

impl Transform {
    /// Reads a transform as it stands in a file. Everything after the first colon is its argument, blanks included.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name.trim(), Some(argument)),
            None => (text.trim(), None),
        };
        let Some((name, takes)) = LIST.iter().find(|(known, _)| *known == name) else {
            let near = did_you_mean(name, names());
            let hint = near.map_or_else(
                || format!("there are {}", names().collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(format!("there is no transform `{name}`; {hint}"));
        };
        let argument = checked(name, *takes, argument)?;
        build(name, argument)
    }
}

fn checked<'a>(name: &str, takes: Takes, argument: Option<&'a str>) -> Result<&'a str, String> {
    match (takes, argument) {
        (Takes::Nothing, None) => Ok(""),
        (Takes::Nothing, Some(_)) => Err(format!("`{name}` takes nothing after it; write `{name}`")),
        (Takes::Text(_), Some(text)) if !text.is_empty() => Ok(text),
        (Takes::Text(example), _) => Err(format!("`{name}` needs a text after a colon, such as `{example}`")),
        (Takes::Digits, Some(text)) if text.trim().parse::<i8>().is_ok_and(|n| n.abs() <= DIGITS_MAX) => {
            Ok(text.trim())
        }
        (Takes::Digits, _) => {
            Err(format!("`{name}` needs a number of digits from -{DIGITS_MAX} to {DIGITS_MAX}, such as `{name}:2`"))
        }
        (Takes::Characters, Some(text)) if text.trim().parse::<u32>().is_ok_and(|n| n > 0) => Ok(text.trim()),
        (Takes::Characters, _) => Err(format!("`{name}` needs a number of characters from 1, such as `{name}:255`")),
    }
}

fn build(name: &str, argument: &str) -> Result<Transform, String> {
    let number = || format!("`{argument}` is not a number");
    let text = || argument.to_owned();
    Ok(match name {
        "trim" => Transform::Trim,
        "lower" => Transform::Lower,
        "upper" => Transform::Upper,
        "collapse_spaces" => Transform::CollapseSpaces,
        "null_if_empty" => Transform::NullIfEmpty,
        "to_text" => Transform::ToText,
        "to_number" => Transform::ToNumber,
        "to_boolean" => Transform::ToBoolean,
        "round" => Transform::Round(argument.parse().map_err(|_| number())?),
        "truncate" => Transform::Truncate(argument.parse().map_err(|_| number())?),
        "truncate_us" => Transform::TruncateUs,
        "date_only" => Transform::DateOnly,
        "epoch_days" => Transform::EpochDays,
        "epoch_seconds" => Transform::EpochSeconds,
        "epoch_millis" => Transform::EpochMillis,
        "split" => Transform::Split(text()),
        "join" => Transform::Join(text()),
        "json_path" => {
            super::path::parse(argument)?;
            Transform::JsonPath(text())
        }
        "prefix" => Transform::Prefix(text()),
        "regex_extract" => {
            super::regex(argument)?;
            Transform::RegexExtract(text())
        }
        "hash_sha256" => Transform::HashSha256,
        other => return Err(format!("there is no transform `{other}`")),
    })
}

impl std::fmt::Display for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Transform::Trim => f.write_str("trim"),
            Transform::Lower => f.write_str("lower"),
            Transform::Upper => f.write_str("upper"),
            Transform::CollapseSpaces => f.write_str("collapse_spaces"),
            Transform::NullIfEmpty => f.write_str("null_if_empty"),
            Transform::ToText => f.write_str("to_text"),
            Transform::ToNumber => f.write_str("to_number"),
            Transform::ToBoolean => f.write_str("to_boolean"),
            Transform::Round(digits) => write!(f, "round:{digits}"),
            Transform::Truncate(most) => write!(f, "truncate:{most}"),
            Transform::TruncateUs => f.write_str("truncate_us"),
            Transform::DateOnly => f.write_str("date_only"),
            Transform::EpochDays => f.write_str("epoch_days"),
            Transform::EpochSeconds => f.write_str("epoch_seconds"),
            Transform::EpochMillis => f.write_str("epoch_millis"),
            Transform::Split(separator) => write!(f, "split:{separator}"),
            Transform::Join(separator) => write!(f, "join:{separator}"),
            Transform::JsonPath(path) => write!(f, "json_path:{path}"),
            Transform::Prefix(text) => write!(f, "prefix:{text}"),
            Transform::RegexExtract(expression) => write!(f, "regex_extract:{expression}"),
            Transform::HashSha256 => f.write_str("hash_sha256"),
        }
    }
}
