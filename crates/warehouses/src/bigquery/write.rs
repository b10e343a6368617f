//! The script that every write is: one job, whose transaction holds the rows, the fence and the span row.
//!
//! The job's name is made of the operation's and the number of the attempt, which is raised only when the job before
//! is known to have failed: a job whose answer was lost is found again, and never runs twice. Each sync has a fence
//! table of its own, for BigQuery ends the later of two transactions that write one table: that is what the fence
//! wants of two runs of one sync, and what two syncs must not do to each other. The span table only gains rows, which
//! never stand in each other's way; its partitions die by themselves.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use tidegate_model::failpoint::hit;
use tidegate_model::schema::{Relation, RelationKind, Source};
use tidegate_model::span::{Fence, OpId};
use tidegate_model::{Error, ErrorKind, Result};

use super::catalog::{Shape, dotted, shape};
use super::errors::Refusal;
use super::server::{Answer, Param, Server};
use crate::fence::{Held, SPAN_DAYS_MAX, Step, judge};

/// Attempts of one operation, over all runs: each is a job that has failed.
const ATTEMPTS_MAX: u32 = 1_000;

/// A write: who writes, and where our own tables are.
pub(super) struct Desk<'a> {
    server: &'a Server,
    fence: Fence,
    /// Where the target is: our tables and jobs must be there too.
    location: Option<String>,
    fences: String,
    spans: String,
}

/// Parameters of a script, by number.
#[derive(Debug, Default)]
pub(super) struct Params(pub(super) Vec<Param>);

impl Params {
    /// Adds a value; its name.
    pub(super) fn add(&mut self, param: Param) -> String {
        self.0.push(param);
        format!("@p{}", self.0.len() - 1)
    }
}

/// What a script does between taking the fence and writing the span row.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) sql: String,
    pub(super) params: Params,
}

/// What is kept of an operation.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) result: String,
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) cleared: u64,
}

/// How a script ended.
pub(super) enum End {
    /// Committed, now or before: with this span.
    Done(Span),
    /// Somebody else had carried the operation out.
    Before(Span),
    /// The script stopped itself, with a word of its own. Nothing was written.
    Raised(String),
}

/// A table that may be written.
pub(super) async fn target(server: &Server, relation: &Relation) -> Result<Shape> {
    server.may_write()?;
    let shape = shape(server, &Source::Relation(relation.clone()), false).await?;
    if shape.kind != RelationKind::Table {
        return Err(Error::new(ErrorKind::BadRequest, format!("{relation} is no table; tidegate writes tables only"))
            .hint("name a table in the sync: views, external tables and snapshots are read only"));
    }
    Ok(shape)
}

/// Takes over a target that another store marked.
pub(super) async fn adopt(server: &Server, fence: &Fence) -> Result<()> {
    server.may_write()?;
    let desk = Desk::open(server, fence, None).await?;
    let sql = format!(
        "BEGIN TRANSACTION; DELETE FROM {0} WHERE sync = @p0; \
         INSERT INTO {0} (sync, store, epoch) SELECT @p0, @p1, @p2; COMMIT TRANSACTION;",
        desk.fences
    );
    server.run(&sql, &desk.who(), false, "take the fence row over").await.map(|_| ())
}

impl<'a> Desk<'a> {
    /// Our own tables in place, and our right to write proven for now.
    pub(super) async fn begin(server: &'a Server, fence: &Fence, shape: &Shape) -> Result<Self> {
        let desk = Self::open(server, fence, shape.location.clone()).await?;
        desk.judge().await?;
        Ok(desk)
    }

    async fn open(server: &'a Server, fence: &Fence, location: Option<String>) -> Result<Self> {
        let place = |table: &str| dotted(&[server.project.clone(), server.work.clone(), table.to_owned()]);
        let name = format!("fence_{}", &hash(&[&fence.sync])[..16]);
        let desk = Self {
            server,
            fence: fence.clone(),
            location: server.location.clone().or(location),
            fences: place(&name),
            spans: place("span"),
        };
        if !server.made.load(Ordering::Relaxed) {
            desk.make_dataset().await?;
            desk.make_table("span", &SPAN_FIELDS, true).await?;
            server.made.store(true, Ordering::Relaxed);
        }
        let known = server.fences.lock().unwrap_or_else(PoisonError::into_inner).contains(&name);
        if !known {
            desk.make_table(&name, &FENCE_FIELDS, false).await?;
            server.fences.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        }
        Ok(desk)
    }

    async fn make_dataset(&self) -> Result<()> {
        let server = self.server;
        let mut body = json!({
            "datasetReference": { "projectId": server.project, "datasetId": server.work },
            "description": "tidegate: fences, spans and staging tables. Drop nothing here while syncs run.",
        });
        if let Some(location) = &self.location {
            body["location"] = json!(location);
        }
        let doing = format!("make the dataset {} for tidegate's own tables", server.work);
        self.make(&["projects", &server.project, "datasets"], &body, &doing).await
    }

    async fn make_table(&self, name: &str, fields: &[(&str, &str)], parted: bool) -> Result<()> {
        let server = self.server;
        let fields: Vec<Json> =
            fields.iter().map(|(name, kind)| json!({ "name": name, "type": kind, "mode": "NULLABLE" })).collect();
        let mut body = json!({
            "tableReference": { "projectId": server.project, "datasetId": server.work, "tableId": name },
            "schema": { "fields": fields },
        });
        if parted {
            let lives = SPAN_DAYS_MAX * 24 * 3_600_000;
            body["timePartitioning"] = json!({ "type": "DAY", "field": "at", "expirationMs": lives.to_string() });
        }
        let path = ["projects", &server.project, "datasets", &server.work, "tables"];
        self.make(&path, &body, &format!("make {}.{name}", server.work)).await
    }

    /// Makes something that may be there already.
    async fn make(&self, path: &[&str], body: &Json, doing: &str) -> Result<()> {
        match self.server.rest.post(path, body, doing).await? {
            Err(refusal) if !refusal.duplicate() => {
                let error = refusal.error(doing);
                if error.kind != ErrorKind::Forbidden {
                    return Err(error);
                }
                let work = &self.server.work;
                Err(error.hint(format!(
                    "make the dataset {work} and give the login roles/bigquery.dataEditor on it: `tidegate setup bigquery --access write` prints how"
                )))
            }
            _ => Ok(()),
        }
    }

    fn who(&self) -> [Param; 3] {
        let Fence { sync, store, epoch } = &self.fence;
        [Param::text(sync), Param::text(store), Param::One("INT64", epoch.to_string())]
    }

    /// What the target holds of the sync. Of several rows the worst one counts.
    async fn held(&self) -> Result<Held> {
        let sql = format!("SELECT store, epoch FROM {} WHERE sync = @p0", self.fences);
        let answer = self.server.look(&sql, &[Param::text(&self.fence.sync)], "read the fence row").await?;
        let held = answer.rows.iter().filter_map(|row| match row.as_slice() {
            [Some(store), Some(epoch)] => Some((store.clone(), epoch.parse::<i64>().ok()?)),
            _ => None,
        });
        Ok(held.max_by_key(|(store, epoch)| (*store != self.fence.store, *epoch)))
    }

    async fn judge(&self) -> Result<Step> {
        judge(&self.held().await?, &self.fence)
    }

    /// The result of an operation that was carried out before.
    pub(super) async fn told(&self, op: &OpId) -> Result<Option<Span>> {
        let sql = format!("SELECT result, created, updated, cleared FROM {} WHERE op = @p0", self.spans);
        let answer = self.server.look(&sql, &[Param::text(&op.0)], "read the span row").await?;
        Ok(span_of(&answer))
    }

    /// Number of rows of a table.
    pub(super) async fn count(&self, from: &str, doing: &str) -> Result<u64> {
        let answer = self.server.look(&format!("SELECT COUNT(*) FROM {from}"), &[], doing).await?;
        Ok(answer.one().and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// Where our jobs and tables are.
    pub(super) fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }

    /// The table of spans and fences is not asked twice: the script takes the fence, does its work, writes the span.
    fn script(&self, op: &OpId, body: Body, result: &str) -> (String, Vec<Param>) {
        let Body { sql: work, mut params } = body;
        let [sync, store, epoch] = self.who().map(|param| params.add(param));
        let (op, result) = (params.add(Param::text(&op.0)), params.add(Param::text(result)));
        let (fences, spans) = (&self.fences, &self.spans);
        let sql = format!(
            "DECLARE tg_rows, tg_created, tg_updated, tg_cleared INT64 DEFAULT 0;\n\
             BEGIN TRANSACTION;\n\
             IF EXISTS (SELECT 1 FROM {spans} WHERE op = {op}) THEN RAISE USING MESSAGE = 'tidegate:done'; END IF;\n\
             IF EXISTS (SELECT 1 FROM {fences} WHERE sync = {sync} AND (store != {store} OR epoch > {epoch})) \
             THEN RAISE USING MESSAGE = 'tidegate:fence'; END IF;\n\
             DELETE FROM {fences} WHERE sync = {sync};\n\
             INSERT INTO {fences} (sync, store, epoch) SELECT {sync}, {store}, {epoch};\n\
             {work}\
             INSERT INTO {spans} (op, sync, at, result, created, updated, cleared) \
             SELECT {op}, {sync}, CURRENT_TIMESTAMP(), {result}, tg_created, tg_updated, tg_cleared;\n\
             COMMIT TRANSACTION;"
        );
        (sql, params.0)
    }

    /// Runs the script of an operation.
    pub(super) async fn carry_out(&self, op: &OpId, body: Body, result: &str, doing: &str) -> Result<End> {
        let (sql, params) = self.script(op, body, result);
        hit("bigquery.before_job");
        let ended = self.job(op, &sql, &params, doing).await?;
        hit("bigquery.after_job");
        match ended {
            Ok(()) => self.span(op).await.map(End::Done),
            Err(refusal) => match refusal.raised() {
                Some("done") => self.span(op).await.map(End::Before),
                Some("fence") => {
                    self.judge().await?;
                    Err(Error::new(
                        ErrorKind::Locked,
                        format!("{doing}: the fence row changed while the write was under way"),
                    ))
                }
                Some(word) => Ok(End::Raised(word.to_owned())),
                None => Err(refusal.error(doing)),
            },
        }
    }

    async fn span(&self, op: &OpId) -> Result<Span> {
        let told = self.told(op).await?;
        told.ok_or_else(|| Error::internal(format!("operation {} was carried out without its span row", op.0)))
    }

    /// One attempt more than those that are known to have failed.
    async fn job(
        &self,
        op: &OpId,
        sql: &str,
        params: &[Param],
        doing: &str,
    ) -> Result<std::result::Result<(), Refusal>> {
        let server = self.server;
        // The span table's name tells projects and datasets apart, the store and the sync whose operation it is.
        let name = hash(&[&op.0, &self.fence.sync, &self.fence.store, &self.spans]);
        for attempt in 0..ATTEMPTS_MAX {
            let id = format!("tidegate_{}_{attempt}", &name[..40]);
            match server.start(&id, self.location(), (sql, params), doing).await? {
                Ok(job) => return Ok(server.wait(job, doing).await?.map(|_| ())),
                Err(refusal) if refusal.duplicate() => {
                    let job = server.job(&id, self.location(), doing).await?;
                    match server.wait(job, doing).await? {
                        Ok(_) => return Ok(Ok(())),
                        Err(failed) => tracing::debug!(job = id, reason = failed.reason, "an attempt before failed"),
                    }
                }
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Err(Error::internal(format!("{doing}: operation {} has failed {ATTEMPTS_MAX} times", op.0)))
    }
}

const FENCE_FIELDS: [(&str, &str); 3] = [("sync", "STRING"), ("store", "STRING"), ("epoch", "INT64")];
const SPAN_FIELDS: [(&str, &str); 7] = [
    ("op", "STRING"),
    ("sync", "STRING"),
    ("at", "TIMESTAMP"),
    ("result", "STRING"),
    ("created", "INT64"),
    ("updated", "INT64"),
    ("cleared", "INT64"),
];

fn span_of(answer: &Answer) -> Option<Span> {
    let [Some(result), Some(created), Some(updated), Some(cleared)] = answer.rows.first()?.as_slice() else {
        return None;
    };
    let number = |text: &String| text.parse().unwrap_or(0);
    Some(Span { result: result.clone(), created: number(created), updated: number(updated), cleared: number(cleared) })
}

fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
