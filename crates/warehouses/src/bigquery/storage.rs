//! Results by the Storage Read API: Arrow, in as many streams as the order allows, each resumed at its row if the
//! connection breaks. Where the API may not be used, the same rows come by REST.

use std::sync::Arc;
use std::time::Duration;

use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use bytes::Bytes;
use google_cloud_bigquery::client::Read;
use google_cloud_bigquery::model::read_rows_response::Rows;
use google_cloud_bigquery::model::{DataFormat, ReadRowsResponse, ReadSession};
use google_cloud_bigquery::read::retry_policy::RetryableErrors;
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::retry_policy::{NeverRetry, RetryPolicyExt};
use tidegate_model::page::{Page, PageStream, Pages};
use tidegate_model::{Error, ErrorKind, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::config::Storage;
use super::decode::{Wanted, page, schema};
use super::server::{Answer, Server};
use super::text;
use crate::cut::cut;

/// Streams of one read: enough to keep two cores decoding.
const STREAMS_MAX: i32 = 4;
/// Messages of all streams that are under way at once, from being asked for until their last page is handed out: a slow
/// consumer holds no more. BigQuery sends some megabytes each.
const MESSAGES_MAX: usize = 3;
/// Times that a stream is taken up again without a row in between.
const RESUMED_MAX: u32 = 5;
/// Longest wait for a session.
const SESSION_MAX: Duration = Duration::from_secs(60);
/// Silence after which a stream is broken.
const SILENCE: Duration = Duration::from_secs(120);

/// A client of the Storage Read API.
pub(super) struct Reader(Read);

/// Why a result is read by REST instead.
enum NotHere {
    /// The API is not there for us: no right, no way.
    Closed(Closed),
    Failed(Error),
}

/// A way that is closed: why, and what opens it.
pub(super) struct Closed {
    pub(super) why: String,
    pub(super) fix: String,
}

impl NotHere {
    fn closed(why: &str, fix: impl Into<String>) -> Self {
        Self::Closed(Closed { why: why.to_owned(), fix: fix.into() })
    }
}

/// Whether results may be read here: a session on one is opened, and nothing is read of it.
pub(super) async fn closed(server: &Server, answer: &Answer, doing: &str) -> Result<Option<Closed>> {
    if server.storage == Storage::Nowhere {
        return Ok(None);
    }
    match open(server, answer, true, doing).await {
        Ok(_) => Ok(None),
        Err(NotHere::Closed(closed)) => Ok(Some(closed)),
        Err(NotHere::Failed(error)) => Err(error),
    }
}

impl Reader {
    async fn connect(server: &Server) -> Result<Self> {
        let credentials = server.rest.tokens().credentials().await?;
        let mut builder = Read::builder().with_credentials(credentials).with_retry_policy(NeverRetry);
        if let Storage::At(endpoint) = &server.storage {
            builder = builder.with_endpoint(endpoint.clone());
        }
        let client = builder.build().await;
        client.map(Self).map_err(|error| Error::config("the Storage Read API cannot be set up").cause(error))
    }
}

/// The pages of a finished query.
pub(super) async fn pages(
    server: &Arc<Server>,
    answer: Answer,
    columns: Vec<Wanted>,
    ordered: bool,
    page_rows: usize,
    doing: &str,
) -> Result<Pages> {
    let plan = Arc::new(Plan {
        schema: schema(&columns),
        columns,
        page_rows: page_rows.max(1),
        doing: doing.to_owned(),
        job: answer.job.clone(),
    });
    if answer.total == 0 {
        return Ok(Box::new(tidegate_model::page::Held(Default::default())));
    }
    if server.storage == Storage::Nowhere {
        return Ok(by_rest(server, answer, plan));
    }
    let session = match open(server, &answer, ordered, doing).await {
        Ok(session) => session,
        Err(NotHere::Failed(error)) => return Err(error),
        Err(NotHere::Closed(Closed { why, .. })) => {
            tracing::info!(connection = %server.name, "{doing}: by REST, which is slower: {why}");
            return Ok(by_rest(server, answer, plan));
        }
    };
    let (sender, pages) = mpsc::channel(1);
    let room = Arc::new(Semaphore::new(MESSAGES_MAX));
    let mut tasks = JoinSet::new();
    for stream in session.streams {
        let client = server.reader.get().map(|reader| reader.0.clone());
        let header = session.header.clone();
        tasks.spawn(one_stream(plan.clone(), client, stream, header, (sender.clone(), room.clone())));
    }
    drop(sender);
    Ok(Box::new(Reading { pages, _tasks: tasks, plan, promised: answer.total, received: 0 }))
}

/// A read session: its streams, and the schema that goes before each of their messages.
struct Session {
    streams: Vec<String>,
    header: Bytes,
}

async fn open(server: &Server, answer: &Answer, ordered: bool, doing: &str) -> std::result::Result<Session, NotHere> {
    let reader = server.reader.get_or_try_init(|| Reader::connect(server)).await.map_err(NotHere::Failed)?;
    let job = server.job(&answer.job, answer.location.as_deref(), doing).await.map_err(NotHere::Failed)?;
    let part = |name: &str| job["configuration"]["query"]["destinationTable"][name].as_str();
    let (Some(project), Some(dataset), Some(table)) = (part("projectId"), part("datasetId"), part("tableId")) else {
        return Err(NotHere::closed("the job names no table of its result", ""));
    };
    let wanted = ReadSession::new()
        .set_table(format!("projects/{project}/datasets/{dataset}/tables/{table}"))
        .set_data_format(DataFormat::Arrow);
    let ask = reader
        .0
        .create_read_session()
        .set_parent(format!("projects/{}", server.project))
        .set_read_session(wanted)
        // Rows of a sorted result come in its order only where one stream brings them all.
        .set_max_stream_count(if ordered { 1 } else { STREAMS_MAX });
    let session = match tokio::time::timeout(SESSION_MAX, ask.send()).await {
        Ok(Ok(session)) => session,
        Ok(Err(error)) => return Err(refused(&error, &server.project, doing)),
        Err(_) => return Err(NotHere::closed("the Storage Read API gives no answer", UNREACHED)),
    };
    let header = session.arrow_schema().map(|schema| schema.serialized_schema.clone()).unwrap_or_default();
    let streams: Vec<String> = session.streams.iter().map(|stream| stream.name.clone()).collect();
    if streams.is_empty() {
        return Err(NotHere::closed("the session has no streams", ""));
    }
    Ok(Session { streams, header })
}

const UNREACHED: &str = "let gRPC through to bigquerystorage.googleapis.com (it takes no proxy), name another `storage_endpoint:`, or write `none` there";

fn refused(error: &google_cloud_bigquery::Error, project: &str, doing: &str) -> NotHere {
    let code = error.status().map(|status| status.code);
    match code {
        Some(Code::PermissionDenied)
            if error.status().is_some_and(|status| status.message.contains("has not been used in project")) =>
        {
            let fix = format!("gcloud services enable bigquerystorage.googleapis.com --project={project}");
            NotHere::closed("the Storage Read API is off in the project", fix)
        }
        Some(Code::PermissionDenied) => {
            let fix = super::check::grant(project, "roles/bigquery.readSessionUser");
            NotHere::closed("roles/bigquery.readSessionUser is missing", fix)
        }
        Some(Code::Unimplemented | Code::Unavailable) | None => {
            NotHere::closed("the Storage Read API cannot be reached", UNREACHED)
        }
        _ => NotHere::Failed(failed(error, doing)),
    }
}

/// An error of the API in our words. Its messages speak of streams and sessions, never of rows.
fn failed(error: &google_cloud_bigquery::Error, doing: &str) -> Error {
    let kind = match error.status().map(|status| status.code) {
        Some(Code::Unauthenticated) => ErrorKind::Unauthorized,
        Some(Code::PermissionDenied) => ErrorKind::Forbidden,
        Some(Code::NotFound) => ErrorKind::NotFound,
        Some(Code::ResourceExhausted) => ErrorKind::RateLimited,
        Some(Code::InvalidArgument) => ErrorKind::BadRequest,
        _ => ErrorKind::Unavailable,
    };
    let cause = error.status().map_or_else(|| error.to_string(), |status| status.message.clone());
    Error::new(kind, format!("{doing}: the Storage Read API did not bring the rows")).cause(cause)
}

/// What decoding needs to know.
struct Plan {
    columns: Vec<Wanted>,
    schema: SchemaRef,
    page_rows: usize,
    doing: String,
    job: String,
}

struct Reading {
    pages: mpsc::Receiver<Result<Page>>,
    _tasks: JoinSet<()>,
    plan: Arc<Plan>,
    promised: u64,
    received: u64,
}

#[async_trait]
impl PageStream for Reading {
    async fn next(&mut self) -> Result<Option<Page>> {
        match self.pages.recv().await.transpose()? {
            Some(page) => {
                self.received += page.len() as u64;
                Ok(Some(page))
            }
            None if self.received == self.promised => Ok(None),
            None => Err(self.plan.short(self.promised, self.received)),
        }
    }
}

/// Reads a stream to its end, decoding one message while the next one comes.
async fn one_stream(
    plan: Arc<Plan>,
    client: Option<Read>,
    stream: String,
    header: Bytes,
    (sender, room): (mpsc::Sender<Result<Page>>, Arc<Semaphore>),
) {
    let Some(client) = client else { return };
    let (raw, mut messages) = mpsc::channel::<(Result<Bytes>, OwnedSemaphorePermit)>(MESSAGES_MAX);
    let silent = plan.clone();
    let mut fetching = JoinSet::new();
    fetching.spawn(async move {
        let policy = RetryableErrors.with_attempt_limit(RESUMED_MAX);
        let mut rows = client.read_rows().set_read_stream(stream).into_reader().with_retry_policy(policy);
        // The semaphore is never closed; were it, the rows that lack would be told.
        while let Ok(place) = room.clone().acquire_owned().await {
            let message = match tokio::time::timeout(SILENCE, rows.next()).await {
                Ok(Some(Ok(message))) => Ok(batch_of(message)),
                Ok(Some(Err(error))) => Err(failed(&error, &silent.doing)),
                Ok(None) => return,
                Err(_) => Err(silent.damaged("a stream fell silent")),
            };
            let last = message.is_err();
            if raw.send((message, place)).await.is_err() || last {
                return;
            }
        }
    });
    while let Some((message, _place)) = messages.recv().await {
        let pages = match message {
            Ok(bytes) => decode(&plan, &header, bytes).await,
            Err(error) => Err(error),
        };
        let (pages, error) = match pages {
            Ok(pages) => (pages, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        for page in pages {
            if sender.send(Ok(page)).await.is_err() {
                return;
            }
        }
        if let Some(error) = error {
            // If nobody listens any more, nobody needs to know.
            let _nobody = sender.send(Err(error)).await;
            return;
        }
    }
}

fn batch_of(message: ReadRowsResponse) -> Bytes {
    match message.rows {
        Some(Rows::ArrowRecordBatch(batch)) => batch.serialized_record_batch,
        _ => Bytes::new(),
    }
}

/// Decoding takes milliseconds of work: it must not hold up what waits for the network.
async fn decode(plan: &Arc<Plan>, header: &Bytes, batch: Bytes) -> Result<Vec<Page>> {
    let (plan, header) = (plan.clone(), header.clone());
    let work = tokio::task::spawn_blocking(move || plan.pages(&header, batch));
    work.await.map_err(|error| Error::internal("decoding a result failed").cause(error))?
}

impl Plan {
    fn damaged(&self, what: &str) -> Error {
        Error::new(ErrorKind::Unavailable, format!("{}: {what}", self.doing))
            .cause(format!("job {}", self.job))
            .hint("nothing was concluded from it; the next run reads again")
    }

    fn short(&self, promised: u64, received: u64) -> Error {
        self.damaged(&format!("{received} rows came where {promised} were promised"))
    }

    fn pages(&self, header: &Bytes, batch: Bytes) -> Result<Vec<Page>> {
        let broken = |error: arrow_schema::ArrowError| self.damaged("a part of the result is no Arrow").cause(error);
        let mut decoder = StreamDecoder::new();
        let mut header = Buffer::from(header.clone());
        while !header.is_empty() {
            decoder.decode(&mut header).map_err(broken)?;
        }
        // The arrays that are decoded point into these bytes; only what has to be converted is copied.
        let mut batch = Buffer::from(batch);
        let mut pages = Vec::new();
        while !batch.is_empty() {
            if let Some(batch) = decoder.decode(&mut batch).map_err(broken)? {
                pages.extend(cut(&page(&batch, &self.columns, &self.schema)?, self.page_rows));
            }
        }
        Ok(pages)
    }
}

/// The same rows by REST, one answer after the other.
struct Paging {
    server: Arc<Server>,
    answer: Answer,
    plan: Arc<Plan>,
    ready: std::collections::VecDeque<Page>,
    begun: bool,
    received: u64,
}

fn by_rest(server: &Arc<Server>, answer: Answer, plan: Arc<Plan>) -> Pages {
    let ready = std::collections::VecDeque::new();
    Box::new(Paging { server: server.clone(), answer, plan, ready, begun: false, received: 0 })
}

#[async_trait]
impl PageStream for Paging {
    async fn next(&mut self) -> Result<Option<Page>> {
        loop {
            if let Some(page) = self.ready.pop_front() {
                self.received += page.len() as u64;
                return Ok(Some(page));
            }
            let token = self.answer.token.take();
            if self.begun && token.is_none() {
                let promised = self.answer.total;
                return if self.received == promised {
                    Ok(None)
                } else {
                    Err(self.plan.short(promised, self.received))
                };
            }
            let more = self.server.page(&self.answer, token.as_deref(), &self.plan.doing).await?;
            (self.begun, self.answer.token) = (true, more.token);
            self.ready.extend(text::pages(&more.rows, &self.plan.columns, self.plan.page_rows)?);
        }
    }
}
