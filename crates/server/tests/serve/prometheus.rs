//! `/metrics`, read as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_model::run::{Books, RunStatus};

use super::rig::{Act, Rig, START, every, minutes};

/// The text format, strictly: each family announced once with HELP and TYPE before its samples, all samples of a
/// family together, names and labels well-formed, no series twice, histograms cumulative. Series and their values.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut series = BTreeMap::new();
    let mut families: BTreeMap<String, String> = BTreeMap::new();
    let mut closed = BTreeSet::new();
    let mut current = String::new();
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(!help.is_empty() && !families.contains_key(name), "{line}");
            assert!(closed.insert(name.to_owned()), "{name} comes twice");
            current = name.to_owned();
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert_eq!(name, current, "TYPE follows HELP");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}: counters, and they alone, end in _total");
            families.insert(name.to_owned(), kind.to_owned());
            continue;
        }
        let (id, value) = line.rsplit_once(' ').expect("a sample");
        let value: f64 = value.parse().expect("a number");
        let (name, labels) = match id.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}').expect("closed labels")),
            None => (id, ""),
        };
        let family = match families.get(&current).map(String::as_str) {
            Some("histogram") => ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .expect("a part of a histogram"),
            Some(_) => name,
            None => panic!("a sample before its family: {line}"),
        };
        assert_eq!(family, current, "samples of a family stand together");
        check_labels(labels);
        assert!(series.insert(id.to_owned(), value).is_none(), "{id} twice");
    }
    series
}

fn check_labels(labels: &str) {
    let mut rest = labels;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").expect("a label");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "label {name}");
        let mut escaped = false;
        let end = after.find(|c| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        rest = &after[end.expect("a closed value") + 1..];
        if !rest.is_empty() {
            rest = rest.strip_prefix(',').expect("a comma between labels");
        }
    }
}

#[tokio::test]
async fn the_text_is_what_prometheus_reads_and_the_numbers_are_true() {
    let mut books = Books::default();
    books.to_platform.read = 7;
    books.to_platform.created = 4;
    books.to_platform.updated = 2;
    books.to_platform.rejected = 1;
    books.to_platform.requests = 3;
    let odd = "o\\dd \"name\"\n";
    let rig = Rig::start_with(vec![every("companies", 60), every(odd, 60)], Arc::default(), START, |runner| {
        *runner.books.lock().unwrap() = books;
        runner.acts.lock().unwrap().insert("companies".to_owned(), Act::End(RunStatus::Partial));
    })
    .await;
    let before = parse(&rig.get("/metrics").await);
    assert_eq!(before["tidegate_runs_total{sync=\"companies\",status=\"failed\"}"], 0.0, "there before it is 1");
    rig.ticks(minutes(10)).await;

    let answer = rig.ask("GET", "/metrics", "Host: localhost\r\n").await;
    assert!(answer.to_ascii_lowercase().contains("content-type: text/plain; version=0.0.4"), "{answer}");
    let series = parse(&rig.get("/metrics").await);
    let runs = series["tidegate_runs_total{sync=\"companies\",status=\"partial\"}"];
    assert!(runs >= 1.0);
    for (outcome, number) in [("created", 4.0), ("updated", 2.0), ("rejected", 1.0), ("deleted", 0.0), ("ahead", 0.0)] {
        let id =
            format!("tidegate_records_total{{sync=\"companies\",direction=\"to_platform\",outcome=\"{outcome}\"}}");
        assert_eq!(series[&id], number * runs, "{outcome}");
    }
    assert!(!series.keys().any(|id| id.contains("to_warehouse")), "no zeros for a direction that nothing flows in");
    assert_eq!(series["tidegate_requests_total{sync=\"companies\",direction=\"to_platform\"}"], 3.0 * runs);
    assert!(series.contains_key("tidegate_runs_total{sync=\"o\\\\dd \\\"name\\\"\\n\",status=\"succeeded\"}"));
    assert_eq!(series["tidegate_queue_length"], 0.0);
    assert_eq!(series["tidegate_runs_at_work"], 0.0);
    let now = rig.clock_seconds();
    assert_eq!(series["tidegate_scheduler_last_tick_timestamp_seconds"], now);
    assert!(series["tidegate_next_due_timestamp_seconds{sync=\"companies\"}"] > now);
    let last = series["tidegate_last_success_timestamp_seconds{sync=\"companies\"}"];
    assert_eq!(series["tidegate_lag_seconds{sync=\"companies\"}"], now - last);
    rig.stop().await;
}

#[tokio::test]
async fn run_seconds_are_a_histogram() {
    let rig = Rig::start_with(vec![every("companies", 720)], Arc::default(), START, |runner| {
        runner.acts.lock().unwrap().insert("companies".to_owned(), Act::Hold);
    })
    .await;
    rig.until("companies", "start", 1).await;
    rig.ticks(minutes(1)).await;
    rig.let_go("companies");
    rig.until("companies", "succeeded", 1).await;
    rig.act("companies", Act::End(RunStatus::Succeeded));
    rig.quiet().await;
    let series = parse(&rig.get("/metrics").await);
    let bucket = |le: &str| series[&format!("tidegate_run_seconds_bucket{{sync=\"companies\",le=\"{le}\"}}")];
    let bounds = ["0.1", "0.5", "2", "10", "30", "120", "600", "1800", "7200", "+Inf"].map(bucket);
    assert_eq!(bounds, [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    assert_eq!(series["tidegate_run_seconds_sum{sync=\"companies\"}"], 60.0);
    assert_eq!(series["tidegate_run_seconds_count{sync=\"companies\"}"], 1.0);
    rig.stop().await;
}
