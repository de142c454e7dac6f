//! A stretch of a partition's time.

use std::fmt;

use crate::partition_id::PartitionId;
use crate::time::Timestamp;

/// A partition's times from one on and before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// Whose times.
    pub partition: PartitionId,
    /// The first of them.
    pub from: Timestamp,
    /// The first behind them.
    pub until: Timestamp,
}

impl TimeRange {
    /// Whether there is no time in it.
    pub fn is_empty(&self) -> bool {
        self.from >= self.until
    }
}

impl PartitionId {
    /// Its times from one on and before another.
    pub const fn range(self, from: Timestamp, until: Timestamp) -> TimeRange {
        TimeRange {
            partition: self,
            from,
            until,
        }
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TimeRange {
            partition,
            from,
            until,
        } = self;
        write!(f, "partition {partition} from {from} to {until}")
    }
}
