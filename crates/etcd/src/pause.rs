//! Pauses that differ from process to process, so that nodes that lost etcd together do not come
//! back together.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The first pause after a failure, in milliseconds.
const FIRST_MS: u64 = 100;
/// No pause is longer, in milliseconds.
const LONGEST_MS: u64 = 3_000;

/// Pauses that double up to a bound, each drawn from the upper half of its range.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let ceiling = (FIRST_MS << self.failures.min(8)).min(LONGEST_MS);
        self.failures += 1;
        Duration::from_millis(ceiling / 2 + random() % (ceiling / 2 + 1))
    }

    /// It worked: the next pause is a short one again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A random part of a duration.
pub(crate) fn part_of(whole: Duration) -> Duration {
    let whole = whole.as_millis() as u64;
    Duration::from_millis(random() % (whole + 1))
}

/// A number that cannot be foreseen: the keys of the standard library's hash maps are drawn at
/// random.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        for failure in 0..20_u32 {
            let pause = backoff.next().as_millis() as u64;
            let ceiling = (FIRST_MS << failure.min(8)).min(LONGEST_MS);
            assert!(
                (ceiling / 2..=ceiling).contains(&pause),
                "{pause} of {ceiling}"
            );
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(FIRST_MS));
        assert!(part_of(Duration::from_millis(10)) <= Duration::from_millis(10));
    }
}
