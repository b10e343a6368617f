//! How fast the hub takes and gives records and series: `cargo run --release -p tidegate-platforms --example hub_speed
//! -- URL [THOUSANDS [PARTS]]`, where PARTS are some of `records`, `series`, `datasets`. The place is written to; give it an empty one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use async_trait::async_trait;
use tidegate_model::change::{Action, Change};
use tidegate_model::page::{Page, PageStream};
use tidegate_model::ports::{Load, LoadMode, PAGE_ROWS, Platform, PlatformAsk, PlatformRead, WriteAsk};
use tidegate_model::record::{Fields, Key};
use tidegate_model::schema::ModelName;
use tidegate_model::span::{Fence, OpId};
use tidegate_model::value::{Decimal, Type, Value};
use tidegate_platforms::hub::{Hub, open_hub};

const COMPANIES: usize = 5_000;
const DAY_US: i64 = 86_400_000_000;

fn fence() -> Fence {
    Fence { sync: "speed".to_owned(), store: "speed".to_owned(), epoch: 1 }
}

fn number(n: usize) -> Value {
    Value::Decimal(Decimal::from_i128(n as i128, 2))
}

fn company(n: usize, phase: &str) -> Change {
    let mut fields = Fields::default();
    fields.push("name", Value::text(format!("Company number {n}")));
    fields.push("phase", Value::text(phase));
    fields.push("status", Value::text("customer"));
    fields.push("website", Value::text(format!("https://www.company-{n}.example")));
    fields.push("country", Value::text("Sweden"));
    fields.push("city", Value::text("Stockholm"));
    fields.push("employees", Value::Int(n as i64 % 5_000));
    fields.push("mrr", number(n * 7 % 1_000_000));
    fields.push("custom.ARR", number(n * 84 % 10_000_000));
    Change { key: Key::new(format!("c{n:08}")), remote: None, action: Action::Create, fields, expect: None }
}

async fn write(hub: &Hub, count: usize, phase: &str) {
    let start = Instant::now();
    let mut making = 0.0;
    for (number, from) in (0..count).step_by(10_000).enumerate() {
        let made = Instant::now();
        let batch: Vec<Change> = (from..(from + 10_000).min(count)).map(|n| company(n, phase)).collect();
        making += made.elapsed().as_secs_f64();
        let ask = WriteAsk {
            model: ModelName("company".to_owned()),
            key: "externalId".to_owned(),
            new_fields: vec![("custom.ARR".to_owned(), Type::Decimal { precision: 18, scale: 2 })],
            op: OpId(format!("{phase}/{number}")),
            fence: fence(),
            records: batch.len() as u64,
            addresses: Vec::new(),
        };
        hub.write(&ask, &batch).await.expect("a write");
    }
    report(&format!("records written ({phase})"), count, start.elapsed().as_secs_f64() - making);
}

fn report(what: &str, count: usize, seconds: f64) {
    println!("{what}: {count} in {seconds:.2} s, {:.0}/s", count as f64 / seconds);
}

async fn read(hub: &Hub) {
    let fields = ["name", "phase", "status", "website", "country", "city", "employees", "mrr", "custom.ARR"];
    let ask = PlatformAsk {
        model: ModelName("company".to_owned()),
        key: "externalId".to_owned(),
        fields: fields.iter().map(|name| (*name).to_owned()).collect(),
        filter: Vec::new(),
        mode: PlatformRead::Full,
        page_rows: PAGE_ROWS,
    };
    let start = Instant::now();
    let mut pages = hub.read(ask).await.expect("a read");
    let mut count = 0;
    while let Some(page) = pages.next().await.expect("a page") {
        count += page.len();
    }
    report("records read in order", count, start.elapsed().as_secs_f64());
}

/// Makes pages of events as they are asked for.
struct Events {
    next: usize,
    end: usize,
}

#[async_trait]
impl PageStream for Events {
    async fn next(&mut self) -> tidegate_model::Result<Option<Page>> {
        let until = (self.next + PAGE_ROWS).min(self.end);
        if self.next == until {
            return Ok(None);
        }
        let rows = || self.next..until;
        let text =
            |f: &dyn Fn(usize) -> String| -> ArrayRef { Arc::new(rows().map(|n| Some(f(n))).collect::<StringArray>()) };
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("event_id", Arc::new(Int64Array::from_iter_values(rows().map(|n| n as i64)))),
            ("companyExternalId", text(&|n| format!("c{:08}", n * 7919 % COMPANIES))),
            ("email", text(&|n| format!("user{}@company.example", n * 104_729 % (COMPANIES * 4)))),
            ("action", text(&|n| format!("action {}", n % 20))),
            (
                "weight",
                Arc::new(
                    rows()
                        .map(|n| (n % 500) as i128)
                        .collect::<Decimal128Array>()
                        .with_precision_and_scale(10, 2)
                        .unwrap(),
                ),
            ),
            ("count", Arc::new(Int64Array::from_iter_values(rows().map(|n| n as i64 % 3 + 1)))),
            (
                "date",
                Arc::new(
                    TimestampMicrosecondArray::from_iter_values(rows().map(|n| (n as i64) * (90 * DAY_US / 1_000_000)))
                        .with_timezone("UTC"),
                ),
            ),
            ("info", text(&|n| format!("{{\"page\":{}}}", n % 100))),
        ];
        self.next = until;
        Ok(Some(Page::new(RecordBatch::try_from_iter(columns).expect("a page"))))
    }
}

async fn people(hub: &Hub) {
    for (number, from) in (0..COMPANIES * 4).step_by(10_000).enumerate() {
        let person = |n: usize| {
            let mut fields = Fields::default();
            fields.push("email", Value::text(format!("user{n}@company.example")));
            fields.push("companyId", Value::text(format!("c{:08}", n % COMPANIES)));
            Change { key: Key::new(format!("u{n}")), remote: None, action: Action::Create, fields, expect: None }
        };
        let batch: Vec<Change> = (from..from + 10_000).map(person).collect();
        let ask = WriteAsk {
            model: ModelName("enduser".to_owned()),
            key: "externalId".to_owned(),
            new_fields: Vec::new(),
            op: OpId(format!("people/{number}")),
            fence: fence(),
            records: batch.len() as u64,
            addresses: Vec::new(),
        };
        hub.write(&ask, &batch).await.expect("people");
    }
}

async fn load(hub: &Hub, model: &str, mode: LoadMode, op: &str, count: usize) {
    let load = Load {
        mode,
        key: Some("event_id".to_owned()),
        op: OpId(op.to_owned()),
        fence: fence(),
        link: Default::default(),
    };
    let start = Instant::now();
    let events = Box::new(Events { next: 0, end: count });
    let done = hub.load(&ModelName(model.to_owned()), &load, events).await.expect("a load");
    let what =
        format!("{op} (created {}, unchanged {}, rejected {})", done.created, done.unchanged, done.rejected.len());
    report(&what, count, start.elapsed().as_secs_f64());
}

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).expect("the url of an empty hub");
    let count = std::env::args().nth(2).map_or(1_000_000, |n| n.parse::<usize>().expect("thousands") * 1_000);
    let hub = open_hub(&url, std::path::Path::new(".")).expect("a hub");
    let parts = std::env::args().nth(3).unwrap_or_else(|| "records,series,datasets".to_owned());
    if parts.contains("records") {
        write(&hub, count.max(COMPANIES), "created").await;
        write(&hub, count.max(COMPANIES), "changed").await;
        read(&hub).await;
    } else {
        write(&hub, COMPANIES, "created").await;
    }
    if parts.contains("series") {
        people(&hub).await;
        load(&hub, "user_activity", LoadMode::Append, "activities loaded", count).await;
        load(&hub, "user_activity", LoadMode::Append, "activities loaded again", count).await;
    }
    if parts.contains("datasets") {
        load(&hub, "dataset:events", LoadMode::Replace { max_shrink_pct: None }, "dataset replaced", count).await;
        load(&hub, "dataset:events", LoadMode::Merge, "dataset merged", count).await;
    }
}
