//! What all twins share.

pub mod call;
pub mod chance;
mod console;
pub mod knobs;
pub mod limits;
pub mod log;
mod page;
pub mod server;
pub mod twin;
mod work;
