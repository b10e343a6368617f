//! How tidegate calls other machines: whom it trusts, how it reads their addresses. What is said then is the caller's.

pub mod http;
pub mod oauth;
pub mod postgres;
pub mod roots;
pub mod targets;
mod verifier;
