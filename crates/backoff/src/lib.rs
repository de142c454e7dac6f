//! Pauses between attempts: each twice as long as the one before, up to a longest one. Without clock
//! and without chance: whoever waits sleeps, and spreads the pauses where many wait for one.

use std::time::Duration;

/// The first pause and the longest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    first: Duration,
    longest: Duration,
}

impl Pauses {
    /// Pauses from a first one on that grow up to a longest one.
    pub const fn between(first: Duration, longest: Duration) -> Pauses {
        assert!(
            first.as_nanos() <= longest.as_nanos(),
            "the first pause is no longer than the longest one"
        );
        Pauses { first, longest }
    }

    /// The pause after so many failures in a row, counted from 1.
    pub fn after(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}

/// How often something has failed in a row.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pauses: Pauses,
    failures: u32,
}

impl Backoff {
    /// Nothing has failed yet.
    pub const fn new(pauses: Pauses) -> Backoff {
        Backoff {
            pauses,
            failures: 0,
        }
    }

    /// It has failed: the pause before it is tried again.
    pub fn next_pause(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.pauses.after(self.failures)
    }

    /// It has worked: the next pause is the first one again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;
    const PAUSES: Pauses =
        Pauses::between(Duration::from_millis(100), Duration::from_millis(3_000));

    #[test]
    fn pauses_double_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(PAUSES);
        let pauses: Vec<Duration> = (0..7).map(|_| backoff.next_pause()).collect();
        let expected = [100, 200, 400, 800, 1_600, 3_000, 3_000].map(MS);
        assert_eq!(pauses, expected);
        backoff.reset();
        assert_eq!(backoff.next_pause(), MS(100));
    }

    #[test]
    fn no_count_of_failures_is_too_large() {
        let endless = Pauses::between(Duration::from_secs(1), Duration::MAX);
        for failures in [0, 1, 32, 33, u32::MAX] {
            assert!(endless.after(failures) >= Duration::from_secs(1));
        }
        assert_eq!(PAUSES.after(u32::MAX), MS(3_000));
    }
}
