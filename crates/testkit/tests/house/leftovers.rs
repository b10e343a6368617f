//! What shipped code must not hold: panics without a reason, work left for later, one machine's folders.

use std::collections::BTreeMap;

use super::source::Source;
use super::{crate_of, hold, root, sources, text_files};

/// (name in the allow-list, tokens, what to do instead)
const PANICS: &[(&str, &[&str])] =
    &[("unwrap", &[".", "unwrap", "("]), ("expect", &[".", "expect", "("]), ("panic", &["panic", "!"])];

/// (rule, file, function) → violations.
type Panics = BTreeMap<(String, String, String), Vec<String>>;

fn panics(source: &Source, out: &mut Panics) {
    for (rule, sequence) in PANICS {
        for line in source.find(sequence).filter(|line| !source.tests(*line)) {
            let function = source.function_at(line);
            let key = ((*rule).to_owned(), source.path.clone(), function.to_owned());
            let text =
                format!("{}:{line}: {rule} in {function}: return an error that says what to do next", source.path);
            out.entry(key).or_default().push(text);
        }
    }
}

/// The allow-list holds lines `rule file function: reason`; what covers nothing any more is a violation too.
fn panic_violations(mut found: Panics, allow: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (at, line) in allow.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let place = format!("house_allow.txt:{}", at + 1);
        let Some((what, reason)) = line.split_once(": ") else {
            out.push(format!("{place}: no reason; a line is `rule file function: reason`"));
            continue;
        };
        let fields: Vec<&str> = what.split_whitespace().collect();
        let [rule, file, function] = fields.as_slice() else {
            out.push(format!("{place}: a line is `rule file function: reason`"));
            continue;
        };
        if reason.split_whitespace().count() < 3 {
            out.push(format!("{place}: {reason:?} is not a reason"));
        }
        if found.remove(&((*rule).to_owned(), (*file).to_owned(), (*function).to_owned())).is_none() {
            out.push(format!("{place}: stale, there is no {rule} in {function} of {file} any more; remove the line"));
        }
    }
    out.extend(found.into_values().flatten());
    out
}

#[test]
fn shipped_code_does_not_panic() {
    let mut found = Panics::new();
    for source in sources().iter().filter(|s| crate_of(&s.path) != "testkit") {
        panics(source, &mut found);
    }
    let allow = std::fs::read_to_string(root().join("crates/testkit/tests/house_allow.txt")).expect("the allow-list");
    hold("panics", panic_violations(found, &allow));
}

#[test]
fn a_panic_is_seen_and_allowed_with_a_reason() {
    let text = "fn f() { log!(\"{}\", x.unwrap()) }\n#[test]\nfn t() { x.unwrap() }\nfn g() { x.unwrap_or(1) }\n";
    let check = |allow: &str| {
        let mut found = Panics::new();
        panics(&Source::read("crates/x/src/y.rs", text).unwrap(), &mut found);
        panic_violations(found, allow).len()
    };
    assert_eq!(check(""), 1);
    assert_eq!(check("unwrap crates/x/src/y.rs f: the value was set above"), 0);
    assert_eq!(check("unwrap crates/x/src/y.rs f: fine"), 1);
    assert_eq!(
        check("unwrap crates/x/src/y.rs f: the value was set above\npanic crates/x/src/y.rs f: gone long ago"),
        1
    );
}

/// Words that promise work for later; put together here so that this file does not hold them.
const MARKERS: &[&str] = &[concat!("FIX", "ME"), concat!("TO", "DO"), concat!("```ig", "nore")];

fn leftovers(source: &Source) -> Vec<String> {
    let mut out = Vec::new();
    for (at, line) in source.text.lines().enumerate() {
        for marker in MARKERS.iter().filter(|marker| line.contains(**marker)) {
            out.push(format!("{}:{}: {marker}: do it now, or write an issue", source.path, at + 1));
        }
    }
    for sequence in [["todo", "!"].as_slice(), &["unimplemented", "!"], &["#", "[", "ignore"]] {
        let found = source
            .find(sequence)
            .map(|line| format!("{}:{line}: {}: nothing half done stays", source.path, sequence.join("")));
        out.extend(found);
    }
    out
}

#[test]
fn nothing_is_left_for_later() {
    hold("leftovers", sources().iter().flat_map(leftovers).collect());
}

#[test]
fn a_leftover_is_seen() {
    let text = format!("// {}: x\n#[test]\n#[ignore = \"slow\"]\nfn t() {{ todo!() }}\n", MARKERS[0]);
    assert_eq!(leftovers(&Source::read("crates/x/src/y.rs", &text).unwrap()).len(), 3);
}

// ---- machines

/// Folders of the machine we happened to build on.
const MACHINE: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];

fn machine_violations(path: &str, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for folder in MACHINE {
            let starts_there = |(before, _): (usize, &str)| {
                !line[..before].ends_with(|c: char| c.is_alphanumeric() || "_-./}*~".contains(c))
            };
            if line.match_indices(folder).any(starts_there) {
                out.push(format!("{path}:{}: names {folder}, a folder of one machine", at + 1));
            }
        }
    }
    out
}

#[test]
fn no_file_names_one_machine() {
    let files = text_files();
    assert!(files.len() > 20, "the rule saw only {} files", files.len());
    hold("paths of one machine", files.iter().flat_map(|(path, text)| machine_violations(path, text)).collect());
}

#[test]
fn a_machines_path_is_seen() {
    let text = format!("dir = \"{}x\"\nurl = https://h{}x\n", MACHINE[0], MACHINE[0]);
    assert_eq!(machine_violations("f", &text).len(), 1);
}
