//! What every warehouse must do, whatever its kind: the contract of [`tidegate_model::ports::Warehouse`] as functions.
//!
//! A connector's tests give a [`Lab`] – a database of the connector's kind, seen as its owner – and run all cases
//! with [`warehouse_suite!`](macro@crate::warehouse_suite).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod checks;
mod cursor;
mod history;
mod loads;
mod order;
mod records;
mod types;

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use tidegate_model::cells::{PageBuilder, value_at};
use tidegate_model::change::{Change, Outcome};
use tidegate_model::page::{Held, Page, Pages};
use tidegate_model::ports::{Load, LoadMode, Place, ReadAsk, ReadMode, Warehouse};
use tidegate_model::record::{Fields, Key};
use tidegate_model::schema::{Relation, Source};
use tidegate_model::span::{Fence, OpId};
use tidegate_model::sync::DatasetLink;
use tidegate_model::value::{Decimal, Type, Value};

pub use access::*;
pub use checks::*;
pub use cursor::*;
pub use history::*;
pub use loads::*;
pub use order::*;
pub use records::*;
pub use types::*;

/// A database of one kind, seen as the owner of the data. Each test has its own.
#[async_trait]
pub trait Lab: Send + Sync {
    /// Runs statements as the owner.
    async fn exec(&self, sql: &str);
    /// The first cell of the first row, as text.
    async fn ask(&self, sql: &str) -> Option<String>;
    /// The warehouse under test.
    fn open(&self, write: bool) -> Arc<dyn Warehouse>;
    /// The native type that keeps every value of a logical type.
    fn native(&self, logical: Type) -> String;
    /// A table's name for the port.
    fn relation(&self, table: &str) -> Relation;
    /// Whether the database itself refuses rows that break a check or a unique key. Where it does not, tables are
    /// declared without them, and nothing is expected of them.
    fn enforces(&self) -> bool {
        true
    }
    /// Whether there is a native type that keeps every value of a logical type.
    fn keeps(&self, _logical: Type) -> bool {
        true
    }
    /// What the database gives back of a JSON document in canonical text.
    fn document(&self, json: &str) -> String {
        json.to_owned()
    }
    /// Whether a place of the catalogue is this test's: on a server that all tests share, others come and go.
    fn mine(&self, _place: &Place) -> bool {
        true
    }
    /// A name that is hard to quote, in a form that the lab's own server can bear.
    fn odd_name(&self, name: &str) -> String {
        name.to_owned()
    }
    /// A query of the numbers from 1 to `last`, in a column `n`.
    fn numbers(&self, last: usize) -> String {
        format!("WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {last}) SELECT n FROM g")
    }
    /// Waits until nothing that is committed stands behind a transaction that still runs, of any other test.
    async fn settle(&self) {}
}

/// One test per case of the suite; the expression makes a [`Lab`] in an async context.
#[macro_export]
macro_rules! warehouse_suite {
    ($lab:expr) => {
        $crate::warehouse_suite_cases! { $lab =>
            every_type_comes_back_at_its_limits
            values_that_do_not_fit_are_rejects_never_cut
            full_reads_are_in_byte_order
            whole_number_keys_sort_as_text
            a_full_read_goes_on_after_a_key
            pages_are_bounded_and_never_empty
            a_dropped_read_gives_everything_back
            a_slow_reader_holds_few_pages
            fetch_finds_keys_in_their_canonical_form
            cursor_reads_hand_out_every_row_once
            cursors_of_times_and_numbers_follow_their_own_order
            an_empty_relation_has_no_bound
            an_append_is_exactly_once
            a_load_that_fails_keeps_nothing
            a_replace_is_atomic_to_readers
            a_replace_that_shrinks_too_much_is_stopped
            a_merge_counts_what_it_did
            bad_rows_are_rejected_alone
            source_misfits_are_not_written_as_null
            a_load_into_a_missing_column_says_so
            the_fence_keeps_old_and_foreign_writers_out
            records_are_created_updated_and_deleted
            conditional_writes_miss_when_the_row_moved
            a_replayed_write_tells_the_first_outcomes
            a_bad_record_is_rejected_alone
            keys_that_are_there_twice_are_rejected
            access_read_refuses_every_write_and_leaves_nothing_behind
            views_and_queries_are_no_targets
            queries_only_read
            names_with_quotes_blanks_and_unicode_work
            values_are_never_run_as_sql
            what_is_not_there_is_said_with_near_matches
            the_catalogue_lists_and_describes
            every_finding_is_mended_by_its_fix
            a_ready_table_has_no_findings
            all_findings_come_at_once
        }
    };
}

/// The tests behind [`warehouse_suite!`](macro@crate::warehouse_suite).
#[macro_export]
macro_rules! warehouse_suite_cases {
    ($lab:expr => $($case:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let lab = $lab;
            $crate::warehouse_suite::$case(&lab).await;
        })*
    };
}

/// A name as SQL writes it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn table_sql(lab: &dyn Lab, table: &str) -> String {
    lab.relation(table).0.iter().map(|part| quoted(part)).collect::<Vec<_>>().join(".")
}

/// A check as it is declared, or nothing where it would not be enforced.
fn check(lab: &dyn Lab, condition: &str) -> String {
    if lab.enforces() { format!(" CHECK ({condition})") } else { String::new() }
}

fn source(lab: &dyn Lab, table: &str) -> Source {
    Source::Relation(lab.relation(table))
}

fn text(value: &str) -> Value {
    Value::text(value)
}

fn number(digits: &str) -> Value {
    Value::Decimal(Decimal::parse(digits).expect("a number"))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A stream of one page.
fn pages(columns: &[(&str, Type)], rows: &[Vec<Value>]) -> Pages {
    Box::new(Held::one(page(columns, rows)))
}

fn page(columns: &[(&str, Type)], rows: &[Vec<Value>]) -> Page {
    let columns: Vec<(String, Type)> = columns.iter().map(|(name, logical)| ((*name).to_owned(), *logical)).collect();
    let mut builder = PageBuilder::new(&columns);
    for row in rows {
        row.iter().for_each(|value| builder.push(value));
        builder.end_row();
    }
    builder.take().expect("a page")
}

fn stream(pages: Vec<Page>) -> Pages {
    Box::new(Held(VecDeque::from(pages)))
}

fn fence(epoch: i64) -> Fence {
    Fence { sync: "companies".into(), store: "ours".into(), epoch }
}

fn load(mode: LoadMode, key: Option<&str>, op: &str) -> Load {
    Load { mode, key: key.map(str::to_owned), op: OpId(op.into()), fence: fence(1), link: DatasetLink::default() }
}

fn ask(source: Source, columns: &[&str], mode: ReadMode) -> ReadAsk {
    ReadAsk { source, columns: names(columns), mode, page_rows: 3, timezone: "UTC".into() }
}

fn full(key: &str) -> ReadMode {
    ReadMode::Full { key: key.into(), after: None, at: None }
}

/// What a read gave: its rows, and its misfits by row of the whole read.
#[derive(Debug, Default, PartialEq)]
struct Got {
    rows: Vec<Vec<Value>>,
    misfits: Vec<(usize, usize, &'static str)>,
    longest_page: usize,
}

impl Got {
    fn add(&mut self, page: &Page) {
        assert!(!page.is_empty(), "a page without rows");
        let before = self.rows.len();
        self.misfits.extend(page.misfits.iter().map(|m| (before + m.row, m.column, m.rule)));
        self.longest_page = self.longest_page.max(page.len());
        let width = page.rows.num_columns();
        self.rows.extend((0..page.len()).map(|row| (0..width).map(|c| value_at(&page.rows, c, row)).collect()));
    }
    fn column(&self, at: usize) -> Vec<String> {
        self.rows.iter().map(|row| if row[at].is_null() { "NULL".into() } else { row[at].to_string() }).collect()
    }
}

async fn read(warehouse: &dyn Warehouse, ask: ReadAsk) -> Got {
    let mut pages = warehouse.read(ask).await.expect("a read");
    let mut got = Got::default();
    while let Some(page) = pages.next().await.expect("a page") {
        got.add(&page);
    }
    got
}

/// All rows of a table in key order.
async fn rows(lab: &dyn Lab, table: &str, key: &str, columns: &[&str]) -> Vec<Vec<Value>> {
    read(lab.open(false).as_ref(), ask(source(lab, table), columns, full(key))).await.rows
}

fn change(
    action: tidegate_model::change::Action,
    key: &str,
    fields: &[(&str, Value)],
    expect: Option<&[(&str, Value)]>,
) -> Change {
    let make = |fields: &[(&str, Value)]| -> Fields {
        fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect()
    };
    Change { key: Key::new(key), remote: None, action, fields: make(fields), expect: expect.map(make) }
}

/// An outcome in one word: `created`, `updated`, `deleted`, `unchanged`, `missed`, or the rule of a reject.
fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Applied { effect, .. } => format!("{effect:?}").to_lowercase(),
        Outcome::Unchanged { .. } => "unchanged".into(),
        Outcome::Missed { .. } => "missed".into(),
        Outcome::Rejected(reject) => reject.rule.clone(),
        Outcome::Retry(error) | Outcome::Unknown(error) => panic!("no answer: {error}"),
    }
}
