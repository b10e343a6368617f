//! The pages of a result: its parts are fetched and decoded some ahead, in order, within a budget of bytes; and every
//! row that the server promised has come, or the read has failed.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use bytes::Bytes;
use tidegate_model::page::{Page, PageStream, Pages};
use tidegate_model::{Error, ErrorKind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::decode::{Wanted, page, schema};
use super::text;
use super::wire::{Addresses, Answer, Format, Part, Rooms};
use crate::builder::PageMaker;
use crate::cut::cut;

/// Parts on their way at once: enough to hide the way to the storage and to keep a few cores decoding.
const AHEAD_PARTS_MAX: usize = 4;
/// Of them, those that may be inflated before their turn comes: more than there are cores would only fill memory, and
/// memory that was never used before costs as much as decoding into it.
static INFLATED_AHEAD_MAX: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(2, Into::into));
/// Inflated bytes of parts that are on their way or wait: a slow consumer holds no more. A part that is larger than
/// all of it goes alone.
const AHEAD_KB_MAX: u32 = 32 << 10;

/// What decoding needs to know.
struct Plan {
    columns: Vec<Wanted>,
    schema: SchemaRef,
    format: Format,
    rooms: Rooms,
    page_rows: usize,
    doing: String,
    query_id: String,
}

struct Reading {
    pages: mpsc::Receiver<Result<Page>>,
    task: JoinHandle<()>,
}

#[async_trait]
impl PageStream for Reading {
    async fn next(&mut self) -> Result<Option<Page>> {
        self.pages.recv().await.transpose()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The pages of an answer, with these columns.
pub(super) fn pages(answer: Answer, columns: Vec<Wanted>, page_rows: usize, doing: &str) -> Pages {
    let plan = Arc::new(Plan {
        schema: schema(&columns),
        columns,
        format: answer.format,
        rooms: Rooms::new(),
        page_rows: page_rows.max(1),
        doing: doing.to_owned(),
        query_id: answer.query_id,
    });
    let (sender, pages) = mpsc::channel(1);
    let (total, first, rest) = (answer.total, answer.first, answer.rest);
    let task = tokio::spawn(async move {
        if let Err(error) = deliver(&plan, total, first, rest, &sender).await {
            // If nobody listens any more, nobody needs to know.
            let _nobody = sender.send(Err(error)).await;
        }
    });
    Box::new(Reading { pages, task })
}

/// A part that is being fetched and decoded. Dropped, that ends.
struct Coming {
    task: JoinHandle<Result<Vec<Page>>>,
    /// Told once it may be inflated.
    turn: Option<oneshot::Sender<()>>,
    _budget: OwnedSemaphorePermit,
    rows: Option<u64>,
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn deliver(
    plan: &Arc<Plan>,
    total: Option<u64>,
    first: Part,
    rest: Arc<Addresses>,
    sender: &mpsc::Sender<Result<Page>>,
) -> Result<()> {
    let budget = Arc::new(Semaphore::new(AHEAD_KB_MAX as usize));
    let mut coming: VecDeque<Coming> = VecDeque::new();
    let mut next = 0;
    let mut received = 0;
    let mut ready = Some(blocking(plan, move |plan| plan.first(first)).await?);
    loop {
        while next < rest.len() && coming.len() < AHEAD_PARTS_MAX {
            let kb = u32::try_from(rest.size(next) >> 10).unwrap_or(u32::MAX).clamp(1, AHEAD_KB_MAX);
            let Ok(permit) = budget.clone().try_acquire_many_owned(kb) else { break };
            coming.push_back(fetch(plan, &rest, next, permit));
            next += 1;
        }
        for turn in coming.iter_mut().take(*INFLATED_AHEAD_MAX).filter_map(|part| part.turn.take()) {
            // A part that failed meanwhile says so when its pages are asked for.
            let _failed = turn.send(());
        }
        // Held until its pages are taken: they are what the budget is about.
        let mut part = None;
        let pages = match ready.take() {
            Some(pages) => pages,
            None => match coming.pop_front() {
                Some(mut came) => {
                    let pages = joined((&mut came.task).await)??;
                    plan.promised(came.rows, &pages)?;
                    part = Some(came);
                    pages
                }
                None => break,
            },
        };
        for page in pages {
            received += page.len() as u64;
            if sender.send(Ok(page)).await.is_err() {
                return Ok(());
            }
        }
        drop(part);
    }
    match total {
        Some(total) if total != received => Err(plan.short(total, received)),
        _ => Ok(()),
    }
}

fn fetch(plan: &Arc<Plan>, rest: &Arc<Addresses>, at: usize, budget: OwnedSemaphorePermit) -> Coming {
    let (plan, rest) = (plan.clone(), rest.clone());
    let (rows, size) = (rest.rows(at), rest.size(at));
    let (turn, called) = oneshot::channel();
    let task = tokio::spawn(async move {
        let body = rest.fetch(at).await?;
        // Nobody calls once nobody reads any more: this task is then about to be dropped.
        let _given_up = called.await;
        blocking(&plan, move |plan| plan.part(body, size)).await
    });
    Coming { task, turn: Some(turn), _budget: budget, rows }
}

/// Inflating and decoding take milliseconds of work: they must not hold up what waits for the network.
async fn blocking(
    plan: &Arc<Plan>,
    work: impl FnOnce(&Plan) -> Result<Vec<Page>> + Send + 'static,
) -> Result<Vec<Page>> {
    let plan = plan.clone();
    joined(tokio::task::spawn_blocking(move || work(&plan)).await)?
}

fn joined<T>(result: std::result::Result<T, tokio::task::JoinError>) -> Result<T> {
    result.map_err(|error| Error::internal("decoding a result failed").cause(error))
}

impl Plan {
    fn damaged(&self, what: &str) -> Error {
        Error::new(ErrorKind::Unavailable, format!("{}: {what}", self.doing))
            .cause(format!("query {}", self.query_id))
            .hint("nothing was concluded from it; the next run reads again")
    }

    fn short(&self, promised: u64, received: u64) -> Error {
        self.damaged(&format!("{received} rows came where {promised} were promised"))
    }

    fn promised(&self, rows: Option<u64>, pages: &[Page]) -> Result<()> {
        let received = pages.iter().map(|page| page.len() as u64).sum();
        match rows {
            Some(promised) if promised != received => Err(self.short(promised, received)),
            _ => Ok(()),
        }
    }

    fn first(&self, part: Part) -> Result<Vec<Page>> {
        match part {
            Part::Arrow(bytes) if bytes.is_empty() => Ok(Vec::new()),
            Part::Arrow(bytes) => self.arrow(Buffer::from_vec(bytes)),
            Part::Json(rows) => self.json(&rows),
        }
    }

    fn part(&self, body: Vec<Bytes>, size: usize) -> Result<Vec<Page>> {
        let inflated = self.rooms.inflate(body, size).map_err(|_| self.damaged("a part of the result came damaged"))?;
        match self.format {
            Format::Arrow => self.arrow(Bytes::from_owner(inflated).into()),
            Format::Json => {
                // The rows of a part stand side by side without the brackets around them.
                let text = [b"[", inflated.as_ref().trim_ascii(), b"]"].concat();
                let rows: Vec<Vec<Option<String>>> =
                    serde_json::from_slice(&text).map_err(|_| self.damaged("a part of the result is no JSON"))?;
                self.json(&rows)
            }
        }
    }

    fn arrow(&self, mut buffer: Buffer) -> Result<Vec<Page>> {
        let broken = |error: arrow_schema::ArrowError| {
            let damaged = self.damaged("a part of the result is no Arrow stream");
            let below = damaged.cause.clone().unwrap_or_default();
            damaged.cause(format!("{error}, {below}"))
        };
        // The arrays that are decoded point into these bytes; only what has to be converted is copied.
        let mut decoder = StreamDecoder::new();
        let mut pages = Vec::new();
        while !buffer.is_empty() {
            if let Some(batch) = decoder.decode(&mut buffer).map_err(broken)? {
                pages.extend(cut(&page(&batch, &self.columns, &self.schema)?, self.page_rows));
            }
        }
        decoder.finish().map_err(broken)?;
        Ok(pages)
    }

    fn json(&self, rows: &[Vec<Option<String>>]) -> Result<Vec<Page>> {
        let columns = self.columns.iter().map(|column| (column.name.as_str(), column.logical));
        let mut maker = PageMaker::new(columns, self.page_rows);
        let mut pages = Vec::new();
        for row in rows {
            if row.len() != self.columns.len() {
                return Err(self.damaged("a row has not as many cells as the result has columns"));
            }
            for (at, (column, cell)) in self.columns.iter().zip(row).enumerate() {
                text::put(&mut maker, at, column, cell.as_deref());
            }
            if maker.end_row(0) {
                pages.push(maker.take()?);
            }
        }
        if !maker.is_empty() {
            pages.push(maker.take()?);
        }
        Ok(pages)
    }
}
