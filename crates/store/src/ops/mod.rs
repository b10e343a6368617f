//! The state's rules and SQL, written once for both databases. Each function runs inside one transaction.

pub(crate) mod accounts;
pub(crate) mod claims;
pub(crate) mod conflicts;
pub(crate) mod delivered;
pub(crate) mod draws;
pub(crate) mod forget;
pub(crate) mod history;
pub(crate) mod jobs;
pub(crate) mod leases;
pub(crate) mod meta;
pub(crate) mod pages;
pub(crate) mod rejects;
pub(crate) mod relink;
pub(crate) mod runs;
pub(crate) mod secrets;
pub(crate) mod settle;
pub(crate) mod shards;
pub(crate) mod spans;
pub(crate) mod state;
pub(crate) mod sweep;
pub(crate) mod switches;
pub(crate) mod tries;
