//! When a sync runs by itself. The due-planner is `engine::plan::due`.

use serde::{Deserialize, Serialize};

/// `schedule:` of a sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The rule.
    pub rule: Rule,
    /// IANA zone in which the rule is read.
    pub timezone: String,
}

/// The rule of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Every so many minutes, anchored to local midnight plus a stable offset per sync.
    Every {
        /// Minutes, at least 1, and a divisor or multiple that the config allows.
        minutes: u32,
    },
    /// Each day at this local time.
    DailyAt {
        /// 0–23.
        hour: u8,
        /// 0–59.
        minute: u8,
    },
    /// A cron expression of five fields.
    Cron(String),
}
