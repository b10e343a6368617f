//! A complete read towards a platform that deduplicates by key: page after page, each settled by itself.

use futures_util::future::join;
use tidegate_model::error::Result;

use super::following::rows;
use super::source::batch;
use super::work::{Batch, Work};

pub(super) async fn run(work: &mut Work<'_>) -> Result<()> {
    let ctx = work.ctx;
    let mut groups = rows(work).await?;
    let mut next = read(work, &mut groups).await?;
    while let Some(batch) = next {
        work.gate(&batch).await?;
        let span = work.open_span(&batch).await?;
        let op = span.op(0);
        let (loaded, ahead) = join(work.load_batch(&batch, &op), read(work, &mut groups)).await;
        work.settle(span, batch, loaded).await?;
        next = ahead?;
    }
    work.finish(ctx.options.limit.is_none()).await
}

async fn read(work: &Work<'_>, groups: &mut super::groups::Groups) -> Result<Option<Batch>> {
    groups.next().await?.map(|grouped| batch(work, grouped)).transpose()
}
