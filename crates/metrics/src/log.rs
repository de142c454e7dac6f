//! The log of one partition, as its reader finds it on the cluster.

use metrics::Gauge;

use crate::catalogue::{LOG_READ_AHEAD, LOG_REPLAY_MARGIN, LOG_REPLAY_RETENTION, LOG_UNDECIDED};

/// The handle of one partition's log.
#[derive(Clone, Debug)]
pub struct LogMetrics {
    undecided: Gauge,
    replay_margin: Gauge,
    replay_retention: Gauge,
    read_ahead: Gauge,
}

impl LogMetrics {
    /// Looks the series of a partition up.
    #[must_use]
    pub fn new(partition: u32) -> LogMetrics {
        let number = partition.to_string();
        let only = [number.as_str()];
        LogMetrics {
            undecided: LOG_UNDECIDED.gauge(&only),
            replay_margin: LOG_REPLAY_MARGIN.gauge(&only),
            replay_retention: LOG_REPLAY_RETENTION.gauge(&only),
            read_ahead: LOG_READ_AHEAD.gauge(&only),
        }
    }

    /// So many records lie behind the first open transaction, and cannot be read yet.
    pub fn undecided(&self, records: u64) {
        self.undecided.set(records as f64);
    }

    /// So many bytes were fetched from the log, and nobody has asked for them yet.
    pub fn read_ahead(&self, bytes: u64) {
        self.read_ahead.set(bytes as f64);
    }

    /// R lies so many records above the start of the log, and its record has used so much of the
    /// time that the log keeps it.
    pub fn replay(&self, margin_records: f64, share_of_retention: f64) {
        self.replay_margin.set(margin_records);
        self.replay_retention.set(share_of_retention);
    }
}
