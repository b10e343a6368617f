//! What a platform's connector costs by itself: `write_speed planhat|batch|http BATCHES URL` hands prebuilt changes to it,
//! as the engine does, and prints the processor time a record. URL is that of `post_speed sink`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::cast_precision_loss)]

use std::time::Instant;

use serde_json::json;
use tidegate_model::change::{Action, Change, Outcome};
use tidegate_model::ports::WriteAsk;
use tidegate_model::record::{FieldName, Key};
use tidegate_model::schema::ModelName;
use tidegate_model::span::{Fence, OpId};
use tidegate_model::value::{Type, Value};

/// Records of a call.
const SIZE: usize = 5_000;
/// Of a call where each record is a request.
const SINGLES: usize = 500;

/// Model, key, field names and settings of a platform.
fn kind(name: &str, url: &str) -> (&'static str, &'static str, [&'static str; 4], serde_json::Value) {
    match name {
        "planhat" => (
            "company",
            "externalId",
            ["name", "phase", "web", "city"],
            json!({ "type": "planhat", "token": "token-of-the-test", "url": url }),
        ),
        "batch" => (
            "profile",
            "custom_id",
            ["custom.name", "custom.phase", "custom.web", "custom.city"],
            json!({ "type": "batch", "project_key": "project_x", "rest_api_key": "token-of-the-test", "url": url }),
        ),
        "http" => (
            "record",
            "key",
            ["name", "phase", "web", "city"],
            json!({ "type": "http", "url": format!("{url}/contacts/{{{{key}}}}"), "method": "PUT",
                "auth": { "method": "bearer", "token": "token-of-the-test" },
                "body": { "name": "{{record.name}}", "phase": "{{record.phase}}", "web": "{{record.web}}", "city": "{{record.city}}" } }),
        ),
        other => panic!("{other} is none of planhat, batch, http"),
    }
}

fn change(n: usize, names: &[FieldName; 4]) -> Change {
    let phase = if n.is_multiple_of(3) { "trial" } else { "live" };
    let values = [
        format!("Company number {n}"),
        phase.to_owned(),
        format!("https://www.company-{n}.example"),
        "Stockholm".to_owned(),
    ];
    let fields = names.iter().cloned().zip(values.into_iter().map(Value::text)).collect();
    Change { key: Key::new(format!("c{n:08}")), remote: None, action: Action::Create, fields, expect: None }
}

/// Seconds of all threads so far, in user and in kernel mode.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = after[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() / 1024.0
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, batches, url] = words.as_slice() else { panic!("write_speed planhat|batch|http BATCHES URL") };
    let batches: usize = batches.parse().unwrap();
    let (model, key, names, config) = kind(name, url);
    let context = tidegate_platforms::OpenContext {
        name: "crm".to_owned(),
        private_targets: vec!["127.0.0.1".to_owned()],
        ..Default::default()
    };
    let names = names.map(FieldName::from);
    let size = if name == "http" { SINGLES } else { SIZE };
    let changes: Vec<Change> = (0..size).map(|n| change(n, &names)).collect();
    let before = peak_mb();
    let opening = processor();
    let platform = tidegate_platforms::open(name, &config, &context).unwrap();
    let opened = processor() - opening;
    let ask = WriteAsk {
        model: ModelName(model.to_owned()),
        key: key.to_owned(),
        new_fields: names.iter().map(|name| (name.to_string(), Type::Text)).collect(),
        addresses: Vec::new(),
        op: OpId("span/1".to_owned()),
        fence: Fence { sync: "companies".to_owned(), epoch: 1, store: "s".to_owned() },
        records: 1_000_000,
    };
    let (start, clock) = (processor(), Instant::now());
    for _ in 0..batches {
        let outcomes = platform.write(&ask, &changes).await.unwrap();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Applied { .. })), "{:?}", outcomes[0]);
    }
    let records = (batches * size) as f64;
    println!(
        "{name}: {:.2} us of processor a record, {:.0} records/s, opened in {:.0} ms, {:.1} MB above {before:.1} MB",
        1e6 * (processor() - start) / records,
        records / clock.elapsed().as_secs_f64(),
        opened * 1e3,
        peak_mb() - before,
    );
}
