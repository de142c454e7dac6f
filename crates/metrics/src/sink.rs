//! What the sink of one partition does not publish.

use metrics::Counter;

use crate::catalogue::{POSTPONED, REFUSED};

/// The handle of one partition's sink.
#[derive(Clone, Debug)]
pub struct SinkMetrics {
    refused: Counter,
    postponed: Counter,
}

impl SinkMetrics {
    /// Looks the series of a partition up.
    #[must_use]
    pub fn new(partition: u32) -> SinkMetrics {
        let number = partition.to_string();
        let only = [number.as_str()];
        SinkMetrics {
            refused: REFUSED.counter(&only),
            postponed: POSTPONED.counter(&only),
        }
    }

    /// Executions could not be published, or were put off.
    pub fn not_published(&self, refused: u64, postponed: u64) {
        self.refused.increment(refused);
        self.postponed.increment(postponed);
    }
}
