//! What happens between the demo's two runs: work in the warehouse, and work in the CRM, some of it on the same records.

use super::lake::{EVENTS, company_id};

/// Events of the next day.
pub const NEW_EVENTS: u32 = 5_000;
/// Companies whose phase both sides change, differently.
pub const CONTESTED_COMPANIES: std::ops::RangeInclusive<u32> = 101..=104;
/// People whose position both sides change, differently.
pub const CONTESTED_PEOPLE: std::ops::RangeInclusive<u32> = 201..=203;

/// Edits of the data team: new names and phases, positions, a company that was missing, paid invoices, new events. In
/// words that SQLite and Postgres both read.
pub fn in_the_warehouse() -> String {
    let (first, last) = (company_id(1), company_id(20));
    let contested = CONTESTED_COMPANIES.map(|number| format!("'{}'", company_id(number)));
    let contested = contested.collect::<Vec<_>>().join(", ");
    let people = CONTESTED_PEOPLE.map(|number| format!("'U{number:06}'")).collect::<Vec<_>>().join(", ");
    format!(
        "UPDATE companies SET name = name || ' Group' WHERE company_id BETWEEN '{first}' AND '{last}';
         UPDATE companies SET phase = 'Expansion' WHERE company_id IN ({contested});
         UPDATE end_users SET position = 'Data Lead' WHERE user_id IN ({people});
         -- The company of a person who waited for it: an orphan no longer.
         INSERT INTO companies (company_id, name, phase, status, country, updated_at)
         VALUES ('GONE-3000', 'Found Again AB', 'Onboarding', 'customer', 'SE', '2026-04-01T08:00:00Z');
         UPDATE revenue SET paid = TRUE, updated_at = '2026-04-01T09:00:00Z' WHERE invoice_id IN
         (SELECT invoice_id FROM revenue WHERE NOT paid ORDER BY invoice_id LIMIT 200);
         INSERT INTO usage_events (event_id, company_id, email, action, weight, happened_at)
         SELECT event_id + {EVENTS}, company_id, email, action, weight, '2026-04-01T10:00:00Z' FROM usage_events
         WHERE event_id <= {NEW_EVENTS}"
    )
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
