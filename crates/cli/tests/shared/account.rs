//! An account of its own on the stand-in for Snowflake, seen as the owner of the data.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

/// An account, and a session of its owner.
pub struct Account {
    server: String,
    name: String,
    token: String,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Account {
    pub fn new() -> Self {
        Self::with(&json!({}))
    }

    /// An account whose owner writes names in small letters without quotes.
    #[allow(dead_code, reason = "each of the suites uses its own part of this")]
    pub fn keeping_case() -> Self {
        Self::with(&json!({ "KEEP_CASE": true }))
    }

    fn with(parameters: &Value) -> Self {
        let server = std::env::var("TIDEGATE_TEST_SNOWFLAKE")
            .expect("TIDEGATE_TEST_SNOWFLAKE names no emulator; `./test` starts one and sets it");
        let server = server.trim_start_matches("http://").to_owned();
        let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
        let name = format!("cli-{}-{at}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let login =
            json!({ "data": { "ACCOUNT_NAME": name, "LOGIN_NAME": "owner", "SESSION_PARAMETERS": parameters } });
        let path = "/session/v1/login-request?databaseName=LAB&schemaName=PUBLIC&warehouse=WH";
        let reply = post(&server, path, "", &login);
        let token = reply["data"]["token"].as_str().expect("a token").to_owned();
        Self { server, name, token }
    }

    /// Runs a statement as the owner; what it answers.
    pub fn sql(&self, sql: &str) -> Value {
        self.ask(&json!({ "sqlText": sql }))
    }

    /// The same with a text bound to it.
    #[allow(dead_code, reason = "each of the suites uses its own part of this")]
    pub fn bound(&self, sql: &str, text: &str) {
        self.ask(&json!({ "sqlText": sql, "bindings": { "1": { "type": "TEXT", "value": text } } }));
    }

    fn ask(&self, statement: &Value) -> Value {
        let reply = post(&self.server, "/queries/v1/query-request?requestId=owner", &self.token, statement);
        assert_eq!(reply["success"], true, "{}: {}", reply["message"], statement["sqlText"]);
        reply
    }

    /// How many rows a query gives.
    pub fn count(&self, sql: &str) -> u64 {
        self.sql(sql)["data"]["total"].as_u64().expect("a number of rows")
    }

    /// The account's name.
    #[allow(dead_code, reason = "each of the suites uses its own part of this")]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Host and port of the stand-in.
    #[allow(dead_code, reason = "each of the suites uses its own part of this")]
    pub fn address(&self) -> (&str, u16) {
        let (host, port) = self.server.split_once(':').expect("host and port");
        (host, port.parse().expect("a port"))
    }

    /// The connection's file.
    pub fn connection(&self) -> String {
        let (host, port) = self.server.split_once(':').expect("host and port");
        format!(
            "version: 1\ntype: snowflake\naccount: {}\nuser: tidegate\nhost: {host}\nport: {port}\nprotocol: http\n\
             database: LAB\nschema: PUBLIC\nwarehouse: WH\nauth: {{ method: password, password: \"${{TIDEGATE_TEST_WORD}}\" }}\naccess: write\n",
            self.name
        )
    }
}

/// The variable that the connection's password names. The stand-in takes any.
pub const PASSWORD: (&str, &str) = ("TIDEGATE_TEST_WORD", "any");

fn post(server: &str, path: &str, token: &str, body: &Value) -> Value {
    let body = body.to_string();
    let mut line = TcpStream::connect(server).expect("the stand-in answers");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {server}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         authorization: Snowflake Token=\"{token}\"\r\nconnection: close\r\n\r\n",
        body.len()
    );
    line.write_all(head.as_bytes()).expect("sent");
    line.write_all(body.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    line.read_to_end(&mut answer).expect("received");
    let answer = String::from_utf8(answer).expect("text");
    let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}
