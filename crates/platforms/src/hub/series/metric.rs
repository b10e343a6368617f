//! A page of custom metrics.

use std::borrow::Cow;
use std::collections::HashSet;

use arrow_array::builder::{Int64Builder, StringBuilder};
use tidegate_model::Result;
use tidegate_model::change::FieldReject;

use super::lookup::Lookups;
use super::rows::{Context, Rows, moment, number, text};
use super::table::{self, Columns};
use super::{METRIC, MODELS, Taken};
use crate::hub::cell::{CellRef, Kind};
use crate::hub::db::Session;
use crate::hub::frame::Cells;

const FIELDS: [&str; 5] = ["dimensionId", "value", "model", "externalId", "date"];

#[derive(Default)]
struct Filled {
    sync: Int64Builder,
    key: StringBuilder,
    model: Int64Builder,
    entity: Int64Builder,
    dimension: Int64Builder,
    value: StringBuilder,
    at: Int64Builder,
}

impl Columns for Filled {
    const TABLE: &'static str = "hub_metric";
    const KINDS: &'static [(&'static str, Kind)] = &[
        ("sync", Kind::Int),
        ("key", Kind::Text),
        ("model", Kind::Int),
        ("entity", Kind::Int),
        ("dimension", Kind::Int),
        ("value", Kind::Dec),
        ("at", Kind::Int),
    ];
    fn cells(mut self) -> Vec<Cells> {
        vec![
            Cells::Int(self.sync.finish()),
            Cells::Text(self.key.finish()),
            Cells::Int(self.model.finish()),
            Cells::Int(self.entity.finish()),
            Cells::Int(self.dimension.finish()),
            Cells::Text(self.value.finish()),
            Cells::Int(self.at.finish()),
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
    rows.only(METRIC, &FIELDS)?;
    look_up(session, lookups, rows)?;
    table::load(session, rows, context, |rows, row, filled| one(lookups, rows, context, row, filled))
}

/// The model that a row is about: its name in the hub, and its number.
fn model(rows: &Rows, row: u32) -> std::result::Result<(&'static str, i64), FieldReject> {
    let Some(name) = text(rows.column("model"), row) else { return Ok((MODELS[0].1, MODELS[0].2)) };
    let found = MODELS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(&name));
    found
        .map(|(_, model, number)| (*model, *number))
        .ok_or_else(|| FieldReject::field("model", "enum", "model takes only Company, EndUser, Asset, Project"))
}

fn look_up(session: &mut dyn Session, lookups: &mut Lookups, rows: &Rows) -> Result<()> {
    let cells = rows.column("dimensionId");
    let names: HashSet<Cow<'_, str>> = (0..rows.count).filter_map(|row| text(cells, row)).collect();
    lookups.load_names(session, &names.iter().map(|text| &**text).collect())?;
    let cells = rows.column("externalId");
    for (_, name, number) in MODELS {
        let of = |row: &u32| model(rows, *row).is_ok_and(|(_, of)| of == number);
        let texts: HashSet<Cow<'_, str>> = (0..rows.count).filter(of).filter_map(|row| text(cells, row)).collect();
        lookups.load_records(session, name, &texts.iter().map(|text| &**text).collect())?;
        if name == "enduser" {
            let emails: HashSet<String> = texts.iter().map(|text| text.trim().to_lowercase()).collect();
            lookups.load_emails(session, &emails.iter().map(String::as_str).collect())?;
        }
    }
    Ok(())
}

fn one(
    lookups: &Lookups,
    rows: &Rows,
    context: &Context,
    row: u32,
    columns: &mut Filled,
) -> std::result::Result<Taken, FieldReject> {
    let missing = |name: &str| FieldReject::field(name, "required", format!("{name} is needed and may not be empty"));
    let key = rows.key(row)?;
    let (name, model) = model(rows, row)?;
    let dimension = text(rows.column("dimensionId"), row).and_then(|name| lookups.known_name(&name));
    let dimension = dimension.ok_or_else(|| missing("dimensionId"))?;
    let cell = rows.column("value").map_or(CellRef::Null, |cells| cells.cell(row as usize));
    let (digits, number) = number("value", cell)?.ok_or_else(|| missing("value"))?;
    let external = text(rows.column("externalId"), row).ok_or_else(|| missing("externalId"))?;
    let by_email = || match lookups.email(&external.trim().to_lowercase()) {
        [one] if name == "enduser" => Some(one.0),
        _ => None,
    };
    let entity = lookups.record(name, &external).or_else(by_email).ok_or_else(|| {
        let reason = format!("the hub has no {name} that externalId names (yet); the row is tried again");
        FieldReject::field("externalId", "unresolved_reference", reason)
    })?;
    let at = moment(rows.column("date"), row, context.now)?;
    columns.sync.append_value(context.sync);
    columns.key.append_value(&*key);
    columns.model.append_value(model);
    columns.entity.append_value(entity);
    columns.dimension.append_value(dimension);
    columns.value.append_value(&digits);
    columns.at.append_value(at);
    Ok(Taken { about: [Some((model, entity)), None], name: dimension, times: 1, number, at })
}
