//! What deciding and settling have to know of a run, for work that is done aside.

use std::collections::HashSet;
use std::sync::Arc;

use tidegate_model::record::Key;
use tidegate_model::sync::{Direction, Sync};
use tidegate_model::time::Instant;

use crate::plan::map::Mapping;
use crate::plan::prints::Printer;
use crate::plan::reconcile::Rules;

use super::context::Ctx;
use super::judged::Judged;

/// The parts of a run that its rules are made of, and what is listed of its records.
pub(crate) struct Ground {
    sync: Arc<Sync>,
    pub mapping: Arc<Mapping>,
    printer: Printer,
    direction: Direction,
    follows: bool,
    whole: bool,
    holds_uncertain: bool,
    pub rejected: Arc<HashSet<Key>>,
    pub judged: Arc<Judged>,
}

impl Ground {
    pub fn of(ctx: &Ctx) -> Self {
        Self {
            sync: ctx.sync.clone(),
            mapping: ctx.mapping.clone(),
            printer: ctx.printer.clone(),
            direction: ctx.direction(),
            follows: ctx.follows(),
            whole: ctx.abilities.whole,
            holds_uncertain: ctx.holds_uncertain(),
            rejected: ctx.rejected.clone(),
            judged: ctx.judged.clone(),
        }
    }

    /// The rules of reconciliation at a time.
    pub fn rules(&self, now: Instant) -> Rules<'_> {
        Rules {
            sync: &self.sync,
            mapping: &self.mapping,
            printer: &self.printer,
            now,
            direction: self.direction,
            platform_key: self.sync.key.platform.as_deref(),
            follows: self.follows,
            whole: self.whole,
            holds_uncertain: self.holds_uncertain,
        }
    }
}
