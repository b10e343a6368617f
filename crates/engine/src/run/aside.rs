//! Work on thousands of records that only computes, done beside what else goes on.

use std::sync::{Arc, PoisonError};

use futures_util::lock::Mutex;
use tidegate_model::error::Result;
use tidegate_model::ports::Env;

use super::fallen;

/// Fewer records than this are not worth handing over: it costs as much as some dozens of them.
const RECORDS_MIN: usize = 512;

/// Where a run's computing goes.
pub(crate) struct Aside {
    env: Arc<dyn Env>,
    turn: Mutex<()>,
    spent: std::sync::Mutex<Option<Box<dyn Send>>>,
}

impl Aside {
    pub fn new(env: Arc<dyn Env>) -> Self {
        Self { env, turn: Mutex::new(()), spent: Default::default() }
    }

    /// The surroundings.
    pub fn env(&self) -> &dyn Env {
        &*self.env
    }

    /// Does work on so many records once what was asked for before it is done. The next batch is unpacked when the one before
    /// it is settled and gone, so that no more of them are there at once.
    pub async fn in_turn<T, W>(&self, records: usize, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce() -> Result<T> + Send + 'static,
    {
        let turn = self.turn.lock().await;
        let done = work_on(self.env.clone(), records, work).await;
        drop(turn);
        done
    }

    /// Leaves what was made here and is not needed any more to be taken down here, by the work that takes it with
    /// [`Aside::spent`]: that is, when nobody waits for the end of it.
    pub fn leave(&self, spent: impl Send + 'static) {
        let mut left = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        // One and no more, if nobody takes it.
        let before = left.replace(Box::new(spent));
        drop(left);
        drop(before);
    }

    /// What was left.
    pub fn spent(&self) -> Option<Box<dyn Send>> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Does work on so many records at once, whatever else is under way.
    pub fn at_once<T, W>(&self, records: usize, work: W) -> impl Future<Output = Result<T>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> Result<T> + Send + 'static,
    {
        work_on(self.env.clone(), records, work)
    }
}

async fn work_on<T, W>(env: Arc<dyn Env>, records: usize, work: W) -> Result<T>
where
    T: Send + 'static,
    W: FnOnce() -> Result<T> + Send + 'static,
{
    if records < RECORDS_MIN {
        return work();
    }
    let made: Arc<std::sync::Mutex<Option<Result<T>>>> = Arc::default();
    let into = Arc::clone(&made);
    let work = move || {
        let done = work();
        *into.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
    };
    env.aside(Box::new(work)).await;
    let made = made.lock().unwrap_or_else(PoisonError::into_inner).take();
    made.unwrap_or_else(|| Err(fallen::aside()))
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use futures_util::future::{join, join3};
    use tidegate_model::error::{Error, ErrorKind};
    use tidegate_model::ports::Scratch;
    use tidegate_model::time::Instant;

    use super::*;

    /// Surroundings with a thread for each work, or none that does any.
    struct Threads(bool);

    #[async_trait]
    impl Env for Threads {
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
        async fn aside(&self, work: Box<dyn FnOnce() + Send>) {
            if self.0 {
                tokio::task::spawn_blocking(work).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn work_in_turn_is_done_in_the_order_in_which_it_was_asked_for() {
        let aside = Aside::new(Arc::new(Threads(true)));
        let done: Arc<std::sync::Mutex<Vec<u64>>> = Arc::default();
        let (go, gone) = std::sync::mpsc::channel();
        let mut waits = Some(gone);
        let mut work = |number: u64| {
            let (done, wait) = (Arc::clone(&done), waits.take());
            move || {
                // The first one has to wait.
                wait.map_or(Ok(()), |gone| gone.recv()).unwrap();
                done.lock().unwrap().push(number);
                Ok(number)
            }
        };
        let (slow, quick, few) = (work(1), work(2), work(3));
        let all = join3(aside.in_turn(RECORDS_MIN, slow), aside.in_turn(RECORDS_MIN, quick), aside.in_turn(1, few));
        let late = async {
            // Whoever could begin has begun by then.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            go.send(()).unwrap();
        };
        let ((slow, quick, few), ()) = join(all, late).await;
        assert_eq!((slow.unwrap(), quick.unwrap(), few.unwrap()), (1, 2, 3));
        assert_eq!(*done.lock().unwrap(), [1, 2, 3]);
    }

    #[tokio::test]
    async fn an_error_comes_back_and_so_does_that_nobody_worked() {
        let aside = Aside::new(Arc::new(Threads(true)));
        let fails = || Err::<(), _>(Error::new(ErrorKind::Data, "4,000 is none"));
        assert_eq!(aside.at_once(RECORDS_MIN, fails).await.unwrap_err().kind, ErrorKind::Data);
        assert_eq!(aside.at_once(1, fails).await.unwrap_err().kind, ErrorKind::Data);
        let idle = Aside::new(Arc::new(Threads(false)));
        assert!(
            idle.in_turn(RECORDS_MIN, || Ok(())).await.unwrap_err().to_string().contains("a fault of tidegate's own")
        );
    }

    #[test]
    fn what_is_left_is_the_last_and_is_taken_once() {
        let aside = Aside::new(Arc::new(Threads(false)));
        let (first, last) = (Arc::new(()), Arc::new(()));
        aside.leave(Arc::clone(&first));
        aside.leave(Arc::clone(&last));
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&last)), (1, 2));
        drop(aside.spent());
        assert!(Arc::strong_count(&last) == 1 && aside.spent().is_none());
    }
}
