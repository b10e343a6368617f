//! Writes of single records, each conditional on what stands there. Snowflake locks no rows, so what was read is
//! fingerprinted by the warehouse itself, and each statement changes only rows whose fingerprint still holds. What it
//! passed over is looked at again. Records of the same kind go in one statement.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use tidegate_model::cells::value_at;
use tidegate_model::change::{Change, Effect, FieldReject, Outcome};
use tidegate_model::record::{Fields, Key};
use tidegate_model::schema::{Relation, Source};
use tidegate_model::span::{Fence, OpId};
use tidegate_model::value::Value;
use tidegate_model::{Error, ErrorKind, Result};

use super::catalog::{Shape, SourceColumn};
use super::load::target;
use super::order::{key_value, possible};
use super::read::by_keys;
use super::rows::{Piece, cell_text, cell_value, text_of, unfolded};
use super::server::Server;
use super::wire::Bind;
use super::write::{End, Txn, WRITE_S_MAX};
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
    let txn = Txn::begin(server, fence).await?;
    let shape = target(server, &txn, relation).await?;
    let desk = Desk::new(&txn, &shape, relation, key, batch)?;
    if let Some(told) = txn.told::<Vec<Told>>(op).await? {
        let again = desk.again(&told, batch, op).await?;
        txn.leave().await;
        return Ok(again);
    }
    txn.open_transaction().await?;
    let outcomes = match desk.all(batch).await {
        Ok(outcomes) => outcomes,
        Err(error) => return Err(txn.give_up(error).await),
    };
    let told: Vec<Told> = outcomes.iter().filter_map(Told::of).collect();
    if told.len() != outcomes.len() {
        // Some could not be settled: nothing of the batch is kept, and the engine sends it again.
        let error = moved(&desk.doing);
        return Err(txn.give_up(error).await);
    }
    match txn.finish(op, &told).await? {
        End::Done => Ok(outcomes),
        End::Before(told) => {
            let txn = Txn::begin(server, fence).await?;
            let again = Desk::new(&txn, &shape, relation, key, batch)?.again(&told, batch, op).await?;
            txn.leave().await;
            Ok(again)
        }
    }
}

fn moved(doing: &str) -> Error {
    Error::new(ErrorKind::Locked, format!("{doing}: somebody else keeps changing the same rows"))
        .hint("nothing of the batch was written; it is tried again")
}

static NOTHING: LazyLock<Seen> = LazyLock::new(Seen::default);

/// What stands under a key, and the warehouse's own fingerprint of it.
#[derive(Debug, Default)]
struct Seen {
    standing: Standing,
    print: String,
}

/// A step of one record, ready to be sent.
struct Job {
    effect: Effect,
    /// Names of the fields that it writes, in the order of its texts.
    fields: Vec<String>,
    /// Key, fingerprint, then the fields.
    texts: Vec<Option<String>>,
}

/// Jobs of one kind, with the numbers of their records.
type Jobs = Vec<(usize, Job)>;

struct Desk<'a> {
    txn: &'a Txn<'a>,
    shape: &'a Shape,
    doing: String,
    key: &'a SourceColumn,
    /// The key first, then what deciding needs.
    columns: Vec<&'a SourceColumn>,
    slots: Slots,
}

impl<'a> Desk<'a> {
    fn new(txn: &'a Txn<'a>, shape: &'a Shape, relation: &Relation, key: &str, batch: &[Change]) -> Result<Self> {
        let key = shape.column(key, &Source::Relation(relation.clone()))?;
        let names = columns_of(batch);
        let mut columns = vec![key];
        columns.extend(shape.columns.iter().filter(|column| column.name != key.name && names.contains(&column.name)));
        let slots = shape.columns.iter().map(|column| (column.name.clone(), column.slot())).collect();
        Ok(Self { txn, shape, doing: format!("write {relation}"), key, columns, slots })
    }

    /// The fingerprint of what was looked at, as an expression.
    fn print(&self, table: &str) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| format!("{table}{}", column.quoted())).collect();
        format!("TO_VARCHAR(HASH({}))", names.join(", "))
    }

    async fn again(&self, told: &[Told], batch: &[Change], op: &OpId) -> Result<Vec<Outcome>> {
        if told.len() != batch.len() {
            return Err(Error::internal(format!("operation {} was of {} records", op.0, told.len())));
        }
        let seen = self.look(batch.iter()).await?;
        let again = |(told, change): (&Told, &Change)| told.again(change, &of(&seen, change).standing);
        Ok(told.iter().zip(batch).map(again).collect())
    }

    /// What stands under the keys of these changes.
    async fn look(&self, changes: impl Iterator<Item = &Change>) -> Result<HashMap<Key, Seen>> {
        let keys: Vec<Key> = changes.map(|change| change.key.clone()).collect();
        let more = [self.print("")];
        let pages = by_keys(&self.txn.session, self.shape, self.key, &self.columns, &more, &keys, &self.doing).await?;
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
                let print = value_at(&page.rows, self.columns.len(), row).to_string();
                let seen = found.entry(key).or_default();
                *seen = Seen { standing: Standing { rows: seen.standing.rows + 1, fields }, print };
            }
        }
        Ok(found)
    }

    async fn all(&self, batch: &[Change]) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(batch.len());
        for wave in waves(batch) {
            outcomes.extend(self.wave(wave).await?);
        }
        Ok(outcomes)
    }

    /// Records of different keys.
    async fn wave(&self, wave: &[Change]) -> Result<Vec<Outcome>> {
        let mut outcomes: Vec<Option<Outcome>> = wave.iter().map(|_| None).collect();
        for _ in 0..LOOKS_MAX {
            let open: Vec<usize> = (0..wave.len()).filter(|at| outcomes[*at].is_none()).collect();
            if open.is_empty() {
                break;
            }
            let seen = self.look(open.iter().map(|at| &wave[*at])).await?;
            let mut groups: BTreeMap<(u8, Vec<String>), Jobs> = BTreeMap::new();
            for at in open {
                let change = &wave[at];
                let there = of(&seen, change);
                match decide(change, &there.standing, &self.slots) {
                    Step::Done(outcome) => outcomes[at] = Some(outcome),
                    step => match self.job(&step, change, there)? {
                        Ok(job) => groups.entry((order(job.effect), job.fields.clone())).or_default().push((at, job)),
                        Err(reject) => outcomes[at] = Some(Outcome::Rejected(reject)),
                    },
                }
            }
            for jobs in groups.into_values() {
                self.group(wave, &jobs, &mut outcomes).await?;
            }
        }
        let unsettled = || Outcome::Retry(moved(&self.doing));
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unsettled)).collect())
    }

    /// Carries out jobs of one kind. What is not settled is left open.
    async fn group(&self, wave: &[Change], jobs: &[(usize, Job)], outcomes: &mut [Option<Outcome>]) -> Result<()> {
        let Some((_, first)) = jobs.first() else { return Ok(()) };
        let sql = self.statement(first)?;
        let mut from = 0;
        while from < jobs.len() {
            let mut piece = Piece::default();
            let mut to = from;
            while to < jobs.len() {
                piece.begin();
                jobs[to].1.texts.iter().try_for_each(|text| piece.push(text.as_deref()))?;
                to += 1;
                if piece.end() {
                    break;
                }
            }
            let part = &jobs[from..to];
            match self.txn.attempt(&sql, &[Bind(piece.take())], WRITE_S_MAX, &self.doing).await? {
                Ok(did) if did.counted(counted(first.effect)) == part.len() as u64 => {
                    part.iter().for_each(|(at, job)| outcomes[*at] = Some(applied(job.effect)));
                }
                Ok(_) => self.settled(wave, part, outcomes).await?,
                // A statement that is refused has changed nothing, and the transaction goes on.
                Err(refusal) => match refusal.row_reject() {
                    Some(reject) if part.len() == 1 => outcomes[part[0].0] = Some(Outcome::Rejected(reject)),
                    Some(_) => self.one_by_one(&sql, part, outcomes).await?,
                    None => return Err(refusal.error(&self.doing)),
                },
            }
            from = to;
        }
        Ok(())
    }

    async fn one_by_one(&self, sql: &str, jobs: &[(usize, Job)], outcomes: &mut [Option<Outcome>]) -> Result<()> {
        for (at, job) in jobs {
            let mut piece = Piece::default();
            piece.begin();
            job.texts.iter().try_for_each(|text| piece.push(text.as_deref()))?;
            piece.end();
            match self.txn.attempt(sql, &[Bind(piece.take())], WRITE_S_MAX, &self.doing).await? {
                Ok(did) if did.counted(counted(job.effect)) == 1 => outcomes[*at] = Some(applied(job.effect)),
                Ok(_) => {}
                Err(refusal) => match refusal.row_reject() {
                    Some(reject) => outcomes[*at] = Some(Outcome::Rejected(reject)),
                    None => return Err(refusal.error(&self.doing)),
                },
            }
        }
        Ok(())
    }

    /// After a statement that passed some records over: those that it did carry out show it.
    async fn settled(&self, wave: &[Change], jobs: &[(usize, Job)], outcomes: &mut [Option<Outcome>]) -> Result<()> {
        let seen = self.look(jobs.iter().map(|(at, _)| &wave[*at])).await?;
        for (at, job) in jobs {
            let change = &wave[*at];
            let there = of(&seen, change);
            let done = match job.effect {
                Effect::Deleted => there.standing.rows == 0,
                Effect::Created | Effect::Updated => {
                    matches!(decide(change, &there.standing, &self.slots), Step::Done(Outcome::Unchanged { .. }))
                }
            };
            if done {
                outcomes[*at] = Some(applied(job.effect));
            }
        }
        Ok(())
    }

    /// The texts that a step sends.
    fn job(&self, step: &Step, change: &Change, seen: &Seen) -> Result<std::result::Result<Job, FieldReject>> {
        let effect = match step {
            Step::Insert => Effect::Created,
            Step::Update => Effect::Updated,
            Step::Delete | Step::Done(_) => Effect::Deleted,
        };
        if possible(self.key, std::slice::from_ref(&change.key)).is_empty() {
            let reason = "the key is no value that the key column can hold";
            return Ok(Err(FieldReject::field(self.key.name.clone(), "wrong_type", reason)));
        }
        let mut job = Job {
            effect,
            fields: Vec::new(),
            texts: vec![Some(change.key.as_str().to_owned()), Some(seen.print.clone())],
        };
        let written = change.fields.iter().filter(|(name, _)| effect != Effect::Created || ***name != self.key.name);
        for (name, value) in written.filter(|_| effect != Effect::Deleted) {
            match self.text(name, value)? {
                Ok(text) => {
                    job.fields.push(name.to_string());
                    job.texts.push(text);
                }
                Err(reject) => return Ok(Err(reject)),
            }
        }
        if effect == Effect::Created
            && let Some(reject) = self.lacking(&job)
        {
            return Ok(Err(reject));
        }
        Ok(Ok(job))
    }

    /// A column that a new row needs and does not get.
    fn lacking(&self, job: &Job) -> Option<FieldReject> {
        let given = |name: &str| name == self.key.name || job.fields.iter().any(|field| field == name);
        let column = self.shape.columns.iter().find(|c| !c.nullable && !c.filled && !c.generated && !given(&c.name))?;
        Some(FieldReject::field(column.name.clone(), "not_null", "the column does not take NULL"))
    }

    fn text(&self, name: &str, value: &Value) -> Result<std::result::Result<Option<String>, FieldReject>> {
        let Some(slot) = self.slots.get(name) else {
            return Ok(Err(FieldReject::field(name, "missing_column", "the target has no column of this name")));
        };
        match slot.fit(Cell::of(value)) {
            Ok(cell) => Ok(Ok(text_of(&cell)?)),
            Err(reject) => Ok(Err(reject)),
        }
    }

    /// The statement that carries out jobs like this one, with their texts bound.
    fn statement(&self, job: &Job) -> Result<String> {
        let find = |name: &String| {
            let column = self.shape.columns.iter().find(|column| column.name == *name);
            column.ok_or_else(|| Error::internal(format!("a job writes {name}, which is not there")))
        };
        let columns = job.fields.iter().map(find).collect::<Result<Vec<_>>>()?;
        let from = &self.shape.from;
        let key = self.key.plain("T.");
        let mut list = vec![
            format!("{} AS \"tidegate key\"", key_value(self.key, &cell_text(0))),
            format!("{} AS \"tidegate print\"", cell_text(1)),
        ];
        list.extend(
            columns.iter().enumerate().map(|(at, c)| format!("{} AS \"tidegate {at}\"", cell_value(at + 2, c))),
        );
        let rows = unfolded(&list);
        let holds = format!("{key} = S.\"tidegate key\" AND {} = S.\"tidegate print\"", self.print("T."));
        Ok(match job.effect {
            Effect::Created => {
                let names: String = columns.iter().map(|column| format!(", {}", column.quoted())).collect();
                let values: String = (0..columns.len()).map(|at| format!(", S.\"tidegate {at}\"")).collect();
                format!(
                    "INSERT INTO {from} ({}{names}) SELECT S.\"tidegate key\"{values} FROM ({rows}) S \
                     WHERE NOT EXISTS (SELECT 1 FROM {from} T WHERE {key} = S.\"tidegate key\")",
                    self.key.quoted()
                )
            }
            Effect::Updated => {
                let sets: Vec<String> =
                    columns.iter().enumerate().map(|(at, c)| format!("{} = S.\"tidegate {at}\"", c.quoted())).collect();
                format!("UPDATE {from} T SET {} FROM ({rows}) S WHERE {holds}", sets.join(", "))
            }
            Effect::Deleted => format!("DELETE FROM {from} T USING ({rows}) S WHERE {holds}"),
        })
    }
}

fn of<'s>(seen: &'s HashMap<Key, Seen>, change: &Change) -> &'s Seen {
    seen.get(&change.key).unwrap_or(&NOTHING)
}

/// Rows go before rows come: a value that moves from one record to another must not be there twice in between.
fn order(effect: Effect) -> u8 {
    match effect {
        Effect::Deleted => 0,
        Effect::Updated => 1,
        Effect::Created => 2,
    }
}

/// What the statement calls what it did.
fn counted(effect: Effect) -> &'static str {
    match effect {
        Effect::Created => "rows inserted",
        Effect::Updated => "rows updated",
        Effect::Deleted => "rows deleted",
    }
}
