//! The ledger of one partition: minutes that were closed, and how they compare.

use metrics::{Counter, Gauge};
use minutehand_model::Timestamp;

use crate::catalogue::{COMPLETE, LEDGER_GIVEN_UP, LEDGER_KEPT, LEDGER_MINUTES, UNVERIFIED};
use crate::label::ByWord;

/// The handle of one partition.
#[derive(Clone, Debug)]
pub struct LedgerMetrics {
    minutes: ByWord<Counter>,
    kept_until: Gauge,
    given_up: Gauge,
}

impl LedgerMetrics {
    /// Looks the series of a partition up.
    #[must_use]
    pub fn new(partition: u32) -> LedgerMetrics {
        let number = partition.to_string();
        LedgerMetrics {
            minutes: ByWord::of(&LEDGER_MINUTES, |word| {
                LEDGER_MINUTES.counter(&[&number, word])
            }),
            kept_until: LEDGER_KEPT.gauge(&[&number]),
            given_up: LEDGER_GIVEN_UP.gauge(&[&number]),
        }
    }

    /// A row is kept: in what it differs, and whether it could be compared.
    pub fn kept(&self, differences: &[&'static str], is_compared: bool) {
        for difference in differences {
            self.minutes.get(difference).increment(1);
        }
        if differences.is_empty() {
            let verdict = if is_compared { COMPLETE } else { UNVERIFIED };
            self.minutes.get(verdict).increment(1);
        }
    }

    /// Everything is well as of then: the rows of minutes are kept, or an owner has just begun.
    pub fn beats(&self, at: Timestamp) {
        self.kept_until.set(at.as_millis() as f64 / 1_000.0);
    }

    /// So many minutes were given up by this owner.
    pub fn given_up(&self, count: u64) {
        self.given_up.set(count as f64);
    }
}
