//! `known`: what the ledger remembers of the platform, record by record.

use tidegate_model::error::Result;
use tidegate_model::ports::flags;
use tidegate_model::record::Key;
use tidegate_model::sync::Target;

use crate::api::{Engine, Job, Known, RunOptions};
use crate::plan::images::{Detail, Image};

/// Entries that are looked at together.
const ROWS: usize = 1_000;

impl Engine {
    /// Hands out what the ledger remembers the platform to hold. With `ledger: fingerprints` that is keys and ids
    /// alone; a sync that moves whole columns remembers nothing.
    pub async fn known(&self, job: &Job, take: &mut (dyn FnMut(Known) -> Result<()> + Send)) -> Result<()> {
        let ctx = super::looking(self, job, &RunOptions::default()).await?;
        if ctx.columnar() {
            return Ok(());
        }
        let name = &ctx.sync.name;
        let mut after: Option<Key> = None;
        loop {
            let entries = self.memory.scan(name, after.as_ref(), ROWS).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            after = Some(last.key.clone());
            let there = entries.iter().filter(|entry| entry.flags & flags::GONE_PLATFORM == 0);
            let keys: Vec<Key> = there.map(|entry| entry.key.clone()).collect();
            for record in self.memory.entries(name, &keys).await?.into_iter().flatten() {
                let detail = Detail::decode(&record.detail)?;
                let value = |id: u64| detail.field(id)?.side(Target::Platform).and_then(Image::value).cloned();
                let mapped = ctx.mapping.fields.iter();
                let fields = mapped.filter_map(|field| Some((field.name.clone(), value(field.id)?))).collect();
                take(Known { key: record.entry.key, remote: record.entry.remote, fields })?;
            }
        }
    }
}
