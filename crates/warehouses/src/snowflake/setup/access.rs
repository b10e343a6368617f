//! The grants: no more than the access needs. SECURITYADMIN may grant on whatever somebody else owns.

use super::Script;
use super::name::{Name, Path};
use super::options::{Access, Options};

/// All grants of a connection.
pub(super) fn steps(options: &Options, script: &mut Script) {
    let mut grants = Grants { role: &options.role, script };
    grants.on("USAGE", "WAREHOUSE", &options.warehouse.quoted(), "computes with this warehouse");
    let mut databases: Vec<Name> = Vec::new();
    let schemas = options.schemas_used();
    for database in schemas.iter().filter_map(|schema| schema.parts().first()) {
        if !databases.contains(database) {
            databases.push(database.clone());
            grants.on("USAGE", "DATABASE", &database.quoted(), "sees the database; this alone opens no table");
        }
    }
    let work = (options.access == Access::Write).then(|| options.work());
    for schema in schemas.iter().filter(|schema| work.as_ref() != Some(schema)) {
        grants.on("USAGE", "SCHEMA", &schema.quoted(), "sees the schema; this alone opens no table");
    }
    for schema in &options.schemas {
        for (kind, word) in [("TABLES", "tables"), ("VIEWS", "views")] {
            let of = schema.quoted();
            grants.all("SELECT", &format!("ALL {kind}"), &of, &format!("reads the {word} that are there"));
            grants.all("SELECT", &format!("FUTURE {kind}"), &of, &format!("reads the {word} to come"));
        }
    }
    named(options, &mut grants);
    if let Some(work) = &work {
        grants.on("USAGE, CREATE TABLE", "SCHEMA", &work.quoted(), "makes its own tables, and only here");
    }
    for target in &options.targets {
        grants.on("SELECT, INSERT, UPDATE, DELETE", "TABLE", &target.quoted(), "writes this table, and reads it back");
    }
    if let Some(stage) = &options.stage {
        grants.on("READ, WRITE", "STAGE", &stage.quoted(), "puts files there and loads them");
    }
}

/// Relations that are named one by one.
fn named(options: &Options, grants: &mut Grants<'_>) {
    let reads = |path: &&Path| !options.targets.contains(path);
    for table in options.tables.iter().filter(reads) {
        grants.on("SELECT", "TABLE", &table.quoted(), "reads this table");
    }
    for view in &options.views {
        grants.on("SELECT", "VIEW", &view.quoted(), "reads this view; the tables below it stay closed");
    }
    for stream in &options.streams {
        let why = match options.access {
            Access::Write => "takes the changes of this stream into the outbox; its table or view must be readable too",
            Access::Read => "sees this stream; taking its changes writes an outbox and needs `--access write`",
        };
        grants.on("SELECT", "STREAM", &stream.quoted(), why);
    }
}

/// Grants to one role.
pub(super) struct Grants<'a> {
    /// Who gets them.
    pub(super) role: &'a Name,
    /// Where they are put down.
    pub(super) script: &'a mut Script,
}

impl Grants<'_> {
    /// Rights on one thing.
    pub(super) fn on(&mut self, rights: &str, kind: &str, name: &str, why: &str) {
        let sql = format!("GRANT {rights} ON {kind} {name} TO ROLE {}", self.role.quoted());
        self.script.run("SECURITYADMIN", sql, why);
    }

    /// Rights on everything of a kind in a schema.
    fn all(&mut self, rights: &str, kinds: &str, schema: &str, why: &str) {
        let sql = format!("GRANT {rights} ON {kinds} IN SCHEMA {schema} TO ROLE {}", self.role.quoted());
        self.script.run("SECURITYADMIN", sql, why);
    }
}
