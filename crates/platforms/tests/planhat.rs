//! Planhat on its twin: the conformance suite as far as it applies, its own quirks, and the requests it sends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/golden.rs"]
mod blessed;
#[path = "planhat/lab.rs"]
mod lab;

#[path = "planhat/answers.rs"]
mod answers;
#[path = "planhat/budget.rs"]
mod budget;
#[path = "planhat/errors.rs"]
mod errors;
#[path = "planhat/golden.rs"]
mod golden;
#[path = "planhat/records.rs"]
mod records;
#[path = "planhat/usage.rs"]
mod usage;

/// The cases of the suite that hold for a platform without conditional writes, without order, without a list of
/// changes, and whose numbers, times and custom types are its own. What the others ask for is in `records.rs`, as
/// Planhat does it; datasets, fences and series that can be read are the hub's alone.
mod suite {
    tidegate_testkit::platform_suite_cases! { crate::lab::tenant() =>
        gone_records_are_missed_and_deletes_of_them_are_quiet
        pages_are_bounded_and_a_dropped_read_ends
        fetch_finds_records_by_id_and_by_key
        references_come_back_as_they_were_given
        a_reference_that_is_not_there_is_refused_until_it_is
    }
}
