//! The hub under the conformance suite of platforms, on SQLite and on Postgres.

mod common;

mod sqlite {
    tidegate_testkit::platform_suite!(crate::common::sqlite());
}

mod postgres {
    tidegate_testkit::platform_suite!(crate::common::postgres());
}
