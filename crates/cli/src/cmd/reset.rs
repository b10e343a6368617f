//! `reset SYNC [--cursor V] --yes`

use tidegate_model::run::RunRecord;
use tidegate_model::schema::Source;
use tidegate_model::span::{CursorPoint, Position};
use tidegate_model::sync::Sync;
use tidegate_model::time::{parse_date, parse_timestamp, parse_timestamptz};
use tidegate_model::value::{Decimal, Type, Value};
use tidegate_model::{Error, Result};

use crate::app::{App, Ending, block_on};
use crate::out::Object;
use crate::workshop::Workshop;

/// Which sync.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate reset companies                          says what would be forgotten
  tidegate reset companies --yes                    the next run starts as the first one did
  tidegate reset activities --cursor 250000 --yes   the next run reads after this id
")]
pub struct Args {
    /// The sync
    #[arg(value_name = "SYNC")]
    sync: String,
    /// Where the cursor stands afterwards: rows after this value are read
    #[arg(long, value_name = "V")]
    cursor: Option<String>,
    /// Really do it
    #[arg(long)]
    yes: bool,
}

/// Forgets a sync's ledger and positions.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let removed = orphans(&shop).await?.into_iter().any(|(name, _)| name == args.sync);
        if !removed {
            shop.sync(&args.sync)?;
        }
        if !args.yes {
            let linked = shop.memory().state(&args.sync).await?.linked;
            let message =
                format!("reset would drop the ledger of {} ({linked} linked records) and its cursor", args.sync);
            return Err(Error::config(message)
                .hint(format!("say `tidegate reset {} --yes`; both sides keep their records", args.sync))
                .into());
        }
        if removed {
            let (record, dropped) = shop.engine.reset_removed(&args.sync).await?;
            return told(app, &args.sync, record, dropped, "the project has no such sync any more");
        }
        let job = shop.job(&args.sync).await?;
        let cursor = match &args.cursor {
            Some(text) => {
                let logical = cursor_type(&job.sync, &job.warehouse.describe(&job.sync.source).await?)?;
                Some(Position::Cursor(CursorPoint { value: read_cursor(text, logical)?, key: None }))
            }
            None => None,
        };
        let (record, dropped) = shop.engine.reset(&job, cursor).await?;
        told(app, &args.sync, record, dropped, "the next run starts over")
    })
}

fn told(app: &App, sync: &str, record: RunRecord, dropped: u64, then: &str) -> Ending {
    if app.out.json {
        let mut line = Object::default();
        line.put("sync", sync.to_owned()).put("dropped", dropped).put("run", record.run);
        app.out.json(&line)?;
    } else {
        app.out.note(&format!("{sync}: forgot {dropped} ledger entries; {then}"));
    }
    Ok(0)
}

/// Syncs that the state knows something of and the project has no more, with their linked records.
pub async fn orphans(shop: &Workshop) -> Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for name in shop.memory().syncs().await? {
        if shop.project.syncs.contains_key(&name) {
            continue;
        }
        let state = shop.memory().state(&name).await?;
        if state.linked > 0 || !state.shape_hash.is_empty() || state.warehouse.is_some() || state.platform.is_some() {
            found.push((name, state.linked));
        }
    }
    Ok(found)
}

fn cursor_type(sync: &Sync, schema: &tidegate_model::schema::RelationSchema) -> Result<Type> {
    let Some(cursor) = &sync.cursor else {
        return Err(Error::config(format!("{} does not read by a cursor (`changes: cursor`)", sync.name))
            .hint("leave --cursor out"));
    };
    let relation = match &sync.source {
        Source::Relation(relation) => relation.to_string(),
        Source::Query(_) => "the query".to_owned(),
    };
    schema.column(&cursor.column).map(|column| column.logical).ok_or_else(|| {
        Error::config(format!("{relation} has no column {}", cursor.column)).hint("mend `cursor:` of the sync")
    })
}

fn read_cursor(text: &str, logical: Type) -> Result<Value> {
    let value = match logical {
        Type::Int64 => text.parse().ok().map(Value::Int),
        Type::Decimal { .. } => Decimal::parse(text).map(Value::Decimal),
        Type::Float64 => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float),
        Type::Date => parse_date(text).ok().map(Value::Date),
        Type::Timestamp => parse_timestamp(text).ok().map(Value::Timestamp),
        Type::TimestampTz => parse_timestamptz(text).ok().map(Value::TimestampTz),
        _ => Some(Value::text(text)),
    };
    value.ok_or_else(|| {
        let example = match logical {
            Type::Date => "2026-01-31",
            Type::Timestamp => "2026-01-31T12:00:00",
            Type::TimestampTz => "2026-01-31T12:00:00Z",
            _ => "250000",
        };
        Error::config(format!("`{text}` is not a value of the cursor's type {logical}"))
            .hint(format!("write it as in `--cursor {example}`"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_by_its_columns_type() {
        assert_eq!(read_cursor("7", Type::Int64).expect("a number"), Value::Int(7));
        assert_eq!(
            read_cursor("1970-01-01T00:00:01Z", Type::TimestampTz).expect("a time"),
            Value::TimestampTz(1_000_000)
        );
        assert!(read_cursor("soon", Type::TimestampTz).is_err());
    }
}
