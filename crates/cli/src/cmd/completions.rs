//! `completions SHELL`

use clap::CommandFactory;

use crate::app::{App, Ending};
use crate::args::Cli;

/// Which shell.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  tidegate completions bash > ~/.local/share/bash-completion/completions/tidegate\n"
)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints the script.
pub fn run(app: &App, args: &Args) -> Ending {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tidegate", &mut script);
    app.out.data(String::from_utf8_lossy(&script).trim_end())?;
    Ok(0)
}
