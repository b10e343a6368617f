//! What a person or a script sees: data on stdout, everything else on stderr.

mod object;
mod progress;
mod run_line;
mod table;

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

pub use object::{Object, cell};
pub use progress::Watcher;
pub use run_line::{RUN_HEADS, RunLine, not_started, run_row};
use serde::Serialize;
pub use table::Table;
use tidegate_model::{Error, ErrorKind, Result};

/// Colours, where there are any. None carries a meaning that the words do not.
#[derive(Debug, Clone, Copy)]
pub enum Tint {
    /// Trouble.
    Red,
    /// Something to look at.
    Yellow,
    /// Done.
    Green,
    /// Of less weight.
    Dim,
}

/// How output is made. One for the whole process.
#[derive(Debug)]
pub struct Out {
    /// stdout holds JSON lines only.
    pub json: bool,
    /// No reports and no progress: data and errors only.
    pub quiet: bool,
    colour_out: bool,
    colour_err: bool,
    closed: AtomicBool,
}

fn colours_wished() -> bool {
    let said = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !said("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

impl Out {
    /// Output for these switches.
    pub fn new(json: bool, quiet: bool) -> Self {
        let wished = colours_wished();
        Self {
            json,
            quiet,
            colour_out: wished && !json && std::io::stdout().is_terminal(),
            colour_err: wished && std::io::stderr().is_terminal(),
            closed: AtomicBool::new(false),
        }
    }

    /// One line of data. A reader that went away (`| head`) ends the output, not the work.
    pub fn data(&self, line: &str) -> Result<()> {
        if self.closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(line.as_bytes()).and_then(|()| stdout.write_all(b"\n")) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                self.closed.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(Error::new(ErrorKind::Unavailable, "cannot write to the standard output")
                .hint("look at where the output is sent: the disk may be full")
                .cause(error)),
        }
    }

    /// One JSON line of data.
    pub fn json<T: Serialize>(&self, value: &T) -> Result<()> {
        let line = serde_json::to_string(value)
            .map_err(|error| Error::internal("an answer cannot be written as JSON").cause(error))?;
        self.data(&line)
    }

    /// A report for a person, on stderr; nothing with `--quiet` or `--json`.
    pub fn note(&self, line: &str) {
        if !self.quiet && !self.json {
            say(line);
        }
    }

    /// Something that goes wrong without stopping the work, on stderr, always.
    pub fn warn(&self, line: &str) {
        say(&format!("{} {line}", self.paint_err(Tint::Yellow, "warning:")));
    }

    /// An error with what to do next, on stderr.
    pub fn error(&self, error: &Error) {
        say(&format!("{} {error}", self.paint_err(Tint::Red, "error:")));
        if let Some(hint) = &error.hint {
            say(&format!("  {} {hint}", self.paint_err(Tint::Dim, "hint:")));
        }
    }

    /// Text for stdout, coloured on a terminal.
    pub fn paint(&self, tint: Tint, text: &str) -> String {
        paint(self.colour_out, tint, text)
    }

    fn paint_err(&self, tint: Tint, text: &str) -> String {
        paint(self.colour_err, tint, text)
    }

    /// A table for a person on stdout.
    pub fn table(&self, table: &Table) -> Result<()> {
        table.lines().iter().try_for_each(|line| self.data(line))
    }
}

fn paint(on: bool, tint: Tint, text: &str) -> String {
    if !on {
        return text.to_owned();
    }
    let code = match tint {
        Tint::Red => "31;1",
        Tint::Yellow => "33",
        Tint::Green => "32",
        Tint::Dim => "2",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// `1 change`, `2 changes`.
pub fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// A line on stderr. When even that is closed there is nobody left to tell.
pub fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    if writeln!(stderr, "{line}").is_err() {
        // Nobody reads any more; the exit code still tells.
    }
}
