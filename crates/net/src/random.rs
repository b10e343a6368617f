//! Random bytes of the system.

use ring::rand::{SecureRandom, SystemRandom};

/// Random bytes, asked of the system by its call alone. `rand` looks that call up by name while the program runs, which a
/// statically linked one cannot, and opens `/dev/urandom` instead: a file that an image with nothing in it need not have.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => bytes,
        // A system without the call: the file, then.
        Err(_) => rand::random(),
    }
}

/// A random number.
pub fn number() -> u64 {
    u64::from_le_bytes(bytes())
}
