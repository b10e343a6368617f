//! A YAML text as a tree with positions. Scalars keep their text as written, so that `1.10` stays `1.10`.

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::problem::{At, Problems};

/// Nesting deeper than this is refused: no project file needs it, and trees are walked by recursion.
const DEPTH_MAX: usize = 32;

/// Nodes of one file, aliases written out: 10,000 mapped fields fit, a tree that grows by aliases of aliases does not.
const NODES_MAX: usize = 200_000;

/// A node of the tree.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub at: At,
    pub data: Data,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    /// Text as written; `plain` if it stood without quotes.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the file; keys are unique.
    Map(Vec<Entry>),
}

/// One entry of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub at: At,
    pub value: Node,
}

impl Node {
    /// The entry's value of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }
    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }
    /// The items of a list; none for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }
    /// The text of a scalar as written.
    pub fn raw(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }
    /// What the scalar means in YAML 1.2's core schema; `None` for lists and mappings.
    pub fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.data {
            Data::Scalar { text, plain: true } => Some(Scalar::of_plain(text)),
            Data::Scalar { text, plain: false } => Some(Scalar::Text(text)),
            _ => None,
        }
    }
    /// True for `null`, `~` and nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(self.scalar(), Some(Scalar::Null))
    }
    /// What stands here, in words for messages.
    pub fn describe(&self) -> String {
        match (&self.data, self.scalar()) {
            (Data::List(_), _) => "a list".to_owned(),
            (Data::Map(_), _) => "a mapping".to_owned(),
            (_, Some(Scalar::Null) | None) => "nothing".to_owned(),
            (_, Some(Scalar::Bool(b))) => format!("`{b}`"),
            (_, Some(Scalar::Number(text))) => format!("the number {text}"),
            (_, Some(Scalar::Text(text))) => format!("the text `{}`", short(text)),
        }
    }
    /// The tree as JSON, numbers digit by digit.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as J;
        match (&self.data, self.scalar()) {
            (Data::List(items), _) => J::Array(items.iter().map(Node::to_json).collect()),
            (Data::Map(entries), _) => {
                J::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
            }
            (_, Some(Scalar::Bool(b))) => J::Bool(b),
            (_, Some(Scalar::Text(text))) => J::String(text.to_owned()),
            (_, Some(Scalar::Number(text))) => {
                let number = text.strip_prefix('+').unwrap_or(text);
                serde_json::from_str(number).unwrap_or_else(|_| J::String(text.to_owned()))
            }
            (_, Some(Scalar::Null) | None) => J::Null,
        }
    }
}

/// Text for a message: its first characters.
pub(crate) fn short(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(60).chain(['…']).collect() }
}

/// The meaning of a scalar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    /// Digits as written.
    Number(&'a str),
    Text(&'a str),
}

impl<'a> Scalar<'a> {
    fn of_plain(text: &'a str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
            "true" | "True" | "TRUE" => Scalar::Bool(true),
            "false" | "False" | "FALSE" => Scalar::Bool(false),
            _ if is_number(text) => Scalar::Number(text),
            _ => Scalar::Text(text),
        }
    }
}

/// Decimal numbers alone: what YAML calls hexadecimal, octal, infinite or not a number stays text.
fn is_number(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (body, None),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|e| !e.is_empty() && digits(e))
}

fn at(span: Span) -> At {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    At { line: number(span.start.line()).max(1), column: number(span.start.col()).saturating_add(1) }
}

/// A mapping or list that is still open.
struct Open {
    node: Node,
    key: Option<(String, At)>,
    /// The keys so far and their lines.
    keys: HashMap<String, u32>,
    anchor: usize,
}

/// Puts events together to a tree.
struct Builder<'p> {
    problems: &'p mut Problems,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

/// Reads one file. `None` if it is malformed, which is a problem then; so is a second document and a key that stands
/// twice, which still leave a tree.
pub(crate) fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder { problems, open: Vec::new(), anchors: BTreeMap::new(), nodes: 0, root: None };
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let mark = *error.marker();
                let place = at(Span::empty(mark));
                builder.problems.add(place, format!("malformed YAML: {}", error.info()));
                return None;
            }
        };
        if let Event::DocumentStart(_) = event {
            documents += 1;
            if documents == 2 {
                builder.problems.add_hint(at(span), "a second document starts here", "one file holds one document");
                break;
            }
        }
        builder.event(event, span)?;
    }
    builder.root
}

impl Builder<'_> {
    /// `None` stops the reading.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        let at = at(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !self.text_tag(tag.as_deref(), at);
                self.place(Node { at, data: Data::Scalar { text: text.into_owned(), plain } }, anchor)
            }
            Event::SequenceStart(anchor, tag) => self.push(Data::List(Vec::new()), at, anchor, tag.as_deref()),
            Event::MappingStart(anchor, tag) => self.push(Data::Map(Vec::new()), at, anchor, tag.as_deref()),
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop()?;
                self.place(open.node, open.anchor)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => {
                    self.nodes += size(&node);
                    self.place(node, 0)
                }
                None => {
                    self.problems.add(at, "an alias of something that is not complete yet");
                    None
                }
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Some(())
            }
        }
    }
    /// Whether the tag makes a plain scalar a text. Other tags are problems.
    fn text_tag(&mut self, tag: Option<&Tag>, at: At) -> bool {
        let Some(tag) = tag else { return false };
        let text = tag.is_yaml_core_schema() && tag.suffix == "str";
        if !text {
            self.problems.add(at, format!("the tag `{tag}` means nothing here"));
        }
        text
    }
    fn push(&mut self, data: Data, at: At, anchor: usize, tag: Option<&Tag>) -> Option<()> {
        if let Some(tag) = tag {
            self.problems.add(at, format!("the tag `{tag}` means nothing here"));
        }
        if self.open.len() >= DEPTH_MAX {
            self.problems.add(at, format!("nested deeper than {DEPTH_MAX} levels"));
            return None;
        }
        self.open.push(Open { node: Node { at, data }, key: None, keys: HashMap::new(), anchor });
        Some(())
    }
    fn place(&mut self, node: Node, anchor: usize) -> Option<()> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            self.problems.add(node.at, format!("the file holds more than {NODES_MAX} values"));
            return None;
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        match &mut open.node.data {
            Data::List(items) => items.push(node),
            Data::Map(entries) => match open.key.take() {
                None => {
                    let key = match node.data {
                        Data::Scalar { text, .. } => text,
                        Data::List(_) | Data::Map(_) => {
                            self.problems.add(node.at, "a key must be a plain word");
                            String::new()
                        }
                    };
                    open.key = Some((key, node.at));
                }
                Some((key, at)) => match open.keys.insert(key.clone(), at.line) {
                    Some(first) => {
                        self.problems.add(at, format!("key `{}` stands twice, first in line {first}", short(&key)));
                    }
                    None => entries.push(Entry { key, at, value: node }),
                },
            },
            Data::Scalar { .. } => {}
        }
        Some(())
    }
}

fn size(node: &Node) -> usize {
    let below: usize = match &node.data {
        Data::Scalar { .. } => 0,
        Data::List(items) => items.iter().map(size).sum(),
        Data::Map(entries) => entries.iter().map(|entry| size(&entry.value)).sum(),
    };
    below + 1
}
