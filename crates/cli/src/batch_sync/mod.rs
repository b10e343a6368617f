//! `batch-sync`: the container job, in the place of the one that Batch publishes. No project and no state of its own:
//! what it has to remember stands in tables of the customer's schema.

mod deliver;
mod lease;
mod rows;
mod settings;
mod shape;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tidegate_engine::run::retry::insist;
use tidegate_model::finding::Severity;
use tidegate_model::ports::{Cancel, Env, Outbox, Platform, Warehouse};
use tidegate_model::schema::{ModelName, Source};
use tidegate_model::{Error, ErrorKind, Result};
use tidegate_platforms::batch::PROFILE;
use tidegate_warehouses::OpenContext;
use tidegate_warehouses::snowflake::job::{self, JobTables, Run};

use crate::app::{App, Failure};
use crate::out::{Object, count};
use crate::signals::Signals;
use crate::surroundings::World;
use deliver::Delivery;
use lease::Held;
use settings::Around;
pub use settings::parameters;
pub use shape::Asked;
use shape::{needs, shape};

/// Points the job at another Profile API than Batch's own.
const URL_VARIABLE: &str = "TIDEGATE_BATCH_URL";
/// Most characters of an error that is kept with its run.
const ERROR_CHARS_MAX: usize = 2_000;

/// The process's own surroundings.
struct Process;

impl Around for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn is_there(&self, path: &Path) -> bool {
        path.exists()
    }

    fn read(&self, path: &Path) -> Result<String> {
        std::fs::read_to_string(path).map_err(|error| {
            Error::config(format!("the key file {} cannot be read", path.display()))
                .cause(error)
                .hint("name the PEM file of the user's private key")
        })
    }
}

/// The job, with both sides opened and nothing called yet.
struct Job {
    asked: Asked,
    sync: String,
    warehouse: Arc<dyn Warehouse>,
    tables: Arc<JobTables>,
    env: Arc<dyn Env>,
    cancel: Cancel,
}

/// Runs the job once; the exit code.
pub async fn run(
    app: &App,
    asked: Asked,
    parameters: &serde_json::Map<String, serde_json::Value>,
) -> Result<u8, Failure> {
    let signals = Signals::listen()?;
    let env: Arc<dyn Env> = Arc::new(World::new(PathBuf::from(".")));
    let connection = settings::connection(parameters, &Process)?;
    let context = OpenContext {
        project_dir: PathBuf::from("/"),
        access_write: true,
        work_schema: connection.schema.clone(),
        name: "batch-sync".to_owned(),
        vault: tidegate_warehouses::in_memory(),
        targets: None,
    };
    let (warehouse, tables) = job::open(&connection.settings, &context)?;
    let sync = asked.sync(connection.settings["database"].as_str(), &connection.schema);
    let cancel = signals.cancel.clone();
    let job = Job { asked, sync, warehouse, tables: Arc::new(tables), env, cancel };
    insist(&*job.env, &job.cancel, || job.tables.make()).await?;
    let mut run = Run { id: job.env.new_id(), sync: job.sync.clone(), status: "running".to_owned(), ..Run::default() };
    job.tables.begin(&run).await?;
    let outcome = job.work(&mut run).await;
    let code = closed(&mut run, outcome.as_ref().err(), signals.exit_code());
    let noted = insist(&*job.env, &Cancel::default(), || job.tables.end(&run)).await;
    report(app, &run)?;
    let mut errors = outcome.err().unwrap_or_default();
    errors.extend(noted.err());
    match errors.is_empty() {
        true => Ok(code),
        false => Err(Failure { errors, code: if code == 0 { 1 } else { code } }),
    }
}

/// How the run ended, in a word and an exit code.
fn closed(run: &mut Run, errors: Option<&Vec<Error>>, signal: Option<u8>) -> u8 {
    let (status, code) = match errors.and_then(|errors| errors.first()) {
        Some(error) if error.kind == ErrorKind::Cancelled => ("cancelled", signal.unwrap_or(1)),
        Some(error) if error.kind == ErrorKind::Config => ("failed", 2),
        Some(_) => ("failed", 1),
        None if run.rejected + run.dropped > 0 => ("partial", 3),
        None => ("succeeded", 0),
    };
    run.status = status.to_owned();
    let told = errors.map(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
    run.error = told.map(|text| text.chars().take(ERROR_CHARS_MAX).collect());
    code
}

impl Job {
    async fn work(&self, run: &mut Run) -> Result<(), Vec<Error>> {
        let one = |error: Error| vec![error];
        let (platform, shape) = self.prepare().await?;
        let held = Held::take(&self.tables, &self.env, &self.sync, &run.id, &self.cancel).await.map_err(one)?;
        let beat = held.beat();
        let delivery = Delivery {
            warehouse: self.warehouse.clone(),
            tables: self.tables.clone(),
            platform,
            held: held.clone(),
            env: self.env.clone(),
            cancel: self.cancel.clone(),
            shape: &shape,
            outbox: Outbox { stream: self.asked.stream.clone(), sync: self.sync.clone() },
        };
        let done = delivery.run(run).await;
        drop(beat);
        // One that cannot be given back is over by itself.
        let given = insist(&*self.env, &Cancel::default(), || held.release()).await;
        done.and(given).map_err(one)
    }

    /// Everything that can be wrong before anything is moved.
    async fn prepare(&self) -> Result<(Arc<dyn Platform>, shape::Shape), Vec<Error>> {
        let one = |error: Error| vec![error];
        let Asked { project_key, credentials, stream, .. } = &self.asked;
        let key = || self.tables.key(credentials, project_key);
        let key = insist(&*self.env, &self.cancel, key).await.map_err(one)?;
        let mut config = json!({ "project_key": project_key, "rest_api_key": key.expose() });
        if let Some(url) = Process.variable(URL_VARIABLE) {
            config["url"] = json!(url);
        }
        let context = tidegate_platforms::OpenContext {
            project_dir: PathBuf::from("/"),
            name: "Batch".to_owned(),
            ..Default::default()
        };
        let platform = tidegate_platforms::open("batch", &config, &context).map_err(one)?;
        let model = platform.model(&ModelName(PROFILE.to_owned())).await.map_err(one)?;
        let source = Source::Relation(stream.clone());
        let describe = || self.warehouse.describe(&source);
        let relation = insist(&*self.env, &self.cancel, describe).await.map_err(one)?;
        let shape = shape(&self.asked, &relation, &model).map_err(one)?;
        let found = platform.check(&needs(&shape)).await;
        let bad = found.into_iter().filter(|finding| finding.severity == Severity::Critical);
        let bad: Vec<Error> = bad.map(|finding| Error::config(finding.why).hint(in_the_view(&finding.fix))).collect();
        if bad.is_empty() { Ok((platform, shape)) } else { Err(bad) }
    }
}

/// The connector speaks of the lines of a sync; here a view takes their place.
fn in_the_view(fix: &str) -> String {
    match fix.strip_prefix("map it to custom.") {
        Some(name) => format!("name the column in the view: … AS {name}"),
        None => format!("change the view that the stream is on: leave columns out, or cast them ({fix})"),
    }
}

fn report(app: &App, run: &Run) -> Result<()> {
    if app.out.json {
        let mut line = Object::default();
        line.put("sync", run.sync.as_str()).put("run", run.id.as_str()).put("status", run.status.as_str());
        line.put("moved", run.moved).put("delivered", run.delivered).put("rejected", run.rejected);
        line.put("dropped_fields", run.dropped).put("left", run.left).put("requests", run.requests);
        line.put("error", run.error.as_deref());
        return app.out.json(&line);
    }
    app.out.note(&format!(
        "{}: {}; {} moved from the stream, {} delivered in {}, {} rejected, {} left out, {} left the source",
        run.sync,
        run.status,
        count(run.moved, "row"),
        count(run.delivered, "profile"),
        count(run.requests, "call"),
        run.rejected,
        count(run.dropped, "attribute"),
        run.left,
    ));
    if run.rejected + run.dropped > 0 {
        app.out.note(&format!("TIDEGATE_REJECTS lists why, by RUN = '{}'", run.id));
    }
    Ok(())
}
