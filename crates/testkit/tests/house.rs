//! The rules of the house as tests: which crate may know which, how long a file and a function may be, what shipped code must not do.
//!
//! A rule returns every violation as `file:line: what, and what to do`; a test lists them all at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "house/compiler.rs"]
mod compiler;
#[path = "house/edges.rs"]
mod edges;
#[path = "house/leftovers.rs"]
mod leftovers;
#[path = "house/source.rs"]
mod source;

use std::path::{Path, PathBuf};

use source::Source;

const FILE_LINES_MAX: usize = 499;
/// One screen.
const FUNCTION_LINES_MAX: usize = 70;
/// A test tells a story from top to bottom, but not a novel.
const TEST_LINES_MAX: usize = 150;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository's root")
}

/// Every text file of the repository with its path from the root, build output left out.
fn text_files() -> Vec<(String, String)> {
    fn walk(root: &Path, folder: &Path, out: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).expect("a folder to list") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if ["target", ".git", "node_modules", ".tidegate"].contains(&name.as_str()) {
                continue;
            }
            if path.is_symlink() {
                continue; // what it points to is read in its own place
            }
            if path.is_dir() {
                walk(root, &path, out);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let below = path.strip_prefix(root).expect("below the root");
                out.push((below.to_string_lossy().replace('\\', "/"), text));
            }
        }
    }
    let root = root();
    let mut files = Vec::new();
    walk(&root, &root, &mut files);
    files.sort();
    files
}

/// All Rust files, read; those that cannot be read are violations of their own.
fn sources() -> Vec<Source> {
    let files = text_files().into_iter().filter(|(path, _)| path.ends_with(".rs"));
    let read: Vec<_> = files.map(|(path, text)| Source::read(&path, &text)).collect();
    let unreadable: Vec<String> = read.iter().filter_map(|r| r.as_ref().err().cloned()).collect();
    hold("every Rust file can be read", unreadable);
    let mut sources: Vec<Source> = read.into_iter().flatten().collect();
    let modules: Vec<String> = sources.iter().flat_map(|s| s.test_modules.clone()).collect();
    for source in &mut sources {
        let of_test_module = |module: &String| {
            source.path.strip_prefix(module.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        source.is_test |= modules.iter().any(of_test_module);
    }
    sources
}

fn hold(rule: &str, violations: Vec<String>) {
    assert!(violations.is_empty(), "{rule}: {} violations\n  {}\n", violations.len(), violations.join("\n  "));
}

/// `crates/store/src/…` → `store`.
fn crate_of(path: &str) -> &str {
    path.strip_prefix("crates/").and_then(|rest| rest.split('/').next()).unwrap_or("")
}

fn size_violations(source: &Source) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    let lines = source.text.lines().count();
    if source.path.contains("/src/") && lines > FILE_LINES_MAX {
        out.push((lines, format!("{}:1: a file of {lines} lines, at most {FILE_LINES_MAX}", source.path)));
    }
    for function in &source.functions {
        let first = *function.lines.start();
        let lines = function.lines.end() + 1 - first;
        let most = if source.tests(first) { TEST_LINES_MAX } else { FUNCTION_LINES_MAX };
        if lines > most {
            out.push((
                lines,
                format!("{}:{first}: fn {} has {lines} lines, at most {most}", source.path, function.name),
            ));
        }
    }
    out
}

#[test]
fn files_and_functions_stay_small() {
    let mut found: Vec<_> = sources().iter().flat_map(size_violations).collect();
    found.sort_by_key(|(lines, _)| std::cmp::Reverse(*lines));
    hold("sizes", found.into_iter().map(|(_, text)| text).collect());
}

#[test]
fn what_is_too_long_is_seen() {
    let body = "    x();\n".repeat(FUNCTION_LINES_MAX - 1);
    let text =
        format!("/// Doc.\nfn long() {{\n{body}}}\n#[cfg(test)]\nmod tests {{\n#[test]\nfn fine() {{\n{body}}}\n}}\n");
    let found = size_violations(&Source::read("crates/x/src/y.rs", &text).unwrap());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].1.contains("y.rs:2: fn long has 71 lines"), "{found:?}");
    let long_file = "\n".repeat(FILE_LINES_MAX + 1);
    assert_eq!(size_violations(&Source::read("crates/x/src/y.rs", &long_file).unwrap()).len(), 1);
}
