//! A project on a bad day: calls meet again and again with what BigQuery and the way to it are known for, and lines of
//! the Storage Read API break. A connector repeats nothing, so the calls are repeated here, as the engine repeats them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tidegate_model::change::{Change, Outcome};
use tidegate_model::finding::Finding;
use tidegate_model::page::{Page, PageStream, Pages};
use tidegate_model::ports::{Entry, Load, Loaded, Need, Place, ReadAsk, Warehouse, WarehouseAbilities};
use tidegate_model::record::Key;
use tidegate_model::schema::{Relation, RelationSchema, Source};
use tidegate_model::span::{CursorPoint, Fence, OpId};
use tidegate_model::{Error, Instant, Result};

/// Faults come one after the other in calls of all kinds: enough for a write to get through.
const ATTEMPTS: usize = 12;
/// Findings of `check` that only say that something was not to be had just then.
const PASSING: [&str; 3] = ["lost", "unavailable", "rate_limited"];

/// Loads whose answer somebody has had, by their table and operation.
static ANSWERED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Repeats what may be repeated: everything here is known by its operation, or only reads.
pub struct Insistent(pub Arc<dyn Warehouse>);

async fn insist<T, F: Future<Output = Result<T>>>(mut call: impl FnMut() -> F) -> Result<(T, usize)> {
    for attempt in 1.. {
        match call().await {
            Ok(answer) => return Ok((answer, attempt)),
            Err(error) if PASSING.contains(&error.code()) && attempt < ATTEMPTS => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => return Err(error),
        }
    }
    unreachable!()
}

async fn once<T, F: Future<Output = Result<T>>>(call: impl FnMut() -> F) -> Result<T> {
    insist(call).await.map(|(answer, _)| answer)
}

/// Pages that may be handed over more than once, and the error that ends them, if one does.
struct Kept {
    pages: Vec<Page>,
    error: Option<Error>,
    at: usize,
}

#[async_trait]
impl PageStream for Kept {
    async fn next(&mut self) -> Result<Option<Page>> {
        self.at += 1;
        match (self.pages.get(self.at - 1), &self.error) {
            (Some(page), _) => Ok(Some(page.clone())),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Ok(None),
        }
    }
}

#[async_trait]
impl Warehouse for Insistent {
    fn abilities(&self) -> WarehouseAbilities {
        self.0.abilities()
    }

    async fn check(&self, needs: &[Need]) -> Vec<Finding> {
        let passing = |finding: &Finding| PASSING.contains(&finding.finding.as_str());
        let mut findings = self.0.check(needs).await;
        for _ in 1..ATTEMPTS {
            if !findings.iter().any(passing) {
                break;
            }
            findings = self.0.check(needs).await;
        }
        findings
    }

    async fn browse(&self, at: &Place) -> Result<Vec<Entry>> {
        once(|| self.0.browse(at)).await
    }

    async fn describe(&self, source: &Source) -> Result<RelationSchema> {
        once(|| self.0.describe(source)).await
    }

    async fn now(&self) -> Result<Instant> {
        once(|| self.0.now()).await
    }

    async fn bound(&self, source: &Source, column: &str, key: &str) -> Result<Option<CursorPoint>> {
        once(|| self.0.bound(source, column, key)).await
    }

    async fn read(&self, ask: ReadAsk) -> Result<Pages> {
        once(|| self.0.read(ask.clone())).await
    }

    async fn fetch(&self, source: &Source, columns: &[String], key: &str, keys: &[Key], zone: &str) -> Result<Page> {
        once(|| self.0.fetch(source, columns, key, keys, zone)).await
    }

    async fn count(&self, source: &Source) -> Result<u64> {
        once(|| self.0.count(source)).await
    }

    async fn load(&self, relation: &Relation, load: &Load, mut pages: Pages) -> Result<Loaded> {
        let mut kept = Vec::new();
        let error = loop {
            match pages.next().await {
                Ok(Some(page)) => kept.push(page),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let again = || Box::new(Kept { pages: kept.clone(), error: error.clone(), at: 0 });
        let (loaded, attempts) = insist(|| self.0.load(relation, load, again())).await?;
        // What was carried out before its answer was lost is this very call's, unless an earlier call was answered.
        let first = ANSWERED.lock().expect("nobody fell").insert(format!("{relation} {}", load.op.0));
        let replayed = loaded.replayed && (attempts == 1 || !first);
        Ok(Loaded { replayed, ..loaded })
    }

    async fn write(
        &self,
        relation: &Relation,
        key: &str,
        batch: &[Change],
        op: &OpId,
        fence: &Fence,
    ) -> Result<Vec<Outcome>> {
        once(|| self.0.write(relation, key, batch, op, fence)).await
    }

    async fn adopt(&self, fence: &Fence) -> Result<()> {
        once(|| self.0.adopt(fence)).await
    }
}
