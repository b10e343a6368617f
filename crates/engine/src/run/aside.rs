//! Work on thousands of records that only computes, done beside what else goes on.

use std::sync::{Arc, PoisonError};

use futures_util::lock::Mutex;
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::Env;

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
    made.unwrap_or_else(|| Err(Error::internal("work that was done aside came to nothing")))
}
