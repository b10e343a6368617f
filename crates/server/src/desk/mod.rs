//! The desk: everything that a person or a program may ask of an open project, as plain answers. The API and the pages
//! stand on it and on nothing else, so that whatever a page shows or does, a call shows or does too.
//!
//! It is implemented where the project is opened; this crate knows neither files nor connectors.

mod answers;
mod asks;
mod connection;
mod draft;
mod sync;

pub use answers::*;
pub use asks::*;
use async_trait::async_trait;
pub use connection::*;
pub use draft::*;
pub use sync::*;
use tidegate_model::Result;
use tidegate_model::ports::Scratch;
use tidegate_model::secret::Secret;

/// An open project. Errors are for people; what is named and not there is `NotFound`. Nothing here asks who calls:
/// that was done before.
#[async_trait]
pub trait Desk: Send + Sync {
    /// The project as a whole.
    async fn project(&self) -> Result<ProjectAnswer>;

    /// All syncs, in the order in which they run.
    async fn syncs(&self) -> Result<Vec<SyncAnswer>>;
    /// One sync, with its mapping.
    async fn sync(&self, sync: &str) -> Result<SyncDetail>;
    /// What a run would do. Writes nothing.
    async fn plan(&self, sync: &str, ask: &PlanAsk) -> Result<PlanAnswer>;
    /// Queues a run. What is queued already is not queued twice.
    async fn start(&self, sync: &str, ask: &StartAsk) -> Result<Queued>;
    /// Queues a full run of every sync of a connection, in the order of references.
    async fn full_sync(&self, connection: &str, by: &str) -> Result<Vec<Queued>>;
    /// Takes a waiting run out of the queue.
    async fn unqueue(&self, sync: &str) -> Result<()>;
    /// Stops a sync from running by itself, or lets it again.
    async fn pause(&self, sync: &str, paused: bool, by: &str) -> Result<()>;
    /// Turns the automation of a sync; `None`: as its file says.
    async fn automation(&self, sync: &str, on: Option<bool>) -> Result<()>;

    /// Runs, newest first.
    async fn runs(&self, ask: &RunsAsk) -> Result<Page<RunAnswer>>;
    /// One run.
    async fn run(&self, run: &str) -> Result<RunAnswer>;
    /// Lines of a run's log.
    async fn log(&self, run: &str, ask: &ListAsk) -> Result<Page<LogLine>>;
    /// Lines of the logs of all runs, newest first.
    async fn logs(&self, ask: &OfSyncAsk) -> Result<Page<RunLogLine>>;
    /// Writes of a run.
    async fn writes(&self, run: &str, ask: &ListAsk) -> Result<Page<WriteAnswer>>;
    /// Asks a run to stop at its next safe point.
    async fn cancel(&self, run: &str) -> Result<()>;
    /// Puts back what a run overwrote, where nobody changed it since.
    async fn undo(&self, run: &str) -> Result<Undone>;

    /// Open rejects.
    async fn rejects(&self, ask: &OfSyncAsk) -> Result<Page<RejectAnswer>>;
    /// Open rejects as CSV; a text that a spreadsheet would take for a formula stays text.
    async fn rejects_csv(&self, sync: Option<&str>) -> Result<String>;
    /// Conflicts, newest first.
    async fn conflicts(&self, ask: &ConflictsAsk) -> Result<Page<ConflictAnswer>>;
    /// Decides a conflict; the next run writes it.
    async fn resolve(&self, ask: &ResolveAsk) -> Result<()>;
    /// Everything about one record.
    async fn why(&self, sync: &str, key: &str) -> Result<WhyAnswer>;

    /// Types of connections, with the settings of each as JSON Schema.
    async fn kinds(&self) -> Result<Vec<KindAnswer>>;
    /// All connections.
    async fn connections(&self) -> Result<Vec<ConnectionAnswer>>;
    /// One connection, with its settings as written: references, never what they stand for.
    async fn connection(&self, connection: &str) -> Result<ConnectionDetail>;
    /// Whether a connection works, and what to mend.
    async fn check_connection(&self, connection: &str) -> Result<Vec<FindingAnswer>>;
    /// Whether a sync would run, and what to mend.
    async fn check_sync(&self, sync: &str) -> Result<Vec<FindingAnswer>>;
    /// What there is at a place: entries of a catalogue, columns of a relation, models, or fields of a model.
    async fn discover(&self, connection: &str, place: Option<&str>) -> Result<Discovered>;
    /// Turns a connection on or off; `None`: as its file says.
    async fn enable(&self, connection: &str, on: Option<bool>) -> Result<()>;
    /// Turns the automation of a connection; `None`: as its file says.
    async fn connection_automation(&self, connection: &str, on: Option<bool>) -> Result<()>;
    /// Records, events or rows of a platform that can be looked into.
    async fn records(&self, connection: &str, ask: &RecordsAsk) -> Result<Page<serde_json::Value>>;
    /// All of them as they stand at one moment, whatever `limit` and `after` say: a JSON text each, in scratch space.
    async fn all_records(&self, connection: &str, ask: &RecordsAsk) -> Result<Box<dyn Scratch>>;

    /// The last days on which a series of a platform has entries, oldest first; none where nobody knows.
    async fn usage(&self, connection: &str, series: &str, days: u32) -> Result<Vec<UsageAnswer>>;
    /// The SQL and steps that set the other system up for a connection; `None`: there is nothing to set up there.
    async fn setup(&self, connection: &str, ask: &SetupAsk) -> Result<Option<String>>;

    /// Where another system sends a browser back to. `here` is our own address as the browser knows it, for projects that
    /// do not say.
    async fn redirect_uri(&self, here: &str) -> Result<String>;
    /// Begins to sign in to a connection with a browser; `None`: nobody signs in to it.
    async fn begin_sign_in(&self, connection: &str, here: &str) -> Result<Option<SignInAnswer>>;
    /// Ends it with what the browser brought back; the connection that it was for.
    async fn end_sign_in(&self, query: &str) -> Result<String>;

    /// Ten rows through the mapping that a sync would have with this text. Writes nothing.
    async fn preview(&self, sync: &str, text: &str) -> Result<PreviewAnswer>;
    /// What the next run would do if a sync had this text. Writes nothing.
    async fn plan_draft(&self, sync: &str, text: &str, ask: &PlanAsk) -> Result<PlanAnswer>;

    /// A file of the project, as it stands.
    async fn file(&self, file: &FileName) -> Result<FileAnswer>;
    /// What would be wrong with the project if a file had this text; writes nothing.
    async fn check_file(&self, file: &FileName, text: &str) -> Result<Vec<ProblemAnswer>>;
    /// Writes a file, if the project stays well formed and nobody changed the file since.
    async fn save_file(&self, file: &FileName, ask: &SaveAsk) -> Result<FileAnswer>;
    /// Removes a file. Its state stays, and is listed as orphaned.
    async fn remove_file(&self, file: &FileName) -> Result<()>;

    /// Names of secrets, never values.
    async fn secrets(&self) -> Result<Vec<SecretAnswer>>;
    /// Keeps a secret, encrypted. Where it says how a connection is reached, that connection's other secrets do not follow:
    /// the names of those that went.
    async fn set_secret(&self, name: &str, value: &Secret) -> Result<Vec<String>>;
    /// Removes a secret; the same of others that went with it.
    async fn remove_secret(&self, name: &str) -> Result<Vec<String>>;
}
