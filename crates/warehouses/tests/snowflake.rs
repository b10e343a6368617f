//! The Snowflake warehouse: the whole suite, on the emulator that `scripts/services` starts. What the emulator does
//! not have stands in the connector's own tests, against a stand-in of the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "snowflake/lab.rs"]
mod lab;

mod snowflake {
    mod suite {
        tidegate_testkit::warehouse_suite!(super::super::lab::Emulated::new().await);
    }

    mod history {
        tidegate_testkit::warehouse_history_suite!(super::super::lab::Emulated::new().await);
    }

    #[path = "large.rs"]
    mod large;

    #[path = "outbox.rs"]
    mod outbox;

    #[path = "views.rs"]
    mod views;

    #[path = "grants.rs"]
    mod grants;

    #[path = "stages.rs"]
    mod stages;
}
