//! Merging a page: staged beside the table, then one UPDATE of what differs and one INSERT of what is not there.
//! It needs no unique index, and counts rows that are equal already as unchanged.

use bytes::Bytes;
use tidegate_model::schema::Relation;
use tidegate_model::{Error, Result};
use tokio_postgres::Statement;

use super::catalog::{Shape, SourceColumn};
use super::load::send;
use super::types::Wire;
use super::write::Txn;

/// The temporary table, gone with the transaction.
const STAGE: &str = "pg_temp.\"tidegate_stage\"";
/// The column with the number of a row within its page.
const NUMBER: &str = "\"tidegate row\"";

/// What a merge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Did {
    pub(super) created: u64,
    pub(super) updated: u64,
}

/// The statements of a merge.
pub(super) struct Merge {
    copy: String,
    update: Option<Statement>,
    insert: Statement,
}

impl Merge {
    /// Makes the temporary table with the types of the target.
    pub(super) async fn begin(
        txn: &Txn<'_>,
        shape: &Shape,
        relation: &Relation,
        key: Option<&str>,
        columns: &[&SourceColumn],
    ) -> Result<Self> {
        let Some(key) = key else { return Err(Error::config(format!("a merge into {relation} needs a key"))) };
        let Some(key) = columns.iter().find(|column| column.name == key) else {
            return Err(Error::internal(format!("a merge by {key} without that column")));
        };
        let doing = format!("load {relation}");
        let from = &shape.from;
        let names: Vec<String> = columns.iter().map(|column| column.quoted()).collect();
        let names = names.join(", ");
        let make = format!(
            "CREATE TEMPORARY TABLE \"tidegate_stage\" ON COMMIT DROP AS SELECT 0::int8 AS {NUMBER}, {names} FROM {from} LIMIT 0"
        );
        txn.run(&make, &doing).await?;
        let key = key.quoted();
        // Of several rows with one key the last one counts, as if they had come one after the other.
        let staged = format!(
            "SELECT DISTINCT ON ({key}) * FROM {STAGE} WHERE {NUMBER} >= $1 AND {NUMBER} < $2 ORDER BY {key}, {NUMBER} DESC"
        );
        let others: Vec<&&SourceColumn> = columns.iter().filter(|column| column.quoted() != key).collect();
        let sets: Vec<String> = others.iter().map(|c| format!("{0} = s.{0}", c.quoted())).collect();
        let differs: Vec<String> = others.iter().map(|column| differs(column)).collect();
        let prepare = async |sql: String| txn.client().prepare(&sql).await.map_err(|error| txn.fail(&error, &doing));
        let update = if others.is_empty() {
            None
        } else {
            Some(
                prepare(format!(
                    "WITH s AS ({staged}), u AS (UPDATE {from} AS t SET {} FROM s WHERE t.{key} = s.{key} AND ({}) RETURNING s.{NUMBER}) \
                     SELECT count(DISTINCT {NUMBER}) FROM u",
                    sets.join(", "),
                    differs.join(" OR ")
                ))
                .await?,
            )
        };
        let insert = prepare(format!(
            "WITH s AS ({staged}) INSERT INTO {from} ({names}) SELECT {names} FROM s \
             WHERE NOT EXISTS (SELECT 1 FROM {from} AS t WHERE t.{key} = s.{key}) ORDER BY {NUMBER}"
        ))
        .await?;
        let copy = format!("COPY {STAGE} ({NUMBER}, {names}) FROM STDIN (FORMAT binary)");
        Ok(Self { copy, update, insert })
    }

    /// Fills the temporary table with a page.
    pub(super) async fn stage(&self, txn: &Txn<'_>, rows: Bytes) -> std::result::Result<(), tokio_postgres::Error> {
        txn.client().batch_execute(&format!("TRUNCATE {STAGE}")).await?;
        send(txn, &self.copy, rows).await?;
        // Without its size the planner would read the whole target for every page.
        txn.client().batch_execute(&format!("ANALYZE {STAGE}")).await
    }

    /// Merges some of the staged rows.
    pub(super) async fn apply(
        &self,
        txn: &Txn<'_>,
        from: usize,
        to: usize,
    ) -> std::result::Result<Did, tokio_postgres::Error> {
        let range: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&(from as i64), &(to as i64)];
        let updated = match &self.update {
            Some(update) => u64::try_from(txn.client().query_one(update, &range).await?.get::<_, i64>(0)).unwrap_or(0),
            None => 0,
        };
        let created = txn.client().execute(&self.insert, &range).await?;
        Ok(Did { created, updated })
    }
}

/// Whether a column of the table differs from the staged one. `json` has no equality of its own.
fn differs(column: &SourceColumn) -> String {
    let name = column.quoted();
    match column.known.wire {
        Wire::Json => format!("t.{name}::jsonb IS DISTINCT FROM s.{name}::jsonb"),
        _ => format!("t.{name} IS DISTINCT FROM s.{name}"),
    }
}
