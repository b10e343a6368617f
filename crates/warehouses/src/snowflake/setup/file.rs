//! What goes into the project.

use super::options::{Access, Auth, Options};

/// The connection's file and its text.
pub(super) fn connection(options: &Options) -> (String, String) {
    let mut lines = vec!["version: 1".to_owned(), "type: snowflake".to_owned()];
    match &options.account {
        Some(account) => lines.push(format!("account: {}", yaml(account))),
        None => lines.push("account: \"<organisation>-<account>\"   # what the last SELECT prints".to_owned()),
    }
    let login = options.person.as_ref().map_or(options.user.as_str(), |person| person.email.as_str());
    lines.push(format!("user: {}", yaml(login)));
    lines.push(format!("role: {}", yaml(options.role.as_str())));
    lines.push(format!("warehouse: {}", yaml(options.warehouse.as_str())));
    lines.push(format!("database: {}", yaml(options.database.as_str())));
    if let Some(schema) = &options.schema {
        lines.push(format!("schema: {}", yaml(schema.as_str())));
    }
    if let Some(stage) = &options.stage {
        lines.push(format!("stage: {}", yaml(&stage.dotted())));
    }
    lines.extend(auth(options));
    match options.access {
        Access::Read => lines.push("access: read".to_owned()),
        Access::Write => {
            lines.push("access: write".to_owned());
            lines.push(format!("work_schema: {}", yaml(options.work_schema.as_str())));
        }
    }
    (format!("connections/{}.yaml", options.connection), lines.join("\n"))
}

fn auth(options: &Options) -> Vec<String> {
    let name = &options.connection;
    match &options.auth {
        Auth::KeyPair { .. } => vec![
            "auth:".to_owned(),
            "  method: key_pair".to_owned(),
            format!("  private_key: \"${{file:{}}}\"", key_file(options)),
            format!(
                "  passphrase: secret:{name}_key   # tidegate secrets set {name}_key; leave out for a key without one"
            ),
        ],
        Auth::OAuth { .. } => vec![
            "auth:".to_owned(),
            "  method: oauth".to_owned(),
            "  client_id: \"<OAUTH_CLIENT_ID>\"".to_owned(),
            format!("  client_secret: secret:{name}_client   # tidegate secrets set {name}_client"),
        ],
    }
}

/// Where the private key goes inside the project; `tidegate init` keeps the folder out of version control.
fn key_file(options: &Options) -> String {
    format!("keys/{}.p8", options.connection)
}

/// What makes the key pair: the two commands.
pub(super) fn key_commands(options: &Options) -> Vec<String> {
    let private = key_file(options);
    let public = private.replace(".p8", ".pub");
    vec![
        format!("openssl genrsa 2048 | openssl pkcs8 -topk8 -v2 aes-256-cbc -out {private}"),
        format!("openssl rsa -in {private} -pubout -out {public}"),
    ]
}

/// A text in YAML: JSON's strings are YAML's.
pub(super) fn yaml(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(plain);
    // Words that YAML takes for something else are quoted too.
    let taken =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].iter().any(|w| text.eq_ignore_ascii_case(w));
    if word && !taken { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
