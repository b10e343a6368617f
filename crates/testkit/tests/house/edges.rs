//! Who may know whom: the edges between crates, what the pure crates may touch and name, who knows the state's tables.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::source::{Source, Token};
use super::{crate_of, hold, root, sources, text_files};

/// Which of our crates each of them may use in shipped code. Tests may use any.
const EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("engine", &["model"]),
    ("net", &["model"]),
    ("store", &["model", "net"]),
    ("warehouses", &["model", "net"]),
    ("platforms", &["model", "net"]),
    ("twins", &["model"]),
    ("server", &["model", "net", "engine", "store", "warehouses", "platforms"]),
    ("cli", &["model", "net", "engine", "store", "warehouses", "platforms", "twins", "server"]),
    ("testkit", &["model", "engine", "store", "warehouses", "platforms"]),
];

/// Crates of others that only some of ours may use in shipped code, and why.
const FOREIGN: &[(&[&str], &[&str], &str)] = &[
    (&["axum"], &["server", "twins"], "only the server and the twins serve HTTP"),
    (
        &["tokio", "rusqlite", "tokio-postgres", "reqwest", "hyper", "rustls", "rand"],
        &["net", "store", "warehouses", "platforms", "twins", "server", "cli", "testkit"],
        "model and engine reach nothing outside: it is handed in",
    ),
    (&["chrono", "time"], &[], "dates and times are jiff's"),
    (&["lazy_static", "once_cell"], &[], "std::sync::LazyLock does it"),
    (&["openssl", "native-tls"], &[], "TLS is rustls"),
    (&["rustls-native-certs", "rustls"], &["net"], "net alone decides whom we trust"),
];

/// What model and engine must not touch; `Instant::now` is found at the end of any path.
const WORLD: &[&str] = &[
    "tokio",
    "rusqlite",
    "tokio_postgres",
    "reqwest",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
];

/// The engine spills to temporary files that it is handed; this is the one place.
const SPOOL: &str = "crates/engine/src/spool";

/// Names of connectors that no common word hides (`batch` and `http` are words of the engine too).
const CONNECTORS: &[&str] =
    &["planhat", "snowflake", "bigquery", "postgres", "postgresql", "sqlite", "duckdb", "adbc", "hub"];

/// Lower-case words of a text or a name: `SnowflakeClient`, `snowflake_client` and "a Snowflake client" all say `snowflake`.
fn words(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut before = ' ';
    for c in text.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase()) {
            out.push(String::new());
        }
        if c.is_alphanumeric() {
            out.last_mut().unwrap().extend(c.to_lowercase());
        }
        before = c;
    }
    out.retain(|word| !word.is_empty());
    out
}

// ---- crates and their edges

/// One dependency of a crate in shipped code: (crate's folder, the package it uses).
fn shipped_edges() -> Vec<(String, String)> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let run = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo metadata starts");
    assert!(run.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&run.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON from cargo metadata");
    let mut edges = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let manifest = PathBuf::from(package["manifest_path"].as_str().expect("manifest_path"));
        let folder = manifest.parent().and_then(Path::file_name).expect("a folder").to_string_lossy().into_owned();
        edges.push((folder.clone(), String::new()));
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            if dependency["kind"] != "dev" {
                edges.push((folder.clone(), dependency["name"].as_str().expect("name").to_owned()));
            }
        }
    }
    edges
}

fn edge_violations(edges: &[(String, String)]) -> Vec<String> {
    let mut out = Vec::new();
    for (from, package) in edges {
        let manifest = format!("crates/{from}/Cargo.toml");
        let Some((_, may)) = EDGES.iter().find(|(name, _)| name == from) else {
            out.push(format!("{manifest}: a crate without a line in EDGES; add it there and to ARCHITECTURE.md"));
            continue;
        };
        let ours = if package == "tidegate" { Some("cli") } else { package.strip_prefix("tidegate-") };
        if let Some(to) = ours.filter(|to| !may.contains(to)) {
            out.push(format!("{manifest}: {from} must not depend on {to} outside of tests; it may on {may:?}"));
        }
        for (banned, except, why) in FOREIGN {
            if banned.contains(&package.as_str()) && !except.contains(&from.as_str()) {
                out.push(format!("{manifest}: {from} must not depend on {package} outside of tests: {why}"));
            }
        }
    }
    out.sort();
    out.dedup();
    out
}

#[test]
fn crates_know_only_whom_they_may() {
    let edges = shipped_edges();
    assert!(edges.len() > EDGES.len(), "the rule saw no dependencies at all");
    hold("edges between crates", edge_violations(&edges));
}

#[test]
fn forbidden_edges_are_seen() {
    let edge = |from: &str, to: &str| edge_violations(&[(from.to_owned(), to.to_owned())]).len();
    assert_eq!(edge("engine", "tidegate-model"), 0);
    assert_eq!(edge("engine", "tidegate-store"), 1);
    assert_eq!(edge("server", "tidegate-testkit"), 1);
    assert_eq!(edge("server", "tidegate"), 1);
    assert_eq!(edge("cli", "axum"), 1);
    assert_eq!(edge("model", "tokio"), 1);
    assert_eq!(edge("attic", "serde"), 1);
}

// ---- what model and engine may touch and name

fn touches(path: &str, banned: &str) -> bool {
    let segments: Vec<&str> = path.split("::").collect();
    let wanted: Vec<&str> = banned.split("::").collect();
    match wanted.as_slice() {
        [one] => segments[0] == *one && segments.len() > 1,
        _ => segments.windows(wanted.len()).any(|part| part == wanted),
    }
}

fn world_violations(source: &Source) -> Vec<String> {
    let mut out = Vec::new();
    for (line, path) in source.paths.iter().filter(|(line, _)| !source.tests(*line)) {
        for banned in WORLD.iter().filter(|banned| touches(path, banned)) {
            if !(*banned == "std::fs" && source.path.starts_with(SPOOL)) {
                out.push(format!(
                    "{}:{line}: {path}: model and engine reach nothing outside; have it handed in",
                    source.path
                ));
            }
        }
    }
    out
}

fn connector_violations(source: &Source) -> Vec<String> {
    let mut out = Vec::new();
    for (line, token) in source.tokens.iter().filter(|(line, _)| !source.tests(*line)) {
        let (Token::Word(said) | Token::Text(said)) = token else {
            continue;
        };
        for word in words(said).iter().filter(|word| CONNECTORS.contains(&word.as_str())) {
            let path = &source.path;
            out.push(format!(
                "{path}:{line}: says {word:?}: only its own folder and its wing's list.rs may name a connector"
            ));
        }
    }
    out
}

#[test]
fn model_and_engine_reach_nothing_outside() {
    let pure = |s: &&Source| ["model", "engine"].contains(&crate_of(&s.path)) && s.path.contains("/src/");
    hold("pure crates", sources().iter().filter(pure).flat_map(world_violations).collect());
}

#[test]
fn model_and_engine_name_no_connector() {
    let nameless = |s: &&Source| ["model", "engine"].contains(&crate_of(&s.path)) && s.path.contains("/src/");
    hold("connectors' names", sources().iter().filter(nameless).flat_map(connector_violations).collect());
}

#[test]
fn a_touch_of_the_world_is_seen() {
    let text = "use std::{io, fs::{self, File}};\n/// std::net\nfn f() { let t = Instant::now(); }\n\
                #[cfg(test)]\nmod tests {\n fn g() { std::fs::read(\"x\"); }\n}\nfn h() { dbg(&[tokio::spawn(f)]) }\n";
    let source = Source::read("crates/engine/src/x.rs", text).unwrap();
    let lines: Vec<String> =
        world_violations(&source).iter().map(|v| v.split(':').nth(1).unwrap().to_owned()).collect();
    assert_eq!(lines, ["1", "1", "3", "8"]);
}

#[test]
fn a_connectors_name_is_seen() {
    let text = "/// Not for Planhat alone.\nfn f(hubbub: u8) { say(\"the Planhat way\") }\nstruct BigQuery; struct SnowflakeRow;\n";
    let source = Source::read("crates/engine/src/x.rs", text).unwrap();
    assert_eq!(connector_violations(&source).len(), 2, "{:?}", connector_violations(&source));
}

#[test]
fn the_pure_crates_repeat_the_general_lint_settings() {
    let settings = |path: &str| -> BTreeSet<String> {
        let text = std::fs::read_to_string(root().join(path)).expect("a clippy.toml");
        let general = text.lines().take_while(|line| !line.starts_with("disallowed"));
        general.filter(|line| line.contains('=')).map(str::to_owned).collect()
    };
    for pure in ["model", "engine"] {
        let path = format!("crates/{pure}/clippy.toml");
        assert_eq!(settings(&path), settings("clippy.toml"), "{path} differs: clippy reads the nearest file only");
    }
}

// ---- the state's tables

/// The tables that this SQL names after one of the phrases.
fn tables<'a>(sql: &'a str, phrases: &[&[&str]]) -> Vec<&'a str> {
    let words: Vec<&str> =
        sql.split(|c: char| c.is_whitespace() || "(),;".contains(c)).filter(|w| !w.is_empty()).collect();
    let mut out = Vec::new();
    for at in 0..words.len() {
        for phrase in phrases.iter().filter(|phrase| words[at..].starts_with(phrase)) {
            let rest = words[at + phrase.len()..].iter().skip_while(|w| ["IF", "NOT", "EXISTS", "ONLY"].contains(w));
            let name = rest.map(|w| w.rsplit('.').next().unwrap_or(w).trim_matches(['"', '`'])).next();
            out.extend(name.filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic())));
        }
    }
    out
}

const CREATES: &[&[&str]] = &[&["CREATE", "TABLE"], &["CREATE", "UNLOGGED", "TABLE"]];
const USES: &[&[&str]] = &[
    &["CREATE", "TABLE"],
    &["ALTER", "TABLE"],
    &["DROP", "TABLE"],
    &["INSERT", "INTO"],
    &["UPDATE"],
    &["FROM"],
    &["JOIN"],
];

/// Shipped string literals of a file, with their lines.
fn literals(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    source.tokens.iter().filter(|(line, _)| !source.tests(*line)).filter_map(|(line, token)| match token {
        Token::Text(text) => Some((*line, text.as_str())),
        _ => None,
    })
}

#[test]
fn only_store_knows_the_tables_of_the_state() {
    let sources = sources();
    let mut own: BTreeSet<String> = BTreeSet::new();
    for (_, sql) in text_files().iter().filter(|(path, _)| path.starts_with("crates/store/") && path.ends_with(".sql"))
    {
        own.extend(tables(sql, CREATES).into_iter().map(str::to_owned));
    }
    for source in sources.iter().filter(|s| crate_of(&s.path) == "store") {
        own.extend(literals(source).flat_map(|(_, sql)| tables(sql, CREATES)).map(str::to_owned));
    }
    let mut out = Vec::new();
    for source in sources.iter().filter(|s| !["store", ""].contains(&crate_of(&s.path))) {
        for (line, sql) in literals(source) {
            for table in tables(sql, USES).into_iter().filter(|table| own.contains(*table)) {
                out.push(format!(
                    "{}:{line}: SQL on {table:?}, a table of the state: only store may; ask it for a function",
                    source.path
                ));
            }
        }
    }
    hold("tables of the state", out);
}

#[test]
fn tables_are_read_out_of_sql() {
    assert_eq!(tables("CREATE TABLE IF NOT EXISTS \"jobs\"(id int); CREATE TABLE s.runs (", CREATES), ["jobs", "runs"]);
    assert_eq!(tables("SELECT 1 FROM runs JOIN x.jobs USING (a)", USES), ["runs", "jobs"]);
}
