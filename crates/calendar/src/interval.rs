//! Fixed intervals: a fire every so many seconds, counted from an anchor.

use minutehand_model::Timestamp;

use crate::{FIRST_SECOND, LAST_SECOND, at_second, second_after};

/// Shortest interval: one second.
const MIN_MS: i64 = 1_000;
/// Longest interval: ten years of 366 days.
const MAX_MS: i64 = 3_660 * 86_400_000;

/// A fixed interval.
///
/// The nominal times are `anchor + k * every` for every whole `k`, also those before the anchor:
/// the anchor sets the phase and a schedule's start sets the beginning. Counting from the anchor,
/// and not from the last fire, is what keeps an interval from drifting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    every_s: i64,
    anchor_s: i64,
}

/// A length no interval can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntervalError {
    /// Shorter than a second or longer than ten years.
    #[error("every_ms must be between {MIN_MS} (1 s) and {MAX_MS} (3,660 days), got {every_ms}")]
    OutOfRange {
        /// The length asked for, in milliseconds.
        every_ms: i64,
    },
    /// Not a whole number of seconds.
    #[error("every_ms must be a whole number of seconds, got {every_ms}")]
    NotWholeSeconds {
        /// The length asked for, in milliseconds.
        every_ms: i64,
    },
}

impl Interval {
    /// An interval of `every_ms` milliseconds whose phase is set by `anchor`, rounded down to a
    /// whole second.
    ///
    /// # Errors
    /// When `every_ms` is below a second, above 3,660 days or no whole number of seconds.
    pub fn new(every_ms: i64, anchor: Timestamp) -> Result<Interval, IntervalError> {
        if !(MIN_MS..=MAX_MS).contains(&every_ms) {
            return Err(IntervalError::OutOfRange { every_ms });
        }
        if every_ms % 1_000 != 0 {
            return Err(IntervalError::NotWholeSeconds { every_ms });
        }
        Ok(Interval {
            every_s: every_ms / 1_000,
            anchor_s: anchor.as_millis().div_euclid(1_000),
        })
    }

    /// The length in milliseconds.
    #[must_use]
    pub fn every_ms(&self) -> i64 {
        self.every_s * 1_000
    }

    /// The time the phase is counted from; a whole second.
    #[must_use]
    pub fn anchor(&self) -> Timestamp {
        Timestamp::from_millis(self.anchor_s.saturating_mul(1_000))
    }

    /// The first nominal time strictly later than `after`; `None` after the year 9999.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.next_second(second_after(after)).map(at_second)
    }

    /// The first nominal second at or after `from_s`.
    pub(crate) fn next_second(&self, from_s: i64) -> Option<i64> {
        let from_s = from_s.max(FIRST_SECOND);
        if from_s > LAST_SECOND {
            return None;
        }
        let past = (from_s - self.anchor_s).rem_euclid(self.every_s);
        let next = if past == 0 {
            from_s
        } else {
            from_s + self.every_s - past
        };
        (next <= LAST_SECOND).then_some(next)
    }
}
