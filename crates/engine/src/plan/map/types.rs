//! What is known of types before any row is read.

use tidegate_model::sync::{As, FieldMap};
use tidegate_model::transform::Transform;
use tidegate_model::value::Type;

/// The exact number that a field of its own gets where the source does not say how many digits there are.
const NUMBER: Type = Type::Decimal { precision: 38, scale: 10 };

/// The type after the transforms; `None` where it depends on the values.
pub(super) fn after(source: Type, transforms: &[Transform]) -> Option<Type> {
    transforms.iter().try_fold(source, |at, transform| match transform {
        Transform::Trim
        | Transform::Lower
        | Transform::Upper
        | Transform::CollapseSpaces
        | Transform::NullIfEmpty
        | Transform::TruncateUs => Some(at),
        Transform::ToText
        | Transform::Truncate(_)
        | Transform::Join(_)
        | Transform::Prefix(_)
        | Transform::RegexExtract(_)
        | Transform::HashSha256 => Some(Type::Text),
        Transform::ToNumber => match at {
            Type::Int64 | Type::Decimal { .. } => Some(at),
            _ => None,
        },
        Transform::ToBoolean => Some(Type::Bool),
        Transform::DateOnly => Some(Type::Date),
        Transform::Round(_) => None,
        Transform::EpochDays | Transform::EpochSeconds | Transform::EpochMillis => None,
        Transform::Split(_) => Some(Type::List),
        Transform::JsonPath(_) => None,
    })
}

/// The type that a field gets which the platform does not have yet.
pub(super) fn for_new_field(source: Type, field: &FieldMap) -> Type {
    if let Some(hint) = field.hint {
        return hinted(hint, source, field.format.as_deref());
    }
    if !field.map.is_empty() {
        return Type::Text;
    }
    field.transform.iter().fold(source, |at, transform| match transform {
        Transform::JsonPath(_) => Type::Text,
        Transform::EpochDays | Transform::EpochSeconds | Transform::EpochMillis => Type::Int64,
        Transform::ToNumber => match at {
            Type::Int64 | Type::Decimal { .. } | Type::Float64 => at,
            _ => NUMBER,
        },
        Transform::Round(_) => at,
        other => after(at, std::slice::from_ref(other)).unwrap_or(at),
    })
}

fn hinted(hint: As, source: Type, format: Option<&str>) -> Type {
    match hint {
        As::Text | As::Url => Type::Text,
        As::Number => match source {
            Type::Int64 | Type::Decimal { .. } | Type::Float64 => source,
            _ => NUMBER,
        },
        As::Boolean => Type::Bool,
        As::Date => match source {
            Type::Date | Type::Timestamp | Type::TimestampTz => source,
            _ if format.is_some_and(has_time) => Type::TimestampTz,
            _ => Type::Date,
        },
        As::Tags => Type::List,
    }
}

/// Whether a strftime format has a time of day.
fn has_time(format: &str) -> bool {
    ["%H", "%I", "%k", "%l", "%T", "%R", "%s", "%c", "%r", "%X"].iter().any(|directive| format.contains(directive))
}
