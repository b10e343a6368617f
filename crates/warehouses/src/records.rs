//! What is to be done with one record, decided from what stands in the target. Pure: the connectors read and write.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use tidegate_model::change::{Action, Change, Effect, FieldReject, Outcome};
use tidegate_model::record::Fields;

use crate::cell::Cell;
use crate::fit::Slot;

/// Columns of the target by name.
pub(crate) type Slots = BTreeMap<String, Slot>;

/// What stands in the target under a key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// Rows with this key: 0, 1, or more if the key is not unique.
    pub(crate) rows: usize,
    /// The fields of one of them. Cells that do not fit their column's type are left out: they equal nothing.
    pub(crate) fields: Fields,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Step {
    Insert,
    Update,
    Delete,
    /// Nothing to do: this is the outcome.
    Done(Outcome),
}

/// The columns that deciding about these changes needs, each once.
pub(crate) fn columns_of(batch: &[Change]) -> Vec<String> {
    let mut names: Vec<String> = batch.iter().flat_map(names_of).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn names_of(change: &Change) -> impl Iterator<Item = &str> {
    let expected = change.expect.iter().flat_map(Fields::iter);
    change.fields.iter().chain(expected).map(|(name, _)| &**name)
}

/// Decides. `Rejected` if a field does not fit its column.
pub(crate) fn decide(change: &Change, standing: &Standing, slots: &Slots) -> Step {
    if standing.rows > 1 {
        let reason =
            format!("the target has {} rows with this key; one can be written only if there is one", standing.rows);
        return Step::Done(Outcome::Rejected(FieldReject::record("duplicate_key", reason)));
    }
    if let Err(reject) = fits(change, slots) {
        return Step::Done(Outcome::Rejected(reject));
    }
    let there = standing.rows == 1;
    let unchanged = Step::Done(Outcome::Unchanged { remote: None });
    match change.action {
        Action::Create if !there => Step::Insert,
        Action::Create if holds(&change.fields, standing, slots) => unchanged,
        Action::Create if change.expect.is_some() => missed(change, standing),
        Action::Create => Step::Update,
        Action::Update if !there => missed(change, standing),
        Action::Update if holds(&change.fields, standing, slots) => unchanged,
        Action::Delete if !there => unchanged,
        Action::Update | Action::Delete => match &change.expect {
            Some(expect) if !holds(expect, standing, slots) => missed(change, standing),
            _ if change.action == Action::Delete => Step::Delete,
            _ => Step::Update,
        },
    }
}

fn fits(change: &Change, slots: &Slots) -> Result<(), FieldReject> {
    for (name, value) in change.fields.iter() {
        match slots.get(&**name) {
            Some(slot) => slot.fit(Cell::of(value)).map(|_| ())?,
            None => {
                return Err(FieldReject::field(&**name, "missing_column", "the target has no column of this name"));
            }
        }
    }
    Ok(())
}

/// Whether every one of these fields stands in the target.
fn holds(fields: &Fields, standing: &Standing, slots: &Slots) -> bool {
    fields.iter().all(|(name, value)| match (slots.get(&**name), standing.fields.get(name)) {
        (Some(slot), Some(stands)) => slot.same(value, stands),
        _ => false,
    })
}

/// The miss of a change, with what stands there instead.
pub(crate) fn missed_outcome(change: &Change, standing: &Standing) -> Outcome {
    let now = (standing.rows > 0).then(|| {
        let mut now = Fields::new();
        for name in names_of(change) {
            if let Some(value) = standing.fields.get(name) {
                now.set(name, value.clone());
            }
        }
        now
    });
    Outcome::Missed { now, remote: None }
}

fn missed(change: &Change, standing: &Standing) -> Step {
    Step::Done(missed_outcome(change, standing))
}

/// An applied change.
pub(crate) fn applied(effect: Effect) -> Outcome {
    Outcome::Applied { remote: None, effect, dropped: Vec::new(), stored: None }
}

/// Cuts a batch so that no part has a key twice: each part sees what the one before did.
pub(crate) fn waves(batch: &[Change]) -> Vec<&[Change]> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut seen = HashSet::new();
    for (at, change) in batch.iter().enumerate() {
        if !seen.insert(&change.key) {
            parts.push(&batch[start..at]);
            start = at;
            seen.clear();
            seen.insert(&change.key);
        }
    }
    parts.push(&batch[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// An outcome as the span row keeps it: without any value of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    Created,
    Updated,
    Deleted,
    Unchanged,
    /// What stands there is read again when it is told again.
    Missed,
    Rejected(FieldReject),
}

impl Told {
    /// The form to keep; `None` for outcomes that no database target gives.
    pub(crate) fn of(outcome: &Outcome) -> Option<Self> {
        Some(match outcome {
            Outcome::Applied { effect: Effect::Created, .. } => Self::Created,
            Outcome::Applied { effect: Effect::Updated, .. } => Self::Updated,
            Outcome::Applied { effect: Effect::Deleted, .. } => Self::Deleted,
            Outcome::Unchanged { .. } => Self::Unchanged,
            Outcome::Missed { .. } => Self::Missed,
            Outcome::Rejected(reject) => Self::Rejected(reject.clone()),
            Outcome::Retry(_) | Outcome::Unknown(_) => return None,
        })
    }

    /// The outcome again; `standing` is what stands there now.
    pub(crate) fn again(&self, change: &Change, standing: &Standing) -> Outcome {
        match self {
            Self::Created => applied(Effect::Created),
            Self::Updated => applied(Effect::Updated),
            Self::Deleted => applied(Effect::Deleted),
            Self::Unchanged => Outcome::Unchanged { remote: None },
            Self::Missed => missed_outcome(change, standing),
            Self::Rejected(reject) => Outcome::Rejected(reject.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_model::record::Key;
    use tidegate_model::schema::Column;
    use tidegate_model::value::{Type, Value};

    use super::*;

    fn slots() -> Slots {
        let column = |name: &str| Column {
            name: name.into(),
            logical: Type::Text,
            native: String::new(),
            nullable: true,
            max_length: None,
            filled: false,
        };
        ["a", "b"].into_iter().map(|name| (name.to_owned(), Slot::plain(column(name)))).collect()
    }

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(name, text)| ((*name).into(), Value::text(*text))).collect()
    }

    fn says(
        action: Action,
        write: &[(&str, &str)],
        expect: Option<&[(&str, &str)]>,
        stands: Option<&[(&str, &str)]>,
    ) -> String {
        let change =
            Change { key: Key::new("k"), remote: None, action, fields: fields(write), expect: expect.map(fields) };
        let standing = Standing { rows: usize::from(stands.is_some()), fields: stands.map(fields).unwrap_or_default() };
        match decide(&change, &standing, &slots()) {
            Step::Done(outcome) => format!("{:?}", Told::of(&outcome).expect("told")),
            step => format!("{step:?}"),
        }
    }

    #[test]
    fn every_case_of_a_conditional_write() {
        let new: &[(&str, &str)] = &[("a", "new")];
        let old: &[(&str, &str)] = &[("a", "old")];
        let other: &[(&str, &str)] = &[("a", "other")];
        for (action, expect, stands, want) in [
            (Action::Create, None, None, "Insert"),
            (Action::Create, None, Some(old), "Update"),
            (Action::Create, Some(&[][..]), Some(old), "Missed"),
            (Action::Create, Some(&[][..]), Some(new), "Unchanged"),
            (Action::Update, None, None, "Missed"),
            (Action::Update, None, Some(other), "Update"),
            (Action::Update, Some(old), Some(old), "Update"),
            (Action::Update, Some(old), Some(other), "Missed"),
            (Action::Update, Some(old), Some(new), "Unchanged"),
        ] {
            assert_eq!(says(action, new, expect, stands), want, "{action:?} {expect:?} {stands:?}");
        }
        assert_eq!(says(Action::Delete, &[], None, None), "Unchanged");
        assert_eq!(says(Action::Delete, &[], Some(old), Some(old)), "Delete");
        assert_eq!(says(Action::Delete, &[], Some(old), Some(other)), "Missed");
    }
}
