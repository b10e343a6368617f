//! The log of `serve`: one JSON object a line for whoever collects it, text on a terminal.

use std::fmt;

use serde_json::Value as Json;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::out::Object;
use crate::surroundings::now;

/// Starts the log on stderr, at the level that TIDEGATE_LOG asks for; else `info`, or `warn` with `--quiet`.
pub fn start(text: bool, quiet: bool) {
    let level = if quiet { "warn" } else { "info" };
    let wished = tracing_subscriber::EnvFilter::try_from_env("TIDEGATE_LOG");
    let filter = wished.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if text { log.init() } else { log.event_format(JsonLines).init() }
}

/// `{"time","level","message","sync","run",…,"target"}`: what each line has comes first, and the words that one searches by
/// have the same name in all of them. The subscriber's own JSON names its time otherwise and nests the rest.
struct JsonLines;

/// An event's fields, as they come.
#[derive(Default)]
struct Fields(Vec<(&'static str, Json)>);

impl Fields {
    fn take(&mut self, name: &str) -> Option<Json> {
        let at = self.0.iter().position(|(field, _)| *field == name)?;
        Some(self.0.remove(at).1)
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.into()));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), value.into()));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), value.into()));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), value.into()));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}").into()));
    }
}

fn line(event: &Event<'_>) -> Object {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let meta = event.metadata();
    let mut line = Object::default();
    line.put("time", now().to_string()).put("level", meta.level().as_str().to_lowercase());
    line.put("message", fields.take("message").unwrap_or_default());
    for name in ["sync", "run"] {
        if let Some(value) = fields.take(name) {
            line.put(name, value);
        }
    }
    for (name, value) in fields.0 {
        line.put(name, value);
    }
    line.put("target", meta.target());
    line
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let text = serde_json::to_string(&line(event)).map_err(|_| fmt::Error)?;
        writeln!(out, "{text}")
    }
}
