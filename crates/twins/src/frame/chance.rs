//! Chance, from a seed: the same seed and the same order of requests give the same faults.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A seeded source of chance.
#[derive(Debug, Clone)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }
    /// True in so many of a hundred cases. Draws once, whatever the share is, so that turning one knob does not move
    /// the faults of another.
    pub fn hit(&mut self, pct: f64) -> bool {
        self.0.random::<f64>() * 100.0 < pct
    }
    /// A number up to and including a limit.
    pub fn up_to(&mut self, most: u64) -> u64 {
        self.0.random_range(0..=most)
    }
    /// A chance of its own, for one request.
    pub fn split(&mut self) -> Self {
        Self(ChaCha8Rng::seed_from_u64(self.0.random()))
    }
}
