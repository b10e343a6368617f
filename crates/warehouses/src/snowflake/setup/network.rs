//! A network policy that lets tidegate in from its own addresses only.

use std::net::IpAddr;

use tidegate_model::{Error, Result};

use super::name::{Name, Path, literal};
use super::options::{Access, Auth, Options};
use super::{Script, with_options};

/// An address or a range that tidegate calls from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Egress {
    address: IpAddr,
    bits: Option<u8>,
}

impl Egress {
    /// Reads `203.0.113.7`, `203.0.113.0/28` or the same of IPv6.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!("`{}` is not an IP address or range", text.escape_debug()))
                .hint("write addresses as 203.0.113.7, ranges as 203.0.113.0/28")
        };
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        match bits {
            Some(bits) if bits > most => Err(wrong()),
            // Lets everybody in, which is what the policy is to prevent.
            Some(0) => Err(wrong()),
            bits => Ok(Self { address, bits }),
        }
    }
}

impl std::fmt::Display for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.bits {
            Some(bits) => write!(f, "{}/{bits}", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

/// The policy's name: one a user, so that two connections do not share one by accident.
pub(super) fn policy(options: &Options) -> Name {
    Name::own(&format!("{}_NETWORK", base(options)))
}

/// The user's name where it is plain; an address as a name would need care in every list that Snowflake shows.
fn base(options: &Options) -> &str {
    let plain = options.user.as_str().chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    match (plain, options.access) {
        (true, _) => options.user.as_str(),
        (false, Access::Read) => "TIDEGATE_READER",
        (false, Access::Write) => "TIDEGATE_WRITER",
    }
}

/// Rules, the policy, and where it holds.
pub(super) fn steps(options: &Options, script: &mut Script) {
    if options.egress.is_empty() {
        return;
    }
    let mut rules = Vec::new();
    for (kind, v4) in [("IPV4", true), ("IPV6", false)] {
        let of_kind = options.egress.iter().filter(|egress| egress.address.is_ipv4() == v4);
        let values: Vec<String> = of_kind.map(|egress| literal(&egress.to_string())).collect();
        if values.is_empty() {
            continue;
        }
        let rule = place(options).child(&Name::own(&format!("{}_{kind}", base(options))));
        let lines = [
            format!("TYPE = {kind}"),
            format!("VALUE_LIST = ({})", values.join(", ")),
            "MODE = INGRESS".to_owned(),
            "COMMENT = 'addresses that tidegate calls from'".to_owned(),
        ];
        let only = if v4 { "" } else { "; Snowflake takes IPv6 on AWS only" };
        script.run(
            "ACCOUNTADMIN",
            with_options(&format!("CREATE OR ALTER NETWORK RULE {}", rule.quoted()), &lines),
            format!("the addresses that tidegate calls from; run it again when they change{only}"),
        );
        // The list holds names as texts, each quoted as in SQL.
        rules.push(literal(&rule.quoted()));
    }
    let policy = policy(options).quoted();
    let lines =
        [format!("ALLOWED_NETWORK_RULE_LIST = ({})", rules.join(", ")), "COMMENT = 'lets tidegate in'".to_owned()];
    script.run(
        "ACCOUNTADMIN",
        with_options(&format!("CREATE NETWORK POLICY IF NOT EXISTS {policy}"), &lines),
        "lets in these addresses and no others, where it is set",
    );
    if let Auth::KeyPair { .. } = options.auth {
        let user = options.user.quoted();
        script.run(
            "ACCOUNTADMIN",
            format!("ALTER USER {user} SET NETWORK_POLICY = {policy}"),
            "holds for this user alone, and goes before the account's own policy",
        );
    }
}

/// Rules stand in a schema: the work schema, or the first that is read.
fn place(options: &Options) -> Path {
    match options.access {
        Access::Write => options.work(),
        Access::Read => options.schemas_used().first().cloned().unwrap_or_else(|| options.work()),
    }
}
