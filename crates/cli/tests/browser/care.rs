//! What holds on every page: nobody is shut out, nothing overflows, nothing is asked of anybody else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::driver::Browser;
use super::rig::Served;

/// Every page, on the demo's project.
const PAGES: [(&str, &str); 16] = [
    ("overview", "/"),
    ("sync", "/syncs/companies"),
    ("plan", "/syncs/companies/plan?full=true"),
    ("editor", "/syncs/companies/edit"),
    ("new-sync", "/syncs/new"),
    ("runs", "/runs"),
    ("logs", "/logs"),
    ("conflicts", "/conflicts"),
    ("rejects", "/rejects?sync=licenses"),
    ("record", "/record?sync=endusers&key=U000203"),
    ("hub", "/hub?model=company"),
    ("usage", "/hub?model=user_activity"),
    ("connections", "/connections"),
    ("connection", "/connections/lake"),
    ("settings", "/settings"),
    ("sign-in", "/sign-in"),
];

/// A page of a run, by the list of runs.
fn a_run(browser: &Browser, url: &str) -> String {
    browser.go(&format!("{url}/runs?sync=companies"));
    let to = browser.js("return document.querySelector('tbody a[href^=\"/runs/\"]').getAttribute('href')");
    to.as_str().expect("a run").to_owned()
}

fn pages(browser: &Browser, url: &str) -> Vec<(&'static str, String)> {
    let run = a_run(browser, url);
    let own = PAGES.iter().map(|(name, path)| (*name, (*path).to_owned()));
    own.chain([("run", run)]).collect()
}

fn axe() -> String {
    let path = std::env::var("TIDEGATE_TEST_AXE").expect("TIDEGATE_TEST_AXE, which `scripts/services start` sets");
    std::fs::read_to_string(path).expect("axe-core")
}

fn offences(browser: &Browser, axe: &str) -> Vec<Value> {
    browser.js(axe);
    let found = browser.js_later(
        "axe.run(document, { resultTypes: ['violations'] }).then((r) => done(r.violations.map((v) => ({ impact: v.impact, rule: v.id, where: v.nodes[0].html.slice(0, 200) }))))",
    );
    let grave = |one: &Value| ["serious", "critical"].iter().any(|impact| one["impact"] == *impact);
    found.as_array().expect("a list").iter().filter(|one| grave(one)).cloned().collect()
}

#[test]
fn no_page_shuts_anybody_out_in_light_and_dark_wide_and_on_a_phone() {
    let (served, axe) = (Served::demo(), axe());
    for dark in [false, true] {
        let browser = Browser::open(1280, 900, dark);
        let pages = pages(&browser, &served.url);
        let mut papers = BTreeSet::new();
        for (width, height) in [(1280, 900), (390, 844)] {
            browser.size(width, height);
            for (name, path) in &pages {
                browser.go(&format!("{}{path}", served.url));
                let found = offences(&browser, &axe);
                assert!(found.is_empty(), "{name} at {width}, dark: {dark}: {found:#?}");
                let over = browser.js("return document.documentElement.scrollWidth - window.innerWidth");
                assert!(over.as_i64().is_some_and(|over| over <= 0), "{name} is {over} px too wide at {width}");
                papers.insert(browser.js("return getComputedStyle(document.body).backgroundColor").to_string());
                keep_picture(&browser, name, dark, width);
            }
        }
        assert_eq!(
            papers,
            BTreeSet::from([if dark { "\"rgb(15, 22, 20)\"" } else { "\"rgb(245, 247, 246)\"" }.to_owned()])
        );
    }
}

/// Into the folder of TIDEGATE_TEST_SCREENS, for docs/screens/.
fn keep_picture(browser: &Browser, name: &str, dark: bool, width: u32) {
    let Ok(folder) = std::env::var("TIDEGATE_TEST_SCREENS") else { return };
    let (colours, form) = (if dark { "-dark" } else { "" }, if width < 600 { "-phone" } else { "" });
    std::fs::write(format!("{folder}/{name}{form}{colours}.png"), browser.picture()).expect("written");
}

#[test]
fn colours_can_be_chosen_and_stay_chosen() {
    let (served, browser) = (Served::connected().serve(), Browser::open(1280, 900, false));
    browser.go(&served.url);
    browser.click("Light or dark");
    browser.go(&format!("{}/settings", served.url));
    assert_eq!(browser.js("return getComputedStyle(document.body).backgroundColor"), json!("rgb(15, 22, 20)"));
}

#[test]
fn no_page_asks_anything_of_another_address_and_each_is_painted_within_a_second() {
    let (served, browser) = (Served::demo(), Browser::open(1280, 900, false));
    for (name, path) in pages(&browser, &served.url) {
        browser.go(&format!("{}{path}", served.url));
        let painted = browser.js_later(
            "const look = () => { const p = performance.getEntriesByName('first-contentful-paint')[0]; p ? done(p.startTime) : setTimeout(look, 20); }; look()",
        );
        assert!(painted.as_f64().is_some_and(|ms| ms < 1_000.0), "{name} was painted after {painted} ms");
    }
    let mut asked = 0;
    for line in browser.log("performance") {
        let event: Value = serde_json::from_str(line["message"].as_str().unwrap_or("{}")).expect("JSON");
        if event["message"]["method"] == "Network.requestWillBeSent" {
            let url = event["message"]["params"]["request"]["url"].as_str().unwrap_or("");
            // The page with which the browser opens is its own.
            if url.starts_with("chrome:") {
                continue;
            }
            assert!(url.starts_with(&served.url) || url.starts_with("data:"), "asked of another address: {url}");
            asked += 1;
        }
    }
    assert!(asked > 30, "the browser noted its requests ({asked})");
    let wrong: Vec<Value> = browser.log("browser").into_iter().filter(|line| line["level"] != "INFO").collect();
    assert!(wrong.is_empty(), "the console complains, by the content security policy or else: {wrong:#?}");
}
