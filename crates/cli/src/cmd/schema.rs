//! `schema`: the JSON Schema that editors use.

use crate::app::{App, Ending};

/// No arguments.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:\n  tidegate schema > .tidegate/schema.json\n")]
pub struct Args {}

/// Prints the schema, on several lines for a person and on one with `--json`.
pub fn run(app: &App, _args: &Args) -> Ending {
    let schema = crate::project::schema();
    if app.out.json {
        app.out.json(&schema)?;
    } else {
        let text = serde_json::to_string_pretty(&schema)
            .map_err(|error| tidegate_model::Error::internal("the schema cannot be written").cause(error))?;
        app.out.data(&text)?;
    }
    Ok(0)
}
