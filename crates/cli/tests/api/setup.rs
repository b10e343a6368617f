//! The SQL that sets a connection up, where a person signs in: what no file says is asked for.

use super::bench::{Bench, COMPANIES};
use super::server::Server;

const SNOW: &str = "version: 1\ntype: snowflake\naccount: acme-prod\nrole: TIDEGATE\ndatabase: ANALYTICS\n\
                    auth: { method: oauth, client_id: tidegate }\n";

#[test]
fn what_the_set_up_of_an_oauth_connection_lacks_is_asked_for_on_its_page() {
    let bench = Bench::new();
    bench.write("connections/snow.yaml", SNOW);
    let server = Server::serve(&bench);
    let page = |query: &str| server.get(&format!("/connections/snow{query}")).expect(200).body;
    let here = format!("http://{}/oauth/callback", server.address);
    let made = |page: &str| page.contains("CREATE SECURITY INTEGRATION");

    let bare = page("");
    assert!(!made(&bare) && bare.contains("nothing to read or write"), "{bare}");
    for field in ["name=\"email\"", "name=\"redirect_uri\"", "name=\"schema\""] {
        assert!(bare.contains(field), "no {field} in {bare}");
    }
    assert!(bare.contains(&format!("value=\"{here}\"")), "the browser's own address is proposed: {bare}");
    let nobody = page("?schema=CRM");
    assert!(!made(&nobody) && nobody.contains("OAuth needs a person who signs in"), "{nobody}");

    let whole = page("?email=anna%40acme.example&redirect_uri=&schema=CRM");
    assert!(made(&whole) && whole.contains("ANNA@ACME.EXAMPLE") && whole.contains(&here), "{whole}");
    let elsewhere =
        page("?email=anna%40acme.example&schema=CRM&redirect_uri=https%3A%2F%2Ftide.example%2Foauth%2Fcallback");
    assert!(made(&elsewhere) && elsewhere.contains("https://tide.example/oauth/callback"), "{elsewhere}");

    // A sync says the schema itself, and the API asks for the same.
    let sync = COMPANIES.replace("connection: lake, relation: companies", "connection: snow, relation: CRM.COMPANIES");
    bench.write("syncs/companies.yaml", &sync.replace("direction: both", "direction: to_platform"));
    let path = "/api/v1/connections/snow/setup";
    let lacks = server.get(path).expect(422).json();
    assert!(lacks["error"]["hint"].as_str().is_some_and(|hint| hint.contains("serve.public_url")), "{lacks}");
    let given = format!("{path}?email=anna%40acme.example&redirect_uri=https%3A%2F%2Ftide.example%2Foauth%2Fcallback");
    let text = server.get(&given).expect(200).json()["text"].as_str().expect("SQL").to_owned();
    assert!(made(&text) && text.contains("ANNA@ACME.EXAMPLE") && text.contains("CRM"), "{text}");
    let odd = server.get(&format!("{path}?email=--anna&redirect_uri=https%3A%2F%2Ftide.example%2Foauth%2Fcallback"));
    assert!(odd.expect(422).body.contains("is not an address"));
}
