//! One namespace among those that take turns.

use std::collections::BTreeSet;
use std::time::Duration;

use minutehand_model::Timestamp;
use tokio::time::Instant;

use crate::gates::bucket::Bucket;

/// The shortest time that something is put off.
pub(super) const PUT_OFF_MIN: Duration = Duration::from_secs(5);
/// The longest: what was put off does not hear of it when a limit is lifted.
pub(super) const PUT_OFF_MAX: Duration = Duration::from_secs(300);

/// How a namespace stands among those that take turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Turn {
    /// It has nothing that could be started.
    #[default]
    None,
    /// It has not had all that its weight allows.
    GoesOn,
    /// The others go first.
    Over,
}

/// A namespace: what of it may be started, and what it has used of its rate.
#[derive(Debug, Default)]
pub(super) struct Tenant {
    pub(super) turn: Turn,
    /// What may be started, the most urgent first.
    line: BTreeSet<(Timestamp, u64)>,
    /// Started in this turn.
    served: u32,
    /// What the rate allows; nothing was used yet where there is none.
    rate: Option<Bucket>,
    /// Until when what was put off last has been.
    put_off_until: Option<Instant>,
}

impl Tenant {
    /// How many may be started.
    pub(super) fn waiting(&self) -> usize {
        self.line.len()
    }

    pub(super) fn line_up(&mut self, rank: Timestamp, number: u64) {
        let is_new = self.line.insert((rank, number));
        assert!(is_new, "nothing stands in a line twice: {number}");
    }

    /// Uses up one of the rate; else when there is one again.
    pub(super) fn spend(&mut self, rate: Option<f64>, now: Instant) -> Result<(), Instant> {
        let Some(rate) = rate else { return Ok(()) };
        let bucket = self.rate.get_or_insert_with(|| Bucket::full(rate, now));
        if bucket.fill(rate, now) >= 1.0 {
            bucket.spend();
            return Ok(());
        }
        let wait = bucket.wait(1.0, rate).unwrap_or_default();
        Err(now + wait.max(Duration::from_millis(1)))
    }

    /// Whether nothing need be remembered of what it has used.
    pub(super) fn is_rested(&self, rate: Option<f64>, now: Instant) -> bool {
        let used = rate.zip(self.rate);
        used.is_none_or(|(rate, bucket)| bucket.is_full(rate, now))
    }

    /// Nothing of it waits any more.
    pub(super) fn clear(&mut self) {
        *self = Tenant {
            rate: self.rate,
            ..Tenant::default()
        };
    }

    /// The most urgent of what may be started.
    pub(super) fn next(&mut self, weight: u32) -> Option<u64> {
        let first = self.line.pop_first().map(|(_, number)| number);
        self.served += 1;
        self.turn = match self.line.is_empty() {
            true => Turn::None,
            false if self.served < weight => Turn::GoesOn,
            false => Turn::Over,
        };
        if self.turn != Turn::GoesOn {
            self.served = 0;
        }
        first
    }

    /// For how long one more is put off, behind those that were before it.
    pub(super) fn put_off(&mut self, pace: Duration, now: Instant) -> Duration {
        put_off(&mut self.put_off_until, pace, now)
    }
}

/// For how long something is put off: its turn is at a pace behind what was put off before it.
pub(super) fn put_off(until: &mut Option<Instant>, pace: Duration, now: Instant) -> Duration {
    let soonest = now + PUT_OFF_MIN;
    let next = until.map_or(soonest, |until| (until + pace).max(soonest));
    let next = next.min(now + PUT_OFF_MAX);
    *until = Some(next);
    next.duration_since(now)
}
