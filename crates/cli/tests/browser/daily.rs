//! What people do every day with lists, switches and forms, and what must not be undone under their hands.

use serde_json::json;

use super::driver::Browser;
use super::rig::Served;

const BOTH: &str = "version: 1
warehouse: { connection: lake, relation: companies }
platform:  { connection: crm, model: company }
direction: both
key: { warehouse: company_id, platform: externalId }
fields:
  - { warehouse: name,  platform: name }
  - { warehouse: phase, platform: phase }
";

/// The names of the rows of a table, from above, as they are seen.
fn rows(browser: &Browser, table: &str) -> Vec<String> {
    let seen = browser.js(&format!(
        "return [...document.querySelectorAll('#{table} tbody tr')].filter(r => !r.hidden).map(r => r.querySelector('th').innerText.trim())"
    ));
    seen.as_array().expect("rows").iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn lists_sort_and_filter_and_stay_so_while_the_page_lives() {
    let (served, browser) = (Served::demo(), Browser::open(1280, 900, false));
    browser.go(&served.url);
    let first = rows(&browser, "syncs");
    assert_eq!(first.len(), 9, "{first:?}");
    browser.click("Sync");
    browser.click("Sync");
    let mut wanted = first.clone();
    wanted.sort();
    wanted.reverse();
    assert_eq!(rows(&browser, "syncs"), wanted);
    browser.fill("syncs-filter", "licenses");
    assert_eq!(rows(&browser, "syncs"), ["licenses"]);
    assert_eq!(browser.js("return document.getElementById('syncs-shown').innerText"), json!("1 shown"));
    // What the server says anew is put in the place of what stands there; the choice stays.
    browser.js("window.mark = document.querySelector('#syncs tbody tr'); document.activeElement.blur()");
    browser.until("!window.mark.isConnected");
    assert_eq!(rows(&browser, "syncs"), ["licenses"]);
    browser.fill("syncs-filter", "");
    assert_eq!(rows(&browser, "syncs"), wanted);
    // What somebody opened stays open.
    browser.go(&format!("{}/conflicts", served.url));
    browser.click("Something else");
    browser.js("window.mark = document.querySelector('article')");
    browser.until("!window.mark.isConnected");
    assert_eq!(browser.js("return document.querySelector('article details').open"), json!(true));
}

#[test]
fn a_full_run_of_one_direction_or_both_is_started_by_hand() {
    let served = Served::connected();
    served.write("syncs/companies.yaml", BOTH);
    let (served, browser) = (served.serve(), Browser::open(1280, 900, false));
    browser.go(&format!("{}/syncs/companies", served.url));
    browser.js("window.asked = []; window.confirm = (text) => { window.asked.push(text); return true }");
    let ended = |many: usize| {
        browser.until(&format!("document.querySelectorAll('#last tbody tr').length === {many}"));
        browser.until("document.getElementById('state').innerText.includes('succeeded')");
        browser.until("!document.getElementById('state').innerText.includes('waits for a worker')");
    };
    browser.click("Full sync");
    browser.until("[...document.querySelectorAll('#state .state')].some(s => s.innerText.includes('succeeded'))");
    assert_eq!(browser.js("return window.asked.length"), json!(1), "it says what it costs first");
    browser.go(&format!("{}/syncs/companies", served.url));
    for (many, name) in [(2, "Full, to the platform"), (3, "Full, to the warehouse")] {
        browser.click("One direction only");
        browser.click(name);
        ended(many);
        browser.go(&format!("{}/syncs/companies", served.url));
    }
    browser.js("window.confirm = () => true");
    browser.click("Full sync");
    ended(4);
    let runs = browser.js_later("fetch('/api/v1/runs?sync=companies').then((r) => r.json()).then((r) => done(r.items.map((one) => [one.mode, one.to_platform?.read ?? 0, one.to_warehouse?.read ?? 0])))");
    assert_eq!(
        runs,
        json!([["full", 3, 3], ["full", 0, 3], ["full", 3, 0], ["full", 3, 0]]),
        "newest first; the hub was empty"
    );
    // The history has a bar for each.
    assert_eq!(browser.js("return document.querySelectorAll('#chart svg a').length"), json!(4));
}

#[test]
fn an_editor_offers_what_both_sides_have_and_shows_rows_and_plan_before_it_saves() {
    let served = Served::connected();
    served.write("syncs/companies.yaml", BOTH);
    served.lake("WITH RECURSIVE n(i) AS (SELECT 4 UNION ALL SELECT i + 1 FROM n WHERE i < 30) INSERT INTO companies SELECT 'C' || i, 'n' || i, 'live', '1.5' FROM n;");
    let (served, browser) = (served.serve(), Browser::open(1280, 900, false));
    browser.go(&format!("{}/syncs/companies/edit", served.url));
    let options = |id: &str| {
        browser.js(&format!("return [...document.getElementById('{id}').options].map(o => o.value).filter(Boolean)"))
    };
    assert_eq!(options("w.connection"), json!(["lake"]));
    assert_eq!(options("w.relation"), json!(["companies"]));
    assert_eq!(options("f.0.warehouse"), json!(["company_id", "name", "phase", "arr"]));
    assert_eq!(options("f.0.direction"), json!(["to_platform", "to_warehouse", "both"]));
    assert_eq!(options("f.0.as"), json!(["text", "number", "boolean", "date", "url", "tags"]));
    let models = options("p.model");
    assert!(models.as_array().is_some_and(|all| all.contains(&json!("enduser"))), "{models}");
    let fields = browser.js("return [...document.getElementById(document.getElementById('f.0.platform').getAttribute('list')).options].map(o => o.value)");
    assert!(fields.as_array().is_some_and(|all| all.contains(&json!("phase"))), "{fields}");
    browser.click("Add a field");
    browser.fill("f.2.warehouse", "arr");
    browser.fill("f.2.platform", "custom.ARR");
    browser.fill("f.2.direction", "to_platform");
    browser.fill("f.2.as", "number");
    browser.click("Preview and plan");
    browser.until("document.querySelectorAll('#preview tbody tr').length === 10");
    let seen = browser.js("return document.querySelector('main').innerText");
    let seen = seen.as_str().expect("text");
    // 'many' is no number: the row is shown with what is wrong, and the plan counts it.
    assert!(seen.contains("does not fit") && seen.contains("What the next run would do with it"), "{seen}");
    assert!(
        browser
            .js("return document.querySelector('pre.values ins').innerText")
            .as_str()
            .is_some_and(|line| line.contains("custom.ARR"))
    );
    assert_eq!(served.read("syncs/companies.yaml"), BOTH, "nothing is written before it is saved");
    browser.click("Save");
    browser.until("location.pathname === '/syncs/companies'");
    let added = "  - { warehouse: arr, platform: custom.ARR, direction: to_platform, as: number }\n";
    assert_eq!(served.read("syncs/companies.yaml"), format!("{BOTH}{added}"));
}

#[test]
fn what_is_to_be_copied_is_copied() {
    let served = Served::connected();
    served.write(
        "connections/snow.yaml",
        "version: 1\ntype: snowflake\naccount: acme-prod\nrole: TIDEGATE\nauth: { method: oauth, client_id: tidegate }\n",
    );
    served.write("tidegate.yaml", "version: 1\nname: first steps\nserve: { public_url: \"http://localhost:8080\" }\n");
    served.write(
        "connections/key.yaml",
        "version: 1\ntype: snowflake\naccount: acme-prod\nuser: TIDEGATE\ndatabase: ANALYTICS\nschema: SALES\nauth: { method: key_pair, private_key: \"secret:key\" }\n",
    );
    served.secret("key", "not read for this");
    let (served, browser) = (served.serve(), Browser::open(1280, 900, false));
    browser.devtools(
        "Browser.grantPermissions",
        json!({ "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] }),
    );
    browser.go(&format!("{}/connections/snow", served.url));
    browser.js("document.querySelector('[data-copies=redirect]').click()");
    browser.until("document.getElementById('toast').innerText.includes('Copied')");
    let copied = browser.js_later("navigator.clipboard.readText().then(done)");
    assert_eq!(copied, json!("http://localhost:8080/oauth/callback"));
    // The SQL that sets the account up, whole.
    browser.go(&format!("{}/connections/key", served.url));
    browser.js("document.querySelector('[data-copies=setup]').click()");
    browser.until("document.getElementById('toast').innerText.includes('Copied')");
    let copied = browser.js_later("navigator.clipboard.readText().then(done)");
    let copied = copied.as_str().expect("SQL");
    assert!(copied.contains("CREATE ROLE") && copied.contains("RSA_PUBLIC_KEY"), "{copied}");
}
