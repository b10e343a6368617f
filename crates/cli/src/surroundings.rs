//! What the engine is handed: the real clock, ids, randomness, sleep and scratch files.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::{Env, ProcessId, Scratch};
use tidegate_model::{Instant, failpoint};

use crate::process;
use crate::scratch::FileScratch;
use crate::workers::Workers;

/// Cores that one run's computing is spread over: the store and the target want some too.
const HANDS_MAX: usize = 4;

/// The real world.
pub struct World {
    ids: Mutex<(ulid::Generator, ChaCha12Rng)>,
    scratch_dir: PathBuf,
    workers: Workers,
}

impl World {
    /// A world whose scratch files live in this folder, which is made when the first is needed.
    pub fn new(scratch_dir: PathBuf) -> Self {
        let source = ChaCha12Rng::from_seed(tidegate_net::random::bytes());
        Self { ids: Mutex::new((ulid::Generator::new(), source)), scratch_dir, workers: Workers::default() }
    }
}

/// What time it is.
pub fn now() -> Instant {
    Instant(jiff::Timestamp::now().as_microsecond())
}

#[async_trait]
impl Env for World {
    fn now(&self) -> Instant {
        now()
    }

    fn new_id(&self) -> String {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        // The generator keeps ids of one millisecond in order; past 2^80 of them a random one is as good.
        let (ids, source) = &mut *ids;
        ids.generate_with_source(source).unwrap_or_else(|_| ulid::Ulid::with_source(source)).to_string()
    }

    fn random(&self) -> u64 {
        tidegate_net::random::number()
    }

    async fn sleep(&self, millis: u64) {
        tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
    }

    fn scratch(&self) -> Result<Box<dyn Scratch>> {
        std::fs::create_dir_all(&self.scratch_dir).map_err(|error| {
            Error::new(
                crate::scratch::kind_of(&error),
                format!("cannot make the folder {}", self.scratch_dir.display()),
            )
            .hint("tidegate spills large sorts there: make it writable, or free some space")
            .cause(error)
        })?;
        Ok(Box::new(FileScratch::new(&self.scratch_dir)?))
    }

    fn process(&self) -> Option<ProcessId> {
        process::own()
    }

    fn is_gone(&self, process: &ProcessId) -> bool {
        process::is_gone(process)
    }

    fn hands(&self) -> usize {
        // Asked once: the system reads files to tell.
        static HANDS: OnceLock<usize> = OnceLock::new();
        *HANDS.get_or_init(|| std::thread::available_parallelism().map_or(1, |cores| cores.get().min(HANDS_MAX)))
    }

    async fn aside(&self, work: Box<dyn FnOnce() + Send>) {
        // Work that fell leaves nothing behind, which its owner finds and tells.
        if !self.workers.work(work).await {
            tracing::error!("work that was done aside fell");
        }
    }

    fn failpoint(&self, name: &'static str) {
        failpoint::hit(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time() {
        let world = World::new(std::env::temp_dir());
        let ids: Vec<String> = (0..1_000).map(|_| world.new_id()).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids[0].len(), 26);
    }
}
