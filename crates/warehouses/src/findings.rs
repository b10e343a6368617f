//! What a check says of a table that is to be read or written: pure, with the SQL that mends each finding.

use tidegate_model::finding::Finding;
use tidegate_model::ports::WriteColumn;
use tidegate_model::schema::{Relation, RelationKind};
use tidegate_model::sync::WriteMode;
use tidegate_model::value::Type;
use tidegate_model::{Error, ErrorKind};

use crate::fit::{Slot, assignable};
use crate::near::{did_you_mean, near};

/// How a database says things.
pub(crate) trait Dialect {
    /// A quoted name.
    fn quote(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
    /// A quoted relation.
    fn relation(&self, relation: &Relation) -> String {
        relation.0.iter().map(|part| self.quote(part)).collect::<Vec<_>>().join(".")
    }
    /// What declares a column the key.
    fn primary_key(&self) -> &'static str {
        "PRIMARY KEY"
    }
    /// The native type for values of a logical type.
    fn native(&self, logical: Type, max_length: Option<u32>) -> String;
    /// Gives a column another type.
    fn retype(&self, relation: &Relation, slot: &Slot, native: &str) -> String;
    /// Lets a column take NULL.
    fn drop_not_null(&self, relation: &Relation, slot: &Slot) -> String;
    /// Makes a unique index.
    fn unique_index(&self, relation: &Relation, column: &str) -> String;
}

/// A table as a check sees it.
pub(crate) struct Table<'a> {
    pub(crate) relation: &'a Relation,
    pub(crate) kind: RelationKind,
    pub(crate) slots: &'a [Slot],
    /// Columns with a unique index of their own.
    pub(crate) unique: &'a [String],
}

/// What is to be written.
pub(crate) struct Wish<'a> {
    pub(crate) key: Option<&'a str>,
    pub(crate) columns: &'a [WriteColumn],
    pub(crate) mode: WriteMode,
}

/// An error as a finding.
pub(crate) fn of_error(error: &Error) -> Finding {
    named(error.code(), error)
}

/// An error about a relation as a finding.
pub(crate) fn of_relation(error: &Error) -> Finding {
    named(if error.kind == ErrorKind::NotFound { "missing_relation" } else { error.code() }, error)
}

fn named(name: &str, error: &Error) -> Finding {
    let hint = error.hint.clone().unwrap_or_default();
    let why = if hint.is_empty() { error.to_string() } else { format!("{error}; {hint}") };
    Finding::critical(name, why, hint)
}

/// A write through a connection that only reads.
pub(crate) fn read_only(connection: &str) -> Finding {
    Finding::critical(
        "read_only",
        format!("connection {connection} is opened with access: read"),
        format!("set `access: write` in connections/{connection}.yaml"),
    )
}

/// Columns that are to be read and are not there.
pub(crate) fn missing_columns(columns: &[String], known: &[&str], what: &str) -> Vec<Finding> {
    let missing = columns.iter().filter(|column| !known.contains(&column.as_str()));
    missing
        .map(|column| {
            let hint = did_you_mean(&near(column, known.iter().copied()), &format!("it has {}", known.join(", ")));
            Finding::critical("missing_column", format!("{what} has no column {column}"), hint)
        })
        .collect()
}

/// The table that is to be written is not there.
pub(crate) fn missing_table(dialect: &dyn Dialect, relation: &Relation, wish: &Wish<'_>, near: &[&str]) -> Finding {
    let mut columns: Vec<String> = Vec::new();
    if let Some(key) = wish.key {
        let found = wish.columns.iter().find(|column| column.name == key);
        let native = found.map_or_else(
            || dialect.native(Type::Text, None),
            |column| dialect.native(column.logical, column.max_length),
        );
        columns.push(format!("{} {native} NOT NULL {}", dialect.quote(key), dialect.primary_key()));
    }
    for column in wish.columns.iter().filter(|column| Some(column.name.as_str()) != wish.key) {
        columns.push(format!("{} {}", dialect.quote(&column.name), dialect.native(column.logical, column.max_length)));
    }
    let why = format!("table {relation} is not there; {}", did_you_mean(near, "create it"));
    Finding::critical(
        "missing_relation",
        why,
        format!("CREATE TABLE {} ({});", dialect.relation(relation), columns.join(", ")),
    )
}

/// Everything that keeps a table from being written as wished.
pub(crate) fn write_findings(dialect: &dyn Dialect, table: &Table<'_>, wish: &Wish<'_>) -> Vec<Finding> {
    let relation = table.relation;
    if table.kind != RelationKind::Table {
        return vec![Finding::critical(
            "not_a_table",
            format!("{relation} is not a table; tidegate writes tables only"),
            "name a table in the sync: views and queries are read only".to_owned(),
        )];
    }
    let mut findings = Vec::new();
    for column in wish.columns {
        match table.slots.iter().find(|slot| slot.column.name == column.name) {
            Some(slot) => findings.extend(column_findings(dialect, relation, slot, column)),
            None => findings.push(missing_column(dialect, table, column)),
        }
    }
    if let Some(key) = wish.key {
        findings.extend(key_findings(dialect, table, wish, key));
    }
    if wish.mode != WriteMode::Update {
        findings.extend(required_findings(dialect, table, wish));
    }
    findings
}

fn missing_column(dialect: &dyn Dialect, table: &Table<'_>, column: &WriteColumn) -> Finding {
    let known = table.slots.iter().map(|slot| slot.column.name.as_str());
    let hint = did_you_mean(&near(&column.name, known), "add it");
    Finding::critical(
        "missing_column",
        format!("{} has no column {}; {hint}", table.relation, column.name),
        format!(
            "ALTER TABLE {} ADD COLUMN {} {};",
            dialect.relation(table.relation),
            dialect.quote(&column.name),
            dialect.native(column.logical, column.max_length)
        ),
    )
}

fn column_findings(dialect: &dyn Dialect, relation: &Relation, slot: &Slot, wish: &WriteColumn) -> Vec<Finding> {
    let (name, native) = (&slot.column.name, &slot.column.native);
    let retype = || dialect.retype(relation, slot, &dialect.native(wish.logical, wish.max_length));
    if slot.generated {
        let why = format!("column {name} of {relation} is computed by the database and cannot be written");
        return vec![Finding::critical("generated_column", why, "leave it out of the sync's fields".to_owned())];
    }
    if !slot.writable || !assignable(wish.logical, slot.column.logical) {
        let why = format!("column {name} of {relation} is {native}; {} is to be written", wish.logical);
        return vec![Finding::critical("wrong_type", why, retype())];
    }
    let mut findings = Vec::new();
    if let (Some(longest), Some(most)) = (wish.max_length, slot.column.max_length)
        && longest > most
    {
        let why = format!(
            "column {name} of {relation} takes {most} characters, up to {longest} may come; longer ones become rejects"
        );
        findings.push(Finding::warning("too_short", why, retype()));
    }
    if loses(wish.logical, slot) {
        let why = format!(
            "column {name} of {relation} is {native}, which cannot hold every {}; values that do not fit become rejects",
            wish.logical
        );
        findings.push(Finding::warning("less_precision", why, retype()));
    }
    if wish.nulls && !slot.column.nullable {
        let why = format!("column {name} of {relation} is NOT NULL and NULL may come; such rows become rejects");
        findings.push(Finding::warning("not_null", why, dialect.drop_not_null(relation, slot)));
    }
    findings
}

/// Whether some values of the type do not fit the column.
fn loses(from: Type, slot: &Slot) -> bool {
    let int_digits: (u8, i8) = (19, 0);
    let fits_decimal = |(p, s): (u8, i8), precision: u8, scale: i8| {
        let whole = i16::from(p) - i16::from(s);
        s <= scale && whole <= i16::from(precision) - i16::from(scale)
    };
    match (from, slot.column.logical) {
        (Type::Int64, Type::Int64) => slot.int_bits < 64,
        (Type::Int64, Type::Decimal { precision, scale }) => !fits_decimal(int_digits, precision, scale),
        (Type::Int64, Type::Float64) => true,
        (Type::Decimal { .. } | Type::Float64, Type::Int64) => true,
        (Type::Decimal { precision: p, scale: s }, Type::Decimal { precision, scale }) => {
            !fits_decimal((p, s), precision, scale) || slot.digits_max.is_some_and(|most| usize::from(p) > most)
        }
        (Type::Float64, Type::Decimal { .. }) => true,
        (Type::Decimal { precision, .. }, Type::Float64) => precision > 15 || slot.single,
        (Type::Float64, Type::Float64) => slot.single,
        _ => false,
    }
}

fn key_findings(dialect: &dyn Dialect, table: &Table<'_>, wish: &Wish<'_>, key: &str) -> Vec<Finding> {
    let Some(slot) = table.slots.iter().find(|slot| slot.column.name == key) else {
        if wish.columns.iter().any(|column| column.name == key) {
            return Vec::new(); // said among the columns already
        }
        let column = WriteColumn { name: key.to_owned(), logical: Type::Text, nulls: false, max_length: None };
        return vec![missing_column(dialect, table, &column)];
    };
    let keyed = !matches!(wish.mode, WriteMode::Append | WriteMode::Replace);
    if keyed && !matches!(slot.column.logical, Type::Text | Type::Int64 | Type::Decimal { .. }) {
        let why = format!(
            "the key column {key} of {} is {}; keys are text or whole numbers",
            table.relation, slot.column.native
        );
        let fix = dialect.retype(table.relation, slot, &dialect.native(Type::Text, None));
        return vec![Finding::critical("wrong_key_type", why, fix)];
    }
    if keyed && !table.unique.iter().any(|column| column == key) {
        let why = format!(
            "nothing keeps the key column {key} of {} unique; records that are there twice become rejects, and writes are slow",
            table.relation
        );
        return vec![Finding::warning("key_not_unique", why, dialect.unique_index(table.relation, key))];
    }
    Vec::new()
}

fn required_findings(dialect: &dyn Dialect, table: &Table<'_>, wish: &Wish<'_>) -> Vec<Finding> {
    let unwritten = table.slots.iter().filter(|slot| {
        let column = &slot.column;
        !column.nullable
            && !column.filled
            && Some(column.name.as_str()) != wish.key
            && !wish.columns.iter().any(|written| written.name == column.name)
    });
    unwritten
        .map(|slot| {
            let why = format!(
                "column {} of {} is NOT NULL without a default, and the sync does not write it",
                slot.column.name, table.relation
            );
            Finding::critical("required_column", why, dialect.drop_not_null(table.relation, slot))
        })
        .collect()
}
