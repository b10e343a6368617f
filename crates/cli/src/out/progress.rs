//! How far a run is: bars on a terminal, a plain line now and then in a pipe.

use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tidegate_model::ports::{Listener, Progress};

use super::{Out, say};

/// In a pipe: seconds between two lines, so that a log of an hour's run stays readable.
const PLAIN_EVERY: Duration = Duration::from_secs(5);
/// Redraws a second on a terminal: smooth to the eye, nothing to the run.
const REDRAWS: u8 = 10;

/// Listens to runs and shows them.
pub struct Watcher {
    style: Style,
    now: Mutex<Option<Showing>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Silent,
    Plain,
    Bars,
    /// For `serve`: lines of the runs' logs as lines of its own log.
    Log,
}

struct Showing {
    sync: String,
    phase: &'static str,
    began: Instant,
    said: Instant,
    bar: ProgressBar,
}

impl Watcher {
    /// Bars on a terminal, lines in a pipe, nothing with `--quiet` or `--json`.
    pub fn new(out: &Out) -> Self {
        let style = match (out.quiet || out.json, std::io::stderr().is_terminal()) {
            (true, _) => Style::Silent,
            (false, true) => Style::Bars,
            (false, false) => Style::Plain,
        };
        Self { style, now: Mutex::new(None) }
    }

    /// No progress; what runs log goes into the log of this process.
    pub fn logging() -> Self {
        Self { style: Style::Log, now: Mutex::new(None) }
    }

    /// Ends what is shown, so that other output has the line for itself.
    pub fn done(&self) {
        if let Some(showing) = self.lock().take() {
            showing.bar.finish_and_clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Showing>> {
        // A panic elsewhere leaves at worst a stale bar.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, sync: &str, progress: &Progress) -> Showing {
        let bar = if self.style == Style::Bars {
            let target = ProgressDrawTarget::stderr_with_hz(REDRAWS);
            ProgressBar::with_draw_target(progress.total, target).with_style(style(progress.total.is_some()))
        } else {
            ProgressBar::hidden()
        };
        bar.set_prefix(format!("{sync}: {}", progress.phase));
        let now = Instant::now();
        Showing { sync: sync.to_owned(), phase: progress.phase, began: now, said: now, bar }
    }
}

fn style(with_total: bool) -> ProgressStyle {
    let template = if with_total {
        "{prefix}  {bar:24} {human_pos}/{human_len} rows  {per_sec}  {msg}{eta} left"
    } else {
        "{prefix}  {spinner} {human_pos} rows  {per_sec}  {msg}{elapsed}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `companies: read 120,000 of 300,000 rows, 40,000 rows/s, 3 rejected, 4 seconds left`.
fn plain_line(sync: &str, progress: &Progress, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for the eye"
    )]
    let rate = (progress.rows as f64 / seconds) as u64;
    let of = progress.total.map_or_else(String::new, |total| format!(" of {}", HumanCount(total)));
    let left = match progress.total {
        Some(total) if rate > 0 && total > progress.rows => {
            format!(", {} left", HumanDuration(Duration::from_secs((total - progress.rows) / rate)))
        }
        _ => String::new(),
    };
    let rejected = if progress.rejected > 0 { format!(", {} rejected", progress.rejected) } else { String::new() };
    format!(
        "{sync}: {} {}{of} rows, {} rows/s{rejected}{left}",
        progress.phase,
        HumanCount(progress.rows),
        HumanCount(rate)
    )
}

impl Listener for Watcher {
    fn progress(&self, sync: &str, progress: &Progress) {
        if matches!(self.style, Style::Silent | Style::Log) {
            return;
        }
        let mut now = self.lock();
        let same = now.as_ref().is_some_and(|showing| showing.sync == sync && showing.phase == progress.phase);
        if !same {
            if let Some(before) = now.take() {
                before.bar.finish_and_clear();
            }
            *now = Some(self.start(sync, progress));
        }
        let Some(showing) = now.as_mut() else { return };
        if self.style == Style::Plain {
            if showing.said.elapsed() >= PLAIN_EVERY {
                showing.said = Instant::now();
                say(&plain_line(sync, progress, showing.began.elapsed()));
            }
            return;
        }
        if progress.rejected > 0 {
            showing.bar.set_message(format!("{} rejected  ", progress.rejected));
        }
        showing.bar.set_position(progress.rows);
    }

    fn log(&self, sync: &str, run: Option<&str>, line: &str) {
        match self.style {
            Style::Silent => {}
            Style::Log => tracing::info!(sync, run, "{line}"),
            Style::Plain => say(&format!("{sync}: {line}")),
            Style::Bars => match self.lock().as_ref() {
                Some(showing) => showing.bar.suspend(|| say(&format!("{sync}: {line}"))),
                None => say(&format!("{sync}: {line}")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_says_it_all() {
        let progress = Progress { phase: "read", rows: 120_000, total: Some(300_000), rejected: 3 };
        let line = plain_line("usage", &progress, Duration::from_secs(3));
        assert_eq!(line, "usage: read 120,000 of 300,000 rows, 40,000 rows/s, 3 rejected, 4 seconds left");
    }
}
