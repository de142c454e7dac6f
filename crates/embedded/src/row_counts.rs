//! How many rows of the ledger partitions have.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use minutehand_model::PartitionId;
use minutehand_model::time::MINUTE_MS;
use minutehand_ports::LEDGER_KEPT_MS;

/// Most rows of a partition, about: twice what is promised, because a clock that is ahead writes as
/// many as that of minutes to come before it is found out.
pub(crate) const ROWS_MAX: usize = 2 * (LEDGER_KEPT_MS / MINUTE_MS) as usize;

/// How many rows partitions have, at most: a row that is written again counts once more, until the
/// rows are counted anew.
#[derive(Debug, Default)]
pub(crate) struct RowCounts(Mutex<BTreeMap<PartitionId, usize>>);

impl RowCounts {
    /// Rows are added; whether there may be too many now.
    pub(crate) fn add(&self, partition: PartitionId, rows: usize) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Not known yet: to be counted.
        let count = counts.entry(partition).or_insert(ROWS_MAX);
        *count += rows;
        *count > ROWS_MAX
    }

    pub(crate) fn set(&self, partition: PartitionId, rows: usize) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.insert(partition, rows);
    }
}
