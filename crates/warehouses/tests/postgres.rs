//! The Postgres warehouse: the whole suite, and what only Postgres does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "postgres/lab.rs"]
mod lab;

mod postgres {
    mod suite {
        tidegate_testkit::warehouse_suite!(super::super::lab::Database::new().await);
    }

    #[path = "cursor.rs"]
    mod cursor;
    #[path = "rights.rs"]
    mod rights;
    #[path = "server.rs"]
    mod server;
    #[path = "types.rs"]
    mod types;
}
