//! Changes, outcomes and rejects: what is asked of a target, and what it said, record by record.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::record::{Fields, Key, RemoteId};
use crate::value::Value;

/// What is to be done with one record of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The record is not there yet: create it. If the target finds the key taken it answers with a miss
    /// ([`Outcome::Missed`]) when `expect` is given, else it updates the record (upsert).
    Create,
    /// Change fields of a record that is there.
    Update,
    /// Remove the record.
    Delete,
}

/// One planned write of one record. Carries changed fields only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The record's key (the value of the sync's key field, canonical).
    pub key: Key,
    /// The target's own id of the record, once linked.
    pub remote: Option<RemoteId>,
    /// What to do.
    pub action: Action,
    /// The fields to write, in the target's names and form. Empty for a delete.
    pub fields: Fields,
    /// The before-image: what we believe these fields hold at the target. A target that can write conditionally
    /// writes only if it still holds (equal under its normal forms), else it answers [`Outcome::Missed`].
    /// `None`: write whatever stands there.
    pub expect: Option<Fields>,
}

/// What an applied change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A record was created.
    Created,
    /// A record was changed.
    Updated,
    /// A record was removed.
    Deleted,
}

/// What the target said of one record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Outcome {
    /// Carried out.
    Applied {
        /// The target's own id, where it has one.
        remote: Option<RemoteId>,
        /// What it did.
        effect: Effect,
        /// Fields that the target refused while it took the others.
        dropped: Vec<FieldReject>,
        /// What the target stored, where its answer tells (normalised values); only fields of the change.
        stored: Option<Fields>,
    },
    /// The target had all of it already.
    Unchanged {
        /// The target's own id, where it has one.
        remote: Option<RemoteId>,
    },
    /// The target's record no longer holds the before-image (or the key was taken, or the record is gone):
    /// nothing was written. `now` is what stands there, `None` if the record is gone.
    Missed {
        /// The fields of the change as they stand at the target now.
        now: Option<Fields>,
        /// The target's own id.
        remote: Option<RemoteId>,
    },
    /// The record cannot be taken as it is. Nothing of it was written.
    Rejected(FieldReject),
    /// Not carried out, and worth another try (the error says when).
    Retry(#[serde(with = "error_text")] Error),
    /// The answer was lost: carried out or not, nobody knows.
    Unknown(#[serde(with = "error_text")] Error),
}

impl Outcome {
    /// Whether the target's record was not what was thought of it.
    pub fn is_missed(&self) -> bool {
        matches!(self, Self::Missed { .. })
    }
}

/// Why a record, or one field of it, cannot be delivered as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldReject {
    /// The field; `None` if it is the record as a whole.
    pub field: Option<String>,
    /// Stable name of the rule that it breaks, such as `required`, `too_long`, `null_key`, `unresolved_reference`.
    pub rule: String,
    /// For a person: what is wrong and what would be right. Never holds the value itself.
    pub reason: String,
}

impl FieldReject {
    /// A reject of one field.
    pub fn field(field: impl Into<String>, rule: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: Some(field.into()), rule: rule.into(), reason: reason.into() }
    }
    /// A reject of the whole record.
    pub fn record(rule: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: None, rule: rule.into(), reason: reason.into() }
    }
}

/// A reject as it is kept and listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reject {
    /// The record's key; `None` for rows without a usable key.
    pub key: Option<Key>,
    /// Which side was to be written.
    pub to: crate::sync::Target,
    /// Field, rule and reason.
    pub why: FieldReject,
    /// The value that could not be delivered, for signed-in eyes only; `None` where values are not kept.
    pub value: Option<Value>,
}

/// Errors inside outcomes are journalled as kind and text.
mod error_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::error::{Error, ErrorKind};

    #[derive(Serialize, Deserialize)]
    struct Stored(ErrorKind, String, Option<String>);

    pub fn serialize<S: Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
        Stored(error.kind, error.to_string(), error.hint.clone()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Error, D::Error> {
        let Stored(kind, message, hint) = Stored::deserialize(deserializer)?;
        let mut error = Error::new(kind, message);
        error.hint = hint;
        Ok(error)
    }
}
