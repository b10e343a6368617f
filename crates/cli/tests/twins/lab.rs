//! A project whose platform is a twin of Planhat in this process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use tidegate_twins::planhat::{Planhat, TENANT};
use tidegate_twins::{Knobs, Running, Start, start};
use tokio::runtime::Runtime;

use super::bench::Bench;
pub use super::knobs::{faults, quiet};

/// The planted secret: it must be nowhere.
pub const TOKEN: &str = "planted-secret-7f3a";

/// The project and the twin.
pub struct Lab {
    pub bench: Bench,
    pub twin: Running,
    _runtime: Runtime,
}

pub const ENDUSERS: &str = "\
version: 1
warehouse: { connection: lake, relation: people }
platform:  { connection: crm, model: enduser }
direction: to_platform
key: { warehouse: person_id, platform: externalId }
fields:
  - { warehouse: email,      platform: email }
  - { warehouse: company_id, platform: companyId }
  - { warehouse: title,      platform: position }
";

impl Lab {
    /// A project with the sync of companies, on a twin with these knobs.
    pub fn new(knobs: Knobs) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let twin = Arc::new(Planhat::new(TOKEN, TENANT));
        let twin = runtime.block_on(start(twin, Start { knobs, ..Start::default() })).expect("a twin");
        let bench = Bench::with_companies();
        let url = twin.url();
        let text = format!(
            "version: 1\ntype: planhat\ntoken: \"${{PLANTED}}\"\ntenant: {TENANT}\nurl: {url}\nanalytics_url: {url}\n"
        );
        bench.write("connections/crm.yaml", &text);
        Self { bench, twin, _runtime: runtime }
    }

    /// Runs the binary with the token in its environment.
    pub fn run(&self, words: &[&str]) -> super::bench::Done {
        let done = self.bench.command(words).env("PLANTED", TOKEN).output().expect("started").into();
        let done: super::bench::Done = done;
        assert!(!done.stdout.contains(TOKEN) && !done.stderr.contains(TOKEN), "the token is printed: {words:?}");
        done
    }

    /// What the twin holds of a model, by externalId. Two records of one externalId fail.
    pub fn held(&self, model: &str) -> BTreeMap<String, Json> {
        let shelves = self.twin.holds(1_000_000).expect("what it holds");
        let records: Vec<Json> =
            shelves.into_iter().filter(|shelf| shelf.name == model).flat_map(|shelf| shelf.newest).collect();
        let mut out = BTreeMap::new();
        for record in records {
            let key = record["externalId"].as_str().unwrap_or_default().to_owned();
            assert!(out.insert(key.clone(), record).is_none(), "{model} {key:?} is there twice");
        }
        out
    }

    /// Fails if the token stands in any file of the project but none that names it.
    pub fn no_secret(&self) {
        assert_eq!(stands_in(self.bench.root(), TOKEN), Vec::<String>::new());
    }
}

/// Files below a folder in which a secret stands.
pub fn stands_in(folder: &Path, secret: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path).expect("a file").windows(secret.len()).any(|part| part == secret.as_bytes())
            {
                found.push(path.display().to_string());
            }
        }
    }
    found
}
