//! What can be turned: the faults of a twin, by share and seed, or step by step.

use serde::{Deserialize, Serialize};

use super::limits::Rates;

/// The knobs of a twin, as in the file behind `--knobs` and in `PUT /_twin/knobs`. All are off by default but the
/// platform's limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// Chance starts here.
    pub seed: u64,
    /// Only requests whose path starts with one of these see faults by chance; empty: all.
    pub only: Vec<String>,
    /// Each answer waits so long.
    pub latency_ms: u64,
    /// And up to so much longer.
    pub jitter_ms: u64,
    /// The limits that are kept: the platform's own by default.
    pub limits: Limits,
    /// Share of requests that start a storm: this one and the next `storm_length` are answered with 429.
    pub storm_pct: f64,
    /// How many requests a storm takes.
    pub storm_length: u64,
    /// What a 429 says in `Retry-After`, in seconds; `None`: nothing.
    pub retry_after_s: Option<u64>,
    /// Share of requests that are answered with 503 before anything was done.
    pub unavailable_pct: f64,
    /// Share of requests that are carried out, and answered with a dropped connection.
    pub lost_pct: f64,
    /// Share of requests whose connection is dropped before anything was done.
    pub dropped_pct: f64,
    /// Share of answers whose body comes slowly.
    pub slow_pct: f64,
    /// How long a slow body takes.
    pub slow_ms: u64,
    /// Share of records that are refused inside of a request.
    pub reject_pct: f64,
    /// What is done to texts and keys before they are stored.
    pub normalise: Normalise,
    /// Behaviour of this platform that is not known for certain, by name; what there is stands on its page.
    pub unsure: std::collections::BTreeMap<String, String>,
    /// Faults in order, before chance is asked.
    pub script: Vec<Step>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            seed: 0,
            only: Vec::new(),
            latency_ms: 0,
            jitter_ms: 0,
            limits: Limits::Platform,
            storm_pct: 0.0,
            storm_length: 3,
            retry_after_s: None,
            unavailable_pct: 0.0,
            lost_pct: 0.0,
            dropped_pct: 0.0,
            slow_pct: 0.0,
            slow_ms: 2_000,
            reject_pct: 0.0,
            normalise: Normalise::default(),
            unsure: std::collections::BTreeMap::new(),
            script: Vec::new(),
        }
    }
}

impl Knobs {
    /// What was chosen for something that is not known for certain.
    pub fn choice<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.unsure.get(name).map_or(default, String::as_str)
    }
}

/// Which limits are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limits {
    /// The platform's own.
    Platform,
    /// None.
    Off,
    /// These, for every endpoint.
    Rates(Rates),
}

/// What a platform may do to texts before it stores them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Normalise {
    /// White space at both ends of keys goes.
    pub trim_keys: bool,
    /// Keys are kept in lower case.
    pub lower_keys: bool,
    /// White space at both ends of other texts goes.
    pub trim_texts: bool,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing: it is answered as it should be.
    None,
    /// The work is done, the connection dropped.
    Lost,
    /// The connection is dropped before anything was done.
    Dropped,
    /// The work is done; only the first half of the answer arrives.
    Cut,
    /// The answer comes slowly.
    Slow,
    /// Nothing is done; this is answered.
    Status(u16),
    /// The work is done; this is answered in place of the true answer.
    Instead(u16, String),
}

/// A fault in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// For requests with this method; empty: any.
    #[serde(default)]
    pub method: String,
    /// For requests whose path starts with this; empty: any.
    #[serde(default)]
    pub path: String,
    /// How many matching requests pass before.
    #[serde(default)]
    pub after: u64,
    /// How often.
    #[serde(default = "once")]
    pub times: u64,
    /// What happens.
    pub fault: Fault,
}

fn once() -> u64 {
    1
}

impl Step {
    /// A fault of the next request with this method and path.
    pub fn next(method: &str, path: &str, fault: Fault) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), after: 0, times: 1, fault }
    }
    fn fits(&self, method: &str, path: &str) -> bool {
        self.times > 0 && (self.method.is_empty() || self.method == method) && path.starts_with(&self.path)
    }
}

/// The next step of a script for a request, if one is due.
pub(super) fn scripted(script: &mut Vec<Step>, method: &str, path: &str) -> Option<Fault> {
    let mut due = None;
    for step in script.iter_mut().filter(|step| step.fits(method, path)) {
        if step.after > 0 {
            step.after -= 1;
        } else if due.is_none() {
            step.times -= 1;
            due = Some(step.fault.clone());
        }
    }
    script.retain(|step| step.times > 0);
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_followed_in_order_and_ends() {
        let mut script = vec![
            Step { after: 1, ..Step::next("PUT", "/companies", Fault::Lost) },
            Step { times: 2, ..Step::next("", "/companies", Fault::Status(500)) },
        ];
        let mut next = |method: &str| scripted(&mut script, method, "/companies");
        assert_eq!(next("PUT"), Some(Fault::Status(500)));
        assert_eq!(next("PUT"), Some(Fault::Lost));
        assert_eq!(next("GET"), Some(Fault::Status(500)));
        assert_eq!(next("PUT"), None);
    }

    #[test]
    fn a_knob_that_does_not_exist_is_refused() {
        assert!(serde_json::from_str::<Knobs>(r#"{"lost_pct": 5, "limits": "off"}"#).is_ok());
        assert!(serde_json::from_str::<Knobs>(r#"{"lost": 5}"#).is_err());
    }
}
