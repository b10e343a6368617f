//! The role, the user, and how it proves who it is.

use super::name::literal;
use super::options::{Access, Auth, BLANK_KEY, Options, loopback};
use super::{Script, with_options};

/// 90 days, the longest that Snowflake gives without asking its support.
const REFRESH_TOKEN_S: u32 = 90 * 86_400;

/// Role and user.
pub(super) fn steps(options: &Options, script: &mut Script) {
    if let Auth::KeyPair { .. } = options.auth {
        script.by_hand(
            "First, in the project's folder: make the key pair. The .p8 is secret and stays there; the .pub goes into the SQL.",
            super::file::key_commands(options),
        );
    }
    let (role, user) = (options.role.quoted(), options.user.quoted());
    let comment = match options.access {
        Access::Read => "tidegate reads with it",
        Access::Write => "tidegate reads and writes with it",
    };
    script.run(
        "USERADMIN",
        format!("CREATE ROLE IF NOT EXISTS {role}\n  COMMENT = '{comment}'"),
        "the rights are granted to this role, never to a user",
    );
    script.run("USERADMIN", create_user(options), user_why(options));
    if let Auth::KeyPair { public_key } = &options.auth {
        let key = public_key.as_ref().map_or(BLANK_KEY, |key| key.as_str());
        script.run(
            "USERADMIN",
            format!("ALTER USER {user} SET RSA_PUBLIC_KEY = {}", literal(key)),
            "tidegate proves with the private half that it is this user (a key in use already? set RSA_PUBLIC_KEY_2 instead)",
        );
    }
    script.run("USERADMIN", format!("GRANT ROLE {role} TO USER {user}"), "the user may work in the role");
    if options.access == Access::Write {
        script.run(
            "USERADMIN",
            format!("GRANT ROLE {role} TO ROLE \"SYSADMIN\""),
            "administrators see and can drop the tables that tidegate makes for itself",
        );
    }
}

fn create_user(options: &Options) -> String {
    let head = format!("CREATE USER IF NOT EXISTS {}", options.user.quoted());
    let mut lines = Vec::new();
    match &options.person {
        Some(person) => {
            lines.push(format!("LOGIN_NAME = {}", literal(&person.email)));
            lines.push(format!("EMAIL = {}", literal(&person.email)));
            lines.push("TYPE = PERSON".to_owned());
        }
        None => {
            lines.push("TYPE = SERVICE".to_owned());
            lines.push("DEFAULT_SECONDARY_ROLES = ()".to_owned());
        }
    }
    lines.push(format!("DEFAULT_ROLE = {}", options.role.quoted()));
    lines.push(format!("DEFAULT_WAREHOUSE = {}", options.warehouse.quoted()));
    lines.push("COMMENT = 'logs in for tidegate'".to_owned());
    with_options(&head, &lines)
}

fn user_why(options: &Options) -> String {
    match (&options.person, &options.auth) {
        (None, _) => "a service user: it has no password and cannot sign in to Snowsight".to_owned(),
        (Some(_), Auth::OAuth { .. }) => {
            "the person who signs in, without a password of Snowflake's own; somebody who is there already is left as they are"
                .to_owned()
        }
        (Some(_), Auth::KeyPair { .. }) => {
            "a user by e-mail address, without a password; somebody who is there already is left as they are".to_owned()
        }
    }
}

/// The security integration of OAuth, and its secrets. The network policy must be there before.
pub(super) fn oauth(options: &Options, script: &mut Script) {
    let Auth::OAuth { integration, redirect_uri, single_use_refresh } = &options.auth else { return };
    let mut lines = vec![
        "TYPE = OAUTH".to_owned(),
        "OAUTH_CLIENT = CUSTOM".to_owned(),
        "OAUTH_CLIENT_TYPE = 'CONFIDENTIAL'".to_owned(),
        format!("OAUTH_REDIRECT_URI = {}", literal(redirect_uri)),
    ];
    if loopback(redirect_uri) {
        lines.push("OAUTH_ALLOW_NON_TLS_REDIRECT_URI = TRUE".to_owned());
    }
    lines.push("ENABLED = TRUE".to_owned());
    lines.push("OAUTH_ENFORCE_PKCE = TRUE".to_owned());
    lines.push("OAUTH_ISSUE_REFRESH_TOKENS = TRUE".to_owned());
    lines.push(format!("OAUTH_REFRESH_TOKEN_VALIDITY = {REFRESH_TOKEN_S}"));
    if *single_use_refresh {
        lines.push("OAUTH_SINGLE_USE_REFRESH_TOKENS_REQUIRED = TRUE".to_owned());
    }
    lines.push("OAUTH_USE_SECONDARY_ROLES = NONE".to_owned());
    lines.push(format!("PRE_AUTHORIZED_ROLES_LIST = ({})", literal(options.role.as_str())));
    if !options.egress.is_empty() {
        lines.push(format!("NETWORK_POLICY = {}", literal(super::network::policy(options).as_str())));
    }
    lines.push("COMMENT = 'tidegate signs in with it'".to_owned());
    script.run(
        "ACCOUNTADMIN",
        with_options(&format!("CREATE SECURITY INTEGRATION IF NOT EXISTS {}", integration.quoted()), &lines),
        "a person signs in once in a browser; after 90 days (7,776,000 seconds) again",
    );
    script.run(
        "ACCOUNTADMIN",
        format!("SELECT SYSTEM$SHOW_OAUTH_CLIENT_SECRETS({})", literal(integration.as_str())),
        "client id and client secret, for the connection",
    );
    let name = &options.connection;
    script.by_hand(
        format!("Then, in the project's folder: keep the client secret, and let {} sign in.", login(options)),
        vec![format!("tidegate secrets set {name}_client"), format!("tidegate auth {name}")],
    );
}

fn login(options: &Options) -> &str {
    options.person.as_ref().map_or(options.user.as_str(), |person| person.email.as_str())
}
