//! What the desk answers about connections, files and secrets.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

/// A connection and how it is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConnectionAnswer {
    /// Its name.
    pub connection: String,
    /// The word behind `type:`.
    pub kind: String,
    /// `warehouse` or `platform`.
    pub side: String,
    /// Whether this build can open it.
    pub available: bool,
    /// Off: no run of any kind touches it.
    pub enabled: bool,
    /// Off: no sync of it runs by itself.
    pub automation: bool,
    /// Whether rows may be written there (warehouses).
    pub access_write: bool,
    /// Syncs that use it.
    pub syncs: Vec<String>,
    /// Its last check: `null` if none was made since the start.
    pub checked_at: Option<String>,
    /// Whether that check found nothing critical.
    pub works: Option<bool>,
    /// How the sign-in of a person stands, where one signs in to it.
    pub sign_in: Option<SignInState>,
}

/// How the sign-in to a connection stands.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SignInState {
    /// `nobody`, `signed_in`, `over`.
    pub state: String,
    /// When it ends, where the other system said so.
    pub until: Option<String>,
    /// A person should see to it: nobody is signed in, or not for long any more.
    pub needs_a_person: bool,
}

/// A connection with its settings.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConnectionDetail {
    /// How it is.
    #[serde(flatten)]
    pub connection: ConnectionAnswer,
    /// Its settings as written. A text where its type expects a secret, and that is no reference, is `***`.
    pub settings: Json,
    /// Its file inside the project.
    pub file: String,
    /// What its last check found.
    pub findings: Vec<FindingAnswer>,
}

/// Something that a check found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FindingAnswer {
    /// A stable word.
    pub finding: String,
    /// `info`, `warning`, `critical`.
    pub severity: String,
    /// What, and why it matters.
    pub why: String,
    /// What mends it.
    pub fix: String,
}

/// A type of connection.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct KindAnswer {
    /// The word behind `type:`.
    pub kind: String,
    /// `warehouse` or `platform`.
    pub side: String,
    /// Whether this build can open it.
    pub available: bool,
    /// Its settings, as JSON Schema.
    pub schema: Json,
}

/// What there is at a place; one of the lists is filled.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Discovered {
    /// What kind of thing the place is: `place`, `relation`, `platform`, `model`.
    pub what: String,
    /// Entries of a catalogue.
    pub entries: Vec<EntryAnswer>,
    /// Columns of a relation.
    pub columns: Vec<ColumnAnswer>,
    /// Models of a platform.
    pub models: Vec<ModelAnswer>,
    /// Fields of a model.
    pub fields: Vec<FieldAnswer>,
    /// Of a relation: `table`, `view`, `stream`.
    pub kind: Option<String>,
    /// Of a relation: the warehouse's guess of its rows.
    pub rows_estimate: Option<u64>,
    /// Of a relation: whether the warehouse keeps a history of its changes.
    pub change_tracking: Option<bool>,
    /// Of a model: whether fields may be made by mapping them.
    pub custom_fields: Option<bool>,
}

/// An entry of a catalogue.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EntryAnswer {
    /// Its full name, with dots.
    pub name: String,
    /// `database`, `schema`, `table`, `view`, `stream`.
    pub kind: String,
    /// Whether there is something below it.
    pub container: bool,
    /// A note for a person.
    pub note: Option<String>,
}

/// A column of a relation.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ColumnAnswer {
    /// Its name.
    pub column: String,
    /// Its logical type.
    #[serde(rename = "type")]
    pub logical: String,
    /// Its type in the warehouse's words.
    pub native: String,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Most characters it takes.
    pub max_length: Option<u32>,
    /// Whether it is of the primary key.
    pub primary_key: bool,
}

/// A model of a platform.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ModelAnswer {
    /// Its name.
    pub model: String,
    /// `records`, `series`, `dataset`.
    pub kind: String,
    /// How many fields it has.
    pub fields: u64,
    /// Fields that name a record.
    pub keys: Vec<String>,
}

/// A field of a model.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FieldAnswer {
    /// Its name.
    pub field: String,
    /// Its logical type.
    #[serde(rename = "type")]
    pub logical: String,
    /// A new record needs it.
    pub required: bool,
    /// It cannot be written.
    pub read_only: bool,
    /// It can name a record.
    pub key: bool,
    /// The model that it refers to.
    pub references: Option<String>,
    /// The values that it takes, if it is a choice.
    pub one_of: Option<Vec<String>>,
    /// What it is.
    pub help: String,
}

/// A file of the project.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FileAnswer {
    /// Its path inside the project.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Names this text: hand it back when the file is changed.
    pub hash: String,
    /// Secrets of the connection that went because its address changed.
    pub secrets_cleared: Vec<String>,
}

/// A secret, by name.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SecretAnswer {
    /// Its name, as in `secret:NAME`.
    pub name: String,
    /// The key that it is encrypted with.
    pub key_id: String,
    /// When it was set.
    pub updated_at: String,
    /// Connections that name it.
    pub connections: Vec<String>,
}
