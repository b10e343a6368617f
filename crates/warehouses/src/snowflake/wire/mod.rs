//! Snowflake's session protocol, as its own drivers speak it: a login, statements as JSON, results as Arrow or JSON,
//! inline and in chunks that lie in the cloud's storage.
//!
//! Connectors never retry: the engine repeats what it planned. What is repeated in here is the protocol itself. A
//! statement is sent again under the same request id, by which the server knows that it has it already; an answer
//! "still running" is asked for again; a chunk is a file that can be read twice. None of it can do a thing twice.
//!
//! Nothing is reported to anybody: there is no telemetry.

mod auth;
mod chunks;
mod inflate;
mod jwt;
mod line;
mod place;
mod query;
mod reply;
mod seal;
mod session;
mod sigv4;
mod upload;

pub(super) use auth::{Credentials, TokenKind};
pub(super) use chunks::Addresses;
pub(super) use inflate::Rooms;
pub(super) use jwt::KeyPair;
pub(super) use line::{Line, Patience};
pub(super) use query::{Answer, Bind, Format, Part, Statement};
pub(super) use reply::RowType;
pub(super) use session::{Context, Session};
pub(super) use upload::Uploader;
