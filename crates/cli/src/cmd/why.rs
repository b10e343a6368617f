//! `why SYNC KEY`

use tidegate_engine::Why;
use tidegate_model::record::Key;

use crate::app::{App, Ending, block_on};
use crate::cmd::plan::print;
use crate::out::{Out, Table, cell};
use crate::shape;
use crate::workshop::Workshop;

/// Which record.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  tidegate why companies C00001
")]
pub struct Args {
    /// The sync
    #[arg(value_name = "SYNC")]
    sync: String,
    /// The record's key
    #[arg(value_name = "KEY")]
    key: String,
}

/// Tells all about one record.
pub fn run(app: &App, args: &Args) -> Ending {
    block_on(async {
        let shop = Workshop::open(app).await?;
        let job = shop.job(&args.sync).await?;
        let told = shop.engine.why(&job, &Key::new(args.key.as_str())).await;
        shop.watcher.done();
        let mut why = told?;
        for field in why.fields.iter_mut().filter(|field| job.sync.redact.contains(&field.field)) {
            for value in
                [&mut field.warehouse, &mut field.warehouse_image, &mut field.platform, &mut field.platform_image]
            {
                *value = value.take().map(|_| "***".into());
            }
        }
        if app.out.json {
            app.out.json(&shape::why(&why))?
        } else {
            tell(&app.out, &why)?
        }
        Ok(0)
    })
}

fn tell(out: &Out, why: &Why) -> tidegate_model::Result<()> {
    let remote = why.remote.as_ref().map_or_else(String::new, |id| format!(", on the platform {id}"));
    out.data(&format!("{} {} ({}{remote})", why.sync, why.key, why.link))?;
    out.data(&why.verdict)?;
    if !why.fields.is_empty() {
        let mut table =
            Table::new(&["field", "direction", "warehouse now", "warehouse last", "platform now", "platform last"]);
        for field in &why.fields {
            let shown = |value: &Option<serde_json::Value>| value.as_ref().map_or_else(|| "-".to_owned(), cell);
            table.row(vec![
                field.field.clone(),
                shape::direction(field.direction).to_owned(),
                shown(&field.warehouse),
                shown(&field.warehouse_image),
                shown(&field.platform),
                shown(&field.platform_image),
            ]);
        }
        out.data("")?;
        out.table(&table)?;
    }
    for (title, lines) in [("last writes", &why.history), ("rejects", &why.rejects), ("conflicts", &why.conflicts)] {
        if !lines.is_empty() {
            out.data(&format!("\n{title}:"))?;
            lines.iter().try_for_each(|line| out.data(&format!("  {line}")))?;
        }
    }
    if !why.next.is_empty() {
        out.data("\nthe next run would:")?;
        why.next.iter().try_for_each(|change| print(out, change))?;
    }
    Ok(())
}
