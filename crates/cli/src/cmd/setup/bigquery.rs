//! `setup bigquery`: the commands that set a project up.

use clap::ValueEnum;
use tidegate_model::Result;
use tidegate_model::config::Connection;
use tidegate_warehouses::bigquery::setup::{self, Auth, Options, Setup};

use crate::app::App;
use crate::out::Object;

/// What the set-up is to hold.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate setup bigquery --project-id acme-data --dataset crm                  a service account that reads a dataset
  tidegate setup bigquery --project-id acme-data --dataset crm --access write   and writes it
  tidegate setup bigquery --project-id acme-data --dataset crm --auth oauth --member user:jo@acme.example
")]
pub struct Args {
    /// The project that runs the queries and pays for them
    #[arg(long, value_name = "PROJECT")]
    project_id: String,
    /// A dataset that is read, or written (repeat it)
    #[arg(long, value_name = "DATASET", required = true)]
    dataset: Vec<String>,
    /// Where the data is
    #[arg(long, value_name = "LOCATION", default_value = "EU")]
    location: String,
    /// What tidegate may do
    #[arg(long, value_enum, default_value = "read")]
    access: Access,
    /// How it logs in
    #[arg(long, value_enum, default_value = "service-account")]
    auth: Method,
    /// Name of the connection
    #[arg(long, value_name = "NAME", default_value = "lake")]
    connection: String,
    /// The dataset of tidegate's own tables
    #[arg(long, value_name = "DATASET", default_value = "TIDEGATE")]
    work: String,
    /// Who consents, or what the machine logs in as: user:NAME@example.com
    #[arg(long, value_name = "MEMBER")]
    member: Option<String>,
}

/// `--access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Access {
    /// Reads only
    Read,
    /// Writes, too
    Write,
}

/// `--auth`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Method {
    /// A service account with a key file
    ServiceAccount,
    /// What the machine has
    ApplicationDefault,
    /// A person's consent
    Oauth,
}

/// Prints the set-up. Nothing is connected to.
pub fn run(app: &App, args: &Args) -> Result<()> {
    let setup = setup::setup(&Options {
        project: args.project_id.clone(),
        datasets: args.dataset.clone(),
        location: args.location.clone(),
        write: args.access == Access::Write,
        auth: match args.auth {
            Method::ServiceAccount => Auth::ServiceAccount,
            Method::ApplicationDefault => Auth::ApplicationDefault,
            Method::Oauth => Auth::Oauth,
        },
        connection: args.connection.clone(),
        work: args.work.clone(),
        member: args.member.clone(),
    })?;
    if app.out.json { lines(app, &setup) } else { text(app, &setup) }
}

fn lines(app: &App, setup: &Setup) -> Result<()> {
    for step in &setup.steps {
        let mut line = Object::default();
        line.put("do", step.what.as_str()).put("commands", step.commands.clone());
        app.out.json(&line)?;
    }
    let mut line = Object::default();
    line.put("file", setup.file.0.as_str()).put("text", setup.file.1.as_str());
    app.out.json(&line)
}

/// The set-up of a connection, filled in from its file; what stands there by reference only is left to be filled in.
pub fn text_of(connection: &Connection) -> Result<String> {
    let word = |path: &str| {
        let text = connection.settings.pointer(path).and_then(serde_json::Value::as_str);
        text.filter(|text| !text.contains("${") && !text.starts_with("secret:")).map(str::to_owned)
    };
    let auth = match word("/auth/method").as_deref() {
        Some("oauth") => Auth::Oauth,
        Some("application_default") => Auth::ApplicationDefault,
        _ => Auth::ServiceAccount,
    };
    let is_person = !matches!(auth, Auth::ServiceAccount);
    let setup = setup::setup(&Options {
        project: word("/project").unwrap_or_else(|| "your-project".to_owned()),
        datasets: vec![word("/dataset").unwrap_or_else(|| "your_dataset".to_owned())],
        location: word("/location").unwrap_or_else(|| "EU".to_owned()),
        write: connection.access_write,
        auth,
        connection: connection.name.clone(),
        work: connection.work_schema.clone().unwrap_or_else(|| "TIDEGATE".to_owned()),
        member: is_person.then(|| "user:name@example.com".to_owned()),
    })?;
    Ok(printed(&setup))
}

fn printed(setup: &Setup) -> String {
    let mut out = String::new();
    for (at, step) in setup.steps.iter().enumerate() {
        out.push_str(&format!("# {}. {}\n{}\n\n", at + 1, step.what, step.commands.join("\n")));
    }
    let (file, text) = &setup.file;
    out.push_str(&format!("# {file}\n{text}"));
    out
}

fn text(app: &App, setup: &Setup) -> Result<()> {
    printed(setup).lines().try_for_each(|line| app.out.data(line))?;
    app.out.note("nothing was run: read the commands, then run them as an owner of the project");
    Ok(())
}
