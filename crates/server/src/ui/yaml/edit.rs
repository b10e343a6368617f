//! The edits.

use serde_json::Value as Json;
use tidegate_model::{Error, Result};

use super::tree::{Data, Node, parse};
use super::write::inline;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ui) enum Step<'a> {
    /// Into the entry of a mapping.
    Key(&'a str),
    /// Into the item of a list.
    Item(usize),
}

/// Sets what stands at a path; `None` takes it out. Mappings on the way that are missing are made; an item behind the
/// last of a list is put at its end. What is as it should be already is left alone.
pub(in crate::ui) fn set(text: &str, path: &[Step], value: Option<&Json>) -> Result<String> {
    let root = parse(text)?;
    let before = root.as_ref().map_or(Json::Null, Node::json);
    let wanted = changed(before.clone(), path, value).ok_or_else(|| cannot(path))?;
    if wanted == before {
        return Ok(text.to_owned());
    }
    let edited = match (&root, path, value) {
        (None, [Step::Key(key), rest @ ..], Some(value)) => {
            let line = format!("{key}: {}\n", inline(&nested(rest, value)));
            if text.is_empty() || text.ends_with('\n') { format!("{text}{line}") } else { format!("{text}\n{line}") }
        }
        (Some(root), ..) => at(text, root, path, value).ok_or_else(|| cannot(path))?,
        _ => return Err(cannot(path)),
    };
    // Held against what was meant: a text that says something else is never handed out.
    if parse(&edited)?.map_or(Json::Null, |root| root.json()) == wanted { Ok(edited) } else { Err(cannot(path)) }
}

fn cannot(path: &[Step]) -> Error {
    let words: Vec<String> = path
        .iter()
        .map(|step| match step {
            Step::Key(key) => (*key).to_owned(),
            Step::Item(at) => at.to_string(),
        })
        .collect();
    Error::config(format!("`{}` cannot be changed here without touching what stands around it", words.join(".")))
        .hint("edit the file's text by hand")
}

/// The whole as it is meant to be.
fn changed(mut whole: Json, path: &[Step], value: Option<&Json>) -> Option<Json> {
    let Some((step, rest)) = path.split_first() else { return value.cloned() };
    if whole.is_null() {
        whole = if matches!(step, Step::Key(_)) {
            Json::Object(serde_json::Map::default())
        } else {
            Json::Array(Vec::new())
        };
    }
    match (step, &mut whole) {
        (Step::Key(key), Json::Object(map)) => {
            let below = map.get(*key).cloned();
            match (rest, value, below) {
                ([], None, _) => drop(map.remove(*key)),
                (_, None, None) => {}
                (_, _, below) => {
                    map.insert((*key).to_owned(), changed(below.unwrap_or(Json::Null), rest, value)?);
                }
            }
        }
        (Step::Item(at), Json::Array(items)) => match (rest, value) {
            ([], None) if *at < items.len() => drop(items.remove(*at)),
            (_, Some(_)) if *at == items.len() => items.push(changed(Json::Null, rest, value)?),
            _ => {
                let item = items.get_mut(*at)?;
                *item = changed(item.clone(), rest, value)?;
            }
        },
        _ => return None,
    }
    Some(whole)
}

/// A value below the steps that are left.
fn nested(rest: &[Step], value: &Json) -> Json {
    rest.iter().rev().fold(value.clone(), |inner, step| match step {
        Step::Key(key) => serde_json::json!({ *key: inner }),
        Step::Item(_) => Json::Array(vec![inner]),
    })
}

fn splice(text: &str, start: usize, end: usize, new: &str) -> String {
    format!("{}{new}{}", &text[..start], &text[end..])
}

/// The edit below a node; `None` where it cannot be done.
fn at(text: &str, node: &Node, path: &[Step], value: Option<&Json>) -> Option<String> {
    let (step, rest) = path.split_first()?;
    match (step, &node.data) {
        (Step::Key(key), Data::Map { entries, flow }) => {
            let found = entries.iter().position(|(name, _)| name.text() == Some(key));
            match (found, value) {
                (Some(here), None) if rest.is_empty() => without_entry(text, node, entries, *flow, here),
                (Some(here), Some(value)) if rest.is_empty() => Some(replaced(text, &entries[here], value)),
                (Some(here), _) if is_nothing(&entries[here].1) => {
                    Some(replaced(text, &entries[here], &nested(rest, value?)))
                }
                (Some(here), _) => at(text, &entries[here].1, rest, value),
                (None, Some(value)) => with_entry(text, node, entries, *flow, key, &nested(rest, value)),
                (None, None) => Some(text.to_owned()),
            }
        }
        (Step::Item(here), Data::List { items, flow }) => match (items.get(*here), value) {
            (Some(_), None) if rest.is_empty() => without_item(text, items, *flow, *here),
            (Some(item), Some(value)) if rest.is_empty() => {
                (!item.is_block()).then(|| splice(text, item.start, item.end, &inline(value)))
            }
            (Some(item), _) => at(text, item, rest, value),
            (None, Some(value)) => with_item(text, node, items, *flow, &nested(rest, value)),
            (None, None) => None,
        },
        _ => None,
    }
}

fn is_nothing(node: &Node) -> bool {
    matches!(&node.data, Data::Scalar { text, plain: true, .. } if text.is_empty())
}

fn replaced(text: &str, (key, old): &(Node, Node), value: &Json) -> String {
    if old.is_block() || is_nothing(old) {
        let colon = text[key.end..].find(':').map_or(key.end, |at| key.end + at + 1);
        return splice(text, colon, old.end.max(colon), &format!(" {}", inline(value)));
    }
    splice(text, old.start, old.end, &inline(value))
}

/// Where the line begins in which a byte is.
fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |found| found + 1)
}

/// Where the line ends in which a byte is, its break included.
fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |found| at + found + 1)
}

fn entry_end(entry: &(Node, Node)) -> usize {
    entry.1.end.max(entry.0.end)
}

/// A new line behind the one in which `after` is; a last line without a break gets one.
fn with_line(text: &str, after: usize, line: &str) -> String {
    let end = line_end(text, after);
    let broken = text[..end].ends_with('\n');
    let new = if broken { format!("{line}\n") } else { format!("\n{line}") };
    splice(text, end, end, &new)
}

fn with_entry(
    text: &str,
    node: &Node,
    entries: &[(Node, Node)],
    flow: bool,
    key: &str,
    value: &Json,
) -> Option<String> {
    let written = format!("{}: {}", inline(&Json::String(key.to_owned())), inline(value));
    match (entries.last(), flow) {
        (Some(last), true) => Some(splice(text, entry_end(last), entry_end(last), &format!(", {written}"))),
        (None, true) => Some(splice(text, node.start, node.end, &format!("{{ {written} }}"))),
        (Some(last), false) => {
            let column = node.start - line_start(text, node.start);
            Some(with_line(text, entry_end(last), &format!("{}{written}", " ".repeat(column))))
        }
        (None, false) => None,
    }
}

/// What separates a piece of a flow collection from its neighbours goes with it.
fn without_piece(text: &str, pieces: &[(usize, usize)], here: usize) -> String {
    let (start, end) = pieces[here];
    match (pieces.get(here + 1), here.checked_sub(1).map(|before| pieces[before])) {
        (Some((next, _)), _) => splice(text, start, *next, ""),
        (None, Some((_, before))) => splice(text, before, end, ""),
        (None, None) => splice(text, start, end, ""),
    }
}

fn without_entry(text: &str, node: &Node, entries: &[(Node, Node)], flow: bool, here: usize) -> Option<String> {
    if flow {
        let pieces: Vec<_> = entries.iter().map(|entry| (entry.0.start, entry_end(entry))).collect();
        return Some(without_piece(text, &pieces, here));
    }
    let (start, end) = (entries[here].0.start, entry_end(&entries[here]));
    let line = line_start(text, start);
    if text[line..start].trim().is_empty() {
        return Some(splice(text, line, line_end(text, end), ""));
    }
    // The first key behind a dash: the next one takes its place.
    let next = entries.get(here + 1)?;
    (here == 0 && node.start == start).then(|| splice(text, start, next.0.start, ""))
}

fn with_item(text: &str, node: &Node, items: &[Node], flow: bool, value: &Json) -> Option<String> {
    let written = inline(value);
    match (items.last(), flow) {
        (Some(last), true) => Some(splice(text, last.end, last.end, &format!(", {written}"))),
        (None, true) => Some(splice(text, node.start, node.end, &format!("[{written}]"))),
        (Some(last), false) => {
            let line = line_start(text, last.start);
            let dash = text[line..last.start].find('-')?;
            Some(with_line(text, last.end, &format!("{}- {written}", &text[line..line + dash])))
        }
        (None, false) => None,
    }
}

fn without_item(text: &str, items: &[Node], flow: bool, here: usize) -> Option<String> {
    if flow {
        let pieces: Vec<_> = items.iter().map(|item| (item.start, item.end)).collect();
        return Some(without_piece(text, &pieces, here));
    }
    let line = line_start(text, items[here].start);
    let alone = text[line..items[here].start].trim() == "-";
    (alone && items.len() > 1).then(|| splice(text, line, line_end(text, items[here].end), ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const SYNC: &str = "# Companies, both ways.
version: 1
warehouse: { connection: lake, relation: companies }

key: { warehouse: company_id, platform: externalId }   # the key
conflict: warehouse                   # warehouse | platform | hold
fields:
  # who they are
  - { warehouse: name,    platform: name,    transform: [trim] }
  - { warehouse: phase,   platform: phase,   map: { trial: Trial } }   # trial is special
  - warehouse: arr
    platform: custom.ARR   # money
    direction: to_platform
schedule: { every: 1h }
# the end
";

    fn after(path: &[Step], value: Option<Json>) -> String {
        set(SYNC, path, value.as_ref()).expect("can be edited")
    }

    #[test]
    fn only_what_changes_changes() {
        use Step::{Item, Key};
        let fields = Key("fields");
        for (path, value, old, new) in [
            (vec![Key("conflict")], Some(json!("hold")), "conflict: warehouse   ", "conflict: hold   "),
            (
                vec![Key("warehouse"), Key("relation")],
                Some(json!("main.Firms")),
                "relation: companies }",
                "relation: main.Firms }",
            ),
            (vec![Key("schedule")], Some(json!({ "daily_at": "02:30" })), "{ every: 1h }", "{ daily_at: \"02:30\" }"),
            (
                vec![Key("schedule"), Key("timezone")],
                Some(json!("Europe/Stockholm")),
                "every: 1h }",
                "every: 1h, timezone: Europe/Stockholm }",
            ),
            (vec![Key("deletes")], Some(json!("ignore")), "1h }\n", "1h }\ndeletes: ignore\n"),
            (vec![fields.clone(), Item(0), Key("transform")], None, ",    transform: [trim] }", " }"),
            (vec![fields.clone(), Item(0), Key("nulls")], Some(json!("skip")), "[trim] }", "[trim], nulls: skip }"),
            (
                vec![fields.clone(), Item(2), Key("platform")],
                Some(json!("mrr")),
                "custom.ARR   # money",
                "mrr   # money",
            ),
            (
                vec![fields.clone(), Item(2), Key("as")],
                Some(json!("number")),
                "to_platform\n",
                "to_platform\n    as: number\n",
            ),
            (vec![fields.clone(), Item(2), Key("warehouse")], None, "- warehouse: arr\n    platform", "- platform"),
            (vec![fields.clone(), Item(2), Key("direction")], None, "    direction: to_platform\n", ""),
            (
                vec![fields.clone(), Item(3)],
                Some(json!({ "warehouse": "x", "platform": "y" })),
                "to_platform\n",
                // Quoted: older readers of YAML take a bare `y` for yes.
                "to_platform\n  - { warehouse: x, platform: \"y\" }\n",
            ),
            (
                vec![fields, Item(1)],
                None,
                "  - { warehouse: phase,   platform: phase,   map: { trial: Trial } }   # trial is special\n",
                "",
            ),
        ] {
            assert_eq!(after(&path, value), SYNC.replacen(old, new, 1), "{path:?}");
        }
    }

    #[test]
    fn what_is_as_it_should_be_is_left_alone() {
        assert_eq!(after(&[Step::Key("conflict")], Some(json!("warehouse"))), SYNC);
        assert_eq!(after(&[Step::Key("nothing"), Step::Key("here")], None), SYNC);
    }

    #[test]
    fn texts_begin_from_nothing() {
        let made = set("", &[Step::Key("version")], Some(&json!(1))).expect("made");
        let made = set(&made, &[Step::Key("key"), Step::Key("warehouse")], Some(&json!("id"))).expect("made");
        let made = set(&made, &[Step::Key("fields"), Step::Item(0)], Some(&json!({ "warehouse": "a" }))).expect("made");
        assert_eq!(made, "version: 1\nkey: { warehouse: id }\nfields: [{ warehouse: a }]\n");
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        for text in ["a: &x 1\nb: *x\n", "a: !!str 1\n", "a: [1\n", "---\na: 1\n---\nb: 2\n"] {
            assert!(set(text, &[Step::Key("a")], Some(&json!(2))).is_err(), "{text}");
        }
        assert!(set("a: 1\n", &[Step::Key("a"), Step::Key("b")], Some(&json!(2))).is_err());
    }

    #[test]
    fn long_texts_and_other_scripts_are_replaced_whole() {
        let text = "# Größe\nquery: |\n  select *\n  from t  # not a comment\nnäme: 'ü'  # ä\nafter: x\n";
        let edited = set(text, &[Step::Key("query")], Some(&json!("select 1"))).expect("edited");
        assert_eq!(edited, "# Größe\nquery: select 1\nnäme: 'ü'  # ä\nafter: x\n");
        let edited = set(text, &[Step::Key("näme")], Some(&json!("ö"))).expect("edited");
        assert!(edited.contains("näme: ö  # ä\n"), "{edited}");
    }

    proptest! {
        /// Whatever text is set, the file then says it, and every comment is still there.
        #[test]
        fn any_text_is_kept_and_so_are_comments(value in "\\PC{0,12}|[ -~\n]{0,12}", at in 0usize..3) {
            let path = [Step::Key("fields"), Step::Item(at), Step::Key("platform")];
            let edited = set(SYNC, &path, Some(&json!(value))).expect("can be edited");
            prop_assert_eq!(&super::super::to_json(&edited).expect("reads")["fields"][at]["platform"], &json!(value));
            for comment in SYNC.lines().filter_map(|line| line.split_once("# ").map(|(_, comment)| comment)) {
                prop_assert!(edited.contains(comment), "{} is gone", comment);
            }
        }
    }
}
