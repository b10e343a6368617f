//! Writing single records. What stands in the table is looked at first, with a fingerprint; what is to be done is
//! decided here and staged; one script proves in its transaction that every fingerprint still holds, and then merges
//! all of it. If one does not, nothing is written and everything is looked at again.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;
use tidegate_model::cells::value_at;
use tidegate_model::change::{Change, Effect, FieldReject, Outcome};
use tidegate_model::record::{Fields, Key};
use tidegate_model::schema::{Relation, Source};
use tidegate_model::span::{Fence, OpId};
use tidegate_model::value::Value;
use tidegate_model::{Error, ErrorKind, Result};

use super::catalog::{Shape, SourceColumn};
use super::order::possible;
use super::read::by_keys;
use super::server::Server;
use super::stage::{Stage, declared, value};
use super::write::{Body, Desk, End, target};
use crate::cell::Cell;
use crate::records::{Slots, Standing, Step, Told, applied, columns_of, decide, waves};

/// How often a batch is looked at again because rows changed between look and write.
const LOOKS_MAX: usize = 4;

/// Writes a batch.
pub(super) async fn write(
    server: &Server,
    relation: &Relation,
    key: &str,
    batch: &[Change],
    op: &OpId,
    fence: &Fence,
) -> Result<Vec<Outcome>> {
    let shape = target(server, relation).await?;
    let desk = Desk::begin(server, fence, &shape).await?;
    let table = Table::new(server, &shape, relation, key, batch)?;
    if let Some(span) = desk.told(op).await? {
        return table.again(&span.result, batch, op).await;
    }
    for _ in 0..LOOKS_MAX {
        let plan = table.plan(batch, table.look(batch).await?)?;
        let told: Vec<Told> = plan.outcomes.iter().filter_map(Told::of).collect();
        let result = serde_json::to_string(&told)
            .map_err(|error| Error::internal("a span row cannot be written").cause(error))?;
        match table.carry_out(&desk, op, &plan, &result).await? {
            End::Done(_) => return Ok(plan.outcomes),
            End::Before(span) => return table.again(&span.result, batch, op).await,
            End::Raised(_) => {}
        }
    }
    Err(Error::new(ErrorKind::Locked, format!("write {relation}: somebody else keeps changing the same rows"))
        .hint("nothing of the batch was written; it is tried again"))
}

/// What stands under a key, and its fingerprint.
#[derive(Debug, Default, Clone)]
struct Seen {
    standing: Standing,
    print: Option<String>,
}

/// A step of one record.
#[derive(Debug)]
struct Job<'a> {
    wave: usize,
    key: &'a Key,
    effect: Effect,
    /// The fingerprint that must still hold, for the first step of a key.
    print: Option<Option<String>>,
    /// What is written, by column.
    values: BTreeMap<usize, Option<String>>,
}

/// What is to be done for a batch.
#[derive(Debug)]
struct Plan<'a> {
    outcomes: Vec<Outcome>,
    jobs: Vec<Job<'a>>,
}

struct Table<'a> {
    server: &'a Server,
    shape: &'a Shape,
    doing: String,
    key: &'a SourceColumn,
    /// The key first, then what deciding needs.
    columns: Vec<&'a SourceColumn>,
    slots: Slots,
}

impl<'a> Table<'a> {
    fn new(server: &'a Server, shape: &'a Shape, relation: &Relation, key: &str, batch: &[Change]) -> Result<Self> {
        let key = shape.column(key, &Source::Relation(relation.clone()))?;
        let names = columns_of(batch);
        let mut columns = vec![key];
        columns.extend(shape.columns.iter().filter(|column| column.name != key.name && names.contains(&column.name)));
        let slots = shape.columns.iter().map(|column| (column.name.clone(), column.slot())).collect();
        Ok(Self { server, shape, doing: format!("write {relation}"), key, columns, slots })
    }

    /// The fingerprint of what was looked at, as an expression.
    fn print(&self) -> String {
        let texts: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("IFNULL(TO_JSON_STRING({}), 'null')", column.kind.compared(&column.quoted())))
            .collect();
        format!("TO_HEX(MD5(TO_JSON_STRING([{}])))", texts.join(", "))
    }

    async fn again(&self, told: &str, batch: &[Change], op: &OpId) -> Result<Vec<Outcome>> {
        let told: Vec<Told> =
            serde_json::from_str(told).map_err(|error| Error::internal("a span row cannot be read").cause(error))?;
        if told.len() != batch.len() {
            return Err(Error::internal(format!("operation {} was of {} records", op.0, told.len())));
        }
        let seen = self.look(batch).await?;
        let nothing = Seen::default();
        let again =
            |(told, change): (&Told, &Change)| told.again(change, &seen.get(&change.key).unwrap_or(&nothing).standing);
        Ok(told.iter().zip(batch).map(again).collect())
    }

    /// What stands under the keys of these changes.
    async fn look(&self, batch: &[Change]) -> Result<HashMap<Key, Seen>> {
        let mut keys: Vec<Key> = batch.iter().map(|change| change.key.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        let more = [self.print()];
        let pages = by_keys(self.server, self.shape, self.key, &self.columns, &more, &keys, &self.doing).await?;
        let mut found: HashMap<Key, Seen> = HashMap::new();
        for page in &pages {
            for row in 0..page.len() {
                let Some(key) = Key::of(&value_at(&page.rows, 0, row)) else { continue };
                let mut fields = Fields::new();
                for (at, column) in self.columns.iter().enumerate() {
                    if !page.misfits.iter().any(|misfit| misfit.row == row && misfit.column == at) {
                        fields.set(column.name.as_str(), value_at(&page.rows, at, row));
                    }
                }
                let print = Some(value_at(&page.rows, self.columns.len(), row).to_string());
                let seen = found.entry(key).or_default();
                *seen = Seen { standing: Standing { rows: seen.standing.rows + 1, fields }, print };
            }
        }
        Ok(found)
    }

    /// Decides about every record; a second change of a key sees what the first one will have done.
    fn plan<'b>(&self, batch: &'b [Change], mut seen: HashMap<Key, Seen>) -> Result<Plan<'b>> {
        let mut plan = Plan { outcomes: Vec::with_capacity(batch.len()), jobs: Vec::new() };
        let mut touched: HashMap<&Key, ()> = HashMap::new();
        for (wave, changes) in waves(batch).into_iter().enumerate() {
            for change in changes {
                let there = seen.entry(change.key.clone()).or_default();
                let effect = match decide(change, &there.standing, &self.slots) {
                    Step::Done(outcome) => {
                        plan.outcomes.push(outcome);
                        continue;
                    }
                    Step::Insert => Effect::Created,
                    Step::Update => Effect::Updated,
                    Step::Delete => Effect::Deleted,
                };
                let values = match self.values(change, effect)? {
                    Ok(values) => values,
                    Err(reject) => {
                        plan.outcomes.push(Outcome::Rejected(reject));
                        continue;
                    }
                };
                let first = touched.insert(&change.key, ()).is_none();
                let print = first.then(|| there.print.clone());
                plan.jobs.push(Job { wave, key: &change.key, effect, print, values });
                plan.outcomes.push(applied(effect));
                self.pretend(&mut there.standing, change, effect);
            }
        }
        Ok(plan)
    }

    /// What stands there once a step is done.
    fn pretend(&self, standing: &mut Standing, change: &Change, effect: Effect) {
        match effect {
            Effect::Deleted => *standing = Standing::default(),
            Effect::Created => {
                *standing = Standing { rows: 1, fields: Fields::new() };
                for column in self.columns.iter().filter(|column| !column.filled) {
                    let empty = self.slots.get(&column.name).and_then(|slot| slot.fit(Cell::Null).ok());
                    standing.fields.set(column.name.as_str(), empty.map_or(Value::Null, Cell::into_value));
                }
            }
            Effect::Updated => {}
        }
        for (name, value) in change.fields.iter().filter(|_| effect != Effect::Deleted) {
            if let Some(Ok(cell)) = self.slots.get(&**name).map(|slot| slot.fit(Cell::of(value))) {
                standing.fields.set(name.clone(), cell.into_value());
            }
        }
    }

    /// What a step writes, in the form of a staged line.
    fn values(
        &self,
        change: &Change,
        effect: Effect,
    ) -> Result<std::result::Result<BTreeMap<usize, Option<String>>, FieldReject>> {
        if possible(self.key, std::slice::from_ref(&change.key)).is_empty() {
            let reason = "the key is no value that the key column can hold";
            return Ok(Err(FieldReject::field(self.key.name.clone(), "wrong_type", reason)));
        }
        let mut values = BTreeMap::new();
        if effect == Effect::Deleted {
            return Ok(Ok(values));
        }
        for (name, given) in change.fields.iter() {
            let Some(at) = self.columns.iter().position(|column| column.name == **name) else {
                return Err(Error::internal(format!("{name} was decided about, and is not there")));
            };
            // A new row gets its key by its own way.
            if at == 0 && effect == Effect::Created {
                continue;
            }
            let column = self.columns[at];
            let staged = column.slot().fit(Cell::of(given)).and_then(|cell| value(column, &cell));
            match staged {
                Ok(staged) => values.insert(at, staged),
                Err(reject) => return Ok(Err(reject)),
            };
        }
        if effect == Effect::Created
            && let Some(reject) = self.lacking(change)
        {
            return Ok(Err(reject));
        }
        Ok(Ok(values))
    }

    /// A column that a new row needs and does not get.
    fn lacking(&self, change: &Change) -> Option<FieldReject> {
        let given = |name: &str| name == self.key.name || change.fields.get(name).is_some();
        let column = self.shape.columns.iter().find(|c| !c.nullable && !c.filled && !given(&c.name))?;
        Some(FieldReject::field(column.name.clone(), "not_null", "the column does not take NULL"))
    }

    async fn carry_out(&self, desk: &Desk<'_>, op: &OpId, plan: &Plan<'_>, result: &str) -> Result<End> {
        if plan.jobs.is_empty() {
            return desk.carry_out(op, Body::default(), result, &self.doing).await;
        }
        let groups = groups(&plan.jobs);
        let mut stage = self.stage(desk).await?;
        let staged = self.fill(&mut stage, &plan.jobs, &groups).await;
        let ended = match staged {
            Ok(()) => desk.carry_out(op, self.body(&stage, plan, &groups), result, &self.doing).await,
            Err(error) => Err(error),
        };
        stage.leave().await;
        ended
    }

    async fn stage<'s>(&'s self, desk: &Desk<'_>) -> Result<Stage<'s>> {
        let plain = |name: &str, kind: &str| json!({ "name": name, "type": kind, "mode": "NULLABLE" });
        let mut fields = vec![
            plain("wave", "INT64"),
            plain("act", "STRING"),
            plain("shape", "INT64"),
            plain("first", "BOOL"),
            plain("print", "STRING"),
            plain("k", &self.key.kind.staged(&self.key.native)),
        ];
        for (at, column) in self.columns.iter().enumerate() {
            fields.push(declared(at, column));
            fields.push(plain(&format!("w{at}"), "BOOL"));
        }
        Stage::make(self.server, desk.location(), fields, &self.doing).await
    }

    async fn fill(&self, stage: &mut Stage<'_>, jobs: &[Job<'_>], groups: &Groups) -> Result<()> {
        for (number, job) in jobs.iter().enumerate() {
            stage.begin(number as u64);
            let text = |text: &str| serde_json::Value::String(text.to_owned()).to_string();
            stage.named("wave", &job.wave.to_string());
            stage.named("act", &text(act(job.effect)));
            stage.named("first", if job.print.is_some() { "true" } else { "false" });
            if let Some(group) = groups.get(&shape_of(job)) {
                stage.named("shape", &group.to_string());
            }
            if let Some(Some(print)) = &job.print {
                stage.named("print", &text(print));
            }
            stage.named("k", &text(job.key.as_str()));
            for (at, value) in &job.values {
                stage.put(*at, value.as_deref());
                stage.named(&format!("w{at}"), "true");
            }
            stage.end().await?;
        }
        stage.send().await
    }

    /// Proves the fingerprints, then merges wave after wave.
    fn body(&self, stage: &Stage<'_>, plan: &Plan<'_>, groups: &Groups) -> Body {
        let first = plan.jobs.iter().filter(|job| job.print.is_some()).count();
        let (from, staged) = (&self.shape.from, stage.from());
        let key = self.key.plain("");
        let mut sql = format!(
            "IF (SELECT COUNT(*) FROM {staged} S LEFT JOIN (SELECT {key} AS tk, {} AS tp FROM {from}) T ON T.tk = {} \
             WHERE S.first AND S.print IS NOT DISTINCT FROM T.tp) != {first} THEN RAISE USING MESSAGE = 'tidegate:moved'; END IF;\n",
            self.print(),
            self.key.kind.unstaged("S.k")
        );
        let written: Vec<usize> =
            (0..self.columns.len()).filter(|at| plan.jobs.iter().any(|job| job.values.contains_key(at))).collect();
        let waves = plan.jobs.iter().map(|job| job.wave).max().unwrap_or(0);
        for wave in 0..=waves {
            let here: Vec<&Job<'_>> = plan.jobs.iter().filter(|job| job.wave == wave).collect();
            if !here.is_empty() {
                sql.push_str(&self.merge(&staged, wave, &here, &written, groups));
            }
        }
        Body { sql, ..Body::default() }
    }

    fn merge(&self, staged: &str, wave: usize, jobs: &[&Job<'_>], written: &[usize], groups: &Groups) -> String {
        let mut list = vec!["act".to_owned(), "shape".to_owned()];
        list.push(format!("{} AS k", self.key.kind.unstaged("k")));
        for at in written {
            list.push(format!("{} AS v{at}", self.columns[*at].kind.unstaged(&format!("c{at}"))));
            list.push(format!("w{at}"));
        }
        let mut sql = format!(
            "MERGE INTO {} T USING (SELECT {} FROM {staged} WHERE wave = {wave}) S ON {} = S.k",
            self.shape.from,
            list.join(", "),
            self.key.plain("T.")
        );
        let some = |effect: Effect| jobs.iter().any(|job| job.effect == effect);
        if some(Effect::Deleted) {
            sql.push_str(" WHEN MATCHED AND S.act = 'delete' THEN DELETE");
        }
        if some(Effect::Updated) {
            let set = |at: &usize| {
                let name = self.columns[*at].quoted();
                format!("{name} = IF(S.w{at}, S.v{at}, T.{name})")
            };
            let sets: Vec<String> = written.iter().map(set).collect();
            sql.push_str(&format!(" WHEN MATCHED AND S.act = 'update' THEN UPDATE SET {}", sets.join(", ")));
        }
        for (shape, group) in groups {
            if !jobs.iter().any(|job| job.effect == Effect::Created && shape_of(job) == *shape) {
                continue;
            }
            let names: String = shape.iter().map(|at| format!(", {}", self.columns[*at].quoted())).collect();
            let values: String = shape.iter().map(|at| format!(", S.v{at}")).collect();
            sql.push_str(&format!(
                " WHEN NOT MATCHED AND S.act = 'create' AND S.shape = {group} THEN INSERT ({}{names}) VALUES (S.k{values})",
                self.key.quoted()
            ));
        }
        sql.push_str(";\n");
        sql
    }
}

/// New rows by the columns that they get: the others get their default.
type Groups = BTreeMap<Vec<usize>, usize>;

fn shape_of(job: &Job<'_>) -> Vec<usize> {
    job.values.keys().copied().collect()
}

fn groups(jobs: &[Job<'_>]) -> Groups {
    let mut groups = Groups::new();
    for job in jobs.iter().filter(|job| job.effect == Effect::Created) {
        let next = groups.len();
        groups.entry(shape_of(job)).or_insert(next);
    }
    groups
}

fn act(effect: Effect) -> &'static str {
    match effect {
        Effect::Created => "create",
        Effect::Updated => "update",
        Effect::Deleted => "delete",
    }
}
