//! The twin of Planhat: the main API and the analytics host at one address.
//!
//! What is known of Planhat stands in its public documentation and in the code of independent clients; what is not
//! known is a choice here ([`Knobs::unsure`]), with a default, and is said on the page.

mod analytics;
mod models;
mod records;
mod store;

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rusqlite::{Connection, Transaction};
use serde_json::json;

use crate::frame::call::{Call, Reply};
use crate::frame::chance::Chance;
use crate::frame::knobs::Knobs;
use crate::frame::limits::Rates;
use crate::frame::twin::{About, Shelf, Twin, Weight};
use models::Model;

/// What a sandbox takes when nobody names a token.
pub const TOKEN: &str = "sandbox-token";
/// What a sandbox takes when nobody names a tenant.
pub const TENANT: &str = "00000000-0000-4000-8000-000000000000";

/// Planhat's limits of the main API: a soft quota, a hard rate, and calls in flight.
const MAIN: Rates = Rates {
    requests_per_second: Some(150),
    requests_per_minute: Some(200),
    records_per_second: None,
    burst_records: None,
    parallel: Some(50),
};
/// Most bytes of a body at the analytics host.
const ANALYTICS_BYTES_MAX: usize = 32 << 20;

const UNSURE: &[&str] = &[
    "nulls: whether null clears a field. `clear` (default) or `ignore`.",
    "empty: whether empty text clears a field. `keep` stores it (default), `clear` removes the field.",
    "error_items: what stands in createdErrors and updatedErrors. `keys` (default): the item's keys and a message; `item`: the whole item and a message; `text`: the message alone.",
    "answer_keys: what insertsKeys and updatesKeys hold besides _id. `externalId` (default, as documented), or `all` keys that were sent.",
    "nonupdates_listed: whether records that changed nothing stand in updatesKeys. `yes` (default) or `no`.",
    "unknown_id: what becomes of an item whose _id is not there. `insert` under a new _id (default, as for other keys), `error`, or `keep` (insert under this _id: how a rehearsal fills the twin; Planhat does not do that).",
    "custom: what becomes of a custom field that nobody defined. `keep` (default) or `drop`.",
    "strict: whether one bad item refuses the whole call with 400. `no` (default) or `yes`.",
    "activity_names: which names of the bulk shape link an event. `current` (default: euExtId, companyExternalId), `old` (id, cId) or `any`.",
    "The precedence of several keys in one item is _id, sourceId, externalId: one client's, not the vendor's word.",
    "How large a body the main API takes; here 64 MB.",
    "Required fields of task, issue, sale and churn could not be read: here none, or companyId.",
];

/// The twin of Planhat.
#[derive(Debug, Clone)]
pub struct Planhat {
    token: String,
    tenant: String,
}

impl Planhat {
    /// A tenant that lets this token in.
    pub fn new(token: impl Into<String>, tenant: impl Into<String>) -> Self {
        Self { token: token.into(), tenant: tenant.into() }
    }

    /// Bearer, or Basic with the token as user and an empty password.
    fn lets_in(&self, call: &Call) -> bool {
        let basic = || {
            let given = call.header("authorization")?.strip_prefix("Basic ")?;
            String::from_utf8(BASE64.decode(given).ok()?).ok()
        };
        call.bearer() == Some(&self.token) || basic().is_some_and(|login| login == format!("{}:", self.token))
    }

    fn main(&self, db: &Transaction<'_>, call: &Call, knobs: &Knobs, chance: &mut Chance) -> rusqlite::Result<Reply> {
        if !self.lets_in(call) {
            return Ok(Reply::text(401, "Unauthorized"));
        }
        let parts = call.parts();
        let model = |endpoint: &str| models::at(endpoint);
        match (&call.method, parts.as_slice()) {
            (&Method::GET, ["leancompanies"]) => records::lean(db, call),
            (&Method::GET, ["dimensiondata"]) => analytics::list(db, call),
            (&Method::GET, ["companies", id, "endusers"]) => records::of_company(db, call, id),
            (method, [endpoint, rest @ ..]) => match model(endpoint) {
                Some(model) => self.records(db, call, knobs, chance, (method, model, rest)),
                None => Ok(Reply::text(404, format!("there is no /{endpoint}"))),
            },
            _ => Ok(Reply::text(404, "Not found")),
        }
    }

    fn records(
        &self,
        db: &Transaction<'_>,
        call: &Call,
        knobs: &Knobs,
        chance: &mut Chance,
        (method, model, rest): (&Method, &Model, &[&str]),
    ) -> rusqlite::Result<Reply> {
        match (method, rest) {
            (&Method::GET, []) => records::list(db, call, model),
            (&Method::PUT, []) if model.bulk => records::bulk(db, call, model, knobs, chance),
            (&Method::DELETE, [id]) => records::delete(db, model, id),
            (&Method::POST, []) if model.single => records::create(db, call, model, knobs),
            (&Method::GET, [id]) if model.single => records::one(db, model, id),
            (&Method::PUT, [id]) if model.single => records::update(db, call, model, id, knobs),
            _ => Ok(Reply::text(404, format!("/{} does not take {method} here", model.endpoint))),
        }
    }
}

fn analytics_path(call: &Call) -> bool {
    call.method != Method::GET && matches!(call.parts().first(), Some(&("analytics" | "dimensiondata" | "dock")))
}

impl Twin for Planhat {
    fn about(&self) -> About {
        About {
            platform: "Planhat",
            connect: vec![
                "In connections/NAME.yaml: type: planhat, with url and analytics_url set to this address.".to_owned(),
                format!("The tenant is {}. The token was given at its start (sandbox: {TOKEN}).", self.tenant),
            ],
            unsure: UNSURE.to_vec(),
        }
    }

    fn prepare(&self, db: &Connection) -> rusqlite::Result<()> {
        store::prepare(db)
    }

    fn weight(&self, call: &Call) -> Option<Weight> {
        (!analytics_path(call)).then_some(Weight { class: "main", rates: MAIN, records: 1 })
    }

    fn too_many(&self) -> Reply {
        Reply::text(429, "Too many requests")
    }

    fn answer(&self, db: &Transaction<'_>, call: &Call, knobs: &Knobs, chance: &mut Chance) -> rusqlite::Result<Reply> {
        if !analytics_path(call) {
            return self.main(db, call, knobs, chance);
        }
        if call.body.len() > ANALYTICS_BYTES_MAX {
            return Ok(Reply::text(413, "Payload Too Large"));
        }
        match call.parts().as_slice() {
            ["analytics", "bulk", tenant] => analytics::activities(db, call, *tenant == self.tenant, true, knobs),
            ["analytics", tenant] => analytics::activities(db, call, *tenant == self.tenant, false, knobs),
            ["dimensiondata", _] if !self.lets_in(call) => Ok(Reply::text(401, "Unauthorized")),
            ["dimensiondata", tenant] => analytics::metrics(db, call, *tenant == self.tenant),
            ["dock", "segment"] => Ok(Reply::json(200, &json!({}))),
            _ => Ok(Reply::text(404, "Not found")),
        }
    }

    fn shelves(&self, db: &Connection, newest: u32) -> rusqlite::Result<Vec<Shelf>> {
        store::shelves(db, newest)
    }
}
