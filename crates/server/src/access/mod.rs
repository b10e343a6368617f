//! Who calls, and what they may: scopes, passwords, tokens, sessions, sign-in.

mod caller;
mod cookie;
mod gate;
mod hosts;
mod oidc;
mod password;
mod scope;
mod sign_in;
mod throttle;
mod token;

pub(crate) use caller::{Caller, Via};
pub(crate) use gate::{Access, Gate, identify};
pub(crate) use hosts::{Hosts, only_our_hosts};
pub(crate) use oidc::Provider;
pub use password::hash_password;
pub use scope::{Role, Scope};
pub(crate) use sign_in::routes;
pub(crate) use token::equal;
pub use token::new_token;
