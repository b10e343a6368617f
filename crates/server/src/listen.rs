//! Where `serve` listens. Without sign-in that is this machine only.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tidegate_model::{Error, Result};

/// Where `serve` listens if nobody says otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// Reads an address such as `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`. Any that other machines can reach is
/// refused: there is no sign-in yet.
pub fn loopback_address(text: &str) -> Result<SocketAddr> {
    let shape = || {
        Error::config(format!("{text:?} is no address to listen on"))
            .hint(format!("write it as ADDRESS:PORT, such as {DEFAULT_LISTEN}"))
    };
    let address = match text.strip_prefix("localhost:") {
        Some(port) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().map_err(|_| shape())?),
        None => text.parse().map_err(|_| shape())?,
    };
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(Error::config(format!(
        "refusing to listen on {address}: other machines could reach it, and serve has no sign-in yet"
    ))
    .hint(format!("listen on 127.0.0.1:{} and put a tunnel or a proxy with sign-in before it", address.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_be_listened_on() {
        for (text, address) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("127.0.0.9:1", "127.0.0.9:1"),
            ("[::1]:8080", "[::1]:8080"),
            ("localhost:0", "127.0.0.1:0"),
        ] {
            assert_eq!(loopback_address(text).expect(text).to_string(), address);
        }
        for text in ["0.0.0.0:8080", "[::]:8080", "192.168.1.7:8080", "[fe80::1]:80"] {
            let error = loopback_address(text).expect_err(text);
            assert!(error.message.contains("no sign-in"), "{error}");
            assert!(error.hint.is_some_and(|hint| hint.contains("127.0.0.1:")), "{text}");
        }
        for text in ["", "8080", "127.0.0.1", "localhost", "localhost:x", "example.org:80", "127.0.0.1:70000"] {
            let error = loopback_address(text).expect_err(text);
            assert!(error.message.contains("no address"), "{error}");
        }
    }
}
