//! `setup batch-sync`: the options of the container job.

use tidegate_model::{Error, Result};
use tidegate_warehouses::snowflake::setup::{self, Bare, BatchSync, Name, Path, Schedule, Setup, Source};

use super::Size;

/// What the set-up is to hold. Names are read as SQL reads them: in upper case, or as they stand in double quotes.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate setup batch-sync --project-key KEY --database ANALYTICS --table CRM.PROFILES --id-column CUSTOM_ID
  tidegate setup batch-sync --project-key KEY --database ANALYTICS --view CRM.PROFILES_V --base CRM.PROFILES \\
      --query 'SELECT id AS custom_id, birthday FROM analytics.crm.profiles' --id-column CUSTOM_ID --date-columns BIRTHDAY
")]
pub struct Args {
    /// The project's key at Batch
    #[arg(long, value_name = "KEY")]
    project_key: String,
    /// The database
    #[arg(long, value_name = "DATABASE")]
    database: String,
    /// The job's own schema
    #[arg(long, value_name = "SCHEMA", default_value = "TIDEGATE_BATCH")]
    schema: String,
    /// The table of the profiles
    #[arg(long, value_name = "TABLE", conflicts_with = "view", required_unless_present = "view")]
    table: Option<String>,
    /// The view of the profiles
    #[arg(long, value_name = "VIEW")]
    view: Option<String>,
    /// A table below the view (repeat it)
    #[arg(long, value_name = "TABLE", requires = "view")]
    base: Vec<String>,
    /// One SELECT, to make the view from; without it the view is there already
    #[arg(long, value_name = "SELECT", requires = "view")]
    query: Option<String>,
    /// The column with the profile's custom id
    #[arg(long, value_name = "COLUMN")]
    id_column: String,
    /// Columns sent as dates, with commas between
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    date_columns: Vec<String>,
    /// Columns sent as addresses, with commas between
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    url_columns: Vec<String>,
    /// The table with the key of Batch's API
    #[arg(long, value_name = "TABLE", default_value = "BATCH_API_CREDENTIALS")]
    api_credentials_table: String,
    /// The stream; else the name of the table or view with _STREAM behind it
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
    /// When it runs: 5m, 1h, or USING CRON 0 6 * * * Europe/Stockholm
    #[arg(long, value_name = "SCHEDULE", default_value = "5m")]
    schedule: String,
    /// The task
    #[arg(long, value_name = "TASK", default_value = "BATCH_SYNC")]
    task: String,
    /// The role that the job runs as
    #[arg(long, value_name = "ROLE", default_value = "TIDEGATE_BATCH_ROLE")]
    role: String,
    /// The role that owns the database and its tables
    #[arg(long, value_name = "ROLE", default_value = "SYSADMIN")]
    owner: String,
    /// The warehouse; made if it is not there
    #[arg(long, value_name = "WAREHOUSE", default_value = "TIDEGATE_WH")]
    warehouse: String,
    /// Size of the warehouse if it is made
    #[arg(long, value_enum, default_value = "xsmall")]
    size: Size,
    /// The compute pool; made if it is not there
    #[arg(long, value_name = "POOL", default_value = "TIDEGATE_POOL")]
    pool: String,
    /// Machines of the pool
    #[arg(long, value_name = "FAMILY", default_value = "CPU_X64_XS")]
    family: String,
    /// The image repository
    #[arg(long, value_name = "REPOSITORY", default_value = "TIDEGATE_IMAGES")]
    repository: String,
    /// The image
    #[arg(long, value_name = "NAME:TAG", default_value = concat!("tidegate:", env!("CARGO_PKG_VERSION")))]
    image: String,
    /// The external access integration
    #[arg(long, value_name = "INTEGRATION", default_value = "TIDEGATE_BATCH_API")]
    integration: String,
}

/// The set-up that was asked for.
pub fn setup(args: &Args) -> Result<Setup> {
    let source = match (&args.table, &args.view) {
        (Some(table), _) => Source::Table(Path::typed(table)?),
        (None, Some(view)) => Source::View {
            view: Path::typed(view)?,
            bases: args.base.iter().map(|base| Path::typed(base)).collect::<Result<_>>()?,
            query: args.query.clone(),
        },
        (None, None) => {
            return Err(Error::config("neither a table nor a view of profiles is named").hint("add --table or --view"));
        }
    };
    let read = match &source {
        Source::Table(path) | Source::View { view: path, .. } => path.last_name().map_or("", Name::as_str),
    };
    let stream = match &args.stream {
        Some(stream) => Name::typed(stream)?,
        None => Name::exact(&format!("{read}_STREAM"))?,
    };
    setup::batch_sync(&BatchSync {
        project_key: args.project_key.clone(),
        source,
        id_column: args.id_column.clone(),
        date_columns: args.date_columns.clone(),
        url_columns: args.url_columns.clone(),
        role: Name::typed(&args.role)?,
        warehouse: Name::typed(&args.warehouse)?,
        size: args.size.of(),
        database: Bare::typed(&args.database)?,
        schema: Bare::typed(&args.schema)?,
        credentials: Name::typed(&args.api_credentials_table)?,
        stream,
        task: Name::typed(&args.task)?,
        pool: Bare::typed(&args.pool)?,
        family: Bare::typed(&args.family)?,
        repository: Bare::typed(&args.repository)?,
        image: args.image.clone(),
        integration: Bare::typed(&args.integration)?,
        schedule: Schedule::parse(&args.schedule)?,
        owner: Name::typed(&args.owner)?,
    })
}
