//! Reading a secret: from a prompt that does not echo, or from a pipe. Never from an argument, which everybody on the
//! machine can see.

use std::io::{BufRead, IsTerminal, Read};

use tidegate_model::error::ErrorKind;
use tidegate_model::secret::Secret;
use tidegate_model::{Error, Result};

/// The longest secret: a key file with its chain fits well.
const BYTES_MAX: u64 = 64 * 1024;

/// Reads one secret from stdin; one line break at its end is no part of it.
pub fn read(name: &str) -> Result<Secret> {
    let text = if std::io::stdin().is_terminal() { prompt(name)? } else { piped()? };
    let text = text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(&text);
    if text.is_empty() {
        return Err(Error::config("the secret is empty").hint("type it at the prompt, or send it through a pipe"));
    }
    Ok(Secret::new(text))
}

fn trouble(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, "the secret cannot be read from the standard input").cause(error)
}

fn piped() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().lock().take(BYTES_MAX + 1).read_to_string(&mut text).map_err(trouble)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(Error::config(format!("a secret has at most {BYTES_MAX} bytes")).hint("is this the right file?"));
    }
    Ok(text)
}

/// Turns the terminal's echo off while a line is typed, and on again whatever happens.
fn prompt(name: &str) -> Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    crate::out::say(&format!("{name} (what you type is not shown):"));
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).map_err(trouble)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(trouble)?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Flush, &before).map_err(trouble)?;
    read.map_err(trouble)?;
    Ok(line)
}
