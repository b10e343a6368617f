//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::cmd;

const TEMPLATE: &str = "{before-help}{about-with-newline}\n{usage-heading} {usage}\n\n{all-args}{after-help}";

/// Keeps a data warehouse and customer platforms in step.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    help_template = TEMPLATE,
    before_help = "Examples:
  tidegate demo                       a whole project with data, run in front of your eyes
  tidegate init                       a project of your own in this folder
  tidegate check                      would everything work?
  tidegate plan companies             what would a run do?
  tidegate run                        run all syncs, in the order of their references
  tidegate why companies C00001       all about one record
",
    after_help = "Exit codes: 0 succeeded · 1 failed · 2 usage or configuration · 3 rejects, unknowns, dropped fields
            4 unbalanced books (a bug) · 130/143 stopped by a signal
Environment: TIDEGATE_STATE, TIDEGATE_KEY, TIDEGATE_LOG, NO_COLOR",
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// The project's folder; else this folder or the nearest parent with tidegate.yaml
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub project: Option<PathBuf>,
    /// Print JSON lines on stdout, and nothing else there
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
    /// No reports and no progress: data and errors only
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    pub quiet: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[command(help_template = TEMPLATE)]
pub enum Command {
    /// Make a project
    Init(cmd::init::Args),
    /// Make a project with data in it, run it, edit both sides, run it again
    Demo(cmd::demo::Args),
    /// Find out whether everything would work, before it has to
    Check(cmd::check::Args),
    /// List what a warehouse or platform holds
    Discover(cmd::discover::Args),
    /// Print the SQL that sets a warehouse up
    Setup(cmd::setup::Args),
    /// Print what a run would do; write nothing
    Plan(cmd::plan::Args),
    /// Carry out a plan file
    Apply(cmd::apply::Args),
    /// Run syncs now
    Run(cmd::run::Args),
    /// Put back what a run overwrote, where nobody changed it since
    Undo(cmd::undo::Args),
    /// Read both sides back and report what differs from the ledger
    Verify(cmd::verify::Args),
    /// Run a sync on a twin of its platform; write nothing of yours
    Rehearse(cmd::rehearse::Args),
    /// Tell all about one record
    Why(cmd::why::Args),
    /// List conflicts, or decide one
    Conflicts(cmd::conflicts::Args),
    /// List what could not be delivered
    Rejects(cmd::rejects::Args),
    /// Try rejects again
    Retry(cmd::retry::Args),
    /// List runs
    Runs(cmd::runs::Args),
    /// Print the log of a run
    Logs(cmd::logs::Args),
    /// Stop a sync from running by itself
    Pause(cmd::pause::Args),
    /// Let a sync run by itself again
    Resume(cmd::resume::Args),
    /// Ask a run to stop
    Cancel(cmd::cancel::Args),
    /// Forget what a sync knows, and start over
    Reset(cmd::reset::Args),
    /// Give a record its new key
    Relink(cmd::relink::Args),
    /// Take over a sync's targets from another store
    Adopt(cmd::adopt::Args),
    /// Remove a person from state and hub
    Forget(cmd::forget::Args),
    /// Look into the embedded customer store, or edit it
    Hub(cmd::hub::Args),
    /// Serve a stand-in for a platform
    Sandbox(cmd::sandbox::Args),
    /// Run syncs on their schedules
    Serve(cmd::serve::Args),
    /// Sign in to a connection with a browser (OAuth)
    Auth(cmd::auth::Args),
    /// Run what is queued, beside `serve`
    Work(cmd::work::Args),
    /// Say who may sign in to `serve`
    Users(cmd::users::Args),
    /// Make tokens for programs that call the API
    Tokens(cmd::tokens::Args),
    /// Keep secrets, encrypted
    Secrets(cmd::secrets::Args),
    /// Back up, restore or migrate the state
    State(cmd::state::Args),
    /// Print the JSON Schema of project files, for editors
    Schema(cmd::schema::Args),
    /// Print completions for a shell
    Completions(cmd::completions::Args),
    /// Send a stream's changes to Batch, from inside of Snowflake: the container job
    BatchSync(Box<cmd::batch_sync::Args>),
}
