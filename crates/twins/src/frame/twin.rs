//! What a platform's twin adds to the frame.

use rusqlite::{Connection, Transaction};
use serde_json::Value as Json;

use super::call::{Call, Reply};
use super::chance::Chance;
use super::knobs::Knobs;
use super::limits::Rates;

/// What a twin says of itself, on its page.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The platform's name.
    pub platform: &'static str,
    /// How to point a client at it, one sentence each.
    pub connect: Vec<String>,
    /// What it cannot know of the platform, and what it does instead; one sentence each.
    pub unsure: Vec<&'static str>,
}

/// Something that a twin holds.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Shelf {
    /// What it is: a model's name.
    pub name: String,
    /// How many there are.
    pub count: i64,
    /// The last ones that were changed.
    pub newest: Vec<Json>,
}

/// What a call weighs against the limits.
#[derive(Debug, Clone, Copy)]
pub struct Weight {
    /// The endpoints that share the limits.
    pub class: &'static str,
    /// The platform's own limits for them.
    pub rates: Rates,
    /// Records in the call, as far as the limits count them.
    pub records: u64,
}

/// A platform's behaviour. Calls come one after the other, each in a transaction of the file: an error rolls it back
/// and is answered with 500.
pub trait Twin: Send + Sync + 'static {
    /// What it says of itself.
    fn about(&self) -> About;
    /// Makes its tables where they are missing.
    fn prepare(&self, db: &Connection) -> rusqlite::Result<()>;
    /// What a call weighs; `None`: no limit.
    fn weight(&self, call: &Call) -> Option<Weight>;
    /// What a limit that was broken is answered with.
    fn too_many(&self) -> Reply;
    /// Carries a call out. `chance` is for records that are refused on purpose ([`Knobs::reject_pct`]).
    fn answer(&self, db: &Transaction<'_>, call: &Call, knobs: &Knobs, chance: &mut Chance) -> rusqlite::Result<Reply>;
    /// What it holds, for the page: so many of the newest each.
    fn shelves(&self, db: &Connection, newest: u32) -> rusqlite::Result<Vec<Shelf>>;
}
