//! The SQL that sets an account up, as text for an administrator to read and run: `tidegate setup snowflake` and
//! `tidegate setup batch-sync`. Pure: nothing here connects to anything.
//!
//! Every statement can be run again: it creates what is absent and leaves alone what is there; nothing is replaced.
//! Which words Snowflake documents for each statement stands in `keywords.json` with the address of its page, and the
//! tests hold every statement of every variant against it.

mod access;
mod batch_sync;
mod data;
mod file;
mod name;
mod network;
mod options;
mod print;
mod public_key;
#[cfg(test)]
mod tests;
mod user;

pub use batch_sync::{BatchSync, Schedule, Source, batch_sync};
pub use name::{Bare, Name, Path};
pub use network::Egress;
pub use options::{Access, Auth, Options, Person, Tracked, WarehouseSize};
pub use print::print;
pub use public_key::PublicKey;
use tidegate_model::Result;

/// One statement, who runs it, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The role that must run it.
    pub role: Name,
    /// The SQL, without a semicolon.
    pub sql: String,
    /// Why, in one line.
    pub why: String,
}

/// One step of a set-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// SQL to run.
    Sql(Statement),
    /// Something to do by hand, with commands of a shell.
    Do {
        /// What, in one line.
        what: String,
        /// The commands.
        commands: Vec<String>,
    },
}

/// A whole set-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// What it is, in one line.
    pub title: String,
    /// The steps in their order.
    pub steps: Vec<Step>,
    /// The file that the project needs, with its text; none for the container job, which has no project.
    pub file: Option<(String, String)>,
    /// What has to be filled in before the SQL can run: each is marked `<…>` in it.
    pub blanks: Vec<String>,
}

/// The set-up of a connection.
pub fn snowflake(options: &Options) -> Result<Setup> {
    let options = &options.clone().complete()?;
    let mut script = Script::default();
    user::steps(options, &mut script);
    data::steps(options, &mut script);
    access::steps(options, &mut script);
    network::steps(options, &mut script);
    user::oauth(options, &mut script);
    script.run(
        "SECURITYADMIN",
        "SELECT CURRENT_ORGANIZATION_NAME() || '-' || CURRENT_ACCOUNT_NAME() AS \"ACCOUNT\"".to_owned(),
        "the `account:` of the connection",
    );
    let role = options.role.quoted();
    script.run("SECURITYADMIN", format!("SHOW GRANTS TO ROLE {role}"), "what the role may do now");
    let title = match options.access {
        Access::Read => "a user that reads",
        Access::Write => "a user that reads and writes",
    };
    Ok(Setup {
        title: format!("Snowflake for tidegate: {title}"),
        blanks: options.blanks(),
        file: Some(file::connection(options)),
        steps: script.steps,
    })
}

/// Statements in the order in which they are put down.
#[derive(Debug, Default)]
struct Script {
    steps: Vec<Step>,
}

impl Script {
    /// A statement for one of Snowflake's own roles.
    fn run(&mut self, role: &str, sql: String, why: impl Into<String>) {
        self.run_as(&Name::own(role), sql, why);
    }

    /// A statement for any role.
    fn run_as(&mut self, role: &Name, sql: String, why: impl Into<String>) {
        self.steps.push(Step::Sql(Statement { role: role.clone(), sql, why: why.into() }));
    }

    /// Something to do by hand.
    fn by_hand(&mut self, what: impl Into<String>, commands: Vec<String>) {
        self.steps.push(Step::Do { what: what.into(), commands });
    }
}

/// A statement with its options below it, one a line.
fn with_options(head: &str, options: &[String]) -> String {
    let mut sql = head.to_owned();
    for option in options {
        sql.push_str("\n  ");
        sql.push_str(option);
    }
    sql
}
