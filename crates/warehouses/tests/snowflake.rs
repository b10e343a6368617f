//! The Snowflake warehouse: the whole suite, on the emulator that `scripts/services` starts, or on a real account
//! (`lab.rs`). What the emulator does not have stands in the connector's own tests, against a stand-in of the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "snowflake/lab.rs"]
mod lab;

mod snowflake {
    mod suite {
        tidegate_testkit::warehouse_suite!(super::super::lab::Emulated::either().await);
    }

    mod history {
        tidegate_testkit::warehouse_history_suite!(super::super::lab::Emulated::either().await);
    }

    /// Both suites again, in an account where every seventh statement and every third part of a result meets a fault:
    /// sessions and addresses that expire, gateways and storage that stumble, answers that are lost, cut, put off, late.
    mod shaky {
        tidegate_testkit::warehouse_suite!(super::super::lab::Emulated::shaky().await);
        tidegate_testkit::warehouse_history_suite!(super::super::lab::Emulated::shaky().await);
    }

    #[path = "faults.rs"]
    mod faults;

    #[path = "logins.rs"]
    mod logins;

    #[path = "types.rs"]
    mod types;

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
