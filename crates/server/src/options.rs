//! What can be set about `tidegate serve`, and the limits that cannot.

use tidegate_model::secret::Secret;
use tidegate_net::certificate::TlsFiles;

/// An identity provider that people sign in through.
#[derive(Debug, Clone)]
pub struct Oidc {
    /// Its address.
    pub issuer: String,
    /// What it knows us as.
    pub client_id: String,
    /// What it knows us by.
    pub client_secret: Secret,
    /// The claim that holds a person's role.
    pub role_claim: String,
}

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

/// Between two signs of life for a job at work: several within a lease.
pub(crate) const BEAT_MS: i64 = 10_000;
/// How long a job of a sync that somebody else is at waits, if they do not say how long.
pub(crate) const LOCKED_WAIT_MS: i64 = 60_000;
/// How long it waits at most: the other's process may end any moment.
pub(crate) const LOCKED_WAIT_MS_MAX: i64 = 120_000;

/// Settings of [`crate::Server`].
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Address and port. Beyond loopback somebody must be able to sign in.
    pub listen: String,
    /// The address that browsers use, if it is another.
    pub public_url: Option<String>,
    /// Whether a proxy in front says who calls.
    pub behind_proxy: bool,
    /// Certificate and key, if it speaks TLS itself.
    pub tls: Option<TlsFiles>,
    /// Whether people may sign in through an identity provider.
    pub oidc: Option<Oidc>,
    /// Who is told when a sync starts to fail, or recovers.
    pub alert_url: Option<Secret>,
    /// Hosts inside the network that may be called.
    pub private_targets: Vec<String>,
    /// Whether this process looks at what is due; without, it only takes jobs.
    pub schedule: bool,
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
        Self {
            listen: crate::DEFAULT_LISTEN.to_owned(),
            public_url: None,
            behind_proxy: false,
            tls: None,
            oidc: None,
            alert_url: None,
            private_targets: Vec::new(),
            schedule: true,
            parallel_runs: 2,
            tick_ms: 1_000,
            stop_ms: 8_000,
        }
    }
}
