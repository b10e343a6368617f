//! How the job gets into the account: from `--connection-parameters` and the environment. Thinking only; files and
//! variables are handed in.

use std::path::Path;

use serde_json::{Map, Value, json};
use tidegate_model::{Error, Result};
use tidegate_warehouses::snowflake::setup::Name;

/// Where Snowpark Container Services keeps the token of a service.
const TOKEN_FILE: &str = "/snowflake/session/token";

/// Parameters that are taken, by the names that Snowflake's own Python connector has for them.
const KNOWN: &[&str] = &[
    "account",
    "host",
    "port",
    "protocol",
    "user",
    "role",
    "warehouse",
    "database",
    "schema",
    "password",
    "private_key_path",
    "private_key_passphrase",
    "private_key_file",
    "private_key_file_pwd",
    "authenticator",
    "token",
    "token_file_path",
];
/// Parameters that change nothing that this job does.
const IGNORED: &[&str] = &[
    "application",
    "client_session_keep_alive",
    "insecure_mode",
    "login_timeout",
    "network_timeout",
    "session_parameters",
];

/// What surrounds the process.
pub trait Around {
    /// A variable that is set and not empty.
    fn variable(&self, name: &str) -> Option<String>;
    /// Whether a file is there.
    fn is_there(&self, path: &Path) -> bool;
    /// A text file.
    fn read(&self, path: &Path) -> Result<String>;
}

/// Settings of a connection, and where the job's own tables go.
#[derive(Debug)]
pub struct Connection {
    /// As the connector takes them.
    pub settings: Value,
    /// The schema of the job's tables, exactly.
    pub schema: String,
}

/// Reads `--connection-parameters`.
pub fn parameters(text: Option<&str>) -> Result<Map<String, Value>> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(Map::new()) };
    let wrong = |why: String| {
        // The text may hold a password: it is not repeated.
        Error::config(format!("--connection-parameters {why}"))
            .hint("it is a JSON object: {\"account\": \"myorg-myaccount\", \"warehouse\": \"WH\", …}")
    };
    let read: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| wrong(format!("is no JSON object (at character {})", error.column())))?;
    let known = |name: &&String| !KNOWN.contains(&name.as_str()) && !IGNORED.contains(&name.as_str());
    match read.keys().find(known) {
        Some(name) => {
            Err(wrong(format!("has `{name}`, which is not known")).hint(format!("it takes {}", KNOWN.join(", "))))
        }
        None => Ok(read),
    }
}

/// The connection: what is given goes before what the environment says.
pub fn connection(given: &Map<String, Value>, around: &dyn Around) -> Result<Connection> {
    let given = |name: &str| match given.get(name) {
        Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
        Some(Value::Null) | None => None,
        Some(other) => Some(other.to_string()),
    };
    let either = |name: &str, variable: &str| given(name).or_else(|| around.variable(variable));
    let auth = auth(&given, around)?;
    let inside = auth["method"] == "spcs";
    // The container names what is there exactly; people write names as SQL reads them.
    let place = |name: &str, variable: &str| match (given(name), around.variable(variable)) {
        (Some(text), _) => Name::typed(&text).map(|name| Some(name.as_str().to_owned())),
        (None, Some(text)) if inside => Ok(Some(text)),
        (None, Some(text)) => Ok(Some(Name::typed(&text).map_or(text.clone(), |name| name.as_str().to_owned()))),
        (None, None) => Ok(None),
    };
    let database = place("database", "SNOWFLAKE_DATABASE")?;
    let schema = place("schema", "SNOWFLAKE_SCHEMA")?.ok_or_else(|| {
        Error::config("the job is not told in which schema it keeps its tables").hint(
            "Snowpark Container Services set SNOWFLAKE_SCHEMA; elsewhere set it, or `schema` in --connection-parameters",
        )
    })?;
    let mut settings = json!({ "auth": auth, "schema": schema, "database": database });
    for (name, variable) in [
        ("account", "SNOWFLAKE_ACCOUNT"),
        ("host", "SNOWFLAKE_HOST"),
        ("user", "SNOWFLAKE_USER"),
        ("role", "SNOWFLAKE_ROLE"),
        ("warehouse", "SNOWFLAKE_WAREHOUSE"),
        ("protocol", "SNOWFLAKE_PROTOCOL"),
    ] {
        if let Some(value) = either(name, variable).filter(|_| !(inside && name == "user")) {
            settings[name] = json!(value);
        }
    }
    if let Some(port) = either("port", "SNOWFLAKE_PORT") {
        let number: u16 = port.parse().map_err(|_| {
            Error::config(format!("`port` is {port}, which is no port")).hint("leave it out: Snowflake answers on 443")
        })?;
        settings["port"] = json!(number);
    }
    Ok(Connection { settings, schema })
}

fn auth(given: &dyn Fn(&str) -> Option<String>, around: &dyn Around) -> Result<Value> {
    let key = |path: String, passphrase: Option<String>| {
        let text = around.read(Path::new(&path))?;
        Ok(json!({ "method": "key_pair", "private_key": text, "passphrase": passphrase }))
    };
    if let Some(path) = given("private_key_path").or_else(|| given("private_key_file")) {
        return key(path, given("private_key_passphrase").or_else(|| given("private_key_file_pwd")));
    }
    if let Some(path) = given("token_file_path") {
        return Ok(json!({ "method": "spcs", "token_file": path }));
    }
    if let Some(token) = given("token") {
        let pat = given("authenticator").is_some_and(|name| name.eq_ignore_ascii_case("PROGRAMMATIC_ACCESS_TOKEN"));
        return Ok(json!({ "method": "token", "kind": if pat { "pat" } else { "oauth" }, "token": token }));
    }
    if let Some(password) = given("password") {
        return Ok(json!({ "method": "password", "password": password }));
    }
    if around.is_there(Path::new(TOKEN_FILE)) {
        return Ok(json!({ "method": "spcs" }));
    }
    if let Some(path) = around.variable("SNOWFLAKE_PRIVATE_KEY_PATH") {
        return key(path, around.variable("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"));
    }
    if let Some(password) = around.variable("SNOWFLAKE_PASSWORD") {
        return Ok(json!({ "method": "password", "password": password }));
    }
    Err(Error::config("nothing says how to log in to Snowflake").hint(format!(
        "Snowpark Container Services put a token into {TOKEN_FILE}; elsewhere set SNOWFLAKE_USER with \
         SNOWFLAKE_PRIVATE_KEY_PATH or SNOWFLAKE_PASSWORD"
    )))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Default)]
    struct Made {
        variables: BTreeMap<&'static str, &'static str>,
        token: bool,
    }

    impl Around for Made {
        fn variable(&self, name: &str) -> Option<String> {
            self.variables.get(name).map(|value| (*value).to_owned())
        }
        fn is_there(&self, path: &Path) -> bool {
            self.token && path == Path::new(TOKEN_FILE)
        }
        fn read(&self, path: &Path) -> Result<String> {
            Ok(format!("text of {}", path.display()))
        }
    }

    fn inside() -> Made {
        let variables = [
            ("SNOWFLAKE_ACCOUNT", "ACME"),
            ("SNOWFLAKE_HOST", "acme.internal"),
            ("SNOWFLAKE_DATABASE", "my db"),
            ("SNOWFLAKE_SCHEMA", "TIDEGATE_BATCH"),
            ("SNOWFLAKE_ROLE", "JOB"),
            ("SNOWFLAKE_USER", "left over"),
        ];
        Made { variables: variables.into(), token: true }
    }

    #[test]
    fn a_container_says_all_that_is_needed() {
        let read = connection(&Map::new(), &inside()).expect("a connection");
        assert_eq!(read.schema, "TIDEGATE_BATCH");
        assert_eq!(
            read.settings,
            json!({ "auth": { "method": "spcs" }, "account": "ACME", "host": "acme.internal", "database": "my db",
                "schema": "TIDEGATE_BATCH", "role": "JOB" })
        );
    }

    #[test]
    fn what_is_given_goes_before_the_environment() {
        let given = parameters(Some(
            r#"{"account":"other","user":"u","password":"hunter2","schema":"crm","port":8443,"role":null,"application":"x"}"#,
        ));
        let read = connection(&given.expect("parameters"), &inside()).expect("a connection");
        assert_eq!(
            read.settings,
            json!({ "auth": { "method": "password", "password": "hunter2" }, "account": "other", "host": "acme.internal",
                "user": "u", "database": "my db", "schema": "CRM", "role": "JOB", "port": 8443 })
        );
    }

    #[test]
    fn elsewhere_a_key_or_a_password_logs_in() {
        let mut made = inside();
        made.token = false;
        made.variables.insert("SNOWFLAKE_DATABASE", "analytics");
        let error = connection(&Map::new(), &made).expect_err("no login");
        assert!(error.hint.is_some_and(|hint| hint.contains("SNOWFLAKE_PRIVATE_KEY_PATH")));
        made.variables.insert("SNOWFLAKE_PASSWORD", "p");
        let read = connection(&Map::new(), &made).expect("a connection").settings;
        assert_eq!((&read["auth"]["method"], &read["database"]), (&json!("password"), &json!("ANALYTICS")));
        made.variables.insert("SNOWFLAKE_PRIVATE_KEY_PATH", "/k.p8");
        let read = connection(&Map::new(), &made).expect("a connection").settings;
        assert_eq!(read["auth"]["private_key"], "text of /k.p8");
        made.variables.remove("SNOWFLAKE_SCHEMA");
        assert!(connection(&Map::new(), &made).expect_err("no schema").message.contains("in which schema"));
    }

    #[test]
    fn parameters_that_are_wrong_are_refused_without_being_repeated() {
        for text in ["{\"password\":\"hunter2\"", "[]", "{\"pasword\":\"hunter2\"}", "{\"x\":1}"] {
            let error = parameters(Some(text)).expect_err(text);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        assert_eq!(parameters(Some(" ")).expect("nothing"), Map::new());
    }
}
