//! The rights of the session's role, as the account lists them, against those that work needs: what is missing is told
//! as the GRANT that gives it. The list is read without a warehouse.

use std::collections::BTreeSet;

use tidegate_model::Result;
use tidegate_model::finding::Finding;
use tidegate_model::schema::Relation;

use super::catalog::dotted;
use super::server::{Server, look};
use super::types::Snowflake;
use super::wire::Session;
use crate::findings::Dialect;

/// Roles that a role is made of are followed this far; a hierarchy with more is not listed through.
const ROLES_MAX: usize = 64;

/// What a role may do, with all that it gets from the roles below it.
#[derive(Debug, Default)]
pub(super) struct Rights {
    role: String,
    /// Right, kind of thing, name.
    held: BTreeSet<(String, String, Vec<String>)>,
}

/// A right that is needed.
#[derive(Debug, Clone)]
pub(super) struct Wanted<'a> {
    /// Any one of them would do; the first is the one that is asked for.
    pub(super) rights: &'a [&'a str],
    /// The word of GRANT: `WAREHOUSE`, `DATABASE`, `SCHEMA`, `TABLE`, `STAGE`.
    pub(super) on: &'a str,
    pub(super) name: &'a [String],
    /// What for.
    pub(super) why: &'a str,
}

impl Rights {
    /// Reads them; `None` where the session tells no role, or the account lists none.
    pub(super) async fn of(session: &Session) -> Result<Option<Self>> {
        let Some(role) = session.info().role_name.clone().filter(|role| !role.is_empty()) else { return Ok(None) };
        let mut rights = Self { role: role.clone(), held: BTreeSet::new() };
        let (mut waiting, mut seen) = (vec![("ROLE", vec![role])], BTreeSet::new());
        while let Some((kind, name)) = waiting.pop() {
            if !seen.insert(name.clone()) || seen.len() > ROLES_MAX {
                continue;
            }
            let sql = format!("SHOW GRANTS TO {kind} {}", dotted(&name));
            let rows = match look(session, &sql, &[], "list the rights of the role").await {
                Ok(rows) => rows,
                // A role below may be closed to us although its rights are ours; the role itself is always told.
                Err(_) if seen.len() > 1 => return Ok(None),
                Err(error) => return Err(error),
            };
            for row in rows.iter() {
                let of = |column| row.get(column).unwrap_or_default().to_uppercase();
                let name = Relation::parse(row.get("name").unwrap_or_default()).0;
                match of("granted_on").as_str() {
                    "ROLE" => waiting.push(("ROLE", name)),
                    "DATABASE_ROLE" => waiting.push(("DATABASE ROLE", name)),
                    kind => rights.take(&of("privilege"), kind, name),
                }
            }
        }
        Ok(Some(rights))
    }

    fn take(&mut self, right: &str, kind: &str, name: Vec<String>) {
        // A stage of any kind is a stage; tables of other kinds and views are read and written alike.
        let kind = match kind {
            "EXTERNAL_STAGE" | "INTERNAL_STAGE" => "STAGE",
            "VIEW" | "MATERIALIZED_VIEW" | "EXTERNAL_TABLE" | "DYNAMIC_TABLE" | "ICEBERG_TABLE" | "HYBRID_TABLE" => {
                "TABLE"
            }
            kind => kind,
        };
        self.held.insert((right.to_owned(), kind.to_owned(), name));
    }

    fn holds(&self, wanted: &Wanted<'_>) -> bool {
        let mut any = wanted.rights.iter().copied().chain(["OWNERSHIP"]);
        any.any(|right| self.held.contains(&(right.to_owned(), wanted.on.to_owned(), wanted.name.to_vec())))
    }

    /// Whether it owns the thing.
    pub(super) fn owns(&self, on: &str, name: &[String]) -> bool {
        self.holds(&Wanted { rights: &[], on, name, why: "" })
    }

    /// A finding for each that is missing.
    pub(super) fn lacking(&self, wanted: &[Wanted<'_>]) -> Vec<Finding> {
        let missing = wanted.iter().filter(|wanted| !self.holds(wanted));
        missing.map(|wanted| self.finding(wanted)).collect()
    }

    fn finding(&self, wanted: &Wanted<'_>) -> Finding {
        let right = wanted.rights.first().copied().unwrap_or("OWNERSHIP");
        let (name, kind) = (dotted(wanted.name), wanted.on.to_lowercase());
        let why = format!("the role {} lacks {right} on {kind} {name}: {}", self.role, wanted.why);
        let fix = format!("GRANT {right} ON {} {name} TO ROLE {};", wanted.on, Snowflake.quote(&self.role));
        Finding::critical("missing_right", why, fix)
    }
}

/// What any work of a connection needs, and what writing does besides.
pub(super) fn of_connection(server: &Server, session: &Session, rights: &Rights) -> Vec<Finding> {
    let warehouse = session.info().warehouse_name.clone().filter(|name| !name.is_empty());
    let warehouse: Vec<String> = warehouse.into_iter().collect();
    let database: Vec<String> = server.place().0.map(str::to_owned).into_iter().collect();
    let wanted = |rights: &'static [&'static str], on, name, why| Wanted { rights, on, name, why };
    let mut all = Vec::new();
    if !warehouse.is_empty() {
        all.push(wanted(&["USAGE", "OPERATE"], "WAREHOUSE", &warehouse, "nothing can be computed"));
    }
    if !database.is_empty() {
        all.push(wanted(&["USAGE"], "DATABASE", &database, "nothing in it can be seen"));
    }
    let work: Vec<String> = database.iter().cloned().chain([server.work_schema.clone()]).collect();
    if server.write && work.len() == 2 && !rights.owns("SCHEMA", &work) {
        all.push(wanted(&["USAGE"], "SCHEMA", &work, "tidegate's own tables are there"));
        all.push(wanted(&["CREATE TABLE"], "SCHEMA", &work, "tidegate's own tables go there"));
    }
    let stage = server.stage.as_ref().filter(|_| server.write);
    if let Some(stage) = stage {
        all.push(wanted(&["USAGE"], "SCHEMA", &stage[..2], "the stage is there"));
        all.push(wanted(&["READ"], "STAGE", stage, "files of large loads are brought in from there"));
        all.push(wanted(&["WRITE"], "STAGE", stage, "files of large loads are put there"));
    }
    rights.lacking(&all)
}

/// What reading a relation needs.
pub(super) fn of_reading(rights: &Rights, parts: &[String; 3]) -> Vec<Finding> {
    rights.lacking(&[
        Wanted { rights: &["USAGE"], on: "DATABASE", name: &parts[..1], why: "nothing in it can be seen" },
        Wanted { rights: &["USAGE"], on: "SCHEMA", name: &parts[..2], why: "nothing in it can be seen" },
        Wanted { rights: &["SELECT"], on: "TABLE", name: parts, why: "it cannot be read" },
    ])
}

/// What writing a table needs. A replace clears it, which is a delete, and undo and mirrors delete as well.
pub(super) fn of_writing(rights: &Rights, parts: &[String; 3]) -> Vec<Finding> {
    let mut findings = of_reading(rights, parts);
    let on = |right: &'static [&'static str], why| Wanted { rights: right, on: "TABLE", name: parts, why };
    findings.extend(rights.lacking(&[
        on(&["INSERT"], "rows cannot be added"),
        on(&["UPDATE"], "rows cannot be changed"),
        on(&["DELETE"], "rows cannot be removed"),
    ]));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> [String; 3] {
        ["DB".into(), "S".into(), "my table".into()]
    }

    fn rights(held: &[(&str, &str, &str)]) -> Rights {
        let mut rights = Rights { role: "SYNC".into(), ..Rights::default() };
        held.iter().for_each(|(right, kind, name)| rights.take(right, kind, Relation::parse(name).0));
        rights
    }

    fn fixes(findings: Vec<Finding>) -> Vec<String> {
        findings.into_iter().map(|finding| finding.fix).collect()
    }

    #[test]
    fn what_is_missing_is_told_as_the_statement_that_gives_it() {
        let held = rights(&[
            ("USAGE", "DATABASE", "DB"),
            ("SELECT", "TABLE", "DB.S.\"my table\""),
            ("INSERT", "TABLE", "DB.S.\"my table\""),
        ]);
        assert_eq!(
            fixes(of_writing(&held, &parts())),
            [
                "GRANT USAGE ON SCHEMA \"DB\".\"S\" TO ROLE \"SYNC\";",
                "GRANT UPDATE ON TABLE \"DB\".\"S\".\"my table\" TO ROLE \"SYNC\";",
                "GRANT DELETE ON TABLE \"DB\".\"S\".\"my table\" TO ROLE \"SYNC\";",
            ]
        );
        let other = rights(&[("SELECT", "TABLE", "DB.S.\"MY TABLE\""), ("SELECT", "TABLE", "DB.\"S.my table\"")]);
        assert_eq!(of_reading(&other, &parts()).len(), 3, "names are taken exactly");
    }

    #[test]
    fn owners_may_and_views_are_read_like_tables() {
        let owner = rights(&[
            ("USAGE", "DATABASE", "DB"),
            ("USAGE", "SCHEMA", "DB.S"),
            ("OWNERSHIP", "TABLE", "DB.S.\"my table\""),
        ]);
        assert!(of_writing(&owner, &parts()).is_empty());
        let view = rights(&[
            ("USAGE", "DATABASE", "DB"),
            ("USAGE", "SCHEMA", "DB.S"),
            ("SELECT", "MATERIALIZED_VIEW", "DB.S.\"my table\""),
        ]);
        assert!(of_reading(&view, &parts()).is_empty());
    }
}
