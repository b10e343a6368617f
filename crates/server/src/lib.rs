//! `tidegate serve`: scheduler and worker in one process, with health, readiness and metrics over HTTP.
//!
//! What a run does is not known here: the binary hands in a [`Runner`], the state through a [`StateView`], the time
//! through a [`Clock`]. Absent on purpose for now: sign-in (so it listens on loopback only), the JSON API, the web UI
//! and the alerts webhook.

mod board;
mod callback;
mod facts;
mod host;
mod http;
mod listen;
mod metrics;
mod options;
mod ports;
mod scheduler;
mod serve;
mod status;
mod stop;
mod watch;

pub use callback::callback;
pub use facts::is_switched_on;
pub use listen::{DEFAULT_LISTEN, loopback_address};
pub use options::ServeOptions;
pub use ports::{Clock, ConnectionSwitch, MemoryView, RunAsk, Runner, StateView, SyncInfo, SystemClock};
pub use serve::{Server, serve};
pub use stop::stop_signal;
