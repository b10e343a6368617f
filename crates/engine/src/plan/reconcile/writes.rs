//! What is to be written in one direction. The values stand where a call needs them, so that a batch is lent to a connector
//! without copying or moving one of them.

use tidegate_model::change::{Action, Change};
use tidegate_model::record::{FieldName, Fields, Key, RemoteId};
use tidegate_model::value::Value;

use super::Class;

/// One field that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldWrite {
    /// The id of the field's mapping.
    pub id: u64,
    /// The name under which the target knows it.
    pub name: FieldName,
    /// The source side's value, in its own form; `None` if it is sent as it is.
    pub source: Option<Box<Value>>,
    /// The value that is sent, in the target's form.
    pub sent: Value,
    /// What stood at the target, if known.
    pub before: Option<Box<Value>>,
    /// In how many runs in a row this same value has been sent, this one included.
    pub streak: u8,
}

/// The same where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    about: &'a About,
    /// The name under which the target knows it.
    pub name: &'a FieldName,
    /// The value that is sent, in the target's form.
    pub sent: &'a Value,
}

impl<'a> Write<'a> {
    /// The id of the field's mapping.
    pub fn id(&self) -> u64 {
        self.about.id
    }
    /// The source side's value, in its own form.
    pub fn source(&self) -> &'a Value {
        self.about.source.as_deref().unwrap_or(self.sent)
    }
    /// The source side's value where it is not sent as it is.
    pub(super) fn own_source(&self) -> Option<&'a Value> {
        self.about.source.as_deref()
    }
    /// What stood at the target, if known.
    pub fn before(&self) -> Option<&'a Value> {
        self.about.before.as_deref()
    }
    /// In how many runs in a row this same value has been sent, this one included.
    pub fn streak(&self) -> u8 {
        self.about.streak
    }
}

/// What is known of a field besides its name and the value that is sent.
#[derive(Debug, Clone, PartialEq)]
struct About {
    id: u64,
    source: Option<Box<Value>>,
    before: Option<Box<Value>>,
    streak: u8,
}

/// The fields of one write. None of them can be seen while they are lent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Writes {
    sent: Fields,
    about: Vec<About>,
}

impl Writes {
    /// No field yet, and room for so many.
    pub fn with_capacity(fields: usize) -> Self {
        Self { sent: Fields::with_capacity(fields), about: Vec::with_capacity(fields) }
    }
    /// Adds a field.
    #[inline]
    pub fn push(&mut self, write: FieldWrite) {
        let FieldWrite { id, name, source, sent, before, streak } = write;
        self.sent.push(name, sent);
        self.about.push(About { id, source, before, streak });
    }
    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = Write<'_>> {
        self.about.iter().zip(self.sent.iter()).map(|(about, (name, sent))| Write { about, name, sent })
    }
    /// The last field, if there are more than so many.
    pub fn beyond(&self, known: usize) -> Option<Write<'_>> {
        self.iter().nth(known)
    }
    /// Number of fields.
    pub fn len(&self) -> usize {
        self.about.len()
    }
    /// True if there is no field.
    pub fn is_empty(&self) -> bool {
        self.about.is_empty()
    }
    /// Leaves only the first so many fields.
    pub fn truncate(&mut self, fields: usize) {
        self.sent.truncate(fields);
        self.about.truncate(fields);
    }
    /// Leaves out the field of a mapping.
    pub fn leave_out(&mut self, id: u64) {
        while let Some(at) = self.about.iter().position(|about| about.id == id) {
            self.about.remove(at);
            self.sent.remove_at(at);
        }
    }
}

impl FromIterator<FieldWrite> for Writes {
    fn from_iter<I: IntoIterator<Item = FieldWrite>>(writes: I) -> Self {
        let mut all = Self::default();
        writes.into_iter().for_each(|write| all.push(write));
        all
    }
}

/// What is asked of a target for one record. Its values stand once: in the writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The target's own id of the record, once linked.
    pub remote: Option<RemoteId>,
    /// What to do.
    pub action: Action,
    /// The fields to send; `None`: what the writes say.
    pub fields: Option<Fields>,
    /// The before-image that has to hold; `None`: write whatever stands there.
    pub expect: Option<Fields>,
}

/// What is to be done in one direction.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetPlan {
    /// How the record counts if nothing is sent.
    pub class: Class,
    /// What to send, for [`Class::Write`].
    pub change: Option<Asked>,
    /// Its fields.
    pub writes: Writes,
    /// Fields left out because their value does not fit.
    pub dropped: u64,
}

impl TargetPlan {
    pub(crate) fn of(class: Class) -> Self {
        Self { class, change: None, writes: Writes::default(), dropped: 0 }
    }

    /// The change as it is sent, if there is one. The values go with it, so that none of a batch's is there twice;
    /// [`TargetPlan::take_back`] returns them.
    pub fn lend(&mut self, key: &Key) -> Option<Change> {
        let asked = self.change.as_mut()?;
        let sent = &mut self.writes.sent;
        let fields = match &asked.fields {
            Some(fields) => fields.clone(),
            // A new record starts empty: clearing its fields says nothing.
            None if asked.action == Action::Create && sent.iter().any(|(_, value)| value.is_null()) => {
                let said = sent.iter().filter(|(_, value)| !value.is_null());
                said.map(|(name, value)| (name.clone(), value.clone())).collect()
            }
            None => std::mem::take(sent),
        };
        let (remote, expect) = (asked.remote.take(), asked.expect.take());
        Some(Change { key: key.clone(), remote, action: asked.action, fields, expect })
    }

    /// Takes back what [`TargetPlan::lend`] gave.
    pub fn take_back(&mut self, change: Change) {
        let Some(asked) = &mut self.change else { return };
        (asked.remote, asked.expect) = (change.remote, change.expect);
        if self.writes.sent.len() < self.writes.len() {
            self.writes.sent = change.fields;
        }
    }
}
