//! A YAML text as a tree of spans.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value as Json};
use tidegate_model::{Error, Result};

/// Deeper texts are refused: no project file is, and trees are walked by recursion.
const DEPTH_MAX: usize = 32;

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Data {
    /// A text; `plain` if it stands without quotes; `block` if it is `|` or `>`.
    Scalar { text: String, plain: bool, block: bool },
    /// A list; `flow` in brackets.
    List { items: Vec<Node>, flow: bool },
    /// A mapping; `flow` in braces.
    Map { entries: Vec<(Node, Node)>, flow: bool },
}

/// A node and the bytes that it takes.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) data: Data,
}

impl Node {
    /// Its key, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }
    /// Whether it takes whole lines.
    pub(super) fn is_block(&self) -> bool {
        match &self.data {
            Data::Scalar { block, .. } => *block,
            Data::List { flow, .. } | Data::Map { flow, .. } => !flow,
        }
    }
    pub(super) fn json(&self) -> Json {
        match &self.data {
            Data::List { items, .. } => Json::Array(items.iter().map(Node::json).collect()),
            Data::Map { entries, .. } => {
                let pairs = entries.iter().map(|(key, value)| (key.text().unwrap_or("").to_owned(), value.json()));
                Json::Object(pairs.collect::<Map<_, _>>())
            }
            Data::Scalar { text, plain: false, .. } => Json::String(text.clone()),
            Data::Scalar { text, .. } => plain(text),
        }
    }
}

/// What a plain scalar means, as the project's own reader takes it.
pub(super) fn plain(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Json::Null,
        "true" | "True" | "TRUE" => Json::Bool(true),
        "false" | "False" | "FALSE" => Json::Bool(false),
        _ => match text.bytes().next() {
            Some(b'0'..=b'9' | b'-' | b'+' | b'.') => {
                let number = text.strip_prefix('+').unwrap_or(text);
                match serde_json::from_str::<serde_json::Number>(number) {
                    Ok(number) => Json::Number(number),
                    Err(_) => Json::String(text.to_owned()),
                }
            }
            _ => Json::String(text.to_owned()),
        },
    }
}

/// The text as JSON.
pub(in crate::ui) fn to_json(text: &str) -> Result<Json> {
    Ok(parse(text)?.map_or(Json::Null, |root| root.json()))
}

fn malformed(what: &str) -> Error {
    Error::config(format!("the file cannot be edited here: {what}")).hint("edit the file by hand")
}

struct Open {
    node: Node,
    children: Vec<Node>,
}

/// Reads a text. `None`: it holds nothing.
pub(super) fn parse(text: &str) -> Result<Option<Node>> {
    // Places are counted in characters there, in bytes here.
    let mut bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    bytes.push(text.len());
    let byte = |index: usize| bytes.get(index).copied().unwrap_or(text.len());
    let (mut open, mut root, mut documents): (Vec<Open>, Option<Node>, u32) = (Vec::new(), None, 0);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| malformed(error.info()))?;
        let (start, end) = (byte(span.start.index()), byte(span.end.index()));
        let done = match event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(malformed("it holds several documents"));
                }
                None
            }
            Event::Alias(_) => return Err(malformed("it has aliases")),
            Event::Scalar(value, style, anchor, tag) => {
                refuse_marks(anchor, tag.is_some())?;
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let data = Data::Scalar { text: value.into_owned(), plain: style == ScalarStyle::Plain, block };
                let end = scalar_end(text, start, end, style);
                Some(Node { start, end, data })
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_marks(anchor, tag.is_some())?;
                let flow = text[start..].starts_with('[');
                begin(&mut open, Node { start, end, data: Data::List { items: Vec::new(), flow } })?;
                None
            }
            Event::MappingStart(anchor, tag) => {
                refuse_marks(anchor, tag.is_some())?;
                let flow = text[start..].starts_with('{');
                begin(&mut open, Node { start, end, data: Data::Map { entries: Vec::new(), flow } })?;
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|closed| close(text, closed, end)),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => None,
        };
        if let Some(node) = done {
            match open.last_mut() {
                Some(parent) => parent.children.push(node),
                None => root = Some(node),
            }
        }
    }
    Ok(root)
}

fn begin(open: &mut Vec<Open>, node: Node) -> Result<()> {
    if open.len() >= DEPTH_MAX {
        return Err(malformed("it is nested too deeply"));
    }
    open.push(Open { node, children: Vec::new() });
    Ok(())
}

fn refuse_marks(anchor: usize, tagged: bool) -> Result<()> {
    if anchor > 0 || tagged { Err(malformed("it has anchors or tags")) } else { Ok(()) }
}

/// A scalar ends where its text ends, whatever white space and comments were read behind it.
fn scalar_end(text: &str, start: usize, end: usize, style: ScalarStyle) -> usize {
    let quote = match style {
        ScalarStyle::SingleQuoted => b'\'',
        ScalarStyle::DoubleQuoted => b'"',
        ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => {
            return start + text[start..end.max(start)].trim_end().len();
        }
    };
    let bytes = text.as_bytes();
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match (*byte, quote) {
            (b'\\', b'"') => at += 1,
            // Two of them are one of the text.
            (b'\'', b'\'') if bytes.get(at + 1) == Some(&b'\'') => at += 1,
            (found, quote) if found == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    end
}

/// A collection in brackets ends at the bracket, whatever was read behind it.
fn flow_end(text: &str, behind: usize, end: usize, bracket: char) -> usize {
    text[behind..].find(bracket).map_or(end, |at| behind + at + 1)
}

fn close(text: &str, closed: Open, end: usize) -> Node {
    let Open { mut node, children } = closed;
    let last = children.last().map_or(node.start, |child| child.end);
    // An empty one begins with its bracket and ends with the other.
    let behind = if children.is_empty() { node.start + 1 } else { last };
    match &mut node.data {
        Data::List { items, flow } => {
            node.end = if *flow { flow_end(text, behind, end, ']') } else { last };
            *items = children;
        }
        Data::Map { entries, flow } => {
            node.end = if *flow { flow_end(text, behind, end, '}') } else { last };
            let mut left = children.into_iter();
            while let (Some(key), Some(value)) = (left.next(), left.next()) {
                entries.push((key, value));
            }
        }
        Data::Scalar { .. } => {}
    }
    node
}
