//! The memory of a project: an implementation of [`tidegate_model::ports::Memory`] on SQLite and on Postgres, with the
//! queue of jobs and the encrypted secrets.
//!
//! Inside: `tx` is what the store asks of a database; `sqlite` and `postgres` answer it; `ops` holds the rules and the
//! SQL, once for both; `memory`, `jobs` and `secrets` are what the others call.

mod accounts;
mod code;
mod copy;
mod jobs;
mod memory;
mod ops;
mod pages;
mod postgres;
mod seal;
mod secrets;
mod shards;
mod sqlite;
mod store;
mod tx;
mod vault;

pub use accounts::{Audit, Session, Token, User, Wait, random_bytes};
pub use jobs::{Job, Jobs, NewJob};
pub use pages::{LoggedLine, OpenCounts};
pub use seal::new_key;
pub use secrets::SecretInfo;
pub use store::{OpenOptions, Store, open};
