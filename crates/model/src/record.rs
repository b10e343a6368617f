//! Keys and records.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::value::{Text, Value};

/// The unique text that names a record on one side, in canonical form: integers without point or leading zeros,
/// text as is. Ordered by its bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(Text);

impl Key {
    /// A key from its canonical text.
    pub fn new(text: impl Into<Text>) -> Self {
        Self(text.into())
    }
    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The key of a value: text and integers (and decimals that are whole) only; `None` for NULL and empty text,
    /// and for types that cannot be keys.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) if !text.is_empty() => Some(Self::new(text.clone())),
            Value::Int(number) => Some(Self::new(number.to_string())),
            Value::Decimal(number) => {
                let whole = number.normalized();
                (whole.scale() <= 0).then(|| Self::new(whole.to_string()))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The name of a field or column. Each value of each record has one by it: up to 23 bytes stand in it, so that threads
/// which copy the same names do not wait for each other over who counts them.
pub type FieldName = Text;

/// Some fields of a record, in mapping order. A field that is not in here is absent: no opinion.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fields(Vec<(FieldName, Value)>);

impl Fields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }
    /// The value of a field, if it is here.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(field, _)| &**field == name).map(|(_, value)| value)
    }
    /// Sets a field, in place if it is here already.
    pub fn set(&mut self, name: impl Into<FieldName>, value: Value) {
        let name = name.into();
        match self.0.iter_mut().find(|(field, _)| *field == name) {
            Some(slot) => slot.1 = value,
            None => self.0.push((name, value)),
        }
    }
    /// No fields yet, and room for so many.
    pub fn with_capacity(fields: usize) -> Self {
        Self(Vec::with_capacity(fields))
    }
    /// Adds a field that is known not to be here yet.
    pub fn push(&mut self, name: impl Into<FieldName>, value: Value) {
        self.0.push((name.into(), value));
    }
    /// Takes a field out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(field, _)| &**field == name)?;
        Some(self.0.remove(at).1)
    }
    /// Takes the field at a place out.
    pub fn remove_at(&mut self, at: usize) {
        self.0.remove(at);
    }
    /// Leaves only the first so many fields.
    pub fn truncate(&mut self, fields: usize) {
        self.0.truncate(fields);
    }
    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&FieldName, &Value)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
    /// Number of fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// True if there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Fields {
    type Item = (FieldName, Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(FieldName, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (FieldName, Value)>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

/// The identity that a platform gave a record; after linking it is *the* identity, unique per sync.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RemoteId(Arc<str>);

impl RemoteId {
    /// A remote id from its text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RemoteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a record on a platform is named in a call: by remote id where we are linked, else by key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RecordRef {
    /// By the platform's own id.
    Remote(RemoteId),
    /// By the value of the sync's key field.
    Key(Key),
}
