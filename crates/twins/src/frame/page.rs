//! The page of a twin: what it holds, the last requests, what it does not know. Nothing is fetched from elsewhere.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::call::Reply;
use super::log::Seen;
use super::twin::{About, Shelf};
use super::work::Desk;

/// Requests that are shown.
const REQUESTS: usize = 50;
/// Records of each model that are shown.
const RECORDS: u32 = 10;
/// Characters of a body or record that are shown.
const TEXT_MAX: usize = 2_000;

const STYLE: &str = "
:root { color-scheme: light dark; --line: light-dark(#d8dbe0, #3a3f47); --soft: light-dark(#5b6472, #9aa3b0);
        --bad: light-dark(#a3271f, #ff9d94); --back: light-dark(#f6f7f9, #1d2025); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem .3rem 0; vertical-align: top; }
td.n { font-variant-numeric: tabular-nums; } .soft { color: var(--soft); } .bad { color: var(--bad); }
pre { background: var(--back); padding: .5rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0; }
summary { cursor: pointer; }
";

pub(super) fn page(desk: &Desk) -> Reply {
    let about = desk.twin.about();
    let shelves = match desk.shelves(RECORDS) {
        Ok(shelves) => shelves,
        Err(error) => return Reply::text(500, format!("the twin's file cannot be read: {error}")),
    };
    let (seen, count, knobs) = {
        let state = desk.state();
        (state.log.last(REQUESTS), state.log.count(), state.knobs.clone())
    };
    let knobs = serde_json::to_string_pretty(&knobs).unwrap_or_default();
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Twin of " (about.platform) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Twin of " (about.platform) }
                p.soft { "A stand-in that runs on this machine. Nothing here reaches " (about.platform) "." }
                (connect(&about))
                h2 { "What it holds" }
                (holds(&shelves))
                h2 { "Requests" span.soft { " " (count) " so far, the newest first" } }
                (requests(&seen))
                h2 { "What it does not know" }
                ul { @for line in &about.unsure { li { (line) } } }
                h2 { "Knobs" }
                p.soft { "Turned by " code { "PUT /_twin/knobs" } ", or by the file behind " code { "--knobs" } "." }
                pre { (knobs) }
            }
        }
    };
    Reply::of(200, "text/html; charset=utf-8", markup.into_string())
        .header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
        .header("cache-control", "no-store")
}

fn connect(about: &About) -> Markup {
    html! { ul { @for line in &about.connect { li { (line) } } } }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn holds(shelves: &[Shelf]) -> Markup {
    let some = shelves.iter().filter(|shelf| shelf.count > 0);
    html! {
        @if shelves.iter().all(|shelf| shelf.count == 0) { p.soft { "Nothing yet." } }
        @for shelf in some {
            details {
                summary { (shelf.name) " " span.soft { (shelf.count) } }
                @for record in &shelf.newest { pre { (short(&record.to_string())) } }
            }
        }
    }
}

fn requests(seen: &[Seen]) -> Markup {
    html! {
        table {
            thead { tr { th { "#" } th { "Time" } th { "Request" } th { "Answer" } th { "ms" } } }
            tbody { @for one in seen { tr {
                td.n { (one.number) }
                td.n { (clock(one.at)) }
                td {
                    code { (one.method) " " (one.target) }
                    @if !one.body.is_empty() {
                        details {
                            summary.soft { (one.bytes) " bytes" }
                            pre { (short(&String::from_utf8_lossy(&one.body))) }
                        }
                    }
                }
                td class=[(one.status == 0 || one.status >= 400).then_some("bad")] {
                    @if one.status == 0 { "dropped" } @else { (one.status) }
                    @if let Some(fault) = &one.fault { div.soft { (fault) } }
                }
                td.n { (one.took_ms) }
            } } }
        }
    }
}

fn clock(at: i64) -> String {
    jiff::Timestamp::from_microsecond(at).map_or(String::new(), |time| time.strftime("%H:%M:%S").to_string())
}
