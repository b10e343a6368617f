//! Which runs wait, which are at work, and which may start next. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tidegate_model::ports::Cancel;

/// The queue and the runs at work. A sync stands on it at most once: queued or running.
#[derive(Debug, Default)]
pub(crate) struct Board {
    queue: VecDeque<String>,
    running: BTreeMap<String, Cancel>,
}

impl Board {
    /// Queues a sync, unless it is queued or at work already.
    pub(crate) fn push(&mut self, sync: &str) -> bool {
        let free = !self.is_queued(sync) && !self.is_running(sync);
        if free {
            self.queue.push_back(sync.to_owned());
        }
        free
    }
    pub(crate) fn is_queued(&self, sync: &str) -> bool {
        self.queue.iter().any(|queued| queued == sync)
    }
    pub(crate) fn is_running(&self, sync: &str) -> bool {
        self.running.contains_key(sync)
    }
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }
    /// Takes the next sync that may start: the first in the queue before which nothing is to be done. What comes before
    /// a sync is waited for while it is at work or stands before it in the queue; behind it, it would be the run after.
    pub(crate) fn take(
        &mut self,
        before: &BTreeMap<String, BTreeSet<String>>,
        parallel_max: usize,
    ) -> Option<(String, Cancel)> {
        if self.running.len() >= parallel_max {
            return None;
        }
        let free = |at: usize, sync: &str| {
            let ancestors = ancestors(before, sync);
            let ahead = self.queue.iter().take(at).chain(self.running.keys());
            !ahead.into_iter().any(|other| ancestors.contains(other.as_str()))
        };
        let at = (0..self.queue.len()).find(|at| free(*at, &self.queue[*at]))?;
        let sync = self.queue.remove(at)?;
        let cancel = Cancel::default();
        self.running.insert(sync.clone(), cancel.clone());
        Some((sync, cancel))
    }
    /// A run has ended.
    pub(crate) fn done(&mut self, sync: &str) {
        self.running.remove(sync);
    }
    /// Drops what waits and asks what is at work to stop. Names of the latter.
    pub(crate) fn stop(&mut self) -> Vec<String> {
        self.queue.clear();
        self.running.values().for_each(Cancel::cancel);
        self.running.keys().cloned().collect()
    }
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

    fn order() -> BTreeMap<String, BTreeSet<String>> {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        [("companies", set(&[])), ("people", set(&["companies"])), ("usage", set(&["people"])), ("notes", set(&[]))]
            .into_iter()
            .map(|(name, before)| (name.to_owned(), before))
            .collect()
    }

    fn next(board: &mut Board, parallel: usize) -> Option<String> {
        board.take(&order(), parallel).map(|(sync, _)| sync)
    }

    #[test]
    fn a_sync_stands_on_the_board_once() {
        let mut board = Board::default();
        assert!(board.push("notes"));
        assert!(!board.push("notes"));
        assert_eq!(next(&mut board, 2).as_deref(), Some("notes"));
        assert!(!board.push("notes"));
        board.done("notes");
        assert!(board.push("notes"));
    }

    #[test]
    fn no_more_run_at_once_than_allowed() {
        let mut board = Board::default();
        for sync in ["a", "b", "c"] {
            board.push(sync);
        }
        assert_eq!((next(&mut board, 2), next(&mut board, 2)), (Some("a".to_owned()), Some("b".to_owned())));
        assert_eq!(next(&mut board, 2), None);
        board.done("a");
        assert_eq!(next(&mut board, 2).as_deref(), Some("c"));
    }

    #[test]
    fn children_wait_for_parents_and_others_pass() {
        let mut board = Board::default();
        for sync in ["companies", "people", "usage", "notes"] {
            board.push(sync);
        }
        assert_eq!(next(&mut board, 9).as_deref(), Some("companies"));
        assert_eq!(next(&mut board, 9).as_deref(), Some("notes"));
        assert_eq!(next(&mut board, 9), None);
        // usage waits for companies too, through people
        assert!(!board.push("companies") && board.queued() == 2);
        board.done("companies");
        board.push("companies");
        assert_eq!(next(&mut board, 9).as_deref(), Some("people"), "what was queued later is the run after");
        board.done("people");
        assert_eq!(next(&mut board, 9).as_deref(), Some("usage"));
    }

    #[test]
    fn a_grandparent_at_work_is_waited_for() {
        let mut board = Board::default();
        board.push("companies");
        next(&mut board, 9);
        board.push("usage");
        assert_eq!(next(&mut board, 9), None);
    }

    #[test]
    fn stopping_drops_what_waits_and_asks_what_runs() {
        let mut board = Board::default();
        board.push("notes");
        board.push("companies");
        let (_, cancel) = board.take(&order(), 1).expect("one");
        assert_eq!(board.stop(), ["notes"]);
        assert!(cancel.is_cancelled());
        assert_eq!((board.queued(), board.running()), (0, 1));
    }
}
