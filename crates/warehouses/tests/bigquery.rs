//! The BigQuery warehouse: the whole suite on the emulator that `scripts/services` starts, results by the Storage
//! Read API and by REST; and what only BigQuery has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "bigquery/lab.rs"]
mod lab;
#[path = "bigquery/proxy.rs"]
mod proxy;
#[path = "bigquery/shaky.rs"]
mod shaky;
#[path = "bigquery/wire.rs"]
mod wire;

mod bigquery {
    mod suite {
        tidegate_testkit::warehouse_suite!(super::super::lab::Emulated::new().await);
    }

    /// The suite again, in a project where calls meet a fault again and again: answers that are lost or late, gateways
    /// that stumble, quotas that are used up, lines that break. But for the case of a load whose source breaks off: here
    /// something else may break first, so that it says another error.
    mod faulty {
        tidegate_testkit::warehouse_suite_cases! { super::super::lab::Emulated::shaky().await =>
            every_type_comes_back_at_its_limits
            full_reads_are_in_byte_order
            a_full_read_goes_on_after_a_key
            a_dropped_read_gives_everything_back
            fetch_finds_keys_in_their_canonical_form
            cursor_reads_hand_out_every_row_once
            an_append_is_exactly_once
            a_replace_is_atomic_to_readers
            a_merge_counts_what_it_did
            a_load_into_a_missing_column_says_so
            the_fence_keeps_old_and_foreign_writers_out
            records_are_created_updated_and_deleted
            conditional_writes_miss_when_the_row_moved
            a_replayed_write_tells_the_first_outcomes
            a_bad_record_is_rejected_alone
            a_ready_table_has_no_findings
            access_read_refuses_every_write_and_leaves_nothing_behind
        }
    }

    /// The same rows by REST, for projects where the Storage Read API may not be used.
    mod by_rest {
        tidegate_testkit::warehouse_suite_cases! { super::super::lab::Emulated::by_rest().await =>
            every_type_comes_back_at_its_limits
            full_reads_are_in_byte_order
            whole_number_keys_sort_as_text
            pages_are_bounded_and_never_empty
            a_slow_reader_holds_few_pages
            cursor_reads_hand_out_every_row_once
        }
    }

    #[path = "bytes.rs"]
    mod bytes;
    #[path = "faults.rs"]
    mod faults;
    #[path = "history.rs"]
    mod history;
    #[path = "rights.rs"]
    mod rights;
    #[path = "streams.rs"]
    mod streams;
    #[path = "types.rs"]
    mod types;
}
