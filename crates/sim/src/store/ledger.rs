//! The ledger of one partition: rows by minute and by the tick that closed it.

use std::collections::BTreeMap;

use minutehand_model::{LedgerRow, Timestamp};

/// Rows of closed minutes.
#[derive(Clone, Debug, Default)]
pub(crate) struct LedgerStore(BTreeMap<(Timestamp, u64), LedgerRow>);

impl LedgerStore {
    /// Keeps a row; the same again, with whatever is found by then, changes nothing.
    pub(crate) fn write(&mut self, row: LedgerRow) {
        let name = (row.tally.minute, row.tally.closed_by);
        self.0.entry(name).or_insert(row);
    }

    /// The rows of the minutes that start in `from..until`, in order.
    pub(crate) fn rows(&self, from: Timestamp, until: Timestamp) -> Vec<LedgerRow> {
        self.0
            .range((from, 0)..(until, 0))
            .map(|(_, row)| *row)
            .collect()
    }
}
