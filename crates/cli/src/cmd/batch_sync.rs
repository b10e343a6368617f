//! `batch-sync`: the arguments of Batch's published job.

use tidegate_model::schema::Relation;
use tidegate_model::{Error, Result};
use tidegate_warehouses::snowflake::setup::{Name, Path};

use crate::app::{App, Ending, block_on};
use crate::batch_sync::{self, Asked};

/// What is sent where.
#[derive(Debug, clap::Args)]
#[command(
    // What is said twice counts as it was said last, as in the published job.
    args_override_self = true,
    before_help = "Examples:
  tidegate batch-sync --project-key KEY --source-stream ANALYTICS.CRM.PROFILES_STREAM --id-column CUSTOM_ID
  tidegate batch-sync --project-key KEY --source-stream PROFILES_STREAM --id-column ID --date-columns BIRTHDAY,SEEN --url-columns SITE
  tidegate setup batch-sync --help                  prints the SQL that makes all of it in Snowflake
",
    after_help = "Environment: SNOWFLAKE_ACCOUNT, SNOWFLAKE_HOST, SNOWFLAKE_DATABASE, SNOWFLAKE_SCHEMA and the token file, which Snowpark
Container Services set; SNOWFLAKE_ROLE, SNOWFLAKE_WAREHOUSE; elsewhere SNOWFLAKE_USER with SNOWFLAKE_PRIVATE_KEY_PATH
(SNOWFLAKE_PRIVATE_KEY_PASSPHRASE) or SNOWFLAKE_PASSWORD; TIDEGATE_BATCH_URL"
)]
pub struct Args {
    /// The project's key at Batch
    #[arg(long, value_name = "KEY")]
    project_key: String,
    /// The stream
    #[arg(long, value_name = "STREAM")]
    source_stream: String,
    /// The column with the profile's custom id
    #[arg(long, value_name = "COLUMN")]
    id_column: String,
    /// Columns whose text is a date, with commas between (dates and times are sent as dates anyway)
    #[arg(long, value_name = "COLUMNS", default_value = "", hide_default_value = true)]
    date_columns: String,
    /// Columns sent as addresses, with commas between
    #[arg(long, value_name = "COLUMNS", default_value = "", hide_default_value = true)]
    url_columns: String,
    /// The table with the keys of Batch's API: PROJECT_KEY, REST_API_KEY
    #[arg(long, value_name = "TABLE", default_value = "BATCH_API_CREDENTIALS")]
    api_credentials_table: String,
    /// How to get into the account, as a JSON object; goes before the environment
    #[arg(long, value_name = "JSON")]
    connection_parameters: Option<String>,
}

/// Names in a list with commas between.
fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// A name as SQL reads it.
fn relation(text: &str, flag: &str) -> Result<Relation> {
    let path = Path::typed(text).map_err(|error| Error { message: format!("{flag}: {}", error.message), ..error })?;
    Ok(Relation(path.parts().iter().map(Name::as_str).map(str::to_owned).collect()))
}

fn asked(args: &Args) -> Result<Asked> {
    let bare = |name: &str| name.trim().trim_matches('"').to_owned();
    Ok(Asked {
        project_key: args.project_key.trim().to_owned(),
        stream: relation(&args.source_stream, "--source-stream")?,
        id_column: bare(&args.id_column),
        date_columns: list(&args.date_columns),
        url_columns: list(&args.url_columns),
        credentials: relation(&args.api_credentials_table, "--api-credentials-table")?,
    })
}

/// Runs the job once.
pub fn run(app: &App, args: &Args) -> Ending {
    let asked = asked(args)?;
    let parameters = batch_sync::parameters(args.connection_parameters.as_deref())?;
    block_on(batch_sync::run(app, asked, &parameters))
}
