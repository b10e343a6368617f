//! The members that the items of a call have, looked up once a call instead of once a record. Pure.

use super::models::{CUSTOM, Field, Layout};
use crate::names::place;

/// A member of items.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// Its name in syncs.
    pub(super) name: &'a str,
    /// What is known of it.
    pub(super) field: Option<&'a Field>,
    /// It stands within `custom`.
    pub(super) custom: bool,
    /// Its name as it is written, with the colon.
    pub(super) written: Vec<u8>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Members<'a> {
    /// Fields of changes, in the order in which changes have them, each with its place in `all`.
    fields: Vec<(&'a str, usize)>,
    /// In the order in which they are written: that of their names, `custom` being one.
    pub(super) all: Vec<Member<'a>>,
    /// The place of `_id`.
    pub(super) id: usize,
    /// The place of the sync's key.
    pub(super) key: usize,
    /// Fields that a new record needs, each with its place if it is among the members.
    pub(super) required: Vec<(&'a str, Option<usize>)>,
}

/// Where a member stands among the others.
fn order(name: &str, custom: bool) -> (&str, &str) {
    match name.strip_prefix(CUSTOM).filter(|_| custom) {
        Some(own) => (CUSTOM.trim_end_matches('.'), own),
        None => (name, ""),
    }
}

fn member<'a>(layout: &'a Layout, name: &'a str, custom: bool) -> Member<'a> {
    let shown = name.strip_prefix(CUSTOM).filter(|_| custom).unwrap_or(name);
    let written = format!("{}:", serde_json::Value::from(shown)).into_bytes();
    Member { name, field: layout.field(name), custom, written }
}

impl<'a> Members<'a> {
    /// Of changes with these fields.
    pub(super) fn of(layout: &'a Layout, key: &'a str, names: &[&'a str]) -> Self {
        let fields = names.iter().map(|name| (*name, name.starts_with(CUSTOM)));
        let mut all: Vec<(&str, bool)> = fields.chain([("_id", false), (key, false)]).collect();
        all.sort_unstable_by_key(|(name, custom)| order(name, *custom));
        all.dedup();
        let at = |name: &str, custom: bool| all.iter().position(|other| *other == (name, custom)).unwrap_or_default();
        let (id, key) = (at("_id", false), at(key, false));
        let fields = names.iter().map(|name| (*name, at(name, name.starts_with(CUSTOM)))).collect();
        let all = all.iter().map(|(name, custom)| member(layout, name, *custom)).collect();
        let mut members = Self { fields, all, id, key, required: Vec::new() };
        let required = layout.fields().filter(|field| field.schema.required);
        members.required = required.map(|field| (field.name(), members.own(field.name()))).collect();
        members
    }

    /// The member of a field, and where to look for the next one. `next`: where to look for this one.
    pub(super) fn find(&self, name: &str, next: &mut usize) -> Option<usize> {
        let found = place(self.fields.len(), *next, |at| self.fields[at].0, name)?;
        *next = found + 1;
        Some(self.fields[found].1)
    }

    /// The member of this name outside of `custom`.
    pub(super) fn own(&self, name: &str) -> Option<usize> {
        self.all.iter().position(|member| !member.custom && member.name == name)
    }
}
