//! `discover CONNECTION [PLACE]`

use tidegate_model::config::Side;
use tidegate_model::error::ErrorKind;
use tidegate_model::ports::{Entry, Place};
use tidegate_model::schema::{ModelKind, ModelName, ModelSchema, Relation, RelationKind, RelationSchema, Source};

use crate::app::{App, Ending, block_on};
use crate::out::{Object, Out, Table};
use crate::workshop::Workshop;

/// What to list.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate discover lake                   its schemas or tables
  tidegate discover lake public.companies  the columns of a table
  tidegate discover crm company            the fields of a model
")]
pub struct Args {
    /// The connection
    #[arg(value_name = "CONNECTION")]
    connection: String,
    /// A schema, a relation or a model
    #[arg(value_name = "PLACE")]
    place: Option<String>,
}

/// Lists entries, or the columns or fields of one.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        match shop.connection(&args.connection)?.side {
            Side::Warehouse => warehouse(app, &shop, args).await,
            Side::Platform => platform(app, &shop, args).await,
        }
    })
}

async fn warehouse(app: &App, shop: &Workshop, args: &Args) -> Ending {
    let warehouse = shop.warehouse(&args.connection).await?;
    let Some(place) = &args.place else {
        let mut entries = warehouse.browse(&Place::default()).await?;
        // A single container on top is no choice: show what is in it.
        let mut at = Place::default();
        while let [only] = entries.as_slice()
            && only.container
        {
            at.0.push(only.name.clone());
            entries = warehouse.browse(&at).await?;
        }
        entries_out(&app.out, &at, &entries)?;
        return Ok(0);
    };
    let relation = Relation::parse(place);
    match warehouse.describe(&Source::Relation(relation.clone())).await {
        Ok(schema) => columns_out(&app.out, &schema)?,
        Err(not_a_relation) if not_a_relation.kind == ErrorKind::NotFound => {
            let at = Place(relation.0);
            match warehouse.browse(&at).await {
                Ok(entries) if !entries.is_empty() => entries_out(&app.out, &at, &entries)?,
                _ => return Err(not_a_relation.into()),
            }
        }
        Err(error) => return Err(error.into()),
    }
    Ok(0)
}

fn entries_out(out: &Out, at: &Place, entries: &[Entry]) -> tidegate_model::Result<()> {
    let mut table = Table::new(&["kind", "name", "note"]);
    for entry in entries {
        let mut parts = at.0.clone();
        parts.push(entry.name.clone());
        let full = parts.join(".");
        if out.json {
            let mut line = Object::default();
            line.put("name", full).put("kind", entry.kind.clone()).put("container", entry.container);
            line.put("note", entry.note.clone());
            out.json(&line)?;
        } else {
            table.row(vec![entry.kind.clone(), full, entry.note.clone().unwrap_or_default()]);
        }
    }
    if out.json {
        return Ok(());
    }
    if table.is_empty() {
        out.note("there is nothing here");
        return Ok(());
    }
    out.table(&table)
}

fn columns_out(out: &Out, schema: &RelationSchema) -> tidegate_model::Result<()> {
    let mut table = Table::new(&["column", "type", "native", "null", "key"]);
    for column in &schema.columns {
        let key = schema.primary_key.contains(&column.name);
        if out.json {
            let mut line = Object::default();
            line.put("column", column.name.clone())
                .put("type", column.logical.to_string())
                .put("native", column.native.clone())
                .put("nullable", column.nullable)
                .put("max_length", column.max_length)
                .put("primary_key", key);
            out.json(&line)?;
        } else {
            let word = |yes: bool, word: &str| if yes { word.to_owned() } else { String::new() };
            table.row(vec![
                column.name.clone(),
                column.logical.to_string(),
                column.native.clone(),
                word(column.nullable, "null"),
                word(key, "key"),
            ]);
        }
    }
    if out.json {
        return Ok(());
    }
    let kind = match schema.kind {
        RelationKind::Table => "table",
        RelationKind::View => "view",
        RelationKind::Stream => "stream",
        RelationKind::Query => "query",
    };
    let rows = schema.rows_estimate.map_or_else(String::new, |rows| format!(", about {rows} rows"));
    out.note(&format!("a {kind}{rows}"));
    out.table(&table)
}

async fn platform(app: &App, shop: &Workshop, args: &Args) -> Ending {
    let platform = shop.platform(&args.connection).await?;
    match &args.place {
        Some(place) => fields_out(&app.out, &platform.model(&ModelName(place.clone())).await?)?,
        None => models_out(&app.out, &platform.models().await?)?,
    }
    Ok(0)
}

fn models_out(out: &Out, models: &[ModelSchema]) -> tidegate_model::Result<()> {
    let mut table = Table::new(&["kind", "model", "#fields", "keys"]);
    for model in models {
        let kind = match model.kind {
            ModelKind::Records => "records",
            ModelKind::Series => "series",
            ModelKind::Dataset => "dataset",
        };
        if out.json {
            let mut line = Object::default();
            line.put("name", model.name.0.clone()).put("kind", kind).put("fields", model.fields.len());
            line.put("keys", model.keys.clone());
            out.json(&line)?;
        } else {
            table.row(vec![
                kind.to_owned(),
                model.name.0.clone(),
                model.fields.len().to_string(),
                model.keys.join(", "),
            ]);
        }
    }
    if out.json { Ok(()) } else { out.table(&table) }
}

fn fields_out(out: &Out, model: &ModelSchema) -> tidegate_model::Result<()> {
    let mut table = Table::new(&["field", "type", "needed", "key", "about"]);
    for field in &model.fields {
        let key = model.keys.contains(&field.name);
        let references = field.references.as_ref().map(|model| model.0.clone());
        if out.json {
            let mut line = Object::default();
            line.put("field", field.name.clone())
                .put("type", field.logical.to_string())
                .put("required", field.required)
                .put("read_only", field.read_only)
                .put("key", key)
                .put("references", references)
                .put("one_of", field.one_of.clone())
                .put("help", field.help.clone());
            out.json(&line)?;
        } else {
            let word = |yes: bool, word: &str| if yes { word.to_owned() } else { String::new() };
            table.row(vec![
                field.name.clone(),
                field.logical.to_string(),
                word(field.required, "needed"),
                word(key, "key"),
                field.help.clone(),
            ]);
        }
    }
    if !out.json {
        out.table(&table)?;
        if model.custom_fields {
            out.note("and `custom.NAME`, which appear when they are first mapped or set");
        }
    }
    Ok(())
}
