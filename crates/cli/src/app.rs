//! From what was typed to an exit code.

use std::path::PathBuf;

use tidegate_model::{Error, ErrorKind};

use crate::args::{Cli, Command};
use crate::cmd;
use crate::out::Out;

/// What every command is given.
#[derive(Debug)]
pub struct App {
    /// `--project`.
    pub project: Option<PathBuf>,
    /// How to print.
    pub out: Out,
}

/// Why a command ended early: everything that is wrong, each with what to do next.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong; never empty.
    pub errors: Vec<Error>,
    /// The exit code.
    pub code: u8,
}

/// How a command ends: with an exit code, or early.
pub type Ending = Result<u8, Failure>;

/// The exit code of an error: 2 if the configuration or the call is wrong, else 1.
fn code_of(error: &Error) -> u8 {
    if error.kind == ErrorKind::Config { 2 } else { 1 }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: code_of(&error), errors: vec![error] }
    }
}

impl Failure {
    /// Several errors at once; the first one's kind makes the exit code.
    pub fn several(errors: Vec<Error>) -> Self {
        let code = errors.first().map_or(1, code_of);
        Self { errors, code }
    }
}

/// How long a process that is done gives others to hear so.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(2);

/// Runs something with an async runtime, which is started only for commands that need one.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Error::new(ErrorKind::Unavailable, "cannot start the threads of the runtime")
            .hint("the system's limit of processes or open files may be reached")
            .cause(error)
    })?;
    let done = runtime.block_on(async {
        let done = work.await;
        // Statements that were given up are aborted, and sessions ended: some bill for as long as they last.
        tidegate_net::farewell::said(LAST_WORDS).await;
        done
    });
    // A blocking call that hangs must not keep a process that is done.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    done
}

/// Runs the command; the exit code.
pub fn run(cli: Cli) -> u8 {
    let app = App { project: cli.project, out: Out::new(cli.json, cli.quiet) };
    let ending = dispatch(&app, cli.command);
    match ending {
        Ok(code) => code,
        Err(failure) => {
            for error in &failure.errors {
                app.out.error(error);
            }
            failure.code
        }
    }
}

fn dispatch(app: &App, command: Command) -> Ending {
    match command {
        Command::Init(args) => cmd::init::run(app, &args),
        Command::Demo(args) => cmd::demo::run(app, &args),
        Command::Check(args) => cmd::check::run(app, &args),
        Command::Discover(args) => cmd::discover::run(app, &args),
        Command::Setup(args) => cmd::setup::run(app, &args),
        Command::Plan(args) => cmd::plan::run(app, &args),
        Command::Apply(args) => cmd::apply::run(app, &args),
        Command::Run(args) => cmd::run::run(app, &args),
        Command::Undo(args) => cmd::undo::run(app, &args),
        Command::Verify(args) => cmd::verify::run(app, &args),
        Command::Rehearse(args) => cmd::rehearse::run(app, &args),
        Command::Why(args) => cmd::why::run(app, &args),
        Command::Conflicts(args) => cmd::conflicts::run(app, args),
        Command::Rejects(args) => cmd::rejects::run(app, &args),
        Command::Retry(args) => cmd::retry::run(app, &args),
        Command::Runs(args) => cmd::runs::run(app, &args),
        Command::Logs(args) => cmd::logs::run(app, &args),
        Command::Pause(args) => cmd::pause::run(app, &args),
        Command::Resume(args) => cmd::resume::run(app, &args),
        Command::Cancel(args) => cmd::cancel::run(app, &args),
        Command::Reset(args) => cmd::reset::run(app, &args),
        Command::Relink(args) => cmd::relink::run(app, &args),
        Command::Adopt(args) => cmd::adopt::run(app, &args),
        Command::Forget(args) => cmd::forget::run(app, &args),
        Command::Hub(args) => cmd::hub::run(app, &args),
        Command::Sandbox(args) => cmd::sandbox::run(app, &args),
        Command::Serve(args) => cmd::serve::run(app, &args),
        Command::Auth(args) => cmd::auth::run(app, &args),
        Command::Work(args) => cmd::work::run(app, &args),
        Command::Users(args) => cmd::users::run(app, &args),
        Command::Tokens(args) => cmd::tokens::run(app, &args),
        Command::Secrets(args) => cmd::secrets::run(app, &args),
        Command::State(args) => cmd::state::run(app, &args),
        Command::Schema(args) => cmd::schema::run(app, &args),
        Command::Completions(args) => cmd::completions::run(app, &args),
        Command::BatchSync(args) => cmd::batch_sync::run(app, &args),
    }
}
