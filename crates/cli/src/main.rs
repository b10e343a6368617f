//! The binary `tidegate`: one file per command, wiring only. What a command means stands in the engine, the store and
//! the connectors; here they are put together and their answers are printed.

mod addresses;
mod app;
mod args;
mod batch_sync;
mod cmd;
mod demo;
mod desk;
#[cfg(feature = "failpoints")]
mod failpoints;
mod gate;
mod live;
mod log;
mod out;
mod process;
mod project;
mod scratch;
mod secret_input;
mod shape;
mod signals;
mod surroundings;
mod workers;
mod workshop;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    failpoints::install();
    ExitCode::from(app::run(args::Cli::parse()))
}
