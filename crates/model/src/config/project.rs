//! A project: `tidegate.yaml`, its connections and its syncs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::connection::{Connection, KindInfo};
use super::positions::Positions;
use super::problem::{At, Place, Problem, Problems};
use super::shape::PROJECT;
use super::units::parse_duration_ms;
use super::yaml::{Node, parse};
use super::{connection, sync, validate};
use crate::error::{Error, Result};
use crate::sync::{LedgerKind, Sync};

/// The file at the top of a project.
pub const PROJECT_FILE: &str = "tidegate.yaml";

/// Files larger than this are refused unread.
const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A file of a project, as the caller read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path inside the project, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// For how long history is kept, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Runs and their counts.
    pub runs_ms: i64,
    /// Logs of runs.
    pub logs_ms: i64,
    /// Closed rejects.
    pub rejects_ms: i64,
    /// Values from before a write.
    pub before_images_ms: i64,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: i64 = 86_400_000;
        Self { runs_ms: 90 * DAY, logs_ms: 30 * DAY, rejects_ms: 90 * DAY, before_images_ms: 30 * DAY }
    }
}

/// `serve:`. Texts may hold references: read them with [`super::resolve_text`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Serve {
    /// Address and port.
    pub listen: Option<String>,
    /// The address that browsers use.
    pub public_url: Option<String>,
    /// Certificate chain and private key.
    pub tls: Option<(String, String)>,
    /// Whether a proxy in front sets the forwarding headers.
    pub behind_proxy: bool,
    /// Environment variables that connections made in the UI may name.
    pub env_allow: Vec<String>,
    /// Hosts inside the network that may be called.
    pub private_targets: Vec<String>,
    /// Addresses that calls leave from.
    pub egress_ips: Vec<String>,
    /// Sign-in through an identity provider.
    pub oidc: Option<Oidc>,
}

/// `oidc:`, with references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// Address of the identity provider.
    pub issuer: String,
    /// Client id.
    pub client_id: String,
    /// Client secret, by reference.
    pub client_secret: String,
    /// Claim that holds a person's role.
    pub role_claim: Option<String>,
}

/// A project whose files are well formed. Whether they fit each other says [`super::check`].
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// Where the state is, with references; `None` takes the default beside the project.
    pub state: Option<String>,
    /// IANA zone.
    pub timezone: String,
    /// For how long history is kept.
    pub retention: Retention,
    /// Address that is told of changes of a sync's state, with references.
    pub alert_webhook: Option<String>,
    /// Settings of `tidegate serve`.
    pub serve: Serve,
    /// Connections by name.
    pub connections: BTreeMap<String, Connection>,
    /// Syncs by name.
    pub syncs: BTreeMap<String, Sync>,
    positions: Positions,
}

impl Project {
    /// Where a key of a sync stands (`fields[3].platform`), or the nearest one above it.
    pub fn sync_place(&self, sync: &str, path: &str) -> Place {
        self.positions.place(&sync_file(sync), path)
    }
    /// Whether a sync's file has this key itself.
    pub fn sync_has(&self, sync: &str, path: &str) -> bool {
        self.positions.exact(&sync_file(sync), path).is_some()
    }
    /// What the ledger of a sync keeps, once it is known whether its platform can be read back: values where the file
    /// does not say and the platform cannot be asked.
    pub fn ledger_of(&self, sync: &Sync, readable: bool) -> LedgerKind {
        if readable || self.sync_has(&sync.name, "ledger") { sync.ledger } else { LedgerKind::Values }
    }
    /// Where a key of `tidegate.yaml` stands, or the nearest one above it.
    pub fn place(&self, path: &str) -> Place {
        self.positions.place(PROJECT_FILE, path)
    }
    /// Where a key of a connection stands, or the nearest one above it.
    pub fn connection_place(&self, connection: &str, path: &str) -> Place {
        match self.connections.get(connection) {
            Some(found) => found.positions.place(&found.file, path),
            None => Place { file: format!("connections/{connection}.yaml"), at: At { line: 1, column: 1 } },
        }
    }
}

fn sync_file(name: &str) -> String {
    format!("syncs/{name}.yaml")
}

/// What came of the files.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The project, if nothing is wrong with any file.
    pub project: Option<Project>,
    /// Every problem of every file, in the order of files and lines.
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// The project, or one error that tells every problem.
    pub fn into_result(self) -> Result<Project> {
        match (self.project, self.problems.as_slice()) {
            (Some(project), []) => Ok(project),
            (_, problems) => {
                let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
                let count = match lines.len() {
                    1 => "1 problem".to_owned(),
                    n => format!("{n} problems"),
                };
                let message = format!("{count} in the project's files\n  {}", lines.join("\n  "));
                Err(Error::config(message).hint("mend the lines above; nothing was run"))
            }
        }
    }
}

/// What a path of a project is.
enum FileKind<'a> {
    Project,
    Connection(&'a str),
    Sync(&'a str),
    Wrong(&'static str),
    Other,
}

fn kind_of(path: &str) -> FileKind<'_> {
    if path == PROJECT_FILE {
        return FileKind::Project;
    }
    let (folder, name) = match path.split_once('/') {
        Some((folder @ ("connections" | "syncs"), name)) => (folder, name),
        _ if path == "tidegate.yml" => return FileKind::Wrong("the file's name must be `tidegate.yaml`"),
        _ => return FileKind::Other,
    };
    if name.ends_with(".yml") {
        return FileKind::Wrong("the file's name must end with `.yaml`");
    }
    let Some(name) = name.strip_suffix(".yaml") else { return FileKind::Other };
    if !is_name(name) {
        return FileKind::Wrong(
            "the file's name is the name used everywhere: up to 64 letters, digits, `-` and `_`, a letter or digit first",
        );
    }
    if folder == "connections" { FileKind::Connection(name) } else { FileKind::Sync(name) }
}

/// Names stand in commands, addresses and file names.
fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Reads a project's files. Files that are none of a project's are left alone.
pub fn load(files: &[SourceFile], kinds: &[KindInfo]) -> Loaded {
    let mut reader = Reader { kinds, problems: Vec::new(), project: None };
    let mut sorted: Vec<&SourceFile> = files.iter().collect();
    sorted.sort_by(|a, b| (a.path != PROJECT_FILE, &a.path).cmp(&(b.path != PROJECT_FILE, &b.path)));
    sorted.into_iter().for_each(|file| reader.file(file));
    if !files.iter().any(|file| file.path == PROJECT_FILE) {
        let mut problems = Problems::new(PROJECT_FILE);
        let hint = "make one with `tidegate init`, or name the project's folder with `--project`";
        problems.add_hint(At { line: 1, column: 1 }, "the file is missing", hint);
        reader.problems.splice(0..0, problems.into_sorted());
    }
    let whole = reader.problems.is_empty();
    Loaded { project: reader.project.filter(|_| whole), problems: reader.problems }
}

struct Reader<'k> {
    kinds: &'k [KindInfo],
    problems: Vec<Problem>,
    project: Option<Project>,
}

impl Reader<'_> {
    fn file(&mut self, file: &SourceFile) {
        let mut problems = Problems::new(&file.path);
        let start = At { line: 1, column: 1 };
        match kind_of(&file.path) {
            FileKind::Other => {}
            FileKind::Wrong(why) => problems.add(start, why),
            _ if file.text.len() > FILE_BYTES_MAX => {
                problems.add(start, format!("the file is larger than {} MB", FILE_BYTES_MAX >> 20));
            }
            kind => match parse(&file.text, &mut problems) {
                Some(root) => self.root(&kind, file, &root, &mut problems),
                None if problems.is_empty() => problems.add_hint(start, "the file is empty", "add `version: 1`"),
                None => {}
            },
        }
        self.problems.extend(problems.into_sorted());
    }
    fn root(&mut self, kind: &FileKind<'_>, file: &SourceFile, root: &Node, problems: &mut Problems) {
        let zone = self.project.as_ref().map_or("UTC", |project| &project.timezone).to_owned();
        match kind {
            FileKind::Project => {
                self.project = read(root, problems);
            }
            FileKind::Connection(name) => {
                let read = connection::read(name, &file.path, root, self.kinds, problems);
                if let (Some(project), Some(connection)) = (&mut self.project, read) {
                    project.connections.insert((*name).to_owned(), connection);
                }
            }
            FileKind::Sync(name) => {
                let read = sync::read(name, root, &zone, problems);
                if let (Some(project), Some(sync)) = (&mut self.project, read) {
                    project.syncs.insert((*name).to_owned(), sync);
                }
            }
            FileKind::Wrong(_) | FileKind::Other => {}
        }
        if let Some(project) = &mut self.project {
            project.positions.add(&file.path, root);
        }
    }
}

fn read(root: &Node, problems: &mut Problems) -> Option<Project> {
    validate::block(root, &PROJECT, false, problems);
    if !problems.is_empty() {
        return None;
    }
    let text = |node: &Node, key: &str| node.get(key).and_then(Node::raw).map(str::to_owned);
    let mut retention = Retention::default();
    if let Some(node) = root.get("retention") {
        for (key, slot) in [
            ("runs", &mut retention.runs_ms),
            ("logs", &mut retention.logs_ms),
            ("rejects", &mut retention.rejects_ms),
            ("before_images", &mut retention.before_images_ms),
        ] {
            if let Some(ms) = node.get(key).and_then(Node::raw).and_then(|text| parse_duration_ms(text).ok()) {
                *slot = ms;
            }
        }
    }
    Some(Project {
        name: text(root, "name")?,
        state: text(root, "state"),
        timezone: text(root, "timezone").unwrap_or_else(|| "UTC".to_owned()),
        retention,
        alert_webhook: root.get("alerts").and_then(|node| text(node, "webhook")),
        serve: root.get("serve").map(serve).unwrap_or_default(),
        connections: BTreeMap::new(),
        syncs: BTreeMap::new(),
        positions: Positions::default(),
    })
}

fn serve(node: &Node) -> Serve {
    let text = |node: &Node, key: &str| node.get(key).and_then(Node::raw).map(str::to_owned);
    let texts = |key: &str| {
        let items = node.get(key).map(Node::items).unwrap_or_default();
        items.iter().filter_map(|item| item.raw().map(str::to_owned)).collect()
    };
    Serve {
        listen: text(node, "listen"),
        public_url: text(node, "public_url"),
        tls: node.get("tls").and_then(|tls| Some((text(tls, "cert")?, text(tls, "key")?))),
        behind_proxy: text(node, "behind_proxy").is_some_and(|word| word.eq_ignore_ascii_case("true")),
        env_allow: texts("env_allow"),
        private_targets: texts("private_targets"),
        egress_ips: texts("egress_ips"),
        oidc: node.get("oidc").and_then(|oidc| {
            Some(Oidc {
                issuer: text(oidc, "issuer")?,
                client_id: text(oidc, "client_id")?,
                client_secret: text(oidc, "client_secret")?,
                role_claim: text(oidc, "role_claim"),
            })
        }),
    }
}
