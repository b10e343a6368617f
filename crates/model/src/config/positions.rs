//! Where each key of each file stands, for messages long after the file was read.

use std::collections::BTreeMap;

use super::problem::{At, Place};
use super::yaml::{Data, Node};

/// Positions of the keys of a project's files, by path such as `fields[3].platform`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Positions {
    files: BTreeMap<String, BTreeMap<String, At>>,
}

impl Positions {
    pub(crate) fn add(&mut self, file: &str, root: &Node) {
        let mut paths = BTreeMap::new();
        walk(root, String::new(), &mut paths);
        self.files.insert(file.to_owned(), paths);
    }
    /// Where this very key stands; `None` if the file does not have it.
    pub fn exact(&self, file: &str, path: &str) -> Option<Place> {
        let at = *self.files.get(file)?.get(path)?;
        Some(Place { file: file.to_owned(), at })
    }
    /// Where the key stands, or else the nearest one above it, or else the file's first line.
    pub fn place(&self, file: &str, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some(place) = self.exact(file, path) {
                return place;
            }
            match path.rfind(['.', '[']) {
                Some(at) => path = &path[..at],
                None if path.is_empty() => return Place { file: file.to_owned(), at: At { line: 1, column: 1 } },
                None => path = "",
            }
        }
    }
}

fn walk(node: &Node, path: String, out: &mut BTreeMap<String, At>) {
    match &node.data {
        Data::Scalar { .. } => {}
        Data::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let below = format!("{path}[{index}]");
                out.insert(below.clone(), item.at);
                walk(item, below, out);
            }
        }
        Data::Map(entries) => {
            for entry in entries {
                let below = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                out.insert(below.clone(), entry.at);
                walk(&entry.value, below, out);
            }
        }
    }
}
