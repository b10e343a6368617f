//! What is still to be said to other machines when nobody waits for it any more: that a statement is to be aborted, that
//! a session has ended. It is said in the background; a process that ends gives it a moment.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Words under way.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
/// One of them was said.
static CHANGED: Notify = Notify::const_new();

struct Word;

impl Drop for Word {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
        CHANGED.notify_waiters();
    }
}

/// Says something in the background. Without a runtime nothing is said: the other side then notices by itself.
pub fn say(what: impl Future<Output = ()> + Send + 'static) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    UNDER_WAY.fetch_add(1, Ordering::SeqCst);
    let word = Word;
    runtime.spawn(async move {
        let _word = word;
        what.await;
    });
}

/// Waits until all was said, but not for longer than this.
pub async fn said(limit: Duration) {
    let all = async {
        loop {
            let changed = CHANGED.notified();
            tokio::pin!(changed);
            // Listened for before the look: what is said in between is not missed.
            changed.as_mut().enable();
            if UNDER_WAY.load(Ordering::SeqCst) == 0 {
                return;
            }
            changed.await;
        }
    };
    // Who does not answer in time is not waited for.
    let _in_time = tokio::time::timeout(limit, all).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn last_words_are_waited_for_but_not_for_ever() {
        let heard = Arc::new(AtomicBool::new(false));
        let theirs = heard.clone();
        say(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            theirs.store(true, Ordering::SeqCst);
        });
        said(Duration::from_secs(30)).await;
        assert!(heard.load(Ordering::SeqCst));
        say(std::future::pending());
        let begun = Instant::now();
        said(Duration::from_millis(20)).await;
        assert!(begun.elapsed() < Duration::from_secs(20), "waited for one who never ends");
    }
}
