//! `tidegate serve` and `tidegate work`: scheduler and workers on a shared queue, the JSON API, sign-in, health,
//! readiness and metrics.
//!
//! What a run does is not known here: the binary hands in a [`Runner`], what may be asked of a project as a
//! [`desk::Desk`], the state through a [`StateView`], the time through a [`Clock`].

mod access;
mod alerts;
mod api;
mod callback;
pub mod desk;
mod export;
mod facts;
mod http;
mod listen;
mod metrics;
mod options;
mod outlook;
mod ports;
mod project;
mod queue;
mod scheduler;
mod serve;
mod status;
mod stop;
mod tls;
mod ui;
mod watch;
mod worker;

pub use access::{Role, Scope, hash_password, new_token};
pub use api::openapi_document;
pub use callback::callback;
pub use export::csv_cell;
pub use facts::is_switched_on;
pub use listen::{DEFAULT_LISTEN, loopback_address};
pub use options::{Oidc, ServeOptions};
pub use outlook::{Outlook, SyncOutlook};
pub use ports::{Clock, ConnectionSwitch, MemoryView, RunAsk, Runner, StateView, SyncInfo, SystemClock};
pub use serve::{Parts, Server};
pub use stop::stop_signal;
pub use tidegate_net::certificate::TlsFiles;
