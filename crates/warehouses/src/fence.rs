//! The fence row: who may write a target on behalf of a sync. Judged here, read and written by each connector inside
//! the transaction of the write.

use tidegate_model::span::Fence;
use tidegate_model::{Error, ErrorKind, Result};

/// Days that span rows are kept: an operation older than this is never repeated.
pub(crate) const SPAN_DAYS_MAX: i64 = 90;

/// What the target holds of a sync: `(store, epoch)`.
pub(crate) type Held = Option<(String, i64)>;

/// What to do with the fence row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is none: insert ours.
    Insert,
    /// Ours, of an older epoch: raise it.
    Raise,
    /// Ours already.
    Keep,
}

/// Compares the fence row with who we are.
pub(crate) fn judge(held: &Held, fence: &Fence) -> Result<Step> {
    match held {
        None => Ok(Step::Insert),
        Some((store, _)) if *store != fence.store => Err(Error::new(
            ErrorKind::ForeignStore,
            format!("the target of sync {} is driven by another tidegate store", fence.sync),
        )
        .hint(format!(
            "if this project is to take over from it, stop the other one and run `tidegate adopt {}`",
            fence.sync
        ))),
        Some((_, epoch)) if *epoch > fence.epoch => Err(Error::new(
            ErrorKind::LeaseLost,
            format!("another run of sync {} has taken over (epoch {epoch}, ours is {})", fence.sync, fence.epoch),
        )
        .hint("nothing was written; the run that took over goes on")),
        Some((_, epoch)) if *epoch < fence.epoch => Ok(Step::Raise),
        Some(_) => Ok(Step::Keep),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_epoch_of_the_same_store_writes() {
        let fence = Fence { sync: "s".into(), store: "a".into(), epoch: 3 };
        let held = |store: &str, epoch| Some((store.to_owned(), epoch));
        let kind = |held: Held| judge(&held, &fence).expect_err("refused").kind;
        assert_eq!(judge(&None, &fence).expect("first"), Step::Insert);
        assert_eq!(judge(&held("a", 2), &fence).expect("newer"), Step::Raise);
        assert_eq!(judge(&held("a", 3), &fence).expect("same"), Step::Keep);
        assert_eq!(kind(held("a", 4)), ErrorKind::LeaseLost);
        assert_eq!(kind(held("b", 1)), ErrorKind::ForeignStore);
    }
}
