//! Reconciling and settling one record, for every look there could be: the books balance whatever the target answers,
//! and the same look gives the same verdict.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use tidegate_engine::plan::images::{Detail, Image};
use tidegate_engine::plan::map::Mapping;
use tidegate_engine::plan::prints::Printer;
use tidegate_engine::plan::reconcile::{
    Answered, Class, Look, Names, Rules, Seen, Settled, SideRow, Verdict, pack, reconcile, settle, unpack,
};
use tidegate_model::change::{Action, Change, Effect, FieldReject, Outcome};
use tidegate_model::error::{Error, ErrorKind};
use tidegate_model::ports::{LedgerEntry, flags};
use tidegate_model::record::{Fields, Key, RemoteId};
use tidegate_model::schema::{
    Column, FieldSchema, ModelKind, ModelName, ModelSchema, NormalForm, Relation, RelationKind, RelationSchema, Source,
};
use tidegate_model::sync::*;
use tidegate_model::time::Instant;
use tidegate_model::value::{Type, Value};

const NAMES: [&str; 3] = ["a", "b", "c"];
const NOW: Instant = Instant(1_000_000_000_000);

fn relation() -> RelationSchema {
    let column = |name: &str| Column {
        name: name.to_owned(),
        logical: Type::Text,
        native: "text".to_owned(),
        nullable: true,
        max_length: None,
        filled: false,
    };
    let columns = ["id"].iter().chain(&NAMES).map(|name| column(name)).collect();
    let (primary_key, rows_estimate) = (Vec::new(), None);
    RelationSchema {
        kind: RelationKind::Table,
        columns,
        primary_key,
        change_tracking: false,
        appends: false,
        history_days: None,
        rows_estimate,
    }
}

fn model() -> ModelSchema {
    let mut fields: Vec<FieldSchema> =
        ["externalId"].iter().chain(&NAMES).map(|name| FieldSchema::new(*name, Type::Text)).collect();
    fields[1].max_length = Some(3);
    fields[2].normal = NormalForm { trim: true, empty_is_null: true, ..NormalForm::default() };
    let (name, keys) = (ModelName("company".to_owned()), vec!["externalId".to_owned()]);
    ModelSchema { name, kind: ModelKind::Records, fields, keys, custom_fields: false, open: false, customs: Vec::new() }
}

fn a_direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Both), Just(Direction::ToPlatform), Just(Direction::ToWarehouse)]
}

fn a_rule() -> impl Strategy<Value = ConflictRule> {
    use ConflictRule::{Hold, Newest, Platform, Warehouse};
    prop_oneof![Just(Warehouse), Just(Platform), Just(Newest), Just(Hold)]
}

fn a_line(name: &'static str, direction: impl Strategy<Value = Direction>) -> impl Strategy<Value = FieldMap> {
    (direction, a_rule(), any::<bool>(), any::<bool>()).prop_map(move |(direction, conflict, drop, skip)| FieldMap {
        source: FieldSource::Column(name.to_owned()),
        platform: name.to_owned(),
        direction,
        transform: Vec::new(),
        map: Default::default(),
        nulls: if skip { Nulls::Skip } else { Nulls::Clear },
        on_misfit: if drop { OnMisfit::DropField } else { OnMisfit::RejectRecord },
        empty: EmptyText::Keep,
        hint: None,
        format: None,
        conflict: Some(conflict),
    })
}

fn a_sync() -> impl Strategy<Value = Sync> {
    let two_way = (a_line("a", Just(Direction::Both)), a_line("b", a_direction()), a_line("c", a_direction()));
    let one_way = (any::<bool>(), 0..4_u8).prop_flat_map(|(up, mode)| {
        let way = if up { Direction::ToPlatform } else { Direction::ToWarehouse };
        (a_line("a", Just(way)), a_line("b", Just(way)), a_line("c", Just(way)), Just(way), Just(mode))
    });
    let base = || {
        let key =
            KeySpec { warehouse: "id".to_owned(), platform: Some("externalId".to_owned()), transform: Vec::new() };
        let source = Source::Relation(Relation(vec!["t".to_owned()]));
        Sync::new("s", "w", source, "p", "company", key)
    };
    let two_way = (two_way, any::<bool>(), any::<bool>()).prop_map(move |((a, b, c), propagate, edit)| Sync {
        fields: FieldSet::List(vec![a, b, c]),
        direction: Direction::Both,
        ledger: LedgerKind::Values,
        deletes: if propagate { Deletes::Propagate } else { Deletes::Ignore },
        delete_conflict: if edit { DeleteConflict::Edit } else { DeleteConflict::Delete },
        ..base()
    });
    let one_way = (one_way, any::<bool>()).prop_map(move |((a, b, c, direction, mode), values)| Sync {
        fields: FieldSet::List(vec![a, b, c]),
        direction,
        ledger: if values { LedgerKind::Values } else { LedgerKind::Fingerprints },
        write: [WriteMode::Upsert, WriteMode::Update, WriteMode::Insert, WriteMode::Mirror][usize::from(mode)],
        ..base()
    });
    prop_oneof![3 => two_way, 1 => one_way]
}

fn a_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => Just(Value::Null),
        1 => Just(Value::text("")),
        3 => "[xyz]".prop_map(Value::text),
        1 => Just(Value::text(" x ")),
        1 => Just(Value::text("too long")),
    ]
}

fn a_row() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(a_value(), 3)
}

/// What a look is made of.
#[derive(Debug, Clone)]
struct Parts {
    warehouse: Option<Vec<Value>>,
    platform: Option<Vec<Value>>,
    known: bool,
    flags: u8,
    images: Vec<(Option<Value>, Option<Value>)>,
    times: (Option<i64>, Option<i64>),
    unconfirmed: bool,
}

fn some_parts() -> impl Strategy<Value = Parts> {
    let row = || prop::option::weighted(0.8, a_row());
    let images = prop::collection::vec((prop::option::of(a_value()), prop::option::of(a_value())), 3);
    let flag = prop_oneof![3 => Just(0_u8), 1 => Just(flags::GONE_WAREHOUSE), 1 => Just(flags::GONE_PLATFORM)];
    let time = || prop::option::of(0..9_i64);
    (row(), row(), any::<bool>(), flag, images, (time(), time()), any::<bool>()).prop_map(
        |(warehouse, platform, known, flags, images, times, unconfirmed)| Parts {
            warehouse,
            platform,
            known,
            flags,
            images,
            times,
            unconfirmed,
        },
    )
}

struct World {
    sync: Sync,
    mapping: Mapping,
    printer: Printer,
}

impl World {
    fn new(sync: Sync) -> Self {
        let mapping = Mapping::compile(&sync, &relation(), &model()).expect("a mapping that works");
        let printer = Printer::new([7; 16], mapping.hash);
        Self { sync, mapping, printer }
    }

    fn rules(&self) -> Rules<'_> {
        Rules {
            sync: &self.sync,
            mapping: &self.mapping,
            printer: &self.printer,
            now: NOW,
            direction: self.sync.direction,
            platform_key: Some("externalId"),
            follows: false,
            whole: false,
            holds_uncertain: false,
        }
    }

    fn reads(&self, side: Target) -> bool {
        self.sync.two_way() || self.sync.direction.reaches(side.other())
    }

    fn seen(&self, side: Target, values: Option<&Vec<Value>>, updated_at: Option<i64>) -> Seen {
        let Some(values) = values else { return Seen::Absent };
        if !self.reads(side) {
            return Seen::NotRead;
        }
        let remote = (side == Target::Platform).then(|| RemoteId::new("r"));
        let print = self.printer.row(values.iter());
        Seen::Row(SideRow { values: values.clone(), print, misfits: Vec::new(), remote, updated_at })
    }

    fn look(&self, parts: &Parts) -> Look {
        let mut detail = Detail::default();
        for (field, (warehouse, platform)) in self.mapping.fields.iter().zip(&parts.images) {
            let images = detail.field_mut(field.id);
            let image = |value: &Value| Image::of(value, self.sync.ledger, &self.printer);
            images.warehouse = warehouse.as_ref().map(image);
            images.platform = platform.as_ref().map(image);
        }
        let entry = parts.known.then(|| LedgerEntry {
            key: Key::new("k"),
            remote: Some(RemoteId::new("r")),
            flags: parts.flags,
            warehouse: [0; 16],
            platform: [0; 16],
        });
        Look {
            key: Key::new("k"),
            warehouse: self.seen(Target::Warehouse, parts.warehouse.as_ref(), parts.times.0),
            platform: self.seen(Target::Platform, parts.platform.as_ref(), parts.times.1),
            unconfirmed: parts.unconfirmed && parts.platform.is_none(),
            detail: if parts.known { detail } else { Detail::default() },
            entry,
            rekeyed: None,
            ahead: None,
            rejected: false,
            choices: Vec::new(),
        }
    }
}

fn applied(change: &Change) -> Outcome {
    let effect = match change.action {
        Action::Create => Effect::Created,
        Action::Update => Effect::Updated,
        Action::Delete => Effect::Deleted,
    };
    Outcome::Applied { remote: Some(RemoteId::new("r")), effect, dropped: Vec::new(), stored: None }
}

fn an_answer(which: u8, change: &Change) -> Answered {
    let field = change.fields.iter().next().map_or_else(|| "a".to_owned(), |(name, _)| name.to_string());
    Answered::Outcome(match which {
        0 => return Answered::NotReached,
        1 => applied(change),
        2 => Outcome::Unchanged { remote: None },
        3 => Outcome::Missed { now: None, remote: None },
        4 => Outcome::Missed { now: Some(change.fields.clone()), remote: None },
        5 => Outcome::Missed { now: Some(Fields::new()), remote: None },
        6 => Outcome::Rejected(FieldReject::field(field, "refused", "no")),
        7 => Outcome::Retry(Error::new(ErrorKind::Unavailable, "later")),
        8 => Outcome::Unknown(Error::new(ErrorKind::Lost, "lost")),
        _ => Outcome::Applied {
            remote: None,
            effect: Effect::Updated,
            dropped: vec![FieldReject::field(field, "dropped", "left out")],
            stored: Some(change.fields.clone()),
        },
    })
}

fn settled(world: &World, verdict: &Verdict, answers: (u8, u8)) -> Settled {
    let answer = |to: Target, which: u8| match verdict.to(to).clone().lend(&verdict.key) {
        Some(change) => an_answer(which, &change),
        None => Answered::Nothing,
    };
    let (platform, warehouse) = (answer(Target::Platform, answers.0), answer(Target::Warehouse, answers.1));
    settle(&world.rules(), verdict.clone(), platform, warehouse).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn books_balance_whatever_a_look_shows_and_a_target_answers(
        sync in a_sync(), parts in some_parts(), answers in (0..10_u8, 0..10_u8),
    ) {
        let world = World::new(sync);
        let verdict = reconcile(&world.rules(), &world.look(&parts));
        let settled = settled(&world, &verdict, answers);
        prop_assert!(settled.books.balanced(), "{:?}", settled.books);
        let total = settled.books.total();
        prop_assert!(total.read <= 2, "a record was considered twice in one direction: {total:?}");
        for to in [Target::Platform, Target::Warehouse] {
            prop_assert_eq!(verdict.to(to).change.is_some(), verdict.to(to).class == Class::Write);
        }
    }

    #[test]
    fn a_verdict_comes_back_from_its_bytes(sync in a_sync(), parts in some_parts(), more in some_parts()) {
        let world = World::new(sync);
        let verdicts = [parts, more].map(|parts| reconcile(&world.rules(), &world.look(&parts)));
        let (mut names, mut bytes) = (Names::default(), Vec::new());
        for verdict in &verdicts {
            pack(verdict, &mut names, &mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        let unpacked = [unpack(&mut rest, &names).unwrap(), unpack(&mut rest, &names).unwrap()];
        prop_assert_eq!(unpacked, verdicts);
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn what_is_lent_for_a_call_comes_back(sync in a_sync(), parts in some_parts()) {
        let world = World::new(sync);
        let verdict = reconcile(&world.rules(), &world.look(&parts));
        for to in [Target::Platform, Target::Warehouse] {
            let mut plan = verdict.to(to).clone();
            let Some(change) = plan.lend(&verdict.key) else { continue };
            let creates = change.action == Action::Create;
            let said = verdict.to(to).writes.iter().filter(|write| !creates || !write.sent.is_null());
            let said: Fields = said.map(|write| (write.name.clone(), write.sent.clone())).collect();
            prop_assert_eq!(&change.fields, &said);
            plan.take_back(change);
            prop_assert_eq!(&plan, verdict.to(to));
        }
    }

    #[test]
    fn reconciling_is_the_same_each_time(sync in a_sync(), parts in some_parts()) {
        let world = World::new(sync);
        let look = world.look(&parts);
        prop_assert_eq!(reconcile(&world.rules(), &look), reconcile(&world.rules(), &look));
    }
}
