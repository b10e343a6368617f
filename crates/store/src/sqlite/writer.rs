//! The connection that writes has a thread of its own: what it is handed it does in that order, one after the other, without
//! waiting in between until whoever handed it in has time to see that the one before is done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use tidegate_model::error::{Error, Result};
use tokio::sync::oneshot;

use super::conn::Conn;

type Job = Box<dyn FnOnce(&mut Conn) + Send>;

/// The thread that writes.
pub(super) struct Writer {
    /// Gone when the thread is to end.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Begins the thread.
    pub(super) fn new(mut conn: Conn) -> Result<Self> {
        let (jobs, mine) = channel::<Job>();
        let serve = move || {
            for job in mine {
                let fell = catch_unwind(AssertUnwindSafe(|| job(&mut conn))).is_err();
                if fell && let Err(error) = conn.take_back() {
                    tracing::error!(%error, "the state's transaction could not be taken back");
                }
            }
        };
        let thread = std::thread::Builder::new().name("tidegate-state".to_owned()).spawn(serve);
        let thread = thread.map_err(|error| Error::internal("begin the thread that writes the state").cause(error))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Does some work after what was handed in before. It is done even if nobody waits for it any more.
    pub(super) async fn work<R, F>(&self, work: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<R> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let job = move |conn: &mut Conn| {
            // Who does not wait any longer need not be told.
            let _nobody = tell.send(work(conn));
        };
        let cut_off = || Error::internal("the work on the state file was cut off");
        let jobs = self.jobs.as_ref().ok_or_else(cut_off)?;
        jobs.send(Box::new(job)).map_err(|_| cut_off())?;
        told.await.map_err(|error| cut_off().cause(error))?
    }
}

impl Drop for Writer {
    /// The file is closed when this returns, as of any other connection.
    fn drop(&mut self) {
        self.jobs = None;
        let other = |thread: &JoinHandle<()>| thread.thread().id() != std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(other) {
            // What falls is caught above.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use futures_util::poll;

    use super::*;

    fn writer(folder: &tempfile::TempDir) -> Writer {
        let path = folder.path().join("state.db");
        super::super::files::prepare(&path).unwrap();
        let conn = Conn::open(&path, Duration::from_secs(1)).unwrap();
        conn.batch("CREATE TABLE IF NOT EXISTS t (n INTEGER)").unwrap();
        Writer::new(conn).unwrap()
    }

    async fn counted(writer: &Writer) -> i64 {
        writer.work(|conn| conn.number("SELECT count(*) FROM t")).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_handed_in_is_done_in_order_although_nobody_looks() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder);
        let done: Arc<Mutex<Vec<u8>>> = Arc::default();
        let work = |number: u8, millis: u64| {
            let done = Arc::clone(&done);
            Box::pin(writer.work(move |_conn| {
                std::thread::sleep(Duration::from_millis(millis));
                done.lock().unwrap().push(number);
                Ok(number)
            }))
        };
        let (mut slow, mut quick) = (work(1, 30), work(2, 0));
        assert!(poll!(&mut slow).is_pending() && poll!(&mut quick).is_pending());
        // The thread of the test does not look until both are done.
        while done.lock().unwrap().len() < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(*done.lock().unwrap(), [1, 2]);
        assert_eq!((slow.await.unwrap(), quick.await.unwrap()), (1, 2));
    }

    #[tokio::test]
    async fn work_that_falls_over_is_taken_back_and_the_next_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder);
        let falls = writer.work(|conn| {
            conn.transaction("BEGIN IMMEDIATE", |conn| -> Result<()> {
                conn.batch("INSERT INTO t VALUES (1)")?;
                panic!("on purpose")
            })
        });
        assert!(falls.await.unwrap_err().to_string().contains("cut off"));
        let insert = |conn: &mut Conn| conn.batch("INSERT INTO t VALUES (2)");
        writer.work(move |conn| conn.transaction("BEGIN IMMEDIATE", insert)).await.unwrap();
        assert_eq!(counted(&writer).await, 1);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_done_and_the_file_closed_when_the_writer_goes() {
        let folder = tempfile::tempdir().unwrap();
        let first = writer(&folder);
        let mut forgotten = Box::pin(first.work(|conn| conn.batch("INSERT INTO t VALUES (1)")));
        assert!(poll!(&mut forgotten).is_pending());
        drop(forgotten);
        drop(first);
        // Only the last connection that is closed takes the log away.
        assert!(!folder.path().join("state.db-wal").exists());
        assert_eq!(counted(&writer(&folder)).await, 1);
    }
}
