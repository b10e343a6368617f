//! How tidegate calls other machines: whom it trusts, how it reads their addresses. What is said then is the caller's.

pub mod certificate;
pub mod farewell;
pub mod http;
pub mod oauth;
pub mod postgres;
pub mod random;
pub mod roots;
pub mod targets;
mod verifier;

/// Makes ring the crypto provider of the process, for clients of others that ask for one. Our own are handed it.
pub fn ring_for_the_process() {
    // A second call is refused, and changes nothing: it is the same one.
    let _there_already = rustls::crypto::ring::default_provider().install_default();
}
