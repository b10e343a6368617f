//! `setup snowflake`: the options, filled in from a connection of the project where one is named.

use std::path::Path as File;

use serde_json::Value as Json;
use tidegate_model::config::{Connection, Project, resolve_text};
use tidegate_model::schema::Source;
use tidegate_model::sync::{Changes, Sync};
use tidegate_model::{Error, Result};
use tidegate_warehouses::snowflake::setup::{
    self, Access, Auth, Egress, Name, Options, Path, Person, PublicKey, Setup, Tracked,
};

use super::Size;
use crate::app::{App, Failure};
use crate::project::{self, Surroundings};

/// What the set-up is to hold. Names are read as SQL reads them: in upper case, or as they stand in double quotes.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate setup snowflake --database ANALYTICS --schema CRM
  tidegate setup snowflake --connection lake --public-key keys/lake.pub
  tidegate setup snowflake --access write --database ANALYTICS --schema CRM --target CRM.SCORES --stage LOADS
  tidegate setup snowflake --database ANALYTICS --table CRM.COMPANIES --track CRM.COMPANIES
  tidegate setup snowflake --database ANALYTICS --schema CRM --auth oauth --email anna@acme.example \\
      --redirect-uri https://tidegate.example/oauth/callback
")]
pub struct Args {
    /// A connection: what its file and its syncs say is filled in, flags go before it
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Read only, or read and write
    #[arg(long, value_enum)]
    access: Option<AccessArg>,
    /// How tidegate logs in
    #[arg(long, value_enum)]
    auth: Option<AuthArg>,
    /// The public key: its file, or its text
    #[arg(long, value_name = "FILE")]
    public_key: Option<String>,
    /// Where the browser comes back to, for OAuth
    #[arg(long, value_name = "URI")]
    redirect_uri: Option<String>,
    /// A refresh token can be used once only, for OAuth
    #[arg(long)]
    single_use_refresh: bool,
    /// The person who signs in; without it the user is a service user
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The account, as in acme-prod
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// The user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The role that gets the rights
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// The role that owns the database and its tables (SYSADMIN)
    #[arg(long, value_name = "ROLE")]
    owner: Option<String>,
    /// The warehouse; made if it is not there
    #[arg(long, value_name = "WAREHOUSE")]
    warehouse: Option<String>,
    /// Size of the warehouse if it is made
    #[arg(long, value_enum, default_value = "xsmall")]
    size: Size,
    /// Seconds without work until the warehouse stops
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(30..=86_400))]
    auto_suspend: u32,
    /// The database
    #[arg(long, value_name = "DATABASE")]
    database: Option<String>,
    /// A schema to read whole, tables and views to come too (repeat it)
    #[arg(long, value_name = "SCHEMA")]
    schema: Vec<String>,
    /// A table to read (repeat it)
    #[arg(long, value_name = "TABLE")]
    table: Vec<String>,
    /// A view to read (repeat it)
    #[arg(long, value_name = "VIEW")]
    view: Vec<String>,
    /// A stream to take changes from (repeat it)
    #[arg(long, value_name = "STREAM")]
    stream: Vec<String>,
    /// A table to write (repeat it)
    #[arg(long, value_name = "TABLE")]
    target: Vec<String>,
    /// A table whose changes Snowflake is to keep (repeat it)
    #[arg(long, value_name = "TABLE")]
    track: Vec<String>,
    /// A view whose changes Snowflake is to keep, and the tables below it (repeat it)
    #[arg(long, value_name = "VIEW=TABLE,…")]
    track_view: Vec<String>,
    /// An internal stage for large loads, with `--access write`
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// Where tidegate's own tables go, with `--access write`
    #[arg(long, value_name = "SCHEMA")]
    work_schema: Option<String>,
    /// An address or range that tidegate calls from (repeat it); else `serve.egress_ips` of the project
    #[arg(long, value_name = "IP")]
    egress_ip: Vec<String>,
}

/// `--access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AccessArg {
    /// Read only
    Read,
    /// Read and write
    Write,
}

/// `--auth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AuthArg {
    /// An RSA key
    KeyPair,
    /// A person signs in, again after 90 days
    #[value(name = "oauth")]
    OAuth,
}

/// The set-up that was asked for.
pub fn setup(app: &App, args: &Args) -> Result<Setup, Failure> {
    let (root, project) = match project::root(app) {
        Ok(root) => {
            let project = project::load(&root);
            (root, Some(project))
        }
        // Set-up comes first: there need not be a project yet, unless one is named.
        Err(error) if app.project.is_some() || args.connection.is_some() => return Err(error.into()),
        Err(_) => (std::path::PathBuf::from("."), None),
    };
    let project = match project {
        Some(Err(failure)) if args.connection.is_some() => return Err(failure),
        Some(Err(_)) => {
            app.out.warn(
                "the project's files have problems, so `serve.egress_ips` was not read; `tidegate check` lists them",
            );
            None
        }
        Some(Ok(project)) => Some(project),
        None => None,
    };
    let fill = Fill::of(app, args, project.as_ref(), &root)?;
    let options = options(args, &fill, project.as_ref(), &root)?;
    Ok(setup::snowflake(&options)?)
}

/// What a connection and its syncs say.
#[derive(Default)]
struct Fill<'a> {
    settings: Option<&'a Connection>,
    syncs: Vec<&'a Sync>,
    texts: Vec<(&'static str, String)>,
}

/// Settings that name something.
const TEXTS: &[&str] = &["account", "user", "role", "warehouse", "database", "schema", "stage"];

impl<'a> Fill<'a> {
    fn of(app: &App, args: &Args, project: Option<&'a Project>, root: &File) -> Result<Self> {
        let (Some(name), Some(project)) = (&args.connection, project) else { return Ok(Self::default()) };
        let Some(connection) = project.connections.get(name) else {
            app.out.note(&format!("there is no connection {name} in the project yet, so nothing is filled in from it"));
            return Ok(Self::default());
        };
        if connection.kind != "snowflake" {
            return Err(Error::config(format!("the connection {name} is of type {}", connection.kind))
                .hint("name a connection of type snowflake, or leave --connection out"));
        }
        let secrets = |secret: &str| {
            Err(Error::config(format!("`secret:{secret}` stands where the SQL needs a name")).hint("give it as a flag"))
        };
        let lookups = Surroundings { root, secrets: &secrets };
        let mut texts = Vec::new();
        for key in TEXTS {
            if let Some(written) = connection.settings.get(*key).and_then(Json::as_str) {
                let place = project.connection_place(name, key).to_string();
                texts.push((*key, resolve_text(written, &place, &lookups)?.0));
            }
        }
        let syncs: Vec<&Sync> = project.syncs.values().filter(|sync| sync.warehouse_connection == *name).collect();
        for sync in syncs.iter().filter(|sync| sync.changes == Changes::Tracking && args.track.is_empty()) {
            if let (Source::Relation(relation), true) = (&sync.source, args.track_view.is_empty()) {
                app.out.note(&format!(
                    "{} reads what changed: add `--track {relation}`, or `--track-view {relation}=TABLE,…` if it is a view",
                    sync.name
                ));
            }
        }
        Ok(Self { settings: Some(connection), syncs, texts })
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.texts.iter().find(|(name, _)| *name == key).map(|(_, text)| text.as_str())
    }

    fn method(&self) -> Option<&str> {
        self.settings?.settings.get("auth")?.get("method")?.as_str()
    }

    /// Relations of its syncs: those that are written, or those that are only read.
    fn relations(&self, written: bool) -> Result<Vec<Path>> {
        let mut all = Vec::new();
        for sync in &self.syncs {
            let writes = sync.direction != tidegate_model::sync::Direction::ToPlatform;
            if let (Source::Relation(relation), true) = (&sync.source, writes == written) {
                let parts = relation.0.iter().map(|part| Name::exact(part)).collect::<Result<_>>()?;
                all.push(Path::of(parts)?);
            }
        }
        all.dedup();
        Ok(all)
    }
}

fn options(args: &Args, fill: &Fill<'_>, project: Option<&Project>, root: &File) -> Result<Options> {
    let access = match (args.access, fill.settings) {
        (Some(AccessArg::Write), _) => Access::Write,
        (None, Some(connection)) if connection.access_write => Access::Write,
        _ => Access::Read,
    };
    let database = match (&args.database, fill.text("database")) {
        (Some(typed), _) => Name::typed(typed)?,
        (None, Some(filled)) => Name::exact(filled)?,
        (None, None) => {
            return Err(Error::config("no database is named")
                .hint("name it with --database, or give a connection that has one with --connection"));
        }
    };
    let mut options = Options::new(args.connection.as_deref().unwrap_or("lake"), access, database);
    names(args, fill, &mut options)?;
    relations(args, fill, &mut options)?;
    options.auth = auth(args, fill, root)?;
    options.size = args.size.of();
    options.auto_suspend_s = args.auto_suspend;
    let egress = match (args.egress_ip.as_slice(), project) {
        ([], Some(project)) => project.serve.egress_ips.as_slice(),
        (typed, _) => typed,
    };
    options.egress = egress.iter().map(|ip| Egress::parse(ip)).collect::<Result<_>>()?;
    Ok(options)
}

/// A name of a connection's file: as SQL reads it where it can be read so, else as it stands.
fn filled(text: &str) -> Result<Name> {
    Name::typed(text).or_else(|_| Name::exact(text))
}

fn names(args: &Args, fill: &Fill<'_>, options: &mut Options) -> Result<()> {
    for (typed, key, slot) in [
        (&args.role, "role", &mut options.role),
        (&args.warehouse, "warehouse", &mut options.warehouse),
        (&args.owner, "", &mut options.owner),
    ] {
        match (typed, fill.text(key)) {
            (Some(typed), _) => *slot = Name::typed(typed)?,
            (None, Some(text)) => *slot = filled(text)?,
            (None, None) => {}
        }
    }
    let address = args.email.as_deref().or(fill.text("user").filter(|user| user.contains('@')));
    options.person = address.map(|email| Person { email: email.to_owned() });
    match (&args.user, fill.text("user"), address) {
        (Some(typed), _, _) => options.user = Name::typed(typed)?,
        (None, Some(text), None) => options.user = filled(text)?,
        // Users that come from an identity provider have their address as their name, in upper case.
        (None, _, Some(email)) => options.user = Name::exact(&email.to_uppercase())?,
        (None, None, None) => {}
    }
    let work = args.work_schema.as_deref().or_else(|| fill.settings?.work_schema.as_deref());
    if let Some(work) = work {
        options.work_schema = filled(work)?;
    }
    options.account = args.account.clone().or_else(|| fill.text("account").map(str::to_owned));
    options.schema = fill.text("schema").map(Name::exact).transpose()?;
    Ok(())
}

fn relations(args: &Args, fill: &Fill<'_>, options: &mut Options) -> Result<()> {
    let typed = |texts: &[String]| -> Result<Vec<Path>> { texts.iter().map(|text| Path::typed(text)).collect() };
    (options.schemas, options.tables, options.views) = (typed(&args.schema)?, typed(&args.table)?, typed(&args.view)?);
    (options.streams, options.targets) = (typed(&args.stream)?, typed(&args.target)?);
    let stage = fill.text("stage").filter(|_| options.access == Access::Write);
    options.stage = args.stage.as_deref().or(stage).map(Path::typed).transpose()?;
    if let ([only], None) = (options.schemas.as_slice(), &options.schema) {
        options.schema = only.last_name().cloned();
    }
    if options.targets.is_empty() && options.access == Access::Write {
        options.targets = fill.relations(true)?;
    }
    if options.schemas.is_empty() && options.tables.is_empty() && options.views.is_empty() {
        for relation in fill.relations(false)? {
            let (database, schema) = (&options.database, options.schema.as_ref());
            let schema = relation.schema_of(database, schema)?;
            if !options.schemas.contains(&schema) {
                options.schemas.push(schema);
            }
        }
    }
    for table in typed(&args.track)? {
        options.tracked.push(Tracked::Table(table));
    }
    for text in &args.track_view {
        let Some((view, bases)) = text.split_once('=') else {
            return Err(Error::config(format!("`--track-view {text}` does not name the tables below the view"))
                .hint("write --track-view VIEW=TABLE,TABLE"));
        };
        let bases: Vec<String> = bases.split(',').map(str::to_owned).collect();
        options.tracked.push(Tracked::View { view: Path::typed(view)?, bases: typed(&bases)? });
    }
    Ok(())
}

fn auth(args: &Args, fill: &Fill<'_>, root: &File) -> Result<Auth> {
    let oauth = match args.auth {
        Some(auth) => auth == AuthArg::OAuth,
        None => fill.method() == Some("oauth"),
    };
    if !oauth {
        let public_key = args.public_key.as_deref().map(|given| public_key(given, root)).transpose()?;
        return Ok(Auth::KeyPair { public_key });
    }
    let Some(redirect_uri) = args.redirect_uri.clone() else {
        return Err(Error::config("OAuth needs the address that the browser comes back to")
            .hint("name it in `serve.public_url` of tidegate.yaml, or with --redirect-uri, such as https://tidegate.example/oauth/callback"));
    };
    let integration = Name::typed("TIDEGATE_OAUTH")?;
    Ok(Auth::OAuth { integration, redirect_uri, single_use_refresh: args.single_use_refresh })
}

/// From a file, or from the text itself.
fn public_key(given: &str, root: &File) -> Result<PublicKey> {
    if given.contains("-----BEGIN") || given.starts_with("MII") {
        return PublicKey::parse(given);
    }
    let read = std::fs::read_to_string(given).or_else(|_| std::fs::read_to_string(root.join(given)));
    let text = read.map_err(|error| {
        Error::config(format!("the public key {given} cannot be read"))
            .hint("make it with `openssl rsa -in KEY.p8 -pubout -out KEY.pub`")
            .cause(error)
    })?;
    PublicKey::parse(&text).map_err(|error| error.at(given))
}
