//! What a relation of a warehouse and a model of a platform look like.

use serde::{Deserialize, Serialize};

use crate::value::Type;

/// The name of a relation, in as many parts as the warehouse has (`[schema, table]`, or only `[table]`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Relation(pub Vec<String>);

impl Relation {
    /// Splits a dotted name; a part in double quotes keeps its dots (`"a.b".c`), `""` inside quotes is one quote.
    pub fn parse(text: &str) -> Self {
        let mut parts = vec![String::new()];
        let mut quoted = false;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' if quoted && chars.peek() == Some(&'"') => {
                    chars.next();
                    push(&mut parts, '"');
                }
                '"' => quoted = !quoted,
                '.' if !quoted => parts.push(String::new()),
                c => push(&mut parts, c),
            }
        }
        Self(parts)
    }
    /// The last part: the table's own name.
    pub fn table(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }
}

fn push(parts: &mut [String], c: char) {
    if let Some(last) = parts.last_mut() {
        last.push(c);
    }
}

impl std::fmt::Display for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// Where rows come from in a warehouse.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A table, view or stream.
    Relation(Relation),
    /// A SELECT, run read-only.
    Query(String),
}

/// What kind of relation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// A table that can be written.
    Table,
    /// A view: read only for us.
    View,
    /// A stream of changes (Snowflake).
    Stream,
    /// The result of a query.
    Query,
}

/// One column of a relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, as the warehouse holds it.
    pub name: String,
    /// Its logical type.
    pub logical: Type,
    /// Its type in the warehouse's own words.
    pub native: String,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Most characters (text) it takes, if limited.
    pub max_length: Option<u32>,
    /// Filled by the warehouse when not written (default, identity, generated).
    pub filled: bool,
}

/// A relation as the warehouse describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationSchema {
    /// Table, view, stream or query.
    pub kind: RelationKind,
    /// Columns in order.
    pub columns: Vec<Column>,
    /// Columns of the primary key, in order; empty if there is none.
    pub primary_key: Vec<String>,
    /// Whether the warehouse keeps a change history of it.
    pub change_tracking: bool,
    /// Whether the warehouse tells which rows came to it, even where it keeps no change history.
    #[serde(default)]
    pub appends: bool,
    /// Days that its history and time travel reach back, where the warehouse tells.
    pub history_days: Option<u32>,
    /// The warehouse's guess of how many rows there are.
    pub rows_estimate: Option<u64>,
}

impl RelationSchema {
    /// The column of this name (exact).
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// The name of a model of a platform: `company`, `user_activity`, `dataset:revenue`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelName(pub String);

impl ModelName {
    /// The dataset's name, if this is `dataset:NAME`.
    pub fn dataset(&self) -> Option<&str> {
        self.0.strip_prefix("dataset:")
    }
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ModelName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of thing a model holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// Objects with an identity, written record by record.
    Records,
    /// Events or measurements in time, loaded columnar.
    Series,
    /// Any table, loaded columnar; its columns follow the source.
    Dataset,
}

/// Upper or lower case that a field is brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// To lower case.
    Lower,
    /// To upper case.
    Upper,
}

/// The normal form of a field at its owner: what it does to a value before it stores it. "Equal" always means
/// equal under the normal forms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NormalForm {
    /// White space at both ends goes.
    pub trim: bool,
    /// Letters are brought to one case.
    pub case: Option<Case>,
    /// Digits kept after the point.
    pub scale: Option<i8>,
    /// Times are cut to this many microseconds (1_000_000 = whole seconds).
    pub time_step_us: Option<i64>,
    /// Empty text is stored as NULL.
    pub empty_is_null: bool,
}

/// One field of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldSchema {
    /// Its name as syncs map it; custom fields as `custom.NAME`.
    pub name: String,
    /// Its logical type.
    pub logical: Type,
    /// Needed to create a record.
    #[serde(default)]
    pub required: bool,
    /// Written by the platform alone.
    #[serde(default)]
    pub read_only: bool,
    /// Most characters of a text, or of each text of a list.
    #[serde(default)]
    pub max_length: Option<u32>,
    /// Most texts of a list.
    #[serde(default)]
    pub max_items: Option<u32>,
    /// The only values it takes.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// A regular expression that a text (each text of a list) must match as a whole.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Least and greatest number.
    #[serde(default)]
    pub range: Option<(i64, i64)>,
    /// The model whose record this field names.
    #[serde(default)]
    pub references: Option<ModelName>,
    /// What the platform does to values.
    #[serde(default)]
    pub normal: NormalForm,
    /// One line for a person.
    #[serde(default)]
    pub help: String,
}

impl FieldSchema {
    /// A plain optional field.
    pub fn new(name: impl Into<String>, logical: Type) -> Self {
        Self {
            name: name.into(),
            logical,
            required: false,
            read_only: false,
            max_length: None,
            max_items: None,
            one_of: Vec::new(),
            pattern: None,
            range: None,
            references: None,
            normal: NormalForm::default(),
            help: String::new(),
        }
    }
}

/// A model as its platform describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSchema {
    /// Its name in syncs.
    pub name: ModelName,
    /// Records, series or dataset.
    pub kind: ModelKind,
    /// Its fields, custom ones that exist included.
    pub fields: Vec<FieldSchema>,
    /// Fields by which a record can be found, in order of precedence.
    pub keys: Vec<String>,
    /// Whether fields `custom.NAME` that do not exist yet may be written (they appear, typed by the first mapping).
    pub custom_fields: bool,
    /// Whether fields of any name may be written, typed by their mapping: the platform has no list of its own.
    #[serde(default)]
    pub open: bool,
    /// The rules of such fields, one per type that they may have; the name of the one for addresses (`as: url`) is
    /// [`ADDRESS`]. Empty: any type, no rules.
    #[serde(default)]
    pub customs: Vec<FieldSchema>,
}

/// The name of the rules for fields that are mapped `as: url`.
pub const ADDRESS: &str = "url";

impl ModelSchema {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&FieldSchema> {
        self.fields.iter().find(|field| field.name == name)
    }
    /// Whether a field of this name, which the model does not have, may be written all the same.
    pub fn makes(&self, name: &str) -> bool {
        let own = name.strip_prefix("custom.").is_some_and(|own| !own.is_empty());
        self.kind == ModelKind::Dataset || (self.open && !name.is_empty()) || (self.custom_fields && own)
    }
    /// A field of one's own of this type, with the rules for such; `None` if there are no fields of this type.
    pub fn custom(&self, name: &str, logical: Type, address: bool) -> Option<FieldSchema> {
        let alike = |one: &FieldSchema| std::mem::discriminant(&one.logical) == std::mem::discriminant(&logical);
        let rules = self.customs.iter().find(|one| alike(one) && (one.name == ADDRESS) == address);
        if rules.is_none() && logical == Type::Timestamp && !self.customs.is_empty() {
            // A platform that knows instants only: the time is read in the sync's zone.
            return self.custom(name, Type::TimestampTz, address);
        }
        match rules {
            Some(rules) => Some(FieldSchema { name: name.to_owned(), logical, ..rules.clone() }),
            None => self.customs.is_empty().then(|| FieldSchema::new(name, logical)),
        }
    }
    /// The models that records of this model point to.
    pub fn references(&self) -> impl Iterator<Item = &ModelName> {
        self.fields.iter().filter_map(|field| field.references.as_ref())
    }
}

/// What a platform can do with a model. Every `false` is either refused by `check` or answered by another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// All records can be read.
    pub read: bool,
    /// A full read arrives in byte order of the key asked for.
    pub ordered: bool,
    /// Records changed since a time can be read, deletions among them.
    pub changes: bool,
    /// Single records can be read by key or id.
    pub fetch: bool,
    /// Records can be deleted.
    pub delete: bool,
    /// Fields can be set to empty.
    pub clear: bool,
    /// Writes can be made conditional on what stands there.
    pub conditional: bool,
    /// Writes by key are idempotent (a lost answer may be sent again).
    pub keyed: bool,
    /// Columnar loads are deduplicated by key or by operation: exactly once.
    pub exactly_once: bool,
    /// Records carry the time of their last change.
    pub update_time: bool,
    /// A write takes the place of the record: it has to carry every mapped field, not the changed ones alone.
    pub whole: bool,
    /// Most records a write call takes.
    pub max_batch: u32,
}
