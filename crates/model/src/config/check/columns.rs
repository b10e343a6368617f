//! What the warehouse's relation decides.

use super::super::problem::choice_hint;
use super::{Collector, across};
use crate::schema::{ModelKind, ModelSchema, RelationKind, RelationSchema};
use crate::sync::{Changes, FieldSource, Lookback, Target, WriteMode};
use crate::transform::Transform;
use crate::value::Type;

pub(super) fn check(at: &mut Collector<'_>, relation: &RelationSchema, model: Option<&ModelSchema>) {
    target(at, relation);
    if at.sync.direction.reaches(Target::Platform) {
        named(at, relation);
        key(at, relation, model);
        cursor(at, relation);
        history(at, relation);
    }
}

fn target(at: &mut Collector<'_>, relation: &RelationSchema) {
    if !at.sync.direction.reaches(Target::Warehouse) {
        return;
    }
    let (name, what) = match relation.kind {
        RelationKind::Table => return,
        // What comes back is written to the table that the stream is on; the connector refuses one on a view.
        RelationKind::Stream if at.sync.two_way() => return,
        RelationKind::View => ("view_as_target", "a view"),
        RelationKind::Stream => ("stream_as_target", "a stream"),
        RelationKind::Query => ("query_as_target", "a query"),
    };
    let why = format!("{what} cannot be written to");
    let fix = "name the table behind it, or write `direction: to_platform`";
    at.critical("warehouse.relation", name, why, fix);
}

/// What the relation has of a history.
fn history(at: &mut Collector<'_>, relation: &RelationSchema) {
    let stream = relation.kind == RelationKind::Stream;
    if at.sync.changes == Changes::Stream && !stream {
        let fix = "name a stream in `warehouse.relation`, or write `changes: auto`";
        at.critical("changes", "not_a_stream", "`changes: stream`: the relation is no stream", fix);
    }
    if at.sync.changes == Changes::Tracking && stream {
        let fix = "write `changes: auto`, or name what the stream is on";
        at.critical("changes", "stream_not_tracked", "`changes: tracking`: the relation is a stream", fix);
    }
    let enough = relation.appends && matches!(at.sync.write, WriteMode::Append | WriteMode::Insert);
    if at.sync.changes == Changes::Tracking && !stream && !relation.change_tracking && !enough {
        let why = "`changes: tracking`: no change history is on for the relation, so runs may have to read all of it";
        at.warning("changes", "tracking_is_off", why, "switch it on in the warehouse, or write `changes: auto`");
    }
    if at.sync.changes == Changes::Auto && stream {
        across::auto_stream(at);
    }
}

/// Columns that are read and are not there. Columns that are only written are the connector's check, which knows the
/// SQL that makes them.
fn named(at: &mut Collector<'_>, relation: &RelationSchema) {
    let sync = at.sync;
    let mut wanted: Vec<(String, &str)> = vec![("key.warehouse".to_owned(), &sync.key.warehouse)];
    for (index, field) in sync.field_list().iter().enumerate() {
        if let (FieldSource::Column(column), true) = (&field.source, field.direction.reaches(Target::Platform)) {
            wanted.push((format!("fields[{index}].warehouse"), column));
        }
    }
    let optional = [
        ("cursor.column", sync.cursor.as_ref().map(|cursor| &cursor.column)),
        ("updated_at.warehouse", sync.updated_at.warehouse.as_ref()),
        ("link.company", sync.link.company.as_ref()),
        ("link.enduser", sync.link.enduser.as_ref()),
    ];
    wanted.extend(optional.into_iter().filter_map(|(path, name)| Some((path.to_owned(), name?.as_str()))));
    for (path, column) in wanted {
        if relation.column(column).is_none() {
            let fix = choice_hint(column, relation.columns.iter().map(|column| column.name.as_str()));
            at.critical(&path, "missing_column", format!("the relation has no column `{column}`"), fix);
        }
    }
}

fn key(at: &mut Collector<'_>, relation: &RelationSchema, model: Option<&ModelSchema>) {
    let (Some(column), Some(model)) = (relation.column(&at.sync.key.warehouse), model) else { return };
    let name = &column.name;
    match model.kind {
        ModelKind::Records => {
            let text = column.logical == Type::Text || at.sync.key.transform.contains(&Transform::ToText);
            if !text {
                let why = format!("the key column `{name}` is {}, and keys of records are text", column.native);
                let fix = "add `transform: [to_text]` to `key`";
                at.critical("key.warehouse", "key_not_text", why, fix);
            }
        }
        ModelKind::Series => {
            if !whole(column.logical) {
                let why = format!("the key column `{name}` is {}, and keys of usage are whole numbers", column.native);
                let fix = match column.logical {
                    Type::Decimal { .. } => {
                        "declare the column without decimal places, or cast it to whole numbers in a view or in `query:`"
                    }
                    _ => "take a numeric column that is unique and grows, such as an identity column",
                };
                at.critical("key.warehouse", "usage_key_not_numeric", why, fix);
            }
        }
        ModelKind::Dataset => {}
    }
}

fn whole(logical: Type) -> bool {
    matches!(logical, Type::Int64) || matches!(logical, Type::Decimal { scale, .. } if scale <= 0)
}

fn cursor(at: &mut Collector<'_>, relation: &RelationSchema) {
    let Some(cursor) = at.sync.cursor.as_ref().filter(|_| at.sync.changes == Changes::Cursor) else { return };
    let Some(column) = relation.column(&cursor.column) else { return };
    let timed = matches!(column.logical, Type::Date | Type::Timestamp | Type::TimestampTz);
    let number = matches!(column.logical, Type::Int64 | Type::Decimal { .. });
    if !timed && !number {
        let why = format!("the cursor column `{}` is {}: neither a time nor a number", column.name, column.native);
        let fix = "take a column that grows with every change";
        return at.critical("cursor.column", "cursor_type", why, fix);
    }
    let (why, fix) = match cursor.lookback {
        Some(Lookback::Micros(_)) if number => {
            ("is a duration, and the cursor column a number", "write a number of ids")
        }
        Some(Lookback::Count(_)) if timed => {
            ("is a number, and the cursor column a time", "write a duration such as 10m")
        }
        _ => return,
    };
    at.critical("cursor.lookback", "lookback_unit", format!("`lookback` {why}"), fix);
}
