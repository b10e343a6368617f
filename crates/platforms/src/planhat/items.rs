//! Changes to the items of a bulk upsert. Pure: what has to be known of other records is handed in.

use std::collections::HashMap;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};
use tidegate_model::change::{Action, Change, FieldReject};
use tidegate_model::record::{FieldName, Key, RemoteId};
use tidegate_model::value::{Type, Value};

use super::answer::Sent;
use super::codec;
use super::config::ClearAs;
use super::directory::Parent;
use super::models::{CUSTOM, Field, Layout, Needs};

/// Records that others refer to, by model and the name given.
pub(super) type Parents = HashMap<String, HashMap<String, Parent>>;

/// The members of an item, by name. There are a handful, of names that all items of a call share.
#[derive(Debug, Default)]
pub(super) struct Object(Vec<(FieldName, Json)>);

impl Object {
    fn insert(&mut self, name: FieldName, json: Json) {
        match self.0.binary_search_by(|(other, _)| (**other).cmp(&name)) {
            Ok(at) => self.0[at].1 = json,
            Err(at) => self.0.insert(at, (name, json)),
        }
    }

    /// A member.
    pub(super) fn get(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(other, _)| &**other == name).map(|(_, json)| json)
    }

    /// Its members.
    pub(super) fn values(&self) -> impl Iterator<Item = &Json> {
        self.0.iter().map(|(_, json)| json)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, json)| (&**name, json)))
    }
}

/// An item that can be sent.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) json: Object,
    pub(super) sent: Sent,
    /// Fields that are emptied.
    pub(super) cleared: Vec<String>,
    /// Fields that were left out, and why.
    pub(super) dropped: Vec<FieldReject>,
}

/// The text of a reference.
fn name(value: &Value) -> Option<String> {
    Key::of(value).map(|key| key.as_str().trim().to_owned()).filter(|name| !name.is_empty())
}

/// The names of other records that changes give, by model.
pub(super) fn references(layout: &Layout, batch: &[Change]) -> HashMap<String, Vec<String>> {
    let mut out: HashMap<String, Vec<String>> = HashMap::new();
    for field in layout.fields() {
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

/// The item of a change.
pub(super) fn item(
    layout: &Layout,
    key: &str,
    (change, remote): (&Change, Option<&RemoteId>),
    parents: &Parents,
    clear_as: ClearAs,
) -> Result<Item, FieldReject> {
    let json = Object(Vec::with_capacity(change.fields.len() + 2));
    let mut item = Item { json, sent: Sent::default(), cleared: Vec::new(), dropped: Vec::new() };
    item.sent.update = change.action == Action::Update;
    if let Some(remote) = remote {
        item.json.insert("_id".into(), Json::String(remote.as_str().to_owned()));
    }
    if key != "_id" && !change.key.as_str().is_empty() {
        let field = layout.field(key).ok_or_else(|| unknown(layout, key))?;
        let text = codec::normal(field, change.key.as_str());
        item.json.insert(key.into(), Json::String(text));
    } else if remote.is_none() && !change.key.as_str().is_empty() {
        item.json.insert("_id".into(), Json::String(change.key.as_str().to_owned()));
    }
    let mut custom = Map::new();
    for (name, value) in change.fields.iter() {
        let field = layout.field(name).ok_or_else(|| unknown(layout, name))?;
        if field.schema.read_only {
            let reason = format!("{name} is computed by Planhat and not written");
            return Err(FieldReject::field(&**name, "read_only", reason));
        }
        let json = match value {
            Value::Null if field.schema.required => return Err(required(name)),
            Value::Null if change.action == Action::Create => continue,
            Value::Null => match cleared(field, clear_as) {
                Some(json) => {
                    item.cleared.push(name.to_string());
                    json
                }
                None => {
                    item.dropped.push(FieldReject::field(&**name, CANNOT_CLEAR, OMITTED));
                    continue;
                }
            },
            value if field.parent().is_some() => reference(field, value, parents)?,
            value => codec::encode(field, value)?,
        };
        match name.strip_prefix(CUSTOM) {
            Some(own) => drop(custom.insert(own.to_owned(), json)),
            None => item.json.insert(name.clone(), json),
        }
    }
    if change.action == Action::Create {
        lacking(layout, &item.json)?;
    }
    if !custom.is_empty() {
        item.json.insert("custom".into(), Json::Object(custom));
    }
    let text = |name: &str| item.json.get(name).and_then(Json::as_str).map(str::to_owned);
    item.sent = Sent {
        id: text("_id"),
        external: text("externalId"),
        source: text("sourceId"),
        email: text("email"),
        update: item.sent.update,
    };
    Ok(item)
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

fn lacking(layout: &Layout, json: &Object) -> Result<(), FieldReject> {
    let empty = |name: &str| json.get(name).is_none_or(|value| value.is_null() || value == "");
    if let Some(field) = layout.fields().find(|field| field.schema.required && empty(field.name())) {
        return Err(required(field.name()));
    }
    // Where the field that decides is not given, Planhat decides.
    let says = |needs: &&Needs| json.get(&needs.when) == Some(&Json::Bool(needs.is));
    let lacks = |needs: &&Needs| needs.any.iter().all(|name| empty(name));
    match layout.def.needs.iter().filter(says).find(lacks) {
        Some(Needs { when, is, any }) => {
            let reason = format!("a new {} with {when}: {is} needs {}", layout.def.name, any.join(" or "));
            Err(FieldReject::field(&any[0], "required", reason))
        }
        None => Ok(()),
    }
}

fn cleared(field: &Field, clear_as: ClearAs) -> Option<Json> {
    match (clear_as, field.schema.logical) {
        (ClearAs::Null, _) => Some(Json::Null),
        (ClearAs::Empty, Type::List) => Some(Json::Array(Vec::new())),
        (ClearAs::Empty, _) => Some(Json::String(String::new())),
        (ClearAs::Omit, _) => None,
    }
}

fn reference(field: &Field, value: &Value, parents: &Parents) -> Result<Json, FieldReject> {
    let (own, parent) = (field.name(), field.parent().unwrap_or_default());
    let Some(given) = name(value) else {
        let reason = format!("{own} takes the text that names a {parent}, not {}", value.type_name());
        return Err(FieldReject::field(own, "wrong_type", reason));
    };
    match parents.get(parent).and_then(|known| known.get(&given)) {
        // Only companyId is documented to take more than Planhat's own id.
        Some(found) if own == "companyId" => Ok(Json::String(found.named())),
        Some(found) => Ok(Json::String(found.id.clone())),
        None => {
            let reason = format!("{own} names a {parent} that is not there (yet)");
            Err(FieldReject::field(own, "unresolved_reference", reason))
        }
    }
}

/// Takes the values of an item out of a text that Planhat wrote: reasons never hold values.
pub(super) fn scrubbed<'j>(text: &str, members: impl Iterator<Item = &'j Json>) -> String {
    fn values<'j>(json: &'j Json, out: &mut Vec<&'j str>) {
        match json {
            Json::String(text) if text.chars().count() > 2 => out.push(text),
            Json::Array(items) => items.iter().for_each(|item| values(item, out)),
            Json::Object(object) => object.values().for_each(|value| values(value, out)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    members.for_each(|value| values(value, &mut all));
    all.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
    let mut out = text.to_owned();
    for value in all {
        let bare = value.strip_prefix("extid-").or_else(|| value.strip_prefix("srcid-")).unwrap_or(value);
        out = out.replace(value, "…");
        if bare.len() > 2 {
            out = out.replace(bare, "…");
        }
    }
    out
}
