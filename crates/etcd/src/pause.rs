//! Pauses that differ from process to process, so that nodes that lost etcd together do not come
//! back together.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use minutehand_backoff::Pauses;

/// The first pause after a failure, and the longest one.
const PAUSES: Pauses = Pauses::between(Duration::from_millis(100), Duration::from_millis(3_000));

/// Pauses that double up to a bound, each drawn from the upper half of its range.
#[derive(Debug)]
pub(crate) struct Backoff(minutehand_backoff::Backoff);

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff(minutehand_backoff::Backoff::new(PAUSES))
    }
}

impl Backoff {
    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let half = self.0.next_pause() / 2;
        half + part_of(half)
    }

    /// It worked: the next pause is a short one again.
    pub(crate) fn reset(&mut self) {
        self.0.reset();
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
        for failures in 1..20 {
            let (pause, longest) = (backoff.next(), PAUSES.after(failures));
            assert!(
                (longest / 2..=longest).contains(&pause),
                "{pause:?} of {longest:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next() <= PAUSES.after(1));
        assert!(part_of(Duration::from_millis(10)) <= Duration::from_millis(10));
    }
}
