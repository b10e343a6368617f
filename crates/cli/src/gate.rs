//! The budget of a connection's account, as connectors ask for it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tidegate_engine::run::pace;
use tidegate_engine::{Engine, Quota};
use tidegate_model::Result;
use tidegate_model::ports::Limits;
use tidegate_platforms::Gate;

/// Grants calls of one account out of the state.
struct Budget {
    engine: Engine,
    quota: Quota,
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("account", &self.quota.account).finish_non_exhaustive()
    }
}

/// What grants the calls of an account.
pub fn gate(engine: &Engine, quota: Quota) -> Arc<dyn Gate> {
    Arc::new(Budget { engine: engine.clone(), quota })
}

#[async_trait]
impl Gate for Budget {
    async fn pass(&self, limits: &Limits) -> Result<()> {
        pace::pass(&*self.engine.memory, &*self.engine.env, &self.quota, limits).await
    }
}
