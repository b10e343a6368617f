//! The hub's tables, made at the first use of an empty place and completed when a newer tidegate knows more fields.

use std::collections::HashSet;

use tidegate_model::{Error, ErrorKind, Result};

use super::cell::{CellRef, Kind};
use super::db::{Dialect, Session, first};
use super::ids::Ids;
use super::models::{self, Def};

/// Grows when tables change in a way that adding columns does not cover.
const VERSION: i64 = 1;

/// Tables beside those of the models. `{int}`, `{text}`, `{dec}` and `{blob}` are the column types of the kinds.
const COMMON: &str = r"
CREATE TABLE IF NOT EXISTS hub_meta (name {text} PRIMARY KEY, number {int}, word {text});
CREATE TABLE IF NOT EXISTS hub_field (model {text} NOT NULL, n {int} NOT NULL, name {text} NOT NULL, col {text} NOT NULL,
  type {text} NOT NULL, created {int} NOT NULL, PRIMARY KEY (model, name));
CREATE TABLE IF NOT EXISTS hub_fence (sync {text} PRIMARY KEY, store {text} NOT NULL, epoch {int} NOT NULL);
CREATE TABLE IF NOT EXISTS hub_op (op {text} PRIMARY KEY, n {int} NOT NULL, sync {text} NOT NULL, kind {text} NOT NULL,
  at {int} NOT NULL, answer {blob});
CREATE INDEX IF NOT EXISTS hub_op_sync ON hub_op (sync, n);
CREATE TABLE IF NOT EXISTS hub_domain (domain {text} NOT NULL, company {int} NOT NULL, PRIMARY KEY (domain, company));
CREATE INDEX IF NOT EXISTS hub_domain_company ON hub_domain (company);
CREATE TABLE IF NOT EXISTS hub_name (id {serial}, name {text} NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS hub_activity (sync {int} NOT NULL, key {text} NOT NULL, load {int} NOT NULL, company {int},
  enduser {int}, action {int}, weight {dec} NOT NULL, times {int} NOT NULL, at {int} NOT NULL, info {text},
  PRIMARY KEY (sync, key)){clustered};
CREATE TABLE IF NOT EXISTS hub_metric (sync {int} NOT NULL, key {text} NOT NULL, load {int} NOT NULL,
  model {int} NOT NULL, entity {int} NOT NULL, dimension {int} NOT NULL, value {dec} NOT NULL, at {int} NOT NULL,
  PRIMARY KEY (sync, key)){clustered};
CREATE TABLE IF NOT EXISTS hub_rollup (series {int} NOT NULL, model {int} NOT NULL, day {int} NOT NULL,
  entity {int} NOT NULL, name {int} NOT NULL, events {int} NOT NULL, times {int} NOT NULL, total {dec} NOT NULL,
  last_value {dec} NOT NULL, last_at {int} NOT NULL, PRIMARY KEY (series, model, day, entity, name)){clustered};
CREATE TABLE IF NOT EXISTS hub_dataset (name {text} PRIMARY KEY, number {int} NOT NULL, company {text}, enduser {text});
";

fn common(dialect: Dialect) -> String {
    let kind = |kind| dialect.column_type(kind);
    let (serial, clustered, more) = match dialect {
        Dialect::Sqlite => ("INTEGER PRIMARY KEY", " WITHOUT ROWID", ""),
        Dialect::Postgres => {
            ("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "", "CREATE SEQUENCE IF NOT EXISTS hub_load;")
        }
    };
    COMMON
        .replace("{int}", kind(Kind::Int))
        .replace("{text}", kind(Kind::Text))
        .replace("{dec}", kind(Kind::Dec))
        .replace("{blob}", kind(Kind::Blob))
        .replace("{serial}", serial)
        .replace("{clustered}", clustered)
        + more
}

/// Makes what is missing, and says by which salt the hub's ids are made.
pub fn ensure(session: &mut dyn Session, fresh_salt: u32) -> Result<Ids> {
    let models = fingerprint()?;
    if let Some(ids) = ready(session, &models) {
        return Ok(ids);
    }
    session.begin()?;
    let made = make(session, fresh_salt, &models).and_then(|ids| session.commit().map(|()| ids));
    if made.is_err() {
        session.rollback();
    }
    made
}

/// What the model files say, in short.
fn fingerprint() -> Result<String> {
    let mut words = format!("{VERSION}");
    for def in models::defs()? {
        let fields: Vec<&str> = def.fields.iter().map(|field| field.schema.name.as_str()).collect();
        words = format!("{words};{}:{}", def.name, fields.join(","));
    }
    Ok(words)
}

/// The ids, if everything is there already. An error means that the tables are not there.
fn ready(session: &mut dyn Session, models: &str) -> Option<Ids> {
    let sql = match session.dialect() {
        Dialect::Sqlite => "SELECT count(*) FROM sqlite_schema WHERE name = 'hub_meta'",
        Dialect::Postgres => "SELECT count(*) FROM pg_class WHERE oid = to_regclass('hub_meta')",
    };
    let there = first(session, sql, &[], 1).ok()??;
    if there[0].int() != Some(1) {
        return None;
    }
    let sql = "SELECT m.word, s.number FROM hub_meta m, hub_meta s WHERE m.name = 'models' AND s.name = 'salt'";
    let found = first(session, sql, &[], 2).ok()??;
    (found[0].text() == Some(models)).then(|| Ids::new(salt(found[1].int())))
}

fn salt(number: Option<i64>) -> u32 {
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

fn make(session: &mut dyn Session, fresh_salt: u32, models: &str) -> Result<Ids> {
    if session.dialect() == Dialect::Postgres {
        // Two processes may start on an empty database at once.
        session.script("SELECT pg_advisory_xact_lock(hashtext('tidegate hub' || current_schema()))")?;
    }
    session.script(&common(session.dialect()))?;
    let series = [super::series::ACTIVITY, super::series::METRIC].map(|name| (name, 0));
    let own = [("version", VERSION), ("seq", 0), ("clock", 0), ("load", 0), ("salt", i64::from(fresh_salt))];
    for (name, number) in own.into_iter().chain(series) {
        let sql = "INSERT INTO hub_meta (name, number) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        session.exec(sql, &[CellRef::Text(name), CellRef::Int(number)])?;
    }
    let version = first(session, "SELECT number FROM hub_meta WHERE name = 'version'", &[], 1)?;
    if version.and_then(|cells| cells[0].int()) != Some(VERSION) {
        return Err(Error::new(ErrorKind::SchemaChanged, "the hub was made by another version of tidegate")
            .hint("use the version of tidegate that wrote it last, or newer"));
    }
    for def in models::defs()? {
        make_model(session, def)?;
    }
    let sql = "INSERT INTO hub_meta (name, word) VALUES ('models', $1) ON CONFLICT (name) DO UPDATE SET word = $1";
    session.exec(sql, &[CellRef::Text(models)])?;
    let found = first(session, "SELECT number FROM hub_meta WHERE name = 'salt'", &[], 1)?;
    Ok(Ids::new(salt(found.and_then(|cells| cells[0].int()))))
}

fn make_model(session: &mut dyn Session, def: &Def) -> Result<()> {
    let dialect = session.dialect();
    let int = dialect.column_type(Kind::Int);
    let table = &def.table;
    session.script(&format!(
        "CREATE TABLE IF NOT EXISTS {table} (id {int} PRIMARY KEY, seq {int} NOT NULL, created {int} NOT NULL, \
         updated {int} NOT NULL, deleted {int} NOT NULL DEFAULT 0)"
    ))?;
    let there = columns(session, table)?;
    for field in def.fields.iter().filter(|field| field.column.starts_with('"')) {
        if !there.contains(&field.schema.name) {
            let physical = dialect.column_type(field.kind);
            session.script(&format!("ALTER TABLE {table} ADD COLUMN {} {physical}", field.column))?;
        }
    }
    let nulls = if dialect == Dialect::Postgres { " NULLS FIRST" } else { "" };
    session.script(&format!("CREATE INDEX IF NOT EXISTS {table}_seq ON {table} (seq)"))?;
    for name in ["externalId", "sourceId"] {
        if let Some(field) = def.fields.iter().find(|field| field.schema.name == name) {
            let column = &field.column;
            session
                .script(&format!("CREATE UNIQUE INDEX IF NOT EXISTS {table}_{name} ON {table} ({column}{nulls})"))?;
        }
    }
    if def.keys.iter().any(|key| key == "email") {
        session.script(&format!("CREATE INDEX IF NOT EXISTS {table}_email ON {table} (\"email\"{nulls})"))?;
    }
    Ok(())
}

/// Names of a table's columns.
pub fn columns(session: &mut dyn Session, table: &str) -> Result<HashSet<String>> {
    let sql = match session.dialect() {
        Dialect::Sqlite => "SELECT name FROM pragma_table_info($1)",
        Dialect::Postgres => {
            "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped"
        }
    };
    let mut names = HashSet::new();
    session.query(sql, &[CellRef::Text(table)], &mut |row| {
        names.extend(row.text(0)?);
        Ok(())
    })?;
    Ok(names)
}
