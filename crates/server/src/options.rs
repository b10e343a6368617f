//! What can be set about `tidegate serve`, and the limits that cannot.

/// How many of a sync's last runs are looked at: enough to count failures up to the longest back-off.
pub(crate) const RUNS_LOOKED_AT: u32 = 50;
/// How long what was read of the state and the project is believed: a run by hand is noticed within it.
pub(crate) const REFRESH_MS: i64 = 10_000;
/// How long the scheduler may be silent before `/readyz` says so, besides three of its ticks.
pub(crate) const TICK_SILENCE_MS: i64 = 15_000;
/// How long `/readyz` waits for the store.
pub(crate) const PING_MS: u64 = 2_000;
/// How long open answers may take once everything else has stopped.
pub(crate) const HTTP_STOP_MS: u64 = 300;

/// Settings of [`crate::serve`].
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Address and port, on loopback.
    pub listen: String,
    /// Runs at work at once, of all syncs together. One sync never runs twice at once.
    pub parallel_runs: usize,
    /// Milliseconds between two looks at what is due.
    pub tick_ms: u64,
    /// Milliseconds that runs have to reach a safe point after a signal. What is not done then is dropped, and resumed
    /// by the next run. With the rest of the way out it stays below 9 seconds, of the 10 that are promised.
    pub stop_ms: u64,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self { listen: crate::DEFAULT_LISTEN.to_owned(), parallel_runs: 2, tick_ms: 1_000, stop_ms: 8_000 }
    }
}
