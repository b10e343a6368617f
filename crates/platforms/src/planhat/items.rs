//! Changes to the items of a bulk upsert. Pure: what has to be known of other records is handed in.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value as Json;
use tidegate_model::change::{Action, Change, FieldReject};
use tidegate_model::record::{Key, RemoteId};
use tidegate_model::value::{Type, Value};

use super::answer::{Asked, Sent};
use super::codec;
use super::config::ClearAs;
use super::directory::Parent;
use super::members::Members;
use super::models::{Field, Layout, Needs};
use super::told::KEYS;
use super::wired::{self, Wired};

/// Records that others refer to, by model and the name given.
pub(super) type Parents = HashMap<String, HashMap<String, Parent>>;

/// The members of an item, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Item<'a> {
    /// By their places among the members of the call.
    values: Vec<(usize, Wired<'a>)>,
    /// Fields that are emptied, by their places.
    pub(super) cleared: Vec<usize>,
    /// Fields that were left out, and why.
    pub(super) dropped: Vec<FieldReject>,
}

impl<'a> Item<'a> {
    fn clear(&mut self) {
        self.values.clear();
        self.cleared.clear();
        self.dropped.clear();
    }

    /// Brings them into their order. Of two of the same name the later stands.
    fn sort(&mut self) {
        self.values.sort_by_key(|(at, _)| *at);
        self.values.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
    }

    fn get(&self, member: Option<usize>) -> Option<&Wired<'a>> {
        let member = member?;
        self.values.iter().find(|(at, _)| *at == member).map(|(_, value)| value)
    }

    fn take(&mut self, member: Option<usize>) -> Option<Cow<'a, str>> {
        let member = member?;
        let (_, value) = self.values.iter_mut().find(|(at, _)| *at == member)?;
        match std::mem::replace(value, Wired::Null) {
            Wired::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The changes of a call, and what has to be known to make items of them.
pub(super) struct Upsert<'a> {
    pub(super) layout: &'a Layout,
    /// The field that is the sync's key.
    pub(super) key: &'a str,
    pub(super) changes: &'a [Change],
    pub(super) members: Members<'a>,
    /// Records that were looked up, by the places of their changes.
    pub(super) seen: HashMap<usize, RemoteId>,
    pub(super) parents: Parents,
    pub(super) clear_as: ClearAs,
}

/// The text of a reference.
fn name(value: &Value) -> Option<String> {
    Key::of(value).map(|key| key.as_str().trim().to_owned()).filter(|name| !name.is_empty())
}

/// The names of other records that changes give, by model. `names`: the fields that they have.
pub(super) fn references(layout: &Layout, names: &[&str], batch: &[Change]) -> HashMap<String, Vec<String>> {
    let mut out: HashMap<String, Vec<String>> = HashMap::new();
    for field in layout.fields().filter(|field| names.contains(&field.name())) {
        let Some(parent) = field.parent() else { continue };
        let names = out.entry(parent.to_owned()).or_default();
        names.extend(batch.iter().filter_map(|change| name(change.fields.get(field.name())?)));
    }
    for names in out.values_mut() {
        names.sort_unstable();
        names.dedup();
    }
    out.retain(|_, names| !names.is_empty());
    out
}

impl<'a> Upsert<'a> {
    /// The record of a change, where it is known.
    pub(super) fn remote(&self, at: usize) -> Option<&RemoteId> {
        self.seen.get(&at).or(self.changes[at].remote.as_ref())
    }

    /// The id under which a change is sent.
    pub(super) fn id(&self, at: usize) -> Option<RemoteId> {
        let key = || Some(self.changes[at].key.as_str()).filter(|key| self.key == "_id" && !key.is_empty());
        self.remote(at).cloned().or_else(|| key().map(RemoteId::new))
    }

    /// Makes the item of a change.
    pub(super) fn make<'s>(&'s self, at: usize, item: &mut Item<'s>) -> Result<(), FieldReject> {
        item.clear();
        let (change, members) = (&self.changes[at], &self.members);
        let (key, remote) = (change.key.as_str(), self.remote(at));
        if let Some(remote) = remote {
            item.values.push((members.id, Wired::Text(Cow::Borrowed(remote.as_str()))));
        }
        if self.key != "_id" && !key.is_empty() {
            let field = members.all[members.key].field.ok_or_else(|| unknown(self.layout, self.key))?;
            item.values.push((members.key, Wired::Text(codec::normal(field, key))));
        } else if remote.is_none() && !key.is_empty() {
            item.values.push((members.id, Wired::Text(Cow::Borrowed(key))));
        }
        let mut next = 0;
        for (name, value) in change.fields.iter() {
            let found = members.find(name, &mut next).and_then(|member| Some((member, members.all[member].field?)));
            let (member, field) = found.ok_or_else(|| unknown(self.layout, name))?;
            if let Some(value) = self.value(change, field, value, member, item)? {
                item.values.push((member, value));
            }
        }
        item.sort();
        if change.action == Action::Create { self.lacking(item) } else { Ok(()) }
    }

    /// A field's value; `None` if it is not sent.
    fn value<'s>(
        &'s self,
        change: &Change,
        field: &Field,
        value: &'s Value,
        member: usize,
        item: &mut Item<'s>,
    ) -> Result<Option<Wired<'s>>, FieldReject> {
        let name = field.name();
        if field.schema.read_only {
            return Err(FieldReject::field(
                name,
                "read_only",
                format!("{name} is computed by Planhat and not written"),
            ));
        }
        match value {
            Value::Null if field.schema.required => Err(required(name)),
            Value::Null if change.action == Action::Create => Ok(None),
            Value::Null => {
                let cleared = cleared(field, self.clear_as);
                match &cleared {
                    Some(_) => item.cleared.push(member),
                    None => item.dropped.push(FieldReject::field(name, CANNOT_CLEAR, OMITTED)),
                }
                Ok(cleared)
            }
            value if field.parent().is_some() => reference(field, value, &self.parents).map(Some),
            value => codec::wire(field, value).map(Some),
        }
    }

    /// Writes an item.
    pub(super) fn write(&self, item: &Item<'_>, out: &mut Vec<u8>) -> std::io::Result<()> {
        let (mut open, mut within) = (b'{', false);
        for (at, value) in &item.values {
            let member = &self.members.all[*at];
            if within && !member.custom {
                out.push(b'}');
                within = false;
            }
            out.push(open);
            if member.custom && !within {
                out.extend_from_slice(b"\"custom\":{");
                within = true;
            }
            out.extend_from_slice(&member.written);
            value.write(out)?;
            open = b',';
        }
        if item.values.is_empty() {
            out.push(b'{');
        }
        if within {
            out.push(b'}');
        }
        out.push(b'}');
        Ok(())
    }

    /// Takes the values of a change's item out of a text that Planhat wrote. They are made once more for it: few
    /// records are refused.
    pub(super) fn scrubbed(&self, at: usize, text: &str) -> String {
        let mut item = Item::default();
        // Whatever was sent could be made.
        let _made = self.make(at, &mut item);
        let mut texts = Vec::new();
        item.values.iter().for_each(|(_, value)| value.texts(&mut texts));
        without(text, texts)
    }

    fn lacking(&self, item: &Item<'_>) -> Result<(), FieldReject> {
        let empty = |member: Option<usize>| item.get(member).is_none_or(Wired::is_empty);
        if let Some((name, _)) = self.members.required.iter().find(|(_, member)| empty(*member)) {
            return Err(required(name));
        }
        // Where the field that decides is not given, Planhat decides.
        let says = |needs: &&Needs| item.get(self.members.own(&needs.when)) == Some(&Wired::Bool(needs.is));
        let lacks = |needs: &&Needs| needs.any.iter().all(|name| empty(self.members.own(name)));
        match self.layout.def.needs.iter().filter(says).find(lacks) {
            Some(Needs { when, is, any }) => {
                let reason = format!("a new {} with {when}: {is} needs {}", self.layout.def.name, any.join(" or "));
                Err(FieldReject::field(&any[0], "required", reason))
            }
            None => Ok(()),
        }
    }
}

impl Asked for Upsert<'_> {
    fn keys(&self, at: usize) -> Sent<'_> {
        let mut item = Item::default();
        // Whatever was sent could be made.
        let _made = self.make(at, &mut item);
        let [id, external, source, email] = KEYS.map(|name| item.take(self.members.own(name)));
        Sent { id, external, source, email }
    }

    fn updates(&self, at: usize) -> bool {
        self.changes[at].action == Action::Update
    }
}

/// The rule of fields that stay although they were emptied.
pub(super) const CANNOT_CLEAR: &str = "cannot_clear";
const OMITTED: &str = "the field was emptied, and `clear_as: omit` sends no empty values; empty it at Planhat by hand, or set clear_as to null or empty";

fn unknown(layout: &Layout, name: &str) -> FieldReject {
    FieldReject::field(name, "unknown_field", format!("{} has no field {name}", layout.def.name))
}

fn required(name: &str) -> FieldReject {
    FieldReject::field(name, "required", format!("{name} must not be empty"))
}

fn cleared<'v>(field: &Field, clear_as: ClearAs) -> Option<Wired<'v>> {
    match (clear_as, field.schema.logical) {
        (ClearAs::Null, _) => Some(Wired::Null),
        (ClearAs::Empty, Type::List) => Some(Wired::List(&[])),
        (ClearAs::Empty, _) => Some(Wired::Text(Cow::Borrowed(""))),
        (ClearAs::Omit, _) => None,
    }
}

fn reference<'p>(field: &Field, value: &Value, parents: &'p Parents) -> Result<Wired<'p>, FieldReject> {
    let (own, parent) = (field.name(), field.parent().unwrap_or_default());
    let Some(given) = name(value) else {
        let reason = format!("{own} takes the text that names a {parent}, not {}", value.type_name());
        return Err(FieldReject::field(own, "wrong_type", reason));
    };
    match parents.get(parent).and_then(|known| known.get(&given)) {
        // Only companyId is documented to take more than Planhat's own id.
        Some(found) if own == "companyId" => Ok(Wired::own(found.named())),
        Some(found) => Ok(Wired::Text(Cow::Borrowed(&found.id))),
        None => {
            let reason = format!("{own} names a {parent} that is not there (yet)");
            Err(FieldReject::field(own, "unresolved_reference", reason))
        }
    }
}

/// Takes the values of an item out of a text that Planhat wrote: reasons never hold values.
pub(super) fn scrubbed<'j>(text: &str, members: impl Iterator<Item = &'j Json>) -> String {
    let mut texts = Vec::new();
    members.for_each(|value| wired::texts(value, &mut texts));
    without(text, texts)
}

/// Takes texts out of a text, the longest first. Short ones could be anything.
fn without(text: &str, texts: Vec<Cow<'_, str>>) -> String {
    let mut all: Vec<Cow<'_, str>> = texts.into_iter().filter(|text| text.chars().count() > 2).collect();
    all.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
    let mut out = text.to_owned();
    for value in &all {
        let bare = value.strip_prefix("extid-").or_else(|| value.strip_prefix("srcid-")).unwrap_or(value);
        out = out.replace(&**value, "…");
        if bare.len() > 2 {
            out = out.replace(bare, "…");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::models::{self, CUSTOM};
    use super::*;
    use crate::names::names;
    use serde_json::json;
    use tidegate_model::record::Fields;
    use tidegate_model::schema::FieldSchema;

    fn change(action: Action, key: &str, fields: &[(&str, &str)]) -> Change {
        let fields: Fields = fields.iter().map(|(name, text)| ((*name).into(), Value::text(*text))).collect();
        Change { key: Key::new(key), remote: None, action, fields, expect: None }
    }

    fn layout() -> Layout {
        let custom = |name: &str| Field::plain(FieldSchema::new(format!("{CUSTOM}{name}"), Type::Text));
        let custom = ["z z", "Ä", "name"].map(custom).into();
        Layout { def: models::def("company").expect("a model"), custom }
    }

    fn upsert<'a>(layout: &'a Layout, changes: &'a [Change]) -> Upsert<'a> {
        let members = Members::of(layout, "externalId", &names(changes.iter()));
        let (seen, parents) = (HashMap::new(), Parents::new());
        Upsert { layout, key: "externalId", changes, members, seen, parents, clear_as: ClearAs::Null }
    }

    #[test]
    fn items_have_their_members_in_order_whatever_the_order_of_fields() {
        let layout = layout();
        let mut changes = [
            change(Action::Create, "a", &[("web", "w"), ("custom.z z", "3"), ("name", "n"), ("custom.name", "2")]),
            change(Action::Update, "b", &[("custom.Ä", "\"q\""), ("name", "n"), ("web", "w"), ("country", "c")]),
            change(Action::Update, "", &[("phase", "p")]),
            // What is mapped to the key's field stands, whatever the key.
            change(Action::Update, "c", &[("externalId", "d"), ("custom.name", "x")]),
        ];
        changes[1].remote = Some(RemoteId::new("id-b"));
        changes[2].remote = Some(RemoteId::new("id-c"));
        let upsert = upsert(&layout, &changes);
        let wanted = [
            json!({ "externalId": "a", "web": "w", "name": "n", "custom": { "z z": "3", "name": "2" } }),
            json!({ "_id": "id-b", "externalId": "b", "name": "n", "web": "w", "country": "c", "custom": { "Ä": "\"q\"" } }),
            json!({ "_id": "id-c", "phase": "p" }),
            json!({ "externalId": "d", "custom": { "name": "x" } }),
        ];
        let mut item = Item::default();
        for (at, wanted) in wanted.iter().enumerate() {
            upsert.make(at, &mut item).expect("an item");
            let mut out = Vec::new();
            upsert.write(&item, &mut out).expect("written");
            assert_eq!(String::from_utf8(out).expect("text"), wanted.to_string());
        }
        assert_eq!(upsert.keys(3).external.as_deref(), Some("d"));
        assert_eq!((upsert.keys(1).id.as_deref(), upsert.id(1).is_some()), (Some("id-b"), true));
        assert_eq!(upsert.scrubbed(1, "bad id-b of a record, n"), "bad … of a record, n");
    }

    #[test]
    fn a_change_that_cannot_be_sent_leaves_nothing_for_the_next() {
        let layout = layout();
        let changes = [
            change(Action::Create, "a", &[("web", "w"), ("nobody", "x")]),
            change(Action::Create, "b", &[("web", "w")]),
            change(Action::Create, "c", &[("name", "n")]),
        ];
        let upsert = upsert(&layout, &changes);
        let mut item = Item::default();
        assert_eq!(upsert.make(0, &mut item).expect_err("unknown").rule, "unknown_field");
        assert_eq!(upsert.make(1, &mut item).expect_err("no name").rule, "required");
        upsert.make(2, &mut item).expect("an item");
        let mut out = Vec::new();
        upsert.write(&item, &mut out).expect("written");
        assert_eq!(out, br#"{"externalId":"c","name":"n"}"#);
    }
}
