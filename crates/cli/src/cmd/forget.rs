//! `forget KEY --model M --yes`

use std::collections::BTreeSet;

use tidegate_model::record::Key;
use tidegate_model::schema::ModelName;
use tidegate_model::{Error, Result};

use crate::app::{App, Ending, block_on};
use crate::cmd::hub::hubs;
use crate::out::{Object, count};
use crate::workshop::Workshop;

/// Who.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate forget U000042 --model enduser          say what it would do
  tidegate forget U000042 --model enduser --yes    do it: state (all of it) and hub
")]
pub struct Args {
    /// The record's key
    #[arg(value_name = "KEY")]
    key: String,
    /// Its model
    #[arg(long, value_name = "M")]
    model: String,
    /// Really do it: it cannot be undone
    #[arg(long)]
    yes: bool,
}

/// Removes every trace of a record.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let model = ModelName(args.model.clone());
        let syncs: Vec<_> = shop.project.syncs.values().filter(|sync| sync.model == model).collect();
        if syncs.is_empty() {
            let known: BTreeSet<&str> = shop.project.syncs.values().map(|sync| sync.model.as_str()).collect();
            return Err(crate::project::unknown("sync of the model", &args.model, known.iter().copied()).into());
        }
        if !args.yes {
            let names: Vec<&str> = syncs.iter().map(|sync| sync.name.as_str()).collect();
            let message =
                format!("forget would remove {} from {} and from the hub, for good", args.key, names.join(", "));
            return Err(Error::config(message)
                .hint("say --yes; remove the row from the warehouse too, or the next run delivers it again")
                .into());
        }
        let key = Key::new(args.key.as_str());
        let mut state = 0;
        for sync in &syncs {
            state += shop.memory().forget(&sync.name, &key).await?;
        }
        let hub = from_hubs(&shop, &syncs, &model, &args.key).await?;
        let mut line = Object::default();
        line.put("key", args.key.clone()).put("model", args.model.clone()).put("state", state).put("hub", hub);
        if app.out.json {
            app.out.json(&line)?;
        }
        app.out.note(&format!(
            "forgot {}: {} of the state, {} of the hub",
            args.key,
            count(state, "row"),
            count(hub, "row")
        ));
        app.out.note("if the warehouse still has the row, the next run delivers it again");
        Ok(0)
    })
}

/// Removes the record, its events and its dataset rows from each hub that these syncs reach.
async fn from_hubs(
    shop: &Workshop,
    syncs: &[&tidegate_model::sync::Sync],
    model: &ModelName,
    key: &str,
) -> Result<u64> {
    let reached: BTreeSet<&str> = syncs.iter().map(|sync| sync.platform_connection.as_str()).collect();
    let mut gone = 0;
    for name in hubs(&shop.project).into_iter().filter(|name| reached.contains(name.as_str())) {
        gone += shop.hub(&name)?.forget(model.as_str(), key).await?;
    }
    Ok(gone)
}
