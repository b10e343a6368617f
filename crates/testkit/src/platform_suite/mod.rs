//! What every platform must do, whatever its kind: the contract of [`tidegate_model::ports::Platform`] as functions.
//!
//! Each case is given a platform without records that knows companies, end users, licenses, activities, metrics and
//! datasets. A connector's tests run all cases with [`platform_suite!`](macro@crate::platform_suite).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod changes;
pub mod contract;
mod datasets;
mod fences;
mod models;
mod reading;
mod references;
mod series;
mod writes;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_model::cells::{PageBuilder, value_at};
use tidegate_model::change::{Action, Change, FieldReject, Outcome};
use tidegate_model::page::{Held, Page, Pages};
use tidegate_model::ports::{Load, LoadMode, Platform, PlatformAsk, PlatformRead, WriteAsk};
use tidegate_model::record::{Fields, Key, RemoteId};
use tidegate_model::schema::ModelName;
use tidegate_model::span::{Fence, OpId};
use tidegate_model::sync::DatasetLink;
use tidegate_model::value::{Decimal, Type, Value};

pub use changes::*;
pub use contract::Subject;
pub use datasets::*;
pub use fences::*;
pub use models::*;
pub use reading::*;
pub use references::*;
pub use series::*;
pub use writes::*;

/// One test per case of the suite; the expression makes, awaited, something
/// whose `port()` is the platform under test.
#[macro_export]
macro_rules! platform_suite {
    ($platform:expr) => {
        $crate::platform_suite_cases! { $platform =>
            a_record_of_each_model_is_created_updated_and_refused
            what_was_written_is_read_back
            a_create_of_a_key_that_is_taken_updates_or_misses
            a_write_misses_when_something_else_stands_there
            equal_under_the_normal_form_is_unchanged
            gone_records_are_missed_and_deletes_of_them_are_quiet
            a_bad_record_is_refused_alone
            keys_are_unique_and_can_be_swapped
            custom_fields_appear_when_first_mapped
            a_custom_field_keeps_its_first_type
            every_type_of_a_custom_field_comes_back
            a_full_read_is_in_byte_order_of_the_key
            a_filter_narrows_what_is_read
            pages_are_bounded_and_a_dropped_read_ends
            fetch_finds_records_by_id_and_by_key
            references_come_back_as_they_were_given
            a_reference_that_is_not_there_is_refused_until_it_is
            a_deleted_parent_does_not_change_its_children
            end_users_find_their_company_by_domain
            changes_since_a_mark_name_what_changed_and_what_is_gone
            a_record_that_returns_keeps_its_id
            nothing_is_skipped_by_readers_of_changes
            a_replayed_write_answers_as_the_first_time
            an_old_epoch_and_a_foreign_store_are_kept_out
            a_load_is_carried_out_once
            activities_are_taken_once_by_their_key
            activities_resolve_whom_they_are_about
            metrics_are_kept_for_all_four_models
            a_load_that_fails_keeps_nothing
            a_dataset_follows_the_columns_of_its_pages
            a_dataset_merges_by_key
            a_dataset_merge_keeps_what_nobody_spoke_of
            a_dataset_is_replaced_as_a_whole_or_not_at_all
            a_dataset_finds_late_companies
            check_names_what_is_missing
        }
    };
}

/// The list behind [`platform_suite!`](macro@crate::platform_suite).
#[macro_export]
macro_rules! platform_suite_cases {
    ($platform:expr => $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let platform = $platform.await;
                $crate::platform_suite::$case(platform.port()).await;
            }
        )*
    };
}

static OPS: AtomicU64 = AtomicU64::new(0);

/// An operation that nobody has used.
pub fn new_op() -> OpId {
    OpId(format!("op/{}", OPS.fetch_add(1, Ordering::Relaxed)))
}

/// The fence of a sync.
pub fn fence(sync: &str) -> Fence {
    Fence { sync: sync.to_owned(), store: "store-1".to_owned(), epoch: 1 }
}

/// A model's name.
pub fn named(model: &str) -> ModelName {
    ModelName(model.to_owned())
}

/// A write of this model by externalId.
pub fn ask(model: &str) -> WriteAsk {
    WriteAsk {
        model: named(model),
        key: "externalId".to_owned(),
        new_fields: Vec::new(),
        op: new_op(),
        fence: fence("s"),
        records: 1,
        addresses: Vec::new(),
    }
}

/// Fields from pairs.
pub fn fields(pairs: &[(&str, Value)]) -> Fields {
    pairs.iter().map(|(name, value)| ((*name).into(), value.clone())).collect()
}

/// A change without before-image.
pub fn change(action: Action, key: &str, pairs: &[(&str, Value)]) -> Change {
    Change { key: Key::new(key), remote: None, action, fields: fields(pairs), expect: None }
}

/// The same change, only if this stands there.
pub fn expecting(change: Change, pairs: &[(&str, Value)]) -> Change {
    Change { expect: Some(fields(pairs)), ..change }
}

/// A text.
pub fn text(text: &str) -> Value {
    Value::text(text)
}

/// An exact number.
pub fn number(digits: &str) -> Value {
    Value::Decimal(Decimal::parse(digits).expect("digits"))
}

/// Writes, and takes the outcomes.
pub async fn write(platform: &dyn Platform, ask: &WriteAsk, batch: &[Change]) -> Vec<Outcome> {
    let outcomes = platform.write(ask, batch).await.expect("a write");
    assert_eq!(outcomes.len(), batch.len(), "one outcome per change");
    outcomes
}

/// Writes one change.
pub async fn write_one(platform: &dyn Platform, ask: &WriteAsk, change: Change) -> Outcome {
    let ask = WriteAsk { op: new_op(), ..ask.clone() };
    write(platform, &ask, &[change]).await.remove(0)
}

/// The id of a record that was applied.
pub fn applied(outcome: &Outcome) -> RemoteId {
    match outcome {
        Outcome::Applied { remote: Some(remote), .. } => remote.clone(),
        other => panic!("not applied: {other:?}"),
    }
}

/// Why a record was refused.
pub fn refused(outcome: &Outcome) -> FieldReject {
    match outcome {
        Outcome::Rejected(why) => why.clone(),
        other => panic!("not refused: {other:?}"),
    }
}

/// Creates a company.
pub async fn company(platform: &dyn Platform, key: &str) -> RemoteId {
    let change = change(Action::Create, key, &[("name", text(key))]);
    applied(&write_one(platform, &ask("company"), change).await)
}

/// Creates an end user of a company.
pub async fn enduser(platform: &dyn Platform, key: &str, email: &str, company: &str) -> RemoteId {
    let change = change(Action::Create, key, &[("email", text(email)), ("companyId", text(company))]);
    applied(&write_one(platform, &ask("enduser"), change).await)
}

/// A row of a page, by column; empty cells are left out.
pub type Row = BTreeMap<String, Value>;

/// The rows of a page.
pub fn rows_of(page: &Page) -> Vec<Row> {
    let schema = page.rows.schema();
    let row = |at: usize| -> Row {
        let cells = schema.fields().iter().enumerate();
        let cells = cells.map(|(column, field)| (field.name().clone(), value_at(&page.rows, column, at)));
        cells.filter(|(_, value)| !value.is_null()).collect()
    };
    (0..page.len()).map(row).collect()
}

/// A read of a model.
pub fn asking(model: &str, key: &str, fields: &[&str]) -> PlatformAsk {
    PlatformAsk {
        model: named(model),
        key: key.to_owned(),
        fields: fields.iter().map(|name| (*name).to_owned()).collect(),
        filter: Vec::new(),
        mode: PlatformRead::Full,
        page_rows: 1_000,
    }
}

/// Everything that a read hands out.
pub async fn read(platform: &dyn Platform, ask: PlatformAsk) -> Vec<Row> {
    let mut pages = platform.read(ask).await.expect("a read");
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await.expect("a page") {
        assert!(!page.is_empty(), "an empty page");
        rows.extend(rows_of(&page));
    }
    rows
}

/// All records of a model, by externalId.
pub async fn records(platform: &dyn Platform, model: &str, fields: &[&str]) -> Vec<Row> {
    read(platform, asking(model, "externalId", fields)).await
}

/// A page of these columns and rows.
pub fn page(columns: &[(&str, Type)], rows: &[Vec<Value>]) -> Page {
    let columns: Vec<(String, Type)> = columns.iter().map(|(name, logical)| ((*name).to_owned(), *logical)).collect();
    let mut builder = PageBuilder::new(&columns);
    for row in rows {
        row.iter().for_each(|value| builder.push(value));
        builder.end_row();
    }
    builder.take().expect("a page")
}

/// Pages as a stream.
pub fn pages(pages: Vec<Page>) -> Pages {
    Box::new(Held(VecDeque::from(pages)))
}

/// A load.
pub fn load(sync: &str, mode: LoadMode, key: Option<&str>) -> Load {
    Load { mode, key: key.map(str::to_owned), op: new_op(), fence: fence(sync), link: DatasetLink::default() }
}
