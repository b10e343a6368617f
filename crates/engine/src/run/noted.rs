//! Columns that were added to a relation since a run last saw it: noted in the log, and nothing else.

use tidegate_model::error::{Error, Result};

use super::context::Ctx;

impl Ctx {
    /// Notes new columns. A relation that is seen for the first time has none.
    pub(crate) async fn note_new_columns(&self) -> Result<()> {
        let memory = &self.engine.memory;
        let setting = format!("columns:{}", self.sync.name);
        let kept = memory.settings(&setting).await?.remove(&setting);
        let now: Vec<&str> = self.relation.columns.iter().map(|column| &*column.name).collect();
        let text = serde_json::to_string(&now).map_err(|error| Error::internal("write column names").cause(error))?;
        if kept.as_deref() == Some(text.as_str()) {
            return Ok(());
        }
        if let Some(kept) = kept {
            let known: Vec<String> = serde_json::from_str(&kept)
                .map_err(|error| Error::internal(format!("the setting {setting} cannot be read")).cause(error))?;
            let mapped = |name: &str| {
                self.mapping.fields.iter().any(|field| field.column.as_ref().is_some_and(|column| **column == *name))
            };
            for name in now.iter().filter(|name| !known.iter().any(|known| known == *name)) {
                let what = if mapped(name) { "it is mapped" } else { "no field maps it" };
                self.log(&format!("the relation has a new column `{name}`; {what}")).await?;
            }
        }
        memory.set_setting(&setting, Some(&text)).await
    }
}
