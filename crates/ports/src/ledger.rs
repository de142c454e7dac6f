//! The ledger: a row for every closed minute of every partition.

use async_trait::async_trait;
use minutehand_model::time::{DAY_MS, MINUTE_MS};
use minutehand_model::{LedgerRow, PartitionId, TimeRange, ledger};

use crate::PortError;

/// How long a row is kept at least, in milliseconds after the minute it is about: 35 days. It may be
/// kept for longer.
pub const LEDGER_KEPT_MS: i64 = ledger::ROWS_KEPT_MS;
/// Most minutes of one question: a day.
pub const LEDGER_MINUTES_MAX: i64 = DAY_MS / MINUTE_MS;

/// Where closed minutes are written down.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Writes rows and answers when they are durable. Writing a row again changes nothing. One
    /// about the same minute that was closed by another tick stands beside it: a minute has one row
    /// beside supplements, unless something was done twice.
    async fn write_rows(
        &self,
        partition: PartitionId,
        rows: Vec<LedgerRow>,
    ) -> Result<(), PortError>;

    /// The rows of the minutes that start in a range, in order of their minutes and of the ticks
    /// that closed them. At most [`LEDGER_MINUTES_MAX`] minutes are asked
    /// for at once.
    async fn rows(&self, range: TimeRange) -> Result<Vec<LedgerRow>, PortError>;
}
