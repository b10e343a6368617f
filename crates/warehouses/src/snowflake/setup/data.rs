//! The warehouse, the work schema, the stage, and change tracking: what has to be there before rights can be granted.

use super::name::{Name, Path};
use super::options::{Access, Options, Tracked};
use super::{Script, with_options};

/// No statement of ours runs for longer than this.
const STATEMENT_S_MAX: u32 = 3_600;

/// Everything that is made or switched on.
pub(super) fn steps(options: &Options, script: &mut Script) {
    warehouse(&options.warehouse, options.size.word(), options.auto_suspend_s, script);
    if options.access == Access::Write {
        script.run_as(
            &options.owner,
            format!(
                "CREATE SCHEMA IF NOT EXISTS {}\n  COMMENT = 'tidegate keeps its own tables here'",
                options.work().quoted()
            ),
            "outbox, fence and staging tables go here, apart from your data",
        );
    }
    if let Some(stage) = &options.stage {
        script.run_as(
            &options.owner,
            format!("CREATE STAGE IF NOT EXISTS {}\n  COMMENT = 'large loads of tidegate pass here'", stage.quoted()),
            "large loads go through files on this internal stage",
        );
    }
    track(&options.tracked, &options.owner, script);
}

/// A warehouse of our own, or the one that is there.
pub(super) fn warehouse(name: &Name, size: &str, auto_suspend_s: u32, script: &mut Script) {
    let lines = [
        format!("WAREHOUSE_SIZE = {size}"),
        format!("AUTO_SUSPEND = {auto_suspend_s}"),
        "AUTO_RESUME = TRUE".to_owned(),
        "INITIALLY_SUSPENDED = TRUE".to_owned(),
        format!("STATEMENT_TIMEOUT_IN_SECONDS = {STATEMENT_S_MAX}"),
        "COMMENT = 'tidegate computes with it'".to_owned(),
    ];
    script.run(
        "SYSADMIN",
        with_options(&format!("CREATE WAREHOUSE IF NOT EXISTS {}", name.quoted()), &lines),
        format!("computes, and stops after {auto_suspend_s} seconds without work; one that is there already is left as it is"),
    );
}

/// Change tracking: first the tables, then the views above them.
pub(super) fn track(tracked: &[Tracked], owner: &Name, script: &mut Script) {
    let mut done: Vec<&Path> = Vec::new();
    let mut table = |path, why: String, script: &mut Script| {
        if !done.contains(&path) {
            done.push(path);
            script.run_as(owner, format!("ALTER TABLE {} SET CHANGE_TRACKING = TRUE", path.quoted()), why);
        }
    };
    for each in tracked {
        match each {
            Tracked::Table(path) => {
                table(
                    path,
                    "Snowflake keeps what changes, so that a run reads changes only; locks the table for a moment"
                        .to_owned(),
                    script,
                );
            }
            Tracked::View { view, bases } => {
                for base in bases {
                    table(
                        base,
                        format!("below the view {}, whose changes are those of its tables", view.last()),
                        script,
                    );
                }
                script.run_as(
                    owner,
                    format!("ALTER VIEW {} SET CHANGE_TRACKING = TRUE", view.quoted()),
                    "after its tables; a view that groups, or takes DISTINCT or LIMIT, cannot be tracked",
                );
            }
        }
    }
}
