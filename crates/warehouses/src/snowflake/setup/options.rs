//! What a set-up can be asked for.

use tidegate_model::{Error, Result};

use super::name::{Name, Path};
use super::network::Egress;
use super::public_key::PublicKey;

/// `--access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads only.
    Read,
    /// Reads, and writes where it is told to.
    Write,
}

/// How tidegate logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// By an RSA key: what we advise.
    KeyPair {
        /// The public half; a blank stands in the SQL without it.
        public_key: Option<PublicKey>,
    },
    /// By OAuth: a person signs in, again after at most 90 days.
    OAuth {
        /// Name of the security integration.
        integration: Name,
        /// Where the browser comes back to.
        redirect_uri: String,
        /// Whether a refresh token can be used once only.
        single_use_refresh: bool,
    },
}

/// A person whose user tidegate logs in as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The address that the person signs in with.
    pub email: String,
}

/// A relation whose changes Snowflake is to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracked {
    /// A table.
    Table(Path),
    /// A view, and all tables below it.
    View {
        /// The view.
        view: Path,
        /// The tables that it reads.
        bases: Vec<Path>,
    },
}

/// `WAREHOUSE_SIZE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarehouseSize {
    /// One credit an hour.
    XSmall,
    /// Two.
    Small,
    /// Four.
    Medium,
    /// Eight.
    Large,
}

impl WarehouseSize {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::XSmall => "XSMALL",
            Self::Small => "SMALL",
            Self::Medium => "MEDIUM",
            Self::Large => "LARGE",
        }
    }
}

/// Everything that the set-up of a connection depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The connection's name in the project.
    pub connection: String,
    /// The account's identifier, if it is known.
    pub account: Option<String>,
    /// Read, or read and write.
    pub access: Access,
    /// How tidegate logs in.
    pub auth: Auth,
    /// The user. A service user, unless it is a person's.
    pub user: Name,
    /// The person behind the user.
    pub person: Option<Person>,
    /// The role that gets the rights.
    pub role: Name,
    /// The warehouse that computes.
    pub warehouse: Name,
    /// Its size if it has to be made.
    pub size: WarehouseSize,
    /// Seconds without work until it stops.
    pub auto_suspend_s: u32,
    /// Where names without a database are.
    pub database: Name,
    /// Where names without a schema are.
    pub schema: Option<Name>,
    /// Schemas that are read whole: every table and view, those of the future too.
    pub schemas: Vec<Path>,
    /// Tables to read.
    pub tables: Vec<Path>,
    /// Views to read.
    pub views: Vec<Path>,
    /// Streams to read.
    pub streams: Vec<Path>,
    /// Tables to write.
    pub targets: Vec<Path>,
    /// Relations that keep their changes.
    pub tracked: Vec<Tracked>,
    /// An internal stage for large loads, in the work schema unless it says otherwise.
    pub stage: Option<Path>,
    /// Where tidegate's own tables go.
    pub work_schema: Name,
    /// Addresses that tidegate calls from; a network policy lets in no others.
    pub egress: Vec<Egress>,
    /// The role that owns database, tables and views.
    pub owner: Name,
}

impl Options {
    /// Options for this connection, access and database, with our own names for the rest.
    pub fn new(connection: &str, access: Access, database: Name) -> Self {
        let who = if access == Access::Read { "TIDEGATE_READER" } else { "TIDEGATE_WRITER" };
        Self {
            connection: connection.to_owned(),
            account: None,
            access,
            auth: Auth::KeyPair { public_key: None },
            user: Name::own(who),
            person: None,
            role: Name::own(&format!("{who}_ROLE")),
            warehouse: Name::own("TIDEGATE_WH"),
            size: WarehouseSize::XSmall,
            auto_suspend_s: 60,
            database,
            schema: None,
            schemas: Vec::new(),
            tables: Vec::new(),
            views: Vec::new(),
            streams: Vec::new(),
            targets: Vec::new(),
            tracked: Vec::new(),
            stage: None,
            work_schema: Name::own("TIDEGATE"),
            egress: Vec::new(),
            owner: Name::own("SYSADMIN"),
        }
    }

    /// Gives every name all of its parts, and refuses what cannot work.
    pub(super) fn complete(mut self) -> Result<Self> {
        let (database, schema) = (Some(&self.database), self.schema.as_ref());
        let full = |paths: &[Path]| -> Result<Vec<Path>> { paths.iter().map(|p| p.within(database, schema)).collect() };
        let (tables, views) = (full(&self.tables)?, full(&self.views)?);
        let (streams, targets) = (full(&self.streams)?, full(&self.targets)?);
        let mut schemas: Vec<Path> =
            self.schemas.iter().map(|path| path.schema_within(database)).collect::<Result<_>>()?;
        let nothing = schemas.is_empty() && tables.is_empty() && views.is_empty() && streams.is_empty();
        if let (true, true, Some(schema)) = (nothing, targets.is_empty(), schema) {
            schemas.push(Path::schema(&self.database, schema));
        }
        let mut tracked = Vec::new();
        for each in &self.tracked {
            tracked.push(match each {
                Tracked::Table(table) => Tracked::Table(table.within(database, schema)?),
                Tracked::View { view, bases } => {
                    Tracked::View { view: view.within(database, schema)?, bases: full(bases)? }
                }
            });
        }
        let stage = self.stage.as_ref().map(|stage| stage.within(database, Some(&self.work_schema))).transpose()?;
        (self.tables, self.views, self.streams, self.targets) = (tables, views, streams, targets);
        (self.schemas, self.tracked, self.stage) = (schemas, tracked, stage);
        self.check()?;
        Ok(self)
    }

    fn check(&self) -> Result<()> {
        if self.schemas.is_empty() && self.relations().next().is_none() {
            return Err(Error::config("there is nothing to read or write").hint(
                "name schemas with --schema, or tables and views with --table and --view; repeat them as needed",
            ));
        }
        if self.access == Access::Read && !self.targets.is_empty() {
            return Err(Error::config(format!("{} is to be written, but the access is `read`", self.targets[0]))
                .hint("add `--access write`, or take out --target"));
        }
        if self.access == Access::Read && self.stage.is_some() {
            return Err(Error::config("a stage is for writing, but the access is `read`")
                .hint("add `--access write`, or take out --stage"));
        }
        if let Some(person) = &self.person {
            let parts: Vec<&str> = person.email.split('@').collect();
            let odd = |c: char| c.is_control() || c.is_whitespace() || "\"\\;".contains(c);
            if parts.len() != 2 || parts.iter().any(|part| part.is_empty()) || person.email.contains(odd) {
                return Err(Error::config("--email is not an address").hint("write it as NAME@HOST"));
            }
        }
        if let Auth::OAuth { redirect_uri, .. } = &self.auth {
            check_redirect(redirect_uri)?;
            if self.person.is_none() {
                return Err(Error::config("OAuth needs a person who signs in; a service user cannot").hint(
                    "name the person, as `user: ADDRESS` of the connection or `--email ADDRESS`; or use a key pair",
                ));
            }
        }
        Ok(())
    }

    /// Every relation that is named.
    fn relations(&self) -> impl Iterator<Item = &Path> {
        self.tables.iter().chain(&self.views).chain(&self.streams).chain(&self.targets)
    }

    /// Every schema that something named stands in, once, in their order.
    pub(super) fn schemas_used(&self) -> Vec<Path> {
        let mut all: Vec<Path> = Vec::new();
        let work = (self.access == Access::Write).then(|| self.work());
        let stage = self.stage.iter().map(Path::parent);
        for schema in self.schemas.iter().cloned().chain(self.relations().map(Path::parent)).chain(work).chain(stage) {
            if !all.contains(&schema) {
                all.push(schema);
            }
        }
        all
    }

    /// The work schema.
    pub(super) fn work(&self) -> Path {
        Path::schema(&self.database, &self.work_schema)
    }

    /// What has to be filled in by hand.
    pub(super) fn blanks(&self) -> Vec<String> {
        match &self.auth {
            Auth::KeyPair { public_key: None } => vec![format!("{}: {}", BLANK_KEY, "--public-key FILE fills it in")],
            _ => Vec::new(),
        }
    }
}

/// Stands where the public key goes.
pub(super) const BLANK_KEY: &str = "<the public key: the file .pub without its first and last line>";

/// A whole address: over TLS, or to this machine. Query and fragment are no part of it.
fn check_redirect(uri: &str) -> Result<()> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || "'\"\\?#<>".contains(c);
    let known = uri.starts_with("https://") || loopback(uri);
    if known && !uri.contains(odd) {
        return Ok(());
    }
    Err(Error::config("the redirect URI must be https://…, or http:// to 127.0.0.1 or localhost, without ? and #")
        .hint("give the one that tidegate answers at, such as https://tidegate.example/oauth/callback"))
}

/// Whether an address is plain HTTP to this machine.
pub(super) fn loopback(uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix("http://") else { return false };
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    matches!(host, "127.0.0.1" | "localhost")
}
