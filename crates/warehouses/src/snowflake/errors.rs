//! The server's errors, classified by code and SQLSTATE. Messages that quote values are never shown.

use tidegate_model::change::FieldReject;
use tidegate_model::{Error, ErrorKind};

/// What the server says of a statement or a login that it refuses.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) sql_state: String,
    pub(super) message: String,
    pub(super) query_id: String,
}

impl Refusal {
    /// The number of the code; 0 if there is none.
    fn number(&self) -> u32 {
        self.code.trim_start_matches('0').parse().unwrap_or(0)
    }

    /// The server's own words, with the query by which an administrator finds it.
    fn says(&self) -> String {
        let message = self.message.split_whitespace().collect::<Vec<_>>().join(" ");
        let query = if self.query_id.is_empty() { String::new() } else { format!(", query {}", self.query_id) };
        format!("{message} ({}{query})", self.code)
    }

    /// Whether the message may quote values of rows: all that complain of data do.
    fn quotes_values(&self) -> bool {
        self.sql_state.starts_with("22") || matches!(self.number(), 100_000..=100_999)
    }

    /// History that has expired, or never was. Only the first has a number in Snowflake's documents.
    fn history_gone(&self) -> bool {
        let says = |words: &str| self.message.contains(words);
        self.number() == 707
            || says("Time travel data is not available")
            || says("missing for the time range requested")
            || says("cannot read from stream")
            || (self.message.to_lowercase().contains("stream") && says("stale"))
    }

    /// Codes of a session that is over; a new login helps.
    pub(super) fn session_gone(&self) -> bool {
        matches!(self.number(), 390_104 | 390_110 | 390_111 | 390_113 | 390_114 | 390_115)
    }

    /// The session's token is too old; the master token gets a new one.
    pub(super) fn token_expired(&self) -> bool {
        self.number() == 390_112
    }

    /// An access token that was good once.
    pub(super) fn access_token_expired(&self) -> bool {
        matches!(self.number(), 390_195 | 390_303 | 390_318)
    }

    /// The error of a statement.
    pub(super) fn error(&self, doing: &str) -> Error {
        let (kind, what, hint) = self.sorted();
        let error = Error::new(kind, format!("{doing}: {what}"));
        let cause = if self.quotes_values() {
            let query = if self.query_id.is_empty() { String::new() } else { format!(", query {}", self.query_id) };
            format!("code {}{query}", self.code)
        } else {
            self.says()
        };
        let error = error.cause(cause);
        if hint.is_empty() { error } else { error.hint(hint) }
    }

    fn sorted(&self) -> (ErrorKind, &'static str, &'static str) {
        use ErrorKind as K;
        match (self.number(), self.sql_state.as_str()) {
            _ if self.history_gone() => (
                K::HistoryGone,
                "the history does not reach back that far",
                "one full read helps; a longer DATA_RETENTION_TIME_IN_DAYS, or more frequent runs, keep it from happening again",
            ),
            (904, _) => (K::SchemaChanged, "a column is not there", "run `tidegate check`"),
            (2_003 | 2_043, _) | (_, "42S02") => (
                K::NotFound,
                "something is not there, or not for this role",
                "`tidegate check` names the grant that is missing",
            ),
            (390_201, _) => {
                (K::NotFound, "the database, schema or warehouse is not there, or not for this role", CONTEXT)
            }
            (3_001, _) | (_, "42501") => {
                (K::Forbidden, "a right is missing", "`tidegate check` prints the GRANT that mends it")
            }
            (606, _) | (_, "57P03") => (
                K::Config,
                "no warehouse is there to run it",
                "set `warehouse:`, and GRANT USAGE ON WAREHOUSE to the role",
            ),
            (90_073, _) => (
                K::Forbidden,
                "the warehouse may not run: its resource monitor is used up",
                "raise the monitor's quota, or take another `warehouse:`",
            ),
            (90_105 | 90_106, _) => (K::Config, "no database or schema is named", CONTEXT),
            (625 | 200_009, _) => (K::Locked, "another transaction holds the table for too long", ""),
            (630, _) => (
                K::Unavailable,
                "the statement took too long",
                "give the warehouse more size, or a cluster key that fits the sync's key",
            ),
            (604, _) | (_, "57014") => {
                (K::Cancelled, "the statement was cancelled", "somebody cancelled it in Snowflake")
            }
            (1_003 | 1_007 | 2_140, _) | (_, "42000" | "42601") => {
                (K::BadRequest, "the server refuses the statement", "")
            }
            (390_100..=390_999 | 394_000..=395_999, _) => (K::Unauthorized, "the server does not let us in", ""),
            _ if self.quotes_values() => (K::Data, "a value does not fit", ""),
            (_, state) if state.starts_with("57") || state.starts_with("08") || state.starts_with("58") => {
                (K::Unavailable, "the server could not finish it", "")
            }
            _ => (K::BadRequest, "the server refuses the call", ""),
        }
    }

    /// The reject of one row, if the refusal is about a row alone. Never holds a value.
    pub(super) fn row_reject(&self) -> Option<FieldReject> {
        let of = |rule: &str, reason: &str| Some(FieldReject::record(rule, reason));
        match self.number() {
            100_072 => of("not_null", "a column does not take NULL"),
            100_078 => of("too_long", "a text is longer than its column"),
            100_035 | 100_040 => of("bad_date", "a date or time does not fit its column"),
            100_038..=100_039 | 100_046 | 100_071 | 100_132 => {
                of("wrong_type", "a value is not one of the column's type")
            }
            _ => None,
        }
    }
}

const CONTEXT: &str = "check `database:`, `schema:`, `warehouse:` and `role:` of the connection";

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: &str, sql_state: &str, message: &str) -> Refusal {
        Refusal { code: code.into(), sql_state: sql_state.into(), message: message.into(), query_id: "01b0".into() }
    }

    #[test]
    fn codes_say_whose_move_it_is() {
        let kind = |code: &str, state: &str| refusal(code, state, "m").error("read t").kind;
        assert_eq!(kind("000904", "42000"), ErrorKind::SchemaChanged);
        assert_eq!(kind("002003", "02000"), ErrorKind::NotFound);
        assert_eq!(kind("003001", "42501"), ErrorKind::Forbidden);
        assert_eq!(kind("000606", "57P03"), ErrorKind::Config);
        assert_eq!(kind("000625", "57014"), ErrorKind::Locked);
        assert_eq!(kind("390100", "08001"), ErrorKind::Unauthorized);
        assert_eq!(kind("390422", ""), ErrorKind::Unauthorized);
        assert_eq!(kind("001003", "42000"), ErrorKind::BadRequest);
        assert_eq!(kind("300002", "58000"), ErrorKind::Unavailable);
        assert_eq!(kind("000707", "02000"), ErrorKind::HistoryGone);
        for words in [
            "Change tracking is not enabled or has been missing for the time range requested on table 'T'.",
            "Base table 'D.S.T' dropped, cannot read from stream 'D.S.X'.",
            "Stream X has become stale",
        ] {
            assert_eq!(refusal("091901", "55000", words).error("read t").kind, ErrorKind::HistoryGone, "{words}");
        }
    }

    #[test]
    fn every_error_names_its_query_and_none_quotes_a_value() {
        let error = refusal("001003", "42000", "SQL compilation error:\nunexpected 'x'").error("read t");
        assert!(error.to_string().contains("unexpected 'x'") && error.to_string().contains("query 01b0"), "{error}");
        let error = refusal("100038", "22018", "Numeric value 'hunter2' is not recognized").error("load t");
        assert!(!error.to_string().contains("hunter2") && error.to_string().contains("query 01b0"), "{error}");
        assert_eq!(refusal("100072", "22000", "NULL 'x'").row_reject().expect("a row").rule, "not_null");
    }
}
