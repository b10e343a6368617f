//! What Prometheus reads. Counters begin at zero with the process; gauges say what the state says.

use std::collections::BTreeMap;
use std::fmt::Write;

use tidegate_model::Instant;
use tidegate_model::run::{Counts, RunRecord, RunStatus};

/// The content type of the text format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds in seconds: from a quiet run to a first load.
const BUCKETS: [f64; 9] = [0.1, 0.5, 2.0, 10.0, 30.0, 120.0, 600.0, 1800.0, 7200.0];

const ENDS: [RunStatus; 5] =
    [RunStatus::Succeeded, RunStatus::Partial, RunStatus::Failed, RunStatus::Cancelled, RunStatus::Unbalanced];

/// What stands still between two ticks, per sync.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SyncGauges {
    pub(crate) next_due: Option<Instant>,
    pub(crate) last_success: Option<Instant>,
    pub(crate) failures: u32,
    pub(crate) waits: Option<&'static str>,
}

#[derive(Debug, Clone, Default)]
struct Seconds {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: f64,
}

/// Everything that is measured.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    runs: BTreeMap<(String, &'static str), u64>,
    not_begun: BTreeMap<(String, &'static str), u64>,
    records: BTreeMap<(String, &'static str, &'static str), u64>,
    requests: BTreeMap<(String, &'static str), u64>,
    seconds: BTreeMap<String, Seconds>,
    syncs: BTreeMap<String, SyncGauges>,
    queued: usize,
    running: usize,
    store_up: bool,
    project_ok: bool,
    last_tick: Option<Instant>,
}

impl Metrics {
    /// A run has ended.
    pub(crate) fn run_ended(&mut self, run: &RunRecord) {
        *self.runs.entry((run.sync.clone(), run.status.as_str())).or_default() += 1;
        for (direction, counts) in [("to_platform", &run.books.to_platform), ("to_warehouse", &run.books.to_warehouse)]
        {
            // A direction that a sync does not have gets no series of zeros.
            if *counts != Counts::default() {
                for (outcome, number) in outcomes(counts) {
                    *self.records.entry((run.sync.clone(), direction, outcome)).or_default() += number;
                }
                *self.requests.entry((run.sync.clone(), direction)).or_default() += counts.requests;
            }
        }
        let ms = run.finished_at.map_or(0, |end| end.millis_since(run.started_at)).max(0);
        self.seconds.entry(run.sync.clone()).or_default().add(ms);
    }
    /// A run could not begin.
    pub(crate) fn run_not_begun(&mut self, sync: &str, code: &'static str) {
        *self.not_begun.entry((sync.to_owned(), code)).or_default() += 1;
    }
    /// What a tick saw.
    pub(crate) fn ticked(&mut self, now: Instant, syncs: BTreeMap<String, SyncGauges>, project_ok: bool) {
        // A counter that is first seen at 1 has no rise for Prometheus; so it is there at 0 before.
        for (sync, status) in syncs.keys().flat_map(|sync| ENDS.map(|status| (sync, status))) {
            self.runs.entry((sync.clone(), status.as_str())).or_default();
        }
        self.syncs = syncs;
        self.last_tick = Some(now);
        self.project_ok = project_ok;
    }
    /// Whether the state could be reached just now.
    pub(crate) fn store(&mut self, up: bool) {
        self.store_up = up;
    }
    /// What waits and what is at work.
    pub(crate) fn board(&mut self, queued: usize, running: usize) {
        (self.queued, self.running) = (queued, running);
    }
    /// How many are at work.
    pub(crate) fn at_work(&mut self, running: usize) {
        self.running = running;
    }

    /// The text of all of it.
    pub(crate) fn text(&self, now: Instant) -> String {
        let mut out = Text::default();
        out.family("tidegate_build_info", "gauge", "The version that runs.");
        out.sample("tidegate_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        self.counters(&mut out);
        self.seconds(&mut out);
        self.sync_gauges(&mut out, now);
        for (name, help, value) in [
            ("tidegate_queue_length", "Runs that wait for a worker.", float(self.queued as u64)),
            ("tidegate_runs_at_work", "Runs at work.", float(self.running as u64)),
            ("tidegate_store_up", "1 if the state could be reached at the last tick.", flag(self.store_up)),
            ("tidegate_project_ok", "1 if the project's files could be read.", flag(self.project_ok)),
        ] {
            out.family(name, "gauge", help);
            out.sample(name, &[], value);
        }
        if let Some(tick) = self.last_tick {
            let name = "tidegate_scheduler_last_tick_timestamp_seconds";
            out.family(name, "gauge", "When the scheduler last looked at what is due.");
            out.sample(name, &[], seconds_of(tick));
        }
        out.0
    }

    fn counters(&self, out: &mut Text) {
        out.family("tidegate_runs_total", "counter", "Runs that ended in this process, by sync and status.");
        for ((sync, status), number) in &self.runs {
            out.sample("tidegate_runs_total", &[("sync", sync), ("status", status)], float(*number));
        }
        out.family("tidegate_runs_not_begun_total", "counter", "Runs that could not begin, by sync and error code.");
        for ((sync, code), number) in &self.not_begun {
            out.sample("tidegate_runs_not_begun_total", &[("sync", sync), ("code", code)], float(*number));
        }
        out.family("tidegate_records_total", "counter", "Records considered, by sync, direction and outcome.");
        for ((sync, direction, outcome), number) in &self.records {
            let labels = [("sync", sync.as_str()), ("direction", direction), ("outcome", outcome)];
            out.sample("tidegate_records_total", &labels, float(*number));
        }
        out.family("tidegate_requests_total", "counter", "Calls to the target, by sync and direction.");
        for ((sync, direction), number) in &self.requests {
            out.sample("tidegate_requests_total", &[("sync", sync), ("direction", direction)], float(*number));
        }
    }

    fn seconds(&self, out: &mut Text) {
        out.family("tidegate_run_seconds", "histogram", "How long runs took.");
        for (sync, seconds) in &self.seconds {
            for (bound, number) in BUCKETS.iter().zip(seconds.buckets) {
                let bound = bound.to_string();
                out.sample("tidegate_run_seconds_bucket", &[("sync", sync), ("le", &bound)], float(number));
            }
            out.sample("tidegate_run_seconds_bucket", &[("sync", sync), ("le", "+Inf")], float(seconds.count));
            out.sample("tidegate_run_seconds_sum", &[("sync", sync)], seconds.sum);
            out.sample("tidegate_run_seconds_count", &[("sync", sync)], float(seconds.count));
        }
    }

    fn sync_gauges(&self, out: &mut Text, now: Instant) {
        type Read = fn(&SyncGauges, Instant) -> Option<f64>;
        let families: [(&str, &str, Read); 4] = [
            ("tidegate_next_due_timestamp_seconds", "When the sync runs next by itself.", |sync, _| {
                sync.next_due.map(seconds_of)
            }),
            ("tidegate_last_success_timestamp_seconds", "End of the last run that succeeded or delivered in part.", {
                |sync, _| sync.last_success.map(seconds_of)
            }),
            ("tidegate_lag_seconds", "Seconds since the last run that succeeded or delivered in part.", |sync, now| {
                sync.last_success.map(|end| float(u64::try_from(now.millis_since(end)).unwrap_or(0)) / 1_000.0)
            }),
            ("tidegate_failures_in_a_row", "Failed runs since the last one that did not fail.", |sync, _| {
                Some(f64::from(sync.failures))
            }),
        ];
        for (name, help, read) in families {
            out.family(name, "gauge", help);
            for (sync, gauges) in &self.syncs {
                if let Some(value) = read(gauges, now) {
                    out.sample(name, &[("sync", sync)], value);
                }
            }
        }
        out.family("tidegate_sync_waits", "gauge", "1, with why the sync is not started now.");
        for (sync, gauges) in &self.syncs {
            if let Some(reason) = gauges.waits {
                out.sample("tidegate_sync_waits", &[("sync", sync), ("reason", reason)], 1.0);
            }
        }
    }
}

impl Seconds {
    fn add(&mut self, ms: i64) {
        let seconds = float(u64::try_from(ms).unwrap_or(0)) / 1_000.0;
        for (bound, number) in BUCKETS.iter().zip(&mut self.buckets) {
            *number += u64::from(seconds <= *bound);
        }
        self.count += 1;
        self.sum += seconds;
    }
}

fn outcomes(counts: &Counts) -> [(&'static str, u64); 8] {
    [
        ("created", counts.created),
        ("updated", counts.updated),
        ("unchanged", counts.unchanged),
        ("deleted", counts.deleted),
        ("rejected", counts.rejected),
        ("held", counts.held),
        ("unknown", counts.unknown),
        ("ahead", counts.ahead),
    ]
}

/// Prometheus knows floats only; counts above 2^53 lose their last digit there in any case.
#[allow(clippy::cast_precision_loss)]
fn float(number: u64) -> f64 {
    number as f64
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

fn seconds_of(at: Instant) -> f64 {
    // to the millisecond, so that a float holds it
    at.millis_since(Instant(0)) as f64 / 1_000.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{escaped}\"", if at == 0 { '{' } else { ',' });
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}
