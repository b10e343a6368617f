//! A sync as the engine sees it: checked, with every default filled in. `config` makes it from a project's files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::schedule::Schedule;
use crate::schema::{ModelName, Source};
use crate::transform::Transform;
use crate::value::Value;

/// Which ways data flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the warehouse to the platform.
    ToPlatform,
    /// From the platform to the warehouse.
    ToWarehouse,
    /// Both ways.
    Both,
}

impl Direction {
    /// Whether data flows towards this side.
    pub fn reaches(self, to: Target) -> bool {
        match self {
            Direction::Both => true,
            Direction::ToPlatform => to == Target::Platform,
            Direction::ToWarehouse => to == Target::Warehouse,
        }
    }
}

/// The side that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The platform.
    Platform,
    /// The warehouse.
    Warehouse,
}

impl Target {
    /// The other side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Target::Platform => Target::Warehouse,
            Target::Warehouse => Target::Platform,
        }
    }
}

/// How changes are found (semantics.md §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Changes {
    /// `stream` if the relation is one, else `tracking` where it is on, else `full`.
    Auto,
    /// A complete read, compared with the ledger.
    Full,
    /// The warehouse's change history.
    Tracking,
    /// A Snowflake stream through an outbox.
    Stream,
    /// Rows after the last cursor.
    Cursor,
}

/// The margin that a cursor read reads again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lookback {
    /// For time columns: microseconds.
    Micros(i64),
    /// For numeric columns: that many ids.
    Count(i64),
}

/// `cursor:` of a sync.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CursorSpec {
    /// The column that grows.
    pub column: String,
    /// The margin; `None` takes the default for the column's type (10 minutes, or 10,000).
    pub lookback: Option<Lookback>,
}

/// How changes are written (semantics.md §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteMode {
    /// Create or update by key.
    Upsert,
    /// Only existing records.
    Update,
    /// Only new records.
    Insert,
    /// Every source row once.
    Append,
    /// Clear and rewrite, atomically.
    Replace,
    /// Upsert, and remove what left the source.
    Mirror,
}

/// Who wins when both sides changed a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictRule {
    /// The warehouse's value.
    Warehouse,
    /// The platform's value.
    Platform,
    /// The side whose record changed last.
    Newest,
    /// Neither, until a person decides.
    Hold,
}

/// What happens to the other side when a record is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deletes {
    /// Nothing: the link is marked, the record held.
    Ignore,
    /// It is deleted there too, under guard.
    Propagate,
}

/// Who wins when a record is gone on one side and edited on the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeleteConflict {
    /// The edit: the record is created again.
    Edit,
    /// The deletion.
    Delete,
}

/// What a NULL of the source means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nulls {
    /// Clear the field.
    Clear,
    /// No opinion.
    Skip,
}

/// What happens to a value that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMisfit {
    /// The whole record is a reject.
    RejectRecord,
    /// The field is left out and listed.
    DropField,
}

/// What happens to empty text of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyText {
    /// It stays empty text.
    Keep,
    /// It becomes NULL.
    Null,
    /// It is a misfit.
    Reject,
}

/// A hint at the type that the platform's field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum As {
    /// Text.
    Text,
    /// An exact number.
    Number,
    /// True or false.
    Boolean,
    /// A date or a time, as the platform knows them.
    Date,
    /// An address, `scheme://…`.
    Url,
    /// A list of texts.
    Tags,
}

/// Where a field's value comes from on the warehouse's side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldSource {
    /// A column.
    Column(String),
    /// The same value for every record.
    Constant(Value),
}

/// One line of `fields:`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldMap {
    /// Column or constant.
    pub source: FieldSource,
    /// The platform's field. Unique within a sync: the field's name in ledger, conflicts and rejects.
    pub platform: String,
    /// Which ways this field flows.
    pub direction: Direction,
    /// Applied in order to values on their way to the platform (to the warehouse in a one-way sync that way).
    pub transform: Vec<Transform>,
    /// Replaces values, after `transform`: canonical text of the warehouse's value → the platform's. Values that
    /// are not in it stay as they are. Read backwards on the way to the warehouse.
    pub map: BTreeMap<String, String>,
    /// What NULL means.
    pub nulls: Nulls,
    /// What happens to values that do not fit.
    pub on_misfit: OnMisfit,
    /// What happens to empty text.
    pub empty: EmptyText,
    /// Type hint.
    pub hint: Option<As>,
    /// Format of dates and numbers in text, where `as` needs one (strftime).
    pub format: Option<String>,
    /// Who wins on this field; `None`: the sync's rule.
    pub conflict: Option<ConflictRule>,
}

/// `fields:` of a sync.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldSet {
    /// All columns of the relation, by their own names (datasets).
    All,
    /// These.
    List(Vec<FieldMap>),
}

/// `link:` of a dataset: which columns tie a row to records of the hub.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetLink {
    /// Column with the externalId of a company.
    pub company: Option<String>,
    /// Column with the email or externalId of an end user.
    pub enduser: Option<String>,
}

/// `key:` of a sync.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeySpec {
    /// The warehouse's column.
    pub warehouse: String,
    /// The platform's field; `None` for series and datasets.
    pub platform: Option<String>,
    /// Applied to the column before it is a key, such as `to_text`.
    pub transform: Vec<Transform>,
}

/// `updated_at:` of a sync: the record times that `newest` compares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdatedAt {
    /// The warehouse's column.
    pub warehouse: Option<String>,
    /// The platform's field.
    pub platform: Option<String>,
}

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    /// Equal.
    #[serde(rename = "=")]
    Eq,
    /// Not equal.
    #[serde(rename = "!=")]
    Ne,
    /// Less.
    #[serde(rename = "<")]
    Lt,
    /// Less or equal.
    #[serde(rename = "<=")]
    Le,
    /// Greater.
    #[serde(rename = ">")]
    Gt,
    /// Greater or equal.
    #[serde(rename = ">=")]
    Ge,
}

/// One condition of `where:`; all must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// The platform's field.
    pub field: String,
    /// How it is compared.
    pub op: Op,
    /// With what; read by the field's type.
    pub value: String,
}

/// What the ledger keeps of each field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerKind {
    /// The values themselves: plans show old values, runs can be undone.
    Values,
    /// 128-bit keyed hashes.
    Fingerprints,
}

/// What happens to a batch of a target that can neither deduplicate nor answer, once its answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUncertain {
    /// Listed, not sent again.
    Hold,
    /// Sent again.
    Resend,
}

/// Limits in percent that stop a run before it writes; `None` is off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Guards {
    /// Share of the linked records that a run may delete.
    pub max_delete_pct: Option<f64>,
    /// Share of the linked records of which a run may clear fields.
    pub max_clear_pct: Option<f64>,
    /// Share of the target's rows by which a `replace` may shrink it.
    pub max_shrink_pct: Option<f64>,
    /// Share of the records read that may be rejected.
    pub max_reject_pct: Option<f64>,
    /// Share of the linked records that a run may change.
    pub max_change_pct: Option<f64>,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            max_delete_pct: Some(10.0),
            max_clear_pct: Some(10.0),
            max_shrink_pct: Some(50.0),
            max_reject_pct: Some(20.0),
            max_change_pct: None,
        }
    }
}

/// A sync, with every default filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sync {
    /// Its name: the file's name without `.yaml`.
    pub name: String,
    /// Name of the warehouse's connection.
    pub warehouse_connection: String,
    /// Relation or query.
    pub source: Source,
    /// Name of the platform's connection.
    pub platform_connection: String,
    /// The platform's model.
    pub model: ModelName,
    /// Narrows what is read from the platform.
    pub filter: Vec<Condition>,
    /// Which ways it flows: the union of its fields.
    pub direction: Direction,
    /// What names a record on both sides.
    pub key: KeySpec,
    /// How changes are found in the warehouse.
    pub changes: Changes,
    /// For `changes: cursor`.
    pub cursor: Option<CursorSpec>,
    /// How changes are written.
    pub write: WriteMode,
    /// `append: versions`: with `full`, changed records are appended again, with run and time columns.
    pub append_versions: bool,
    /// Who wins conflicts.
    pub conflict: ConflictRule,
    /// Record times for `newest`.
    pub updated_at: UpdatedAt,
    /// What happens when a record is gone.
    pub deletes: Deletes,
    /// Who wins between an edit and a deletion.
    pub delete_conflict: DeleteConflict,
    /// The field mappings.
    pub fields: FieldSet,
    /// For datasets.
    pub link: DatasetLink,
    /// When it runs by itself.
    pub schedule: Option<Schedule>,
    /// Whether it runs by itself.
    pub automation: bool,
    /// Limits.
    pub guards: Guards,
    /// Syncs that run before this one, besides the order of references.
    pub after: Vec<String>,
    /// IANA zone in which times without zone are read.
    pub timezone: String,
    /// Values or fingerprints.
    pub ledger: LedgerKind,
    /// For how long a stale read of our own write is waited out, milliseconds.
    pub settle_lag_ms: i64,
    /// What happens to lost answers where nothing can be found out.
    pub on_uncertain: OnUncertain,
    /// For how many days a run can be undone.
    pub undo_days: u32,
    /// Fields whose values are never shown.
    pub redact: Vec<String>,
    /// Other syncs may write the same fields.
    pub shared: bool,
    /// Records or rows in a batch; `None`: the connector's choice.
    pub batch_size: Option<u32>,
}

impl Sync {
    /// The field mappings, if they are a list.
    pub fn field_list(&self) -> &[FieldMap] {
        match &self.fields {
            FieldSet::All => &[],
            FieldSet::List(fields) => fields,
        }
    }
    /// Whether data flows both ways.
    pub fn two_way(&self) -> bool {
        self.direction == Direction::Both
    }
    /// A sync between two places with everything at its default, for building on.
    pub fn new(name: &str, warehouse: &str, source: Source, platform: &str, model: &str, key: KeySpec) -> Self {
        Self {
            name: name.to_owned(),
            warehouse_connection: warehouse.to_owned(),
            source,
            platform_connection: platform.to_owned(),
            model: ModelName(model.to_owned()),
            filter: Vec::new(),
            direction: Direction::ToPlatform,
            key,
            changes: Changes::Auto,
            cursor: None,
            write: WriteMode::Upsert,
            append_versions: false,
            conflict: ConflictRule::Warehouse,
            updated_at: UpdatedAt::default(),
            deletes: Deletes::Ignore,
            delete_conflict: DeleteConflict::Edit,
            fields: FieldSet::List(Vec::new()),
            link: DatasetLink::default(),
            schedule: None,
            automation: true,
            guards: Guards::default(),
            after: Vec::new(),
            timezone: "UTC".to_owned(),
            ledger: LedgerKind::Fingerprints,
            settle_lag_ms: 15 * 60 * 1_000,
            on_uncertain: OnUncertain::Hold,
            undo_days: 30,
            redact: Vec::new(),
            shared: false,
            batch_size: None,
        }
    }
}
