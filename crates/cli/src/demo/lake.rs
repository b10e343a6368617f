//! The demo's warehouse: a SQLite file with interlinked data, made from one seed, the same everywhere.

use std::path::Path;

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rusqlite::{Connection, Transaction, params};

use super::words::{
    ACTIONS, COMPANY_FORMS, COMPANY_HEADS, COMPANY_TAILS, COUNTRIES, FIRST_NAMES, LAST_NAMES, PHASES, POSITIONS, STAGES,
};

/// Companies in the warehouse.
pub const COMPANIES: u32 = 3_000;
/// End users.
pub const END_USERS: u32 = 30_000;
/// Usage events.
pub const EVENTS: u32 = 300_000;
/// Invoices.
pub const INVOICES: u32 = 12_000;
/// The first day of the demo's calendar, days since 1970-01-01: 2026-01-01.
const FIRST_DAY: i32 = 20_454;
/// How many days the usage covers.
const DAYS: i32 = 90;
const SEED: u64 = 0x71DE_6A7E;

/// The tables, in words that SQLite and Postgres both read.
pub const TABLES: &str = include_str!("lake.sql");

/// A person who uses the product: email, and the number of the company.
struct Person {
    email: String,
    company: u32,
}

/// Makes the warehouse at `path`, which must not exist yet.
pub fn make(path: &Path) -> rusqlite::Result<()> {
    let mut lake = Connection::open(path)?;
    // Durability is nothing to a file that the same seed makes again.
    lake.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;")?;
    let mut dice = ChaCha8Rng::seed_from_u64(SEED);
    let all = lake.transaction()?;
    all.execute_batch(TABLES)?;
    companies(&all, &mut dice)?;
    let people = end_users(&all, &mut dice)?;
    licenses(&all, &mut dice)?;
    opportunities(&all, &mut dice)?;
    events(&all, &mut dice, &people)?;
    seats(&all, &mut dice)?;
    invoices(&all, &mut dice, &people)?;
    all.commit()
}

/// Runs SQL in one transaction.
pub fn run(path: &Path, sql: &str) -> rusqlite::Result<()> {
    let mut lake = Connection::open(path)?;
    let all = lake.transaction()?;
    all.execute_batch(sql)?;
    all.commit()
}

/// The key of a company.
pub fn company_id(number: u32) -> String {
    format!("C{number:05}")
}

fn pick<'a>(dice: &mut ChaCha8Rng, from: &'a [&'a str]) -> &'a str {
    from.choose(dice).copied().unwrap_or_default()
}

fn day(dice: &mut ChaCha8Rng, from: i32, to: i32) -> String {
    tidegate_model::time::date_text(FIRST_DAY + dice.random_range(from..to))
}

fn moment(day: i32, second: u32) -> String {
    let day = tidegate_model::time::date_text(FIRST_DAY + day);
    format!("{day}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

/// An amount with two decimals as exact text.
fn amount(dice: &mut ChaCha8Rng, cents: std::ops::Range<u32>) -> String {
    let cents = dice.random_range(cents);
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn companies(all: &Transaction<'_>, dice: &mut ChaCha8Rng) -> rusqlite::Result<()> {
    let mut insert = all.prepare(
        "INSERT INTO companies (company_id, name, phase, status, country, website, arr, updated_at) VALUES (?,?,?,?,?,?,?,?)",
    )?;
    for number in 1..=COMPANIES {
        let (head, tail) = (pick(dice, COMPANY_HEADS), pick(dice, COMPANY_TAILS));
        let name = format!("{head} {tail}{} {number}", pick(dice, COMPANY_FORMS));
        // Dirt: blanks around names, missing phases, addresses without scheme.
        let name = if number % 97 == 0 { format!("  {name} ") } else { name };
        let phase = (number % 41 != 0).then(|| pick(dice, PHASES));
        let status = if dice.random_ratio(4, 5) { "customer" } else { "prospect" };
        let website = match number % 50 {
            0 => None,
            49 => Some(format!("www.company-{number}.example")),
            _ => Some(format!("https://company-{number}.example")),
        };
        let arr = (number % 29 != 0).then(|| amount(dice, 100_000..25_000_000));
        let second = dice.random_range(0..86_400);
        let changed = moment(dice.random_range(-300..0), second);
        insert.execute(params![
            company_id(number),
            name,
            phase,
            status,
            pick(dice, COUNTRIES),
            website,
            arr,
            changed
        ])?;
    }
    Ok(())
}

fn end_users(all: &Transaction<'_>, dice: &mut ChaCha8Rng) -> rusqlite::Result<Vec<Person>> {
    let mut insert = all.prepare(
        "INSERT INTO end_users (user_id, email, first_name, last_name, position, company_id, last_seen, updated_at)
         VALUES (?,?,?,?,?,?,?,?)",
    )?;
    let mut people = Vec::with_capacity(END_USERS as usize);
    for number in 1..=END_USERS {
        let company = dice.random_range(1..=COMPANIES);
        let email = format!("user{number}@company-{company}.example");
        // Orphans: people of companies that nobody has heard of.
        let employer = if number % 3_000 == 0 { format!("GONE-{number}") } else { company_id(company) };
        let position = (number % 7 != 0).then(|| pick(dice, POSITIONS));
        let seen = (number % 11 != 0).then(|| {
            let second = dice.random_range(0..86_400);
            moment(dice.random_range(0..DAYS), second)
        });
        let second = dice.random_range(0..86_400);
        insert.execute(params![
            format!("U{number:06}"),
            email,
            pick(dice, FIRST_NAMES),
            pick(dice, LAST_NAMES),
            position,
            employer,
            seen,
            moment(dice.random_range(-300..0), second)
        ])?;
        // People whose company will not come either have no events worth waiting for, but for the one that is found.
        if number % 3_000 != 0 || number == 3_000 {
            people.push(Person { email, company });
        }
    }
    Ok(people)
}

fn licenses(all: &Transaction<'_>, dice: &mut ChaCha8Rng) -> rusqlite::Result<()> {
    let mut insert = all.prepare(
        "INSERT INTO licenses (license_id, company_id, product, currency, mrr, from_date, to_date) VALUES (?,?,?,?,?,?,?)",
    )?;
    for number in 1..=4_500_u32 {
        let company = dice.random_range(1..=COMPANIES);
        // Dirt: a key that stands twice, a key that is missing, dates that are none.
        let key = match number {
            4_000 => Some("L03999".to_owned()),
            4_001 => None,
            _ => Some(format!("L{number:05}")),
        };
        let from = match number {
            1_200 => "2025-02-29".to_owned(),
            2_400 => "31/12/2025".to_owned(),
            3_600 => String::new(),
            _ => day(dice, -400, 0),
        };
        let product = pick(dice, &["Core", "Plus", "Enterprise"]);
        insert.execute(params![
            key,
            company_id(company),
            product,
            pick(dice, &["EUR", "USD", "SEK"]),
            amount(dice, 5_000..900_000),
            from,
            day(dice, 1, 500)
        ])?;
    }
    Ok(())
}

fn opportunities(all: &Transaction<'_>, dice: &mut ChaCha8Rng) -> rusqlite::Result<()> {
    let mut insert = all.prepare(
        "INSERT INTO opportunities (opportunity_id, company_id, title, stage, arr, close_date, is_won) VALUES (?,?,?,?,?,?,?)",
    )?;
    for number in 1..=2_000_u32 {
        let company = if number % 500 == 0 { 900_000 + number } else { dice.random_range(1..=COMPANIES) };
        let close = (number % 13 != 0).then(|| day(dice, 0, 200));
        insert.execute(params![
            format!("O{number:05}"),
            company_id(company),
            format!("{} for {}", pick(dice, &["Expansion", "New seats", "Renewal"]), pick(dice, COUNTRIES)),
            pick(dice, STAGES),
            amount(dice, 50_000..5_000_000),
            close,
            dice.random_range(0..=1)
        ])?;
    }
    Ok(())
}

fn events(all: &Transaction<'_>, dice: &mut ChaCha8Rng, people: &[Person]) -> rusqlite::Result<()> {
    let mut insert = all.prepare(
        "INSERT INTO usage_events (event_id, company_id, email, action, weight, happened_at) VALUES (?,?,?,?,?,?)",
    )?;
    for number in 1..=EVENTS {
        let Some(person) = people.choose(dice) else { break };
        let at = moment(i32::try_from(number * 90 / EVENTS).unwrap_or(0).min(DAYS - 1), dice.random_range(0..86_400));
        // Orphans: one event in a hundred is of nobody that anybody knows.
        let strangers = number % 100 == 0;
        let email = if strangers { "nobody@nowhere.example" } else { person.email.as_str() };
        let company = if strangers { None } else { Some(company_id(person.company)) };
        insert.execute(params![number, company, email, pick(dice, ACTIONS), dice.random_range(1..=5), at])?;
    }
    Ok(())
}

fn seats(all: &Transaction<'_>, dice: &mut ChaCha8Rng) -> rusqlite::Result<()> {
    let mut insert = all.prepare("INSERT INTO seats (metric_id, company_id, seats, day) VALUES (?,?,?,?)")?;
    let mut id = 0;
    for week in 0..6 {
        for number in 1..=COMPANIES {
            id += 1;
            let day = tidegate_model::time::date_text(FIRST_DAY + week * 7);
            insert.execute(params![id, company_id(number), dice.random_range(1..400), day])?;
        }
    }
    Ok(())
}

fn invoices(all: &Transaction<'_>, dice: &mut ChaCha8Rng, people: &[Person]) -> rusqlite::Result<()> {
    let mut insert = all.prepare(
        "INSERT INTO revenue (invoice_id, company_id, email, amount, currency, paid, updated_at) VALUES (?,?,?,?,?,?,?)",
    )?;
    for number in 1..=INVOICES {
        let Some(person) = people.choose(dice) else { break };
        let day = i32::try_from(number * 90 / INVOICES).unwrap_or(0).min(DAYS - 1);
        insert.execute(params![
            format!("INV-{number:06}"),
            company_id(person.company),
            person.email,
            amount(dice, 1_000..2_000_000),
            pick(dice, &["EUR", "USD", "SEK"]),
            dice.random_range(0..=1),
            moment(day, number * 7 % 86_400)
        ])?;
    }
    Ok(())
}
