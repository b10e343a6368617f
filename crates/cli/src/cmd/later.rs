//! Commands whose parts are not built yet: they say so.

use clap::Subcommand;
use tidegate_model::Error;

use crate::app::Ending;

/// Commands of later parts. Whatever stands behind them is taken, so that the answer is about the command.
#[derive(Debug, Subcommand)]
pub enum Later {
    /// The container job (comes with a later part)
    #[command(hide = true)]
    BatchSync(Rest),
}

/// Anything.
#[derive(Debug, clap::Args)]
pub struct Rest {
    /// Not read
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
    rest: Vec<String>,
}

/// Says that the command comes later, and what there is today.
pub fn run(later: &Later) -> Ending {
    let (name, today) = match later {
        Later::BatchSync(_) => ("batch-sync", "`tidegate run` and `tidegate serve` run syncs"),
    };
    let error = Error::config(format!("`tidegate {name}` comes with a later part and is not in this build"));
    Err(error.hint(format!("today: {today}")).into())
}
