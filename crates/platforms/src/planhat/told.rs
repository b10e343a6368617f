//! The body of an answer to a bulk upsert. In its usual form, thousands of keys, it is read without a copy of them; in any
//! other form as a tree.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value as Json};

/// Names of the keys in Planhat's objects, with ours.
pub(super) const KEYS: [&str; 4] = ["_id", "externalId", "sourceId", "email"];
const INSERTS: &str = "insertsKeys";
const UPDATES: &str = "updatesKeys";
const MODIFIED: &str = "modified";
/// What it says stands in the others, too.
const UPSERTED: &str = "upsertedIds";

/// A text of an answer.
#[derive(Debug, Deserialize)]
pub(super) struct Word<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// What names a record.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Keyed<'a> {
    #[serde(rename = "_id", borrow)]
    id: Option<Word<'a>>,
    #[serde(rename = "externalId", borrow)]
    external: Option<Word<'a>>,
    #[serde(rename = "sourceId", borrow)]
    source: Option<Word<'a>>,
    #[serde(borrow)]
    email: Option<Word<'a>>,
    /// All of it, where it has an unusual form.
    #[serde(skip)]
    pub(super) rest: Map<String, Json>,
}

impl<'a> Keyed<'a> {
    fn of(json: Json) -> Self {
        let Json::Object(rest) = json else { return Self::default() };
        let text = |name: &str| Some(Word(Cow::Owned(rest.get(name)?.as_str()?.to_owned())));
        let [id, external, source, email] = KEYS.map(text);
        Self { id, external, source, email, rest }
    }

    /// Its keys, in the order of [`KEYS`].
    pub(super) fn keys(&self) -> [Option<&str>; 4] {
        [&self.id, &self.external, &self.source, &self.email].map(|word| word.as_ref().map(|word| &*word.0))
    }

    /// The record's id.
    pub(super) fn id(&self) -> Option<Cow<'_, str>> {
        self.id.as_ref().map(|id| Cow::Borrowed(&*id.0))
    }
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Told<'a> {
    /// Records that were made.
    pub(super) inserts: Vec<Keyed<'a>>,
    /// Records that were found.
    pub(super) updates: Vec<Keyed<'a>>,
    /// Ids of those that changed.
    pub(super) modified: Vec<Word<'a>>,
    /// Counts and errors.
    pub(super) rest: Map<String, Json>,
}

impl<'a> Told<'a> {
    /// Reads a body; `None` if it is no JSON object.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let usual = serde_json::from_slice(body).ok();
        usual.or_else(|| match serde_json::from_slice(body).ok()? {
            Json::Object(object) => Some(Self::of(object)),
            _ => None,
        })
    }

    fn of(mut rest: Map<String, Json>) -> Self {
        let mut list = |name: &str| match rest.remove(name) {
            Some(Json::Array(items)) => items,
            _ => Vec::new(),
        };
        let [inserts, updates] = [INSERTS, UPDATES].map(|name| list(name).into_iter().map(Keyed::of).collect());
        let modified = list(MODIFIED).into_iter().filter_map(|item| match item {
            Json::String(text) => Some(Word(Cow::Owned(text))),
            _ => None,
        });
        Self { modified: modified.collect(), inserts, updates, rest }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Told<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Usual)
    }
}

/// Reads an answer of the usual form.
struct Usual;

impl<'de> Visitor<'de> for Usual {
    type Value = Told<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer of Planhat")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Told<'de>, A::Error> {
        let mut told = Told::default();
        while let Some(Word(name)) = members.next_key()? {
            match &*name {
                INSERTS => told.inserts = members.next_value()?,
                UPDATES => told.updates = members.next_value()?,
                MODIFIED => told.modified = members.next_value()?,
                UPSERTED => drop(members.next_value::<IgnoredAny>()?),
                _ => drop(told.rest.insert(name.into_owned(), members.next_value()?)),
            }
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_form_is_not_copied_and_others_are_read_all_the_same() {
        let body =
            br#"{"created":1,"insertsKeys":[{"_id":"1","externalId":"a"}],"updatesKeys":[{"_id":"2","email":null}],
            "modified":["2"],"upsertedIds":["1"],"nonupdates":0,"createdErrors":[{"index":3}]}"#;
        let usual = Told::read(body).expect("told");
        assert_eq!(usual.inserts[0].keys(), [Some("1"), Some("a"), None, None]);
        assert!(usual.inserts[0].id.as_ref().is_some_and(|id| matches!(id.0, Cow::Borrowed(_))));
        assert!(matches!(usual.modified[0].0, Cow::Borrowed("2")));
        assert_eq!(usual.rest.keys().collect::<Vec<_>>(), ["created", "createdErrors", "nonupdates"]);
        assert_eq!(usual.rest["created"], 1);
        for (body, keys) in [
            (
                r#"{"insertsKeys":[{"_id":"1","n":1.5}, 7, {"item":{"_id":"3"}}],"modified":[1,"2"]}"#,
                vec![Some("1"), None, None],
            ),
            (r#"{"insertsKeys":[{"_id":1}, {"_id":"a\"b"}],"modified":["2"]}"#, vec![None, Some("a\"b")]),
            (r#"{"insertsKeys":null,"updatesKeys":4,"modified":["2"]}"#, Vec::new()),
        ] {
            let told = Told::read(body.as_bytes()).expect(body);
            assert_eq!(told.inserts.iter().map(|one| one.keys()[0]).collect::<Vec<_>>(), keys, "{body}");
            assert_eq!(told.modified.iter().map(|word| &*word.0).collect::<Vec<_>>(), ["2"], "{body}");
        }
        let nested = Told::read(br#"{"insertsKeys":[{"item":{"_id":"3"}}]}"#).expect("told");
        assert_eq!(nested.inserts[0].rest["item"]["_id"], "3");
        assert!(Told::read(b"[]").is_none() && Told::read(b"<html>").is_none() && Told::read(b"{} x").is_none());
    }
}
