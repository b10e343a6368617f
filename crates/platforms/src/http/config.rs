//! The settings of a connection as they are written. What they mean together is checked by [`super::plan`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;
use tidegate_model::secret::Secret;
use tidegate_model::{Error, Result};

use crate::list::OpenContext;

/// `type: http`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(super) struct Config {
    /// Where records go: `https://api.example.com/v1/contacts/{{key}}`; or one address for each action, as in
    /// {create: …, update: …, delete: …}. Deletes need one of their own.
    #[schemars(schema_with = "text_or_actions")]
    pub(super) url: PerAction,
    /// POST (default), PUT, PATCH, DELETE; or one for each action.
    #[schemars(schema_with = "text_or_actions")]
    #[serde(default)]
    pub(super) method: PerAction,
    /// Further headers, with variables: {Idempotency-Key: "{{idempotency_key}}"}.
    #[serde(default)]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) headers: BTreeMap<String, Secret>,
    /// How a request proves who sends it.
    #[serde(default)]
    #[schemars(with = "Option<Auth>")]
    pub(super) auth: Auth,
    /// What is sent of a record: JSON with variables in its texts. All mapped fields by their names if left out.
    pub(super) body: Option<Json>,
    /// Several records in a request. One by one if left out.
    #[schemars(with = "Option<Batch>")]
    pub(super) batch: Option<Batch>,
    /// What makes an answer a success, and where it says what became of each record.
    #[serde(default)]
    #[schemars(with = "Option<Success>")]
    pub(super) success: Success,
    /// What the others mean.
    #[serde(default)]
    #[schemars(with = "Option<Failure>")]
    pub(super) error: Failure,
    /// How records are read, page by page. Written only if left out.
    #[schemars(with = "Option<Paging>")]
    pub(super) paging: Option<Paging>,
}

/// One text for all actions, or one for each.
#[derive(Debug, Clone, Default)]
pub(super) struct PerAction {
    pub(super) create: Option<String>,
    pub(super) update: Option<String>,
    pub(super) delete: Option<String>,
    /// One for all but deletes.
    pub(super) single: bool,
}

impl<'de> Deserialize<'de> for PerAction {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Each {
            create: Option<String>,
            update: Option<String>,
            delete: Option<String>,
        }
        // The message of an untagged enum would tell nothing.
        match Json::deserialize(deserializer)? {
            Json::String(text) => {
                Ok(Self { create: Some(text.clone()), update: Some(text), delete: None, single: true })
            }
            other => {
                let Each { create, update, delete } = Each::deserialize(other).map_err(serde::de::Error::custom)?;
                Ok(Self { create, update, delete, single: false })
            }
        }
    }
}

fn text_or_actions(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let one = serde_json::json!({ "type": "string" });
    let each = serde_json::json!({
        "type": "object",
        "properties": { "create": one, "update": one, "delete": one },
        "additionalProperties": false,
    });
    schemars::json_schema!({ "anyOf": [{ "type": "string" }, each] })
}

/// How a request proves who sends it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Auth {
    /// It does not.
    #[default]
    None,
    /// `Authorization: Bearer TOKEN`.
    Bearer {
        /// The token.
        #[schemars(with = "String")]
        token: Secret,
    },
    /// `Authorization: Basic …`.
    Basic {
        /// The user's name.
        user: String,
        /// Its password; may be empty.
        #[serde(default)]
        #[schemars(with = "Option<String>")]
        password: Secret,
    },
    /// A header of the service's own.
    Header {
        /// Its name, such as `X-Api-Key`.
        name: String,
        /// Its value.
        #[schemars(with = "String")]
        value: Secret,
    },
    /// OAuth 2 client credentials: a token is fetched, kept and renewed.
    Oauth {
        /// Where the token comes from.
        token_url: String,
        /// The client's id.
        client_id: String,
        /// Its secret.
        #[schemars(with = "String")]
        client_secret: Secret,
        /// What is asked for, words with spaces between.
        scope: Option<String>,
        /// For services that want one.
        audience: Option<String>,
        /// Id and secret go in the `form` (default) or in the header (`basic`).
        #[serde(default)]
        #[schemars(with = "Option<Proof>")]
        proof: Proof,
    },
}

/// How the client proves itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Proof {
    /// As fields of the form.
    #[default]
    Form,
    /// In the header.
    Basic,
}

/// Several records in a request, or requests at once.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    /// Most records of a request; 1 (one by one) if left out.
    pub(super) size: Option<u32>,
    /// What goes around them: `{contacts: "{{records}}"}`. The bare list if left out.
    pub(super) body: Option<Json>,
    /// Requests in flight at once, where each record is one; 8 if left out.
    pub(super) parallel: Option<u32>,
}

/// Something that an answer's body has to say.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Condition {
    /// Where it stands, as a JSON pointer: `/status`.
    pub(super) at: String,
    /// One of these values. That something stands there is enough if left out.
    #[serde(rename = "in")]
    pub(super) among: Option<Vec<Json>>,
}

/// What makes an answer a success.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Success {
    /// Statuses; 200 to 299 if left out.
    pub(super) status: Option<Vec<u16>>,
    /// What the body has to say besides, all of it.
    #[serde(rename = "where", default)]
    pub(super) conditions: Vec<Condition>,
    /// Where the target's own id of the record stands, in the answer or in the record's result: `/data/id`.
    pub(super) id: Option<String>,
    /// Where the results of a batch stand, one for each record.
    #[schemars(with = "Option<Results>")]
    pub(super) results: Option<Results>,
}

/// The results of a batch.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Results {
    /// The list: `/results`; empty text for a body that is the list itself.
    pub(super) at: String,
    /// Where the record's key stands in a result. By their order if left out.
    pub(super) key: Option<String>,
    /// Where the record's own status stands in a result, as a number: `/status`.
    pub(super) status: Option<String>,
    /// What a result has to say of a record that was taken.
    #[serde(rename = "where", default)]
    pub(super) conditions: Vec<Condition>,
}

/// What answers mean that are no success.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Failure {
    /// Where the reason stands: `/error/message`. Shown without the record's values.
    pub(super) message: Option<String>,
    /// Where the name of the field stands that is wrong.
    pub(super) field: Option<String>,
    /// Records that were not taken, where a batch's answer lists only these.
    #[schemars(with = "Option<Items>")]
    pub(super) items: Option<Items>,
    /// Statuses that are worth another try, besides 429 and 503: nothing was done then.
    #[serde(default)]
    pub(super) retry_status: Vec<u16>,
    /// What a body says when another try is worth it, one of these.
    #[serde(default)]
    pub(super) retry_where: Vec<Condition>,
    /// Statuses that refuse the record, besides the usual ones: for a service that says 403 or 500 of a bad record.
    #[serde(default)]
    pub(super) reject_status: Vec<u16>,
    /// The header that says how long to wait, in seconds or as a time since 1970, besides `Retry-After`.
    pub(super) retry_after: Option<String>,
    /// A write whose answer was lost is sent again (`resend`) or left uncertain (`uncertain`). If left out: sent again
    /// where the methods are PUT and DELETE or the request carries {{idempotency_key}}, else uncertain.
    pub(super) lost: Option<Lost>,
}

/// What happens after a lost answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Lost {
    /// A second time does no harm.
    Resend,
    /// It may make a double.
    Uncertain,
}

/// Records that were not taken.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Items {
    /// The list: `/errors`. No list, or an empty one: all were taken.
    pub(super) at: String,
    /// Where the record's place in the request stands, from 0.
    pub(super) index: Option<String>,
    /// Where its key stands.
    pub(super) key: Option<String>,
}

/// How records are read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    /// Where the list is: `https://api.example.com/v1/contacts?limit={{limit}}&after={{cursor}}`.
    pub(super) url: String,
    /// GET (default) or POST.
    pub(super) method: Option<String>,
    /// The body of a POST, with variables.
    pub(super) body: Option<Json>,
    /// Where the records stand in an answer: `/data`; empty text for a body that is the list itself.
    #[serde(default)]
    pub(super) items: String,
    /// Where the key stands in a record: `/externalId`.
    pub(super) key: String,
    /// Where the target's own id stands; the key serves if left out.
    pub(super) id: Option<String>,
    /// Where the time of the last change stands, an ISO text.
    pub(super) updated_at: Option<String>,
    /// Fields that can be read, each with its type (bool, int64, decimal(18,2), float64, text, date, time, timestamp,
    /// timestamptz, json, list); or {at: /address/city, type: text} where it stands elsewhere than under its name.
    #[serde(default)]
    pub(super) fields: BTreeMap<String, FieldSpec>,
    /// Records of a page, for {{limit}}; 100 if left out.
    pub(super) size: Option<u32>,
    /// How the next page is found. There is one page if left out.
    #[schemars(with = "Option<Next>")]
    pub(super) next: Option<Next>,
    /// Where a single record is read: `https://api.example.com/v1/contacts/{{id}}`; 404 says that there is none.
    pub(super) one: Option<String>,
    /// Where the record stands in that answer; the body itself if left out.
    #[serde(default)]
    pub(super) one_at: String,
}

/// A field that can be read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum FieldSpec {
    /// Its type.
    Type(String),
    /// Its type, and where it stands.
    At {
        /// A JSON pointer.
        at: String,
        /// The type.
        #[serde(rename = "type")]
        logical: String,
    },
}

/// How the next page is found.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Next {
    /// The answer names it, and {{cursor}} carries it. The last answer names none.
    Cursor {
        /// Where it stands: `/paging/next`.
        at: String,
    },
    /// The answer holds the next page's address, on the same host.
    Link {
        /// Where it stands; in the header `Link` with rel="next" if left out.
        at: Option<String>,
    },
    /// {{offset}} grows by what was read, until a page is empty.
    Offset {},
    /// {{page}} grows by one, until a page is empty.
    Page {
        /// The number of the first; 1 if left out.
        first: Option<u64>,
    },
}

/// Reads the settings of a connection.
pub(super) fn read(config: &Json, context: &OpenContext) -> Result<Config> {
    // The cause may repeat what stands in the file, a token among it: only its first words are told, up to the value.
    serde_json::from_value(config.clone()).map_err(|error| {
        let text = error.to_string();
        let said = text.split([':', '`']).next().unwrap_or_default().trim().to_owned();
        // Of a word that is not known the word itself may be a secret in the wrong place; the name of a key is none.
        let key = text.split('`').nth(1).filter(|_| said.ends_with("field"));
        Error::config(format!("the connection {} is not one to an HTTP endpoint", context.name))
            .hint("it takes: url, method, headers, auth, body, batch, success, error, paging; docs/http.md shows two in full")
            .cause(key.map_or_else(|| said.clone(), |key| format!("{said} `{key}`")))
    })
}
