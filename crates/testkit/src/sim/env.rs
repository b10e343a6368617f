//! The engine's surroundings: a clock that moves when everybody sleeps, counted ids, seeded dice, scratch in memory.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use tidegate_model::error::Result;
use tidegate_model::ports::{Env, Scratch};
use tidegate_model::time::Instant;

use super::World;

/// Surroundings within a world.
pub struct SimEnv(pub Arc<World>);

struct Sleep<'a> {
    world: &'a World,
    until: i64,
}

impl Future for Sleep<'_> {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.world.due(self.until) { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[async_trait]
impl Env for SimEnv {
    fn now(&self) -> Instant {
        Instant(self.0.now())
    }
    fn new_id(&self) -> String {
        self.0.id()
    }
    fn random(&self) -> u64 {
        self.0.random()
    }
    async fn sleep(&self, millis: u64) {
        let until = self.0.now() + i64::try_from(millis).unwrap_or(i64::MAX / 2_000) * 1_000;
        Sleep { world: &self.0, until }.await;
    }
    fn scratch(&self) -> Result<Box<dyn Scratch>> {
        Ok(Box::<Held>::default())
    }
}

#[derive(Default)]
struct Held {
    records: Vec<Vec<u8>>,
    at: usize,
}

impl Scratch for Held {
    fn push(&mut self, record: &[u8]) -> Result<()> {
        self.records.push(record.to_vec());
        Ok(())
    }
    fn rewind(&mut self) -> Result<()> {
        self.at = 0;
        Ok(())
    }
    fn next(&mut self, into: &mut Vec<u8>) -> Result<bool> {
        into.clear();
        let Some(record) = self.records.get(self.at) else { return Ok(false) };
        into.extend_from_slice(record);
        self.at += 1;
        Ok(true)
    }
}

/// Runs a future to its end. Whenever it waits, the clock goes to the next time at which something wakes.
pub fn drive<T>(world: &World, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(out) = future.as_mut().poll(&mut context) {
            return out;
        }
        assert!(world.to_next_deadline(), "the simulation waits for something that is no clock");
    }
}
