//! YAML as JSON, with anchors and merge keys: what compose and Kubernetes read.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value as Json};

/// The documents of a text. What is no YAML fails.
pub fn documents(text: &str) -> Vec<Json> {
    let mut parser = Parser::new_from_str(text);
    let mut events = std::iter::from_fn(|| parser.next_event().map(|event| event.expect("YAML").0));
    let (mut out, mut anchors) = (Vec::new(), HashMap::new());
    while let Some(event) = events.next() {
        if matches!(event, Event::DocumentStart(_)) {
            let first = events.next().expect("a node");
            out.push(node(first, &mut events, &mut anchors));
        }
    }
    out
}

fn node<'a>(
    event: Event<'a>,
    events: &mut impl Iterator<Item = Event<'a>>,
    anchors: &mut HashMap<usize, Json>,
) -> Json {
    let (value, anchor) = match event {
        Event::Alias(anchor) => return anchors[&anchor].clone(),
        Event::Scalar(text, _, anchor, _) => (Json::from(text.into_owned()), anchor),
        Event::SequenceStart(anchor, _) => {
            let mut items = Vec::new();
            loop {
                match events.next().expect("the end of a list") {
                    Event::SequenceEnd => break,
                    item => items.push(node(item, events, anchors)),
                }
            }
            (Json::Array(items), anchor)
        }
        Event::MappingStart(anchor, _) => {
            let mut map = Map::new();
            loop {
                let key = match events.next().expect("the end of a mapping") {
                    Event::MappingEnd => break,
                    key => node(key, events, anchors),
                };
                let next = events.next().expect("a value");
                let value = node(next, events, anchors);
                match (key.as_str().expect("a key"), value) {
                    ("<<", Json::Object(merged)) => {
                        for (key, value) in merged {
                            map.entry(key).or_insert(value);
                        }
                    }
                    (key, value) => drop(map.insert(key.to_owned(), value)),
                }
            }
            (Json::Object(map), anchor)
        }
        other => panic!("unexpected {other:?}"),
    };
    if anchor > 0 {
        anchors.insert(anchor, value.clone());
    }
    value
}
