//! Threads for work that only computes. The thread that was idle last is asked first: what one batch has left behind, the
//! next one takes, while memory that wandered from thread to thread would be kept by each of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// A thread that had nothing to do for so long ends.
const IDLE: Duration = Duration::from_secs(10);

/// Work, and who waits for its end.
struct Job {
    work: Box<dyn FnOnce() + Send>,
    done: oneshot::Sender<()>,
}

/// A thread that waits for work.
struct Idle {
    number: u64,
    jobs: Sender<Job>,
}

#[derive(Default)]
struct Threads {
    /// The last one was idle last.
    idle: Vec<Idle>,
    begun: u64,
}

/// Threads that come when they are needed.
#[derive(Clone, Default)]
pub struct Workers(Arc<Mutex<Threads>>);

impl Workers {
    /// Does some work on a thread of its own, or here if there is none to be had. False if it fell.
    pub async fn work(&self, work: Box<dyn FnOnce() + Send>) -> bool {
        let (done, ended) = oneshot::channel();
        match self.hand(Job { work, done }) {
            Ok(()) => ended.await.is_ok(),
            Err(job) => catch_unwind(AssertUnwindSafe(job.work)).is_ok(),
        }
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a job to a thread. It comes back if there is none, and none can be begun (the system's limit of processes).
    fn hand(&self, job: Job) -> Result<(), Job> {
        let mut threads = self.threads();
        let jobs = match threads.idle.pop() {
            Some(idle) => idle.jobs,
            None => {
                threads.begun += 1;
                let (number, pool) = (threads.begun, self.clone());
                let (jobs, mine) = channel();
                let own = jobs.clone();
                let begun = std::thread::Builder::new().name("tidegate-aside".to_owned());
                if begun.spawn(move || pool.serve(number, &own, &mine)).is_err() {
                    return Err(job);
                }
                jobs
            }
        };
        // Whoever stands in the list, or has just begun, takes what it is sent.
        jobs.send(job).map_err(|SendError(job)| job)
    }

    fn serve(&self, number: u64, jobs: &Sender<Job>, mine: &Receiver<Job>) {
        loop {
            // It holds a sender of its own: nobody can hang up.
            let Ok(job) = mine.recv_timeout(IDLE) else {
                let mut threads = self.threads();
                let known = threads.idle.len();
                threads.idle.retain(|idle| idle.number != number);
                match threads.idle.len() < known {
                    true => return,
                    // Taken from the list just now: its work is on its way.
                    false => continue,
                }
            };
            let fell = catch_unwind(AssertUnwindSafe(job.work)).is_err();
            self.threads().idle.push(Idle { number, jobs: jobs.clone() });
            if !fell {
                // Who does not wait any longer need not be told.
                job.done.send(()).unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread::{ThreadId, current};

    use super::*;

    /// Does work that tells its thread once the others have come as far.
    async fn thread(workers: &Workers, together: Arc<Barrier>) -> ThreadId {
        let (tell, told) = oneshot::channel();
        let work = move || {
            together.wait();
            tell.send(current().id()).expect("somebody listens");
        };
        assert!(workers.work(Box::new(work)).await);
        told.await.expect("told")
    }

    #[tokio::test]
    async fn one_thread_does_what_comes_one_after_the_other_and_others_come_when_needed() {
        let workers = Workers::default();
        let first = thread(&workers, Arc::new(Barrier::new(1))).await;
        for _ in 0..20 {
            assert_eq!(thread(&workers, Arc::new(Barrier::new(1))).await, first);
        }
        let both = Arc::new(Barrier::new(2));
        let (one, other) = tokio::join!(thread(&workers, both.clone()), thread(&workers, both));
        assert!(one != other && (one == first || other == first));
        assert_eq!(workers.threads().begun, 2);
    }

    #[tokio::test]
    async fn work_that_falls_is_told_and_its_thread_stays() {
        let workers = Workers::default();
        assert!(!workers.work(Box::new(|| panic!("on purpose"))).await);
        assert!(workers.work(Box::new(|| {})).await);
        assert_eq!(workers.threads().begun, 1);
    }
}
