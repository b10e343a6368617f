//! The answer of a bulk upsert, turned into what was said of each record. Pure.
//!
//! Documented are counts, `insertsKeys` and `updatesKeys` (with `_id`, and `externalId` when it was sent), `modified`,
//! and arrays of errors. What stands in an error's item is not: it is matched by whichever keys are found in it, and a
//! record that nobody mentions is settled by counting, or is refused rather than believed.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value as Json};

use super::told::{KEYS, Keyed, Told};

/// The keys under which a record was sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent<'a> {
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) external: Option<Cow<'a, str>>,
    pub(super) source: Option<Cow<'a, str>>,
    pub(super) email: Option<Cow<'a, str>>,
}

/// What was asked, by the places of the changes. An answer that only counts needs no keys, so none are kept for it.
pub(super) trait Asked {
    /// The keys under which a record was sent.
    fn keys(&self, at: usize) -> Sent<'_>;
    /// Whether it was thought to be there.
    fn updates(&self, at: usize) -> bool;
}

/// What was sent of it, in the order in which it was sent.
#[derive(Clone, Copy)]
pub(super) struct Asks<'a> {
    pub(super) asked: &'a dyn Asked,
    pub(super) sent: &'a [usize],
}

impl<'a> Asks<'a> {
    fn keys(&self, item: usize) -> Sent<'a> {
        self.asked.keys(self.sent[item])
    }
}

/// What was said of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// Made, with its id where that can be told.
    Created(Option<Cow<'a, str>>),
    /// Changed, with its id where the answer names it.
    Updated(Option<Cow<'a, str>>),
    /// It held all of it.
    Same(Option<Cow<'a, str>>),
    /// Not taken, and why; `insert`: it would have been made.
    Refused { insert: bool, permission: bool, why: String },
    /// Not mentioned, and nothing can be concluded.
    Silent(String),
}

impl Said<'_> {
    fn id(&self) -> Option<&str> {
        match self {
            Said::Created(id) | Said::Updated(id) | Said::Same(id) => id.as_deref(),
            Said::Refused { .. } | Said::Silent(_) => None,
        }
    }
}

/// Names under which an error's item may keep the record.
const NESTED: [&str; 5] = ["item", "record", "object", "keys", "data"];
/// Names under which an error's item may keep its reason.
const REASONS: [&str; 5] = ["message", "error", "reason", "msg", "description"];
/// Characters of a reason that are kept.
const REASON_MAX: usize = 300;

/// Records by the kind of a key and its folded text.
type ByKey<'a> = HashMap<(usize, Cow<'a, str>), usize>;

/// Finds records by their keys. An answer that only counts is not asked for any: then no key is folded.
struct Index<'a>(OnceCell<ByKey<'a>>, Asks<'a>);

impl<'a> Index<'a> {
    fn new(asks: Asks<'a>) -> Self {
        Self(OnceCell::new(), asks)
    }

    fn map(&self) -> &ByKey<'a> {
        self.0.get_or_init(|| Self::folded(self.1))
    }

    fn folded(asks: Asks<'a>) -> ByKey<'a> {
        let mut map = HashMap::with_capacity(asks.sent.len() * 2);
        for item in 0..asks.sent.len() {
            let Sent { id, external, source, email } = asks.keys(item);
            for (kind, key) in [id, external, source, email].into_iter().enumerate() {
                if let Some(key) = key {
                    map.entry((kind, folded(key))).or_insert(item);
                }
            }
        }
        map
    }

    fn find(&self, json: &Json) -> Option<usize> {
        let object = json.as_object()?;
        self.by_keys(KEYS.map(|key| object.get(key)?.as_str())).or_else(|| self.nested(object))
    }

    fn keyed(&self, record: &Keyed<'_>) -> Option<usize> {
        self.by_keys(record.keys()).or_else(|| self.nested(&record.rest))
    }

    fn by_keys(&self, keys: [Option<&str>; 4]) -> Option<usize> {
        let map: &ByKey<'_> = self.map();
        let find = |(kind, key): (usize, &Option<&str>)| map.get(&(kind, folded(Cow::Borrowed((*key)?)))).copied();
        keys.iter().enumerate().find_map(find)
    }

    fn nested(&self, object: &Map<String, Json>) -> Option<usize> {
        NESTED.iter().find_map(|name| self.find(object.get(*name)?))
    }

    /// By its position, where an error's item has one.
    fn at(&self, json: &Json) -> Option<usize> {
        let at = json.get("index")?.as_u64()?;
        usize::try_from(at).ok().filter(|at| *at < self.1.sent.len())
    }
}

/// Planhat may trim keys and change the case of letters.
fn folded(key: Cow<'_, str>) -> Cow<'_, str> {
    // Most keys are as they should be.
    let plain = |byte: &u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    if key.as_bytes().iter().all(plain) { key } else { Cow::Owned(key.trim().to_lowercase()) }
}

fn reason(json: &Json) -> String {
    let text = match json {
        Json::String(text) => Some(text.clone()),
        Json::Object(object) => REASONS.iter().find_map(|name| match object.get(*name)? {
            Json::String(text) => Some(text.clone()),
            other => Some(reason(other)).filter(|text| !text.is_empty()),
        }),
        _ => None,
    };
    text.unwrap_or_default().chars().filter(|c| !c.is_control()).take(REASON_MAX).collect()
}

/// Whether any record was refused by name or taken: then the answer is one by one. Otherwise the call as a whole was.
pub(super) fn speaks(answer: &Told<'_>) -> bool {
    let answer = &answer.rest;
    let counted = ["created", "updated", "nonupdates"].iter().any(|name| answer.get(*name).is_some_and(Json::is_u64));
    counted || answer.keys().any(|name| errors(name))
}

fn errors(name: &str) -> bool {
    name.to_lowercase().ends_with("errors")
}

/// What an answer says of each record; `None` if all that it says is that something, it does not say what, is wrong:
/// nothing was taken then.
pub(super) fn read<'a>(answer: &'a Told<'_>, asks: Asks<'a>) -> Option<Vec<Said<'a>>> {
    let index = Index::new(asks);
    let mut said: Vec<Option<Said>> = vec![None; asks.sent.len()];
    let mut nameless: Vec<String> = Vec::new();
    for (name, list) in answer.rest.iter().filter(|(name, _)| errors(name)) {
        let (insert, permission) = (name == "createdErrors", name == "permissionErrors");
        for item in list.as_array().into_iter().flatten() {
            match index.find(item).or_else(|| index.at(item)) {
                Some(at) => said[at] = Some(Said::Refused { insert, permission, why: reason(item) }),
                None => nameless.push(reason(item)),
            }
        }
    }
    let modified: HashSet<&str> = answer.modified.iter().map(|id| &*id.0).collect();
    let mut take = |list: &'a [Keyed<'_>], make: &dyn Fn(Option<Cow<'a, str>>) -> Said<'a>| {
        for record in list {
            if let Some(at) = index.keyed(record)
                && said[at].is_none()
            {
                said[at] = Some(make(record.id()));
            }
        }
    };
    take(&answer.inserts, &Said::Created);
    take(&answer.updates, &|id| match &id {
        Some(text) if !modified.contains(&**text) => Said::Same(id),
        _ => Said::Updated(id),
    });
    let taken = said.iter().any(|one| one.as_ref().is_some_and(|one| !matches!(one, Said::Refused { .. })));
    if !taken && !nameless.is_empty() && counts(answer) == (0, 0, 0) && said.iter().all(Option::is_none) {
        return None;
    }
    rest(answer, asks, said, &modified, &nameless)
}

fn counts(answer: &Told<'_>) -> (u64, u64, u64) {
    let count = |name: &str| answer.rest.get(name).and_then(Json::as_u64).unwrap_or(0);
    (count("created"), count("updated"), count("nonupdates"))
}

/// Settles those that no list mentions.
fn rest<'a>(
    answer: &'a Told<'_>,
    asks: Asks<'a>,
    mut said: Vec<Option<Said<'a>>>,
    modified: &HashSet<&str>,
    nameless: &[String],
) -> Option<Vec<Said<'a>>> {
    // An update may be known by its id alone.
    for item in (0..said.len()).filter(|_| !modified.is_empty()) {
        if said[item].is_none()
            && let Some(id) = asks.keys(item).id.filter(|id| modified.contains(&**id))
        {
            said[item] = Some(Said::Updated(Some(id)));
        }
    }
    let tally = |test: &dyn Fn(&Said) -> bool| said.iter().flatten().filter(|one| test(one)).count() as u64;
    let (created, updated, same) = counts(answer);
    let created = created.saturating_sub(tally(&|one| matches!(one, Said::Created(_))));
    let updated = updated.saturating_sub(tally(&|one| matches!(one, Said::Updated(_))));
    let same = same.saturating_sub(tally(&|one| matches!(one, Said::Same(_))));
    let open: Vec<usize> = (0..said.len()).filter(|at| said[*at].is_none()).collect();
    // One record and one id are each other's; of several nobody says that they are in the same order.
    let lone = if open.len() == 1 { lone(answer, &said) } else { None };
    let whole = nameless.is_empty() && created + updated + same == open.len() as u64;
    for at in &open {
        said[*at] = Some(if whole && created + updated == 0 {
            Said::Same(None)
        } else if whole && asks.asked.updates(asks.sent[*at]) {
            Said::Updated(None)
        } else if whole {
            Said::Created(lone.clone())
        } else if nameless.len() == open.len() {
            Said::Refused { insert: false, permission: false, why: nameless.first().cloned().unwrap_or_default() }
        } else {
            Said::Silent(nameless.first().cloned().unwrap_or_default())
        });
    }
    said.into_iter().collect()
}

/// The one id of an insert that none of the records has.
fn lone<'a>(answer: &'a Told<'_>, said: &[Option<Said<'_>>]) -> Option<Cow<'a, str>> {
    let told: HashSet<&str> = said.iter().flatten().filter_map(Said::id).collect();
    let mut left = answer.inserts.iter().filter_map(Keyed::id).filter(|id| !told.contains(&**id));
    left.next().filter(|_| left.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Record(Sent<'static>, bool);

    impl Asked for &[Record] {
        fn keys(&self, at: usize) -> Sent<'_> {
            self[at].0.clone()
        }
        fn updates(&self, at: usize) -> bool {
            self[at].1
        }
    }

    fn sent(external: &'static str) -> Record {
        Record(Sent { external: some(external), ..Sent::default() }, false)
    }

    fn told(answer: Json, records: &[Record]) -> Option<Vec<Said<'static>>> {
        let sent: Vec<usize> = (0..records.len()).collect();
        let body = answer.to_string();
        let answer = Told::read(body.as_bytes()).expect("an object");
        let said = read(&answer, Asks { asked: &records, sent: &sent })?;
        let own = |id: Option<Cow<'_, str>>| id.map(|id| Cow::Owned(id.into_owned()));
        let own = said.into_iter().map(|said| match said {
            Said::Created(id) => Said::Created(own(id)),
            Said::Updated(id) => Said::Updated(own(id)),
            Said::Same(id) => Said::Same(own(id)),
            Said::Refused { insert, permission, why } => Said::Refused { insert, permission, why },
            Said::Silent(why) => Said::Silent(why),
        });
        Some(own.collect())
    }

    fn some(text: &'static str) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(text))
    }

    #[test]
    fn each_record_has_its_own_answer() {
        let records = [sent("a"), sent("b"), sent("c"), Record(Sent { id: some("4"), ..Sent::default() }, true)];
        let answer = json!({
            "created": 1, "updated": 1, "nonupdates": 1, "insertsKeys": [{"_id": "1", "externalId": " A"}],
            "updatesKeys": [{"_id": "2", "externalId": "b"}, {"_id": "4"}], "modified": ["4"],
            "createdErrors": [{"item": {"externalId": "c"}, "error": {"message": "name is required"}}],
            "permissionErrors": [], "upsertedIds": ["1"],
        });
        let refused = Said::Refused { insert: true, permission: false, why: "name is required".to_owned() };
        let expected = [Said::Created(some("1")), Said::Same(some("2")), refused, Said::Updated(some("4"))];
        assert_eq!(told(answer, &records).expect("told"), expected);
    }

    #[test]
    fn what_no_list_mentions_is_counted_or_not_believed() {
        let records = [sent("a"), sent("b")];
        let same = told(json!({"created": 0, "updated": 0, "nonupdates": 2}), &records).expect("told");
        assert_eq!(same, [Said::Same(None), Said::Same(None)]);
        let new = told(json!({"created": 2, "insertsKeys": [{"_id": "1"}, {"_id": "2"}]}), &records).expect("told");
        assert_eq!(new, [Said::Created(None), Said::Created(None)]);
        // One too few: a record vanished, and nobody says which.
        let one =
            told(json!({"created": 1, "insertsKeys": [{"_id": "1", "externalId": "a"}]}), &records).expect("told");
        assert_eq!(one, [Said::Created(some("1")), Said::Silent(String::new())]);
        let mixed = json!({"created": 0, "nonupdates": 1, "createdErrors": ["bad"]});
        assert!(matches!(told(mixed, &records).expect("told")[0], Said::Silent(_)));
    }

    #[test]
    fn errors_without_names_are_for_all_that_are_left_or_for_the_whole_call() {
        let records = [sent("a"), sent("b")];
        let half = json!({"created": 1, "insertsKeys": [{"_id": "1", "externalId": "b"}], "createdErrors": ["bad"]});
        let half = told(half, &records).expect("told");
        assert_eq!(half[0], Said::Refused { insert: false, permission: false, why: "bad".to_owned() });
        assert_eq!(told(json!({"created": 0, "createdErrors": ["bad"]}), &records), None, "to be split");
        let by_place = json!({"createdErrors": [{"index": 1, "error": "bad"}], "created": 1});
        assert!(matches!(told(by_place, &records).expect("told")[1], Said::Refused { .. }));
        assert!(!speaks(&Told::read(br#"{"message": "no"}"#).expect("an object")));
    }
}
