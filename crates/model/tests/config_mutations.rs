//! Whatever bytes a file holds: no panic, every problem with file and line, no project beside a problem.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod common;

use common::{acme, kinds};
use tidegate_model::config::{SourceFile, check, load};

/// A small generator: the seed alone brings a failure back.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap()
    }
}

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\t",
    "#",
    "\"",
    "'",
    "&a ",
    "*a",
    "!x ",
    "|",
    ">",
    "?",
    "---\n",
    "...\n",
    "%",
    "@",
    "`",
    ",",
    "~",
    "null",
    "true",
    "${",
    "${A}",
    "secret:",
    "9",
    "-1",
    "1e999",
    "0x1F",
    ".",
    "all",
    "\u{0}",
    "\u{feff}",
    "é",
    "𝄞",
    "\r\n",
    "version: 1\n",
    "<<: *a\n",
    "[[[[[[[[",
    "{a: {a: {a: ",
    "transform: [regex_extract:(]",
    "every: 0m",
];

/// Cuts, doubles, swaps and inserts at places between characters.
fn mutate(text: &str, dice: &mut Dice) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=dice.below(4) {
        let (a, b) = (dice.below(chars.len() + 1), dice.below(chars.len() + 1));
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 40));
        match dice.below(5) {
            0 => drop(chars.drain(from..to)),
            1 => {
                let copy: Vec<char> = chars[from..to].to_vec();
                let at = dice.below(chars.len() + 1);
                chars.splice(at..at, copy);
            }
            2 => {
                let piece: Vec<char> = PIECES[dice.below(PIECES.len())].chars().collect();
                chars.splice(from..from, piece);
            }
            3 => chars.truncate(a),
            _ => chars[from..to].reverse(),
        }
    }
    chars.into_iter().collect()
}

fn run(seed: u64) -> bool {
    let mut dice = Dice(seed);
    let mut files: Vec<SourceFile> = acme();
    let which = dice.below(files.len());
    files[which].text = mutate(&files[which].text, &mut dice);
    let lines = files[which].text.split(['\n', '\r']).count() + 1;
    let loaded = load(&files, &kinds());
    for problem in &loaded.problems {
        assert_eq!(problem.file, files[which].path, "seed {seed}: {problem}");
        let line = usize::try_from(problem.line).unwrap();
        assert!((1..=lines).contains(&line) && problem.column >= 1, "seed {seed}: {problem} of {lines} lines");
        assert!(!problem.message.is_empty(), "seed {seed}");
    }
    assert_eq!(loaded.project.is_some(), loaded.problems.is_empty(), "seed {seed}");
    if let Some(project) = &loaded.project {
        for found in check(project) {
            assert!(found.place.at.line >= 1 && !found.finding.why.is_empty(), "seed {seed}");
        }
    }
    loaded.problems.is_empty()
}

#[test]
fn no_text_panics_and_every_problem_has_its_place() {
    if let Some(seed) = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        run(seed);
        return;
    }
    let (mut good, mut bad) = (0, 0);
    for seed in 0..3_000 {
        match std::panic::catch_unwind(|| run(seed)) {
            Ok(true) => good += 1,
            Ok(false) => bad += 1,
            Err(_) => panic!("TIDEGATE_SEED={seed} cargo test -p tidegate-model --test config_mutations"),
        }
    }
    assert!(good > 100 && bad > 1_000, "{good} of the mutations were harmless, {bad} were problems");
}
