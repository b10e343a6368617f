//! The container job `tidegate batch-sync` in Snowpark Container Services: everything from the role to the task.

use tidegate_model::{Error, Result};

use super::access::Grants;
use super::file::yaml;
use super::name::{Bare, Name, Path, literal};
use super::options::{Tracked, WarehouseSize};
use super::{Script, Setup, data, with_options};

/// Where Batch's API answers; nothing else can be reached from the job.
const BATCH_HOST: &str = "api.batch.com:443";

/// Failed runs in a row until Snowflake stops the task: an hour and more at the usual schedules.
const FAILURES_MAX: u32 = 20;

/// Seconds without a job until the nodes are given back.
const POOL_SUSPEND_S: u32 = 300;

/// Stands where the key of Batch's API goes.
const BLANK_API_KEY: &str = "<the REST API key of the project, from the dashboard of Batch>";

/// What the profiles are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A table.
    Table(Path),
    /// A view: made from a query, or there already.
    View {
        /// The view.
        view: Path,
        /// The tables that it reads.
        bases: Vec<Path>,
        /// One SELECT, if the view has to be made.
        query: Option<String>,
    },
}

/// When the task runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(String);

impl Schedule {
    /// Reads `5 MINUTES`, `1 HOUR`, `USING CRON 0 6 * * * Europe/Stockholm`, or `5m`, `1h`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!("`{}` is not a schedule of a task", text.escape_debug()))
                .hint("write `5m`, `1h`, `5 MINUTES` or `USING CRON 0 6 * * * Europe/Stockholm`")
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        if let ["USING" | "using", "CRON" | "cron", fields @ .., zone] = words.as_slice() {
            let fine = |field: &&str| field.bytes().all(|b| b.is_ascii_alphanumeric() || b"*,-/L#".contains(&b));
            let zone_fine = zone.bytes().all(|b| b.is_ascii_alphanumeric() || b"_/+-".contains(&b));
            if fields.len() != 5 || !fields.iter().all(fine) || !zone_fine {
                return Err(wrong());
            }
            return Ok(Self(format!("USING CRON {} {zone}", fields.join(" "))));
        }
        let joined = words.concat();
        let digits = joined.bytes().take_while(u8::is_ascii_digit).count();
        let count: u32 = joined[..digits].parse().map_err(|_| wrong())?;
        let unit = match joined[digits..].to_ascii_lowercase().as_str() {
            "s" | "second" | "seconds" => "SECONDS",
            "m" | "minute" | "minutes" => "MINUTES",
            "h" | "hour" | "hours" => "HOURS",
            _ => return Err(wrong()),
        };
        if count == 0 { Err(wrong()) } else { Ok(Self(format!("{count} {unit}"))) }
    }
}

/// Everything that the set-up of the job depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSync {
    /// `--project-key` of the job.
    pub project_key: String,
    /// What the profiles are read from.
    pub source: Source,
    /// `--id-column`.
    pub id_column: String,
    /// `--date-columns`.
    pub date_columns: Vec<String>,
    /// `--url-columns`.
    pub url_columns: Vec<String>,
    /// The role that owns and runs the job.
    pub role: Name,
    /// The warehouse that runs its statements.
    pub warehouse: Name,
    /// Its size if it has to be made.
    pub size: WarehouseSize,
    /// The database of the job.
    pub database: Bare,
    /// The schema of the job: outbox, rejects, runs and lease, credentials, stream, images and task.
    pub schema: Bare,
    /// The table with the keys of Batch's API.
    pub credentials: Name,
    /// The stream.
    pub stream: Name,
    /// The task.
    pub task: Name,
    /// The compute pool.
    pub pool: Bare,
    /// Machines of the pool.
    pub family: Bare,
    /// The image repository.
    pub repository: Bare,
    /// Name and tag of the image.
    pub image: String,
    /// The external access integration.
    pub integration: Bare,
    /// When it runs.
    pub schedule: Schedule,
    /// The role that owns the database and what is read.
    pub owner: Name,
}

impl BatchSync {
    fn check(&self) -> Result<()> {
        for (what, text) in [("--project-key", &self.project_key), ("--image", &self.image)] {
            let fine = |b: u8| b.is_ascii_alphanumeric() || b"_-.:".contains(&b);
            if text.is_empty() || !text.bytes().all(fine) {
                return Err(Error::config(format!(
                    "{what} is empty, or holds other characters than letters, digits and _-.:"
                ))
                .hint("copy it as it stands in Batch's dashboard, or the image's as NAME:TAG"));
            }
        }
        let columns = self.date_columns.iter().chain(&self.url_columns).chain([&self.id_column]);
        for column in columns {
            Name::exact(column)?;
            if column.contains(',') {
                return Err(Error::config(format!("the column {column} cannot be an argument of the job"))
                    .hint("give it another name in the view"));
            }
        }
        if specification(self).contains("$$") {
            return Err(Error::config("`$$` ends the specification of the job, so no name in it can hold it")
                .hint("use names without `$$` for stream, columns, role and warehouse"));
        }
        match &self.source {
            Source::View { query: Some(query), .. }
                if query.contains(';') || query.contains("--") || query.contains("/*") =>
            {
                Err(Error::config("--query takes one SELECT, without semicolons and comments")
                    .hint("take them out, or make the view yourself and name it with --view alone"))
            }
            Source::View { bases, .. } if bases.is_empty() => {
                Err(Error::config("a view's changes are those of the tables below it, and none is named")
                    .hint("name them with --base TABLE, once for each"))
            }
            _ => Ok(()),
        }
    }

    /// The schema of the job.
    fn place(&self) -> Path {
        Path::schema(self.database.name(), self.schema.name())
    }

    fn below(&self, name: &Name) -> Path {
        self.place().child(name)
    }

    /// Names that Snowpark Container Services take only without quotes.
    fn bare_place(&self) -> String {
        format!("{}.{}", self.database, self.schema)
    }
}

/// The set-up of the container job.
pub fn batch_sync(job: &BatchSync) -> Result<Setup> {
    job.check()?;
    let mut job = job.clone();
    let (database, schema) = (job.database.name().clone(), job.schema.name().clone());
    let full = |path: &Path| path.within(Some(&database), Some(&schema));
    job.source = match &job.source {
        Source::Table(table) => Source::Table(full(table)?),
        Source::View { view, bases, query } => Source::View {
            view: full(view)?,
            bases: bases.iter().map(full).collect::<Result<_>>()?,
            query: query.clone(),
        },
    };
    let mut script = Script::default();
    roles(&job, &mut script);
    objects(&job, &mut script);
    source(&job, &mut script);
    outside(&job, &mut script);
    grants(&job, &mut script);
    by_hand(&job, &mut script);
    task(&job, &mut script);
    Ok(Setup {
        title: "the container job `tidegate batch-sync` in Snowpark Container Services".to_owned(),
        blanks: vec![format!("{BLANK_API_KEY}: the script would keep the blank as the key")],
        file: None,
        steps: script.steps,
    })
}

fn roles(job: &BatchSync, script: &mut Script) {
    let role = job.role.quoted();
    script.run(
        "USERADMIN",
        format!("CREATE ROLE IF NOT EXISTS {role}\n  COMMENT = 'the job tidegate batch-sync runs with it'"),
        "task and job run as this role; it may do what follows and no more",
    );
    script.run(
        "USERADMIN",
        format!("GRANT ROLE {role} TO ROLE \"SYSADMIN\""),
        "so that an administrator can make the task as this role, below",
    );
}

fn objects(job: &BatchSync, script: &mut Script) {
    data::warehouse(&job.warehouse, job.size.word(), 60, script);
    script.run_as(
        &job.owner,
        format!("CREATE SCHEMA IF NOT EXISTS {}\n  COMMENT = 'the job tidegate batch-sync: outbox, rejects, runs and lease'", job.place().quoted()),
        "the job's own schema: it makes its tables here and nowhere else",
    );
    script.run_as(
        &job.owner,
        format!("CREATE IMAGE REPOSITORY IF NOT EXISTS {}.{}", job.bare_place(), job.repository),
        "holds the image of the job",
    );
    script.run_as(
        &job.owner,
        format!(
            "CREATE TABLE IF NOT EXISTS {} (\n  PROJECT_KEY VARCHAR NOT NULL,\n  REST_API_KEY VARCHAR NOT NULL\n)\n  COMMENT = 'keys of Batch, read by the job only'",
            job.below(&job.credentials).quoted()
        ),
        "the key of Batch's API, as the published job keeps it",
    );
}

fn source(job: &BatchSync, script: &mut Script) {
    let (path, kind) = match &job.source {
        Source::Table(table) => {
            data::track(&[Tracked::Table(table.clone())], &job.owner, script);
            (table, "TABLE")
        }
        Source::View { view, bases, query } => {
            if let Some(query) = query {
                script.run_as(
                    &job.owner,
                    format!("CREATE VIEW IF NOT EXISTS {} AS\n{}", view.quoted(), query.trim()),
                    "one row a profile, one column an attribute; its name in lower case is the attribute's",
                );
            }
            data::track(&[Tracked::View { view: view.clone(), bases: bases.clone() }], &job.owner, script);
            (view, "VIEW")
        }
    };
    let stream = format!("CREATE STREAM IF NOT EXISTS {}", job.below(&job.stream).quoted());
    let lines = [
        format!("ON {kind} {}", path.quoted()),
        "SHOW_INITIAL_ROWS = TRUE".to_owned(),
        "COMMENT = 'consumed by the job tidegate batch-sync, and by nobody else'".to_owned(),
    ];
    script.run_as(
        &job.owner,
        with_options(&stream, &lines),
        "every change since the last run; the first run gets every row that is there",
    );
}

fn outside(job: &BatchSync, script: &mut Script) {
    let lines = [
        "MIN_NODES = 1".to_owned(),
        "MAX_NODES = 1".to_owned(),
        format!("INSTANCE_FAMILY = {}", job.family),
        "AUTO_RESUME = TRUE".to_owned(),
        "INITIALLY_SUSPENDED = TRUE".to_owned(),
        format!("AUTO_SUSPEND_SECS = {POOL_SUSPEND_S}"),
        "COMMENT = 'runs the job tidegate batch-sync'".to_owned(),
    ];
    script.run(
        "ACCOUNTADMIN",
        with_options(&format!("CREATE COMPUTE POOL IF NOT EXISTS {}", job.pool), &lines),
        "one machine, given back after five minutes without a job; it costs while it runs",
    );
    let rule = job.below(&Name::own("BATCH_API")).quoted();
    let lines = [
        "TYPE = HOST_PORT".to_owned(),
        "MODE = EGRESS".to_owned(),
        format!("VALUE_LIST = ({})", literal(BATCH_HOST)),
        "COMMENT = 'the API of Batch'".to_owned(),
    ];
    script.run(
        "ACCOUNTADMIN",
        with_options(&format!("CREATE OR ALTER NETWORK RULE {rule}"), &lines),
        "a container reaches nothing outside of Snowflake but this",
    );
    let lines = [
        format!("ALLOWED_NETWORK_RULES = ({rule})"),
        "ENABLED = TRUE".to_owned(),
        "COMMENT = 'lets the job tidegate batch-sync call Batch'".to_owned(),
    ];
    script.run(
        "ACCOUNTADMIN",
        with_options(&format!("CREATE EXTERNAL ACCESS INTEGRATION IF NOT EXISTS {}", job.integration), &lines),
        "puts the rule to use",
    );
    let role = job.role.quoted();
    let grants = [
        (format!("USAGE ON COMPUTE POOL {}", job.pool), "starts its job there"),
        (format!("USAGE ON INTEGRATION {}", job.integration), "calls Batch"),
        ("EXECUTE TASK ON ACCOUNT".to_owned(), "runs the tasks that it owns"),
    ];
    for (grant, why) in grants {
        script.run("ACCOUNTADMIN", format!("GRANT {grant} TO ROLE {role}"), why);
    }
}

fn grants(job: &BatchSync, script: &mut Script) {
    let (source, kind) = match &job.source {
        Source::Table(table) => (table, "TABLE"),
        Source::View { view, .. } => (view, "VIEW"),
    };
    let place = job.place();
    let mut grants = Grants { role: &job.role, script };
    grants.on("USAGE", "WAREHOUSE", &job.warehouse.quoted(), "runs its statements");
    let mut schemas = vec![place.clone()];
    if source.parent() != place {
        schemas.push(source.parent());
    }
    let mut databases: Vec<&Name> = schemas.iter().filter_map(|schema| schema.parts().first()).collect();
    databases.dedup();
    for database in databases {
        grants.on("USAGE", "DATABASE", &database.quoted(), "sees the database; this alone opens no table");
    }
    for schema in schemas.iter().filter(|schema| **schema != place) {
        grants.on("USAGE", "SCHEMA", &schema.quoted(), "sees the schema of what it reads");
    }
    grants.on(
        "USAGE, CREATE TABLE, CREATE SERVICE, CREATE TASK",
        "SCHEMA",
        &place.quoted(),
        "its own tables, job and task",
    );
    grants.on("SELECT", kind, &source.quoted(), "a stream can be read by who may read what is below it");
    grants.on("SELECT", "STREAM", &job.below(&job.stream).quoted(), "takes the changes into its outbox");
    grants.on("SELECT", "TABLE", &job.below(&job.credentials).quoted(), "reads the key of Batch");
    let images = format!("{}.{}", job.bare_place(), job.repository);
    grants.on("READ", "IMAGE REPOSITORY", &images, "starts the image");
}

fn by_hand(job: &BatchSync, script: &mut Script) {
    let place = format!("{}/{}/{}/{}", job.database, job.schema, job.repository, job.image).to_lowercase();
    script.by_hand(
        "Now, on a machine with Docker: build the image for linux/amd64 and push it. REGISTRY is the part before the first / of what SHOW prints.",
        vec![
            format!("docker build --platform linux/amd64 -t REGISTRY/{place} ."),
            "docker login REGISTRY".to_owned(),
            format!("docker push REGISTRY/{place}"),
        ],
    );
    script.run_as(
        &job.owner,
        format!("SHOW IMAGE REPOSITORIES IN SCHEMA {}", job.bare_place()),
        "the column repository_url begins with REGISTRY",
    );
    script.run_as(&job.owner, insert_key(job), "fill the key in first; a row that is there is left as it is");
}

fn insert_key(job: &BatchSync) -> String {
    let table = job.below(&job.credentials).quoted();
    let project = literal(&job.project_key);
    format!(
        "INSERT INTO {table} (PROJECT_KEY, REST_API_KEY)\nSELECT {project}, {}\nWHERE NOT EXISTS (SELECT 1 FROM {table} WHERE PROJECT_KEY = {project})",
        literal(BLANK_API_KEY)
    )
}

fn task(job: &BatchSync, script: &mut Script) {
    let task = job.below(&job.task).quoted();
    let lines = [
        format!("WAREHOUSE = {}", job.warehouse.quoted()),
        format!("SCHEDULE = {}", literal(&job.schedule.0)),
        format!("SUSPEND_TASK_AFTER_NUM_FAILURES = {FAILURES_MAX}"),
        "COMMENT = 'sends changes to Batch'".to_owned(),
    ];
    let sql = format!("{}\nAS\n{}", with_options(&format!("CREATE TASK IF NOT EXISTS {task}"), &lines), execute(job));
    script.run_as(
        &job.role,
        sql,
        "fails when the job fails. No WHEN on the stream: what is left in the outbox is delivered by a run without changes too. No NAME: a job's name stays taken for weeks",
    );
    script.run_as(&job.role, format!("ALTER TASK {task} RESUME"), "tasks are made suspended: this starts it");
    script.run_as(&job.role, format!("EXECUTE TASK {task}"), "the first run, now");
}

/// The job, with the arguments of the published one.
fn execute(job: &BatchSync) -> String {
    format!(
        "EXECUTE JOB SERVICE\n  IN COMPUTE POOL {}\n  QUERY_WAREHOUSE = {}\n  EXTERNAL_ACCESS_INTEGRATIONS = ({})\n  FROM SPECIFICATION $$\n{}$$",
        job.pool,
        job.warehouse.quoted(),
        job.integration,
        specification(job)
    )
}

fn specification(job: &BatchSync) -> String {
    let mut args = vec![
        format!("--project-key={}", job.project_key),
        format!("--source-stream={}", argument(&job.below(&job.stream))),
        format!("--id-column={}", job.id_column),
    ];
    for (flag, columns) in [("--date-columns", &job.date_columns), ("--url-columns", &job.url_columns)] {
        if !columns.is_empty() {
            args.push(format!("{flag}={}", columns.join(",")));
        }
    }
    args.push(format!("--api-credentials-table={}", argument(&job.below(&job.credentials))));
    let image = format!("/{}/{}/{}/{}", job.database, job.schema, job.repository, job.image).to_lowercase();
    let mut spec =
        format!("spec:\n  containers:\n    - name: batch-sync\n      image: {}\n      args:\n", quoted(&image));
    args.iter().for_each(|arg| spec.push_str(&format!("        - {}\n", quoted(arg))));
    spec.push_str("      env:\n");
    for (name, value) in [("SNOWFLAKE_WAREHOUSE", &job.warehouse), ("SNOWFLAKE_ROLE", &job.role)] {
        spec.push_str(&format!("        {name}: {}\n", yaml(value.as_str())));
    }
    spec
}

/// A name as an argument of the job: in quotes only where it needs them.
fn argument(path: &Path) -> String {
    let bare = |name: &Name| Bare::typed(name.as_str()).is_ok_and(|bare| bare.name() == name);
    if path.parts().iter().all(bare) { path.to_string() } else { path.quoted() }
}

/// A text in YAML, in quotes always.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
