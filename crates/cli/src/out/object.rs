//! JSON objects whose keys keep their order.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A JSON object in the order in which it was put together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object(Vec<(String, Node)>);

/// What stands behind a key.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    /// Anything without an order of its own.
    Plain(Value),
    /// An object in order.
    Ordered(Object),
}

impl Object {
    /// Adds a key.
    pub fn put(&mut self, key: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        self.0.push((key.into(), Node::Plain(value.into())));
        self
    }
    /// Adds an object under a key.
    pub fn nest(&mut self, key: impl Into<String>, value: Object) -> &mut Self {
        self.0.push((key.into(), Node::Ordered(value)));
        self
    }
    /// What stands behind a key, if it is not an object.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find_map(|(name, node)| match node {
            Node::Plain(value) if name == key => Some(value),
            _ => None,
        })
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, node) in &self.0 {
            match node {
                Node::Plain(value) => map.serialize_entry(key, value)?,
                Node::Ordered(object) => map.serialize_entry(key, object)?,
            }
        }
        map.end()
    }
}

/// A value as one cell of a table: text as is, nothing for null.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order() {
        let mut inner = Object::default();
        inner.put("z", 1).put("a", Value::Null);
        let mut outer = Object::default();
        outer.put("b", "x").nest("custom", inner).put("a", true);
        let text = serde_json::to_string(&outer).expect("json");
        assert_eq!(text, r#"{"b":"x","custom":{"z":1,"a":null},"a":true}"#);
    }
}
