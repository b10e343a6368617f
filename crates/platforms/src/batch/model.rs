//! The one model, `profile`: its native attributes, and the rules of a customer's own. Checked before a call, for Batch
//! drops what breaks a rule and says so in passing at best.

use regex::Regex;
use tidegate_model::finding::Finding;
use tidegate_model::ports::{Need, WriteColumn};
use tidegate_model::schema::{ADDRESS, FieldSchema, ModelKind, ModelName, ModelSchema, NormalForm};
use tidegate_model::value::Type;
use tidegate_model::{Error, ErrorKind, Result};

/// The model's name in syncs.
pub const PROFILE: &str = "profile";
/// The field that names a profile.
pub const KEY: &str = "custom_id";
/// Before the name of a customer's own attribute.
pub const CUSTOM: &str = "custom.";
/// After the name of a list: its items join those that are there.
pub const ADD: &str = ".add";
/// After the name of a list: its items leave those that are there.
pub const REMOVE: &str = ".remove";
/// Topics of `$topic_preferences`.
pub const TOPICS: &str = "$topic_preferences";
/// Most attributes of one update.
const ATTRIBUTES_MAX: usize = 50;
/// Most lists of one update.
const LISTS_MAX: usize = 15;
/// Most items of a list.
const ITEMS_MAX: u32 = 25;
/// Most characters of a text.
const TEXT_MAX: u32 = 300;
/// Most characters of an address.
const URL_MAX: u32 = 2_048;
/// Most characters of a mail address.
const EMAIL_MAX: u32 = 128;
/// What an attribute's name looks like.
const NAME: &str = "[a-z0-9_]{1,30}";
/// Not empty.
const SOME: &str = "(?s).+";

fn field(name: &str, logical: Type, help: &str) -> FieldSchema {
    FieldSchema { help: help.to_owned(), ..FieldSchema::new(name, logical) }
}

fn text(name: &str, most: u32, pattern: &str, help: &str) -> FieldSchema {
    FieldSchema { max_length: Some(most), pattern: Some(pattern.to_owned()), ..field(name, Type::Text, help) }
}

fn list(name: &str, pattern: &str, help: &str) -> FieldSchema {
    FieldSchema { max_items: Some(ITEMS_MAX), logical: Type::List, ..text(name, TEXT_MAX, pattern, help) }
}

/// Times are kept to the second.
fn to_the_second(field: FieldSchema) -> FieldSchema {
    FieldSchema { normal: NormalForm { time_step_us: Some(1_000_000), ..NormalForm::default() }, ..field }
}

/// A model by name.
pub fn named(name: &ModelName, custom_id_max: u32) -> Result<ModelSchema> {
    match name.as_str() {
        PROFILE => Ok(profile(custom_id_max)),
        "event" | "events" => Err(Error::new(ErrorKind::NotFound, "events of Batch are not written by tidegate").hint(
            "sync attributes into the model `profile`; events belong to the moment and come from your application",
        )),
        other => {
            Err(Error::new(ErrorKind::NotFound, format!("Batch has no model `{other}`")).hint("the model is `profile`"))
        }
    }
}

/// The model `profile`.
pub fn profile(custom_id_max: u32) -> ModelSchema {
    let consent = |name: &str, help: &str| FieldSchema {
        one_of: vec!["subscribed".to_owned(), "unsubscribed".to_owned()],
        ..field(name, Type::Text, help)
    };
    let zones = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let topics = "[a-z0-9_]+";
    ModelSchema {
        name: ModelName(PROFILE.to_owned()),
        kind: ModelKind::Records,
        fields: vec![
            FieldSchema {
                required: true,
                ..text(KEY, custom_id_max, SOME, "Your id of the person; a new one makes a profile.")
            },
            text("$email_address", EMAIL_MAX, r"[^@\s]+@[A-Za-z0-9._-]+\.[A-Za-z0-9]+", "Mail address."),
            consent("$email_marketing", "Consent to mail; NULL resets it."),
            text("$phone_number", 16, r"\+[0-9]{1,15}", "Phone number as +33612345678 (E.164)."),
            consent("$sms_marketing", "Consent to text messages; NULL resets it."),
            text("$language", 2, "[a-z]{2}", "Language, two letters (ISO 639), as fr."),
            text("$region", 2, "[A-Z]{2}", "Region, two letters (ISO 3166), as FR."),
            FieldSchema { one_of: zones, ..field("$timezone", Type::Text, "IANA name of the zone, as Europe/Paris.") },
            list(TOPICS, topics, "Topics of interest, all of them."),
            list("$topic_preferences.add", topics, "Topics to join those that are there."),
            list("$topic_preferences.remove", topics, "Topics to leave those that are there."),
        ],
        keys: vec![KEY.to_owned()],
        custom_fields: true,
        open: false,
        customs: vec![
            text("text", TEXT_MAX, SOME, "Text."),
            text(ADDRESS, URL_MAX, SOME, "An address."),
            field("int64", Type::Int64, "A whole number."),
            field("decimal", Type::Decimal { precision: 76, scale: 0 }, "An exact number."),
            field("float64", Type::Float64, "A number."),
            field("bool", Type::Bool, "True or false."),
            field("date", Type::Date, "A day: its first second in UTC."),
            to_the_second(field("timestamptz", Type::TimestampTz, "An instant, to the second, in UTC.")),
            list("list", SOME, "Texts."),
        ],
    }
}

/// The attribute's own name within a field's: without `custom.`, `.add` and `.remove`.
pub fn attribute(field: &str) -> &str {
    let name = field.strip_prefix(CUSTOM).unwrap_or(field);
    name.strip_suffix(ADD).or_else(|| name.strip_suffix(REMOVE)).unwrap_or(name)
}

/// What of a mapping Batch would ignore or refuse in every record.
pub fn findings(needs: &[Need], project_key: &str) -> Vec<Finding> {
    let mut out = Vec::new();
    for need in needs {
        match need {
            Need::Connect if !project_key.starts_with("project_") => out.push(Finding::warning(
                "project_key",
                "the project key does not begin with project_, as those of Batch do",
                "compare it with the one in Batch's dashboard",
            )),
            Need::Connect | Need::Follow { .. } => {}
            Need::Read { .. } => out.push(Finding::critical(
                "unreadable_platform",
                "profiles cannot be read back from Batch",
                "write direction: to_platform",
            )),
            Need::Write { columns, .. } => writable(columns, &mut out),
        }
    }
    out
}

fn writable(columns: &[WriteColumn], out: &mut Vec<Finding>) {
    let name = Regex::new(&format!("^{NAME}$")).ok();
    let given = |column: &&WriteColumn| column.name != KEY;
    for column in columns.iter().filter(given) {
        let Some(own) = column.name.strip_prefix(CUSTOM) else { continue };
        let bare = attribute(&column.name);
        if !name.as_ref().is_some_and(|name| name.is_match(bare)) {
            let like: String = bare
                .to_lowercase()
                .chars()
                .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' })
                .take(30)
                .collect();
            let why = format!("Batch has no attribute {own:?}: names have small letters, digits and _, at most 30");
            out.push(Finding::critical("attribute_name", why, format!("map it to custom.{like}")));
        }
        if bare != own && column.logical != Type::List {
            let why = format!("{} takes a list, and the sync brings {}", column.name, column.logical);
            out.push(Finding::critical("type_conflict", why, "add as: tags, or transform: [\"split:,\"]"));
        }
    }
    let count = columns.iter().filter(given).count();
    if count > ATTRIBUTES_MAX {
        let why =
            format!("{count} attributes are mapped, and an update takes {ATTRIBUTES_MAX}: Batch would drop the others");
        out.push(Finding::critical("too_many_attributes", why, "split them over two syncs (with shared keys)"));
    }
    let lists = columns.iter().filter(|column| column.logical == Type::List).count();
    if lists > LISTS_MAX {
        let why = format!("{lists} lists are mapped, and an update takes {LISTS_MAX}: Batch would drop the others");
        out.push(Finding::critical("too_many_lists", why, "split them over two syncs"));
    }
    for column in columns.iter().filter(given) {
        let bare = attribute(&column.name);
        let whole = columns.iter().any(|other| other.name != column.name && other.name == format!("{CUSTOM}{bare}"))
            || (column.name != TOPICS && bare == TOPICS && columns.iter().any(|other| other.name == TOPICS));
        if whole {
            let why = format!("{} changes a list that another line sets as a whole", column.name);
            out.push(Finding::critical("list_twice", why, "leave one of the two lines"));
        }
    }
}
