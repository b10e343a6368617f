//! OAuth with a browser: a person signs in once, and a refresh token keeps the connection going.
//!
//! [`Client`] and [`Attempt`] are the thinking: the address that a browser opens, what comes back from it, the forms,
//! the answers. [`Login`] does the calls, and keeps the tokens in a [`Vault`] that all processes of a project share:
//! one of them refreshes, the others wait and take what it got, for a refresh token may be good for one use only.
//!
//! A program that signs in as itself (client credentials) is a [`Machine`].
//!
//! Whoever lets a person sign in (a command, a page) makes an [`Attempt`], shows [`Attempt::authorize_url`], reads the
//! answer with [`Attempt::code`], and hands the code to [`Login::sign_in`].

mod attempt;
mod login;
mod machine;
mod tokens;
mod vault;

pub use attempt::{Attempt, Client, Proof};
pub use login::{Login, Standing};
pub use machine::{Machine, ended};
pub use tokens::Tokens;
pub use vault::{InMemory, Vault, in_memory};
