//! Every row of the tables of docs/semantics.md, one test each: what is found, what is written, what two-way syncs do
//! with fields and records, the guards, and the worked example of the books.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

/// Surroundings that are those of the simulation, which they keep as `env`, but for what is written out here.
macro_rules! env_of_the_simulation {
    (impl Env for $name:ident { $($own:tt)* }) => {
        #[async_trait::async_trait]
        impl tidegate_model::ports::Env for $name {
            fn now(&self) -> tidegate_model::time::Instant {
                self.env.now()
            }
            fn new_id(&self) -> String {
                self.env.new_id()
            }
            fn random(&self) -> u64 {
                self.env.random()
            }
            async fn sleep(&self, millis: u64) {
                self.env.sleep(millis).await;
            }
            fn scratch(&self) -> tidegate_model::error::Result<Box<dyn tidegate_model::ports::Scratch>> {
                self.env.scratch()
            }
            $($own)*
        }
    };
}

#[path = "tables/before_after.rs"]
mod before_after;
#[path = "sim/bench.rs"]
mod bench;
#[path = "tables/books.rs"]
mod books;
#[path = "tables/echo.rs"]
mod echo;
#[path = "tables/failures.rs"]
mod failures;
#[path = "tables/fields.rs"]
mod fields;
#[path = "tables/finding.rs"]
mod finding;
#[path = "tables/first_sight.rs"]
mod first_sight;
#[path = "tables/guards.rs"]
mod guards;
#[path = "tables/hands.rs"]
mod hands;
#[path = "tables/history.rs"]
mod history;
#[path = "tables/keys.rs"]
mod keys;
#[path = "tables/leases.rs"]
mod leases;
#[path = "tables/limits.rs"]
mod limits;
#[path = "tables/misfits.rs"]
mod misfits;
#[path = "tables/records.rs"]
mod records;
#[path = "tables/streams.rs"]
mod streams;
#[path = "tables/wide.rs"]
mod wide;
#[path = "tables/writing.rs"]
mod writing;
