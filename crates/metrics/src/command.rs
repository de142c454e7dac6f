//! Commands on their way into the log.

use metrics::{Counter, Histogram};

use crate::catalogue::{
    COMMANDS_ACCEPTED, COMMANDS_REFUSED, LOG_APPEND, LOG_APPEND_FAILURES, LOG_RECORDS_APPENDED,
};
use crate::label::ByWord;

/// Commands that are accepted, refused and appended. Words of kinds: `create`, `cancel`, `move`,
/// `replace`, `revise`, `trigger`, `backfill`, `completed`.
#[derive(Clone, Debug)]
pub struct CommandMetrics {
    accepted: ByWord<Counter>,
    refused: ByWord<Counter>,
    append: Histogram,
    records_appended: Counter,
    append_failures: Counter,
}

impl CommandMetrics {
    /// Looks the series up.
    #[must_use]
    pub fn new() -> CommandMetrics {
        CommandMetrics {
            accepted: ByWord::of(&COMMANDS_ACCEPTED, |kind| {
                COMMANDS_ACCEPTED.counter(&[kind])
            }),
            refused: ByWord::of(&COMMANDS_REFUSED, |kind| COMMANDS_REFUSED.counter(&[kind])),
            append: LOG_APPEND.histogram(&[]),
            records_appended: LOG_RECORDS_APPENDED.counter(&[]),
            append_failures: LOG_APPEND_FAILURES.counter(&[]),
        }
    }

    /// So many commands of a kind are durable.
    pub fn accepted(&self, kind: &str, count: u64) {
        self.accepted.get(kind).increment(count);
    }

    /// So many commands of a kind were refused for what they say.
    pub fn refused(&self, kind: &str, count: u64) {
        self.refused.get(kind).increment(count);
    }

    /// An append of so many records became durable after so many seconds.
    pub fn appended(&self, records: u64, seconds: f64) {
        self.records_appended.increment(records);
        self.append.record(seconds);
    }

    /// An append failed.
    pub fn append_failed(&self) {
        self.append_failures.increment(1);
    }
}

impl Default for CommandMetrics {
    fn default() -> CommandMetrics {
        CommandMetrics::new()
    }
}
