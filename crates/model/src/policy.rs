//! What is promised about an execution, and what happens when it is late, busy or fails.

use crate::choice;
use crate::limits::{RETRY_ATTEMPTS_MAX, RETRY_DELAY_MS_MAX, RETRY_DOUBLINGS_MAX};

choice!(
    /// How often the worker's effect may happen.
    Guarantee, "guarantee", default AtLeastOnce {
        /// Position first, then the run: never twice, lost if the worker dies in between.
        AtMostOnce = "at-most-once",
        /// Run first, then position: never lost, may run twice after a crash.
        AtLeastOnce = "at-least-once",
        /// Result and position together.
        ExactlyOnce = "exactly-once",
    }
);

choice!(
    /// How close to its due time an execution is published; never before it.
    Precision, "precision", default Normal {
        /// Within 100 ms.
        High = "high",
        /// Within one second.
        Normal = "normal",
        /// Within ten seconds.
        Low = "low",
    }
);

choice!(
    /// Which tasks the timetable gets.
    Persist, "engine.persist", default BeyondLookAhead {
        /// Those due beyond the look-ahead. The log alone holds the others, until they have run.
        BeyondLookAhead = "beyond-look-ahead",
        /// Every one that the log took ahead of its time, unless it has run before its block was
        /// sent: what is still to come can be told from the timetable, by a region that adopts
        /// another's partitions.
        All = "all",
    }
);

choice!(
    /// Which of the occurrences that were missed are run.
    MisfireRule, "misfire rule", default All {
        /// Every one inside the window.
        All = "all",
        /// The newest one, when it lies inside the window.
        Latest = "latest",
        /// One run for all of them, however old they are.
        OneNow = "one-now",
        /// None.
        None = "none",
    }
);

choice!(
    /// What happens when an occurrence is due while the previous run has not ended.
    OverlapPolicy, "overlap policy", default AllowAll {
        /// Runs side by side.
        AllowAll = "allow-all",
        /// The new occurrence does not run.
        Skip = "skip",
        /// One occurrence waits; further ones do not run.
        BufferOne = "buffer-one",
        /// Every occurrence waits for its turn.
        BufferAll = "buffer-all",
        /// The running one is asked to stop; the new one starts when it has.
        CancelOther = "cancel-other",
        /// The running one is killed and the new one starts at once.
        TerminateOther = "terminate-other",
    }
);

choice!(
    /// What becomes of the wall times that do not exist or exist twice when the clocks change.
    ///
    /// The rules differ only for *fixed-time* expressions. An expression whose minute or hour field
    /// begins with `*` *follows the clock* under each of them: it runs at every instant whose wall
    /// time matches, so `*/5 * * * *` neither pauses in the repeated hour nor catches up after a
    /// skipped one.
    ///
    /// `vixie` is the rule of cronie, applied in the schedule's own zone. A gap of 180 minutes or
    /// more (a day skipped at the date line) and an overlap of more than that are corrections to
    /// it, as in cronie: gap times do not run, overlap times run twice. `skip` is what OCPS 1.4 and
    /// EventBridge ask for, `literal` what Temporal does.
    DstRule, "daylight-saving rule", default Vixie {
        /// As cronie: times in a gap run once, together, at its end; times in an overlap in the
        /// first pass only.
        Vixie = "vixie",
        /// Times in a gap do not run, times in an overlap in the first pass only.
        Skip = "skip",
        /// The wall clock taken at its word: times in a gap do not run, times in an overlap run in
        /// both passes.
        Literal = "literal",
    }
);

choice!(
    /// What happens to a task that has been published by the time it is to be moved.
    MoveMode, "mode", default Replace {
        /// It runs at the new time all the same, as long as its payload is kept.
        Replace = "replace",
        /// It stays as it is.
        OnlyIfNotPublished = "only-if-not-published",
    }
);

impl OverlapPolicy {
    /// Whether what it decides depends on the ends of earlier runs, so that they have to be heard
    /// of.
    pub const fn awaits_ends(self) -> bool {
        match self {
            OverlapPolicy::AllowAll => false,
            OverlapPolicy::Skip
            | OverlapPolicy::BufferOne
            | OverlapPolicy::BufferAll
            | OverlapPolicy::CancelOther
            | OverlapPolicy::TerminateOther => true,
        }
    }
}

impl Guarantee {
    /// Whether an execution is settled before it runs, so that it is never tried again.
    pub const fn settles_first(self) -> bool {
        match self {
            Guarantee::AtMostOnce => true,
            Guarantee::AtLeastOnce | Guarantee::ExactlyOnce => false,
        }
    }
}

/// What to do with occurrences whose time has passed by more than `grace_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MisfirePolicy {
    /// Which of them run.
    pub rule: MisfireRule,
    /// Oldest lateness at which `all` and `latest` still run one, in milliseconds.
    pub window_ms: i64,
    /// Lateness up to which an occurrence is not a misfire at all, in milliseconds.
    pub grace_ms: i64,
}

impl Default for MisfirePolicy {
    fn default() -> MisfirePolicy {
        MisfirePolicy {
            rule: MisfireRule::All,
            window_ms: 365 * crate::time::DAY_MS,
            grace_ms: 60_000,
        }
    }
}

choice!(
    /// The shape of the delays between attempts.
    BackoffKind, "retry policy", default Exponential {
        /// No further attempt.
        None = "none",
        /// At once.
        Immediate = "immediate",
        /// Always the same delay, `delay_ms`.
        Fixed = "fixed",
        /// A delay drawn evenly from zero to `base_ms` doubled with each attempt, at most `cap_ms`
        /// ("full jitter").
        Exponential = "exponential",
        /// `base_ms`, doubled `doublings` times and then longer by the last of them each time, at most
        /// `cap_ms`: without jitter.
        DoublingsThenLinear = "doublings-then-linear",
    }
);

/// The delay before the next attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backoff {
    /// No further attempt.
    None,
    /// At once.
    Immediate,
    /// Always the same delay.
    Fixed {
        /// The delay in milliseconds.
        delay_ms: i64,
    },
    /// A delay drawn evenly from zero to `min(cap_ms, base_ms * 2^(attempt - 1))` ("full jitter").
    #[default]
    Exponential,
    /// `base_ms`, doubled so many times and then longer by the last of them each time, at most
    /// `cap_ms`: 10, 20, 40, 80, 160, 240, 300 s of a base of 10 s, three doublings and a cap of 300 s.
    DoublingsThenLinear {
        /// How often the delay is doubled, 0 to [`RETRY_DOUBLINGS_MAX`].
        doublings: u32,
    },
}

impl Backoff {
    /// Its shape alone.
    pub const fn kind(self) -> BackoffKind {
        match self {
            Backoff::None => BackoffKind::None,
            Backoff::Immediate => BackoffKind::Immediate,
            Backoff::Fixed { .. } => BackoffKind::Fixed,
            Backoff::Exponential => BackoffKind::Exponential,
            Backoff::DoublingsThenLinear { .. } => BackoffKind::DoublingsThenLinear,
        }
    }
}

/// When and how often a failed execution is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The shape of the delays.
    pub backoff: Backoff,
    /// First delay of the backoffs that grow, in milliseconds.
    pub base_ms: i64,
    /// Longest delay of the backoffs that grow, in milliseconds.
    pub cap_ms: i64,
    /// Attempts in all, the first included.
    pub attempts_max: u32,
    /// No attempt starts later than this after the first due time, in milliseconds; `None` for no
    /// limit.
    pub age_ms_max: Option<i64>,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            backoff: Backoff::Exponential,
            base_ms: 1_000,
            cap_ms: 300_000,
            attempts_max: 10,
            age_ms_max: None,
        }
    }
}

/// A retry policy that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("retry.{field} is {given}; it must be between {low} and {high}")]
pub struct RetryPolicyError {
    /// The field of the policy.
    pub field: &'static str,
    /// What was given.
    pub given: i64,
    /// Smallest accepted value.
    pub low: i64,
    /// Largest accepted value.
    pub high: i64,
}

impl RetryPolicy {
    /// Never a second attempt.
    pub const NEVER: RetryPolicy = RetryPolicy {
        backoff: Backoff::None,
        base_ms: 1_000,
        cap_ms: 300_000,
        attempts_max: 1,
        age_ms_max: None,
    };

    /// Refuses delays, counts and ages outside the limits.
    pub fn validated(self) -> Result<RetryPolicy, RetryPolicyError> {
        let within = |field, given: i64, low, high| {
            if (low..=high).contains(&given) {
                Ok(())
            } else {
                Err(RetryPolicyError {
                    field,
                    given,
                    low,
                    high,
                })
            }
        };
        within(
            "max_attempts",
            i64::from(self.attempts_max),
            1,
            i64::from(RETRY_ATTEMPTS_MAX),
        )?;
        within("base_ms", self.base_ms, 1, RETRY_DELAY_MS_MAX)?;
        within("cap_ms", self.cap_ms, self.base_ms, RETRY_DELAY_MS_MAX)?;
        if let Backoff::Fixed { delay_ms } = self.backoff {
            within("delay_ms", delay_ms, 1, RETRY_DELAY_MS_MAX)?;
        }
        if let Backoff::DoublingsThenLinear { doublings } = self.backoff {
            let doublings_max = i64::from(RETRY_DOUBLINGS_MAX);
            within("doublings", i64::from(doublings), 0, doublings_max)?;
        }
        if let Some(age_ms) = self.age_ms_max {
            within("max_age_ms", age_ms, 1, 3_653 * crate::time::DAY_MS)?;
        }
        Ok(self)
    }

    /// The delay in milliseconds before attempt `attempt + 1`, after `attempt` (counted from 1)
    /// failed.
    ///
    /// `random` is a number from 0 to `u64::MAX` that the caller draws; `age_ms` the time since the
    /// first due time. `None`: no further attempt.
    pub fn delay_ms_after(&self, attempt: u32, age_ms: i64, random: u64) -> Option<i64> {
        if attempt >= self.attempts_max {
            return None;
        }
        let delay_ms = match self.backoff {
            Backoff::None => return None,
            Backoff::Immediate => 0,
            Backoff::Fixed { delay_ms } => delay_ms,
            Backoff::Exponential => {
                let doublings = attempt.saturating_sub(1).min(40);
                let ceiling_ms = self
                    .base_ms
                    .saturating_mul(1_i64 << doublings)
                    .min(self.cap_ms)
                    .max(0);
                ((u128::from(random) * (ceiling_ms as u128 + 1)) >> 64) as i64
            }
            Backoff::DoublingsThenLinear { doublings } => {
                let before = attempt.saturating_sub(1);
                let doubled = before.min(doublings).min(RETRY_DOUBLINGS_MAX);
                let steps = i64::from(before.saturating_sub(doublings)) + 1;
                let doubled_ms = self.base_ms.saturating_mul(1_i64 << doubled);
                doubled_ms.saturating_mul(steps).clamp(0, self.cap_ms)
            }
        };
        match self.age_ms_max {
            Some(age_ms_max) if age_ms.saturating_add(delay_ms) > age_ms_max => None,
            _ => Some(delay_ms),
        }
    }
}

/// How urgent a task is among what waits in its queue, from 0 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

/// A priority that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("priority is {given}; it must be between 0 and {}", Priority::HIGHEST.level())]
pub struct PriorityError {
    /// What was given.
    pub given: u64,
}

impl Priority {
    /// The most urgent.
    pub const HIGHEST: Priority = Priority(9);
    /// What a task has that does not say.
    pub const USUAL: Priority = Priority(4);

    /// A priority of a level.
    ///
    /// # Errors
    /// A level above 9.
    pub const fn of_level(level: u64) -> Result<Priority, PriorityError> {
        match level {
            0..=9 => Ok(Priority(level as u8)),
            given => Err(PriorityError { given }),
        }
    }

    /// From 0 to 9.
    pub const fn level(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Priority {
        Priority::USUAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doublings_are_followed_by_equal_steps_up_to_the_cap() {
        let policy = |doublings| RetryPolicy {
            backoff: Backoff::DoublingsThenLinear { doublings },
            base_ms: 10,
            cap_ms: 300,
            attempts_max: RETRY_ATTEMPTS_MAX,
            age_ms_max: None,
        };
        let delays = |doublings| -> Vec<i64> {
            let delay = |attempt| policy(doublings).delay_ms_after(attempt, 0, 7);
            (1..=8).filter_map(delay).collect()
        };
        assert_eq!(delays(3), [10, 20, 40, 80, 160, 240, 300, 300]);
        assert_eq!(delays(0), [10, 20, 30, 40, 50, 60, 70, 80]);
        assert_eq!(delays(30), [10, 20, 40, 80, 160, 300, 300, 300]);
        assert!(policy(RETRY_DOUBLINGS_MAX + 1).validated().is_err());
        assert!(policy(RETRY_DOUBLINGS_MAX).validated().is_ok());
    }

    #[test]
    fn full_jitter_stays_between_zero_and_the_doubled_base() {
        let policy = RetryPolicy {
            attempts_max: 100,
            ..RetryPolicy::default()
        };
        for attempt in 1..60 {
            let ceiling_ms = (1_000_i64 << (attempt - 1).min(20)).min(300_000);
            assert_eq!(policy.delay_ms_after(attempt, 0, 0), Some(0));
            assert_eq!(
                policy.delay_ms_after(attempt, 0, u64::MAX),
                Some(ceiling_ms)
            );
        }
    }

    #[test]
    fn attempts_and_age_end_the_retries() {
        let policy = RetryPolicy {
            backoff: Backoff::Fixed { delay_ms: 10 },
            attempts_max: 3,
            age_ms_max: Some(100),
            ..RetryPolicy::default()
        };
        assert_eq!(policy.delay_ms_after(2, 90, 0), Some(10));
        assert_eq!(policy.delay_ms_after(3, 0, 0), None);
        assert_eq!(policy.delay_ms_after(1, 91, 0), None);
        assert_eq!(RetryPolicy::NEVER.delay_ms_after(1, 0, 0), None);
    }

    #[test]
    fn a_refused_policy_names_field_value_and_limits() {
        let policy = RetryPolicy {
            attempts_max: 0,
            ..RetryPolicy::default()
        };
        assert_eq!(
            policy.validated().unwrap_err().to_string(),
            "retry.max_attempts is 0; it must be between 1 and 1000"
        );
    }
}
