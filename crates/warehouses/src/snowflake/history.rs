//! Change history: marks, the gate before a window, and windows and pinned reads as SQL.
//!
//! `CHANGES … AT(TIMESTAMP => a) END(TIMESTAMP => b)` is what was committed after `a` and not after `b`: the end of one
//! window is the start of the next, and nothing overlaps. Instants have to be constants there; they are ours, so they
//! stand in the text.

use tidegate_model::schema::{RelationKind, Source};
use tidegate_model::time::{parse_timestamptz, timestamp_text};
use tidegate_model::{Error, ErrorKind, Instant, Result};

use super::catalog::{Shape, SourceColumn, title};
use super::server::look;
use super::types::literal;
use super::wire::Session;

/// What a mark stays behind the account's clock. A transaction is given its time before all of the account can see it;
/// how long before is not documented. A minute is far more than what was ever reported.
const LAG_US: i64 = 60_000_000;
/// How far `SYSTEM$LAST_CHANGE_COMMIT_TIME` may be off: Snowflake calls it approximate and says no more.
const TOKEN_SLACK_US: i64 = 300_000_000;

const CLOCK: &str = "DATE_PART(EPOCH_MICROSECOND, SYSDATE())";

/// A place in the history: an instant, and what the account said of the source's last change when it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    at: i64,
    token: Option<i128>,
}

impl Mark {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (at, token) = text.split_once(' ').map_or((text, None), |(at, token)| (at, Some(token)));
        let at = parse_timestamptz(at).map_err(|_| {
            Error::internal("a mark of the change history cannot be read")
                .hint("`tidegate reset SYNC` starts with a full read")
        })?;
        Ok(Self { at, token: token.and_then(|token| token.parse().ok()) })
    }

    fn text(&self) -> String {
        let at = Instant(self.at);
        self.token.map_or_else(|| at.to_string(), |token| format!("{at} {token}"))
    }

    /// The instant as a constant.
    fn sql(&self) -> String {
        format!("CAST('{}+00:00' AS TIMESTAMP_TZ)", timestamp_text(self.at).replace('T', " "))
    }
}

/// Now, less the lag.
pub(super) async fn mark(session: &Session, shape: &Shape, source: &Source) -> Result<String> {
    tracked(shape, source)?;
    let doing = format!("mark the history of {}", title(source));
    let both = format!("SELECT {CLOCK}, SYSTEM$LAST_CHANGE_COMMIT_TIME({})", literal(&shape.from));
    let rows = match look(session, &both, &[], &doing).await {
        Ok(rows) => rows,
        // Not every view has a last change, and not every role may ask for it: then there is no gate.
        Err(error) if refused(&error) => look(session, &format!("SELECT {CLOCK}"), &[], &doing).await?,
        Err(error) => return Err(error),
    };
    let row = rows.iter().next();
    let number = |at: usize| row.and_then(|row| row.at(at)).and_then(|text| text.parse::<i128>().ok());
    let Some(now) = number(0).and_then(|now| i64::try_from(now).ok()) else {
        return Err(Error::internal("the account's clock cannot be read"));
    };
    let at = now - LAG_US;
    if shape.made.is_some_and(|made| made >= at) {
        return Err(Error::new(
            ErrorKind::Unavailable,
            format!("{} was made less than a minute ago, and its history cannot be read yet", title(source)),
        )
        .hint("run again in two minutes"));
    }
    Ok(Mark { at, token: number(1) }.text())
}

/// A statement that this account or role does not take, as opposed to one that did not come through.
fn refused(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::BadRequest | ErrorKind::NotFound | ErrorKind::Forbidden | ErrorKind::HistoryGone)
}

/// Whether anything may have changed between two marks. Asks for no warehouse.
pub(super) async fn changed(session: &Session, shape: &Shape, source: &Source, since: &str, to: &str) -> Result<bool> {
    if let Some(stream) = &shape.stream {
        let name = literal(&stream.quoted());
        let doing = format!("ask whether {} has changes", title(source));
        let rows = look(session, &format!("SELECT SYSTEM$STREAM_HAS_DATA({name})"), &[], &doing).await?;
        return Ok(rows.one() != Some("false"));
    }
    Ok(unequal(&Mark::parse(since)?, &Mark::parse(to)?))
}

/// Equal tokens mean that nothing was committed between the moments at which the marks were taken. What was committed
/// in the lag before the first of them is in its token already, and still to be read: so the last change also has to
/// lie well before the first mark's instant.
fn unequal(since: &Mark, to: &Mark) -> bool {
    let (Some(before), Some(now)) = (since.token, to.token) else { return true };
    before != now || now / 1_000 > i128::from(since.at - TOKEN_SLACK_US)
}

/// An error unless the source is one that has a history.
pub(super) fn tracked(shape: &Shape, source: &Source) -> Result<()> {
    if shape.kind == RelationKind::Query {
        return Err(Error::config("a query keeps no change history")
            .hint("write `changes: auto`, `full` or `cursor`; or make a view of it, and track that"));
    }
    if shape.change_tracking {
        return Ok(());
    }
    Err(untracked(shape, source))
}

fn untracked(shape: &Shape, source: &Source) -> Error {
    let (what, more) = match shape.on_view() {
        true => ("VIEW", " (and the same for each table below it)"),
        false => ("TABLE", ""),
    };
    Error::config(format!("change tracking is off for {}", title(source)))
        .hint(format!("its owner turns it on: ALTER {what} {} SET CHANGE_TRACKING = TRUE;{more}", shape.from))
}

/// What stands after FROM when the source is read as of a mark.
pub(super) fn pinned(shape: &Shape, mark: &str) -> Result<String> {
    if shape.kind == RelationKind::Query {
        return Err(Error::config("a query cannot be read as of a mark").hint("write `changes: full`"));
    }
    Ok(format!("{} AT(TIMESTAMP => {})", shape.from, Mark::parse(mark)?.sql()))
}

/// What stands after FROM when a window is read.
pub(super) fn window(shape: &Shape, source: &Source, from: &str, to: &str) -> Result<String> {
    tracked(shape, source)?;
    let (from, to) = (Mark::parse(from)?, Mark::parse(to)?);
    Ok(format!(
        "{} CHANGES(INFORMATION => DEFAULT) AT(TIMESTAMP => {}) END(TIMESTAMP => {})",
        shape.from,
        from.sql(),
        to.sql()
    ))
}

/// Whether a row of a window says that its key left.
pub(super) const LEFT: &str = "\"METADATA$ACTION\" = 'DELETE'";

/// Of an update only its new half is needed, unless the key changed: then the old key left.
pub(super) fn halves(key: &SourceColumn) -> String {
    let stays = "MAX(CASE WHEN \"METADATA$ACTION\" = 'INSERT' THEN 1 ELSE 0 END)";
    format!(" QUALIFY \"METADATA$ACTION\" = 'INSERT' OR {stays} OVER (PARTITION BY {}) = 0", key.plain(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_878_534_280_305;

    #[test]
    fn a_mark_is_an_instant_with_what_was_known_of_the_last_change() {
        for mark in [Mark { at: NOW, token: Some(1_795_878_534_415_571_000) }, Mark { at: 0, token: None }] {
            assert_eq!(Mark::parse(&mark.text()).expect("its own text"), mark);
        }
        let sql = Mark { at: NOW, token: None }.sql();
        assert_eq!(sql, "CAST('2026-11-28 15:08:54.280305+00:00' AS TIMESTAMP_TZ)");
        assert!(Mark::parse("yesterday'; --").is_err());
    }

    #[test]
    fn only_an_old_change_that_both_marks_know_closes_the_gate() {
        let mark = |seconds: i64, token: Option<i64>| Mark {
            at: NOW + seconds * 1_000_000,
            token: token.map(|seconds| i128::from(NOW + seconds * 1_000_000) * 1_000),
        };
        assert!(!unequal(&mark(0, Some(-400)), &mark(900, Some(-400))));
        assert!(unequal(&mark(0, Some(-400)), &mark(900, Some(100))), "a change between them");
        assert!(unequal(&mark(0, Some(30)), &mark(900, Some(30))), "a change in the first one's lag");
        assert!(unequal(&mark(0, Some(-200)), &mark(900, Some(-200))), "one that may be in it");
        assert!(unequal(&mark(0, None), &mark(900, Some(-400))) && unequal(&mark(0, Some(1)), &mark(900, None)));
    }
}
