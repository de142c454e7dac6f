//! A rate: executions are earned by time that passes, those of a second at most.

use minutehand_model::Timestamp;

/// What is earned within this time is kept, in milliseconds.
const KEPT_MS: i64 = 1_000;

/// How many executions a second there may be, and how many there were lately.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// When some were last taken.
    taken_at: Timestamp,
    /// What was earned by then and not taken, in thousandths of an execution: ticks may come so
    /// often that none earns a whole one.
    left: u64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            taken_at: Timestamp::MIN,
            left: 0,
        }
    }
}

impl Pace {
    /// When some were last taken.
    pub(crate) fn taken_at(self) -> Timestamp {
        self.taken_at
    }

    /// How many may be taken now.
    pub(crate) fn allowance(self, now: Timestamp, rate_per_s: u64) -> usize {
        usize::try_from(self.earned(now, rate_per_s) / 1_000).unwrap_or(usize::MAX)
    }

    /// So many are taken now.
    pub(crate) fn take(&mut self, count: usize, now: Timestamp, rate_per_s: u64) {
        if count > 0 {
            let taken = (count as u64).saturating_mul(1_000);
            self.left = self.earned(now, rate_per_s).saturating_sub(taken);
            self.taken_at = now;
        }
    }

    /// Nothing was taken by a clock that was ahead.
    pub(crate) fn clock_went_back(&mut self, now: Timestamp) {
        self.taken_at = self.taken_at.min(now);
    }

    fn earned(self, now: Timestamp, rate_per_s: u64) -> u64 {
        let waited_ms = now.millis_since(self.taken_at).clamp(0, KEPT_MS) as u64;
        let earned = rate_per_s.saturating_mul(waited_ms);
        let most = rate_per_s.saturating_mul(KEPT_MS as u64);
        earned.saturating_add(self.left).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn the_rate_is_reached_however_often_some_are_taken() {
        for (rate, step_ms) in [(1_500, 1), (999, 1), (1, 7), (30, 13), (2_000, 50)] {
            let mut pace = Pace::default();
            pace.take(pace.allowance(at(0), rate), at(0), rate);
            let mut taken = 0;
            for now in (step_ms..=10_000).step_by(step_ms as usize).map(at) {
                let some = pace.allowance(now, rate);
                pace.take(some, now, rate);
                taken += some as u64;
            }
            assert!((rate * 10 - rate / 10 - 1..=rate * 10).contains(&taken));
        }
    }

    #[test]
    fn what_is_earned_is_kept_for_a_second() {
        let mut pace = Pace::default();
        assert_eq!(pace.allowance(at(0), 10), 10);
        pace.take(4, at(0), 10);
        assert_eq!(pace.allowance(at(0), 10), 6);
        assert_eq!(pace.allowance(at(3_600_000), 10), 10);
        pace.take(10, at(3_600_000), 10);
        pace.clock_went_back(at(0));
        assert_eq!(pace.allowance(at(100), 10), 1);
    }
}
