//! A page of user activities.

use std::borrow::Cow;
use std::collections::HashSet;

use arrow_array::builder::{Int64Builder, StringBuilder};
use tidegate_model::Result;
use tidegate_model::change::FieldReject;

use super::lookup::{Lookups, Person};
use super::rows::{Context, Rows, moment, number, text};
use super::table::{self, Columns};
use super::{ACTIVITY, Taken};
use crate::hub::cell::{CellRef, Kind};
use crate::hub::db::Session;
use crate::hub::frame::Cells;

const FIELDS: [&str; 9] =
    ["companyExternalId", "companyId", "email", "externalId", "action", "weight", "count", "date", "info"];

#[derive(Default)]
struct Filled {
    sync: Int64Builder,
    key: StringBuilder,
    company: Int64Builder,
    enduser: Int64Builder,
    action: Int64Builder,
    weight: StringBuilder,
    times: Int64Builder,
    at: Int64Builder,
    info: StringBuilder,
}

impl Columns for Filled {
    const TABLE: &'static str = "hub_activity";
    const KINDS: &'static [(&'static str, Kind)] = &[
        ("sync", Kind::Int),
        ("key", Kind::Text),
        ("company", Kind::Int),
        ("enduser", Kind::Int),
        ("action", Kind::Int),
        ("weight", Kind::Dec),
        ("times", Kind::Int),
        ("at", Kind::Int),
        ("info", Kind::Text),
    ];
    fn cells(mut self) -> Vec<Cells> {
        vec![
            Cells::Int(self.sync.finish()),
            Cells::Text(self.key.finish()),
            Cells::Int(self.company.finish()),
            Cells::Int(self.enduser.finish()),
            Cells::Int(self.action.finish()),
            Cells::Text(self.weight.finish()),
            Cells::Int(self.times.finish()),
            Cells::Int(self.at.finish()),
            Cells::Text(self.info.finish()),
        ]
    }
}

/// Loads a page; the rows that were taken, and which of them were there already.
pub fn page(
    session: &mut dyn Session,
    lookups: &mut Lookups,
    rows: &mut Rows,
    context: &Context,
) -> Result<(Vec<Taken>, Vec<usize>)> {
    rows.only(ACTIVITY, &FIELDS)?;
    look_up(session, lookups, rows)?;
    table::load(session, rows, context, |rows, row, filled| one(lookups, rows, context, row, filled))
}

/// A mail address in its normal form.
fn address(email: &str) -> Cow<'_, str> {
    let email = email.trim();
    if email.chars().any(char::is_uppercase) { Cow::Owned(email.to_lowercase()) } else { Cow::Borrowed(email) }
}

fn look_up(session: &mut dyn Session, lookups: &mut Lookups, rows: &Rows) -> Result<()> {
    let distinct = |name: &str| -> HashSet<Cow<'_, str>> {
        let cells = rows.column(name);
        (0..rows.count).filter_map(|row| text(cells, row)).collect()
    };
    let actions = distinct("action");
    lookups.load_names(session, &actions.iter().map(|text| &**text).collect())?;
    for name in ["companyExternalId", "companyId"] {
        let companies = distinct(name);
        lookups.load_records(session, "company", &companies.iter().map(|text| &**text).collect())?;
    }
    let externals = distinct("externalId");
    lookups.load_externals(session, &externals.iter().map(|text| &**text).collect())?;
    let emails = distinct("email");
    let emails: HashSet<Cow<'_, str>> = emails.iter().map(|email| address(email)).collect();
    lookups.load_emails(session, &emails.iter().map(|text| &**text).collect())
}

fn unresolved(field: &str, what: &str) -> FieldReject {
    let reason = format!("the hub has no {what} that {field} names (yet); the row is tried again");
    FieldReject::field(field, "unresolved_reference", reason)
}

/// The company that a row names, if it names one.
fn company(lookups: &Lookups, rows: &Rows, row: u32) -> std::result::Result<Option<i64>, FieldReject> {
    for name in ["companyExternalId", "companyId"] {
        if let Some(text) = text(rows.column(name), row) {
            return lookups.record("company", &text).map(Some).ok_or_else(|| unresolved(name, "company"));
        }
    }
    Ok(None)
}

/// The end user that a row names, if it names one.
fn person(
    lookups: &Lookups,
    rows: &Rows,
    row: u32,
    company: Option<i64>,
) -> std::result::Result<Option<Person>, FieldReject> {
    let external = text(rows.column("externalId"), row);
    if let Some(person) = external.as_ref().and_then(|text| lookups.external(text)) {
        return Ok(Some(person));
    }
    let Some(email) = text(rows.column("email"), row) else {
        return if external.is_some() { Err(unresolved("externalId", "end user")) } else { Ok(None) };
    };
    match lookups.email(&address(&email)) {
        [] => Err(unresolved("email", "end user")),
        [one] => Ok(Some(*one)),
        several => {
            let mut near = several.iter().filter(|(_, of)| company.is_some() && *of == company);
            match (near.next(), near.next()) {
                (Some(one), None) => Ok(Some(*one)),
                _ => Err(FieldReject::field(
                    "email",
                    "ambiguous_key",
                    "several end users have this mail address; send externalId or the company",
                )),
            }
        }
    }
}

fn one(
    lookups: &Lookups,
    rows: &Rows,
    context: &Context,
    row: u32,
    columns: &mut Filled,
) -> std::result::Result<Taken, FieldReject> {
    let key = rows.key(row)?;
    let named = company(lookups, rows, row)?;
    let person = person(lookups, rows, row, named)?;
    let company = named.or_else(|| person.and_then(|(_, company)| company));
    if company.is_none() && person.is_none() {
        let reason = "an activity needs an end user or a company: email, externalId or companyExternalId";
        return Err(FieldReject::record("unresolved_reference", reason));
    }
    let cell = |name: &str| rows.column(name).map_or(CellRef::Null, |cells| cells.cell(row as usize));
    let weight = number("weight", cell("weight"))?;
    let times = match cell("count") {
        CellRef::Null => 1,
        CellRef::Int(n) if n >= 0 => n,
        _ => return Err(FieldReject::field("count", "wrong_type", "count takes whole numbers from 0")),
    };
    let at = moment(rows.column("date"), row, context.now)?;
    let info = match cell("info") {
        CellRef::Text(text) => Some(text),
        CellRef::Null => None,
        _ => return Err(FieldReject::field("info", "wrong_type", "info takes JSON")),
    };
    let action = text(rows.column("action"), row).and_then(|name| lookups.known_name(&name));
    columns.sync.append_value(context.sync);
    columns.key.append_value(&*key);
    columns.company.append_option(company);
    columns.enduser.append_option(person.map(|(id, _)| id));
    columns.action.append_option(action);
    columns.weight.append_value(weight.as_ref().map_or("1", |(digits, _)| digits));
    columns.times.append_value(times);
    columns.at.append_value(at);
    columns.info.append_option(info);
    let number = weight.map_or(1_000_000_000_000_000_000, |(_, scaled)| scaled);
    let about = [company.map(|id| (1, id)), person.map(|(id, _)| (2, id))];
    Ok(Taken { about, name: action.unwrap_or(0), times, number, at })
}
