//! Work on thousands of records that only computes: cut into pieces that the surroundings may carry out at once, or done
//! aside while something else is waited for.

use std::sync::{Arc, Mutex, PoisonError};

use tidegate_model::error::{Error, Result};
use tidegate_model::ports::{Env, Piece};

/// Fewer records than this are not worth a piece of their own: handing one over costs as much as some dozens of them.
const RECORDS_MIN: usize = 512;

/// Works on consecutive pieces of the records. What they came to is returned in their order, so that it is the same
/// however many hands there were.
pub(crate) fn in_pieces<T: Send, R: Send>(
    env: &dyn Env,
    records: Vec<T>,
    work: &(dyn Fn(Vec<T>) -> Result<R> + Sync),
) -> Result<Vec<R>> {
    let count = env.hands().min(records.len() / RECORDS_MIN).max(1);
    if count == 1 {
        return Ok(vec![work(records)?]);
    }
    let size = records.len().div_ceil(count);
    // From the end, so that the first piece is not moved.
    let mut rest = records;
    let mut given: Vec<(Vec<T>, Option<Result<R>>)> =
        (1..count).rev().map(|at| (rest.split_off((at * size).min(rest.len())), None)).collect();
    given.push((rest, None));
    given.reverse();
    let mut pieces: Vec<Piece<'_>> = Vec::with_capacity(count);
    for (part, made) in &mut given {
        pieces.push(Box::new(|| *made = Some(work(std::mem::take(part)))));
    }
    env.together(&mut pieces);
    drop(pieces);
    let undone = || Err(Error::internal("a piece of a batch was not worked on"));
    given.into_iter().map(|(_, made)| made.unwrap_or_else(undone)).collect()
}

/// Work that only computes, beside what else goes on.
pub(crate) async fn aside<T, W>(env: &dyn Env, work: W) -> Result<T>
where
    T: Send + 'static,
    W: FnOnce() -> Result<T> + Send + 'static,
{
    let made: Arc<Mutex<Option<Result<T>>>> = Arc::default();
    let into = Arc::clone(&made);
    let work = move || {
        let done = work();
        *into.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
    };
    env.aside(Box::new(work)).await;
    let made = made.lock().unwrap_or_else(PoisonError::into_inner).take();
    made.unwrap_or_else(|| Err(Error::internal("work that was done aside came to nothing")))
}

#[cfg(test)]
mod tests {
    use tidegate_model::error::ErrorKind;
    use tidegate_model::ports::Scratch;
    use tidegate_model::time::Instant;

    use super::*;

    /// So many hands, of which the last is the first to be done.
    struct Hands(usize);

    #[async_trait::async_trait]
    impl Env for Hands {
        fn now(&self) -> Instant {
            Instant(0)
        }
        fn new_id(&self) -> String {
            String::new()
        }
        fn random(&self) -> u64 {
            0
        }
        async fn sleep(&self, _millis: u64) {}
        fn scratch(&self) -> Result<Box<dyn Scratch>> {
            Err(Error::internal("there is none"))
        }
        fn hands(&self) -> usize {
            self.0
        }
        fn together(&self, pieces: &mut [Piece<'_>]) {
            pieces.iter_mut().rev().for_each(|piece| piece());
        }
    }

    #[test]
    fn pieces_come_back_in_order_however_many_hands_there_are() {
        for count in [0, 1, 1_023, 1_024, 1_537, 5_000] {
            for hands in 1..=4 {
                let records: Vec<usize> = (0..count).collect();
                let made = in_pieces(&Hands(hands), records.clone(), &Ok).unwrap();
                assert_eq!(made.len(), hands.min(count / RECORDS_MIN).max(1));
                assert_eq!(made.concat(), records);
            }
        }
    }

    #[test]
    fn the_error_of_a_piece_is_that_of_the_whole() {
        let work = |part: Vec<usize>| match part.contains(&4_000) {
            true => Err(Error::new(ErrorKind::Data, "4,000 is none")),
            false => Ok(part),
        };
        assert_eq!(in_pieces(&Hands(3), (0..5_000).collect(), &work).unwrap_err().kind, ErrorKind::Data);
    }
}
