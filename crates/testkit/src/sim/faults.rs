//! What can go wrong, and how often.

/// Chances of each fault, in thousandths per call. All zero: nothing goes wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// The process ends, before or after the effect of a call of a port or of the memory.
    pub crash: u32,
    /// The work of a write is done, and the answer lost.
    pub lost: u32,
    /// The other side is down; nothing was taken.
    pub unavailable: u32,
    /// Told to slow down, with a time to wait.
    pub rate_limited: u32,
    /// A record of a write is answered with "try again".
    pub retry_some: u32,
    /// The credentials are refused.
    pub unauthorized: u32,
    /// A read shows the state before our last write for a while.
    pub stale: u32,
}
