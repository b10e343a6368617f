//! Holds a tree against the tables of `shape`: every unknown key, wrong type, bad word and missing key of it at once.

use super::problem::{At, Problems, choice_hint, did_you_mean};
use super::reference;
use super::shape::{Block, Shape};
use super::units::{parse_duration_ms, parse_zone};
use super::yaml::{Data, Node, Scalar, short};
use crate::schedule::Rule;
use crate::transform::Transform;

/// The only version of the file format.
const VERSION: &str = "1";

/// Checks a mapping. With `open`, keys that the block does not know belong to somebody else.
pub(crate) fn block(node: &Node, block: &Block, open: bool, problems: &mut Problems) {
    let Data::Map(entries) = &node.data else {
        let keys: Vec<&str> = block.keys.iter().map(|key| key.name).collect();
        let message = format!("{} is a mapping, found {}", block.what, node.describe());
        problems.add_hint(node.at, message, format!("its keys are {}", keys.join(", ")));
        return;
    };
    let mut meant: Vec<&str> = Vec::new();
    for entry in entries {
        match block.key(&entry.key) {
            Some(key) if entry.value.is_null() => {
                problems.add_hint(entry.at, format!("`{}` has no value", key.name), "give it one or take the key out");
            }
            Some(key) => value(&entry.value, &entry.key, key.shape, problems),
            None if open => {}
            None => meant.extend(unknown_key(&entry.key, entry.at, block, problems)),
        }
    }
    let there = |name: &str| node.get(name).is_some() || meant.contains(&name);
    for key in block.keys.iter().filter(|key| key.required && !there(key.name)) {
        problems.add_hint(node.at, format!("{} needs the key `{}`", block.what, key.name), missing_hint(key.name));
    }
    for group in block.one_of {
        let given = group.iter().filter(|name| there(name)).count();
        if given != 1 {
            let found = if given == 0 { "it has none of them" } else { "it has more" };
            problems.add_hint(
                node.at,
                format!("{} needs exactly one of {}, {found}", block.what, group.join(", ")),
                if given == 0 { "add one" } else { "keep one" },
            );
        }
    }
}

fn missing_hint(key: &str) -> String {
    match key {
        "version" => "add `version: 1`".to_owned(),
        _ => format!("add `{key}:`"),
    }
}

/// Reports the key; answers the one that was probably meant, so that it is not reported as missing too.
fn unknown_key(key: &str, at: At, block: &Block, problems: &mut Problems) -> Option<&'static str> {
    let names = block.keys.iter().map(|key| key.name);
    let message = format!("unknown key `{}`", short(key));
    problems.add_hint(at, message, choice_hint(key, names.clone()));
    did_you_mean(key, names)
}

fn value(node: &Node, key: &str, shape: Shape, problems: &mut Problems) {
    match shape {
        Shape::Block(inner) => block(node, inner, false, problems),
        Shape::List(item) => match &node.data {
            Data::List(items) => items.iter().for_each(|node| value(node, key, *item, problems)),
            _ => expect(node, key, "a list", Some("write it in brackets: [a, b]"), problems),
        },
        Shape::Or(word, other) => {
            if node.raw() != Some(word) {
                match (&node.data, other) {
                    (Data::Scalar { .. }, _) => expect(node, key, &format!("`{word}` or a list"), None, problems),
                    _ => value(node, key, *other, problems),
                }
            }
        }
        Shape::Table => table(node, key, problems),
        _ => match node.scalar() {
            Some(scalar) => {
                if let Err((message, hint)) = scalar_value(scalar, shape) {
                    problems.push(node.at, format!("`{key}`: {message}, found {}", node.describe()), hint);
                }
            }
            None => expect(node, key, "a single value", None, problems),
        },
    }
}

fn expect(node: &Node, key: &str, what: &str, hint: Option<&str>, problems: &mut Problems) {
    problems.push(node.at, format!("`{key}` is {what}, found {}", node.describe()), hint.map(str::to_owned));
}

fn table(node: &Node, key: &str, problems: &mut Problems) {
    let Data::Map(entries) = &node.data else {
        return expect(node, key, "a mapping of values to values", Some("write { from: to }"), problems);
    };
    for entry in entries.iter().filter(|entry| entry.value.raw().is_none() || entry.value.is_null()) {
        let hint = "to clear a value, leave it out here and use `null_if_empty`, or quote it";
        let message = format!("`{key}`: `{}` is replaced by text, found {}", short(&entry.key), entry.value.describe());
        problems.add_hint(entry.value.at, message, hint);
    }
}

type Wrong = (String, Option<String>);

fn wrong(message: impl Into<String>) -> Wrong {
    (message.into(), None)
}

fn scalar_value(scalar: Scalar<'_>, shape: Shape) -> Result<(), Wrong> {
    match shape {
        Shape::Version => match scalar {
            Scalar::Number(VERSION) => Ok(()),
            _ => Err(("this tidegate reads version 1".to_owned(), Some("write `version: 1`".to_owned()))),
        },
        Shape::Bool => match scalar {
            Scalar::Bool(_) => Ok(()),
            _ => Err(wrong("expected true or false")),
        },
        Shape::Count(least, most) => match scalar {
            Scalar::Number(text) if text.parse::<i64>().is_ok_and(|n| (least..=most).contains(&n)) => Ok(()),
            _ => Err(wrong(format!("expected a whole number from {least} to {most}"))),
        },
        Shape::Number(least, most) => match scalar {
            Scalar::Number(text) if text.parse::<f64>().is_ok_and(|n| (least..=most).contains(&n)) => Ok(()),
            _ => Err(wrong(format!("expected a number from {least} to {most}"))),
        },
        Shape::Percent => match scalar {
            Scalar::Text("off") => Ok(()),
            Scalar::Number(text) if text.parse::<f64>().is_ok_and(|n| (0.0..=100.0).contains(&n)) => Ok(()),
            _ => Err(wrong("expected a percentage from 0 to 100, or `off`")),
        },
        Shape::Lookback => match scalar {
            Scalar::Number(text) if text.parse::<i64>().is_ok_and(|n| n >= 0) => Ok(()),
            Scalar::Text(text) => parse_duration_ms(text).map(drop).map_err(wrong),
            _ => Err(wrong("expected a duration such as `10m`, or a number of ids")),
        },
        Shape::Scalar => match scalar {
            Scalar::Null => Err(wrong("expected a text, a number, true or false")),
            _ => Ok(()),
        },
        _ => text_value(text_of(scalar)?, shape),
    }
}

fn text_of(scalar: Scalar<'_>) -> Result<&str, Wrong> {
    match scalar {
        Scalar::Text(text) if !text.trim().is_empty() => Ok(text),
        Scalar::Text(_) | Scalar::Null => Err(wrong("expected a text that is not empty")),
        Scalar::Number(text) => Err(("expected a text".to_owned(), Some(format!("put quotes around it: \"{text}\"")))),
        Scalar::Bool(b) => Err(("expected a text".to_owned(), Some(format!("put quotes around it: \"{b}\"")))),
    }
}

fn text_value(text: &str, shape: Shape) -> Result<(), Wrong> {
    match shape {
        Shape::Text if text.contains("${") => Err((
            "references are read in connections and tidegate.yaml only".to_owned(),
            Some("a sync is the same wherever it runs; write the name itself".to_owned()),
        )),
        Shape::Reference => reference::check(text).map_err(wrong),
        Shape::Duration => parse_duration_ms(text).map(drop).map_err(wrong),
        Shape::Every => Rule::parse_every(text).map(drop).map_err(wrong),
        Shape::DailyAt => Rule::parse_daily_at(text).map(drop).map_err(wrong),
        Shape::Cron => Rule::parse_cron(text).map(drop).map_err(wrong),
        Shape::Zone => parse_zone(text).map(drop).map_err(wrong),
        Shape::Transform => Transform::parse(text).map(drop).map_err(wrong),
        Shape::Choice(words) if !words.contains(&text) => {
            let hint = did_you_mean(text, words.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            Err((format!("expected one of {}", words.join(", ")), hint))
        }
        _ => Ok(()),
    }
}
