//! Which of the waiting jobs may start. Pure.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_model::Instant;
use tidegate_model::ports::LEASE_MS;
use tidegate_store::Job;

/// Whether somebody is at a job: its worker gave a sign of life within a lease.
pub(crate) fn is_at_work(job: &Job, now: Instant) -> bool {
    job.holder.is_some() && job.beat_at.is_some_and(|beat| now.millis_since(beat) <= LEASE_MS)
}

/// The jobs that may start now, in the order of the queue: those before which nothing is to be done. What comes before a
/// sync is waited for while it is at work or stands before it in the queue; behind it, it would be the run after.
pub(crate) fn startable<'a>(
    jobs: &'a [Job],
    before: &BTreeMap<String, BTreeSet<String>>,
    now: Instant,
) -> Vec<&'a Job> {
    let free = |(at, job): &(usize, &'a Job)| {
        if job.due_at > now || is_at_work(job, now) {
            return false;
        }
        let ancestors = ancestors(before, &job.sync);
        let in_the_way = |(place, other): (usize, &Job)| {
            let ahead = is_at_work(other, now) || (place < *at && other.due_at <= now);
            // The same sync twice: once at work, once behind itself.
            let itself = other.id != job.id && other.sync == job.sync && is_at_work(other, now);
            itself || (ahead && ancestors.contains(other.sync.as_str()))
        };
        !jobs.iter().enumerate().any(in_the_way)
    };
    jobs.iter().enumerate().filter(free).map(|(_, job)| job).collect()
}

/// Everything that comes before a sync, directly or not.
fn ancestors<'a>(before: &'a BTreeMap<String, BTreeSet<String>>, sync: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = before.get(sync).into_iter().flatten().map(String::as_str).collect();
    while let Some(at) = open.pop() {
        if found.insert(at) {
            open.extend(before.get(at).into_iter().flatten().map(String::as_str));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant(1_000_000_000_000);

    /// people wait for companies, usage for people
    fn order() -> BTreeMap<String, BTreeSet<String>> {
        let one = |name: &str, before: &str| (name.to_owned(), BTreeSet::from([before.to_owned()]));
        BTreeMap::from([one("people", "companies"), one("usage", "people")])
    }

    fn job(id: i64, sync: &str, beat: Option<i64>) -> Job {
        Job {
            id,
            sync: sync.to_owned(),
            trigger: "schedule".to_owned(),
            mode: "changes".to_owned(),
            due_at: NOW,
            holder: beat.map(|_| "w".to_owned()),
            process: None,
            beat_at: beat.map(|ms| NOW.plus_millis(-ms)),
            ask: "{}".to_owned(),
            config_hash: String::new(),
        }
    }

    fn names(jobs: &[Job]) -> Vec<String> {
        startable(jobs, &order(), NOW).iter().map(|job| job.sync.clone()).collect()
    }

    #[test]
    fn children_wait_for_parents_and_others_pass() {
        let jobs = ["companies", "people", "usage", "notes"].map(|sync| job(1, sync, None));
        assert_eq!(names(&jobs), ["companies", "notes"]);
        let at_work = [job(1, "companies", Some(5)), job(2, "people", None), job(3, "usage", None)];
        assert!(names(&at_work).is_empty(), "usage waits for companies too, through people");
        let behind = [job(1, "people", None), job(2, "companies", None)];
        assert_eq!(names(&behind), ["people", "companies"], "what was queued later is the run after");
        assert!(names(&[job(1, "companies", Some(5)), job(2, "usage", None)]).is_empty());
    }

    #[test]
    fn silence_frees_a_job_and_time_holds_one_back() {
        assert!(names(&[job(1, "notes", Some(LEASE_MS))]).is_empty());
        assert_eq!(names(&[job(1, "notes", Some(LEASE_MS + 1))]), ["notes"]);
        assert!(names(&[job(1, "notes", Some(5)), job(2, "notes", None)]).is_empty(), "a sync never overlaps itself");
        let later = Job { due_at: NOW.plus_millis(1), ..job(1, "notes", None) };
        assert!(names(&[later]).is_empty());
    }
}
