//! `syncs/NAME.yaml`: a checked tree becomes a [`Sync`] with every default filled in.

use std::collections::BTreeMap;

use super::problem::Problems;
use super::shape::SYNC;
use super::units::parse_duration_ms;
use super::yaml::{Data, Node, Scalar};
use crate::schedule::{Rule, Schedule};
use crate::schema::{ModelName, Relation, Source};
use crate::sync::{
    As, Changes, Condition, ConflictRule, CursorSpec, DatasetLink, DeleteConflict, Deletes, Direction, EmptyText,
    FieldMap, FieldSet, FieldSource, KeySpec, LedgerKind, Lookback, Nulls, OnMisfit, OnUncertain, Op, Sync, UpdatedAt,
    WriteMode,
};
use crate::transform::Transform;
use crate::value::{Decimal, Value};

/// Reads a sync's file. `None` if something is wrong with it.
pub(super) fn read(name: &str, root: &Node, project_zone: &str, problems: &mut Problems) -> Option<Sync> {
    super::validate::block(root, &SYNC, false, problems);
    let view = View(root);
    if root.get("fields").is_some_and(|node| matches!(&node.data, Data::List(items) if items.is_empty())) {
        let at = root.get("fields").map_or(root.at, |node| node.at);
        problems.add_hint(at, "`fields` is an empty list", "map at least one field, or write `fields: all`");
    }
    let default = view.word("direction").unwrap_or(Direction::ToPlatform);
    check_constants(root, default, problems);
    if !problems.is_empty() {
        return None;
    }
    let fields = match root.get("fields")?.data {
        Data::List(_) => FieldSet::List(view.items("fields").map(|field| field_map(field, default)).collect()),
        _ => FieldSet::All,
    };
    let direction = union(&fields, default);
    let zone = view.text("timezone").unwrap_or_else(|| project_zone.to_owned());
    let warehouse = view.below("warehouse");
    let platform = view.below("platform");
    let source = match warehouse.text("query") {
        Some(query) => Source::Query(query),
        None => Source::Relation(Relation::parse(&warehouse.text("relation").unwrap_or_default())),
    };
    let key = view.below("key");
    let key =
        KeySpec { warehouse: key.text("warehouse")?, platform: key.text("platform"), transform: key.transforms() };
    let (from, to, model) = (warehouse.text("connection")?, platform.text("connection")?, platform.text("model")?);
    let mut sync = Sync::new(name, &from, source, &to, &model, key);
    sync.model = ModelName(model);
    sync.filter = platform.items("where").filter_map(condition).collect();
    sync.direction = direction;
    sync.fields = fields;
    sync.schedule = root.get("schedule").and_then(|node| schedule(View(node), &zone));
    sync.timezone = zone;
    sync.ledger = if direction == Direction::Both { LedgerKind::Values } else { LedgerKind::Fingerprints };
    overrides(view, &mut sync);
    Some(sync)
}

/// What the file says instead of the defaults.
fn overrides(view: View<'_>, sync: &mut Sync) {
    view.set("changes", &mut sync.changes);
    view.set("write", &mut sync.write);
    view.set("conflict", &mut sync.conflict);
    view.set("deletes", &mut sync.deletes);
    view.set("delete_conflict", &mut sync.delete_conflict);
    view.set("ledger", &mut sync.ledger);
    view.set("on_uncertain", &mut sync.on_uncertain);
    view.set("automation", &mut sync.automation);
    view.set("shared", &mut sync.shared);
    view.set("undo_days", &mut sync.undo_days);
    sync.append_versions = view.raw("append").is_some();
    sync.batch_size = view.raw("batch_size").and_then(|text| text.parse().ok());
    if let Some(ms) = view.raw("settle_lag").and_then(|text| parse_duration_ms(text).ok()) {
        sync.settle_lag_ms = ms;
    }
    sync.after = view.texts("after");
    sync.redact = view.texts("redact");
    let updated_at = view.below("updated_at");
    sync.updated_at = UpdatedAt { warehouse: updated_at.text("warehouse"), platform: updated_at.text("platform") };
    let link = view.below("link");
    sync.link = DatasetLink { company: link.text("company"), enduser: link.text("enduser") };
    let cursor = view.below("cursor");
    sync.cursor = cursor.text("column").map(|column| CursorSpec { column, lookback: lookback(cursor) });
    let guards = view.below("guards");
    for (name, limit) in [
        ("max_delete_pct", &mut sync.guards.max_delete_pct),
        ("max_clear_pct", &mut sync.guards.max_clear_pct),
        ("max_shrink_pct", &mut sync.guards.max_shrink_pct),
        ("max_reject_pct", &mut sync.guards.max_reject_pct),
        ("max_change_pct", &mut sync.guards.max_change_pct),
    ] {
        if let Some(text) = guards.raw(name) {
            *limit = text.parse().ok();
        }
    }
}

/// A constant has a place on the platform's side only.
fn check_constants(root: &Node, default: Direction, problems: &mut Problems) {
    for field in root.get("fields").map(Node::items).unwrap_or_default() {
        if field.get("value").is_none() || field.get("warehouse").is_some() {
            continue;
        }
        let own = View(field).word::<Direction>("direction");
        let wrong = match own {
            Some(direction) => direction != Direction::ToPlatform,
            None => default == Direction::ToWarehouse,
        };
        if wrong {
            let hint = "a constant flows to the platform; take it out or write `direction: to_platform`";
            problems.add_hint(field.at, "a constant `value` has no column to flow to", hint);
        }
    }
}

fn union(fields: &FieldSet, default: Direction) -> Direction {
    let FieldSet::List(list) = fields else { return default };
    let reaches = |direction| list.iter().any(|f| f.direction == direction || f.direction == Direction::Both);
    match (reaches(Direction::ToPlatform), reaches(Direction::ToWarehouse)) {
        (true, true) => Direction::Both,
        (false, true) => Direction::ToWarehouse,
        _ => Direction::ToPlatform,
    }
}

fn field_map(field: View<'_>, default: Direction) -> FieldMap {
    let constant = field.0.get("value").and_then(Node::scalar).map(constant);
    let fallback = if constant.is_some() { Direction::ToPlatform } else { default };
    let map: BTreeMap<String, String> = field.0.get("map").map_or_else(BTreeMap::new, |node| {
        node.entries().iter().map(|e| (e.key.clone(), e.value.raw().unwrap_or_default().to_owned())).collect()
    });
    FieldMap {
        source: match constant {
            Some(value) => FieldSource::Constant(value),
            None => FieldSource::Column(field.text("warehouse").unwrap_or_default()),
        },
        platform: field.text("platform").unwrap_or_default(),
        direction: field.word("direction").unwrap_or(fallback),
        transform: field.transforms(),
        map,
        nulls: field.word("nulls").unwrap_or(Nulls::Clear),
        on_misfit: field.word("on_misfit").unwrap_or(OnMisfit::RejectRecord),
        empty: field.word("empty").unwrap_or(EmptyText::Keep),
        hint: field.word("as"),
        format: field.text("format"),
        conflict: field.word("conflict"),
    }
}

fn constant(scalar: Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(b) => Value::Bool(b),
        Scalar::Text(text) => Value::text(text),
        Scalar::Number(text) => match text.parse::<i64>() {
            Ok(whole) => Value::Int(whole),
            Err(_) => Decimal::parse(text).map_or_else(|| Value::text(text), Value::Decimal),
        },
    }
}

fn condition(view: View<'_>) -> Option<Condition> {
    Some(Condition { field: view.text("field")?, op: view.word::<Op>("op")?, value: view.raw("value")?.to_owned() })
}

fn lookback(cursor: View<'_>) -> Option<Lookback> {
    let text = cursor.raw("lookback")?;
    match text.parse::<i64>() {
        Ok(count) => Some(Lookback::Count(count)),
        Err(_) => Some(Lookback::Micros(parse_duration_ms(text).ok()?.saturating_mul(1_000))),
    }
}

fn schedule(view: View<'_>, zone: &str) -> Option<Schedule> {
    let rule = if let Some(text) = view.raw("every") {
        Rule::parse_every(text)
    } else if let Some(text) = view.raw("daily_at") {
        Rule::parse_daily_at(text)
    } else {
        Rule::parse_cron(view.raw("cron")?)
    };
    let timezone = view.text("timezone").unwrap_or_else(|| zone.to_owned());
    rule.ok().map(|rule| Schedule { rule, timezone })
}

/// Reads from a tree that `validate` has passed: what is not there is a default.
#[derive(Clone, Copy)]
struct View<'a>(&'a Node);

impl<'a> View<'a> {
    fn below(self, key: &str) -> View<'a> {
        const NOTHING: &Node = &Node {
            at: super::problem::At { line: 1, column: 1 },
            data: Data::Scalar { text: String::new(), plain: true },
        };
        View(self.0.get(key).unwrap_or(NOTHING))
    }
    fn raw(self, key: &str) -> Option<&'a str> {
        self.0.get(key)?.raw()
    }
    fn text(self, key: &str) -> Option<String> {
        self.raw(key).map(str::to_owned)
    }
    fn items(self, key: &str) -> impl Iterator<Item = View<'a>> {
        self.0.get(key).map(Node::items).unwrap_or_default().iter().map(View)
    }
    fn texts(self, key: &str) -> Vec<String> {
        self.items(key).filter_map(|item| item.0.raw().map(str::to_owned)).collect()
    }
    fn transforms(self) -> Vec<Transform> {
        self.items("transform").filter_map(|item| Transform::parse(item.0.raw()?).ok()).collect()
    }
    /// A word of a closed list, by the name that its type serialises as.
    fn word<T: Word>(self, key: &str) -> Option<T> {
        T::read(self.raw(key)?)
    }
    fn set<T: Word>(self, key: &str, slot: &mut T) {
        if let Some(value) = self.word(key) {
            *slot = value;
        }
    }
}

/// A value that is written as one word.
trait Word: Sized {
    fn read(text: &str) -> Option<Self>;
}

macro_rules! words {
    ($($name:ty),*) => {
        $(impl Word for $name {
            fn read(text: &str) -> Option<Self> {
                serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
            }
        })*
    };
}

words!(
    As,
    Changes,
    ConflictRule,
    DeleteConflict,
    Deletes,
    Direction,
    EmptyText,
    LedgerKind,
    Nulls,
    OnMisfit,
    OnUncertain,
    Op,
    WriteMode
);

impl Word for bool {
    fn read(text: &str) -> Option<Self> {
        text.to_ascii_lowercase().parse().ok()
    }
}

impl Word for u32 {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}
