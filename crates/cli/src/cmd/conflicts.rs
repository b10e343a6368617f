//! `conflicts [SYNC]` and `conflicts resolve SYNC KEY --field F --use …`

use clap::Subcommand;
use tidegate_model::Error;
use tidegate_model::ports::Choice;
use tidegate_model::record::Key;

use crate::app::{App, Ending, block_on};
use crate::out::{Object, Table, cell};
use crate::shape;
use crate::workshop::Workshop;

/// Conflicts that are listed.
const LISTED_MAX: u32 = 10_000;

/// Which conflicts.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    before_help = "Examples:
  tidegate conflicts                       all, newest first
  tidegate conflicts endusers --open       those that wait for a person
  tidegate conflicts resolve endusers U000042 --field position --use platform
  tidegate conflicts resolve endusers U000042 --field position --use 'Head of Data'
"
)]
pub struct Args {
    /// Of this sync only
    #[arg(value_name = "SYNC")]
    sync: Option<String>,
    /// Only those that wait for a person
    #[arg(long)]
    open: bool,
    #[command(subcommand)]
    what: Option<What>,
}

/// What to do besides listing.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Decide a conflict; the next run writes it
    Resolve(Resolve),
}

/// One decision.
#[derive(Debug, clap::Args)]
pub struct Resolve {
    /// The sync
    #[arg(value_name = "SYNC")]
    sync: String,
    /// The record's key
    #[arg(value_name = "KEY")]
    key: String,
    /// The field, by its platform name; left out, the record as a whole
    #[arg(long, value_name = "F")]
    field: Option<String>,
    /// `warehouse`, `platform`, or a value for both sides
    #[arg(long = "use", value_name = "warehouse|platform|VALUE")]
    choice: String,
}

/// Lists or decides.
pub fn run(app: &App, args: Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        match args.what {
            Some(What::Resolve(resolve)) => decide(app, &shop, resolve).await,
            None => list(app, &shop, args.sync.as_deref(), args.open).await,
        }
    })
}

async fn list(app: &App, shop: &Workshop, sync: Option<&str>, open: bool) -> Ending {
    if let Some(sync) = sync {
        shop.sync(sync)?;
    }
    let mut table = Table::new(&["sync", "key", "field", "warehouse", "platform", "winner", "state", "why", "at"]);
    for listed in shop.memory().conflicts(sync, open, LISTED_MAX).await? {
        let redact = shop.project.syncs.get(&listed.sync).map(|sync| sync.redact.as_slice()).unwrap_or_default();
        let line = shape::conflict(&listed, redact);
        if app.out.json {
            app.out.json(&line)?;
            continue;
        }
        let text = |name: &str| line.get(name).map(cell).unwrap_or_default();
        let why = listed.conflict.note.clone().unwrap_or_default();
        let mut row: Vec<String> = ["sync", "key", "field", "warehouse", "platform", "winner", "state"]
            .iter()
            .map(|name| text(name))
            .collect();
        row.extend([why, text("at")]);
        table.row(row);
    }
    if !app.out.json {
        if table.is_empty() {
            app.out.note("no conflicts");
        } else {
            app.out.table(&table)?;
        }
    }
    Ok(0)
}

async fn decide(app: &App, shop: &Workshop, resolve: Resolve) -> Ending {
    shop.sync(&resolve.sync)?;
    let choice = match resolve.choice.as_str() {
        "warehouse" => Choice::Warehouse,
        "platform" => Choice::Platform,
        _ => Choice::Value(resolve.choice.clone()),
    };
    let key = Key::new(resolve.key.as_str());
    if !shop.memory().choose(&resolve.sync, &key, resolve.field.as_deref(), &choice).await? {
        let field = resolve.field.as_ref().map_or_else(String::new, |field| format!(" on {field}"));
        return Err(Error::config(format!("{} {} has no open conflict{field}", resolve.sync, resolve.key))
            .hint(format!("`tidegate conflicts {} --open` lists them", resolve.sync))
            .into());
    }
    if app.out.json {
        let mut line = Object::default();
        line.put("sync", resolve.sync).put("key", resolve.key).put("field", resolve.field).put("state", "chosen");
        app.out.json(&line)?;
    } else {
        app.out.note(&format!("decided; `tidegate run {}` writes it", resolve.sync));
    }
    Ok(0)
}
