//! End users without a company belong to the one company that has the domain of their mail address.

use std::collections::HashMap;

use tidegate_model::Result;
use tidegate_model::change::{Action, Change, FieldReject};

use super::prepare::Prepared;
use super::slots::Slots;
use crate::hub::cell::{Cell, Kind};
use crate::hub::db::{Lookup, Session};
use crate::hub::layout::Layout;

/// The domain of a mail address, in lower case.
fn domain(email: &str) -> Option<String> {
    email.rsplit_once('@').map(|(_, domain)| domain.trim().to_lowercase()).filter(|domain| !domain.is_empty())
}

/// Finds the companies of end users that come without one; who finds none is refused.
pub fn assign(
    session: &mut dyn Session,
    layout: &Layout,
    slots: &Slots,
    batch: &[Change],
    prepared: &mut [Prepared],
) -> Result<()> {
    if layout.def.name != "enduser" {
        return Ok(());
    }
    let (Some(email), Some(company)) = (layout.at("email"), layout.at("companyId")) else { return Ok(()) };
    let mut open: Vec<(usize, Option<String>)> = Vec::new();
    for (at, (change, prepared)) in batch.iter().zip(prepared.iter()).enumerate() {
        let given = prepared.fields.iter().find(|(field, _)| *field == company).map(|(_, cell)| cell.is_null());
        let named = slots.named(layout, change).into_iter().find(|slot| slots.all[*slot].live);
        let needs = match (change.action, named, given) {
            (Action::Delete, ..) | (_, _, Some(false)) => false,
            (Action::Update, None, _) => false,
            (_, Some(_), None) => false,
            (_, _, Some(true)) | (Action::Create, None, None) => true,
        };
        if needs {
            let new = prepared.fields.iter().find(|(field, _)| *field == email).and_then(|(_, cell)| cell.text());
            let text = new.or_else(|| named.and_then(|slot| slots.cell(slot, email).text()));
            open.push((at, text.and_then(domain)));
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    let mut found: HashMap<String, Option<i64>> =
        open.iter().filter_map(|(_, domain)| Some((domain.clone()?, None))).collect();
    let mut several = Vec::new();
    let keys: Vec<Cell> = found.keys().cloned().map(Cell::Text).collect();
    let ask = Lookup { select: "d.domain, d.company", from: "hub_domain d", on: "d.domain", and: "", kind: Kind::Text };
    session.lookup(&ask, &keys, &mut |row| {
        if let Some(domain) = row.text(0)?
            && let Some(Some(_)) = found.insert(domain.clone(), Some(row.int(1)?))
        {
            several.push(domain);
        }
        Ok(())
    })?;
    found.extend(several.into_iter().map(|domain| (domain, None)));
    for (at, domain) in open {
        prepared[at].company = domain.and_then(|domain| found.get(&domain).copied().flatten());
        if prepared[at].company.is_none() {
            let reason = "an end user needs a companyId, or a company whose domains hold that of the mail address; \
                          it is tried again";
            prepared[at].refused.get_or_insert(FieldReject::field("companyId", "unresolved_reference", reason));
        }
    }
    Ok(())
}

/// Domains of a company's cell, in lower case.
pub fn domains(cell: &Cell) -> Vec<String> {
    let Some(text) = cell.text() else { return Vec::new() };
    let list: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
    let mut out: Vec<String> = list
        .iter()
        .filter_map(|item| item.as_str())
        .map(|text| text.trim().trim_start_matches('@').to_lowercase())
        .collect();
    out.retain(|domain| !domain.is_empty());
    out.sort_unstable();
    out.dedup();
    out
}
