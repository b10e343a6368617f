//! What a run does when something breaks: the rows of the table of failures that a run of records can meet.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tidegate_engine::{Job, RunOptions};
use tidegate_model::change::{Change, Outcome};
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::finding::Finding;
use tidegate_model::page::{Page, Pages};
use tidegate_model::ports::{Load, Loaded, Need, Platform, PlatformAsk, WriteAsk};
use tidegate_model::record::{Key, RecordRef};
use tidegate_model::run::{RunRecord, RunStatus};
use tidegate_model::schema::{Abilities, ModelName, ModelSchema};
use tidegate_model::span::Fence;
use tidegate_model::sync::Direction::ToPlatform;
use tidegate_model::sync::{Condition, Sync};
use tidegate_testkit::sim::{Knobs, all_abilities, drive};

use crate::bench::{Bench, sync, text};

/// What becomes of a write.
enum Turn {
    Go,
    Fail(Error),
    /// It is carried out, and the answer is lost.
    Lose,
    /// The first so many are carried out; of the others this is said.
    Part(usize, Error),
}

type Script = Box<dyn FnMut(&[Change]) -> Turn + Send>;

/// A platform whose writes go by a script.
struct Scripted {
    inner: Arc<dyn Platform>,
    script: Mutex<Script>,
    /// Sizes of the batches that were sent.
    sent: Mutex<Vec<usize>>,
}

#[async_trait]
impl Platform for Scripted {
    async fn check(&self, needs: &[Need]) -> Vec<Finding> {
        self.inner.check(needs).await
    }
    async fn models(&self) -> Result<Vec<ModelSchema>> {
        self.inner.models().await
    }
    async fn model(&self, name: &ModelName) -> Result<ModelSchema> {
        self.inner.model(name).await
    }
    fn abilities(&self, model: &ModelName) -> Abilities {
        self.inner.abilities(model)
    }
    async fn mark(&self, model: &ModelName) -> Result<String> {
        self.inner.mark(model).await
    }
    async fn read(&self, ask: PlatformAsk) -> Result<Pages> {
        self.inner.read(ask).await
    }
    async fn fetch(&self, model: &ModelName, key: &str, fields: &[String], refs: &[RecordRef]) -> Result<Page> {
        self.inner.fetch(model, key, fields, refs).await
    }
    async fn count(&self, model: &ModelName, filter: &[Condition]) -> Result<u64> {
        self.inner.count(model, filter).await
    }
    async fn write(&self, ask: &WriteAsk, batch: &[Change]) -> Result<Vec<Outcome>> {
        self.sent.lock().unwrap().push(batch.len());
        let turn = (self.script.lock().unwrap())(batch);
        match turn {
            Turn::Go => self.inner.write(ask, batch).await,
            Turn::Fail(error) => Err(error),
            Turn::Lose => {
                self.inner.write(ask, batch).await?;
                Err(Error::new(ErrorKind::Lost, "connection reset"))
            }
            Turn::Part(count, error) => {
                let taken = &batch[..count.min(batch.len())];
                let mut outcomes = if taken.is_empty() { Vec::new() } else { self.inner.write(ask, taken).await? };
                outcomes.resize_with(batch.len(), || Outcome::Retry(error.clone()));
                Ok(outcomes)
            }
        }
    }
    async fn load(&self, model: &ModelName, load: &Load, pages: Pages) -> Result<Loaded> {
        self.inner.load(model, load, pages).await
    }
    async fn adopt(&self, fence: &Fence) -> Result<()> {
        self.inner.adopt(fence).await
    }
}

fn filled(rows: usize) -> Bench {
    let bench = Bench::new(one_way());
    (0..rows).for_each(|n| bench.warehouse.insert(Some(&format!("k{n:02}")), &[("name", text("x"))]));
    bench
}

fn one_way() -> Sync {
    let mut sync = sync(&[("name", ToPlatform)]);
    sync.batch_size = Some(50);
    sync
}

/// Runs with a script for the platform's writes; the run and the sizes of the batches.
fn run(bench: &Bench, script: impl FnMut(&[Change]) -> Turn + Send + 'static) -> (RunRecord, Vec<usize>) {
    let script: Script = Box::new(script);
    let inner: Arc<dyn Platform> = bench.platform.clone();
    let platform = Arc::new(Scripted { inner, script: Mutex::new(script), sent: Mutex::default() });
    let job = Job { platform: platform.clone(), ..bench.job() };
    let run = drive(&bench.world, bench.engine().run(&job, &RunOptions::default())).unwrap();
    assert!(run.books.balanced(), "{run:#?}");
    let sent = platform.sent.lock().unwrap().clone();
    (run, sent)
}

/// Fails the first calls, then goes.
fn first(times: u32, error: Error) -> impl FnMut(&[Change]) -> Turn + Send {
    let mut left = times;
    move |_| {
        if left == 0 {
            return Turn::Go;
        }
        left -= 1;
        Turn::Fail(error.clone())
    }
}

#[test]
fn told_to_slow_down_it_waits_as_told_and_goes_on() {
    let bench = filled(3);
    let mut error = Error::new(ErrorKind::RateLimited, "429");
    error.retry_after = Some(Duration::from_secs(20));
    let before = bench.world.now();
    let (run, sent) = run(&bench, first(2, error));
    assert_eq!((run.status, run.books.to_platform.created), (RunStatus::Succeeded, 3));
    assert_eq!((sent, run.books.to_platform.requests), (vec![3; 3], 3));
    assert!(bench.world.now() - before >= 40_000_000, "it did not wait as long as it was told");
}

#[test]
fn a_platform_that_takes_a_few_of_a_batch_each_time_takes_all_of_it() {
    let bench = filled(50);
    let busy = Error::new(ErrorKind::RateLimited, "429");
    let (done, sent) = run(&bench, move |_| Turn::Part(3, busy.clone()));
    assert_eq!((done.status, done.books.to_platform.created), (RunStatus::Succeeded, 50));
    assert_eq!(sent.len(), 17, "attempts are counted where nothing moves");
}

#[test]
fn records_of_a_batch_whose_answers_stay_lost_are_uncertain_and_the_others_are_not() {
    let bench = filled(5);
    let lost = Error::new(ErrorKind::Lost, "connection reset");
    let mut first = true;
    let (done, sent) = run(&bench, move |_| Turn::Part(if std::mem::take(&mut first) { 2 } else { 0 }, lost.clone()));
    let counts = done.books.to_platform;
    assert_eq!((done.status, counts.created, counts.unknown), (RunStatus::Partial, 2, 3));
    assert_eq!(sent.len(), 6);
}

#[test]
fn what_may_have_arrived_at_a_platform_that_cannot_tell_is_listed_and_not_sent_again() {
    let abilities = Abilities { keyed: false, read: false, fetch: false, conditional: false, ..all_abilities() };
    let bench = Bench::with(one_way(), Knobs { abilities, ..Knobs::default() });
    (0..3).for_each(|n| bench.warehouse.insert(Some(&format!("k{n}")), &[("name", text("x"))]));
    let (done, sent) = run(&bench, |_| Turn::Lose);
    assert_eq!((done.status, done.books.to_platform.unknown, sent.len()), (RunStatus::Partial, 3, 1));
    let listed = || drive(&bench.world, bench.memory.rejects(None, 10)).unwrap();
    assert!(listed().len() == 3 && listed().iter().all(|one| one.reject.why.rule == "uncertain"), "{:?}", listed());
    for _ in 0..2 {
        let (again, sent) = run(&bench, |_| Turn::Go);
        assert_eq!((again.books.to_platform.sent, sent.len()), (0, 0), "{again:?}");
        assert_eq!(listed().len(), 3, "still nobody knows");
    }
    bench.warehouse.set("k1", "name", text("y"));
    run(&bench, |_| Turn::Go);
    assert_eq!(listed().len(), 2, "a later write that is answered closes it");
}

#[test]
fn not_available_it_backs_off_and_ends_after_six_attempts() {
    let bench = filled(3);
    let down = || Error::new(ErrorKind::Unavailable, "503");
    let (done, sent) = run(&bench, first(5, down()));
    assert_eq!((done.status, sent.len()), (RunStatus::Succeeded, 6));
    let bench = filled(3);
    let (done, sent) = run(&bench, first(u32::MAX, down()));
    assert_eq!((done.status, sent.len(), done.books.to_platform.ahead), (RunStatus::Failed, 6, 3));
    assert_eq!(bench.platform.rows().len(), 0);
}

#[test]
fn a_lost_answer_is_sent_again_where_writes_are_keyed() {
    let bench = filled(3);
    let mut lost = false;
    let (run, _) = run(&bench, move |_| if std::mem::replace(&mut lost, true) { Turn::Go } else { Turn::Lose });
    assert_eq!(run.status, RunStatus::Succeeded, "{run:#?}");
    assert_eq!((bench.platform.rows().len(), run.books.to_platform.unknown), (3, 0));
}

fn bad_request() -> Error {
    Error::new(ErrorKind::BadRequest, "400: something in here is wrong")
}

#[test]
fn a_refused_batch_is_split_to_find_the_bad_record() {
    let bench = filled(20);
    let bad = |batch: &[Change]| batch.iter().any(|change| change.key == Key::new("k13"));
    let (run, sent) = run(&bench, move |batch| if bad(batch) { Turn::Fail(bad_request()) } else { Turn::Go });
    let counts = run.books.to_platform;
    assert_eq!((run.status, counts.created, counts.rejected, counts.refused), (RunStatus::Partial, 19, 1, 1));
    assert!(sent.len() <= 64 && sent.contains(&1), "{sent:?}");
    assert!(bench.rejects()[0].starts_with("k13/"));
}

#[test]
fn if_the_first_eight_single_records_fail_alike_the_run_fails_and_nothing_is_rejected() {
    let bench = filled(40);
    let (run, sent) = run(&bench, |_| Turn::Fail(bad_request()));
    let counts = run.books.to_platform;
    assert_eq!((run.status, counts.rejected, counts.ahead), (RunStatus::Failed, 0, 40), "{sent:?}");
    assert_eq!(run.error.unwrap().code, "bad_request");
    assert!(bench.rejects().is_empty());
    assert!(sent.iter().filter(|size| **size == 1).count() <= 8, "{sent:?}");
}

#[test]
fn refused_credentials_stop_the_run_with_the_rest_ahead() {
    let bench = filled(4);
    let (run, sent) = run(&bench, |_| Turn::Fail(Error::new(ErrorKind::Unauthorized, "401").hint("log in again")));
    assert_eq!((run.status, run.books.to_platform.ahead, sent.len()), (RunStatus::Failed, 4, 1));
    let error = run.error.unwrap();
    assert_eq!((error.code.as_str(), error.hint.as_deref()), ("unauthorized", Some("log in again")));
}

#[test]
fn partial_success_is_one_outcome_per_record() {
    let mut bench = filled(2);
    bench.warehouse.insert(Some("bad"), &[("name", text("refuse-me"))]);
    let books = bench.ok().to_platform;
    assert_eq!((books.created, books.rejected, books.refused), (2, 1, 1));
}

#[test]
fn cancelled_before_it_begins_nothing_is_sent() {
    let bench = filled(3);
    let options = RunOptions::default();
    options.cancel.cancel();
    let run = drive(&bench.world, bench.engine().run(&bench.job(), &options)).unwrap();
    assert_eq!((run.status, run.status.exit_code()), (RunStatus::Cancelled, 143));
    assert_eq!(bench.platform.rows().len(), 0);
}
