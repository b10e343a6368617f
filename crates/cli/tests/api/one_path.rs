//! Whatever a page does is a call of the API: every form and every file of every page is held against the document.

use std::collections::BTreeSet;

use serde_json::Value;

use super::bench::{Bench, COMPANIES};
use super::server::Server;

/// Pages, with something on each that can be done.
const PAGES: [&str; 15] = [
    "/",
    "/runs",
    "/logs",
    "/conflicts",
    "/conflicts?all=true",
    "/rejects",
    "/rejects?sync=companies",
    "/record?sync=companies&key=C1",
    "/hub?model=company",
    "/hub?model=user_activity",
    "/connections",
    "/connections/crm",
    "/syncs/companies",
    "/syncs/companies/plan",
    "/settings",
];

/// Drafts, which a page makes of what was typed: what becomes of them (check, preview, plan, save) are calls.
const DRAFTS: [&str; 4] = ["/syncs/new", "/syncs/companies/edit", "/connections/new", "/connections/crm"];

/// The tags of a kind, as they are written.
fn tags<'t>(page: &'t str, kind: &'t str) -> impl Iterator<Item = &'t str> {
    let open = format!("<{kind} ");
    page.match_indices(&open).map(|(at, _)| page[at..].split('>').next().unwrap_or("")).collect::<Vec<_>>().into_iter()
}

fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()
}

/// Whether the document has this call.
fn is_call(document: &Value, method: &str, address: &str) -> bool {
    let path = address.split(['?', '#']).next().unwrap_or("");
    let given: Vec<&str> = path.split('/').collect();
    document["paths"].as_object().expect("paths").iter().any(|(pattern, methods)| {
        let parts: Vec<&str> = pattern.split('/').collect();
        let fits = |(part, given): (&&str, &&str)| part.starts_with('{') && part.ends_with('}') || part == given;
        parts.len() == given.len() && parts.iter().zip(&given).all(fits) && methods.get(method).is_some()
    })
}

#[test]
fn every_button_and_every_file_of_a_page_is_a_call() {
    let bench = Bench::with_companies();
    bench.lake("INSERT INTO companies VALUES ('=1+1', NULL, NULL, NULL)");
    bench.write("syncs/companies.yaml", &COMPANIES.replace("direction: both", "direction: both\nconflict: hold"));
    bench.run(&["run", "companies", "--full"]);
    bench.lake("UPDATE companies SET phase = 'ours' WHERE company_id = 'C1'");
    bench.run(&["hub", "set", "company", "C1", "phase=theirs"]).expect(0);
    bench.run(&["run", "companies"]);
    bench.run(&["tokens", "add", "ci", "--scope", "read"]).expect(0);
    let server = Server::serve(&bench);
    server.put("/api/v1/secrets/s", &serde_json::json!({ "value": "v" })).expect(200);
    let document = server.get("/api/v1/openapi.json").expect(200).json();
    let run = server.get("/api/v1/runs").expect(200).json()["items"][0]["run"].as_str().expect("a run").to_owned();
    let (mut done, mut files) = (BTreeSet::new(), BTreeSet::new());
    for path in
        PAGES.iter().map(|path| (*path).to_owned()).chain([format!("/runs/{run}")]).chain(DRAFTS.map(str::to_owned))
    {
        // A new connection's form is of its type.
        let query = if path == "/connections/new" { "?kind=planhat" } else { "" };
        let page = server.get(&format!("{path}{query}")).expect(200).body;
        for form in tags(&page, "form") {
            let method = attribute(form, "data-method").or(attribute(form, "method")).unwrap_or("get").to_lowercase();
            let action = attribute(form, "action").unwrap_or(&path).to_owned();
            // Filters only change the address of the page; a draft is looked at and not kept.
            if method == "get"
                || DRAFTS.contains(&action.split('?').next().unwrap_or("")) && !action.starts_with("/api/")
            {
                continue;
            }
            assert!(is_call(&document, &method, &action), "{path}: {method} {action} is no call of the document");
            done.insert(format!("{method} {action}"));
        }
        for link in tags(&page, "a").filter(|link| link.contains(" download")) {
            let to = attribute(link, "href").expect("an address").replace("&amp;", "&");
            assert!(is_call(&document, "get", &to), "{path}: {to} is no call of the document");
            server.get(&to).expect(200);
            files.insert(to.split('?').next().unwrap_or("").rsplit('/').next().unwrap_or("").to_owned());
        }
    }
    assert!(done.len() >= 10, "{done:#?}");
    let wanted = ["conflicts.csv", "records.csv", "records.parquet", "rejects.csv"];
    assert_eq!(files, BTreeSet::from(wanted.map(str::to_owned)));
}

#[test]
fn lists_are_files_too_and_formulas_in_them_stay_text() {
    let bench = Bench::with_companies();
    bench.write("syncs/companies.yaml", &COMPANIES.replace("direction: both", "direction: both\nconflict: hold"));
    bench.run(&["run", "companies", "--full"]).expect(0);
    bench.lake("UPDATE companies SET phase = '=HYPERLINK(1)' WHERE company_id = 'C1'");
    bench.run(&["hub", "set", "company", "C1", "phase=@theirs"]).expect(0);
    bench.run(&["run", "companies"]);
    let server = Server::serve(&bench);
    let conflicts = server.get("/api/v1/conflicts.csv?open=true").expect(200);
    assert_eq!(conflicts.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(conflicts.header("content-disposition"), Some("attachment; filename=\"conflicts.csv\""));
    let line = conflicts.body.lines().nth(1).expect("a conflict");
    assert!(line.starts_with("companies,C1,phase,\"'=HYPERLINK(1)\",\"'@theirs\","), "{line}");
    let records = server.get("/api/v1/connections/crm/records.csv?model=company&where=externalId%3DC1").expect(200);
    assert_eq!(records.header("content-disposition"), Some("attachment; filename=\"company.csv\""));
    assert_eq!(records.body.lines().count(), 2, "{}", records.body);
    assert!(records.body.contains("\"'@theirs\""), "{}", records.body);
    for nothing in ["crm/records.csv?model=no%0d%0aX-Evil:%201", "nobody/records.parquet?model=company"] {
        let answer = server.get(&format!("/api/v1/connections/{nothing}"));
        assert!(matches!(answer.code, 404 | 422) && !answer.head.to_lowercase().contains("x-evil"), "{answer:?}");
    }
}

#[test]
fn an_editor_on_postgres_offers_schemas_and_what_is_in_them() {
    let fleet = super::fleet::Fleet::new("levels", 1, 10, 50);
    fleet.psql("CREATE SCHEMA sales; CREATE TABLE sales.deals (id TEXT PRIMARY KEY, worth NUMERIC)");
    let server = Server::start(&mut fleet.command(&["--json", "serve", "--listen", "127.0.0.1:0"]));
    let page = server.get("/syncs/s0/edit").expect(200).body;
    let select = |page: &str, id: &str| {
        let after = page.split(&format!("<select id=\"{id}\"")).nth(1).unwrap_or_else(|| panic!("no choice of {id}"));
        after.split("</select>").next().unwrap_or_default().to_owned()
    };
    let level = select(&page, "w.level.0");
    assert!(level.contains("value=\"sales\"") && level.contains("value=\"public\" selected"), "{level}");
    assert!(select(&page, "w.relation").contains("value=\"public.t0\" selected"));
    assert!(select(&page, "f.0.warehouse").contains("value=\"name\" selected"));
    // Another schema is chosen: what is in that one is offered.
    let form =
        "step=show&w.connection=lake&w.level.0=sales&p.connection=crm&p.model=company&f.0.warehouse=&f.0.platform=name";
    let page = server.send("POST", "/syncs/s0/edit", "Content-Type: application/x-www-form-urlencoded\r\n", form);
    let page = page.expect(200).body;
    assert!(select(&page, "w.relation").contains("value=\"sales.deals\""), "{}", select(&page, "w.relation"));
}
