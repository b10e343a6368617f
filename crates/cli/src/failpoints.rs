//! Stops the process at a named point, for the tests that kill tidegate between every pair of its steps.
//!
//! `TIDEGATE_FAILPOINT=name[:n]` kills this process with SIGKILL at the n-th hit of the point (default the first);
//! `TIDEGATE_FAILPOINT=stop@name[:n]` stops it there with SIGSTOP instead, until somebody sends SIGCONT;
//! `TIDEGATE_FAILPOINT=panic@name[:n]` panics there, as a fault of ours would;
//! `TIDEGATE_FAILPOINT_LOG=FILE` appends the name of each point that is hit;
//! `TIDEGATE_UNLIMITED=1` keeps to no limit of a platform, for measurements against a server of one's own. In builds
//! without the feature `failpoints` none of this exists.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

struct Wish {
    name: String,
    hits: u64,
    /// What is sent to this process; `None`: it panics.
    signal: Option<Signal>,
}

static WISH: OnceLock<Option<Wish>> = OnceLock::new();
static SEEN: AtomicU64 = AtomicU64::new(0);

/// Whether no limit is kept to.
pub fn unlimited() -> bool {
    std::env::var_os("TIDEGATE_UNLIMITED").is_some()
}

/// Installs the hook, if the environment asks for anything.
pub fn install() {
    let log = std::env::var_os("TIDEGATE_FAILPOINT_LOG").is_some();
    let wish = WISH.get_or_init(|| {
        let text = std::env::var("TIDEGATE_FAILPOINT").ok()?;
        let (signal, point) = match text.split_once('@') {
            Some(("stop", point)) => (Some(Signal::STOP), point),
            Some(("panic", point)) => (None, point),
            _ => (Some(Signal::KILL), text.as_str()),
        };
        let (name, hits) = point.split_once(':').unwrap_or((point, "1"));
        Some(Wish { name: name.to_owned(), hits: hits.parse().unwrap_or(1), signal })
    });
    if log || wish.is_some() {
        tidegate_model::failpoint::install(hit);
    }
}

fn hit(name: &'static str) {
    if let Some(path) = std::env::var_os("TIDEGATE_FAILPOINT_LOG") {
        let file = OpenOptions::new().append(true).create(true).open(&path);
        // In one go: points are hit on several threads, and half a line of one may not stand within another's.
        let line = format!("{name}\n");
        if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
            crate::out::say(&format!("failpoints: cannot append to {}: {error}", path.display()));
        }
    }
    let Some(Some(wish)) = WISH.get() else { return };
    if wish.name == name && SEEN.fetch_add(1, Ordering::SeqCst) + 1 == wish.hits {
        let Some(signal) = wish.signal else { fall(name) };
        if let Err(error) = kill_process(getpid(), signal) {
            crate::out::say(&format!("failpoints: cannot signal this process: {error}"));
        }
        // The signal is on its way; nothing may happen between the point and it.
        std::thread::sleep(std::time::Duration::from_millis(200));
        if signal == Signal::KILL {
            loop {
                std::thread::park();
            }
        }
    }
}

#[allow(clippy::panic, reason = "it is asked for, by a test of what a panic of ours would show")]
fn fall(name: &str) -> ! {
    panic!("the failpoint {name}")
}
