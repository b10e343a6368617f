//! What people do, click by click.

use serde_json::json;

use super::driver::Browser;
use super::rig::Served;

const ARR: &str = "# Companies, with what they pay.
version: 1
warehouse: { connection: lake, relation: companies }   # the table of sales
platform:  { connection: crm, model: company }
key: { warehouse: company_id, platform: externalId }
fields:
  # who they are
  - { warehouse: name,  platform: name }
  - { warehouse: arr,   platform: custom.ARR, as: number }   # a text in the warehouse
";

fn said(browser: &Browser, words: &str) {
    browser.until(&format!("document.getElementById('toast').innerText.includes({})", json!(words)));
}

#[test]
fn from_nothing_to_the_first_successful_sync_by_clicks() {
    let (served, browser) = (Served::empty().serve(), Browser::open(1280, 900, false));
    browser.go(&served.url);
    browser.click("Go to connections");
    browser.click("sqlite");
    browser.fill("name", "lake");
    browser.fill("path", "warehouse.db");
    browser.click("Check it");
    browser.click("Save");
    browser.until("location.pathname === '/connections/lake'");
    browser.click("Test it");
    browser.until("document.body.innerText.includes('Nothing to mend')");
    browser.click("Connections");
    browser.click("hub");
    browser.fill("name", "crm");
    browser.click("Check it");
    browser.click("Save");
    browser.until("location.pathname === '/connections/crm'");
    browser.click("Overview");
    browser.click("Make a sync");
    browser.fill("name", "companies");
    browser.choose("w.connection", "lake");
    browser.choose("p.connection", "crm");
    browser.choose("w.relation", "companies");
    browser.choose("p.model", "company");
    browser.fill("k.warehouse", "company_id");
    browser.fill("k.platform", "externalId");
    browser.fill("f.0.warehouse", "name");
    browser.fill("f.0.platform", "name");
    browser.click("Add a field");
    browser.fill("f.1.warehouse", "phase");
    browser.fill("f.1.platform", "phase");
    browser.click("Preview and plan");
    browser.until("document.querySelectorAll('#preview tbody tr').length === 3");
    assert!(!served.path("syncs/companies.yaml").exists(), "nothing is written before it is saved");
    browser.click("Save");
    browser.until("location.pathname === '/syncs/companies'");
    browser.click("Run now");
    browser.until("document.getElementById('state').innerText.includes('succeeded')");
    let text = served.read("syncs/companies.yaml");
    assert!(
        text.contains("  - { warehouse: name, platform: name }\n  - { warehouse: phase, platform: phase }\n"),
        "{text}"
    );
    browser.go(&format!("{}/hub?model=company", served.url));
    browser.until("document.body.innerText.includes('東京 Labs')");
}

#[test]
fn a_conflict_is_resolved() {
    let (served, browser) = (Served::demo(), Browser::open(1280, 900, false));
    browser.go(&format!("{}/conflicts", served.url));
    browser.until("document.querySelectorAll('article').length === 3");
    browser.click("Use the platform’s");
    said(&browser, "Chosen");
    browser.until("document.querySelector('article .state')?.innerText.includes('chosen')");
    browser.go(&format!("{}/syncs/endusers", served.url));
    browser.click("Run now");
    browser.until("document.getElementById('state').innerText.includes('2 conflicts')");
    browser.go(&format!("{}/conflicts", served.url));
    browser.until("document.querySelectorAll('article').length === 2");
}

#[test]
fn rejects_are_retried_once_the_source_is_mended() {
    let served = Served::connected();
    served.write("syncs/companies.yaml", ARR);
    let (served, browser) = (served.serve(), Browser::open(1280, 900, false));
    browser.go(&format!("{}/syncs/companies", served.url));
    browser.click("Run now");
    browser.until("document.getElementById('state').innerText.includes('1 reject')");
    browser.click("1 reject");
    browser.until("document.querySelector('#rejects tbody th')?.innerText === 'C2'");
    served.lake("UPDATE companies SET arr = '7.25' WHERE company_id = 'C2'");
    browser.click("Retry all of this sync");
    said(&browser, "queued");
    browser.until("document.body.innerText.includes('Nothing is rejected')");
    browser.go(&format!("{}/record?sync=companies&key=C2", served.url));
    browser.until("document.body.innerText.includes('7.25')");
}

#[test]
fn an_edited_mapping_keeps_the_comments_of_its_file() {
    let served = Served::connected();
    served.write("syncs/companies.yaml", ARR);
    let (served, browser) = (served.serve(), Browser::open(1280, 900, false));
    browser.go(&format!("{}/syncs/companies/edit", served.url));
    browser.fill("f.0.transform", "trim");
    browser.fill("f.1.platform", "custom.Revenue");
    browser.click("Preview and plan");
    browser.until("document.querySelector('#preview')?.innerText.includes('does not fit')");
    browser.click("Save");
    browser.until("location.pathname === '/syncs/companies'");
    let wanted =
        ARR.replace("platform: name }", "platform: name, transform: [trim] }").replace("custom.ARR", "custom.Revenue");
    assert_eq!(served.read("syncs/companies.yaml"), wanted);
}

#[test]
fn a_run_is_watched_and_cancelled() {
    let served = Served::connected();
    served.write("syncs/companies.yaml", ARR);
    // A record per batch: the run lasts long enough to be looked at.
    served.write(
        "syncs/many.yaml",
        "version: 1\nwarehouse: { connection: lake, relation: many }\nplatform: { connection: crm, model: company }\n\
         key: { warehouse: id, platform: externalId }\nwrite: upsert\nbatch_size: 1\nfields:\n  - { warehouse: name, platform: custom.Other }\n",
    );
    served.lake(
        "CREATE TABLE many (id TEXT NOT NULL PRIMARY KEY, name TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) INSERT INTO many SELECT 'M' || i, 'x' FROM n;",
    );
    let (served, browser) = (served.serve(), Browser::open(1280, 900, false));
    browser.go(&format!("{}/syncs/many", served.url));
    browser.click("Run now");
    browser.click("Watch the run");
    let sent = "Number((document.getElementById('now').innerText.match(/([0-9\\u202f]+) changes? sent/) || [0, '0'])[1].replace(/\\D/g, ''))";
    browser.until(&format!("(window.first ??= {sent}) >= 0 && {sent} > window.first"));
    browser.click("Cancel");
    browser.until("document.getElementById('now').innerText.includes('cancelled')");
    assert_eq!(browser.js("return window.first >= 0"), json!(true), "it was one page all the while");
}

#[test]
fn everything_is_reached_by_keyboard() {
    const TAB: &str = "\u{e004}";
    const ENTER: &str = "\u{e007}";
    let served = Served::connected();
    served.write("syncs/companies.yaml", ARR);
    let (served, browser) = (served.serve(), Browser::open(1280, 900, false));
    browser.go(&served.url);
    browser.keys(TAB);
    assert_eq!(browser.js("return document.activeElement.innerText"), json!("Skip to the content"));
    browser.keys(ENTER);
    let to = |name: &str| {
        for _ in 0..60 {
            browser.keys(TAB);
            let here = browser.js("return document.activeElement.innerText || ''");
            if here.as_str().is_some_and(|here| here.starts_with(name)) {
                let ring = browser.js("return getComputedStyle(document.activeElement).outlineStyle");
                assert_eq!(ring, json!("solid"), "{name} shows that it has the focus");
                return;
            }
        }
        panic!("{name} is not reached by Tab");
    };
    to("Run now");
    browser.keys(ENTER);
    said(&browser, "queued");
    browser.until("document.getElementById('syncs-live').innerText.includes('partial')");
    to("1 reject");
    browser.keys(ENTER);
    browser.until("location.pathname === '/rejects'");
}
