//! Occurrences of schedules.

use metrics::Counter;

use crate::catalogue::OCCURRENCES;
use crate::label::ByWord;

/// What became of the occurrences of schedules.
#[derive(Clone, Debug)]
pub struct ScheduleMetrics {
    occurrences: ByWord<Counter>,
}

impl ScheduleMetrics {
    /// Looks the series up.
    #[must_use]
    pub fn new() -> ScheduleMetrics {
        ScheduleMetrics {
            occurrences: ByWord::of(&OCCURRENCES, |result| OCCURRENCES.counter(&[result])),
        }
    }

    /// So many were started.
    pub fn fired(&self, count: u64) {
        self.occurrences.get("fired").increment(count);
    }

    /// So many were left out by the overlap policy.
    pub fn skipped(&self, count: u64) {
        self.occurrences.get("skipped").increment(count);
    }

    /// So many were left out by the misfire policy.
    pub fn missed(&self, count: u64) {
        self.occurrences.get("missed").increment(count);
    }
}

impl Default for ScheduleMetrics {
    fn default() -> ScheduleMetrics {
        ScheduleMetrics::new()
    }
}
