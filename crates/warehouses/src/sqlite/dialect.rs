//! How SQLite says things.

use tidegate_model::schema::Relation;
use tidegate_model::value::Type;

use crate::findings::Dialect;
use crate::fit::Slot;

/// Digits that SQLite's own numbers keep.
pub(super) const DIGITS_MAX: usize = 15;

/// SQLite's words.
pub(super) struct Sqlite;

impl Dialect for Sqlite {
    fn native(&self, logical: Type, max_length: Option<u32>) -> String {
        match logical {
            Type::Bool => "BOOLEAN".into(),
            Type::Int64 => "INTEGER".into(),
            Type::Decimal { precision, scale } if usize::from(precision) <= DIGITS_MAX => {
                format!("DECIMAL({precision},{scale})")
            }
            Type::Decimal { precision, scale } => format!("DECIMAL TEXT({precision},{scale})"),
            Type::Float64 => "REAL".into(),
            Type::Text => max_length.map_or_else(|| "TEXT".into(), |most| format!("VARCHAR({most})")),
            Type::Date => "DATE".into(),
            Type::Time => "TIME".into(),
            Type::Timestamp => "TIMESTAMP".into(),
            Type::TimestampTz => "TIMESTAMPTZ".into(),
            Type::Binary => "BLOB".into(),
            Type::Json => "JSON".into(),
            Type::List => "TEXT LIST".into(),
        }
    }

    /// SQLite cannot change a column's type in place: a new column takes the values over. Fails, changing nothing,
    /// for a column of an index or key; then the table has to be made anew.
    fn retype(&self, relation: &Relation, slot: &Slot, native: &str) -> String {
        let table = self.relation(relation);
        let column = self.quote(&slot.column.name);
        let old = self.quote(&format!("{}_old", slot.column.name));
        format!(
            "BEGIN; ALTER TABLE {table} RENAME COLUMN {column} TO {old}; ALTER TABLE {table} ADD COLUMN {column} {native}; \
             UPDATE {table} SET {column} = {old}; ALTER TABLE {table} DROP COLUMN {old}; COMMIT;"
        )
    }

    fn drop_not_null(&self, relation: &Relation, slot: &Slot) -> String {
        self.retype(relation, slot, &slot.column.native)
    }

    fn unique_index(&self, relation: &Relation, column: &str) -> String {
        let name = self.quote(&format!("{}_{column}_key", relation.table()));
        let (schema, table) = match relation.0.as_slice() {
            [schema, table] => (format!("{}.", self.quote(schema)), self.quote(table)),
            _ => (String::new(), self.quote(relation.table())),
        };
        format!("CREATE UNIQUE INDEX {schema}{name} ON {table} ({});", self.quote(column))
    }
}
