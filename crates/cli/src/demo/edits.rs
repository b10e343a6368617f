//! What happens between the demo's two runs: work in the warehouse, and work in the CRM, some of it on the same records.

use std::path::Path;

use rusqlite::{Connection, params};

use super::lake::{EVENTS, company_id};

/// Events of the next day.
pub const NEW_EVENTS: u32 = 5_000;
/// Companies whose phase both sides change, differently.
pub const CONTESTED_COMPANIES: std::ops::RangeInclusive<u32> = 101..=104;
/// People whose position both sides change, differently.
pub const CONTESTED_PEOPLE: std::ops::RangeInclusive<u32> = 201..=203;

/// Edits of the data team: new names and phases, positions, a company that was missing, paid invoices, new events.
pub fn in_the_warehouse(path: &Path) -> rusqlite::Result<()> {
    let mut lake = Connection::open(path)?;
    let all = lake.transaction()?;
    all.execute(
        "UPDATE companies SET name = name || ' Group' WHERE company_id BETWEEN ?1 AND ?2",
        params![company_id(1), company_id(20)],
    )?;
    for number in CONTESTED_COMPANIES {
        all.execute("UPDATE companies SET phase = 'Expansion' WHERE company_id = ?1", [company_id(number)])?;
    }
    for number in CONTESTED_PEOPLE {
        all.execute("UPDATE end_users SET position = 'Data Lead' WHERE user_id = ?1", [format!("U{number:06}")])?;
    }
    // The company of a person who waited for it: an orphan no longer.
    all.execute(
        "INSERT INTO companies (company_id, name, phase, status, country, updated_at)
         VALUES ('GONE-3000', 'Found Again AB', 'Onboarding', 'customer', 'SE', '2026-04-01T08:00:00Z')",
        [],
    )?;
    all.execute(
        "UPDATE revenue SET paid = 1, updated_at = '2026-04-01T09:00:00Z' WHERE invoice_id IN
         (SELECT invoice_id FROM revenue WHERE paid = 0 ORDER BY invoice_id LIMIT 200)",
        [],
    )?;
    let mut insert = all.prepare(
        "INSERT INTO usage_events (event_id, company_id, email, action, weight, happened_at)
         SELECT ?1, company_id, email, action, weight, '2026-04-01T10:00:00Z' FROM usage_events WHERE event_id = ?2",
    )?;
    for number in 1..=NEW_EVENTS {
        insert.execute(params![EVENTS + number, number])?;
    }
    drop(insert);
    all.commit()
}

/// One edit in the CRM: model, key, and fields as `hub set` takes them.
pub type HubEdit = (&'static str, String, Vec<(&'static str, String)>);

/// Edits of the people in the CRM.
pub fn in_the_crm() -> Vec<HubEdit> {
    let mut edits: Vec<HubEdit> = Vec::new();
    for number in 31..=60 {
        edits.push(("company", company_id(number), vec![("h", (number % 10 + 1).to_string())]));
    }
    for number in CONTESTED_COMPANIES {
        edits.push(("company", company_id(number), vec![("phase", "At risk".to_owned())]));
    }
    for number in CONTESTED_PEOPLE {
        edits.push(("enduser", format!("U{number:06}"), vec![("position", "Chief of Everything".to_owned())]));
    }
    edits.push(("enduser", "U000300".to_owned(), vec![("firstName", "Renamed-in-the-CRM".to_owned())]));
    let new = vec![
        ("name", "Born in the CRM Ltd".to_owned()),
        ("status", "customer".to_owned()),
        ("phase", "Onboarding".to_owned()),
    ];
    edits.push(("company", "CRM-1".to_owned(), new));
    edits
}
