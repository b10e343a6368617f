//! `rehearse SYNC`: the next run of a sync, for real, on a twin of its platform and a copy of the state.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tidegate_engine::{Known, RunOptions};
use tidegate_model::change::{Action, Change, Outcome};
use tidegate_model::ports::{Platform, WriteAsk};
use tidegate_model::record::{Fields, Key};
use tidegate_model::schema::{ModelName, ModelSchema, RelationKind};
use tidegate_model::span::{Fence, OpId};
use tidegate_model::sync::{Changes, Direction, Sync};
use tidegate_model::value::{Decimal, Type, Value};
use tidegate_model::{Error, Result};
use tidegate_twins::{Knobs, Limits, Running, Start, start};

use super::run::{Report, one};
use super::sandbox::{self, Platform as Kind};
use super::state::copied;
use crate::app::{App, Ending, Failure, block_on};
use crate::out::{Object, count};
use crate::signals::Signals;
use crate::workshop::{Workshop, open_store};

/// Which sync.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate rehearse companies                        the next run, on a twin; nothing of yours is written
  tidegate rehearse companies --knobs knobs.json     the same with lost answers, limits and rejects
  tidegate rehearse companies --stay                 and look at the twin's page afterwards
")]
pub struct Args {
    /// The sync
    #[arg(value_name = "SYNC")]
    sync: String,
    /// As a full run would do it
    #[arg(long)]
    full: bool,
    /// Faults, latency and limits of the twin, as JSON; docs/twins.md lists them
    #[arg(long, value_name = "F")]
    knobs: Option<PathBuf>,
    /// Keep the twin until Ctrl-C
    #[arg(long)]
    stay: bool,
}

/// Rehearses.
pub fn run(app: &App, args: &Args) -> Ending {
    let knobs = sandbox::knobs(args.knobs.as_deref())?;
    block_on(async {
        let shop = Workshop::open(app).await?;
        let sync = shop.sync(&args.sync)?.clone();
        let kind = refuse(&shop, &sync).await?;
        let quiet =
            Knobs { limits: Limits::Off, unsure: [("unknown_id".into(), "keep".into())].into(), ..Knobs::default() };
        let twin = start(kind.twin(), Start { knobs: quiet, ..Start::default() }).await?;
        let platform = connect(&shop, kind, &twin.url(), &sync)?;
        let filled = fill(&shop, &sync, &*platform).await?;
        twin.turn(knobs);
        twin.forget_requests();
        let folder = tempfile::tempdir().map_err(|error| {
            Error::new(crate::scratch::kind_of(&error), "cannot make a folder for a copy of the state").cause(error)
        })?;
        let copy = folder.path().join("state.db");
        copied(&crate::project::state_url(&shop.root, &shop.project)?, &copy).await?;
        let store = open_store(&format!("sqlite:{}", copy.display())).await?;
        store.come_back().await?;
        let stage = shop.with(shop.project.clone(), Arc::new(store));
        stage.put_platform(&sync.platform_connection, platform).await;
        let signals = Signals::listen()?;
        let options = RunOptions {
            trigger: "rehearse".to_owned(),
            full: args.full,
            direction: sync.two_way().then_some(Direction::ToPlatform),
            cancel: signals.cancel.clone(),
            ..RunOptions::default()
        };
        let mut report = Report::new(&app.out);
        let code = one(&stage, &mut report, &sync.name, &options).await?;
        report.finish()?;
        tell(app, kind, &twin, filled)?;
        if args.stay && signals.exit_code().is_none() {
            app.out.note(&format!("the twin stays on {} until Ctrl-C", twin.url()));
            while signals.exit_code().is_none() {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        Ok(code)
    })
}

fn refused(why: String, hint: &str) -> Failure {
    Error::config(why).hint(hint).into()
}

/// What cannot be rehearsed without writing where nothing may be written; else whose twin it is rehearsed on.
async fn refuse(shop: &Workshop, sync: &Sync) -> Result<Kind, Failure> {
    let kind = &shop.connection(&sync.platform_connection)?.kind;
    let plan = "`tidegate plan SYNC` shows what a run would do, and writes nothing";
    let Some(twin) = Kind::of_kind(kind) else {
        return Err(refused(format!("there is no twin of `type: {kind}` to rehearse on"), plan));
    };
    if sync.direction == Direction::ToWarehouse {
        return Err(refused(format!("{} only writes to the warehouse, and there is no twin of that", sync.name), plan));
    }
    let relation = shop.warehouse(&sync.warehouse_connection).await?.describe(&sync.source).await?;
    if sync.changes == Changes::Stream || relation.kind == RelationKind::Stream {
        let why = format!(
            "{} reads a stream, and reading moves it: the real run would miss what a rehearsal took",
            sync.name
        );
        return Err(refused(why, plan));
    }
    Ok(twin)
}

/// The connection as it is configured, but for its address and credentials.
fn connect(shop: &Workshop, kind: Kind, url: &str, sync: &Sync) -> Result<Arc<dyn Platform>> {
    let connection = shop.connection(&sync.platform_connection)?;
    let mut settings = connection.settings.clone();
    for (key, value) in kind.settings(url) {
        settings[key] = json!(value);
    }
    let context = tidegate_platforms::OpenContext {
        project_dir: shop.root.clone(),
        name: sync.platform_connection.clone(),
        ..Default::default()
    };
    tidegate_platforms::open(&connection.kind, &settings, &context)
}

/// How many records were put on the twin, and how many the twin refused.
#[derive(Debug, Default, Clone, Copy)]
struct Filled {
    records: u64,
    refused: u64,
}

/// What the ledgers of the connection's syncs remember, by model.
struct Remembered(BTreeMap<String, BTreeMap<Key, Known>>);

impl Remembered {
    async fn of(shop: &Workshop, sync: &Sync, schema: &ModelSchema) -> Result<Self, Failure> {
        let mut all = Self(BTreeMap::new());
        let parents: BTreeSet<&ModelName> = schema.references().collect();
        let about = |other: &&Sync| {
            other.platform_connection == sync.platform_connection
                && (other.name == sync.name || parents.contains(&other.model))
        };
        let names: Vec<String> = shop.project.syncs.values().filter(about).map(|other| other.name.clone()).collect();
        for name in names {
            let job = shop.job(&name).await?;
            let records = all.0.entry(job.sync.model.0.clone()).or_default();
            let mut take = |known: Known| {
                records.insert(known.key.clone(), known);
                Ok(())
            };
            shop.engine.known(&job, &mut take).await?;
        }
        Ok(all)
    }
}

/// Puts on the twin what the ledger remembers of the platform.
async fn fill(shop: &Workshop, sync: &Sync, platform: &dyn Platform) -> Result<Filled, Failure> {
    let own_schema = platform.model(&sync.model).await?;
    let mut remembered = Remembered::of(shop, sync, &own_schema).await?;
    // Whom a record refers to is not kept in fingerprints: any parent will do for a record that is only there to be found.
    let mut stand_ins: Vec<(String, Value)> = Vec::new();
    let own = remembered.0.remove(sync.model.as_str()).unwrap_or_default();
    let mut filled = Filled::default();
    let parents: BTreeSet<ModelName> =
        own_schema.references().filter(|&parent| *parent != sync.model).cloned().collect();
    for parent in parents {
        let schema = platform.model(&parent).await?;
        let mut records = remembered.0.remove(parent.as_str()).unwrap_or_default();
        for name in named(&own, &sync.model, platform, &parent).await? {
            records.entry(name.clone()).or_insert_with(|| Known { key: name, remote: None, fields: Fields::new() });
        }
        if let Some(first) = records.keys().next() {
            let fields = own_schema.fields.iter().filter(|field| field.references.as_ref() == Some(&parent));
            stand_ins.extend(fields.map(|field| (field.name.clone(), Value::text(first.as_str()))));
        }
        put(platform, &schema, "externalId", &[], records.into_values(), &mut filled).await?;
    }
    let key = sync.key.platform.as_deref().unwrap_or("externalId");
    put(platform, &own_schema, key, &stand_ins, own.into_values(), &mut filled).await?;
    Ok(filled)
}

/// The records of a parent that a ledger's values name.
async fn named(
    own: &BTreeMap<Key, Known>,
    model: &ModelName,
    platform: &dyn Platform,
    parent: &ModelName,
) -> Result<BTreeSet<Key>> {
    let schema = platform.model(model).await?;
    let fields = schema.fields.iter().filter(|field| field.references.as_ref() == Some(parent));
    let names: Vec<&str> = fields.map(|field| field.name.as_str()).collect();
    let values = own.values().flat_map(|known| names.iter().filter_map(|name| known.fields.get(name)));
    Ok(values.filter_map(Key::of).collect())
}

/// Something for a required field whose value the ledger does not keep.
fn stand_in(name: &str, logical: Type, key: &Key) -> Value {
    match logical {
        Type::Date => Value::Date(0),
        Type::TimestampTz => Value::TimestampTz(0),
        Type::Decimal { .. } => Value::Decimal(Decimal::from_i128(0, 0)),
        Type::Int64 => Value::Int(0),
        Type::Bool => Value::Bool(false),
        _ if name == "email" => Value::text(format!("{}@not-kept.invalid", key.as_str().replace(['@', ' '], "."))),
        _ => Value::text("(not kept by the ledger)"),
    }
}

async fn put(
    platform: &dyn Platform,
    schema: &ModelSchema,
    key: &str,
    stand_ins: &[(String, Value)],
    records: impl Iterator<Item = Known>,
    filled: &mut Filled,
) -> Result<()> {
    let create = |known: Known| {
        let mut fields = known.fields.clone();
        let lacking = schema.fields.iter().filter(|field| field.required && field.references.is_none());
        for field in lacking.filter(|field| field.name != key) {
            if fields.get(&field.name).is_none_or(Value::is_empty) {
                fields.set(field.name.as_str(), stand_in(&field.name, field.logical, &known.key));
            }
        }
        for (name, value) in stand_ins.iter().filter(|(name, _)| known.fields.get(name).is_none()) {
            fields.set(name.as_str(), value.clone());
        }
        let writable = |name: &str| schema.field(name).is_none_or(|field| !field.read_only);
        let fields = fields.iter().filter(|(name, value)| writable(name) && !value.is_null());
        let fields: Fields = fields.map(|(name, value)| (name.clone(), value.clone())).collect();
        Change { key: known.key, remote: known.remote, action: Action::Create, fields, expect: None }
    };
    let size = platform.abilities(&schema.name).max_batch as usize;
    let changes: Vec<Change> = records.map(create).collect();
    for (number, batch) in changes.chunks(size.max(1)).enumerate() {
        let typed =
            |(name, value): (&tidegate_model::record::FieldName, &Value)| Some((name.to_string(), kind(value)?));
        let mut new_fields: BTreeMap<String, Type> = BTreeMap::new();
        batch.iter().for_each(|change| new_fields.extend(change.fields.iter().filter_map(typed)));
        let ask = WriteAsk {
            model: schema.name.clone(),
            key: key.to_owned(),
            new_fields: new_fields.into_iter().filter(|(name, _)| schema.field(name).is_none()).collect(),
            addresses: Vec::new(),
            records: changes.len() as u64,
            op: OpId(format!("rehearse/{}/{number}", schema.name)),
            fence: Fence { sync: "rehearse".to_owned(), store: "rehearse".to_owned(), epoch: 1 },
        };
        for outcome in platform.write(&ask, batch).await? {
            match outcome {
                Outcome::Applied { .. } | Outcome::Unchanged { .. } => filled.records += 1,
                _ => filled.refused += 1,
            }
        }
    }
    Ok(())
}

/// The type of a custom field that holds this.
fn kind(value: &Value) -> Option<Type> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int64,
        Value::Decimal(_) | Value::Float(_) => Type::Float64,
        Value::Date(_) => Type::Date,
        Value::Timestamp(_) | Value::TimestampTz(_) => Type::TimestampTz,
        Value::List(_) => Type::List,
        _ => Type::Text,
    })
}

/// Says what the twin saw.
fn tell(app: &App, kind: Kind, twin: &Running, filled: Filled) -> Result<()> {
    let seen = twin.requests();
    let bad = seen.iter().filter(|one| one.status == 0 || one.status >= 400).count();
    if app.out.json {
        let mut line = Object::default();
        line.put("twin", kind.kind())
            .put("filled", filled.records)
            .put("not_filled", filled.refused)
            .put("requests", seen.len())
            .put("refused_requests", bad);
        return app.out.json(&line);
    }
    let not = if filled.refused > 0 { format!(", {} could not be put there", filled.refused) } else { String::new() };
    app.out.note(&format!(
        "on a twin that held {} of the ledger{not}; it saw {}, of which {bad} failed",
        count(filled.records, "record"),
        count(seen.len() as u64, "request")
    ));
    app.out.note("nothing of yours was written: the platform, the warehouse and the state are as they were");
    Ok(())
}
