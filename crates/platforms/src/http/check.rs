//! Whether a sync's needs are met: what its mapping and the templates do not have in common.

use std::collections::BTreeSet;

use tidegate_model::finding::Finding;
use tidegate_model::ports::{Need, WriteColumn};
use tidegate_model::sync::WriteMode;

use super::template::Var;
use super::{Endpoint, KEY};

impl Endpoint {
    /// What is missing.
    pub(super) async fn findings(&self, needs: &[Need]) -> Vec<Finding> {
        let mut out = Vec::new();
        let reads = needs.iter().any(|need| matches!(need, Need::Read { .. }));
        for need in needs {
            match need {
                Need::Connect => {
                    if let Err(error) = self.prove().await {
                        out.push(Finding::critical("connect", error.to_string(), error.hint.unwrap_or_default()));
                    }
                }
                Need::Follow { .. } => {}
                Need::Read { columns, .. } => self.readable(columns, &mut out),
                Need::Write { columns, mode, .. } => self.writable(columns, *mode, reads, &mut out),
            }
        }
        out
    }

    fn readable(&self, columns: &[String], out: &mut Vec<Finding>) {
        let Some(list) = &self.plan.list else {
            let why = format!("records of {} cannot be read back: the connection has no `paging`", self.plan.host);
            out.push(Finding::critical(
                "unreadable_platform",
                why,
                "write direction: to_platform, or add `paging` to the connection",
            ));
            return;
        };
        for name in columns.iter().filter(|name| *name != KEY && list.field(name).is_none()) {
            let why = format!("the connection does not say how the field {name} is read");
            out.push(Finding::critical(
                "undeclared_field",
                why,
                format!("add it to the connection's `paging.fields`: {name}: text"),
            ));
        }
    }

    fn writable(&self, columns: &[WriteColumn], mode: WriteMode, reads: bool, out: &mut Vec<Finding>) {
        let vars = self.plan.vars();
        let all = vars.iter().any(|var| matches!(var, Var::Record | Var::Changed));
        let named: BTreeSet<&str> = vars
            .iter()
            .filter_map(|var| match var {
                Var::Field(name) | Var::ChangedField(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let mapped = |name: &str| columns.iter().any(|column| column.name == name);
        for column in
            columns.iter().filter(|column| !all && column.name != KEY && !named.contains(column.name.as_str()))
        {
            let why = format!("the field {} is mapped, and no template of the connection sends it", column.name);
            let fix = format!(
                "write {{{{record.{}}}}} where it belongs in `body`, or take the field out of the sync",
                column.name
            );
            out.push(Finding::critical("unsent_field", why, fix));
        }
        for name in named.into_iter().filter(|name| !mapped(name)) {
            let why = format!("a template of the connection sends the field {name}, which the sync does not map");
            out.push(Finding::critical(
                "unmapped_variable",
                why,
                format!("map a column to it: {{ warehouse: …, platform: {name} }}"),
            ));
        }
        if reads && self.plan.whole() {
            let why =
                "the templates send whole records ({{record}}), and a two-way sync writes the changed fields alone";
            out.push(Finding::critical("whole_record_two_way", why, "write {{changed}} and {{changed.FIELD}} instead"));
        }
        let creates = !matches!(mode, WriteMode::Update);
        if creates && self.plan.create.is_none() {
            let why = "the connection's `url` has no address for new records";
            out.push(Finding::critical("no_address", why, "add `create:` to it, or write `write: update`"));
        }
        if !matches!(mode, WriteMode::Insert | WriteMode::Append) && self.plan.update.is_none() {
            let why = "the connection's `url` has no address for changes of records";
            out.push(Finding::critical("no_address", why, "add `update:` to it, or write `write: insert`"));
        }
        if !self.plan.repeatable {
            let why = format!(
                "{} may make a double of a record that is sent twice: a write whose answer is lost is listed as uncertain",
                self.plan.host
            );
            out.push(Finding::info("uncertain_writes", why));
        }
    }
}
