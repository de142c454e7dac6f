//! The ledger: rows of closed minutes, a day of a partition beside each other. They expire.

use async_trait::async_trait;
use minutehand_model::time::DAY_MS;
use minutehand_model::{LedgerRow, PartitionId, TimeRange, Timestamp};
use minutehand_ports::{ErrorClass, LEDGER_KEPT_MS, Ledger, PortError};
use minutehand_record::ledger;

use crate::clock;
use crate::error::failed;
use crate::keys::day_of;
use crate::pages::{each, fetch_all};
use crate::timetable::{CassandraTimetable, number};
use crate::write::cql;

/// Rows asked for at once.
const ROWS_PER_PAGE: i32 = 2_000;
/// The longest time to live of a row, in seconds: of one about a minute ahead of this clock.
const TTL_SECONDS_MAX: i64 = 2 * LEDGER_KEPT_MS / 1_000;

#[async_trait]
impl Ledger for CassandraTimetable {
    async fn write_rows(
        &self,
        partition: PartitionId,
        rows: Vec<LedgerRow>,
    ) -> Result<(), PortError> {
        let action = format!(
            "write {} minutes of partition {partition} to the ledger",
            rows.len()
        );
        for row in rows {
            self.write_ledger_row(partition, &row, &action).await?;
        }
        Ok(())
    }

    async fn rows(&self, range: TimeRange) -> Result<Vec<LedgerRow>, PortError> {
        let action = format!("read the ledger of {range}");
        let mut found = Vec::new();
        let mut day = day_of(range.from);
        while day < range.until {
            self.read_ledger_day(range, day, &action, &mut found)
                .await?;
            day = day.plus_millis(DAY_MS);
        }
        Ok(found)
    }
}

impl CassandraTimetable {
    async fn write_ledger_row(
        &self,
        partition: PartitionId,
        row: &LedgerRow,
        action: &str,
    ) -> Result<(), PortError> {
        let tally = &row.tally;
        let ttl = ttl_seconds(tally.minute, clock::now());
        let Some(ttl) = ttl else {
            // It would have expired already.
            return Ok(());
        };
        let _permit = self.writes.acquire().await;
        let values = (
            &self.region,
            number(partition),
            cql(day_of(tally.minute)),
            cql(tally.minute),
            tally.closed_by as i64,
            tally.expected() as i64,
            tally.published.count as i64,
            tally.stored.count as i64,
            row.found.map(|found| found.count as i64),
            ledger::encode(row),
            ttl,
        );
        let answer = self
            .session
            .execute_unpaged(&self.statements.write_ledger, values)
            .await;
        answer.map(drop).map_err(|error| failed(action, error))
    }

    async fn read_ledger_day(
        &self,
        range: TimeRange,
        day: Timestamp,
        action: &str,
        found: &mut Vec<LedgerRow>,
    ) -> Result<(), PortError> {
        let values = (
            &self.region,
            number(range.partition),
            cql(day),
            cql(range.from),
            cql(range.until),
        );
        let statement = &self.statements.read_ledger;
        fetch_all(self, statement, values, ROWS_PER_PAGE, action, |rows| {
            each(rows, action, |(content,): (Option<&[u8]>,)| {
                let content = content.unwrap_or_default().to_vec().into();
                let row = ledger::decode(&content).map_err(|error| {
                    PortError::new(ErrorClass::Fatal, action, error.to_string())
                })?;
                found.push(row);
                Ok(())
            })
        })
        .await
    }
}

/// How long a row lives; `None` when its time is over.
fn ttl_seconds(minute: Timestamp, now: Timestamp) -> Option<i32> {
    let left_ms = minute.plus_millis(LEDGER_KEPT_MS).millis_since(now);
    let seconds = (left_ms / 1_000).min(TTL_SECONDS_MAX);
    i32::try_from(seconds).ok().filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_lives_for_35_days_after_its_minute() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let lives = |ms: i64| ttl_seconds(now.plus_millis(ms), now);
        assert_eq!(lives(0), Some(35 * 86_400));
        assert_eq!(lives(-LEDGER_KEPT_MS + 1_000), Some(1));
        assert_eq!(lives(-LEDGER_KEPT_MS), None);
        assert_eq!(lives(i64::MAX / 2), Some(70 * 86_400), "a clock far ahead");
        assert_eq!(day_of(now), Timestamp::from_millis(1_799_971_200_000));
    }
}
