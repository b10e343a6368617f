//! A series by day, from its roll-ups: what a chart needs, however many rows there are.

use tidegate_model::Result;
use tidegate_model::time::date_text;

use super::Hub;
use super::cell::CellRef;
use super::series::{ACTIVITY, METRIC};

/// A day of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDay {
    /// `2026-05-01`
    pub day: String,
    /// How often something was done at companies; of metrics, how many values there are.
    pub entries: u64,
}

impl Hub {
    /// The last days on which a series has entries, oldest first; none for what is no series.
    pub async fn usage(&self, series: &str, days: u32) -> Result<Vec<UsageDay>> {
        // An activity of a person is summed up under their company too: it counts there, and once. Whom a metric is
        // about is one record alone.
        let sql = match series {
            ACTIVITY => {
                "SELECT day, SUM(times) FROM hub_rollup WHERE series = 1 AND model = 1 GROUP BY day ORDER BY day DESC LIMIT $1"
            }
            METRIC => {
                "SELECT day, SUM(events) FROM hub_rollup WHERE series = 2 GROUP BY day ORDER BY day DESC LIMIT $1"
            }
            _ => return Ok(Vec::new()),
        };
        // Postgres sums whole numbers as decimals.
        let sql = sql.replacen("SUM(", "CAST(SUM(", 1).replacen(") FROM", ") AS BIGINT) FROM", 1);
        self.look(move |session, _| {
            let mut all = Vec::new();
            session.query(&sql, &[CellRef::Int(i64::from(days))], &mut |row| {
                let day = i32::try_from(row.int(0)?).unwrap_or(i32::MAX);
                all.push(UsageDay { day: date_text(day), entries: u64::try_from(row.int(1)?).unwrap_or(0) });
                Ok(())
            })?;
            all.reverse();
            Ok(all)
        })
        .await
    }
}
