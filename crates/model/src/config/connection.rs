//! `connections/NAME.yaml`: one account on one system, its credentials by reference.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::positions::Positions;
use super::problem::{Problems, choice_hint};
use super::reference::{self, Lookups, Resolved};
use super::settings;
use super::shape::CONNECTION;
use super::yaml::{Node, Scalar};
use crate::error::Result;

/// Which wing a connection belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// A warehouse.
    Warehouse,
    /// A platform.
    Platform,
}

impl Side {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Side::Warehouse => "warehouse",
            Side::Platform => "platform",
        }
    }
}

/// One type of connection, as the caller knows it. This crate names none.
#[derive(Debug, Clone, PartialEq)]
pub struct KindInfo {
    /// The word behind `type:`.
    pub name: String,
    /// Its wing.
    pub side: Side,
    /// Whether this build can open it.
    pub available: bool,
    /// JSON Schema of its own settings, without the keys that all connections have. An empty object takes anything.
    pub schema: Json,
}

/// The budget of a remote account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quota {
    /// Most requests in a second.
    pub requests_per_second: Option<f64>,
    /// Most requests in a minute.
    pub requests_per_minute: Option<f64>,
    /// Most requests in a day.
    pub requests_per_day: Option<f64>,
    /// Most records in a second.
    pub records_per_second: Option<f64>,
    /// Most records in a minute.
    pub records_per_minute: Option<f64>,
    /// Most records in a day.
    pub records_per_day: Option<f64>,
    /// The share of the account's limits that tidegate may use, 0 to 1.
    pub share: Option<f64>,
}

/// A connection as its file says it. References are not read yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// Its name: the file's name without `.yaml`.
    pub name: String,
    /// What kind of system it is.
    pub kind: String,
    /// Its wing.
    pub side: Side,
    /// Whether this build can open it.
    pub available: bool,
    /// The settings of its type, references as written.
    pub settings: Json,
    /// `access: write`.
    pub access_write: bool,
    /// Where outbox, fence and staging tables go.
    pub work_schema: Option<String>,
    /// Off: no run of any kind touches it.
    pub enabled: bool,
    /// Off: no sync of it runs by itself.
    pub automation: bool,
    /// The budget of the remote account.
    pub quota: Quota,
    /// Its file inside the project.
    pub file: String,
    /// Where its keys stand.
    pub(super) positions: Positions,
}

impl Connection {
    /// Reads the references of the settings. Called when the connection is opened, not before.
    pub fn resolve(&self, lookups: &dyn Lookups) -> Result<Resolved> {
        let place = |path: &str| self.positions.place(&self.file, path);
        reference::resolve_settings(&self.settings, &place, lookups)
    }
}

/// Reads a connection's file. `None` if something is wrong with it.
pub(super) fn read(
    name: &str,
    file: &str,
    root: &Node,
    kinds: &[KindInfo],
    problems: &mut Problems,
) -> Option<Connection> {
    super::validate::block(root, &CONNECTION, true, problems);
    let kind = kind_of(root, kinds, problems);
    let own = |key: &str| CONNECTION.key(key).is_none();
    settings::check_references(root, &own, problems);
    if let Some(kind) = kind {
        settings::check(root, &kind.schema, &CONNECTION, problems);
    }
    if !problems.is_empty() {
        return None;
    }
    let kind = kind?;
    let entries = root.entries().iter().filter(|entry| own(&entry.key));
    let settings = Json::Object(entries.map(|entry| (entry.key.clone(), entry.value.to_json())).collect());
    let flag = |key: &str| match root.get(key).and_then(Node::scalar) {
        Some(Scalar::Bool(b)) => b,
        _ => true,
    };
    let mut positions = Positions::default();
    positions.add(file, root);
    Some(Connection {
        name: name.to_owned(),
        kind: kind.name.clone(),
        side: kind.side,
        available: kind.available,
        settings,
        access_write: root.get("access").and_then(Node::raw) == Some("write"),
        work_schema: root.get("work_schema").and_then(Node::raw).map(str::to_owned),
        enabled: flag("enabled"),
        automation: flag("automation"),
        quota: quota(root.get("quota")),
        file: file.to_owned(),
        positions,
    })
}

fn kind_of<'k>(root: &Node, kinds: &'k [KindInfo], problems: &mut Problems) -> Option<&'k KindInfo> {
    let node = root.get("type")?;
    let Some(Scalar::Text(word)) = node.scalar() else { return None };
    let found = kinds.iter().find(|kind| kind.name == word);
    if found.is_none() {
        let hint = choice_hint(word, kinds.iter().map(|kind| kind.name.as_str()));
        problems.add_hint(node.at, format!("there is no connection type `{word}`"), hint);
    }
    found
}

fn quota(node: Option<&Node>) -> Quota {
    let number = |key: &str| node?.get(key)?.raw()?.parse().ok();
    Quota {
        requests_per_second: number("requests_per_second"),
        requests_per_minute: number("requests_per_minute"),
        requests_per_day: number("requests_per_day"),
        records_per_second: number("records_per_second"),
        records_per_minute: number("records_per_minute"),
        records_per_day: number("records_per_day"),
        share: number("share"),
    }
}
