//! Each way to log in to BigQuery, right and wrong, against a stand-in that verifies what it is shown.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::bench::{Bench, Done};
use super::google::{ACCOUNT, CLIENT, Google};
use super::lake::{Lake, PROJECT};
use super::provider::agree;

struct Rig {
    runtime: tokio::runtime::Runtime,
    google: Google,
    bench: Bench,
    lake: Lake,
}

impl Rig {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let lake = Lake::new("login");
        let google = runtime.block_on(Google::start(&lake.rest));
        Self { runtime, google, bench: Bench::new(), lake }
    }

    fn connection(&self, auth: &str) {
        let (base, dataset) = (&self.google.base, &self.lake.dataset);
        self.bench.write(
            "connections/lake.yaml",
            &format!(
                "version: 1\ntype: bigquery\nproject: {PROJECT}\ndataset: {dataset}\nendpoint: {base}\nstorage_endpoint: none\nlogin_endpoint: {base}\nauth: {{ {auth} }}\n"
            ),
        );
    }

    fn check(&self, more: impl FnOnce(&mut Command)) -> Done {
        let mut command = self.bench.command(&["check", "lake"]);
        for name in ["GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST", "GOOGLE_CLOUD_QUOTA_PROJECT"] {
            command.env_remove(name);
        }
        command.env("HOME", self.bench.root());
        more(&mut command);
        command.output().expect("started").into()
    }

    /// A key pair of the account's: the key file, and what verifies it.
    fn account(&self, file: &str) -> Vec<u8> {
        let openssl = |args: &str| {
            let out = Command::new("openssl").args(args.split(' ')).current_dir(self.bench.root()).output();
            let out = out.expect("this test needs the openssl program to make keys");
            assert!(out.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&out.stderr));
        };
        openssl("genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out account.pem");
        openssl("rsa -in account.pem -RSAPublicKey_out -outform DER -out account.der");
        let key = std::fs::read_to_string(self.bench.path("account.pem")).unwrap();
        let json = json!({
            "type": "service_account", "client_email": ACCOUNT, "private_key_id": "1", "private_key": key,
            "project_id": PROJECT,
        });
        self.bench.write(file, &json.to_string());
        std::fs::read(self.bench.path("account.der")).unwrap()
    }

    fn seen(&self, how: &str) -> bool {
        self.google.books().seen.contains(how)
    }
}

#[track_caller]
fn refused(done: &Done, words: &[&str]) {
    assert_ne!(done.code, 0, "{}", done.stdout);
    let told = format!("{}{}", done.stdout, done.stderr);
    for word in words {
        assert!(told.contains(word), "no {word:?} in {told}");
    }
    assert!(!told.contains("PRIVATE KEY") && !told.contains("1//") && !told.contains("ya29"), "a secret in {told}");
}

#[test]
fn a_service_account_signs_for_itself() {
    let rig = Rig::new();
    rig.connection("method: service_account, key: \"${file:key.json}\"");
    let public_key = rig.account("key.json");
    rig.google.books().public_key = public_key;
    rig.check(|_| {}).expect(0);
    assert!(rig.seen("assertion"));
    // Another key of the same name: what it signs does not verify.
    rig.account("key.json");
    refused(&rig.check(|_| {}), &["does not let us in"]);
}

#[test]
fn application_default_is_what_the_machine_has() {
    let rig = Rig::new();
    rig.connection("method: application_default");
    let file = |command: &mut Command| {
        command.env("GOOGLE_APPLICATION_CREDENTIALS", rig.bench.path("adc.json"));
    };
    // A key file.
    let public_key = rig.account("adc.json");
    rig.google.books().public_key = public_key;
    rig.check(file).expect(0);
    assert!(rig.seen("assertion") && !rig.seen("refresh_token"));
    // What `gcloud auth application-default login` leaves.
    let user = |refresh: &str| {
        let json = json!({
            "type": "authorized_user", "client_id": CLIENT.0, "client_secret": CLIENT.1, "refresh_token": refresh,
            "token_uri": format!("{}/token", rig.google.base),
        });
        rig.bench.write("adc.json", &json.to_string());
    };
    user("1//good");
    rig.google.books().refresh_tokens.insert("1//good".into());
    rig.check(file).expect(0);
    assert!(rig.seen("refresh_token") && rig.seen("token"));
    user("1//revoked");
    refused(&rig.check(file), &["Google does not accept the login"]);
    // Google's own machines.
    let host = rig.google.base.trim_start_matches("http://").to_owned();
    let on_google = |command: &mut Command| {
        command.env("GCE_METADATA_HOST", host);
    };
    rig.check(on_google).expect(0);
    assert!(rig.seen("metadata"));
    rig.bench.write("adc.json", "{}");
    refused(&rig.check(file), &["application default login cannot be used", "gcloud auth application-default login"]);
}

#[test]
fn a_person_consents_and_may_take_it_back() {
    let rig = Rig::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let back = format!("http://127.0.0.1:{port}/oauth/callback");
    let auth = format!("method: oauth, client_id: {}, client_secret: \"{}\"", CLIENT.0, CLIENT.1);
    rig.connection(&auth);
    refused(&rig.check(|_| {}), &["nobody has signed in", "tidegate auth lake"]);
    let mut command = rig.bench.command(&["auth", "lake", "--redirect-uri", &back, "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let url = told["authorize_url"].as_str().expect("an address").to_owned();
    rig.runtime.block_on(async {
        let http = tidegate_net::http::Http { proxy: None, ..Default::default() }.client().unwrap();
        let planted = http.get(format!("{back}?code=planted&state=guess")).send().await.expect("an answer");
        assert_eq!(planted.status(), 400, "a code of somebody else's");
        let done = http.get(agree(&url).await).send().await.expect("an answer");
        assert_eq!(done.status(), 200);
    });
    let (mut stdout, out) = (String::new(), child.wait_with_output().expect("ended"));
    lines.read_to_string(&mut stdout).expect("text");
    assert!(out.status.success(), "{stdout}{}", String::from_utf8_lossy(&out.stderr));
    assert!(rig.seen("authorization_code"));
    rig.check(|_| {}).expect(0);
    assert!(rig.seen("token"));
    // A token that ends before its time is replaced by another.
    rig.google.books().access_tokens.clear();
    rig.check(|_| {}).expect(0);
    assert!(rig.seen("refresh_token"));
    // She takes it back: the tokens end, and a person has to sign in again.
    rig.google.books().access_tokens.clear();
    rig.google.books().refresh_tokens.clear();
    refused(&rig.check(|_| {}), &["tidegate auth lake"]);
    // A client whose secret is wrong.
    rig.connection(&auth.replace("its secret", "another"));
    refused(&rig.check(|_| {}), &["lake"]);
}

/// A refresh token that somebody else got stands in the file, by reference.
#[test]
fn a_refresh_token_may_be_given() {
    let rig = Rig::new();
    rig.google.books().refresh_tokens.insert("1//given".into());
    let auth = |token: &str| {
        rig.connection(&format!(
            "method: oauth, client_id: {}, client_secret: \"{}\", refresh_token: \"${{file:{token}}}\"",
            CLIENT.0, CLIENT.1
        ));
    };
    rig.bench.write("good.txt", "1//given");
    rig.bench.write("bad.txt", "1//stolen");
    auth("good.txt");
    rig.check(|_| {}).expect(0);
    assert!(rig.seen("refresh_token"));
    auth("bad.txt");
    refused(&rig.check(|_| {}), &["tidegate auth lake"]);
}
