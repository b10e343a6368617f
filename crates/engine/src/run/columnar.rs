//! The columnar path: time series, datasets and exports, page by page and never row by row.

use tidegate_model::error::Result;
use tidegate_model::run::RunRecord;

use super::context::Ctx;

/// Runs a sync of columns (called by `run/mod.rs` under the claimed lease, after the preflight).
pub(crate) async fn run(ctx: &Ctx, run: &mut RunRecord) -> Result<()> {
    let _ = (ctx, run);
    Err(tidegate_model::Error::internal("the columnar path is being written"))
}
