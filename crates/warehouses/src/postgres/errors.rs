//! Postgres's errors, classified by SQLSTATE. Messages of the classes that quote values (22, 23) are never shown.

use tidegate_model::change::FieldReject;
use tidegate_model::{Error, ErrorKind};
use tokio_postgres::error::DbError;

/// An error of a call.
pub(super) fn classify(error: &tokio_postgres::Error, doing: &str) -> Error {
    match error.as_db_error() {
        Some(db) => of_database(db, doing),
        None => of_connection(error, doing),
    }
}

/// An error of a COMMIT: without an answer nobody knows whether it was carried out.
pub(super) fn of_commit(error: &tokio_postgres::Error, doing: &str) -> Error {
    let shut_down = error.as_db_error().is_some_and(|db| db.code().code().starts_with("57P"));
    if error.as_db_error().is_some() && !shut_down {
        return classify(error, doing);
    }
    Error::new(ErrorKind::Lost, format!("{doing}: the connection was lost during the commit"))
        .cause(chain(error))
        .hint("the next run finds out by the span row whether it was carried out")
}

/// The text of an error and its causes, for errors that are not the database's own.
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(below) = cause {
        let said = below.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = below.source();
    }
    text
}

fn of_connection(error: &tokio_postgres::Error, doing: &str) -> Error {
    let text = chain(error);
    if text.contains("invalid peer certificate") {
        return Error::new(ErrorKind::Unauthorized, format!("{doing}: the server's certificate is not trusted"))
            .cause(text)
            .hint("name the authority that signed it with `sslrootcert`, or check the host's name in `url:`");
    }
    if text.contains("invalid configuration") || text.contains("password missing") {
        return Error::new(ErrorKind::Unauthorized, format!("{doing}: the server asks for a password"))
            .cause(text)
            .hint("put user and password into `url:`, by reference: \"${PG_URL}\"");
    }
    Error::new(ErrorKind::Unavailable, format!("{doing}: no connection to the server"))
        .cause(text)
        .hint("check host and port of `url:`, and that the server runs and lets us in")
}

fn of_database(db: &DbError, doing: &str) -> Error {
    let code = db.code().code();
    let says = format!("{} ({code})", db.message());
    let of = |kind: ErrorKind, what: &str| Error::new(kind, format!("{doing}: {what}"));
    match (&code[..2], code) {
        ("28", _) => of(ErrorKind::Unauthorized, "the server refuses user or password")
            .cause(says)
            .hint("check user and password in `url:`, and pg_hba.conf"),
        (_, "42501") => of(ErrorKind::Forbidden, "a right is missing")
            .cause(says)
            .hint("`tidegate check` prints the GRANT that mends it"),
        (_, "25006") => of(ErrorKind::Forbidden, "this may only read").cause(says).hint("`query:` takes one SELECT"),
        (_, "42P01" | "3F000") => of(ErrorKind::NotFound, "a relation is not there").cause(says),
        (_, "3D000") => of(ErrorKind::NotFound, "the database is not there").cause(says).hint("check `url:`"),
        (_, "42703") => of(ErrorKind::SchemaChanged, "a column is not there").cause(says).hint("run `tidegate check`"),
        (_, "0A000") if says.contains("cached plan") => {
            of(ErrorKind::SchemaChanged, "a table changed meanwhile").cause(says)
        }
        ("53", "53100") => of(ErrorKind::DiskFull, "the server has no space left")
            .cause(says)
            .hint("free space on the server; nothing of this call was kept"),
        ("53", _) => of(ErrorKind::Unavailable, "the server is short of resources").cause(says),
        (_, "55P03") => of(ErrorKind::Locked, "somebody else holds a lock for too long").cause(says),
        (_, "40001" | "40P01") => of(ErrorKind::Locked, "another transaction was in the way").cause(says),
        (_, "57014") => of(ErrorKind::Unavailable, "the statement took too long, or was cancelled")
            .cause(says)
            .hint("look for locks and missing indexes in the database"),
        ("57" | "08", _) => of(ErrorKind::Unavailable, "the server ends the connection").cause(says),
        ("22" | "23", _) => {
            let what = match db.constraint() {
                Some(constraint) => format!("the data breaks {constraint}"),
                None => "a value does not fit".to_owned(),
            };
            of(ErrorKind::Data, &format!("{what} ({code})"))
        }
        _ => of(ErrorKind::BadRequest, "the server refuses the call").cause(says),
    }
}

/// The reject of one row, if the error is about the row alone. Never holds a value.
pub(super) fn row_reject(error: &tokio_postgres::Error) -> Option<FieldReject> {
    let db = error.as_db_error()?;
    let named = db.constraint().unwrap_or("a constraint");
    let of = |rule: &str, reason: String| {
        Some(FieldReject { field: db.column().map(str::to_owned), rule: rule.to_owned(), reason })
    };
    match db.code().code() {
        "23502" => of("not_null", "the column does not take NULL".into()),
        "23505" => of("unique", format!("another row has this value already ({named})")),
        "23514" => of("check", format!("the table's check {named} refuses the row")),
        "23503" => of("foreign_key", format!("the row points to a row that is not there, or is pointed to ({named})")),
        "23P01" => of("exclusion", format!("another row is in the way ({named})")),
        "22001" => of("too_long", "a text is longer than its column".into()),
        "22003" => of("out_of_range", "a number does not fit its column".into()),
        "22007" | "22008" => of("bad_date", "a date or time does not fit its column".into()),
        "22021" | "22P05" => of("bad_text", "a text has a character that the database does not store".into()),
        "22P02" | "22P03" | "22023" | "22000" => of("wrong_type", "a value is not one of the column's type".into()),
        "44000" => of("check", "a check option refuses the row".into()),
        "54000" => of("too_long", "a value is too long for an index of the table".into()),
        "P0001" => of("trigger", "a trigger of the table refuses the row".into()),
        _ => None,
    }
}
