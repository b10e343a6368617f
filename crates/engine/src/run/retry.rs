//! The one retry policy.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tidegate_model::error::{Error, Result, Retry};
use tidegate_model::page::Pages;
use tidegate_model::ports::{Cancel, Env, ReadAsk, Warehouse};

use crate::api::Engine;

/// Most attempts at one call: with the waits below about five minutes in all.
pub const ATTEMPTS_MAX: u32 = 6;
/// The first wait, milliseconds; doubled with each attempt.
const FIRST_WAIT_MS: u64 = 500;
/// The longest wait between two attempts, unless the other side asks for more.
const WAIT_MS_MAX: u64 = 60_000;
/// The longest wait that is granted to a side that asks for it.
const ASKED_MS_MAX: u64 = 600_000;

/// Whether to try again after an error, and in how many milliseconds. `keyed`: sending the call again does no harm.
pub fn wait_after(error: &Error, attempt: u32, keyed: bool, random: u64) -> Option<u64> {
    if attempt >= ATTEMPTS_MAX {
        return None;
    }
    let asked = match error.retry() {
        Retry::No => return None,
        Retry::IfKeyed if !keyed => return None,
        Retry::IfKeyed => None,
        Retry::After(asked) => asked,
    };
    let doubled = FIRST_WAIT_MS.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(WAIT_MS_MAX);
    // Half of the wait is jitter, so that many syncs do not come back at the same instant.
    let backoff = doubled / 2 + random % (doubled / 2 + 1);
    let asked = asked.map_or(0, |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).min(ASKED_MS_MAX));
    Some(backoff.max(asked))
}

/// Makes a call that only reads, again and again as long as its errors say so.
pub async fn again<T, F>(engine: &Engine, cancel: &Cancel, call: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    insist(&*engine.env, cancel, call).await
}

/// The same without an engine.
pub async fn insist<T, F>(env: &dyn Env, cancel: &Cancel, mut call: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut attempt = 0;
    loop {
        attempt += 1;
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let Some(wait) = wait_after(&error, attempt, true, env.random()) else { return Err(error) };
        pause(env, cancel, wait).await?;
    }
}

/// Opens a read of the warehouse. Given up as soon as the run is asked to stop: a statement may take an hour, and who
/// drops it has it aborted.
pub async fn opened(warehouse: &dyn Warehouse, cancel: &Cancel, ask: ReadAsk) -> Result<Pages> {
    match select(warehouse.read(ask), pin!(cancel.asked())).await {
        Either::Left((pages, _)) => pages,
        Either::Right(_) => Err(Cancel::stopped()),
    }
}

/// Sleeps in small steps, so that a cancelled run does not wait.
pub async fn pause(env: &dyn Env, cancel: &Cancel, millis: u64) -> Result<()> {
    let mut left = millis;
    while left > 0 {
        cancel.check()?;
        let step = left.min(250);
        env.sleep(step).await;
        left -= step;
    }
    cancel.check()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::error::ErrorKind;

    #[test]
    fn waits_grow_have_jitter_and_end() {
        let busy = Error::new(ErrorKind::RateLimited, "busy");
        assert_eq!(wait_after(&busy, 1, true, 0), Some(250));
        assert_eq!(wait_after(&busy, 3, true, 0), Some(1_000));
        assert!(wait_after(&busy, 3, true, 999).is_some_and(|wait| wait > 1_000 && wait <= 2_000));
        assert_eq!(wait_after(&busy, ATTEMPTS_MAX, true, 0), None);
        let mut told = busy;
        told.retry_after = Some(Duration::from_secs(7));
        assert_eq!(wait_after(&told, 1, false, 0), Some(7_000));
        let lost = Error::new(ErrorKind::Lost, "lost");
        assert_eq!(wait_after(&lost, 1, false, 0), None);
        assert!(wait_after(&lost, 1, true, 0).is_some());
        assert_eq!(wait_after(&Error::new(ErrorKind::BadRequest, "no"), 1, true, 0), None);
    }
}
