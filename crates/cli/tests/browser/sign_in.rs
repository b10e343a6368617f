//! Signing in with a real browser at a real identity provider: to Snowflake, to Google, and to tidegate itself.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::driver::Browser;
use super::identity::{Identity, free_port, sign_in_there};
use super::rig::Served;

fn client(id: &str, redirect: &str, proof: &str) -> Value {
    json!({
        "client_id": id, "client_secret": "planted-hunter2", "redirect_uris": [redirect],
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": proof
    })
}

/// Nothing secret of a sign-in stands in the browser's address or on the page.
fn nothing_leaks(browser: &Browser) {
    let seen = browser.js("return location.href + document.documentElement.outerHTML");
    let seen = seen.as_str().expect("text");
    assert!(!seen.contains("planted-hunter2") && !seen.contains("code="), "{seen}");
}

#[test]
fn authenticate_now_signs_in_to_snowflake_refreshes_and_says_when_it_expires() {
    let served = Served::connected().serve();
    let redirect = format!("{}/oauth/callback", served.url);
    let identity = Identity::start(json!({
        "issuer": "http://127.0.0.1", "clients": [client("tidegate", &redirect, "client_secret_basic")],
        "routes": { "authorization": "/oauth/authorize", "token": "/oauth/token-request" },
        "scopes": ["session:role:TIDEGATE"],
        // Shorter than what is left to a token before it is used: each use has to refresh.
        "accessS": 30, "refreshS": 9 * 86_400 + 3_600
    }));
    served.secret("snow", "planted-hunter2");
    served.write(
        "connections/snow.yaml",
        &format!(
            "version: 1\ntype: snowflake\naccount: acme-prod\nhost: 127.0.0.1\nport: {}\nprotocol: http\nrole: TIDEGATE\n\
             auth: {{ method: oauth, client_id: tidegate, client_secret: \"secret:snow\" }}\n",
            identity.port
        ),
    );
    let browser = Browser::open(1280, 900, false);
    browser.go(&format!("{}/connections/snow", served.url));
    browser.until("document.getElementById('sign-in').textContent.includes('nobody has signed in')");
    assert_eq!(browser.js("return document.getElementById('redirect').innerText"), json!(redirect));
    assert_eq!(browser.js("return document.querySelectorAll('[data-copies=redirect]').length"), json!(1));
    // A target inside the network is refused until somebody who owns the project's file allows it.
    browser.click("Authenticate now");
    browser.until("document.body.innerText.includes('private_targets')");
    served.write("tidegate.yaml", "version: 1\nname: first steps\nserve: { private_targets: [\"127.0.0.1\"] }\n");
    browser.go(&format!("{}/connections/snow", served.url));
    browser.click("Authenticate now");
    sign_in_there(&browser, "ada");
    browser.until("location.pathname === '/connections/snow'");
    browser.until("document.getElementById('sign-in').textContent.includes('expires in 9 days')");
    nothing_leaks(&browser);
    assert_eq!(identity.granted("authorization_code"), 1, "{:?}", identity.said());
    // It is used, and each time the refresh token is another: an old one used again would end them all.
    for used in 1..=3 {
        browser.click("Test it");
        identity.until("that it refreshed", |_| identity.granted("refresh_token") >= used);
    }
    assert!(!identity.said().iter().any(|line| line.starts_with("refused")), "{:?}", identity.said());
    // A sign-in that ends soon is told where everybody looks.
    served.write("syncs/c.yaml", "version: 1\nwarehouse: { connection: lake, relation: companies }\nplatform: { connection: crm, model: company }\nkey: { warehouse: company_id, platform: externalId }\nfields: [{ warehouse: name, platform: name }]\n");
    browser.go(&served.url);
    browser.until("document.querySelector('.note')?.textContent.includes('snow: ')");
    browser.until("document.querySelector('.note').textContent.includes('expires in 9 days')");
    // Another account: the tokens of this one do not follow.
    let saved = browser.js_later(
        "fetch('/api/v1/connections/snow/file').then((r) => r.json()).then((file) => fetch('/api/v1/connections/snow/file', { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ hash: file.hash, text: file.text.replace('acme-prod', 'other') }) })).then((r) => r.json()).then(done)",
    );
    assert_eq!(saved["secrets_cleared"], json!(["snow", "oauth.snow"]), "{saved}");
    served.secret("snow", "planted-hunter2");
    browser.go(&format!("{}/connections/snow", served.url));
    browser.until("document.getElementById('sign-in')?.textContent.includes('nobody has signed in')");
    // What a page of somebody else sends here belongs to nobody's attempt.
    browser.go(&format!("{}/oauth/callback?code=stolen&state=guessed", served.url));
    browser.until("document.body.innerText.includes('belongs to no attempt')");
}

/// A certificate for Google's hosts, and who signed it.
fn certificate(folder: &Path) {
    let openssl = |arguments: &str| {
        let done = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
        let done = done.expect("this test needs the openssl program to make certificates");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {new} -keyout ca.key -out ca.pem -days 2 -subj /CN=test"));
    openssl(&format!("req {new} -keyout google.key -out google.csr -subj /CN=google"));
    std::fs::write(folder.join("ext"), "subjectAltName=DNS:accounts.google.com,DNS:oauth2.googleapis.com\n").unwrap();
    openssl("x509 -req -in google.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out google.pem");
}

#[test]
fn authenticate_now_signs_in_to_google_and_refreshes() {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path());
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("read");
    // Google's addresses stand in the program: a proxy leads both of us, and the browser, to the provider instead.
    let redirect_port = free_port();
    let redirect = format!("http://127.0.0.1:{redirect_port}/oauth/callback");
    let identity = Identity::start(json!({
        "issuer": "https://accounts.google.com", "clients": [client("acme", &redirect, "client_secret_post")],
        "routes": { "authorization": "/o/oauth2/v2/auth", "token": "/token" },
        "tls": { "cert": read("google.pem"), "key": read("google.key") }, "accessS": 30,
        "scopes": ["https://www.googleapis.com/auth/bigquery"]
    }));
    let served = Served::connected();
    served.secret("google", "planted-hunter2");
    served.write(
        "tidegate.yaml",
        &format!("version: 1\nname: first steps\nserve: {{ public_url: \"http://127.0.0.1:{redirect_port}\", listen: \"127.0.0.1:{redirect_port}\" }}\n"),
    );
    served.write(
        "connections/bq.yaml",
        "version: 1\ntype: bigquery\nproject: acme-data\ndataset: crm\n\
         auth: { method: oauth, client_id: acme, client_secret: \"secret:google\" }\n",
    );
    let proxy = format!("http://127.0.0.1:{}", identity.proxy);
    let ca = folder.path().join("ca.pem");
    let served = served.serve_on(
        redirect_port,
        &[("HTTPS_PROXY", &proxy), ("SSL_CERT_FILE", ca.to_str().expect("a path")), ("NO_PROXY", "127.0.0.1")],
    );
    let map = format!("--host-resolver-rules=MAP accounts.google.com:443 127.0.0.1:{}", identity.port);
    let browser = Browser::open_with(1280, 900, false, &[&map, "--ignore-certificate-errors"]);
    browser.go(&format!("{}/connections/bq", served.url));
    assert_eq!(browser.js("return document.getElementById('redirect').innerText"), json!(redirect));
    browser.until("document.getElementById('setup').innerText.includes('gcloud')");
    browser.click("Authenticate now");
    browser.until("location.host === 'accounts.google.com'");
    sign_in_there(&browser, "ada");
    browser.until("location.pathname === '/connections/bq'");
    browser.until("document.getElementById('sign-in').textContent.includes('signed in')");
    nothing_leaks(&browser);
    browser.click("Test it");
    identity.until("that it refreshed", |_| identity.granted("refresh_token") >= 1);
    assert!(!identity.said().iter().any(|line| line.starts_with("refused")), "{:?}", identity.said());
}

#[test]
fn people_sign_in_to_tidegate_through_an_identity_provider() {
    let port = free_port();
    let served = Served::connected();
    served.secret("oidc", "planted-hunter2");
    served.write(
        "tidegate.yaml",
        &format!(
            "version: 1\nname: first steps\nserve:\n  private_targets: [\"127.0.0.1\"]\n  oidc: {{ issuer: \"http://127.0.0.1:{port}\", \
             client_id: tidegate, client_secret: \"secret:oidc\", role_claim: roles }}\n"
        ),
    );
    let served = served.serve();
    let identity = Identity::start(json!({
        "issuer": format!("http://127.0.0.1:{port}"), "port": port,
        "clients": [client("tidegate", &format!("{}/oidc/callback", served.url), "client_secret_basic")],
        "claims": { "roles": ["viewer", "operator"] }
    }));
    let browser = Browser::open(1280, 900, false);
    browser.go(&format!("{}/runs", served.url));
    browser.until("location.pathname === '/sign-in'");
    browser.click("Sign in through your identity provider");
    sign_in_there(&browser, "ada");
    browser.until("location.pathname === '/' && document.body.innerText.includes('oidc:ada@example.org')");
    nothing_leaks(&browser);
    assert_eq!(identity.granted("authorization_code"), 1, "{:?}", identity.said());
    // An operator, as the claim says: runs may be started, files are only looked at.
    browser.go(&format!("{}/connections/lake", served.url));
    browser.until("document.body.innerText.includes('Test it')");
    assert_eq!(browser.js("return document.body.innerText.includes('Check the change')"), json!(false));
    browser.click("Sign out");
    browser.until("location.pathname === '/sign-in'");
    browser.go(&served.url);
    browser.until("location.pathname === '/sign-in'");
}
